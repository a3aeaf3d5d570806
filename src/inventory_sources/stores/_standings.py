"""Where all sources stand, in SQL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, select

from inventory_sources.protocols.inbox import InboxStatus
from inventory_sources.protocols.standings import Standing
from inventory_sources.status import SyncStatus
from inventory_sources.stores._codec import from_micros
from inventory_sources.stores._database import Database

__all__ = ["SqlStandings"]


class SqlStandings:
    """:class:`~inventory_sources.protocols.standings.Standings` in SQL."""

    _database: Database

    def standings(self, after: str = "", limit: int = 1000) -> Sequence[Standing]:
        """Standings in order of the names, a page at a time."""

        def query(connection: Connection) -> Sequence[Standing]:
            now = self._database.now(connection)
            rows = connection.execute(self._page, {"after": after, "most": limit}).all()
            if not rows:
                return []
            between = {"first": rows[0].name, "last": rows[-1].name}
            waiting = {row.source: row.waiting for row in connection.execute(self._waiting, between)}
            return [_standing(row, now, waiting.get(row.name, 0)) for row in rows]

        return self._database.read(query)

    @cached_property
    def _page(self) -> Select[Any]:
        tables = self._database.tables
        sources, pushes = tables.sources.c, tables.pushes.c
        return (
            select(sources.name, sources.status, sources.wake_at, sources.takes_pushes, sources.state, pushes.pushed_at)
            .join_from(tables.sources, tables.pushes, pushes.source == sources.name, isouter=True)
            .where(sources.name > bindparam("after", type_=sources.name.type))
            .order_by(sources.name)
            .limit(bindparam("most"))
        )

    @cached_property
    def _waiting(self) -> Select[Any]:
        inbox = self._database.tables.inbox.c
        first, last = (bindparam(end, type_=inbox.source.type) for end in ("first", "last"))
        return (
            select(inbox.source, func.count().label("waiting"))
            .where(inbox.source.between(first, last), inbox.status == InboxStatus.WAITING.value)
            .group_by(inbox.source)
        )


def _standing(row: Row[Any], now: datetime, waiting: int) -> Standing:
    pushed_at = row.pushed_at if row.takes_pushes else None
    due = any(moment is not None and moment <= now for moment in (row.wake_at, pushed_at))
    return Standing(row.name, SyncStatus(row.status), due, _last_success(row.state), waiting)


def _last_success(state: str) -> datetime | None:
    """The one field of the record that is wanted; a damaged record of one source must not hide the others."""
    try:
        micros = json.loads(state)["last_success_at"]
    except (ValueError, TypeError, KeyError):
        return None
    return from_micros(micros) if isinstance(micros, int) else None
