"""What becomes of the deliveries of a run: settled, tried again, or parked for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from attrs import evolve, frozen

from inventory_sources.engine._intake import Intake
from inventory_sources.errors import InventorySourcesError, Phase
from inventory_sources.protocols.inbox import InboxEntry, InboxSettlement, InboxStatus
from inventory_sources.protocols.store import StateStore
from inventory_sources.retry import RetryPolicy
from inventory_sources.run import Failure
from inventory_sources.status import Aside

__all__ = ["OneSourceInbox", "Settling", "settle_deliveries"]

_NAMED = 3


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


def settle_deliveries(
    intake: Intake | None, run_id: str, before: Sequence[InboxEntry], retry: RetryPolicy, now: datetime
) -> Settling:
    """What becomes of the deliveries that a run read, or tried to.

    :param intake: ``None`` for a run that found nothing to read.
    :param before: those that were set aside or parked when the run began.
    :param retry: the ladder of a delivery that cannot be read, as of a sync that fails.
    """
    read = intake.deliveries if intake else ()
    unreadable = intake.aside if intake else {}
    attempts = {entry.id: entry.attempts for entry in before}
    failed = [
        _failed(delivery, error, attempts.get(delivery, 0) + 1, run_id, retry, now)
        for delivery, error in unreadable.items()
    ]
    done = {*read, *unreadable}
    left: list[InboxEntry | InboxSettlement] = [*(entry for entry in before if entry.id not in done), *failed]
    return Settling(
        (*(InboxSettlement(delivery, InboxStatus.APPLIED, run_id=run_id) for delivery in read), *failed),
        _aside(left, unreadable, now, nothing_read=not read),
        tuple(_warnings(failed)),
    )


def _failed(
    delivery: str, error: InventorySourcesError, attempts: int, run_id: str, retry: RetryPolicy, now: datetime
) -> InboxSettlement:
    delay = retry.delay(attempts)
    waits = InboxSettlement(delivery, InboxStatus.PARKED, attempts, None, run_id, error.message)
    return waits if delay is None else evolve(waits, status=InboxStatus.WAITING, next_attempt_at=now + delay)


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


def _what_next(moment: datetime | None) -> str:
    return "it waits for a person" if moment is None else f"it is tried again at {moment:%Y-%m-%d %H:%M:%S} UTC"
