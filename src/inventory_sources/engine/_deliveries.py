"""What becomes of the deliveries of a run: settled, tried again, or parked for a person."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from attrs import evolve, frozen

from inventory_sources.engine._intake import Intake
from inventory_sources.errors import InventorySourcesError, Phase
from inventory_sources.plan import Outcome, SyncPlan
from inventory_sources.protocols.inbox import InboxEntry, InboxSettlement, InboxStatus
from inventory_sources.protocols.store import StateStore
from inventory_sources.retry import RetryPolicy
from inventory_sources.run import Failure
from inventory_sources.status import Aside

__all__ = ["OneSourceInbox", "Settler", "Settling", "refused_deliveries"]

_NAMED = 3
_REFUSED = "the sink refused some of its items"


@frozen
class OneSourceInbox:
    """The inbox of one source in a store."""

    store: StateStore
    source: str

    def waiting(self, limit: int = 500) -> Sequence[InboxEntry]:
        """Deliveries that wait and whose time has come, in the order received."""
        return self.store.waiting(self.source, limit)

    def sequences(self, sequence_of: str, after: int, limit: int = 1) -> Sequence[tuple[int, datetime]]:
        """Sequence numbers above ``after`` with the times of their receipt, lowest first."""
        return self.store.sequences(self.source, sequence_of, after, limit)


@frozen
class Settling:
    """What is written of deliveries when a run ends.

    :param aside: what is left that could not be read, in this run or before.
    :param warnings: what a person should know of it.
    """

    settled: tuple[InboxSettlement, ...] = ()
    aside: Aside | None = None
    warnings: tuple[str, ...] = ()


@frozen
class Settler:
    """Says what becomes of the deliveries of a run.

    :param before: those that were set aside or parked when the run began.
    :param retry: the ladder of a delivery, as of a sync that fails.
    """

    run_id: str
    before: Sequence[InboxEntry]
    retry: RetryPolicy
    now: datetime

    def settle(
        self,
        done: Sequence[str],
        unreadable: Mapping[str, InventorySourcesError] | None = None,
        refused: Collection[str] = frozenset(),
    ) -> Settling:
        """What becomes of the deliveries that a run read, or tried to.

        :param done: those that it read, or that its input stands for.
        :param refused: those among them of which the sink did not take everything. They are read again as often as the
            ladder says, and are then done: one item that is never taken must not keep a delivery for ever.
        """
        unreadable = unreadable or {}
        attempts = {entry.id: entry.attempts for entry in self.before}
        failed = [self._again(each, error.message, attempts) for each, error in unreadable.items()]
        again = [self._again(each, _REFUSED, attempts) for each in done if each in refused]
        applied = [self._applied(each) for each in done if each not in refused]
        spent = [self._applied(one.id) for one in again if one.status is InboxStatus.PARKED]
        again = [one for one in again if one.status is InboxStatus.WAITING]
        read = {*done, *unreadable}
        before = [entry for entry in self.before if entry.id not in read and entry.reason != _REFUSED]
        aside = _aside([*before, *failed], unreadable, self.now, nothing_read=not done)
        return Settling((*applied, *spent, *again, *failed), aside, (*_warnings(failed), *_given_up(spent)))

    def _again(self, delivery: str, reason: str, attempts: Mapping[str, int]) -> InboxSettlement:
        tried = attempts.get(delivery, 0) + 1
        delay = self.retry.delay(tried)
        waits = InboxSettlement(delivery, InboxStatus.PARKED, tried, None, self.run_id, reason)
        return waits if delay is None else evolve(waits, status=InboxStatus.WAITING, next_attempt_at=self.now + delay)

    def _applied(self, delivery: str) -> InboxSettlement:
        return InboxSettlement(delivery, InboxStatus.APPLIED, run_id=self.run_id)


def refused_deliveries(intake: Intake, applied: SyncPlan) -> frozenset[str]:
    """The deliveries of a run of which the sink did not take everything."""
    import polars as pl

    if not applied.counts.failed:
        return frozenset()
    parts = applied.frame.filter(pl.col("outcome") == Outcome.FAILED.value)["part"]
    if parts.null_count() or not intake.deliveries:  # what is absent is of no part
        return frozenset(intake.settles)
    return frozenset(intake.deliveries[part] for part in parts)


def _aside(
    left: Sequence[InboxEntry | InboxSettlement],
    unreadable: Mapping[str, InventorySourcesError],
    now: datetime,
    *,
    nothing_read: bool,
) -> Aside | None:
    if not left:
        return None
    parked = [one for one in left if one.status is InboxStatus.PARKED]
    told = (parked or left)[-1]
    error = unreadable.get(told.id)
    failure = Failure.of(error, now) if error else _as_before(told.reason, now)
    moments = [one.next_attempt_at for one in left if one.next_attempt_at is not None]
    return Aside(failure, None if parked else min(moments, default=now), nothing_read)


def _as_before(reason: str, now: datetime) -> Failure:
    return Failure(
        "delivery_unreadable",
        Phase.DECODE,
        reason,
        "Mend the sender or the mapping and have the delivery read again, or dismiss it.",
        now,
    )


def _warnings(failed: Sequence[InboxSettlement]) -> list[str]:
    told = [f"{one.reason}; {_what_next(one.next_attempt_at)}" for one in failed[:_NAMED]]
    more = len(failed) - len(told)
    return [*told, f"{more} more deliveries could not be read"] if more > 0 else told


def _given_up(spent: Sequence[InboxSettlement]) -> list[str]:
    if not spent:
        return []
    return [f"items of {len(spent)} deliveries were refused as often as is tried: the source goes on without them"]


def _what_next(moment: datetime | None) -> str:
    return "it waits for a person" if moment is None else f"it is tried again at {moment:%Y-%m-%d %H:%M:%S} UTC"
