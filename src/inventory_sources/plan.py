"""What a sync would do, before it does it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from inventory_sources.batch import DECIMAL_PLACES, Place, RejectionLog
from inventory_sources.payload import Evidence
from inventory_sources.run import RunCounts

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Outcome", "PlanCause", "PlanFigures", "PlanItem", "SyncPlan", "Verdict", "VerdictAction"]


class Outcome(Enum):
    """What becomes of a planned item."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    STALE = "stale"
    HELD = "held"
    FAILED = "failed"


class PlanCause(Enum):
    """Why an item is in the plan."""

    FEED = "feed"
    ABSENT = "absent"


class VerdictAction(Enum):
    """What a guard asks for."""

    WARN = "warn"
    HOLD = "hold"


@frozen
class Verdict:
    """A guard's objection, in words a merchant understands."""

    guard: str
    action: VerdictAction
    message: str


@frozen
class PlanItem:
    """One (SKU, location) of a plan.

    :param old: the level in the stock table when the plan was made; ``None`` where there is no row yet.
    :param new: the level the source reports, as the sink can keep it.
    :param as_of: when that level was observed.
    """

    sku: str
    location: str
    old: Decimal | None
    new: Decimal
    as_of: datetime
    outcome: Outcome
    cause: PlanCause
    place: Place | None = None


@frozen
class PlanFigures:
    """The numbers guards judge by.

    :param rows: rows read from the feed; of what was pushed, those that no newer one overtook.
    :param matched: rows whose product is known.
    :param baseline_rows: rows of the last completed run; ``None`` before the first.
    :param known: (SKU, location) pairs this source supplied before, at the locations of a snapshot, but for those that
        the last applied snapshot had left out already; 0 before the first run.
    :param items: items planned.
    :param changed: items whose level would change.
    :param nonzero: items whose level is above zero now; for a partial feed, at least those of all that was supplied.
    :param zeroed: items that would go from above zero to zero or below.
    :param missing: known pairs that a snapshot does not mention; 0 for a partial feed.
    :param snapshot: whether the feed claims to carry everything.
    :param baseline_matched: rows of the last completed run whose product was known.
    :param pushed: whether the rows were pushed, as the sender's events have it.
    """

    rows: int
    matched: int
    baseline_rows: int | None
    known: int
    items: int
    changed: int
    nonzero: int
    zeroed: int
    missing: int
    snapshot: bool
    baseline_matched: int | None = None
    pushed: bool = False


@define
class SyncPlan:
    """Every item with its old and new level, why, and what the guards said.

    :param frame: columns ``sku``, ``location``, ``old``, ``new``, ``as_of``, ``outcome``, ``cause``, ``part``,
        ``number``; one row an item, no row for what is absent and kept. Outcome and cause are enumerations by value.
    :param rejections: rows that are not in the plan, each with its reason.
    :param observed: whether ``as_of`` comes from the data or its carrier, rather than from the moment before the fetch.
    """

    source: str
    config_version: int
    frame: pl.DataFrame
    counts: RunCounts
    figures: PlanFigures
    evidence: Evidence
    rejections: RejectionLog = field(factory=RejectionLog)
    verdicts: tuple[Verdict, ...] = ()
    warnings: tuple[str, ...] = ()
    origins: tuple[tuple[str, str], ...] = ()
    as_of: datetime | None = None
    observed: bool = False
    _digest: str | None = field(default=None, init=False, repr=False, eq=False)

    @property
    def held(self) -> bool:
        """Whether a guard asks for a person's decision."""
        return any(verdict.action is VerdictAction.HOLD for verdict in self.verdicts)

    @property
    def digest(self) -> str:
        """SHA-256 over source, configuration version and each item's SKU, location, target and observed time.

        Old levels are left out: a sale between two plans does not make another plan of it.
        """
        if self._digest is None:
            self._digest = _digest(self)
        return self._digest

    def items(self, outcome: Outcome | None = None) -> Iterator[PlanItem]:
        """The items one by one, all or those of one outcome."""
        import polars as pl

        frame = self.frame if outcome is None else self.frame.filter(pl.col("outcome") == outcome.value)
        for row in frame.iter_rows(named=True):
            yield PlanItem(
                row["sku"],
                row["location"],
                None if row["old"] is None else _plain(row["old"]),
                _plain(row["new"]),
                row["as_of"],
                Outcome(row["outcome"]),
                PlanCause(row["cause"]),
                self._place(row["part"], row["number"]),
            )

    def _place(self, part: int | None, number: int | None) -> Place | None:
        if part is None or number is None or part >= len(self.origins):
            return None
        origin, unit = self.origins[part]
        return Place(origin, number, unit)

    def __str__(self) -> str:
        counts = self.counts
        head = (
            f"plan for {self.source}: items {counts.items} (changed {counts.changed}, "
            f"unchanged {counts.unchanged}, stale {counts.stale}, held {counts.held}); "
            f"rows {counts.rows} (unmapped {counts.unmapped}, invalid {counts.invalid}, "
            f"duplicate {counts.duplicate})"
        )
        lines = [f"  {verdict.action.value}: {verdict.message}" for verdict in self.verdicts]
        return "\n".join([head, *lines])


def _plain(quantity: Decimal) -> Decimal:
    """Without the zeros that only the column's width put there: 2, not 2.000000000, and 100, not 1E+2."""
    short = quantity.normalize()
    return short.quantize(Decimal(1)) if short.as_tuple().exponent > 0 else short  # type: ignore[operator]


def _digest(plan: SyncPlan) -> str:
    import polars as pl

    times = pl.col("as_of").dt.epoch("us") if plan.observed else pl.lit(0)
    target = pl.col("new").cast(pl.Decimal(38, DECIMAL_PLACES)).cast(pl.String)
    # Lengths first, so that no text in a SKU or location can pass for two fields.
    line = pl.concat_str(
        pl.col("sku").str.len_bytes(),
        pl.col("location").str.len_bytes(),
        "sku",
        "location",
        target,
        times,
        separator=" ",
    )
    lines = plan.frame.sort("sku", "location").select(line=line)
    digest = hashlib.sha256(f"{len(plan.source.encode())} {plan.source} {plan.config_version}".encode())
    for piece in lines.iter_slices(100_000):
        digest.update(f"\n{piece['line'].str.join(chr(10)).item()}".encode())
    return digest.hexdigest()
