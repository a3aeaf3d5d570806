"""Mapper: turns rows of text into stock levels of the platform's products.

A mapper names the columns it needs, casts their text (never guessing a number), and translates the external
identifier. Each row ends in exactly one of three places: a level, an *unmapped* rejection (the identifier is readable,
but no product answers to it) or an *invalid* one (a cell cannot be read), each with its reason and place. Duplicates
are settled afterwards over the whole feed, by the policy the mapper names.

A mapper of one's own may yield plain :class:`~inventory_sources.batch.StockLevel` and
:class:`~inventory_sources.batch.Rejection` objects, one for each of ``raw.records()``.

``may_be_at(location)`` is optional: whether a level can be at this location, ``""`` for none, as far as is declared.
``row_by_row = True`` is optional too: each row is mapped by itself, whatever batch it comes in, so that rows of several
pushed deliveries may be given as one batch. Its ``raw.place(number)`` still tells each row's own place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Protocol

from attrs import Factory, frozen

from inventory_sources.batch import RawBatch, Rejection, StockBatch, StockLevel

__all__ = ["DuplicatePolicy", "MapContext", "Mapper"]


class DuplicatePolicy(Enum):
    """What several rows of one feed with the same (SKU, location) mean."""

    ERROR = "error"
    LAST = "last"
    SUM = "sum"
    MIN = "min"


@frozen
class MapContext:
    """What a mapper is given.

    :param now: the time of the sync, for refusing observations from the future.
    :param part: index of the input within the sync; goes into the batch's ``part`` column.
    :param keep_rejections: how many rejections of each kind to keep in full.
    :param overrides: external identifiers that a person mapped by hand, to SKUs; they come before any identity rule.
    """

    now: datetime
    part: int = 0
    keep_rejections: int = 10_000
    overrides: Mapping[str, str] = Factory(dict)


class Mapper(Protocol):
    """Turns rows of text into stock levels; see the module for the contract."""

    @property
    def duplicates(self) -> DuplicatePolicy:
        """What several rows for one (SKU, location) mean."""

    def select(self, headings: Sequence[str]) -> Sequence[str]:
        """The headings to read, out of those found.

        :raises HeadingInvalid: when one that is needed is missing or more than one could be meant.
        """

    def map(self, raw: RawBatch, context: MapContext) -> StockBatch | Iterable[StockLevel | Rejection]:
        """One batch of rows as levels and rejections; called for each batch in order."""
