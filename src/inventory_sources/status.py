"""The state machine of a source: every transition in one table, without I/O and without a clock.

:func:`transition` takes a state, an event, the source's rules and the store's time, and gives the next state together
with the notices to send. An event that the table does not hold raises
:class:`~inventory_sources.errors.IllegalTransition` and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from attrs import evolve, frozen

from inventory_sources._events import (
    Approve,
    Aside,
    Cancel,
    Claim,
    Edit,
    Event,
    Fail,
    Hold,
    Lose,
    OwnedEvent,
    Pause,
    RejectHeld,
    Release,
    Renew,
    Request,
    RequestCancel,
    Rest,
    Resume,
    Succeed,
)
from inventory_sources._state import AppliedInput, Incident, Reason, SourceState, SyncStatus
from inventory_sources.errors import ApprovalInvalid, IllegalTransition, LeaseLost, Phase, Recovery
from inventory_sources.frequency import Frequency
from inventory_sources.retry import RetryPolicy
from inventory_sources.run import Failure, Trigger

__all__ = [
    "AppliedInput",
    "Approve",
    "Aside",
    "Cancel",
    "Claim",
    "Edit",
    "Event",
    "Fail",
    "Hold",
    "Incident",
    "Lose",
    "Notice",
    "NoticeKind",
    "Pause",
    "Reason",
    "RejectHeld",
    "Release",
    "Renew",
    "Request",
    "RequestCancel",
    "Rest",
    "Resume",
    "Rules",
    "SourceState",
    "Succeed",
    "SyncStatus",
    "Transition",
    "transition",
]


_REJECTED = "the plan that waited for your decision was rejected"
_EDITED = "the source was edited, which drops the plan that waited for your decision"
_OVERTAKEN = "the plan still waits for your decision, but the sync fails by now"
#: A source that says to come back later than this is asked again nevertheless.
_LONGEST_WAIT = timedelta(days=31)


@frozen
class Rules:
    """What a source's declaration says about time."""

    name: str
    frequency: Frequency
    retry: RetryPolicy

    def tick(self, now: datetime) -> datetime | None:
        """The schedule's next tick after ``now``."""
        return self.frequency.next_after(now, self.name)


class NoticeKind(Enum):
    """What a notice tells."""

    FAILED = "failed"
    HELD = "held"
    RESOLVED = "resolved"
    SECURITY = "security"


@frozen
class Notice:
    """A notification that the transition owes; ``incident`` names what it opens, resolves or belongs to."""

    kind: NoticeKind
    incident: str
    failure: Failure | None = None
    summary: str = ""


@frozen
class Transition:
    """The next state, and what to tell people."""

    state: SourceState
    notices: tuple[Notice, ...] = ()


def transition(state: SourceState, event: Event, rules: Rules, now: datetime) -> Transition:
    """The state after ``event``.

    :param now: the store's time (UTC).
    :raises IllegalTransition: when the event does not apply to the state.
    :raises LeaseLost: when a run's event comes after the run lost the source.
    :raises ApprovalInvalid: when the digest is not that of the held plan.
    """
    if isinstance(event, OwnedEvent) and not state.owned_by(event.run_id, event.epoch):
        raise LeaseLost(f"run {event.run_id} no longer owns source {rules.name!r}")
    handler = _TABLE.get((state.status, type(event)))
    if handler is None:
        raise IllegalTransition(
            f"source {rules.name!r} is {state.status.value}: {type(event).__name__.lower()} does not apply"
        )
    return handler(state, event, rules, now)


def _claim(state: SourceState, event: Claim, rules: Rules, now: datetime) -> Transition:
    fresh = event.trigger is Trigger.MANUAL
    return Transition(
        evolve(
            state,
            status=SyncStatus.SYNCING,
            reason=Reason.RUNNING,
            epoch=state.epoch + 1,
            failures=0 if fresh else state.failures,
            waiting_since=None if fresh else state.waiting_since,
            next_run_at=None,
            trigger=event.trigger,
            run_id=event.run_id,
            owner=event.owner,
            lease_until=now + event.lease,
            cancel_requested=False,
        )
    )


def _renew(state: SourceState, event: Renew, rules: Rules, now: datetime) -> Transition:
    return Transition(evolve(state, lease_until=now + event.lease))


def _succeed(state: SourceState, event: Succeed, rules: Rules, now: datetime) -> Transition:
    if event.beside:
        read = event.aside is None or not event.aside.nothing_read
        known = evolve(
            _noted(state, event),
            last_success_at=now if read else state.last_success_at,
            applied=event.applied or state.applied,
        )
        return _beside(known, now if event.more else rules.tick(now))
    done = evolve(
        _done(state, event, now if event.more else rules.tick(now), now),
        held_digest=None,
        approved_digest=None,
        rejected_digest=None,
        baseline_rows=state.baseline_rows if event.baseline_rows is None else event.baseline_rows,
        baseline_matched=state.baseline_matched if event.baseline_rows is None else event.baseline_matched,
        applied=event.applied or state.applied,
    )
    return _set_aside(state, done, event.aside, rules)


