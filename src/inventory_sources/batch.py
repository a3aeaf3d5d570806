"""Rows on their way: text as read (`RawBatch`), levels as mapped (`StockBatch`), and rows that were refused.

The columns are polars frames, loaded on first use. A part of one's own need not know them: `RawBatch.from_records`,
`RawBatch.records` and `StockBatch.from_levels` take and give plain Python values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING

from attrs import Factory, define, field, frozen

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "DECIMAL_PLACES",
    "Place",
    "RawBatch",
    "Rejection",
    "RejectionKind",
    "RejectionLog",
    "StockBatch",
    "StockLevel",
    "batch_schema",
]

#: Quantities are exact decimals with at most this many places; more is refused, never rounded.
DECIMAL_PLACES = 9


@frozen
class Place:
    """Where a row stands in its input.

    :param origin: the input, safe to show.
    :param number: counted from 1 in ``unit``.
    :param unit: what the number counts: ``line`` of a text file, ``record`` of a document, ``row`` of a sheet.
    """

    origin: str
    number: int
    unit: str = "line"

    def __str__(self) -> str:
        return f"{self.origin}, {self.unit} {self.number}"


class RejectionKind(Enum):
    """Why a row is not applied.

    The first three, beside ``mapped``, make up the rows read. ``FAILED`` is an item of the plan that the sink did not
    take; no mapper tells of it.
    """

    UNMAPPED = "unmapped"
    INVALID = "invalid"
    DUPLICATE = "duplicate"
    FAILED = "failed"


@frozen
class Rejection:
    """A row that is not applied.

    :param reason: a stable code, such as ``quantity_blank``.
    :param message: what is wrong with this row, in words.
    :param guidance: what to do.
    :param cells: the row as read, by heading.
    :param sku: its identifier as far as it could be read.
    :param quantity: as read; of a failed item the level that it was to be set to.
    """

    kind: RejectionKind
    reason: str
    message: str
    guidance: str
    place: Place
    cells: Mapping[str, str | None] = Factory(dict)
    sku: str | None = None
    location: str = ""
    quantity: Decimal | None = None


@define
class RejectionLog:
    """Counts every rejection and keeps the first ``limit`` of each kind in full, so that memory stays bounded."""

    limit: int = 10_000
    counts: dict[RejectionKind, int] = Factory(lambda: dict.fromkeys(RejectionKind, 0))
    kept: list[Rejection] = Factory(list)

    def add(self, kind: RejectionKind, count: int, details: Iterable[Rejection]) -> None:
        """Counts ``count`` rows of a kind; ``details`` is read only as far as there is room."""
        room = self.limit - sum(1 for rejection in self.kept if rejection.kind is kind)
        self.counts[kind] += count
        if room > 0 and count:
            self.kept.extend(rejection for rejection, _ in zip(details, range(room), strict=False))

    def merge(self, other: RejectionLog) -> None:
        """Takes in another log's counts and, as far as there is room, its rows."""
        for kind, count in other.counts.items():
            self.add(kind, count, (rejection for rejection in other.kept if rejection.kind is kind))

    @property
    def total(self) -> int:
        """Rows rejected, of all kinds."""
        return sum(self.counts.values())


@frozen
class StockLevel:
    """One SKU's quantity at one location.

    :param quantity: exact, at most :data:`DECIMAL_PLACES` places.
    :param location: empty where stock has no locations.
    :param as_of: when it was observed (aware); ``None`` takes the time of the input.
    """

    sku: str
    quantity: Decimal
    location: str = ""
    as_of: datetime | None = None
    place: Place | None = None


@define
class RawBatch:
    """Some rows of one input as read: every cell is text or null.

    :param frame: the cells, all of type String, one column a heading; only the columns that were asked for.
    :param numbers: each row's line or record number (Int64), as long as the frame.
    :param damaged: rows that could not be read as rows at all, each with its place.
    :param cells: gives the complete raw cells of the row with this number; the frame's own columns unless given.
    """

    origin: str
    frame: pl.DataFrame
    numbers: pl.Series
    unit: str = "line"
    damaged: RejectionLog = field(factory=RejectionLog)
    cells: Callable[[int], Mapping[str, str | None]] | None = None

    @property
    def rows(self) -> int:
        """Rows read, damaged ones included."""
        return self.frame.height + self.damaged.total

    def place(self, number: int) -> Place:
        """The place of the row with this line or record number."""
        return Place(self.origin, number, self.unit)

    def records(self) -> Iterator[tuple[Place, dict[str, str | None]]]:
        """Each readable row as plain Python, with its place."""
        for number, cells in zip(self.numbers, self.frame.iter_rows(named=True), strict=True):
            yield self.place(number), cells

    @classmethod
    def from_records(cls, records: Iterable[Mapping[str, object]], origin: str, *, first: int = 1) -> RawBatch:
        """Plain records (text, int, Decimal or None values) as a batch; ``first`` numbers the first record.

        A float or another type is kept out: that record is counted as damaged and named, never rounded.
        """
        from inventory_sources._records import batch_from_records

        return batch_from_records(records, origin, first)


def batch_schema() -> dict[str, pl.DataType]:
    """Columns of a :class:`StockBatch` frame.

    ``part`` and ``number`` give the place (input, then line or record); ``location`` is empty where there is none;
    ``as_of`` is null where the row gave none.
    """
    import polars as pl

    return {
        "sku": pl.String(),
        "location": pl.String(),
        "quantity": pl.Decimal(38, DECIMAL_PLACES),
        "as_of": pl.Datetime("us", "UTC"),
        "part": pl.UInt32(),
        "number": pl.Int64(),
    }


@define
class StockBatch:
    """Mapped levels as columns, beside what was refused on the way.

    :param frame: columns of :func:`batch_schema`, one row a mapped row.
    :param rejections: unmapped, invalid and duplicate rows.
    :param mentioned: ``sku`` and ``location`` of refused rows whose product could be told: they are not absent.
    :param unidentified: refused rows whose product could not be told: while there are any, absence proves nothing.
    :param superseded: rows that a duplicate policy dropped in favour of another row of the same key; they count as
        duplicates without being errors.
    :param mapped_rows: rows that became a level or, where several were added up, part of one; the frame's height unless
        given.
    :param origins: each input's origin and the unit its rows are counted in, in the order of ``part``.
    """

    frame: pl.DataFrame
    rejections: RejectionLog = field(factory=RejectionLog)
    mentioned: pl.DataFrame | None = None
    unidentified: int = 0
    superseded: int = 0
    mapped_rows: int = field(default=Factory(lambda batch: batch.frame.height, takes_self=True))
    origins: tuple[tuple[str, str], ...] = ()

    @property
    def rows(self) -> int:
        """Rows read: those mapped, rejected and superseded."""
        return self.mapped_rows + self.rejections.total + self.superseded

    @classmethod
    def from_levels(cls, rows: Iterable[StockLevel | Rejection]) -> StockBatch:
        """A batch from plain levels and rejections, as a mapper of one's own yields them."""
        from inventory_sources._records import batch_from_levels

        return batch_from_levels(rows)
