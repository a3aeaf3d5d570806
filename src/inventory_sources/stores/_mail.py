"""Outbox and inbox in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from inventory_sources.errors import RecordInvalid, Recovery, SourceNotFound, StoreError
from inventory_sources.protocols.notifier import Notification
from inventory_sources.protocols.store import Delivery, OutboxEntry
from inventory_sources.stores._chunks import ChunkKind
from inventory_sources.stores._codec import load, to_text
from inventory_sources.stores._database import Database
from inventory_sources.stores._transaction import check_name

__all__ = ["SqlInbox", "SqlOutbox"]

_BATCH = 500


class SqlOutbox:
    """:class:`~inventory_sources.protocols.store.Outbox` in SQL."""

    _database: Database

    def take(self, limit: int, lease: timedelta) -> Sequence[OutboxEntry]:
        """Up to ``limit`` due notifications; nobody else is given them until ``lease`` has passed."""
        if not self._database.read(lambda connection: self._unsent(connection, 1, lock=False)):
            return []  # the usual case, which locks nothing

        def work(connection: Connection) -> Sequence[OutboxEntry]:
            until = self._database.now(connection) + lease
            rows = self._unsent(connection, limit, lock=True)
            table = self._database.tables.outbox
            if rows:
                taken = update(table).where(table.c.id.in_([row.id for row in rows]))
                connection.execute(taken.values(attempts=table.c.attempts + 1, next_attempt_at=until))
            return [
                OutboxEntry(load(Notification, row.document, "outbox", row.id), row.attempts, until) for row in rows
            ]

        return self._database.write(work)

    def settle(self, notification_id: str, *, retry_in: timedelta | None = None) -> None:
        """Records that one was handed over, or that it is to be tried again in ``retry_in``."""
        table = self._database.tables.outbox

        def work(connection: Connection) -> None:
            now = self._database.now(connection)
            open_one = update(table).where(table.c.id == notification_id, table.c.settled_at.is_(None))
            if retry_in is None:
                connection.execute(open_one.values(settled_at=now, next_attempt_at=None))
            else:
                connection.execute(open_one.values(next_attempt_at=now + retry_in))

        self._database.write(work)

    @cached_property
    def _unsent_query(self) -> Select[Any]:
        table = self._database.tables.outbox
        return (
            select(table.c.id, table.c.document, table.c.attempts)
            .where(table.c.next_attempt_at <= bindparam("moment", type_=table.c.next_attempt_at.type))
            .order_by(table.c.next_attempt_at, table.c.id)
            .limit(bindparam("most"))
        )

    def _unsent(self, connection: Connection, limit: int, *, lock: bool) -> Sequence[Row[Any]]:
        query = self._unsent_query
        if lock:
            query = query.with_for_update(skip_locked=self._database.dialect.skips_locked(connection))
        values = {"moment": self._database.now(connection), "most": limit}
        return connection.execute(query, values).all()


class SqlInbox:
    """:class:`~inventory_sources.protocols.store.Inbox` in SQL."""

    _database: Database

    def put(self, delivery: Delivery) -> bool:
        """Keeps a delivery durably; ``False`` when one with this key is there already for the source."""
        check_name(delivery.id, "the delivery's id")
        check_name(delivery.key, "the delivery's key")
        try:
            self._database.write(lambda connection: self._insert(connection, delivery))
        except _Collision:
            if self._knows(delivery):
                return False
            raise StoreError(f"another delivery has the id {delivery.id!r}", recovery=Recovery.STOP) from None
        return True

    def waiting(self, source: str, limit: int = 100) -> Sequence[Delivery]:
        """Deliveries not dealt with, oldest first."""
        table, chunks = self._database.tables.inbox, self._database.chunks
        query = (
            select(table)
            .where(table.c.source == source, table.c.done_at.is_(None))
            .order_by(table.c.received_at, table.c.number)
            .limit(limit)
        )

        def read(connection: Connection) -> Sequence[Delivery]:
            rows = connection.execute(query).all()
            numbers = [row.number for row in rows]
            bodies = chunks.load(connection, source, ChunkKind.DELIVERY, numbers) if rows else {}
            return [_delivery(row, bodies.get(row.number)) for row in rows]

        return self._database.read(read)

    def done(self, delivery_ids: Iterable[str]) -> None:
        """Marks deliveries as dealt with; they stay until purged, so that repetitions are recognised."""
        table, chosen = self._database.tables.inbox, list(delivery_ids)

        def work(connection: Connection) -> None:
            mark = update(table).values(done_at=self._database.now(connection)).where(table.c.done_at.is_(None))
            for start in range(0, len(chosen), _BATCH):
                connection.execute(mark.where(table.c.id.in_(chosen[start : start + _BATCH])))

        self._database.write(work)

    def _insert(self, connection: Connection, delivery: Delivery) -> None:
        tables, source = self._database.tables, delivery.source
        if connection.execute(select(tables.sources.c.name).where(tables.sources.c.name == source)).first() is None:
            raise SourceNotFound(f"no source {source[:80]!r} is in the state store")
        row = {"id": delivery.id, "source": source, "dedup_key": delivery.key, "received_at": delivery.received_at}
        try:
            result = connection.execute(insert(tables.inbox), {**row, "document": to_text(dict(delivery.headers))})
        except IntegrityError:
            raise _Collision from None
        number = (result.inserted_primary_key or (0,))[0]
        self._database.chunks.save(connection, source, ChunkKind.DELIVERY, number, delivery.body)

    def _knows(self, delivery: Delivery) -> bool:
        table = self._database.tables.inbox
        query = select(table.c.id).where(table.c.source == delivery.source, table.c.dedup_key == delivery.key)
        return self._database.read(lambda connection: connection.execute(query).first()) is not None


class _Collision(Exception):
    """The key or the id is there already."""


def _delivery(row: Row[Any], body: bytes | None) -> Delivery:
    if body is None:
        raise RecordInvalid(f"the body of record {row.id!r} in table 'inbox' of the state store is not there")
    headers = load(dict[str, str], row.document, "inbox", row.id)
    return Delivery(row.id, row.source, row.dedup_key, row.received_at, headers, body)
