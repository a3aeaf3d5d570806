"""StockSink: the platform's stock levels, read and written.

A sink declares honestly what it can (:class:`SinkTraits`); what is promised of a sync follows from that. ``levels``
reads, ``apply`` writes one change set, all of it or nothing where the sink has transactions. A sink of one's own may
return and take plain values: an iterable of ``CurrentLevel`` from ``levels``, and ``changes`` iterates as
:class:`~inventory_sources.plan.PlanItem`.

``named_locations`` is optional: the locations that its levels can be at, ``""`` for none, or ``None`` where that is not
declared. With it, a source none of whose levels can be at one of them is refused before anything is fetched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from attrs import define, field, frozen

from inventory_sources.errors import SinkError
from inventory_sources.plan import Outcome, PlanItem, SyncPlan

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "MOVED_ON",
    "NOT_REACHED",
    "ApplyContext",
    "ApplyResult",
    "Changes",
    "CurrentLevel",
    "ItemOutcome",
    "SinkLevel",
    "SinkTraits",
    "StockSink",
]

#: The reason by which a sink says that a level is not the expected one any more; the engine compares it again.
MOVED_ON = "moved_on"
#: The reason of items that a sink had not come to when it stopped, or of which it does not know what became.
NOT_REACHED = "not_reached"


class SinkLevel(Enum):
    """What a sink can promise, strongest first.

    ``SHARED_TRANSACTION`` joins the state store's transaction: exactly-once effect. ``FENCED`` keeps the highest epoch
    and an as_of a row and refuses lower ones: a zombie's write is refused. ``COMPARE_AND_SET`` refuses when the current
    value is not the expected one: no lost update. ``ABSOLUTE_SET`` accepts the last writer: converges at the next run.
    """

    SHARED_TRANSACTION = "shared_transaction"
    FENCED = "fenced"
    COMPARE_AND_SET = "compare_and_set"
    ABSOLUTE_SET = "absolute_set"


@frozen
class SinkTraits:
    """What a sink is.

    :param places: decimal places its quantities keep; 0 for whole units, to which levels are floored with a warning.
    :param locations: whether it tells locations apart; without, a feed with locations is refused.
    :param inserts: whether a product that has no row yet gets one.
    :param guarded_by: columns or means the level rests on, for a person to read.
    """

    level: SinkLevel
    places: int
    locations: bool
    inserts: bool = False
    guarded_by: str = ""


@frozen
class CurrentLevel:
    """A level as it stands in the sink; ``quantity`` is ``None`` where the sink holds none (null)."""

    sku: str
    quantity: Decimal | None
    location: str = ""
    as_of: datetime | None = None


@define
class Changes:
    """The items of a plan that the sink shall write.

    Iterates as :class:`~inventory_sources.plan.PlanItem`; ``frame`` has the plan's columns ``sku``, ``location``,
    ``old``, ``new`` and ``as_of`` of the changing items only.
    """

    plan: SyncPlan
    _frame: pl.DataFrame | None = field(default=None, init=False)

    @property
    def frame(self) -> pl.DataFrame:
        """The changing items as columns."""
        import polars as pl

        if self._frame is None:
            self._frame = self.plan.frame.filter(pl.col("outcome") == Outcome.CHANGED.value)
        return self._frame

    def __iter__(self) -> Iterator[PlanItem]:
        return self.plan.items(Outcome.CHANGED)

    def __len__(self) -> int:
        return self.frame.height


@frozen
class ApplyContext:
    """What a sink is given beside the changes.

    :param source: name of the source that writes.
    :param run_id: constant over repetitions of the same apply; usable as an idempotency key.
    :param epoch: the fencing token of this run; higher than that of any earlier run of the source.
    :param renew: to be called before each batch of writes; raises
        :class:`~inventory_sources.errors.LeaseLost` when another worker owns the source.
    :param progress: called with the number of items written so far.
    :param connection: the state store's open SQLAlchemy connection when the sink's level is ``SHARED_TRANSACTION``.
    """

    source: str
    run_id: str
    epoch: int
    renew: Callable[[], None] = field(default=lambda: None)
    progress: Callable[[int], None] = field(default=lambda done: None)
    connection: object | None = None


@frozen
class ItemOutcome:
    """How one item ended otherwise than changed.

    :param outcome: ``UNCHANGED`` (it already stood at the new level), ``STALE`` (a newer observation is there) or
        ``FAILED`` (no such row any more, moved on in between, refused).
    :param reason: a stable code of letters, digits and ``_``, such as ``row_gone`` or ``moved_on``: an item that failed
        is listed with it in the run's rejections.
    :param guidance: what a person can do about it, in words that are safe to show.
    """

    sku: str
    location: str
    outcome: Outcome
    reason: str
    guidance: str = ""


@frozen
class ApplyResult:
    """What was written: every item of the changes was, but for the exceptions.

    :param stopped: why a sink without a transaction around all of its batches ended early. The items that it had not
        come to, or of which it does not know, are exceptions with the reason :data:`NOT_REACHED`. The run fails with
        this error; what was written counts as such.
    """

    exceptions: tuple[ItemOutcome, ...] = ()
    stopped: SinkError | None = None


class StockSink(Protocol):
    """The platform's stock levels; see the module for the contract."""

    def describe(self) -> SinkTraits:
        """Connects, verifies that what was declared is there, and says what the sink can.

        :raises SinkSchemaInvalid: when a table or column is missing or of an unusable type.
        :raises SinkUnavailable: when it cannot be reached.
        """

    def levels(self, skus: Sequence[str] | None) -> pl.DataFrame | Iterable[CurrentLevel]:
        """The levels of these SKUs, or all; a frame has ``sku``, ``location`` ("" for none), ``quantity``, ``as_of``.

        :raises SinkUnavailable: when it cannot be read.
        """

    def apply(self, changes: Changes, context: ApplyContext) -> ApplyResult:
        """Writes the changes and says which of them ended otherwise.

        :raises SinkRateLimited: when nothing was written, because the platform asks to come back later.
        :raises SinkUnavailable: when nothing, or an unknown part for a sink without transactions, was written.
        :raises LeaseLost: when the epoch is not the highest the sink has seen.
        """