def _beside(state: SourceState, next_run_at: datetime | None) -> Transition:
    reason = Reason.HELD if _waits_for_a_person(state) else Reason.FAILED
    return Transition(_idle(state, SyncStatus.ERROR, reason, next_run_at))


def _rest(state: SourceState, event: Rest, rules: Rules, now: datetime) -> Transition:
    next_run_at = now if event.more else rules.tick(now)
    if event.beside:
        return _beside(_noted(state, event), next_run_at)
    if _waits_for_a_person(state):
        return Transition(_idle(_noted(state, event), SyncStatus.ERROR, Reason.HELD, rules.tick(now)))
    told = event.aside is not None or event.clear
    if not told and state.incident and state.last_failure is not None and state.last_failure.of_the_input:
        return Transition(_idle(_noted(state, event), SyncStatus.ERROR, Reason.FAILED, rules.tick(now)))
    return _set_aside(state, _done(state, event, next_run_at, now), event.aside, rules)


def _set_aside(before: SourceState, done: SourceState, aside: Aside | None, rules: Rules) -> Transition:
    """What could be read is done; the rest is tried again, or waits for a person as one incident."""
    if aside is None:
        return _resolve(done)
    success = before.last_success_at if aside.nothing_read else done.last_success_at
    done = evolve(done, last_failure=aside.failure, last_success_at=success)
    over = _resolve(done) if done.incident is not None and done.incident.held else Transition(done)
    tick, until = done.next_run_at, aside.until
    if until is None:
        parked = _error(evolve(over.state, run_id=before.run_id), Reason.PARKED, tick, rules)
        return Transition(evolve(parked.state, failures=0), (*over.notices, *parked.notices))
    trigger, due = (Trigger.WEBHOOK, until) if tick is None or until < tick else (Trigger.SCHEDULED, tick)
    return evolve(over, state=_idle(over.state, SyncStatus.PENDING, Reason.SET_ASIDE, due, trigger))


def _done(state: SourceState, event: Succeed | Rest, next_run_at: datetime | None, now: datetime) -> SourceState:
    return evolve(
        _idle(_noted(state, event), SyncStatus.COMPLETED, Reason.DONE, next_run_at),
        failures=0,
        waiting_since=None,
        last_failure=None,
        last_success_at=now,
    )


def _noted(state: SourceState, event: Succeed | Rest) -> SourceState:
    return evolve(
        state,
        cursor=state.cursor if event.cursor is None else event.cursor,
        memo=state.memo if event.memo is None else event.memo,
    )


def _fail(state: SourceState, event: Fail, rules: Rules, now: datetime) -> Transition:
    failed = evolve(state, last_failure=event.failure, memo=state.memo if event.memo is None else event.memo)
    told = min(max(event.retry_after or timedelta(0), timedelta(0)), _LONGEST_WAIT)
    if event.recovery is Recovery.BLOCK:
        return _error(failed, Reason.BLOCKED, None, rules)
    if event.recovery is Recovery.STOP:
        return _error(failed, Reason.FAILED, rules.tick(now), rules)
    if _waits_for_a_person(state):
        return _climb(failed, told, rules, now)
    if event.recovery is Recovery.WAIT and _patient(state, rules, now):
        return _wait(failed, told or rules.retry.wait, rules, now)
    return _climb(failed, told, rules, now)


def _waits_for_a_person(state: SourceState) -> bool:
    return state.held_digest is not None and state.approved_digest is None


def _patient(state: SourceState, rules: Rules, now: datetime) -> bool:
    return state.waiting_since is None or now - state.waiting_since < rules.retry.patience


def _wait(state: SourceState, delay: timedelta, rules: Rules, now: datetime) -> Transition:
    waiting = evolve(state, waiting_since=state.waiting_since or now)
    if state.failures >= rules.retry.exhausted:
        return _error(waiting, Reason.FAILED, _later(rules.tick(now), now + delay), rules)
    return Transition(_idle(waiting, SyncStatus.PENDING, Reason.WAITING, now + delay, Trigger.RETRY))


