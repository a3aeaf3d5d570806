"""Deliveries decoded each by itself and mapped together: most are of a row, and a batch costs more than its rows.

What is wrong with one of them is its own affair. Those with a row that cannot be read, or with two rows for the same
(SKU, location), are mapped by themselves, and so are all of them by a mapper that does not say that it goes row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from attrs import Factory, define, evolve, frozen

from inventory_sources.batch import Place, RawBatch, RejectionKind, StockBatch
from inventory_sources.errors import ClockSkewed, DecodeError, InputTooLarge, InventorySourcesError, MappingError
from inventory_sources.mappers import concat_batches, resolve_duplicates
from inventory_sources.payload import Evidence
from inventory_sources.protocols.mapper import DuplicatePolicy

if TYPE_CHECKING:
    import polars as pl

__all__ = ["UNREADABLE", "Delivered", "Mapped", "map_delivered"]

#: What sets one delivery aside; anything else is a matter of the whole run.
UNREADABLE = (DecodeError, MappingError, InputTooLarge, ClockSkewed)
_KEY = ("part", "sku", "location")


@frozen
class Delivered:
    """One delivery, decoded.

    :param raws: its rows; none for a delivery that tells of no item.
    """

    id: str
    origin: tuple[str, str]
    as_of: datetime | None
    evidence: Evidence
    warnings: Sequence[str]
    raws: Sequence[RawBatch]

    @property
    def rows(self) -> int:
        """Rows read."""
        return sum(raw.rows for raw in self.raws)

    @property
    def damaged(self) -> bool:
        """Whether one of its rows could not be read as a row."""
        return any(raw.damaged.total for raw in self.raws)


@define
class _Joined(RawBatch):
    """Rows of several deliveries as one batch, numbered through; each still knows its place."""

    places: Callable[[int], Place] | None = None

    def place(self, number: int) -> Place:
        """Where the row really stands."""
        return self.places(number) if self.places else super().place(number)


@frozen
class Mapped:
    """What became of deliveries.

    :param batches: those that could be read, duplicates within each settled; ``part`` counts those.
    :param aside: those that could not, by id.
    """

    batches: Sequence[StockBatch]
    readable: Sequence[Delivered]
    aside: Mapping[str, InventorySourcesError] = Factory(dict)


_Map = Callable[[RawBatch], StockBatch]


def map_delivered(
    delivered: Sequence[Delivered], map_rows: _Map, policy: DuplicatePolicy, *, first: int, together: bool
) -> Mapped:
    """Maps what was delivered.

    :param map_rows: maps one batch, as part 0.
    :param first: the part of the first that can be read.
    :param together: whether the mapper goes row by row, so that rows of several deliveries may be one batch.
    """
    aside: dict[str, InventorySourcesError] = {}
    alone: dict[str, StockBatch] = {}
    easy, batches = _mapped_together(delivered, map_rows) if together else (set[str](), [])
    for each in delivered:
        if each.id in easy:
            continue
        try:
            alone[each.id] = _mapped_alone(each, map_rows, policy)
        except UNREADABLE as error:
            aside[each.id] = error
    readable = [each for each in delivered if each.id not in aside]
    parts = {each.id: part for part, each in enumerate(readable, first)}
    numbered = [_numbered(batch, [parts[each] for each in ids]) for ids, batch in batches]
    numbered += [_numbered(batch, [parts[each]]) for each, batch in alone.items()]
    return Mapped(numbered, readable, aside)


def _mapped_alone(one: Delivered, map_rows: _Map, policy: DuplicatePolicy) -> StockBatch:
    whole = concat_batches([map_rows(raw) for raw in one.raws])
    whole.origins = (one.origin,)
    return resolve_duplicates(whole, policy)


_Batches = list[tuple[Sequence[str], StockBatch]]


def _mapped_together(delivered: Iterable[Delivered], map_rows: _Map) -> tuple[set[str], _Batches]:
    """Those that could be mapped together, and their rows; ``part`` is an index into the ids beside them."""
    easy, batches = set[str](), _Batches()
    alike: dict[tuple[str, ...], list[Delivered]] = {}
    for each in delivered:
        if len(each.raws) == 1 and not each.damaged:
            alike.setdefault(tuple(each.raws[0].frame.columns), []).append(each)
    for group in alike.values():
        found = _mapped_alike(group, map_rows) if len(group) > 1 else None
        if found is not None:
            batches.append(found)
            easy.update(found[0])
    return easy, batches


def _mapped_alike(group: Sequence[Delivered], map_rows: _Map) -> tuple[Sequence[str], StockBatch] | None:
    """Deliveries of the same columns, without those that must be mapped by themselves; ``None`` if all must."""
    try:
        batch = _mapped_joined(group, map_rows)
        if peculiar := _peculiar(group, batch):
            group = [each for at, each in enumerate(group) if at not in peculiar]
            batch = _mapped_joined(group, map_rows) if group else batch
    except UNREADABLE:  # one of them is the cause: each by itself tells which
        return None
    return [each.id for each in group], batch


def _mapped_joined(group: Sequence[Delivered], map_rows: _Map) -> StockBatch:
    """Their rows mapped as one batch, with the part and number of each set right."""
    import polars as pl

    raws = [each.raws[0] for each in group]
    heights = [raw.frame.height for raw in raws]
    numbers = pl.concat([raw.numbers for raw in raws])
    parts = pl.Series("part", range(len(raws)), pl.UInt32).repeat_by(pl.Series(heights)).explode()
    batch = map_rows(
        _Joined(
            raws[0].origin,
            pl.concat([raw.frame for raw in raws]),
            pl.Series(range(sum(heights)), dtype=pl.Int64),
            raws[0].unit,
            cells=lambda row: _cells(raws[parts[row]], numbers[row]),
            places=lambda row: raws[parts[row]].place(numbers[row]),
        )
    )
    rows = batch.frame["number"]
    frame = batch.frame.with_columns(parts.gather(rows).alias("part"), numbers.gather(rows).alias("number"))
    return evolve(batch, frame=frame)


def _cells(raw: RawBatch, number: int) -> Mapping[str, str | None]:
    if raw.cells is not None:
        return raw.cells(number)
    return raw.frame.row(int(raw.numbers.search_sorted(number)), named=True)


def _peculiar(group: Sequence[Delivered], batch: StockBatch) -> set[int]:
    """Parts with an unreadable row, which may concern the others of its delivery, or with a key twice."""
    found: set[int] = set()
    if batch.rejections.counts[RejectionKind.INVALID]:
        mapped = dict(batch.frame["part"].value_counts().iter_rows())
        found = {at for at, each in enumerate(group) if mapped.get(at, 0) < each.rows}
    keys = batch.frame.select(_KEY)
    if keys.height > len(group) or keys["part"].n_unique() < keys.height:
        found.update(keys["part"].filter(keys.is_duplicated()))
    return found


def _numbered(batch: StockBatch, parts: Sequence[int]) -> StockBatch:
    """The batch with these parts, in the order of those that it has, and no origins of its own."""
    import polars as pl

    column: pl.Series = pl.Series(parts, dtype=pl.UInt32).gather(batch.frame["part"])
    return evolve(batch, frame=batch.frame.with_columns(column.alias("part")), origins=())
