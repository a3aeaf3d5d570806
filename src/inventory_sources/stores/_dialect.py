"""What differs between SQLite, PostgreSQL and MariaDB; everything else is the same code."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    Insert,
    Table,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite

from inventory_sources.errors import StoreUnavailable

if TYPE_CHECKING:
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.sql import Executable

__all__ = ["Dialect", "dialect_of"]

_TURNS = 10


class Dialect:
    """Servers in general: the transaction is SQLAlchemy's, the clock is the database's."""

    #: The database's time in microseconds since 1970-01-01 UTC; ``None``: the system's clock.
    clock: ColumnElement[Any] | None = None
    #: Whether several transactions can write at once, each holding rows, some of them shared.
    shares_rows = True
    #: At which the store's transactions run: they lock what they read, and a lock that was waited for shows the latest.
    isolation: Literal["AUTOCOMMIT", "READ COMMITTED"] = "READ COMMITTED"
    #: Codes of errors after which the transaction can be run again at once.
    repeat_codes: frozenset[object] = frozenset()
    #: Codes of errors that say that a lock was waited for too long.
    locked_codes: frozenset[object] = frozenset()
    #: How long locks are waited for on connections of an engine that the store made itself; ``None``: as the host says.
    lock_timeout_ms: int | None = None

    def prepare(self, cursor: Any, lock_timeout_ms: int) -> None:
        """Sets up each new connection of an engine that the store made itself."""

    def begin(self, connection: Connection) -> None:
        """Opens a transaction that will write."""

    def commit(self, connection: Connection) -> None:
        connection.commit()

    def rollback(self, connection: Connection) -> None:
        connection.rollback()

    def upsert(self, table: Table, changed: Sequence[str]) -> Executable:
        """An insert that updates the columns ``changed`` where the primary key is there already."""
        raise NotImplementedError

    def insert_missing(self, table: Table) -> Insert:
        """An insert that leaves out rows of which a unique value is there already."""
        raise NotImplementedError

    def skips_locked(self, connection: Connection) -> bool:
        """Whether rows that others hold can be passed over."""
        return True

    def lock_schema(self, connection: Connection, prefix: str) -> None:
        """Keeps other processes from creating or migrating the same tables until :meth:`unlock_schema`."""

    def unlock_schema(self, connection: Connection, prefix: str) -> None:
        """Takes the lock back, after the end of the transaction, where that does not."""

    def code(self, error: DBAPIError) -> object:
        """The database's own code for an error, safe to show."""
        return None

    def asks_for_repetition(self, error: DBAPIError) -> bool:
        """Whether the transaction was given up only because of others."""
        return self.code(error) in self.repeat_codes

    def is_locked(self, code: object) -> bool:
        """Whether a lock was waited for too long."""
        return code in self.locked_codes


class Sqlite(Dialect):
    """Transactions by hand: Python's driver would begin them late and deferred, which ends in lock errors."""

    isolation = "AUTOCOMMIT"
    shares_rows = False
    locked_codes = frozenset({"SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_BUSY_SNAPSHOT", "SQLITE_BUSY_TIMEOUT"})

    def prepare(self, cursor: Any, lock_timeout_ms: int) -> None:
        cursor.execute(f"PRAGMA busy_timeout = {lock_timeout_ms}")
        self._write_ahead(cursor)
        cursor.execute("PRAGMA synchronous = FULL")

    def _write_ahead(self, cursor: Any) -> None:
        # Of processes that open a new file at once, SQLite may turn some away without having them wait for their turn.
        for tries_left in reversed(range(_TURNS)):
            try:
                cursor.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError:
                if not tries_left:
                    raise
                cursor.execute("BEGIN IMMEDIATE")
                cursor.execute("ROLLBACK")
            else:
                return

    def begin(self, connection: Connection) -> None:
        connection.begin()
        dbapi: Any = connection.connection.dbapi_connection
        if dbapi.in_transaction:  # opened by a host's own "begin" event, perhaps deferred
            connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def commit(self, connection: Connection) -> None:
        connection.exec_driver_sql("COMMIT")

    def rollback(self, connection: Connection) -> None:
        dbapi: Any = connection.connection.dbapi_connection
        if dbapi.in_transaction:
            connection.exec_driver_sql("ROLLBACK")

    def upsert(self, table: Table, changed: Sequence[str]) -> Executable:
        insert = sqlite.insert(table)
        return insert.on_conflict_do_update(
            index_elements=list(table.primary_key), set_={name: insert.excluded[name] for name in changed}
        )

    def insert_missing(self, table: Table) -> Insert:
        return sqlite.insert(table).on_conflict_do_nothing().inline()

    def code(self, error: DBAPIError) -> object:
        return getattr(error.orig, "sqlite_errorname", None)


