"""Reading the inbox in SQL, and writing what became of deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, case, func, or_, select

from inventory_sources.errors import RecordInvalid, SourceNotFound
from inventory_sources.protocols.inbox import InboxEntry, InboxSettlement, InboxStatus
from inventory_sources.protocols.store import AuditEntry
from inventory_sources.stores._changes import ChangeWriter
from inventory_sources.stores._chunks import ChunkKind
from inventory_sources.stores._codec import load
from inventory_sources.stores._database import Database
from inventory_sources.stores._transaction import fitting

__all__ = ["SqlDeliveries"]


class SqlDeliveries:
    """What is in the inbox, and what became of it."""

    _database: Database
    _writer: ChangeWriter

    def waiting(self, source: str, limit: int = 500, max_bytes: int | None = None) -> Sequence[InboxEntry]:
        """Deliveries that wait and whose time has come, in the order received."""
        table = self._database.tables.inbox

        def read(connection: Connection) -> Sequence[InboxEntry]:
            now = self._database.now(connection)
            come = or_(table.c.next_attempt_at.is_(None), table.c.next_attempt_at <= now)
            query = self._of(source, InboxStatus.WAITING).where(come).order_by(table.c.received_at, table.c.number)
            most = limit if max_bytes is None else self._fitting(connection, query.limit(limit), max_bytes)
            rows = connection.execute(query.limit(most)).all()
            return self._entries(connection, source, rows)

        return self._database.read(read)

    def sequences(self, source: str, sequence_of: str, after: int, limit: int = 1) -> Sequence[tuple[int, datetime]]:
        """Sequence numbers above ``after`` with the times of their receipt, lowest first."""
        table = self._database.tables.inbox
        query = (
            select(table.c.sequence, table.c.received_at)
            .where(table.c.source == source, table.c.sequence_of == sequence_of, table.c.sequence > after)
            .order_by(table.c.sequence, table.c.received_at)
            .limit(limit)
        )
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [(row.sequence, row.received_at) for row in rows]

    def deliveries(
        self, source: str, limit: int = 50, before: str | None = None, status: InboxStatus | None = None
    ) -> Sequence[InboxEntry]:
        """Deliveries of a source, the last received first, a page at a time: those that came before ``before``."""
        table = self._database.tables.inbox

        def read(connection: Connection) -> Sequence[InboxEntry]:
            rows: list[Row[Any]] = []
            for each in InboxStatus if status is None else (status,):  # an index gives each in order
                query = self._of(source, each)
                if before is not None:
                    query = query.where(self._earlier(source, before))
                last_first = query.order_by(table.c.received_at.desc(), table.c.number.desc())
                rows += connection.execute(last_first.limit(limit))
            rows.sort(key=lambda row: (row.received_at, row.number), reverse=True)
            return self._entries(connection, source, rows[:limit])

        return self._database.read(read)

    def set_aside(self, source: str, limit: int = 1000) -> Sequence[InboxEntry]:
        """Those that were read in vain and are not settled, the next to be tried first and parked ones last."""
        table = self._database.tables.inbox
        bare = [column for column in table.c if column.name not in ("body", "headers")]
        waiting = and_(table.c.status == InboxStatus.WAITING.value, table.c.attempts > 0)
        parked = table.c.status == InboxStatus.PARKED.value
        moment = case((table.c.next_attempt_at.is_(None), 0), else_=table.c.next_attempt_at)
        query = select(*bare).where(table.c.source == source, or_(waiting, parked)).limit(limit)
        query = query.order_by(case((parked, 1), else_=0), moment, table.c.received_at, table.c.number)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [_entry(row, {}, b"") for row in rows]

    def settle_deliveries(
        self, source: str, settlements: Sequence[InboxSettlement], audit: AuditEntry, *, wake: bool
    ) -> int:
        """Settles deliveries of a source that wait or are parked; gives how many."""
        pushes = self._database.pushes

        def work(connection: Connection) -> int:
            if not pushes.hold(connection, [source], shared=False)[0]:
                raise SourceNotFound(f"no source {source[:80]!r} is in the state store")
            now = self._database.now(connection)
            settled = self._writer.settle(connection, source, settlements, now)
            if settled:
                self._writer.audit(connection, (audit,))
            if settled and wake:
                pushes.wake(connection, [source], now)
            return settled

        return self._database.write(work)

    def _fitting(self, connection: Connection, query: Select[Any], max_bytes: int) -> int:
        """How many to read, told before a body of them is."""
        table = self._database.tables.inbox
        size = func.coalesce(func.length(table.c.body), self._database.chunks.size(table.c.source, table.c.number))
        return fitting(connection.execute(query.with_only_columns(size)).scalars(), max_bytes)

    def _of(self, source: str, status: InboxStatus) -> Select[Any]:
        table = self._database.tables.inbox
        return select(table).where(table.c.source == source, table.c.status == status.value)

    def _earlier(self, source: str, than: str) -> ColumnElement[bool]:
        table = self._database.tables.inbox
        named = table.alias()
        of_named = (named.c.source == source, named.c.id == than)
        received_at, number = (
            select(column).where(*of_named).scalar_subquery() for column in (named.c.received_at, named.c.number)
        )
        same = and_(table.c.received_at == received_at, table.c.number < number)
        return or_(table.c.received_at < received_at, same)

    def _entries(self, connection: Connection, source: str, rows: Sequence[Row[Any]]) -> Sequence[InboxEntry]:
        numbers = [row.number for row in rows if row.body is None]
        chunks = self._database.chunks
        bodies = chunks.load(connection, source, ChunkKind.DELIVERY, numbers) if numbers else {}
        return [
            _entry(
                row,
                load(dict[str, str], row.headers, "inbox", row.id),
                bodies.get(row.number) if row.body is None else bytes(row.body),
            )
            for row in rows
        ]


def _entry(row: Row[Any], headers: dict[str, str], body: bytes | None) -> InboxEntry:
    if body is None:
        raise RecordInvalid(f"the body of record {row.id!r} in table 'inbox' of the state store is not there")
    return InboxEntry(
        row.id,
        row.source,
        row.dedup_key,
        row.received_at,
        headers,
        body,
        row.digest,
        sequence=row.sequence,
        sequence_of=row.sequence_of,
        status=_status(row),
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        run_id=row.run_id,
        reason=load(str, row.reason, "inbox", row.id),
    )


def _status(row: Row[Any]) -> InboxStatus:
    try:
        return InboxStatus(row.status)
    except ValueError:
        raise RecordInvalid(f"the record {row.id!r} in table 'inbox' of the state store has no known status") from None
