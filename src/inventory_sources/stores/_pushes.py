"""When each source is looked at for its deliveries.

This is a row of its own beside the source's: a transition holds the source's row for as long as its decision takes,
and a delivery must not wait for that. Whoever puts a delivery holds this row, shared, until the delivery is committed;
whoever clears it therefore either sees the delivery, or is told of it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from typing import Any

from attrs import define
from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    Row,
    ScalarSelect,
    Select,
    Table,
    Update,
    bindparam,
    insert,
    or_,
    select,
    update,
)

__all__ = ["Pushes"]


@define(slots=False)
class Pushes:
    """The rows; its statements are built once."""

    table: Table
    clock: ColumnElement[Any] | None

    def add(self, connection: Connection, source: str, pushed_at: datetime | None) -> None:
        """Adds the row of a new source."""
        connection.execute(self._insert, {"source": source, "pushed_at": pushed_at})

    def of(self, name: Any) -> ScalarSelect[Any]:
        """The moment of the source called by the expression ``name``, read without a lock."""
        return select(self.table.c.pushed_at).where(self.table.c.source == name).scalar_subquery()

    def hold(self, connection: Connection, names: Iterable[str], *, shared: bool) -> dict[str, Row[Any]]:
        """Locks the rows of those sources that there are, in the order of their names, and reads them and the clock."""
        query = self._hold_shared if shared else self._hold_alone
        return {row.source: row for row in connection.execute(query, {"names": sorted(names)})}

    def wake(self, connection: Connection, names: Iterable[str], moment: datetime) -> None:
        """Has sources looked at then, unless it is to happen earlier."""
        columns = self.table.c
        later = or_(columns.pushed_at.is_(None), columns.pushed_at > moment)
        chosen = update(self.table).where(columns.source.in_(sorted(names)), later)
        connection.execute(chosen.values(pushed_at=moment))

    def replace(self, connection: Connection, source: str, moment: datetime | None) -> None:
        """Has a source looked at then, whatever was to happen."""
        connection.execute(self._replace, {"of": source, "pushed_at": moment})

    @cached_property
    def _rows(self) -> Select[Any]:
        columns = self.table.c
        clock = () if self.clock is None else (self.clock.label("clock"),)
        chosen = select(columns.source, columns.pushed_at, *clock)
        return chosen.where(columns.source.in_(bindparam("names", expanding=True))).order_by(columns.source)

    @cached_property
    def _hold_shared(self) -> Select[Any]:
        return self._rows.with_for_update(read=True)

    @cached_property
    def _hold_alone(self) -> Select[Any]:
        return self._rows.with_for_update(key_share=True)

    @cached_property
    def _insert(self) -> Insert:
        return insert(self.table)

    @cached_property
    def _replace(self) -> Update:
        moment = bindparam("pushed_at", type_=self.table.c.pushed_at.type)
        return update(self.table).where(self.table.c.source == bindparam("of")).values(pushed_at=moment)
