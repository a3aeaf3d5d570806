"""Line items of an inventory message (EDI) as rows: quantities by kind and place, checked against each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Context, Decimal
from typing import Literal, TypeAlias

from attrs import define, field, frozen

from inventory_sources.formats._tally import Damage
from inventory_sources.formats._units import unit_column

__all__ = ["By", "Cells", "Event", "Item", "Quantity", "Row", "add", "keep_agreed", "read_number"]

Cells: TypeAlias = dict[str, str | None]
By: TypeAlias = Literal["location", "item"]

_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,20}(?:[.,][0-9]{0,20})?|[.,][0-9]{1,20})")
_EXACT = Context(prec=60)


@frozen
class Row:
    """One row, and the segment that it begins with."""

    number: int
    cells: Cells


Event: TypeAlias = Row | Damage


@define
class Quantity:
    """One quantity of an item.

    :param kind: the column that its total has, such as ``QTY.33``.
    :param column: its own column: the kind's, or ``SCH.quantity`` for a split.
    :param place: the cells that tell where it lies; empty for the item as a whole.
    :param cells: other cells of its row.
    """

    number: int
    kind: str
    column: str
    value: str | None
    unit: str | None = None
    place: Cells = field(factory=dict)
    cells: Cells = field(factory=dict)


def keep_agreed(cells: Cells, name: str, value: str | None) -> None:
    """Takes in a cell of a message's head; one that is said twice, differently, is unknown."""
    if value is not None:
        cells[name] = value if cells.get(name, value) == value else None


def read_number(text: str | None) -> Decimal | None:
    """A number with a decimal point or comma; ``None`` when it is no such number."""
    return Decimal(text.replace(",", ".")) if text is not None and _NUMBER.fullmatch(text) else None


def add(so_far: Decimal | None, value: str | None) -> Decimal | None:
    """The exact sum with one more number; ``None`` from the first on that is none."""
    number = read_number(value)
    return None if number is None or so_far is None else _EXACT.add(so_far, number)


@define
class Item:
    """One line item while its segments come in.

    :param number: of its first segment.
    """

    number: int
    cells: Cells = field(factory=dict)
    quantities: list[Quantity] = field(factory=list)
    _unplaced: int = 0
    _fault: tuple[str, str, str] | None = None

    def spoil(self, reason: str, message: str, guidance: str) -> None:
        """The item becomes one damaged row; the first reason stands."""
        self._fault = self._fault or (reason, message, guidance)

    def put(self, cells: Cells, name: str, value: str | None, number: int) -> None:
        """Takes in a cell of the item or of one of its quantities; the same one twice, differently, spoils the item."""
        if value is None:
            return
        if cells.setdefault(name, value) != value:
            self.spoil(
                "value_doubled",
                f"segment {number} gives {name} as {value!r}, but {cells[name]!r} came before",
                "Have each qualifier sent once an item.",
            )

    def split(self, part: Quantity, *, located: bool) -> None:
        """Takes in a split of a quantity; one that names no location is a schedule, unless others do."""
        if located:
            self.quantities.append(part)
        else:
            self._unplaced = self._unplaced or part.number

    def events(self, head: Cells, by: By) -> Iterator[Event]:
        """The item's rows, or why it is damaged.

        :param head: cells that hold for the whole message unless the item has its own.
        """
        self._check()
        rows = [] if self._fault else self._rows(head, by)
        if self._fault:
            cells = {name: value for name, value in self._shown().items() if value is not None}
            yield Damage(self.number, *self._fault, {**head, **cells})
        else:
            yield from rows

    def _shown(self) -> Cells:
        totals = {quantity.column: quantity.value for quantity in self.quantities if not quantity.place}
        return {**self.cells, **totals}

    def _check(self) -> None:
        self._check_splits()
        for kind in dict.fromkeys(quantity.kind for quantity in self.quantities):
            own = [quantity for quantity in self.quantities if quantity.kind == kind]
            whole = [quantity for quantity in own if not quantity.place]
            parts = [quantity for quantity in own if quantity.place]
            if len(whole) > 1:
                self.spoil(
                    "quantity_doubled",
                    f"segment {whole[1].number} gives {kind} a second time (first in segment {whole[0].number})",
                    "Have each kind of quantity sent once an item, or each with its location.",
                )
            elif whole and parts and whole[0].value is not None:
                self._compare(whole[0], parts)

    def _check_splits(self) -> None:
        splits = [quantity for quantity in self.quantities if quantity.column != quantity.kind]
        kinds = sorted({split.kind for split in splits})
        if len(kinds) > 1:
            self.spoil(
                "splits_mixed",
                f"the item's locations split {' and '.join(kinds)}, which one row cannot hold",
                "Declare whose splits to read, such as splits_of='33'.",
            )
        if splits and self._unplaced:
            self.spoil(
                "location_missing",
                f"segment {self._unplaced} names no location, while others of the item do",
                "Have each split sent with its location.",
            )

    def _compare(self, whole: Quantity, parts: list[Quantity]) -> None:
        found: Decimal | None = Decimal(0)
        stated = read_number(whole.value)
        for part in parts:
            found = add(found, part.value)
        units = {quantity.unit for quantity in (whole, *parts)} - {None}
        if found is None or stated is None or found != stated or len(units) > 1:
            shown = "no sum" if found is None else f"{found} {'/'.join(sorted(map(str, units)))}".rstrip()
            self.spoil(
                "splits_differ",
                f"segment {whole.number} gives {whole.kind} as {whole.value}, its {len(parts)} locations give {shown}",
                "Have the sender correct the item: its quantities by location must add up to its total.",
            )

    def _rows(self, head: Cells, by: By) -> list[Event]:
        located = [quantity for quantity in self.quantities if quantity.place]
        shared = {**head, **self.cells}
        if by == "item" or not located:
            return [Row(self.number, _row(shared, [quantity for quantity in self.quantities if not quantity.place]))]
        places: dict[tuple[tuple[str, str | None], ...], dict[str, Quantity]] = {}
        for quantity in located:
            here = places.setdefault(tuple(quantity.place.items()), {})
            if here.setdefault(quantity.column, quantity) is not quantity:
                self.spoil(
                    "quantity_doubled",
                    f"segment {quantity.number} gives {quantity.column} a second time for the same location",
                    "Have each kind of quantity sent once a location.",
                )
        groups = [list(here.values()) for here in places.values()]
        return [Row(group[0].number, _row({**shared, **group[0].place}, group)) for group in groups]


def _row(shared: Cells, quantities: list[Quantity]) -> Cells:
    own: Cells = {}
    for quantity in quantities:
        own[quantity.column] = quantity.value
        own[unit_column(quantity.column)] = quantity.unit
        for name, value in quantity.cells.items():
            keep_agreed(own, name, value)
    return {**shared, **own}
