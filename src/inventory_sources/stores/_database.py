"""The connection to the state's database: transactions, errors, time and forks."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import URL, ColumnElement, Connection, Engine, create_engine, event, make_url, select
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import Pool, StaticPool

from inventory_sources.errors import ConfigurationError, MissingExtra, Recovery, StoreError, StoreUnavailable
from inventory_sources.protocols.clock import Clock
from inventory_sources.stores._chunks import Chunks
from inventory_sources.stores._codec import from_micros
from inventory_sources.stores._dialect import Dialect, Sqlite, dialect_of
from inventory_sources.stores._prepared import Prepared
from inventory_sources.stores._pushes import Pushes
from inventory_sources.stores._schema import prepare_schema, schema_is_current
from inventory_sources.stores._tables import build_tables
from inventory_sources.stores._transaction import time_of

if TYPE_CHECKING:
    from sqlalchemy.sql import ClauseElement

__all__ = ["Database"]

T = TypeVar("T")

_ATTEMPTS = 8
_DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql"}
_EXTRAS = {"postgresql": ("PostgreSQL", "postgres"), "mysql": ("MySQL", "mysql"), "mariadb": ("MariaDB", "mysql")}


class Database:
    """One engine, the tables in it, and how work is done on them."""

    def __init__(self, engine_or_url: Engine | str, clock: Clock | None, prefix: str, lock_timeout: timedelta) -> None:
        self._owned = not isinstance(engine_or_url, Engine)
        engine = _make_engine(engine_or_url, lock_timeout) if isinstance(engine_or_url, str) else engine_or_url
        dialect = dialect_of(engine)
        if dialect is None:
            raise ConfigurationError(
                f"the state cannot be kept in {engine.dialect.name}", guidance="Use SQLite, PostgreSQL or MariaDB."
            )
        self.dialect: Dialect = dialect
        if self._owned:
            dialect.lock_timeout_ms = int(lock_timeout.total_seconds() * 1000)
        self.tables = build_tables(prefix)
        self.chunks = Chunks(self.tables.chunks)
        self._clock = clock
        self.pushes = Pushes(self.tables.pushes, self.clock, self.prepared)
        self._lock_timeout = lock_timeout
        self._base = engine
        self._engine = engine if self._owned else engine.execution_options(isolation_level=dialect.isolation)
        self._single = isinstance(engine.pool, StaticPool)
        self._inherited: list[Pool] = []
        self._ready = False
        self._reset()

    def write(self, work: Callable[[Connection], T]) -> T:
        """Does ``work`` in one transaction; repeats it when the database asks for that."""

        def translated_work(connection: Connection) -> T:
            with self.translated():
                return work(connection)

        return self.transact(translated_work)

    def transact(self, work: Callable[[Connection], T]) -> T:
        """The same, but what ``work`` raises comes out as it is."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._attempt(work)
            except Exception as error:
                if not self._asks_for_repetition(error):
                    raise
        return self._attempt(work)

    def read(self, query: Callable[[Connection], T]) -> T:
        """Runs a query without keeping anything locked."""
        self.prepare()
        with self._alone(), self._connect() as connection, self.translated():
            return self._unless_hung_up(connection, lambda: query(connection))

    def prepared(self, statement: ClauseElement, columns: Sequence[str] | None = None) -> Prepared:
        """A statement that is run often, for a database that has been connected to; see :meth:`Prepared.of`."""
        return Prepared.of(statement, self._base.dialect, columns, direct=self._owned)

    @property
    def clock(self) -> ColumnElement[Any] | None:
        """The database's clock in microseconds, to be read with something else; ``None`` where it is not asked."""
        return self.dialect.clock if self._clock is None else None

    def now(self, connection: Connection) -> datetime:
        """The time of the clock that was handed in; else the database's, or for SQLite the system's."""
        if self.clock is None:
            return time_of(self._clock)
        return from_micros(int(connection.execute(select(self.clock)).scalar_one()))

    def time(self) -> datetime:
        """The same, outside of a transaction."""
        return time_of(self._clock) if self.clock is None else self.read(self.now)

    def prepare(self) -> None:
        """Creates or migrates the tables, once in a process."""
        if self._pid != os.getpid():
            self._leave_parent()
        if self._ready:
            return
        with self._opening:
            if not self._ready:
                self._open()
                self._ready = True

    def close(self) -> None:
        """Closes the connections of an engine that was made here."""
        if self._owned:
            self._base.dispose()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turns SQLAlchemy's errors into ours, without their text: it may hold values or credentials."""
        try:
            yield
        except SQLAlchemyError as error:
            raise self._translate(error) from None
        except UnicodeEncodeError:
            raise StoreError("the state database cannot keep half a surrogate pair", recovery=Recovery.STOP) from None

    def _attempt(self, work: Callable[[Connection], T]) -> T:
        self.prepare()
        with self._alone(), self._connect() as connection:
            with self.translated():
                self._unless_hung_up(connection, lambda: self.dialect.begin(connection))
            try:
                result = work(connection)
            except BaseException:
                self._undo(connection)
                raise
            self._commit(connection)
            return result

    def _unless_hung_up(self, connection: Connection, first: Callable[[], T]) -> T:
        """Does what writes nothing; does it on a new connection where the server has hung up on one that lay idle."""
        try:
            return first()
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        connection.rollback()
        return first()

    def _undo(self, connection: Connection) -> None:
        with suppress(SQLAlchemyError):  # a connection that is gone has taken the transaction with it
            self.dialect.rollback(connection)

    def _commit(self, connection: Connection) -> None:
        try:
            self.dialect.commit(connection)
        except SQLAlchemyError as error:
            self._undo(connection)
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                raise StoreError(
                    "the connection to the state database was lost while committing; the change may be there or not",
                    guidance="Read the source and the run, by its id, again before going on.",
                ) from None
            raise self._translate(error) from None

    def _connect(self) -> Connection:
        with self.translated():
            try:
                return self._engine.connect()
            except self._base.dialect.loaded_dbapi.Error:
                # The server hung up on idle connections, and SQLAlchemy does not look at errors of SET ISOLATION LEVEL.
                self._base.dispose()
                return self._engine.connect()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """SQLite in memory has one connection, which threads take in turns."""
        if not self._single:
            yield
            return
        if not self._turn.acquire(timeout=self._lock_timeout.total_seconds()):
            raise StoreUnavailable("the state database in memory is busy with another transaction")
        try:
            yield
        finally:
            self._turn.release()

    def _open(self) -> None:
        with self._alone(), self._connect() as connection, self.translated():
            if schema_is_current(connection, self.tables):
                return
            connection.rollback()
            self.dialect.begin(connection)
            try:
                prepare_schema(connection, self.tables, self.dialect)
                self._commit(connection)
            except BaseException:
                self._undo(connection)
                raise
            finally:
                self.dialect.unlock_schema(connection, self.tables.prefix)

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._opening = threading.Lock()
        self._turn = threading.Lock()

    def _leave_parent(self) -> None:
        """A forked child must neither use nor close its parent's connections, so they are kept aside unused."""
        self._reset()
        if not self._single:
            self._inherited.append(self._base.pool)
            self._base.dispose(close=False)

    def _asks_for_repetition(self, error: BaseException) -> bool:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, DBAPIError):
                return self.dialect.asks_for_repetition(cause)
            cause = cause.__context__
        return False

    def _translate(self, error: SQLAlchemyError) -> StoreError:
        if not isinstance(error, DBAPIError):
            kind = StoreUnavailable if isinstance(error, PoolTimeout) else StoreError
            return kind(f"the state database cannot be used: {type(error).__name__}")
        code = self.dialect.code(error)
        if self.dialect.is_locked(code):
            return StoreUnavailable(f"the state database is locked by another worker ({code})")
        passing = isinstance(error, (OperationalError, InterfaceError)) or error.connection_invalidated
        if passing or self.dialect.asks_for_repetition(error):
            return StoreUnavailable(f"the state database did not answer as it should ({code or type(error).__name__})")
        return StoreError(f"the state database refused a statement ({code or type(error).__name__})")


