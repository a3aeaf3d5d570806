"""What a feed does not mention, and whether that may count as zero."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl
from attrs import evolve, frozen

from inventory_sources.batch import RejectionKind, StockBatch
from inventory_sources.engine._row_fault import row_fault
from inventory_sources.feed import AbsencePolicy, Feed
from inventory_sources.ledger import positions
from inventory_sources.payload import Evidence

__all__ = ["Absence", "Strangers", "find_absent", "why_kept"]


@frozen
class Absence:
    """What of a source's scope its feed leaves out.

    :param rows: the ledger's rows of the pairs that are not mentioned.
    :param known: pairs of the scope that the last applied feed still had.
    :param missing: those of them that are not mentioned.
    :param kept_because: why they keep their levels, in words; ``None`` when they may be zeroed.
    :param doubtful: pairs left out of ``rows`` although they are not mentioned, because a name in the feed may be
        theirs.
    """

    rows: pl.DataFrame
    known: int
    missing: int
    kept_because: str | None = None
    doubtful: int = 0

    def without_doubtful(self) -> Absence:
        """The same without what was kept before and so never stood in one feed with the names unmapped now."""
        doubtful = self.rows["absent"] & (self.rows["quantity"] > 0)
        return evolve(self, rows=self.rows.filter(~doubtful), doubtful=_count(doubtful))


def find_absent(
    ledger: pl.DataFrame, at: pl.Series | None, mentioned: list[pl.DataFrame], locations: pl.Series | None
) -> Absence:
    """Compares a snapshot with the scope.

    :param at: where the feed's items stand in the ledger, as :func:`positions` gives it.
    :param mentioned: pairs that are not items and yet not absent; without a location they stand for all locations.
    :param locations: those the snapshot speaks of; ``None`` for all.
    """
    if at is None:
        return Absence(ledger.clear(), ledger.height - _count(ledger["absent"]), 0)
    left = ~_marked(ledger.height, at)
    for pairs in mentioned:
        left &= ~_touched(ledger, pairs)
    recent = ~ledger["absent"]
    if locations is not None:
        inside = ledger["location"].is_in(locations.implode())
        left, recent = left & inside, recent & inside
    rows = ledger.filter(left)
    return Absence(rows, _count(recent), rows.height - _count(rows["absent"]))


def _touched(ledger: pl.DataFrame, pairs: pl.DataFrame) -> pl.Series:
    pairs = pairs.unique()
    anywhere = pairs.filter(pl.col("location").fill_null("") == "")["sku"]
    touched = _marked(ledger.height, positions(pairs.drop_nulls(), ledger))
    return touched | ledger["sku"].is_in(anywhere.implode()) if anywhere.len() else touched


def _marked(height: int, at: pl.Series | None) -> pl.Series:
    """A mask with these rows set; all of them for ``None``."""
    mask = pl.Series([at is None], dtype=pl.Boolean).new_from_index(0, height)
    return mask if at is None else mask.scatter(at.drop_nulls(), values=True)


@frozen(kw_only=True)
class Strangers:
    """Identifiers in a feed that may be damaged names of what it leaves out.

    :param refused: those of rows that have no place in the stock table.
    :param unread: those of rows that could not be read, which the source never supplied.
    :param lately_unmapped: those that were unmapped when the absent ones were still there, so that they are others.
    """

    refused: pl.Series
    unread: pl.Series
    lately_unmapped: frozenset[str]

    def mapped_to_nothing(self, batch: StockBatch) -> bool:
        """Whether a new one answers to no product."""
        listed = [rejection.sku for rejection in batch.rejections.kept if rejection.kind is RejectionKind.UNMAPPED]
        return any(sku not in self.lately_unmapped for names in (listed, self.refused) for sku in names)

    def unreadable(self) -> frozenset[str]:
        """Those new ones whose rows could not be read."""
        return frozenset(self.unread) - self.lately_unmapped


def why_kept(
    batch: StockBatch, strangers: Strangers, feed: Feed, evidence: Evidence, columns: Mapping[str, str]
) -> str | None:
    """Why absence must not be acted on, in words; ``None`` when it may be.

    :param columns: names the columns of rows that could not be read.
    """
    if feed.absent is not AbsencePolicy.ZERO:
        return "the source declares to keep them"
    if not evidence.proves_end:
        return "nothing proves that the feed is complete"
    if batch.unidentified:
        told = frozenset() if batch.mentioned is None else frozenset(batch.mentioned["sku"])
        many = f"{batch.unidentified} rows could not be read far enough to tell which products they are of"
        return many + _first_unread(batch, columns, lambda sku: sku is None or sku not in told)
    listed = sum(rejection.kind is RejectionKind.UNMAPPED for rejection in batch.rejections.kept)
    if listed < batch.rejections.counts[RejectionKind.UNMAPPED]:
        return "more identifiers answer to no product than are listed, and one of them may be theirs"
    if strangers.mapped_to_nothing(batch):
        return "the feed has new identifiers that answer to no product, which may be theirs"
    if unread := strangers.unreadable():
        many = f"{len(unread)} identifiers that this source never supplied are of rows that could not be read"
        return f"{many}, and may be theirs{_first_unread(batch, columns, unread.__contains__)}"
    return None


def _first_unread(batch: StockBatch, columns: Mapping[str, str], wanted: Callable[[str | None], bool]) -> str:
    rows = (row for row in batch.rejections.kept if row.kind is not RejectionKind.UNMAPPED and wanted(row.sku))
    return next((f"; the first: {row_fault(row, columns)}" for row in rows), "")


def _count(mask: pl.Series) -> int:
    return int(mask.sum() or 0)
