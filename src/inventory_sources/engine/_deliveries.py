"""What becomes of the deliveries of a run: settled, tried again, or parked for a person."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from attrs import Factory, define, evolve, frozen

from inventory_sources.engine._intake import Intake
from inventory_sources.engine._runs import Claimed
from inventory_sources.errors import InventorySourcesError, Phase
from inventory_sources.plan import Outcome, SyncPlan
from inventory_sources.protocols.connector import FetchOutcome
from inventory_sources.protocols.inbox import InboxEntry, InboxSettlement, InboxStatus
from inventory_sources.protocols.store import StateStore
from inventory_sources.retry import RetryPolicy
from inventory_sources.run import Failure, Trigger
from inventory_sources.status import Aside, Cancel, Event, Rest, Succeed

__all__ = ["OneSourceInbox", "Settler", "Settling", "looked_at_again", "refused_deliveries"]

_NAMED = 3
#: Bodies that one run holds in memory; a longer one comes alone.
_RUN_BYTES = 64 * 1024 * 1024
_MOST_ASIDE = 1000
#: After a person cancelled a run, where the source is never retried.
_REST = timedelta(minutes=5)
_REFUSED = "the sink refused some of its items"


@define
class OneSourceInbox:
    """The inbox of one source in a store, for one run.

    :param attempts: how often each delivery that was looked at had been read in vain before.
    :param left: whether there was more than fits into memory together, which is left to another run.
    """

    store: StateStore
    source: str
    attempts: dict[str, int] = Factory(dict)
    received: dict[str, datetime] = Factory(dict)
    left: bool = False

    def waiting(self, limit: int = 500) -> Sequence[InboxEntry]:
        """Deliveries that wait and whose time has come, in the order received; a run's worth of bytes at most."""
        found = self.store.waiting(self.source, limit, _RUN_BYTES)
        if limit > 1 and len(found) == 1 and len(found[0].body) > _RUN_BYTES:  # whether more waits is not told yet
            found = self.store.waiting(self.source, 2, len(found[0].body))
        if len(found) > 1 and sum(len(entry.body) for entry in found) > _RUN_BYTES:
            found, self.left = found[:-1], True
        self.attempts.update((entry.id, entry.attempts) for entry in found)
        self.received.update((entry.id, entry.received_at) for entry in found)
        return found

    def yielding(self, deliveries: Sequence[str]) -> tuple[int, ...]:
        """Which of these are read again although others, received after them, have been applied by now."""
        again = [at for at, each in enumerate(deliveries) if self.attempts.get(each)]
        last = self.store.deliveries(self.source, 1, status=InboxStatus.APPLIED) if again else ()
        return tuple(at for at in again if last and self.received[deliveries[at]] < last[0].received_at)

    def set_aside(self) -> Sequence[InboxEntry]:
        """Those that were read in vain before, as many as are told; a parked one among them if there is any."""
        found = self.store.set_aside(self.source, _MOST_ASIDE)
        if len(found) < _MOST_ASIDE or any(entry.status is InboxStatus.PARKED for entry in found):
            return found
        return [*found, *self.store.deliveries(self.source, 1, status=InboxStatus.PARKED)]

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
    :param attempts: how often those that this run looked at were read in vain before.
    """

    run_id: str
    before: Sequence[InboxEntry]
    retry: RetryPolicy
    now: datetime
    attempts: Mapping[str, int] = Factory(dict)

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
        attempts = {**{entry.id: entry.attempts for entry in self.before}, **self.attempts}
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


def looked_at_again(
    event: Event, outcome: FetchOutcome, inbox: OneSourceInbox, claimed: Claimed, retry: RetryPolicy
) -> timedelta | None:
    """How soon a source is looked at again for deliveries that its run left and that no failure keeps.

    A run that failed at the deliveries leaves them to its retry, or it would be run again at once. One that a person
    cancelled is given a rest, in which the source can be paused, too.
    """
    pushed = outcome.pushed
    wait = pushed.wait or inbox.left
    if isinstance(event, (Succeed, Rest)):
        return timedelta(0) if wait else None
    tried = pushed.drained or pushed.covered or claimed.run.trigger is Trigger.WEBHOOK
    if (wait or claimed.stored.pushed_at is not None) and not tried:
        return timedelta(0)
    cancelled = isinstance(event, Cancel) and (inbox.attempts or claimed.stored.pushed_at is not None)
    return (retry.delay(1) or _REST) if cancelled else None


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
