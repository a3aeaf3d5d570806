"""When each source is looked at for its deliveries.

This is a row of its own beside the source's: a transition holds the source's row for as long as its decision takes,
and a delivery must not wait for that. Whoever puts a delivery holds this row, shared, until the delivery is committed;
whoever clears it therefore either sees the delivery, or is told of it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from attrs import define, field
from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
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

from inventory_sources.stores._codec import from_micros
from inventory_sources.stores._prepared import Prepared

if TYPE_CHECKING:
    from sqlalchemy.sql import ClauseElement

__all__ = ["Pushes"]


@define(slots=False)
class Pushes:
    """The rows; its statements are built once."""

    table: Table
    clock: ColumnElement[Any] | None
    prepared: Callable[[ClauseElement], Prepared]
    _held: dict[tuple[int, bool], Prepared] = field(factory=dict, init=False)

    def add(self, connection: Connection, source: str, pushed_at: datetime | None) -> None:
        """Adds the row of a new source."""
        connection.execute(self._insert, {"source": source, "pushed_at": pushed_at})

    def of(self, name: Any) -> ScalarSelect[Any]:
        """The moment of the source called by the expression ``name``, read without a lock."""
        return select(self.table.c.pushed_at).where(self.table.c.source == name).scalar_subquery()

    def hold(
        self, connection: Connection, names: Iterable[str], *, shared: bool
    ) -> tuple[dict[str, datetime | None], datetime | None]:
        """Locks the rows of those sources that there are, in the order of their names.

        Gives their moments, and the time where the database's clock counts and there is a row to read it with.
        """
        chosen = sorted(names)
        # Statements are kept for some numbers of names only; the last one may well stand there several times.
        places = 1 << (len(chosen) - 1).bit_length()
        chosen += chosen[-1:] * (places - len(chosen))
        query = self._held.get((places, shared))
        if query is None:
            query = self._held[places, shared] = self.prepared(self._hold(places, shared=shared))
        held: dict[str, datetime | None] = {}
        now = None
        for source, pushed_at, *clock in query.rows(connection, {f"name_{at}": name for at, name in enumerate(chosen)}):
            name = source if isinstance(source, str) else source.decode()
            held[name] = None if pushed_at is None else from_micros(pushed_at)
            now = from_micros(int(clock[0])) if clock else None
        return held, now

    def wake(self, connection: Connection, names: Iterable[str], moment: datetime) -> None:
        """Has sources looked at then, unless it is to happen earlier."""
        columns = self.table.c
        later = or_(columns.pushed_at.is_(None), columns.pushed_at > moment)
        chosen = update(self.table).where(columns.source.in_(sorted(names)), later)
        connection.execute(chosen.values(pushed_at=moment))

    def replace(self, connection: Connection, source: str, moment: datetime | None) -> None:
        """Has a source looked at then, whatever was to happen."""
        connection.execute(self._replace, {"of": source, "pushed_at": moment})

    def _hold(self, places: int, *, shared: bool) -> Select[Any]:
        columns = self.table.c
        clock = () if self.clock is None else (self.clock.label("clock"),)
        names = [bindparam(f"name_{at}", type_=columns.source.type) for at in range(places)]
        named = columns.source.in_(names) if places > 1 else columns.source == names[0]
        rows = select(columns.source, columns.pushed_at, *clock).where(named).order_by(columns.source)
        return rows.with_for_update(read=True) if shared else rows.with_for_update(key_share=True)

    @cached_property
    def _insert(self) -> Insert:
        return insert(self.table)

    @cached_property
    def _replace(self) -> Update:
        moment = bindparam("pushed_at", type_=self.table.c.pushed_at.type)
        return update(self.table).where(self.table.c.source == bindparam("of")).values(pushed_at=moment)
