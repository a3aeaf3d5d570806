"""What one run takes of a large inbox, what becomes of a cancelled run's deliveries, and attempts that stay counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from inventory_sources.engine import _deliveries
from inventory_sources.protocols.webhook import ReceiveLimits
from inventory_sources.run import RunResult, Trigger
from inventory_sources.status import Reason, SyncStatus
from tests.webhooks.shop import Pulled, PushedShop
from tests.webhooks.test_held import Choosy

MANY = ReceiveLimits(group_size=1100)


def test_a_run_holds_so_many_bytes_at_most(monkeypatch: Any) -> None:
    shop = PushedShop()
    for number in range(4):
        shop.passes(seconds=1)
        shop.deliver({"A1": number + 20})
    size = len(shop.engine.webhooks.deliveries("wms", 1)[0].body)
    monkeypatch.setattr(_deliveries, "_RUN_BYTES", 2 * size + 1)
    assert [run.counts.rows for run in shop.engine.run_due()] == [2, 2]
    assert (shop.statuses(), shop.levels()) == (["applied"] * 4, {"A1": 23})
    assert shop.engine.run_due() == []


def test_a_body_beyond_it_comes_alone(monkeypatch: Any) -> None:
    shop = PushedShop()
    for number in range(3):
        shop.passes(seconds=1)
        shop.deliver({"A1": number + 20})
    monkeypatch.setattr(_deliveries, "_RUN_BYTES", 1)
    assert [run.counts.rows for run in shop.engine.run_due()] == [1, 1, 1]


class Cancelling(Choosy):
    """Has the next run cancelled while it reads levels."""

    cancel: Callable[[], object] | None = None

    def levels(self, skus: Sequence[str] | None) -> Any:
        """As ever."""
        cancel, self.cancel = self.cancel, None
        if cancel is not None:
            cancel()
        return super().levels(skus)


def cancelled(**source: Any) -> PushedShop:
    sink = Cancelling(set())
    shop = PushedShop(sink=sink, **source)
    shop.deliver({"A1": 5})
    sink.cancel = lambda: shop.engine.cancel("wms")
    (run,) = shop.engine.run_due()
    assert (run.result, shop.statuses()) == (RunResult.CANCELLED, ["waiting"])
    return shop


def test_what_a_cancelled_run_had_taken_is_due_again_after_a_rest() -> None:
    shop = cancelled()
    assert (shop.state().reason, shop.run()) == (Reason.CANCELLED, [])
    shop.passes(minutes=5)
    (run,) = shop.run()
    assert (run.trigger, shop.statuses(), shop.levels()) == (Trigger.WEBHOOK, ["applied"], {"A1": 5})


def test_beside_a_pull_too() -> None:
    shop = cancelled(pull=Pulled({"A2": 3}))
    shop.passes(minutes=5)
    shop.run()
    assert (shop.statuses(), shop.levels()) == (["applied"], {"A1": 5})


def test_a_pause_in_that_rest_keeps_them() -> None:
    shop = cancelled()
    shop.engine.pause("wms")
    shop.passes(hours=2)
    assert shop.run() == []
    shop.engine.resume("wms")
    shop.run()
    assert shop.levels() == {"A1": 5}


def test_a_cancelled_pull_leaves_nothing_due_where_nothing_waits() -> None:
    sink = Cancelling(set())
    shop = PushedShop(sink=sink, pull=Pulled({"A2": 3}))
    sink.cancel = lambda: shop.engine.cancel("wms")
    assert shop.engine.sync("wms").result is RunResult.CANCELLED
    shop.passes(hours=2)
    assert shop.run() == []


def test_what_a_spent_ladder_leaves_waits_for_a_person_or_the_next_delivery() -> None:
    shop = PushedShop(sink=(sink := Choosy(set())))
    sink.down = True
    shop.deliver({"A1": 5})
    for minutes in (0, 5, 15, 60):
        shop.passes(minutes=minutes)
        (run,) = shop.run()
        assert run.result is RunResult.FAILED
    shop.passes(days=1)
    assert (shop.state().status, shop.run(), shop.statuses()) == (SyncStatus.ERROR, [], ["waiting"])
    sink.down = False
    shop.engine.sync("wms")
    assert (shop.statuses(), shop.levels()) == (["applied"], {"A1": 5})


def test_attempts_stay_counted_however_many_are_set_aside() -> None:
    shop = PushedShop(limits=MANY)
    for _ in range(1010):
        shop.deliver(b'{"no": "items"}')
    shop.run()
    for attempts, minutes in ((2, 5), (3, 15)):
        shop.passes(minutes=minutes)
        shop.run()
        assert {entry.attempts for entry in shop.engine.webhooks.deliveries("wms", 2000)} == {attempts}
    shop.passes(hours=1)
    shop.run()
    assert (set(shop.statuses()), shop.state().reason) == ({"parked"}, Reason.PARKED)


def test_a_parked_delivery_is_told_of_behind_a_thousand_others() -> None:
    shop = PushedShop(limits=MANY)
    shop.deliver(b'{"no": "items"}')
    for minutes in (0, 5, 15, 60):
        shop.passes(minutes=minutes)
        shop.run()
    assert shop.state().reason is Reason.PARKED
    for _ in range(1010):
        shop.deliver(b'{"no": "items"}')
    shop.run()
    shop.deliver({"A1": 5})
    shop.run()
    assert (shop.state().reason, shop.levels()) == (Reason.PARKED, {"A1": 5})
