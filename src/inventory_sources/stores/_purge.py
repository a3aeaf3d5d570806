"""Deleting what has been kept long enough, in small transactions that let others in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from attrs import frozen
from sqlalchemy import ColumnElement, Connection, Select, and_, delete, exists, select

from inventory_sources.protocols.store import Retention
from inventory_sources.run import RunResult
from inventory_sources.stores._chunks import ChunkKind, Chunks
from inventory_sources.stores._database import Database
from inventory_sources.stores._tables import Tables
from inventory_sources.stores._transaction import cutoffs

__all__ = ["SqlPurge"]

_BATCH = 1000


@frozen
class _Batch:
    """How one kind is purged: a query for some keys, and what deletes them and says how many went."""

    keys: Select[Any]
    drop: Callable[[Connection, Sequence[Any]], int]


class SqlPurge:
    """Retention in SQL."""

    _database: Database

    def purge(self, retention: Retention) -> Mapping[str, int]:
        """Deletes what is older than ``retention`` allows; gives the number of entries of each kind.

        The kinds are the fields of :class:`~inventory_sources.protocols.store.Retention`. A run that is purged takes
        its rejections with it.
        """
        before = cutoffs(retention, self._database.time())
        rejections = self._drain(_rejections(self._database.tables, before["rejections"], before["runs"]))
        others = {
            "runs": _runs(self._database.tables, before["runs"]),
            "unmapped": _unmapped(self._database.tables, before["unmapped"]),
            "notifications": _notifications(self._database.tables, before["notifications"]),
            "deliveries": _deliveries(self._database.tables, before["deliveries"]),
            "audit": _audit(self._database.tables, before["audit"]),
        }
        return {"rejections": rejections, **{kind: self._drain(batch) for kind, batch in others.items()}}

    def _drain(self, batch: _Batch) -> int:
        def work(connection: Connection) -> tuple[int, int]:
            keys = connection.execute(batch.keys.limit(_BATCH)).all()
            return len(keys), batch.drop(connection, keys) if keys else 0

        total, found = 0, _BATCH
        while found == _BATCH:
            found, dropped = self._database.write(work)
            total += dropped
        return total


def _finished(tables: Tables, before: datetime) -> ColumnElement[bool]:
    """Runs that started before, and are neither running, nor the latest of their source, nor of a held plan."""
    runs, later = tables.runs, tables.runs.alias()
    return and_(
        runs.c.started_at < before,
        runs.c.result != RunResult.RUNNING.value,
        exists().where(later.c.source == runs.c.source, later.c.started_at > runs.c.started_at),
        ~exists().where(tables.held.c.run_id == runs.c.id),
    )


def _rejections(tables: Tables, before: datetime, runs_before: datetime) -> _Batch:
    table = tables.rejections
    runs = tables.runs
    kept_long_enough = _finished(tables, max(before, runs_before))
    keys = select(table.c.id).join(runs, runs.c.id == table.c.run_id).where(kept_long_enough)
    return _Batch(keys, _by_column(table.c.id))


def _runs(tables: Tables, before: datetime) -> _Batch:
    return _Batch(select(tables.runs.c.id).where(_finished(tables, before)), _by_column(tables.runs.c.id))


def _unmapped(tables: Tables, before: datetime) -> _Batch:
    table = tables.unmapped
    old = table.c.last_seen < before

    def drop(connection: Connection, keys: Sequence[Any]) -> int:
        dropped = 0
        for source, of_source in groupby(keys, key=lambda key: key.source):
            these = table.c.sku.in_([key.sku for key in of_source])
            dropped += connection.execute(delete(table).where(table.c.source == source, these, old)).rowcount
        return dropped

    return _Batch(select(table.c.source, table.c.sku).where(old), drop)


def _notifications(tables: Tables, before: datetime) -> _Batch:
    table = tables.outbox
    return _Batch(select(table.c.id).where(table.c.settled_at < before), _by_column(table.c.id))


def _deliveries(tables: Tables, before: datetime) -> _Batch:
    table = tables.inbox
    cut = table.c.body.is_(None).label("cut")
    keys = select(table.c.number, table.c.source, cut).where(table.c.settled_at < before)

    def drop(connection: Connection, keys: Sequence[Any]) -> int:
        for key in keys:
            if key.cut:
                Chunks(tables.chunks).drop(connection, key.source, ChunkKind.DELIVERY, [key.number])
        return _by_column(table.c.number)(connection, keys)

    return _Batch(keys, drop)


def _audit(tables: Tables, before: datetime) -> _Batch:
    table = tables.audit
    return _Batch(select(table.c.id).where(table.c.recorded_at < before), _by_column(table.c.id))


def _by_column(column: Any) -> Callable[[Connection, Sequence[Any]], int]:
    """Deletes by the first value of each key."""

    def drop(connection: Connection, keys: Sequence[Any]) -> int:
        return connection.execute(delete(column.table).where(column.in_([key[0] for key in keys]))).rowcount

    return drop
