"""The road of a delivery: received, kept, applied; repeated, overtaken, unreadable, parked."""

from __future__ import annotations

from datetime import timedelta

from inventory_sources.protocols.inbox import InboxStatus
from inventory_sources.run import RunResult, Trigger
from inventory_sources.status import Reason, SyncStatus
from tests.webhooks.shop import PushedShop


def test_a_delivery_is_kept_before_it_is_answered_and_applied_by_the_next_worker() -> None:
    shop = PushedShop()
    assert shop.deliver({"A1": 5}).status == 200
    assert shop.levels() == {}
    (waiting,) = shop.engine.webhooks.deliveries("wms")
    assert waiting.status is InboxStatus.WAITING
    (run,) = shop.engine.run_due()
    assert (run.result, run.trigger, run.products_updated) == (RunResult.COMPLETED, Trigger.WEBHOOK, 1)
    assert shop.levels() == {"A1": 5}
    (applied,) = shop.engine.webhooks.deliveries("wms")
    assert (applied.status, applied.run_id) == (InboxStatus.APPLIED, run.id)
    assert shop.engine.run_due() == []
    assert shop.engine.status("wms").status is SyncStatus.COMPLETED


def test_at_once_applies_before_the_answer() -> None:
    shop = PushedShop(at_once=True)
    assert shop.deliver({"A1": 5}).status == 200
    assert shop.levels() == {"A1": 5}


def test_a_forged_delivery_is_refused_without_a_word_and_nothing_is_kept() -> None:
    shop = PushedShop()
    answer = shop.deliver({"A1": 0}, at=shop.clock.now() - timedelta(minutes=6))
    assert (answer.status, answer.body) == (401, b"")
    assert shop.engine.webhooks.deliveries("wms") == []
    assert [refusal.status for refusal in shop.engine.webhooks.refusals("wms")] == [401]


def test_a_repetition_is_acknowledged_and_counts_once() -> None:
    shop = PushedShop()
    for _ in range(3):
        assert shop.deliver({"A1": 5}, message="one").status == 200
    shop.engine.run_due()
    assert shop.deliver({"A1": 5}, message="one").status == 200
    assert len(shop.engine.webhooks.deliveries("wms")) == 1
    assert shop.engine.run_due() == []


def test_another_body_under_a_signed_id_is_a_conflict_and_audited() -> None:
    shop = PushedShop()
    shop.deliver({"A1": 5}, message="one")
    assert shop.deliver({"A1": 6}, message="one").status == 409
    shop.engine.run_due()
    assert shop.levels() == {"A1": 5}
    assert next(entry.action for entry in shop.engine.audit("wms")) == "delivery_conflict"


def test_sync_now_drains_the_inbox() -> None:
    shop = PushedShop()
    shop.deliver({"A1": 5})
    shop.passes(seconds=1)
    shop.deliver({"A1": 4, "A2": 2})
    run = shop.engine.sync("wms")
    assert (run.products_updated, run.counts.rows, run.counts.duplicate) == (2, 3, 1)
    assert run.counts.add_up
    assert shop.levels() == {"A1": 4, "A2": 2}
    assert shop.engine.run_due() == []
    assert shop.engine.sync("wms").skipped == "nothing was pushed since the last sync"


def test_a_delivery_that_cannot_be_read_is_set_aside_and_the_others_go_on() -> None:
    shop = PushedShop()
    shop.deliver(b'{"nothing": []}')
    shop.deliver({"A1": 5})
    (run,) = shop.engine.run_due()
    assert run.result is RunResult.COMPLETED
    assert "there is no 'items'" in run.warnings[0] and "tried again at 2026-03-02 12:05:00 UTC" in run.warnings[0]
    assert shop.levels() == {"A1": 5}
    state = shop.engine.status("wms")
    assert (state.status, state.reason) == (SyncStatus.PENDING, Reason.SET_ASIDE)
    assert state.next_run_at == shop.clock.now() + timedelta(minutes=5)
    assert shop.engine.run_due() == []


def test_a_delivery_is_parked_after_the_ladder_with_one_notification_and_later_ones_proceed() -> None:
    shop = PushedShop()
    shop.deliver(b'{"nothing": []}')
    (first,) = shop.engine.run_due()
    assert first.result is RunResult.FAILED and first.failure is not None
    for minutes in (5, 15):
        shop.passes(minutes=minutes)
        (run,) = shop.engine.run_due()
        assert run.result is RunResult.FAILED
        assert shop.engine.status("wms").status is SyncStatus.PENDING
        shop.deliver({"A1": minutes})
        shop.engine.run_due()
        assert shop.levels() == {"A1": minutes}
        assert shop.engine.status("wms").reason is Reason.SET_ASIDE
    shop.passes(minutes=60)
    shop.engine.run_due()
    state = shop.engine.status("wms")
    assert (state.status, state.reason, shop.mailbox.kinds) == (SyncStatus.ERROR, Reason.PARKED, ["failed"])
    shop.deliver({"A1": 1})
    shop.engine.run_due()
    assert shop.levels() == {"A1": 1}
    assert shop.mailbox.kinds == ["failed"]
    (parked,) = shop.engine.webhooks.deliveries("wms", status=InboxStatus.PARKED)
    assert parked.attempts == 4
    assert shop.engine.webhooks.dismiss("wms", [parked.id]) == 1
    shop.engine.run_due()
    assert shop.engine.status("wms").status is SyncStatus.COMPLETED
    assert shop.mailbox.kinds == ["failed", "resolved"]
