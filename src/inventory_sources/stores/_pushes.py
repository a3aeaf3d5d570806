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
from sqlalchemy import Connection, Insert, Row, ScalarSelect, Table, Update, bindparam, insert, or_, select, update

__all__ = ["Pushes"]


@define(slots=False)
class Pushes:
    """The rows; its statements are built once."""

    table: Table

    def add(self, connection: Connection, source: str, pushed_at: datetime | None) -> None:
        """Adds the row of a new source."""
        connection.execute(self._insert, {"source": source, "pushed_at": pushed_at})

    def of(self, name: Any) -> ScalarSelect[Any]:
        """The moment of the source called by the expression ``name``, read without a lock."""
        return select(self.table.c.pushed_at).where(self.table.c.source == name).scalar_subquery()

    def hold(
        self, connection: Connection, names: Iterable[str], *columns: Any, shared: bool
    ) -> dict[str, Row[tuple[str, datetime | None]]]:
        """Locks the rows of those sources that there are, in the order of their names, and reads them.

        :param columns: to be read with each row.
        """
        query = select(self.table.c.source, self.table.c.pushed_at, *columns)
        chosen = query.where(self.table.c.source.in_(sorted(set(names)))).order_by(self.table.c.source)
        locked = chosen.with_for_update(read=True) if shared else chosen.with_for_update(key_share=True)
        return {row.source: row for row in connection.execute(locked)}

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
    def _insert(self) -> Insert:
        return insert(self.table)

    @cached_property
    def _replace(self) -> Update:
        moment = bindparam("pushed_at", type_=self.table.c.pushed_at.type)
        return update(self.table).where(self.table.c.source == bindparam("of")).values(pushed_at=moment)
