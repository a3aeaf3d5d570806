"""Transitions and sources in SQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Select, bindparam, delete, insert, select
from sqlalchemy.exc import IntegrityError

from inventory_sources.errors import SourceExists, SourceNotFound
from inventory_sources.protocols.store import AuditEntry, StoredSource, Transaction
from inventory_sources.run import SyncRun
from inventory_sources.status import SourceState, SyncStatus
from inventory_sources.stores._changes import ChangeWriter, state_columns
from inventory_sources.stores._codec import load, load_spec, to_text
from inventory_sources.stores._database import Database
from inventory_sources.stores._history import find_run
from inventory_sources.stores._transaction import OpenTransaction, check_name

__all__ = ["SqlSources", "SqlTransitions"]

T = TypeVar("T")


class _SourceRows:
    """How a source's row is read."""

    _database: Database
    _writer: ChangeWriter

    @cached_property
    def _select_source(self) -> Select[Any]:
        sources = self._database.tables.sources
        pushed_at = self._database.pushes.of(sources.c.name).label("pushed_at")
        return select(sources.c.spec, sources.c.state, pushed_at).where(sources.c.name == bindparam("of"))

    @cached_property
    def _lock_source(self) -> Select[Any]:
        """Locks the row but not its key; SQLite has locked the whole database by then."""
        return self._select_source.with_for_update(key_share=True)

    def _load(self, connection: Connection, name: str, query: Select[Any]) -> StoredSource:
        row = self._row(connection, name, query)
        state = load(SourceState, row.state, "sources", name)
        return StoredSource(name, load_spec(row.spec, name), state, row.pushed_at)

    @staticmethod
    def _row(connection: Connection, name: str, query: Select[Any]) -> Row[Any]:
        row: Row[Any] | None = connection.execute(query, {"of": name}).first()
        if row is None:
            raise SourceNotFound(f"no source {name[:80]!r} is in the state store")
        return row


class SqlTransitions(_SourceRows):
    """:class:`~inventory_sources.protocols.store.Transitions` in SQL."""

    def transact(self, name: str, decide: Callable[[Transaction], T]) -> T:
        """Runs ``decide`` in one transaction that holds the source's row, and commits what it wrote."""
        database, translated = self._database, self._database.translated

        def work(connection: Connection) -> T:
            def run(run_id: str) -> SyncRun | None:
                with translated():
                    return find_run(connection, database.tables, run_id)

            with translated():
                source = self._load(connection, name, self._lock_source)
                transaction = OpenTransaction(database.now(connection), source, run, connection)
            result = decide(transaction)
            with translated():
                self._writer.write(connection, transaction)
            return result

        return database.transact(work)

    @cached_property
    def _due(self) -> Select[Any]:
        sources = self._database.tables.sources
        return (
            select(sources.c.name, sources.c.wake_at)
            .where(sources.c.wake_at <= bindparam("moment", type_=sources.c.wake_at.type))
            .order_by(sources.c.wake_at, sources.c.name)
            .limit(bindparam("most"))
        )

    @cached_property
    def _pushed(self) -> Select[Any]:
        sources, pushes = self._database.tables.sources, self._database.tables.pushes
        return (
            select(pushes.c.source, pushes.c.pushed_at)
            .join(sources, sources.c.name == pushes.c.source)
            .where(
                pushes.c.pushed_at <= bindparam("moment", type_=pushes.c.pushed_at.type),
                sources.c.takes_pushes.is_(True),
            )
            .order_by(pushes.c.pushed_at, pushes.c.source)
            .limit(bindparam("most"))
        )

    @cached_property
    def _syncing(self) -> Select[Any]:
        sources = self._database.tables.sources
        these = sources.c.name.in_(bindparam("names", expanding=True))
        return select(sources.c.name).where(these, sources.c.status == SyncStatus.SYNCING.value)

    @cached_property
    def _free(self) -> Select[Any]:
        return self._syncing.with_for_update(key_share=True, skip_locked=True)

    def due(self, limit: int) -> Sequence[str]:
        """Names of sources whose time has come, longest overdue first; read from indexes.

        A source whose lease is over while its worker still writes, in the transaction that holds its row, is left out:
        whoever claimed it would wait for that.
        """

        def query(connection: Connection) -> Sequence[str]:
            now = self._database.now(connection)
            times = self._woken(connection, now, limit)
            for name, moment in connection.execute(self._pushed, {"moment": now, "most": limit}):
                times[name] = min(moment, times.get(name, moment))
            return sorted(times, key=lambda name: (times[name], name))[:limit]

        return self._database.read(query)

    def _woken(self, connection: Connection, now: datetime, limit: int) -> dict[str, datetime]:
        most = limit
        while True:
            rows = connection.execute(self._due, {"moment": now, "most": most})
            found = {row.name: row.wake_at for row in rows}
            held = self._held(connection, list(found))
            if len(found) < most or len(found) >= limit + len(held):
                return {name: moment for name, moment in found.items() if name not in held}
            most = limit + len(held)

    def _held(self, connection: Connection, names: Sequence[str]) -> set[str]:
        """Those that are syncing of which another transaction holds the row, where the database can tell."""
        dialect = self._database.dialect
        if not (names and dialect.shares_rows and dialect.skips_locked(connection)):
            return set()
        syncing = connection.execute(self._syncing, {"names": names}).scalars().all()
        return {*syncing} - {*connection.execute(self._free, {"names": syncing}).scalars()} if syncing else set()

    def now(self) -> datetime:
        """The store's time (UTC)."""
        return self._database.time()


class SqlSources(_SourceRows):
    """:class:`~inventory_sources.protocols.store.Sources` in SQL."""

    def add(self, source: StoredSource, audit: AuditEntry) -> None:
        """Registers a source."""
        check_name(source.name, "the source name")
        row = {"name": source.name, "spec": to_text(source.spec), **state_columns(source.state)}

        def work(connection: Connection) -> None:
            try:
                connection.execute(insert(self._database.tables.sources), row)
            except IntegrityError:
                raise SourceExists(f"a source {source.name!r} is in the state store already") from None
            self._database.pushes.add(connection, source.name, source.pushed_at)
            self._writer.audit(connection, (audit,))

        self._database.write(work)

    def get(self, name: str) -> StoredSource:
        """One source."""
        return self._database.read(lambda connection: self._load(connection, name, self._select_source))

    def names(self, after: str = "", limit: int = 1000) -> Sequence[str]:
        """Names in order, a page at a time."""
        name = self._database.tables.sources.c.name
        query = select(name).where(name > after).order_by(name).limit(limit)
        return self._database.read(lambda connection: connection.execute(query).scalars().all())

    def remove(self, name: str, audit: AuditEntry) -> None:
        """Deletes a source with all that is kept of it but its audit entries."""
        tables = self._database.tables
        runs, rejections = tables.runs, tables.rejections
        kept = (tables.chunks, tables.unmapped, tables.held, tables.overrides, tables.outbox, tables.endpoints, runs)

        def work(connection: Connection) -> None:
            self._row(connection, name, self._lock_source)  # not decoded: a damaged source can be removed
            ids = select(runs.c.id).where(runs.c.source == name)
            connection.execute(delete(rejections).where(rejections.c.run_id.in_(ids)))
            for table in (tables.pushes, tables.inbox, *kept):  # whoever puts a delivery holds the row of pushes
                connection.execute(delete(table).where(table.c.source == name))
            connection.execute(delete(tables.sources).where(tables.sources.c.name == name))
            self._writer.audit(connection, (audit,))

        self._database.write(work)