class Postgres(Dialect):
    clock = literal_column("CAST(EXTRACT(epoch FROM statement_timestamp()) * 1000000 AS BIGINT)", BigInteger)
    repeat_codes = frozenset({"40001", "40P01"})
    locked_codes = frozenset({"55P03"})

    def begin(self, connection: Connection) -> None:
        # For this transaction alone: behind a pooler the next one may be on another connection, and this one others'.
        if self.lock_timeout_ms is not None:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {self.lock_timeout_ms}")

    def upsert(self, table: Table, changed: Sequence[str]) -> Executable:
        insert = postgresql.insert(table)
        return insert.on_conflict_do_update(
            index_elements=list(table.primary_key), set_={name: insert.excluded[name] for name in changed}
        )

    def insert_missing(self, table: Table) -> Insert:
        return postgresql.insert(table).on_conflict_do_nothing().inline()

    def lock_schema(self, connection: Connection, prefix: str) -> None:
        connection.execute(select(func.pg_advisory_xact_lock(zlib.crc32(prefix.encode()))))

    def code(self, error: DBAPIError) -> object:
        return getattr(error.orig, "sqlstate", None)


class MariaDb(Dialect):
    """Also MySQL. Its schema changes commit by themselves, so migrations there are steps that can be repeated."""

    clock = literal_column("TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))", BigInteger)
    repeat_codes = frozenset({1020, 1213})
    locked_codes = frozenset({1205})

    def prepare(self, cursor: Any, lock_timeout_ms: int) -> None:
        cursor.execute(f"SET SESSION innodb_lock_wait_timeout = {max(1, lock_timeout_ms // 1000)}")

    def upsert(self, table: Table, changed: Sequence[str]) -> Executable:
        insert = mysql.insert(table)
        return insert.on_duplicate_key_update({name: insert.inserted[name] for name in changed})

    def insert_missing(self, table: Table) -> Insert:
        return mysql.insert(table).prefix_with("IGNORE").inline()

    def skips_locked(self, connection: Connection) -> bool:
        version = connection.dialect.server_version_info or (0,)
        return version >= ((10, 6) if getattr(connection.dialect, "is_mariadb", False) else (8, 0, 1))

    def lock_schema(self, connection: Connection, prefix: str) -> None:
        if connection.execute(select(func.get_lock(self._lock_name(prefix), 60))).scalar() != 1:
            raise StoreUnavailable("another process has been migrating the state database for a minute")

    def unlock_schema(self, connection: Connection, prefix: str) -> None:
        connection.execute(select(func.release_lock(self._lock_name(prefix))))

    def code(self, error: DBAPIError) -> object:
        return error.orig.args[0] if error.orig is not None and error.orig.args else None

    @staticmethod
    def _lock_name(prefix: str) -> Any:
        return func.concat(func.database(), f".{prefix[:20]}schema")


def dialect_of(engine: Engine) -> Dialect | None:
    """The differences that go with an engine; ``None`` for a database that is not supported."""
    if engine.dialect.name == "sqlite":
        return Sqlite()
    if engine.dialect.name == "postgresql":
        return Postgres()
    if engine.dialect.name in ("mysql", "mariadb"):
        return MariaDb()
    return None
