"""The state machine: what each event does to each status, the ladder, incidents, fences, and walks at random."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from inventory_sources.errors import ApprovalInvalid, IllegalTransition, LeaseLost, Phase, Recovery
from inventory_sources.frequency import Frequency
from inventory_sources.retry import RetryPolicy
from inventory_sources.run import Failure, Trigger
from inventory_sources.status import (
    AppliedInput,
    Approve,
    Aside,
    Cancel,
    Claim,
    Edit,
    Event,
    Fail,
    Hold,
    Lose,
    NoticeKind,
    Pause,
    Reason,
    RejectHeld,
    Release,
    Renew,
    Request,
    RequestCancel,
    Rest,
    Resume,
    Rules,
    SourceState,
    Succeed,
    SyncStatus,
    transition,
)

NOON = datetime(2026, 3, 4, 12, 0, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LEASE = 2 * MINUTE
HOURLY = Rules("erp", Frequency(interval=timedelta(hours=1)), RetryPolicy())
BY_HAND = Rules("erp", Frequency.manual(), RetryPolicy())
ONE_O_CLOCK = datetime(2026, 3, 4, 13, tzinfo=UTC)
NEW = SourceState(next_run_at=NOON)
FAILURE = Failure("connect_failed", Phase.FETCH, "refused", "wait", NOON)
OTHER_KEY = Failure("host_key_changed", Phase.FETCH, "another key", "ask", NOON, alarm="SHA256:other")


class Source:
    """A source that a test drives: applies events, moves the clock, collects notices."""

    def __init__(self, rules: Rules = HOURLY, state: SourceState = NEW) -> None:
        self.rules = rules
        self.state = state
        self.now = NOON
        self.told: list[tuple[NoticeKind, str]] = []
        self.runs = 0

    def happens(self, event: Event) -> SourceState:
        after = transition(self.state, event, self.rules, self.now)
        self.state = after.state
        self.told += [(notice.kind, notice.incident) for notice in after.notices]
        return self.state

    def claim(self, trigger: Trigger | None = None) -> SourceState:
        self.runs += 1
        return self.happens(Claim(f"run{self.runs}", "worker", LEASE, trigger or self.state.next_trigger))

    def owned(self, kind: Any, **fields: Any) -> SourceState:
        return self.happens(kind(run_id=self.state.run_id, epoch=self.state.epoch, **fields))

    def fail(self, recovery: Recovery = Recovery.RETRY, retry_after: timedelta | None = None) -> SourceState:
        self.claim()
        return self.owned(Fail, failure=FAILURE, recovery=recovery, retry_after=retry_after)

    def succeed(self, trigger: Trigger | None = None, **fields: Any) -> SourceState:
        self.claim(trigger)
        return self.owned(Succeed, **fields)

    def hold(self, digest: str = "abc") -> SourceState:
        self.claim()
        return self.owned(Hold, digest=digest, summary="would zero 90 %")

    def sleep_until_due(self) -> None:
        assert self.state.wake_at is not None
        self.now = max(self.now, self.state.wake_at)


# -- the table -----------------------------------------------------------------------------------------------------

IDLE = {SyncStatus.PENDING, SyncStatus.COMPLETED, SyncStatus.ERROR}
SYNCING = {SyncStatus.SYNCING}
APPLIES: dict[type, set[SyncStatus]] = {
    Claim: IDLE,
    Renew: SYNCING,
    Succeed: SYNCING,
    Rest: SYNCING,
    Fail: SYNCING,
    Hold: SYNCING,
    Cancel: SYNCING,
    Release: SYNCING,
    Lose: SYNCING,
    Request: IDLE | SYNCING,
    RequestCancel: SYNCING,
    Approve: IDLE,
    RejectHeld: IDLE,
    Edit: IDLE | SYNCING,
    Pause: IDLE | SYNCING,
    Resume: IDLE | SYNCING,
}
EVENTS: list[Event] = [
    Claim("run2", "worker", LEASE, Trigger.SCHEDULED),
    Renew("run1", 4, LEASE),
    Succeed("run1", 4),
    Rest("run1", 4),
    Fail("run1", 4, FAILURE, Recovery.RETRY),
    Hold("run1", 4, "abc", "why"),
    Cancel("run1", 4),
    Release("run1", 4),
    Lose(),
    Request(),
    RequestCancel(),
    Approve("abc"),
    RejectHeld("abc"),
    Edit(2),
    Pause(),
    Resume(),
]


def in_status(status: SyncStatus) -> SourceState:
    if status is SyncStatus.SYNCING:
        return SourceState(
            status, Reason.RUNNING, epoch=4, run_id="run1", owner="w", lease_until=NOON, trigger=Trigger.SCHEDULED
        )
    return SourceState(status, Reason.HELD, epoch=4, held_digest="abc")


@pytest.mark.parametrize("status", SyncStatus)
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_applies_to_the_statuses_of_the_table_and_to_no_other(status: SyncStatus, event: Event) -> None:
    state = in_status(status)
    if status in APPLIES[type(event)]:
        assert isinstance(transition(state, event, HOURLY, NOON).state, SourceState)
        return
    with pytest.raises((IllegalTransition, LeaseLost)):
        transition(state, event, HOURLY, NOON)


def test_the_tests_know_every_event() -> None:
    assert {type(event) for event in EVENTS} == set(Event.__args__) == set(APPLIES)


@pytest.mark.parametrize(("run_id", "epoch"), [("run1", 3), ("run1", 5), ("run2", 4)])
@pytest.mark.parametrize("event", [event for event in EVENTS if hasattr(event, "epoch")], ids=repr)
def test_an_event_of_a_run_that_lost_the_source_changes_nothing(event: Any, run_id: str, epoch: int) -> None:
    with pytest.raises(LeaseLost):
        transition(in_status(SyncStatus.SYNCING), evolve(event, run_id=run_id, epoch=epoch), HOURLY, NOON)


# -- a run ---------------------------------------------------------------------------------------------------------


def test_a_claim_takes_the_source_with_a_higher_epoch_and_a_lease() -> None:
    source = Source(state=evolve(NEW, epoch=7))
    state = source.claim()
    assert (state.status, state.epoch, state.run_id, state.owner) == (SyncStatus.SYNCING, 8, "run1", "worker")
    assert (state.lease_until, state.next_run_at) == (NOON + LEASE, None)
    assert state.wake_at == NOON + LEASE


def test_a_success_is_completed_until_the_next_tick() -> None:
    source = Source()
    state = source.succeed(baseline_rows=12, cursor="page 9")
    assert (state.status, state.reason) == (SyncStatus.COMPLETED, Reason.DONE)
    assert (state.last_success_at, state.baseline_rows, state.cursor) == (NOON, 12, "page 9")
    assert state.wake_at == ONE_O_CLOCK
    assert (state.run_id, state.owner, state.lease_until, state.trigger) == (None, None, None, None)
    assert source.told == []


def test_a_success_without_a_complete_snapshot_keeps_the_baseline() -> None:
    source = Source(state=evolve(NEW, baseline_rows=12, cursor="page 9"))
    state = source.succeed()
    assert (state.baseline_rows, state.cursor) == (12, "page 9")


def test_missed_ticks_coalesce_into_one() -> None:
    source = Source()
    source.succeed()
    source.now = ONE_O_CLOCK + timedelta(days=3, minutes=10)
    assert source.state.is_due(source.now)
    assert source.succeed().next_run_at == ONE_O_CLOCK + timedelta(days=3, hours=1)


def test_a_source_by_hand_is_never_due_by_itself() -> None:
    assert Source(BY_HAND).succeed().wake_at is None


# -- the ladder ----------------------------------------------------------------------------------------------------


def test_three_retries_after_5_15_and_60_minutes_then_error_and_one_notification() -> None:
    source = Source(BY_HAND)
    for failures, minutes in ((1, 5), (2, 15), (3, 60)):
        state = source.fail()
        assert (state.status, state.reason, state.failures) == (SyncStatus.PENDING, Reason.RETRY, failures)
        assert (state.next_run_at, state.next_trigger) == (source.now + minutes * MINUTE, Trigger.RETRY)
        assert state.last_failure == FAILURE
        assert source.told == []
        source.sleep_until_due()
    state = source.fail()
    assert (state.status, state.reason, state.next_run_at) == (SyncStatus.ERROR, Reason.FAILED, None)
    assert source.told == [(NoticeKind.FAILED, "run4")]


def test_ticks_are_suppressed_while_the_ladder_runs() -> None:
    every_minute = Rules("erp", Frequency(interval=MINUTE), RetryPolicy())
    source = Source(every_minute)
    assert source.fail().wake_at == NOON + 5 * MINUTE


def exhausted(rules: Rules = HOURLY) -> Source:
    source = Source(rules)
    for _ in range(4):
        source.fail()
        source.now = source.state.wake_at or source.now
    assert source.state.status is SyncStatus.ERROR
    return source


def test_after_error_the_schedule_goes_on_without_a_new_ladder_or_notification() -> None:
    source = exhausted()
    for _ in range(3):
        tick = source.state.next_run_at
        assert tick is not None
        assert (tick.minute, tick.second) == (0, 0)
        source.now = tick
        state = source.fail()
        assert (state.status, state.next_run_at) == (SyncStatus.ERROR, tick + timedelta(hours=1))
    assert source.told == [(NoticeKind.FAILED, "run4")]


def test_a_success_resolves_the_incident_once_and_the_next_failure_opens_another() -> None:
    source = exhausted()
    source.succeed()
    source.succeed()
    assert source.told == [(NoticeKind.FAILED, "run4"), (NoticeKind.RESOLVED, "run4")]
    assert (source.state.failures, source.state.last_failure) == (0, None)
    for _ in range(4):
        source.fail()
    assert source.told[2:] == [(NoticeKind.FAILED, "run10")]


def test_a_success_on_the_ladder_tells_no_one() -> None:
    source = Source()
    source.fail()
    source.succeed()
    assert source.told == []
    assert source.fail().failures == 1


def test_sync_now_resets_the_ladder() -> None:
    source = Source()
    source.fail()
    source.fail()
    state = source.happens(Request())
    assert (state.status, state.reason, state.next_run_at) == (SyncStatus.PENDING, Reason.REQUESTED, NOON)
    assert source.fail().failures == 1


def test_sync_now_after_error_climbs_a_new_ladder_but_the_incident_stays_one() -> None:
    source = exhausted()
    source.happens(Request())
    for _ in range(4):
        source.fail()
    assert source.state.status is SyncStatus.ERROR
    assert source.told == [(NoticeKind.FAILED, "run4")]


def test_a_sync_by_hand_begins_a_new_ladder() -> None:
    source = exhausted()
    source.claim(Trigger.MANUAL)
    state = source.owned(Fail, failure=FAILURE, recovery=Recovery.RETRY)
    assert (state.status, state.failures) == (SyncStatus.PENDING, 1)


def test_sync_now_while_syncing_changes_nothing() -> None:
    source = Source()
    before = source.claim()
    assert source.happens(Request()) == before


def test_a_policy_without_retries_goes_to_error_at_once() -> None:
    source = Source(Rules("erp", Frequency.manual(), RetryPolicy(delays=())))
    assert source.fail().status is SyncStatus.ERROR
    assert source.told == [(NoticeKind.FAILED, "run1")]


@pytest.mark.parametrize("recovery", [Recovery.STOP, Recovery.BLOCK])
def test_what_a_retry_cannot_mend_goes_to_error_at_once(recovery: Recovery) -> None:
    source = Source()
    assert source.fail(recovery).status is SyncStatus.ERROR
    assert source.told == [(NoticeKind.FAILED, "run1")]


def test_a_stopped_source_goes_on_with_its_schedule_and_without_a_ladder() -> None:
    source = Source()
    assert source.fail(Recovery.STOP).next_run_at == ONE_O_CLOCK
    source.sleep_until_due()
    assert source.fail().status is SyncStatus.ERROR
    assert len(source.told) == 1


def test_a_blocked_source_waits_for_an_edit_or_sync_now() -> None:
    source = Source()
    state = source.fail(Recovery.BLOCK)
    assert (state.reason, state.wake_at) == (Reason.BLOCKED, None)
    source.happens(Pause())
    assert source.happens(Resume()).wake_at is None
    assert transition(source.state, Request(), HOURLY, NOON).state.wake_at == NOON
    assert transition(source.state, Edit(2), HOURLY, NOON).state.wake_at is not None


# -- matters of security -------------------------------------------------------------------------------------------


def alarmed(source: Source, failure: Failure = OTHER_KEY) -> SourceState:
    source.claim(Trigger.MANUAL)
    return source.owned(Fail, failure=failure, recovery=Recovery.BLOCK)


def test_a_matter_of_security_is_told_once_besides_the_failure() -> None:
    source = Source()
    assert alarmed(source).reason is Reason.BLOCKED
    assert source.told == [(NoticeKind.FAILED, "run1"), (NoticeKind.SECURITY, "run1")]
    alarmed(source, evolve(OTHER_KEY, message="in other words", at=NOON + MINUTE))
    assert len(source.told) == 2


def test_each_matter_of_security_is_told_in_an_incident_that_is_open_already() -> None:
    source = Source()
    source.fail(Recovery.BLOCK)
    alarmed(source)
    third = evolve(OTHER_KEY, alarm="SHA256:third")
    for failure in (third, OTHER_KEY, FAILURE, third):
        alarmed(source, failure)
    assert source.told == [(NoticeKind.FAILED, "run1"), (NoticeKind.SECURITY, "run1"), (NoticeKind.SECURITY, "run1")]


def test_a_matter_of_security_is_told_again_after_the_incident() -> None:
    source = Source()
    alarmed(source)
    source.succeed()
    alarmed(source)
    assert source.told[2:] == [
        (NoticeKind.RESOLVED, "run1"),
        (NoticeKind.FAILED, "run3"),
        (NoticeKind.SECURITY, "run3"),
    ]


def test_an_edit_leaves_what_was_told_told() -> None:
    source = Source()
    alarmed(source)
    source.happens(Edit(2))
    alarmed(source)
    assert len(source.told) == 2


def test_a_matter_of_security_is_told_beside_a_held_plan() -> None:
    source = Source()
    source.hold()
    alarmed(source)
    kinds = [kind for kind, _ in source.told[1:]]
    assert kinds == [NoticeKind.RESOLVED, NoticeKind.FAILED, NoticeKind.SECURITY]


# -- nothing new, and what is remembered between fetches -------------------------------------------------------------

APPLIED = AppliedInput(NOON, "d1g357")


def rest(source: Source, **fields: Any) -> SourceState:
    source.claim()
    return source.owned(Rest, **fields)


def test_nothing_new_is_a_success_that_leaves_what_was_applied() -> None:
    source = Source(state=evolve(NEW, applied=APPLIED, baseline_rows=12))
    state = rest(source, cursor="file 9", memo="seen")
    assert (state.status, state.reason, state.last_success_at) == (SyncStatus.COMPLETED, Reason.DONE, NOON)
    assert (state.applied, state.baseline_rows, state.cursor, state.memo) == (APPLIED, 12, "file 9", "seen")
    assert state.wake_at == ONE_O_CLOCK


def test_nothing_new_ends_a_ladder_and_resolves_an_incident_of_the_way_there() -> None:
    source = Source()
    source.fail()
    assert (rest(source).failures, source.state.last_failure) == (0, None)
    source = exhausted()
    assert rest(source).status is SyncStatus.COMPLETED
    assert source.told[-1] == (NoticeKind.RESOLVED, "run4")


@pytest.mark.parametrize("code", ["encoding_invalid", "input_too_large"])
def test_nothing_new_does_not_mend_an_input_that_could_not_be_used(code: str) -> None:
    source = Source()
    source.claim()
    phase = Phase.FETCH if code == "input_too_large" else Phase.DECODE
    bad = evolve(FAILURE, code=code, phase=phase)
    source.owned(Fail, failure=bad, recovery=Recovery.STOP)
    state = rest(source)
    assert (state.status, state.reason, state.last_failure) == (SyncStatus.ERROR, Reason.FAILED, bad)
    assert state.wake_at == ONE_O_CLOCK
    assert source.told == [(NoticeKind.FAILED, "run1")]
    assert source.succeed().status is SyncStatus.COMPLETED
    assert source.told[1:] == [(NoticeKind.RESOLVED, "run1")]


def test_nothing_new_leaves_a_held_plan_to_the_person() -> None:
    source = Source()
    source.hold()
    state = rest(source, memo="seen")
    assert (state.status, state.reason, state.held_digest) == (SyncStatus.ERROR, Reason.HELD, "abc")
    assert (state.memo, state.last_success_at) == ("seen", None)


def test_a_memo_is_kept_however_a_run_ends_and_a_cursor_only_when_it_was_applied() -> None:
    source = Source(state=evolve(NEW, cursor="page 9"))
    source.claim()
    assert source.owned(Fail, failure=FAILURE, recovery=Recovery.RETRY, memo="1st").memo == "1st"
    source.claim()
    assert source.owned(Fail, failure=FAILURE, recovery=Recovery.RETRY).memo == "1st"
    source.claim()
    assert source.owned(Hold, digest="abc", summary="", memo="2nd").memo == "2nd"
    assert source.state.cursor == "page 9"
    assert source.succeed(memo="3rd").memo == "3rd"
    state = source.happens(Edit(2))
    assert (state.memo, state.cursor) == (None, None)


def test_more_to_fetch_is_fetched_at_once() -> None:
    source = Source()
    state = source.succeed(more=True)
    assert (state.status, state.wake_at, state.next_trigger) == (SyncStatus.COMPLETED, NOON, Trigger.SCHEDULED)


def test_an_applied_input_is_forgotten_when_levels_may_have_been_written_since() -> None:
    source = Source()
    assert source.succeed(applied=APPLIED).applied == APPLIED
    assert source.succeed().applied == APPLIED
    for event in (Cancel, Release):
        source.state = evolve(source.state, applied=APPLIED)
        source.claim()
        assert source.owned(event).applied == AppliedInput(NOON)
    source.state = evolve(source.state, applied=APPLIED)
    assert source.happens(Edit(2)).applied == AppliedInput(NOON)


# -- a failure while a plan is held -----------------------------------------------------------------------------------


def test_an_input_that_cannot_be_used_while_a_plan_is_held_is_told_once_and_the_plan_stays() -> None:
    source = Source()
    source.hold()
    state = source.fail(Recovery.STOP)
    assert (state.status, state.reason, state.held_digest) == (SyncStatus.ERROR, Reason.FAILED, "abc")
    source.fail(Recovery.STOP)
    assert source.told == [(NoticeKind.HELD, "run1"), (NoticeKind.RESOLVED, "run1"), (NoticeKind.FAILED, "run2")]
    assert source.happens(Approve("abc")).approved_digest == "abc"


def test_what_ends_the_question_of_a_held_plan_is_said() -> None:
    told = {}
    for event in (RejectHeld("abc"), Edit(2)):
        source = Source()
        source.hold()
        told[type(event)] = [notice.summary for notice in transition(source.state, event, HOURLY, NOON).notices]
    assert [summaries[0].split()[-1] for summaries in told.values()] == ["rejected", "decision"]
    source = Source()
    source.hold()
    source.claim()
    succeeded = Succeed(source.state.run_id, source.state.epoch)
    assert [notice.summary for notice in transition(source.state, succeeded, HOURLY, NOON).notices] == [""]


# -- waiting -------------------------------------------------------------------------------------------------------


def test_waiting_burns_no_retry_and_waits_as_told() -> None:
    source = Source()
    state = source.fail(Recovery.WAIT, timedelta(minutes=7))
    assert (state.status, state.reason, state.failures) == (SyncStatus.PENDING, Reason.WAITING, 0)
    assert state.wake_at == NOON + 7 * MINUTE
    assert source.fail(Recovery.WAIT).wake_at == NOON + HOURLY.retry.wait


def test_patience_ends_and_the_ladder_begins() -> None:
    source = Source()
    patience = HOURLY.retry.patience
    source.fail(Recovery.WAIT)
    source.now = NOON + patience - MINUTE
    assert source.fail(Recovery.WAIT).failures == 0
    source.now = NOON + patience
    statuses = []
    for _ in range(4):
        statuses.append(source.fail(Recovery.WAIT).status)
        source.sleep_until_due()
    assert statuses == [SyncStatus.PENDING] * 3 + [SyncStatus.ERROR]
    assert [kind for kind, _ in source.told] == [NoticeKind.FAILED]


def test_a_success_renews_the_patience() -> None:
    source = Source()
    source.fail(Recovery.WAIT)
    source.succeed()
    source.now = NOON + HOURLY.retry.patience
    assert source.fail(Recovery.WAIT).failures == 0


def test_a_server_s_wait_longer_than_the_ladder_s_delay_is_kept_after_patience() -> None:
    source = Source()
    source.fail(Recovery.WAIT)
    source.now = NOON + HOURLY.retry.patience
    assert source.fail(Recovery.WAIT, timedelta(hours=2)).next_run_at == source.now + timedelta(hours=2)


# -- held plans ----------------------------------------------------------------------------------------------------


def test_a_held_plan_shows_as_error_and_tells_once() -> None:
    source = Source()
    state = source.hold()
    assert (state.status, state.reason, state.held_digest) == (SyncStatus.ERROR, Reason.HELD, "abc")
    assert state.next_run_at == ONE_O_CLOCK
    assert source.hold("other").held_digest == "other"
    assert source.told == [(NoticeKind.HELD, "run1")]


def test_an_approved_plan_runs_now_and_its_success_resolves_the_incident() -> None:
    source = Source()
    source.hold()
    state = source.happens(Approve("abc"))
    assert (state.wake_at, state.next_trigger, state.approved_digest) == (NOON, Trigger.MANUAL, "abc")
    state = source.succeed()
    assert (state.held_digest, state.approved_digest, state.incident) == (None, None, None)
    assert source.told == [(NoticeKind.HELD, "run1"), (NoticeKind.RESOLVED, "run1")]


def test_an_approval_is_of_the_plan_that_was_looked_at() -> None:
    source = Source()
    source.hold()
    for event in (Approve("other"), RejectHeld("other")):
        with pytest.raises(ApprovalInvalid):
            transition(source.state, event, HOURLY, NOON)
    for event in (Approve("abc"), RejectHeld("abc")):
        with pytest.raises(ApprovalInvalid):
            transition(NEW, event, HOURLY, NOON)


def test_an_approval_is_one_shot() -> None:
    source = Source()
    source.hold()
    source.happens(Approve("abc"))
    source.succeed()
    with pytest.raises(ApprovalInvalid):
        source.happens(Approve("abc"))


def test_a_plan_held_anew_takes_the_approval_back() -> None:
    source = Source()
    source.hold()
    source.happens(Approve("abc"))
    state = source.hold("other")
    assert (state.held_digest, state.approved_digest) == ("other", None)


def test_a_rejected_plan_resolves_and_the_same_one_again_tells_no_one() -> None:
    source = Source()
    source.hold()
    state = source.happens(RejectHeld("abc"))
    assert (state.status, state.reason, state.held_digest) == (SyncStatus.PENDING, Reason.REJECTED, None)
    assert state.next_run_at == ONE_O_CLOCK
    assert source.hold("abc").status is SyncStatus.ERROR
    assert source.told == [(NoticeKind.HELD, "run1"), (NoticeKind.RESOLVED, "run1")]


def test_another_plan_than_the_rejected_one_tells_again() -> None:
    source = Source()
    source.hold()
    source.happens(RejectHeld("abc"))
    source.hold("other")
    assert source.told[2:] == [(NoticeKind.HELD, "run2")]


def test_a_clean_run_overtakes_a_held_plan() -> None:
    source = Source()
    source.hold()
    source.sleep_until_due()
    assert source.succeed().held_digest is None
    assert source.told == [(NoticeKind.HELD, "run1"), (NoticeKind.RESOLVED, "run1")]


def test_a_failure_while_a_plan_is_held_keeps_it_held() -> None:
    source = Source()
    source.hold()
    state = source.fail()
    assert (state.status, state.reason, state.held_digest) == (SyncStatus.ERROR, Reason.HELD, "abc")
    assert source.told == [(NoticeKind.HELD, "run1")]


@pytest.mark.parametrize("lost", [False, True])
def test_what_a_person_asked_for_is_tried_again_while_a_plan_is_held(lost: bool) -> None:
    source = Source(BY_HAND)
    source.hold()
    source.happens(Request())
    waits = []
    for _ in range(4):
        if lost:
            source.claim()
            source.now += 2 * LEASE
            state = source.happens(Lose())
        else:
            state = source.fail()
        assert (state.status, state.reason, state.held_digest) == (SyncStatus.ERROR, Reason.HELD, "abc")
        assert state.last_failure is not None
        waits.append(state.wake_at and state.wake_at - source.now)
        source.now = state.wake_at or source.now
    ladder = [timedelta(0)] * 3 if lost else [5 * MINUTE, 15 * MINUTE, 60 * MINUTE]
    assert waits == [*ladder, None]
    assert source.told == [(NoticeKind.HELD, "run1")]


def test_a_server_s_wait_is_kept_while_a_plan_is_held() -> None:
    source = Source()
    source.hold()
    assert source.fail(Recovery.WAIT, timedelta(hours=5)).next_run_at == NOON + timedelta(hours=5)


def test_wrong_credentials_while_a_plan_is_held_are_told() -> None:
    source = Source()
    source.hold()
    source.fail(Recovery.BLOCK)
    assert source.told == [(NoticeKind.HELD, "run1"), (NoticeKind.RESOLVED, "run1"), (NoticeKind.FAILED, "run2")]


def test_a_hold_after_error_resolves_the_failure_and_tells_of_the_hold() -> None:
    source = exhausted()
    source.hold()
    assert source.told[1:] == [(NoticeKind.RESOLVED, "run4"), (NoticeKind.HELD, "run5")]


# -- workers that go, edits, pauses --------------------------------------------------------------------------------


def test_a_lost_worker_counts_as_an_attempt_and_is_replaced_at_once() -> None:
    source = Source()
    source.claim()
    source.sleep_until_due()
    state = source.happens(Lose())
    assert (state.status, state.failures, state.wake_at) == (SyncStatus.PENDING, 1, source.now)
    assert state.last_failure is not None
    assert state.last_failure.code == "worker_lost"


def test_workers_that_are_always_lost_end_in_error_and_one_notification() -> None:
    source = Source(BY_HAND)
    for _ in range(4):
        source.claim()
        source.sleep_until_due()
        source.happens(Lose())
    assert (source.state.status, source.state.wake_at) == (SyncStatus.ERROR, None)
    assert source.told == [(NoticeKind.FAILED, "run4")]


def test_a_worker_whose_lease_runs_is_not_lost() -> None:
    source = Source()
    source.claim()
    source.now += LEASE - timedelta(microseconds=1)
    with pytest.raises(IllegalTransition):
        source.happens(Lose())
    source.owned(Renew, lease=LEASE)
    assert source.state.lease_until == source.now + LEASE


def approved() -> Source:
    source = Source(BY_HAND)
    source.hold()
    source.happens(Approve("abc"))
    return source


def test_an_approval_survives_a_lost_worker() -> None:
    source = approved()
    source.claim()
    source.sleep_until_due()
    state = source.happens(Lose())
    assert (state.approved_digest, state.wake_at) == ("abc", source.now)


def test_an_approved_plan_whose_workers_are_always_lost_ends_in_error_and_waits_for_a_person_again() -> None:
    source = approved()
    for _ in range(4):
        assert source.state.approved_digest == "abc"
        source.claim()
        source.sleep_until_due()
        source.happens(Lose())
    state = source.state
    assert (state.status, state.wake_at, state.held_digest, state.approved_digest) == (
        SyncStatus.ERROR,
        None,
        "abc",
        None,
    )
    assert source.told[1:] == [(NoticeKind.RESOLVED, "run1"), (NoticeKind.FAILED, "run5")]


def test_an_approved_plan_that_could_not_be_applied_is_retried_as_approved() -> None:
    source = approved()
    state = source.fail()
    assert (state.status, state.reason, state.approved_digest) == (SyncStatus.PENDING, Reason.RETRY, "abc")
    assert state.next_run_at == NOON + 5 * MINUTE
    source.succeed()
    assert (source.state.held_digest, source.state.approved_digest) == (None, None)


def test_an_approved_plan_that_cannot_be_applied_is_told_and_waits_for_a_person_again() -> None:
    source = approved()
    state = source.fail(Recovery.STOP)
    assert (state.status, state.held_digest, state.approved_digest) == (SyncStatus.ERROR, "abc", None)
    assert source.told[1:] == [(NoticeKind.RESOLVED, "run1"), (NoticeKind.FAILED, "run2")]


def test_a_worker_that_stops_in_good_order_spends_nothing() -> None:
    source = Source()
    source.claim()
    state = source.owned(Release)
    assert (state.status, state.failures, state.wake_at) == (SyncStatus.PENDING, 0, NOON)
    assert state.next_trigger is Trigger.SCHEDULED


def test_a_cancelled_sync_waits_for_the_schedule() -> None:
    source = Source()
    source.claim()
    assert source.happens(RequestCancel()).cancel_requested
    state = source.owned(Cancel)
    assert (state.status, state.reason, state.next_run_at) == (SyncStatus.PENDING, Reason.CANCELLED, ONE_O_CLOCK)
    assert not state.cancel_requested


def test_a_cancelled_approval_is_taken_back_and_the_plan_stays_held() -> None:
    source = approved()
    source.claim()
    state = source.owned(Cancel)
    assert (state.status, state.reason) == (SyncStatus.ERROR, Reason.HELD)
    assert (state.held_digest, state.approved_digest) == ("abc", None)


def test_an_edit_fences_a_running_sync() -> None:
    source = Source()
    running = source.claim()
    state = source.happens(Edit(2))
    assert (state.status, state.reason, state.config_version) == (SyncStatus.PENDING, Reason.EDITED, 2)
    assert state.epoch > running.epoch
    with pytest.raises(LeaseLost):
        source.happens(Succeed(running.run_id or "", running.epoch))


def test_an_edit_keeps_a_request_that_no_worker_has_taken_yet() -> None:
    source = Source(BY_HAND)
    source.happens(Request())
    state = source.happens(Edit(2))
    assert (state.reason, state.next_trigger, state.wake_at) == (Reason.REQUESTED, Trigger.MANUAL, NOON)


def test_an_edit_drops_what_was_held_and_keeps_a_completed_source_completed() -> None:
    source = Source()
    source.hold()
    state = source.happens(Edit(2))
    assert (state.held_digest, state.incident) == (None, None)
    assert source.told[1:] == [(NoticeKind.RESOLVED, "run1")]
    source.succeed()
    assert source.happens(Edit(3)).status is SyncStatus.COMPLETED


def test_an_edit_after_error_is_tried_by_a_new_ladder_and_the_incident_stays_open() -> None:
    source = exhausted()
    state = source.happens(Edit(2))
    assert (state.status, state.failures) == (SyncStatus.PENDING, 0)
    source.succeed()
    assert source.told == [(NoticeKind.FAILED, "run4"), (NoticeKind.RESOLVED, "run4")]


def test_a_paused_source_runs_only_when_asked() -> None:
    source = Source()
    source.succeed()
    assert source.happens(Pause()).wake_at is None
    assert source.happens(Request()).wake_at == NOON
    assert source.succeed().wake_at is None
    assert source.happens(Resume()).wake_at == ONE_O_CLOCK


def test_a_pause_lets_the_running_sync_end_and_its_dead_worker_be_noticed() -> None:
    source = Source()
    source.claim()
    assert source.happens(Pause()).wake_at == NOON + LEASE
    assert source.owned(Succeed).wake_at is None


# -- walks at random -----------------------------------------------------------------------------------------------


# -- deliveries ----------------------------------------------------------------------------------------------------

UNREADABLE = Failure("structure_invalid", Phase.DECODE, "delivery 7 is no JSON", "mend it", NOON)


def test_what_could_not_be_read_is_tried_again_while_the_source_takes_pushes() -> None:
    source = Source(BY_HAND)
    state = source.succeed(aside=Aside(UNREADABLE, NOON + 5 * MINUTE))
    assert (state.status, state.reason) == (SyncStatus.PENDING, Reason.SET_ASIDE)
    assert (state.next_run_at, state.next_trigger) == (NOON + 5 * MINUTE, Trigger.WEBHOOK)
    assert (state.last_failure, state.last_success_at) == (UNREADABLE, NOON)
    assert state.takes_pushes
    assert source.told == []


def test_the_schedule_comes_first_where_it_is_earlier_than_the_next_attempt() -> None:
    source = Source(HOURLY)
    state = source.succeed(aside=Aside(UNREADABLE, ONE_O_CLOCK + MINUTE))
    assert (state.next_run_at, state.next_trigger) == (ONE_O_CLOCK, Trigger.SCHEDULED)


def test_parked_deliveries_are_one_incident_until_none_is_left() -> None:
    source = Source(BY_HAND)
    state = source.succeed(aside=Aside(UNREADABLE, None))
    assert (state.status, state.reason, state.failures) == (SyncStatus.ERROR, Reason.PARKED, 0)
    assert state.takes_pushes
    source.succeed(Trigger.WEBHOOK, aside=Aside(UNREADABLE, None))
    source.succeed(Trigger.WEBHOOK, aside=Aside(UNREADABLE, NOON + MINUTE))
    assert source.told == [(NoticeKind.FAILED, "run1")]
    assert source.succeed(Trigger.WEBHOOK).status is SyncStatus.COMPLETED
    assert source.told == [(NoticeKind.FAILED, "run1"), (NoticeKind.RESOLVED, "run1")]


def test_a_failure_beside_parked_deliveries_climbs_its_own_ladder() -> None:
    source = Source(BY_HAND)
    source.succeed(aside=Aside(UNREADABLE, None))
    state = source.fail()
    assert (state.status, state.reason) == (SyncStatus.PENDING, Reason.RETRY)
    assert not state.takes_pushes


def test_a_run_in_which_nothing_could_be_read_is_no_success() -> None:
    source = Source(BY_HAND)
    state = source.succeed(aside=Aside(UNREADABLE, NOON + MINUTE, nothing_read=True))
    assert state.last_success_at is None


def test_nothing_new_shows_what_is_parked_until_it_is_clear() -> None:
    source = Source(BY_HAND)
    source.succeed(aside=Aside(UNREADABLE, None))
    source.claim(Trigger.MANUAL)
    state = source.owned(Rest, aside=Aside(UNREADABLE, None, nothing_read=True))
    assert (state.status, state.reason) == (SyncStatus.ERROR, Reason.PARKED)
    source.claim(Trigger.MANUAL)
    assert source.owned(Rest, clear=True).status is SyncStatus.COMPLETED
    assert source.told == [(NoticeKind.FAILED, "run1"), (NoticeKind.RESOLVED, "run1")]


def test_an_overtaken_plan_is_resolved_before_deliveries_are_told_of() -> None:
    source = Source(BY_HAND)
    source.hold()
    source.succeed(aside=Aside(UNREADABLE, None))
    kinds = [kind for kind, _ in source.told]
    assert kinds == [NoticeKind.HELD, NoticeKind.RESOLVED, NoticeKind.FAILED]


def test_an_edit_leaves_deliveries_waiting_for_their_attempt_or_their_person() -> None:
    source = Source(BY_HAND)
    source.succeed(aside=Aside(UNREADABLE, NOON + 5 * MINUTE))
    assert source.happens(Edit(2)).next_run_at == NOON + 5 * MINUTE
    source.succeed(aside=Aside(UNREADABLE, None))
    assert source.happens(Edit(3)).reason is Reason.PARKED


@pytest.mark.parametrize("recovery", [Recovery.RETRY, Recovery.WAIT, Recovery.BLOCK])
def test_a_source_that_waits_for_its_retry_or_an_edit_gathers_pushes(recovery: Recovery) -> None:
    source = Source(BY_HAND)
    assert source.state.takes_pushes
    assert not source.claim().takes_pushes
    assert not source.owned(Fail, failure=FAILURE, recovery=recovery).takes_pushes


def test_a_paused_source_gathers_pushes_and_one_in_error_is_tried_by_them() -> None:
    source = Source(Rules("erp", Frequency.manual(), RetryPolicy(delays=())))
    assert source.fail().takes_pushes
    assert not source.happens(Pause()).takes_pushes
    assert source.happens(Resume()).takes_pushes


class Walk(RuleBasedStateMachine):
    """Every event in any order; the promises hold after each."""

    @initialize(
        frequency=st.sampled_from([Frequency.manual(), Frequency(interval=timedelta(hours=1))]),
        retries=st.integers(0, 3),
    )
    def begin(self, frequency: Frequency, retries: int) -> None:
        policy = RetryPolicy(delays=(5 * MINUTE, 15 * MINUTE, 60 * MINUTE)[:retries], patience=timedelta(hours=2))
        self.source = Source(Rules("erp", frequency, policy), SourceState())
        self.highest = 0
        self.ladder = 0

    def step(self, event: Event) -> None:
        before = self.source.state
        try:
            self.source.happens(event)
        except (IllegalTransition, LeaseLost, ApprovalInvalid):
            assert self.source.state is before

    @rule(trigger=st.sampled_from(Trigger))
    def claim(self, trigger: Trigger) -> None:
        self.source.runs += 1
        self.step(Claim(f"run{self.source.runs}", "worker", LEASE, trigger))

    @rule(
        kind=st.sampled_from(
            [
                (Succeed, {}),
                (Succeed, {"baseline_rows": 5}),
                (Succeed, {"aside": Aside(FAILURE, NOON + MINUTE)}),
                (Succeed, {"aside": Aside(FAILURE, None)}),
                (Rest, {}),
                (Rest, {"clear": True}),
                (Rest, {"aside": Aside(FAILURE, None, nothing_read=True)}),
                (Cancel, {}),
                (Release, {}),
                (Renew, {"lease": LEASE}),
                (Hold, {"digest": "a", "summary": ""}),
                (Hold, {"digest": "b", "summary": ""}),
                *((Fail, {"failure": FAILURE, "recovery": recovery}) for recovery in Recovery),
                (Fail, {"failure": FAILURE, "recovery": Recovery.WAIT, "retry_after": timedelta(hours=3)}),
                (Fail, {"failure": OTHER_KEY, "recovery": Recovery.BLOCK}),
            ]
        ),
        behind=st.integers(0, 1),
    )
    @precondition(lambda self: self.source.state.run_id is not None)
    def run_event(self, kind: tuple[Any, dict[str, Any]], behind: int) -> None:
        state = self.source.state
        self.step(kind[0](run_id=state.run_id, epoch=state.epoch - behind, **kind[1]))

    @rule(
        event=st.sampled_from(
            [Lose(), Request(), RequestCancel(), Edit(2), Pause(), Resume()]
            + [kind(digest) for kind in (Approve, RejectHeld) for digest in "ab"]
        )
    )
    def outside_event(self, event: Event) -> None:
        self.step(event)

    @rule(minutes=st.integers(1, 200))
    def time_passes(self, minutes: int) -> None:
        self.source.now += minutes * MINUTE

    @invariant()
    def the_promises_hold(self) -> None:
        state, rules = self.source.state, self.source.rules
        syncing = state.status is SyncStatus.SYNCING
        assert state.epoch >= self.highest
        self.highest = state.epoch
        assert 0 <= state.failures <= rules.retry.exhausted
        assert syncing == (state.run_id is not None) == (state.lease_until is not None) == (state.trigger is not None)
        assert not (syncing and state.next_run_at is not None)
        assert (state.reason is Reason.RUNNING) == syncing
        assert not state.cancel_requested or syncing
        assert state.approved_digest in (None, state.held_digest)

    @invariant()
    def incidents_open_and_close_in_turn(self) -> None:
        opened: str | None = None
        for kind, incident in self.source.told:
            if kind is NoticeKind.RESOLVED:
                assert incident == opened
                opened = None
            elif kind is NoticeKind.SECURITY:
                assert incident == opened
            else:
                assert opened is None
                opened = incident
        assert (self.source.state.incident.id if self.source.state.incident else None) == opened

    @invariant()
    def a_person_is_told_of_every_lasting_error(self) -> None:
        state = self.source.state
        if state.status is SyncStatus.ERROR:
            assert state.incident is not None or state.held_digest == state.rejected_digest is not None

    @invariant()
    def a_scheduled_source_is_never_forgotten(self) -> None:
        state = self.source.state
        asleep = state.paused or state.reason in (Reason.BLOCKED, Reason.NEVER_RUN)
        if not self.source.rules.frequency.is_manual and not asleep:
            assert state.wake_at is not None

    @invariant()
    def a_retry_that_waits_is_never_forgotten(self) -> None:
        state = self.source.state
        if state.reason in (Reason.RETRY, Reason.WAITING, Reason.REQUESTED, Reason.SET_ASIDE):
            assert state.next_run_at is not None


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=300, stateful_step_count=40)
