"""Writing a plan: only its changes, planned again where the sink has moved on, and counted as they ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import Factory, evolve, frozen

from inventory_sources.engine._fetching import foreign_errors
from inventory_sources.engine._intake import RowCells
from inventory_sources.engine._lease import Lease
from inventory_sources.engine._proposal import levels_frame
from inventory_sources.engine._refusals import with_refusals
from inventory_sources.errors import SinkError
from inventory_sources.plan import Outcome, SyncPlan
from inventory_sources.protocols.connector import Progress
from inventory_sources.protocols.sink import MOVED_ON, NOT_REACHED, ApplyContext, ApplyResult, Changes, ItemOutcome
from inventory_sources.run import RunCounts, SyncRun
from inventory_sources.source import Source

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Applied", "apply_plan"]

_ROUNDS = 3
_KEY = ["sku", "location"]


@frozen
class Applied:
    """A plan as it was applied.

    :param plan: with the outcomes and counts as they ended, and a rejection for each item that the sink refused.
    :param refused: how many those are, by the code of the reason.
    :param stopped: why the sink stopped before the end.
    """

    plan: SyncPlan
    refused: Mapping[str, int] = Factory(dict)
    stopped: SinkError | None = None


@frozen
class _Target:
    source: Source
    context: ApplyContext


def apply_plan(
    source: Source,
    plan: SyncPlan,
    run: SyncRun,
    lease: Lease,
    *,
    progress: Progress,
    connection: object | None,
    cells: RowCells | None = None,
) -> Applied:
    """Writes the plan's changes.

    Items that the sink refused because its level has moved on since the plan are compared again and tried again, a
    bounded number of times.

    :param cells: the rows as they were read, where they are at hand.
    :raises SinkError: when nothing, or nobody knows what, was written.
    :raises LeaseLost: when another worker owns the source.
    """
    context = ApplyContext(
        source=source.name,
        run_id=run.id,
        epoch=run.epoch,
        renew=lease.check if connection is None else lease.check_asked,
        progress=lambda done: progress("apply", "items", done),
        connection=connection,
    )
    result = _in_rounds(_Target(source, context), plan)
    if result.stopped and connection is not None:
        raise result.stopped  # takes back what was written, with the transaction
    applied, refused = with_refusals(_with_outcomes(plan, result.exceptions), result.exceptions, cells)
    return Applied(applied, refused, result.stopped)


def _in_rounds(target: _Target, plan: SyncPlan) -> ApplyResult:
    result = _write(target, plan) if plan.counts.changed else ApplyResult()
    for _ in range(_ROUNDS - 1):
        moved = [item for item in result.exceptions if item.reason == MOVED_ON]
        if not moved or result.stopped:
            break
        settled = [item for item in result.exceptions if item.reason != MOVED_ON]
        again = _another_round(target, plan, moved)
        result = evolve(again, exceptions=(*settled, *again.exceptions))
    return result


def _another_round(target: _Target, plan: SyncPlan, moved: Sequence[ItemOutcome]) -> ApplyResult:
    try:
        again = _compare_again(target.source, plan, moved)
        result = _write(target, again)
    except SinkError as error:  # what the rounds before have written is written
        return ApplyResult(tuple(evolve(item, reason=NOT_REACHED) for item in moved), error)
    return evolve(result, exceptions=(*_without_write(again), *result.exceptions))


def _write(target: _Target, plan: SyncPlan) -> ApplyResult:
    changes = Changes(plan)
    if not len(changes):
        return ApplyResult()
    with foreign_errors(SinkError, "sink", target.source.sink):
        result = target.source.sink.apply(changes, target.context)
        return evolve(result, exceptions=tuple(result.exceptions))


def _compare_again(source: Source, plan: SyncPlan, moved: Sequence[ItemOutcome]) -> SyncPlan:
    import polars as pl

    keys = _key_frame(moved)
    with foreign_errors(SinkError, "sink", source.sink):
        levels = levels_frame(source.sink.levels(keys["sku"].unique().to_list()))
    frame = (
        plan.frame.join(keys, on=_KEY, how="semi")
        .drop("old")
        .join(levels.select(*_KEY, old="quantity", level_as_of="as_of"), on=_KEY, how="left")
        .with_columns(
            pl.when(pl.col("level_as_of").cast(plan.frame.schema["as_of"]) > pl.col("as_of"))
            .then(pl.lit(Outcome.STALE.value))
            .when(pl.col("old").eq_missing(pl.col("new")))
            .then(pl.lit(Outcome.UNCHANGED.value))
            .otherwise(pl.lit(Outcome.CHANGED.value))
            .cast(plan.frame.schema["outcome"])
            .alias("outcome")
        )
        .select(plan.frame.columns)
    )
    return evolve(plan, frame=frame)


def _without_write(plan: SyncPlan) -> list[ItemOutcome]:
    reasons = {Outcome.UNCHANGED: "already_there", Outcome.STALE: "newer_as_of"}
    return [
        ItemOutcome(item.sku, item.location, outcome, reason)
        for outcome, reason in reasons.items()
        for item in plan.items(outcome)
    ]


def _key_frame(items: Sequence[ItemOutcome]) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame(
        [(item.sku, item.location) for item in items], schema=dict.fromkeys(_KEY, pl.String), orient="row"
    )


def _with_outcomes(plan: SyncPlan, exceptions: Sequence[ItemOutcome]) -> SyncPlan:
    import polars as pl

    if not exceptions:
        return plan
    ended = _key_frame(exceptions).with_columns(
        pl.Series("ended", [item.outcome.value for item in exceptions], dtype=plan.frame.schema["outcome"])
    )
    frame = (
        plan.frame.join(ended, on=_KEY, how="left", maintain_order="left")
        .with_columns(pl.coalesce("ended", "outcome").alias("outcome"))
        .drop("ended")
    )
    return evolve(plan, frame=frame, counts=_recount(plan.counts, frame))


def _recount(counts: RunCounts, frame: pl.DataFrame) -> RunCounts:
    import polars as pl

    ended = dict(frame["outcome"].cast(pl.String).value_counts().iter_rows())
    changed = frame.filter(pl.col("outcome") == Outcome.CHANGED.value)
    return evolve(
        counts,
        **{outcome.value: ended.get(outcome.value, 0) for outcome in Outcome},
        products_updated=changed["sku"].n_unique(),
    )
