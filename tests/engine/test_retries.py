"""The ladder, waiting, blocking, notifications and the schedule, through the engine and its store."""

from __future__ import annotations

from datetime import timedelta

import pytest

from inventory_sources import RetryPolicy, SyncStatus
from inventory_sources.errors import AccessRefused, HeadingInvalid, InputIncomplete, RateLimited
from inventory_sources.run import RunResult, Trigger
from inventory_sources.status import Reason

from .conftest import PASSING, Shop

GOOD = "sku,quantity\nA,5\n"
MINUTE = timedelta(minutes=1)


def test_a_failed_sync_is_retried_after_5_15_and_60_minutes_then_one_notification(shop: Shop) -> None:
    shop.stock(A=1)
    shop.add(PASSING)
    assert shop.engine.sync("erp").result is RunResult.FAILED
    for attempt, delay in enumerate((5 * MINUTE, 15 * MINUTE, 60 * MINUTE), start=1):
        status = shop.engine.status("erp")
        assert (status.status, status.reason, status.failures) == (SyncStatus.PENDING, Reason.RETRY, attempt)
        assert status.next_run_at == shop.clock.now() + delay
        assert status.last_failure is not None
        assert status.last_failure.code == "connect_failed"
        shop.clock.advance(delay - timedelta(seconds=1))
        assert shop.engine.run_due() == []
        shop.clock.advance(timedelta(seconds=1))
        assert shop.mailbox.received == []
        (run,) = shop.engine.run_due()
        assert (run.trigger, run.attempt, run.result) == (Trigger.RETRY, attempt, RunResult.FAILED)
    status = shop.engine.status("erp")
    assert (status.status, status.next_run_at) == (SyncStatus.ERROR, None)
    assert shop.mailbox.kinds == ["failed"]
    shop.clock.advance(timedelta(days=2))
    assert shop.engine.run_due() == []
    assert shop.mailbox.kinds == ["failed"]


def test_the_ladder_suppresses_scheduled_ticks_and_success_ends_it(shop: Shop) -> None:
    shop.stock(A=1)
    shop.add(PASSING, GOOD, frequency="5min", retry=RetryPolicy(delays=(30 * MINUTE,)))
    shop.engine.sync("erp")
    shop.clock.advance(29 * MINUTE)
    assert shop.engine.run_due() == []
    shop.clock.advance(MINUTE)
    (run,) = shop.engine.run_due()
    assert (run.result, shop.levels) == (RunResult.COMPLETED, {"A": 5})
    status = shop.engine.status("erp")
    assert (status.status, status.failures, status.last_failure) == (SyncStatus.COMPLETED, 0, None)
    assert shop.mailbox.received == []


def test_after_error_the_schedule_goes_on_without_ladder_or_notification_until_it_resolves(shop: Shop) -> None:
    shop.stock(A=1)
    connector = shop.add(PASSING, frequency="1h", retry=RetryPolicy(delays=(MINUTE,)))
    shop.engine.sync("erp")
    shop.clock.advance(MINUTE)
    shop.engine.run_due()
    assert shop.engine.status("erp").status is SyncStatus.ERROR
    for _ in range(3):
        shop.clock.advance(timedelta(hours=1))
        (run,) = shop.engine.run_due()
        assert run.trigger is Trigger.SCHEDULED
        assert shop.engine.status("erp").status is SyncStatus.ERROR
    assert shop.mailbox.kinds == ["failed"]
    connector.inputs = [GOOD]
    shop.clock.advance(timedelta(hours=1))
    shop.engine.run_due()
    assert shop.mailbox.kinds == ["failed", "resolved"]
    assert len({notification.incident for notification in shop.mailbox.received}) == 1


def test_wrong_credentials_wait_for_an_edit_or_sync_now(shop: Shop) -> None:
    shop.stock(A=1)
    connector = shop.add(AccessRefused("the ERP answered 401"), frequency="5min")
    shop.engine.sync("erp")
    status = shop.engine.status("erp")
    assert (status.status, status.reason, status.next_run_at) == (SyncStatus.ERROR, Reason.BLOCKED, None)
    assert shop.mailbox.kinds == ["failed"]
    shop.clock.advance(timedelta(days=1))
    assert shop.engine.run_due() == []
    shop.engine.update_source(shop.source(connector, frequency="5min"))
    connector.inputs = [GOOD]
    shop.clock.advance(5 * MINUTE)
    (run,) = shop.engine.run_due()
    assert run.result is RunResult.COMPLETED


