"""Stock levels in a dictionary, for tests and demonstrations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from threading import Lock
from typing import TypeAlias

from attrs import evolve, frozen

from inventory_sources.batch import StockLevel
from inventory_sources.errors import ConfigurationError, LeaseLost
from inventory_sources.plan import Outcome, PlanItem
from inventory_sources.protocols.sink import (
    ApplyContext,
    ApplyResult,
    Changes,
    CurrentLevel,
    ItemOutcome,
    SinkLevel,
    SinkTraits,
)

__all__ = ["MemorySink"]

_Key: TypeAlias = "tuple[str, str]"
_Given: TypeAlias = "Mapping[str, Decimal | int | str | None] | Iterable[StockLevel | CurrentLevel]"


@frozen
class _Row:
    quantity: Decimal | None
    as_of: datetime | None = None
    epoch: int = 0


class MemorySink:
    """Stock levels in this process; safe from many threads, fenced by the as_of and epoch of each row.

    :param levels: quantities by SKU, or levels with their locations.
    :param places: decimal places a quantity may have.
    :param locations: whether it tells locations apart; by default, whether a level given has one.
    :param inserts: whether a SKU that has no level yet gets one.
    :raises ConfigurationError: when a quantity is a float or has too many places, or two levels have one key.
    """

    def __init__(
        self, levels: _Given = (), *, places: int = 0, locations: bool | None = None, inserts: bool = False
    ) -> None:
        self._lock = Lock()
        self._rows: dict[_Key, _Row] = {}
        for level in _given(levels):
            self._put(level, places)
        named = any(location for _, location in self._rows)
        self._traits = SinkTraits(
            SinkLevel.FENCED, places, named if locations is None else locations, inserts, "as_of and epoch of each row"
        )

    def _put(self, level: StockLevel | CurrentLevel, places: int) -> None:
        key = (level.sku, level.location)
        if key in self._rows:
            raise ConfigurationError(f"two levels were given for SKU {level.sku!r} at location {level.location!r}")
        if level.quantity is not None and not _fits(level.quantity, places):
            raise ConfigurationError(f"{level.quantity} of SKU {level.sku!r} has more than {places} decimal places")
        self._rows[key] = _Row(level.quantity, level.as_of)

    def quantity(self, sku: str, location: str = "") -> Decimal | None:
        """The level of a SKU as it stands.

        :raises KeyError: when there is no such row.
        """
        with self._lock:
            return self._rows[sku, location].quantity

    @property
    def named_locations(self) -> frozenset[str] | None:
        """That there are none, unless it tells locations apart."""
        return None if self._traits.locations else frozenset({""})

    def describe(self) -> SinkTraits:
        """Fenced, with the places and locations given."""
        return self._traits

    def levels(self, skus: Sequence[str] | None) -> list[CurrentLevel]:
        """The levels of these SKUs, or all."""
        wanted = None if skus is None else frozenset(skus)
        with self._lock:
            rows = list(self._rows.items())
        return [
            CurrentLevel(sku, row.quantity, location, row.as_of)
            for (sku, location), row in rows
            if wanted is None or sku in wanted
        ]

    def apply(self, changes: Changes, context: ApplyContext) -> ApplyResult:
        """Writes the changes, all or none.

        :raises LeaseLost: when a row was written under a higher epoch.
        """
        context.renew()
        exceptions: list[ItemOutcome] = []
        with self._lock:
            rows = dict(self._rows)
            for item in changes:
                self._write(rows, item, context.epoch, exceptions)
            self._rows = rows
        context.progress(len(changes))
        return ApplyResult(tuple(exceptions))

    def _write(self, rows: dict[_Key, _Row], item: PlanItem, epoch: int, exceptions: list[ItemOutcome]) -> None:
        key = (item.sku, item.location)
        row = rows.get(key)
        if row is not None and row.epoch > epoch:
            raise LeaseLost(f"SKU {item.sku!r} was written under a newer lease")
        if found := self._exception(row, item):
            exceptions.append(ItemOutcome(item.sku, item.location, *found))
        if row is not None and found == (Outcome.UNCHANGED, "already_there"):
            rows[key] = evolve(row, as_of=item.as_of, epoch=epoch)
        elif not found:
            rows[key] = _Row(item.new, item.as_of, epoch)

    def _exception(self, row: _Row | None, item: PlanItem) -> tuple[Outcome, str] | None:
        if not _fits(item.new, self._traits.places):
            return Outcome.FAILED, "refused"
        if row is None:
            insertable = self._traits.inserts and item.old is None
            return None if insertable else (Outcome.FAILED, "row_gone")
        if row.as_of is not None and row.as_of > item.as_of:
            return Outcome.STALE, "newer_as_of"
        return (Outcome.UNCHANGED, "already_there") if row.quantity == item.new else None


def _given(levels: _Given) -> Iterable[StockLevel | CurrentLevel]:
    if not isinstance(levels, Mapping):
        return levels
    return [CurrentLevel(sku, _decimal(sku, quantity)) for sku, quantity in levels.items()]


def _decimal(sku: str, quantity: object) -> Decimal | None:
    if quantity is None:
        return None
    if isinstance(quantity, bool) or not isinstance(quantity, Decimal | int | str):
        raise ConfigurationError(f"the quantity of SKU {sku!r} is no Decimal, int or text")
    return Decimal(quantity)


def _fits(quantity: Decimal, places: int) -> bool:
    return quantity == round(quantity, places)
