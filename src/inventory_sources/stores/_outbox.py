"""The outbox in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, select, update

from inventory_sources.protocols.notifier import Notification
from inventory_sources.protocols.store import OutboxEntry
from inventory_sources.stores._codec import load
from inventory_sources.stores._database import Database

__all__ = ["SqlOutbox"]


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