def _climb(state: SourceState, at_least: timedelta, rules: Rules, now: datetime) -> Transition:
    """The next try by the ladder, which a held plan neither stops nor is hidden by."""
    failures, held = state.failures + 1, _waits_for_a_person(state)
    delay = rules.retry.delay(failures)
    if delay is None:
        due = _later(rules.tick(now), now + at_least)
        if held:
            return Transition(_idle(state, SyncStatus.ERROR, Reason.HELD, due))
        return _error(state, Reason.FAILED, due, rules)
    status, reason = (SyncStatus.ERROR, Reason.HELD) if held else (SyncStatus.PENDING, Reason.RETRY)
    climbed, due = evolve(state, failures=failures), now + max(delay, at_least)
    return Transition(_idle(climbed, status, reason, due, Trigger.RETRY))


def _later(tick: datetime | None, moment: datetime) -> datetime | None:
    return None if tick is None else max(tick, moment)


def _hold(state: SourceState, event: Hold, rules: Rules, now: datetime) -> Transition:
    told = event.digest == state.rejected_digest or (state.incident is not None and state.incident.held)
    before = Transition(state) if told else _resolve(state)
    held = evolve(
        _idle(before.state, SyncStatus.ERROR, Reason.HELD, rules.tick(now)),
        failures=0,
        waiting_since=None,
        last_failure=None,
        memo=state.memo if event.memo is None else event.memo,
        held_digest=event.digest,
        approved_digest=None,
    )
    if told:
        return Transition(held)
    opened = Notice(NoticeKind.HELD, event.run_id, summary=event.summary)
    return Transition(evolve(held, incident=Incident(event.run_id, held=True)), (*before.notices, opened))


def _cancel(state: SourceState, event: Cancel, rules: Rules, now: datetime) -> Transition:
    status, reason = (SyncStatus.ERROR, Reason.HELD) if state.held_digest else (SyncStatus.PENDING, Reason.CANCELLED)
    cancelled = evolve(_half_done(state), failures=0, waiting_since=None, approved_digest=None)
    return Transition(_idle(cancelled, status, reason, rules.tick(now)))


def _release(state: SourceState, event: Release, rules: Rules, now: datetime) -> Transition:
    again = state.trigger or Trigger.SCHEDULED
    return Transition(_idle(_half_done(state), SyncStatus.PENDING, Reason.REQUESTED, now, again))


def _half_done(state: SourceState) -> SourceState:
    """Levels may have been written already, so that the input applied before is worth another look."""
    return evolve(state, applied=state.applied and evolve(state.applied, digest=None))


def _lose(state: SourceState, event: Lose, rules: Rules, now: datetime) -> Transition:
    if state.lease_until is not None and state.lease_until > now:
        raise IllegalTransition(f"the lease on source {rules.name!r} has not expired")
    failure = Failure(
        "worker_lost",
        Phase.RECORD,
        "the worker stopped without a word; its lease expired",
        "Nothing to do: the sync is run again. If it recurs, look at the worker's memory and logs.",
        now,
    )
    after = _climb(evolve(state, last_failure=failure), timedelta(0), rules, now)
    if after.state.next_trigger is Trigger.RETRY:
        return evolve(after, state=evolve(after.state, next_run_at=now))
    return after


def _request(state: SourceState, event: Request, rules: Rules, now: datetime) -> Transition:
    asked = evolve(state, failures=0, waiting_since=None)
    return Transition(_idle(asked, SyncStatus.PENDING, Reason.REQUESTED, now, Trigger.MANUAL))


def _unchanged(state: SourceState, event: Event, rules: Rules, now: datetime) -> Transition:
    return Transition(state)


def _approve(state: SourceState, event: Approve, rules: Rules, now: datetime) -> Transition:
    _same_digest(state, event.digest, rules)
    asked = _request(state, Request(), rules, now).state
    return Transition(evolve(asked, approved_digest=event.digest))


def _reject(state: SourceState, event: RejectHeld, rules: Rules, now: datetime) -> Transition:
    _same_digest(state, event.digest, rules)
    dropped = evolve(state, held_digest=None, approved_digest=None, rejected_digest=event.digest)
    if state.status is SyncStatus.ERROR and state.reason is not Reason.HELD:
        return Transition(dropped)  # it is in Error for another cause, which this decision does not mend
    idle = _idle(dropped, SyncStatus.PENDING, Reason.REJECTED, rules.tick(now))
    return _resolve(idle, _REJECTED) if idle.incident and idle.incident.held else Transition(idle)


def _same_digest(state: SourceState, digest: str, rules: Rules) -> None:
    if state.held_digest is None:
        raise ApprovalInvalid(f"no plan of source {rules.name!r} is held")
    if state.held_digest != digest:
        raise ApprovalInvalid(f"the plan held for source {rules.name!r} is {state.held_digest[:12]}, another one")


