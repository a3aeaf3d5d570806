"""Where a source stands, in words; :mod:`inventory_sources.status` says how it moves."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from attrs import frozen

from inventory_sources.run import Failure, Trigger

__all__ = ["AppliedInput", "Incident", "Reason", "SourceState", "SyncStatus"]


class SyncStatus(Enum):
    """What the world sees of a source."""

    PENDING = "pending"
    SYNCING = "syncing"
    COMPLETED = "completed"
    ERROR = "error"


class Reason(Enum):
    """Why a source has its status."""

    NEVER_RUN = "never_run"
    REQUESTED = "requested"
    RETRY = "retry"
    WAITING = "waiting"
    CANCELLED = "cancelled"
    EDITED = "edited"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    BLOCKED = "blocked"
    HELD = "held"
    REJECTED = "rejected"
    SET_ASIDE = "set_aside"
    PARKED = "parked"


_CLOSED_TO_PUSHES = frozenset({Reason.RETRY, Reason.WAITING, Reason.BLOCKED})


@frozen
class Incident:
    """Something a person was told of and that is not resolved yet.

    :param alarms: the matters of security that were told with it.
    """

    id: str
    held: bool = False
    alarms: tuple[str, ...] = ()


@frozen
class AppliedInput:
    """The input that was applied last.

    :param at: when that run began, on the store's clock.
    :param digest: of the input and of when it was observed; ``None`` where the same input is worth another look.
    :param rereads: so many runs in a row, this one included, left their input to be fetched again, because the sink did
        not take all of it.
    """

    at: datetime
    digest: str | None = None
    rereads: int = 0


@frozen
class SourceState:
    """Where a source stands.

    :param epoch: fencing token: grows with every claim, and when an edit fences out a running sync.
    :param failures: failed attempts on the current ladder.
    :param next_run_at: when it is due (UTC); ``None`` while nothing is planned.
    :param next_trigger: what the next claim will count as.
    :param trigger: what started the running sync.
    :param lease_until: when the running sync's claim expires.
    :param waiting_since: since when an input that is not ready keeps us waiting.
    :param held_digest: of the plan that waits for a person.
    :param approved_digest: of the plan that a person approved and that is not applied yet.
    :param rejected_digest: of the plan that a person rejected last, so that the same one tells no one again.
    :param baseline_rows: rows of the last complete run.
    :param baseline_matched: how many of them belonged to a known product.
    :param cursor: what the connector left for its next fetch, once that run's levels were applied.
    :param memo: what the connector left for its next fetch, whether that run was applied or not.
    :param applied: the input applied last.
    """

    status: SyncStatus = SyncStatus.PENDING
    reason: Reason = Reason.NEVER_RUN
    epoch: int = 0
    config_version: int = 1
    failures: int = 0
    next_run_at: datetime | None = None
    next_trigger: Trigger = Trigger.SCHEDULED
    trigger: Trigger | None = None
    run_id: str | None = None
    owner: str | None = None
    lease_until: datetime | None = None
    waiting_since: datetime | None = None
    last_failure: Failure | None = None
    last_success_at: datetime | None = None
    incident: Incident | None = None
    paused: bool = False
    cancel_requested: bool = False
    held_digest: str | None = None
    approved_digest: str | None = None
    rejected_digest: str | None = None
    baseline_rows: int | None = None
    baseline_matched: int | None = None
    cursor: str | None = None
    memo: str | None = None
    applied: AppliedInput | None = None

    def __str__(self) -> str:
        parts = [f"{self.status.value} ({self.reason.value})"]
        if self.next_run_at is not None:
            parts.append(f"next run {self.next_run_at:%Y-%m-%d %H:%M:%S} UTC")
        if self.last_success_at is not None:
            parts.append(f"last success {self.last_success_at:%Y-%m-%d %H:%M:%S} UTC")
        if self.last_failure is not None:
            parts.append(f"last failure: {self.last_failure.message}")
        return ", ".join([*parts, "paused"] if self.paused else parts)

    @property
    def wake_at(self) -> datetime | None:
        """When this source needs a worker: its next run, or the end of a lease that may have to be rescued."""
        if self.status is SyncStatus.SYNCING:
            return self.lease_until
        if self.paused and self.next_trigger is not Trigger.MANUAL:
            return None
        return self.next_run_at

    def is_due(self, now: datetime) -> bool:
        """Whether a worker may claim it now."""
        return self.wake_at is not None and self.wake_at <= now

    @property
    def takes_pushes(self) -> bool:
        """Whether a delivery may start a run now; a source that waits for its retry or for an edit gathers them."""
        return not self.paused and self.status is not SyncStatus.SYNCING and self.reason not in _CLOSED_TO_PUSHES

    def owned_by(self, run_id: str, epoch: int) -> bool:
        """Whether this run still owns the source."""
        return self.status is SyncStatus.SYNCING and self.run_id == run_id and self.epoch == epoch
