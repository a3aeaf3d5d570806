"""From stock batch to plan: what the sink holds now, what was observed before, what the guards say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from inventory_sources.batch import RejectionKind, StockBatch
from inventory_sources.engine._fetching import foreign_errors
from inventory_sources.engine._intake import Intake
from inventory_sources.engine._locations import refuse_locations
from inventory_sources.engine._planning import Approval, PlanSettings, make_plan
from inventory_sources.engine._row_fault import declared_columns
from inventory_sources.engine._watching import unwatched
from inventory_sources.errors import MappingError, SinkError
from inventory_sources.feed import AbsencePolicy, FeedScope
from inventory_sources.ledger import Channel, Ledger, LedgerChange
from inventory_sources.plan import Outcome, SyncPlan
from inventory_sources.protocols.catalog import Catalog
from inventory_sources.protocols.sink import CurrentLevel, SinkLevel, SinkTraits
from inventory_sources.protocols.store import StateStore, UnmappedSku
from inventory_sources.source import Source
from inventory_sources.status import SourceState

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Background", "Proposal", "levels_frame", "propose", "read_levels"]

#: Feeds of more SKUs than this read the whole stock table, which costs less than asking for each.
_ASK_FOR_ALL = 20_000


@frozen
class Background:
    """What the state store knows of a source before a plan is made.

    :param unmapped: identifiers that were unmapped in any run before.
    :param lately_unmapped: those of them that the last applied feed had.
    """

    state: SourceState
    ledger: Ledger
    unmapped: frozenset[str]
    lately_unmapped: frozenset[str]

    @classmethod
    def read(cls, store: StateStore, name: str, state: SourceState) -> Background:
        """Reads it."""
        unmapped = {entry.sku: entry.last_seen for entry in _unmapped(store, name)}
        applied = state.applied.at if state.applied else None
        lately = frozenset(sku for sku, seen in unmapped.items() if seen == applied)
        return cls(state, Ledger.load(store.ledger(name)), frozenset(unmapped), lately)

    def resolved_by(self, plan: SyncPlan, by_hand: Iterable[str]) -> list[str]:
        """Identifiers that were unmapped before, and are planned or mapped by hand now."""
        if not self.unmapped:
            return []
        still = {row.sku for row in plan.rejections.kept if row.kind is RejectionKind.UNMAPPED}
        return sorted((self.unmapped & {*plan.frame["sku"].to_list(), *by_hand}) - still)


def _unmapped(store: StateStore, name: str) -> Iterable[UnmappedSku]:
    after = ""
    while page := store.unmapped(name, after=after, limit=10_000):
        yield from page
        after = page[-1].sku


@frozen
class Proposal:
    """A plan, what the ledger is to record of it, and the sink it was made for."""

    plan: SyncPlan
    observed: pl.DataFrame
    traits: SinkTraits

    def ledger_change(self, ledger: Ledger, applied: SyncPlan) -> LedgerChange | None:
        """What the ledger takes over, once the plan is applied; what failed is left out, to be tried again."""
        import polars as pl

        observed = self.observed
        if applied.counts.failed:
            failed = applied.frame.filter(pl.col("outcome") == Outcome.FAILED.value)
            observed = observed.join(failed, on=["sku", "location"], how="anti", maintain_order="left")
        return ledger.record(observed)[1]


def propose(
    source: Source,
    intake: Intake,
    background: Background,
    approved: Approval | None = None,
    guarding: Callable[[], AbstractContextManager[Callable[..., None]]] = unwatched,
) -> Proposal:
    """The plan for an intake, judged by the source's guards; nothing is written.

    :param guarding: what the guards are asked in.

    :raises SinkError: when the sink is not as declared or cannot be read.
    """
    if intake.partial:
        source = evolve(source, feed=source.feed.as_partial())
    with foreign_errors(SinkError, "sink", source.sink):
        traits = source.sink.describe()
    refuse_locations(source, intake.batch, traits)
    settings = PlanSettings(
        source=source.name,
        config_version=background.state.config_version,
        feed=source.feed,
        evidence=intake.evidence,
        fallback_as_of=intake.started_at,
        input_as_of=intake.input_as_of,
        places=traits.places,
        inserts=traits.inserts,
        channel=Channel.WEBHOOK if intake.deliveries else Channel.POLL,
        yielding=intake.yielding,
        known=_known(source.catalog),
        baseline_rows=background.state.baseline_rows,
        baseline_matched=background.state.baseline_matched,
        known_unmapped=background.lately_unmapped,
        guards=source.guards,
        approved=approved,
        cells=None if intake.cells is None else intake.cells.of,
        columns=declared_columns(source.mapper),
        guarding=guarding,
    )
    levels = read_levels(source, intake.batch, background.ledger)
    planned = make_plan(intake.batch, levels, background.ledger, settings)
    if traits.level is SinkLevel.ABSOLUTE_SET:
        planned.plan.warnings += ("degraded: the sink keeps whatever is written last, so a late writer may win",)
    return Proposal(planned.plan, planned.observed, traits)


def _known(catalog: Catalog | None) -> Callable[[Sequence[str]], Collection[str]] | None:
    if catalog is None:
        return None

    def known(skus: Sequence[str]) -> Collection[str]:
        with foreign_errors(MappingError, "catalog", catalog):
            return catalog.known(skus)

    return known


def read_levels(source: Source, batch: StockBatch, ledger: Ledger) -> pl.DataFrame:
    """The sink's levels of the SKUs that the batch or, where absence counts, the ledger names."""
    absence = source.feed.scope is FeedScope.SNAPSHOT and source.feed.absent is AbsencePolicy.ZERO
    count = max(batch.frame.height, ledger.frame.height if absence else 0)
    skus = None
    if count <= _ASK_FOR_ALL:
        known = ledger.frame["sku"].to_list() if absence else []
        skus = list(dict.fromkeys([*batch.frame["sku"].to_list(), *known]))
    with foreign_errors(SinkError, "sink", source.sink):
        return levels_frame(source.sink.levels(skus))


def levels_frame(levels: pl.DataFrame | Iterable[CurrentLevel]) -> pl.DataFrame:
    """The columns of what a sink gave, whichever way it gave it."""
    import polars as pl

    from inventory_sources.batch import batch_schema

    if isinstance(levels, pl.DataFrame):
        return levels
    schema = {name: kind for name, kind in batch_schema().items() if name in ("sku", "location", "quantity", "as_of")}
    rows = [(level.sku, level.location, level.quantity, level.as_of) for level in levels]
    return pl.DataFrame(rows, schema=schema, orient="row")