def _edit(state: SourceState, event: Edit, rules: Rules, now: datetime) -> Transition:
    edited = evolve(
        _edited(_half_done(state), rules, now),
        epoch=state.epoch + 1,
        config_version=event.config_version,
        failures=0,
        waiting_since=None,
        held_digest=None,
        approved_digest=None,
        rejected_digest=None,
        cursor=None,
        memo=None,
    )
    return _resolve(edited, _EDITED) if edited.incident and edited.incident.held else Transition(edited)


def _edited(state: SourceState, rules: Rules, now: datetime) -> SourceState:
    if state.status is SyncStatus.COMPLETED:
        return _idle(state, SyncStatus.COMPLETED, Reason.DONE, rules.tick(now))
    if state.reason in (Reason.REQUESTED, Reason.SET_ASIDE):
        return state
    if state.reason is Reason.PARKED:
        return evolve(state, next_run_at=rules.tick(now))
    return _idle(state, SyncStatus.PENDING, Reason.EDITED, rules.tick(now))


def _pause(state: SourceState, event: Pause, rules: Rules, now: datetime) -> Transition:
    return Transition(evolve(state, paused=True))


def _resume(state: SourceState, event: Resume, rules: Rules, now: datetime) -> Transition:
    if state.status is SyncStatus.SYNCING or state.reason is Reason.BLOCKED or state.next_run_at is not None:
        return Transition(evolve(state, paused=False))
    return Transition(evolve(state, paused=False, next_run_at=rules.tick(now)))


def _request_cancel(state: SourceState, event: RequestCancel, rules: Rules, now: datetime) -> Transition:
    return Transition(evolve(state, cancel_requested=True))


def _error(state: SourceState, reason: Reason, next_run_at: datetime | None, rules: Rules) -> Transition:
    """Error until something changes: ladder and approval are spent, and one notice goes out for the incident.

    A matter of security is told besides, each once an incident.
    """
    error = evolve(
        _idle(state, SyncStatus.ERROR, reason, next_run_at), failures=rules.retry.exhausted, approved_digest=None
    )
    incident, failure, notices = state.incident, state.last_failure, list[Notice]()
    if incident is None or incident.held:
        notices = [] if incident is None else [Notice(NoticeKind.RESOLVED, incident.id, summary=_OVERTAKEN)]
        incident = Incident(state.run_id or "")
        notices.append(Notice(NoticeKind.FAILED, incident.id, failure))
    if failure is not None and failure.alarm is not None and failure.alarm not in incident.alarms:
        incident = evolve(incident, alarms=(*incident.alarms, failure.alarm))
        notices.append(Notice(NoticeKind.SECURITY, incident.id, failure))
    return Transition(evolve(error, incident=incident), tuple(notices))


def _resolve(state: SourceState, summary: str = "") -> Transition:
    if state.incident is None:
        return Transition(state)
    return Transition(evolve(state, incident=None), (Notice(NoticeKind.RESOLVED, state.incident.id, summary=summary),))


def _idle(
    state: SourceState,
    status: SyncStatus,
    reason: Reason,
    next_run_at: datetime | None,
    next_trigger: Trigger = Trigger.SCHEDULED,
) -> SourceState:
    """The state with no run in it."""
    return evolve(
        state,
        status=status,
        reason=reason,
        next_run_at=next_run_at,
        next_trigger=next_trigger,
        trigger=None,
        run_id=None,
        owner=None,
        lease_until=None,
        cancel_requested=False,
    )


_Handler = Callable[[SourceState, Any, Rules, datetime], Transition]
_IDLE = (SyncStatus.PENDING, SyncStatus.COMPLETED, SyncStatus.ERROR)
_SYNCING = (SyncStatus.SYNCING,)
_ANY = (*_IDLE, *_SYNCING)

_EVENTS: tuple[tuple[type, tuple[SyncStatus, ...], _Handler], ...] = (
    (Claim, _IDLE, _claim),
    (Renew, _SYNCING, _renew),
    (Succeed, _SYNCING, _succeed),
    (Rest, _SYNCING, _rest),
    (Fail, _SYNCING, _fail),
    (Hold, _SYNCING, _hold),
    (Cancel, _SYNCING, _cancel),
    (Release, _SYNCING, _release),
    (Lose, _SYNCING, _lose),
    (Request, _IDLE, _request),
    (Request, _SYNCING, _unchanged),
    (RequestCancel, _SYNCING, _request_cancel),
    (Approve, _IDLE, _approve),
    (RejectHeld, _IDLE, _reject),
    (Edit, _ANY, _edit),
    (Pause, _ANY, _pause),
    (Resume, _ANY, _resume),
)

_TABLE: dict[tuple[SyncStatus, type], _Handler] = {
    (status, event): handler for event, statuses, handler in _EVENTS for status in statuses
}