def test_a_missing_column_is_an_error_at_once_while_the_schedule_goes_on(shop: Shop) -> None:
    shop.stock(A=1)
    shop.add("sku,amount\nA,5\n", frequency="5min")
    run = shop.engine.sync("erp")
    assert run.failure is not None
    assert run.failure.code == HeadingInvalid.code
    status = shop.engine.status("erp")
    assert (status.status, status.reason) == (SyncStatus.ERROR, Reason.FAILED)
    assert status.next_run_at is not None
    assert shop.levels == {"A": 1}


@pytest.mark.parametrize("storm", [1, 7])
def test_a_429_waits_as_told_and_burns_no_retry(shop: Shop, storm: int) -> None:
    shop.stock(A=1)
    told = RateLimited("the ERP answered 429", retry_after=timedelta(minutes=7))
    shop.add(*[told] * storm, GOOD)
    shop.engine.sync("erp")
    for _ in range(storm):
        status = shop.engine.status("erp")
        assert (status.status, status.reason, status.failures) == (SyncStatus.PENDING, Reason.WAITING, 0)
        assert status.next_run_at == shop.clock.now() + 7 * MINUTE
        shop.clock.advance(7 * MINUTE)
        shop.engine.run_due()
    assert shop.levels == {"A": 5}
    assert shop.mailbox.received == []


def test_waiting_has_an_end(shop: Shop) -> None:
    shop.add(InputIncomplete("feed.csv may still be growing"), retry=RetryPolicy(delays=(MINUTE,), patience=5 * MINUTE))
    shop.engine.sync("erp")
    for _ in range(10):
        shop.clock.advance(MINUTE)
        shop.engine.run_due()
    assert shop.engine.status("erp").status is SyncStatus.ERROR
    assert shop.mailbox.kinds == ["failed"]


def test_sync_now_resets_the_ladder(shop: Shop) -> None:
    shop.add(PASSING)
    shop.engine.sync("erp")
    shop.clock.advance(5 * MINUTE)
    shop.engine.run_due()
    assert shop.engine.status("erp").failures == 2
    shop.engine.sync("erp")
    assert shop.engine.status("erp").failures == 1


def test_a_requested_sync_is_durable_and_runs_in_another_engine(shop: Shop) -> None:
    shop.stock(A=1)
    shop.add(GOOD)
    state = shop.engine.request_sync("erp", actor="ana")
    assert (state.status, state.reason) == (SyncStatus.PENDING, Reason.REQUESTED)
    (run,) = shop.engine.run_due()
    assert (run.trigger, shop.levels) == (Trigger.MANUAL, {"A": 5})


def test_missed_ticks_count_as_one(shop: Shop) -> None:
    shop.stock(A=1)
    connector = shop.add(GOOD, frequency="5min")
    shop.engine.sync("erp")
    shop.clock.advance(timedelta(hours=3))
    assert len(shop.engine.run_due()) == 1
    assert shop.engine.run_due() == []
    assert connector.fetches == 2


def test_a_paused_source_runs_only_by_hand(shop: Shop) -> None:
    shop.stock(A=1)
    connector = shop.add(GOOD, frequency="5min")
    shop.engine.pause("erp")
    shop.clock.advance(timedelta(hours=1))
    assert shop.engine.run_due() == []
    assert shop.engine.sync("erp").result is RunResult.COMPLETED
    shop.clock.advance(timedelta(hours=1))
    assert shop.engine.run_due() == []
    shop.engine.resume("erp")
    assert len(shop.engine.run_due()) == 1
    assert connector.fetches == 2


def test_a_notification_that_cannot_be_handed_over_is_tried_again_with_the_same_id(shop: Shop) -> None:
    shop.mailbox.broken = True
    shop.add(AccessRefused("the ERP answered 401"))
    shop.engine.sync("erp")
    assert shop.mailbox.received == []
    shop.mailbox.broken = False
    shop.clock.advance(timedelta(minutes=2))
    assert shop.engine.notify() == 1
    assert shop.engine.notify() == 0
    assert shop.mailbox.kinds == ["failed"]


def test_a_part_that_crashes_is_named_without_its_words(shop: Shop) -> None:
    class Leaky:
        def fetch(self, context: object) -> object:
            raise RuntimeError("https://user:hunter2@erp.example/stock")

    shop.engine.add_source(shop.source(Leaky()))
    run = shop.engine.sync("erp")
    assert run.failure is not None
    assert "Leaky raised RuntimeError at test_retries.py" in run.failure.message
    assert "hunter2" not in repr(run)
    assert shop.engine.status("erp").reason is Reason.RETRY