def _make_engine(location: str, lock_timeout: timedelta) -> Engine:
    url = _parse(location)
    options: dict[str, Any] = {"pool_pre_ping": True, "isolation_level": Dialect.isolation}
    if url.get_backend_name() == "postgresql":
        # Its transactions begin with a statement, which tells as well whether the connection is alive.
        options["pool_pre_ping"] = False
    if url.drivername == _DRIVERS["postgresql"]:
        # A pooler gives each transaction another connection, on which a statement prepared before is not known.
        options["connect_args"] = {"prepare_threshold": None}
    if url.get_backend_name() == "sqlite":
        options = {"isolation_level": Sqlite.isolation}
        if url.database in (None, "", ":memory:"):
            options |= {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
    try:
        engine = create_engine(url, **options)
    except ModuleNotFoundError:
        raise MissingExtra(*_EXTRAS.get(url.get_backend_name(), ("this database", "postgres"))) from None
    except SQLAlchemyError:
        raise ConfigurationError("the state database's URL is not understood") from None
    dialect = dialect_of(engine)
    milliseconds = int(lock_timeout.total_seconds() * 1000)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        if dialect:
            dialect.prepare(cursor, milliseconds)
        cursor.close()
        connection.commit()

    return engine


def _parse(location: str) -> URL:
    if "://" not in location:
        return URL.create("sqlite", database=location)
    try:
        url = make_url(location)
    except (SQLAlchemyError, ValueError):
        raise ConfigurationError("the state database's URL is not understood") from None
    return url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
