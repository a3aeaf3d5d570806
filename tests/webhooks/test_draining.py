"""One call applies all that waits, however many runs it takes, and no source waits for another's inbox to be empty."""

from __future__ import annotations

from decimal import Decimal

from attrs import evolve

from inventory_sources import MemorySink, MemoryStateStore
from inventory_sources.errors import SinkError
from inventory_sources.protocols.sink import ApplyContext, ApplyResult, Changes
from inventory_sources.protocols.webhook import ReceiveLimits
from inventory_sources.run import RunResult, Trigger
from tests.webhooks.shop import PushedShop, pushed_source

TWO = ReceiveLimits(group_size=2)


def pushed(count: int, **source: object) -> PushedShop:
    """A shop for which so many deliveries wait."""
    shop = PushedShop(**source)
    for number in range(count):
        shop.passes(seconds=1)
        shop.deliver({"A1": number + 20})
    return shop


def test_one_call_applies_more_than_a_group() -> None:
    shop = pushed(7, limits=TWO)
    runs = shop.engine.run_due()
    assert ([run.counts.rows for run in runs], shop.statuses()) == ([2, 2, 2, 1], ["applied"] * 7)
    assert shop.levels() == {"A1": 26}
    assert shop.engine.run_due() == []


def test_and_so_does_one_for_this_source_only() -> None:
    shop = pushed(5, limits=TWO)
    assert [run.counts.rows for run in shop.engine.run_due(source="wms")] == [2, 2, 1]


def test_snapshots_are_applied_one_after_the_other() -> None:
    shop = pushed(4, snapshot=True)
    assert len(shop.engine.run_due()) == 4
    assert (shop.statuses(), shop.levels()) == (["applied"] * 4, {"A1": 23})


def test_a_call_does_no_more_runs_than_it_may() -> None:
    shop = pushed(7, limits=TWO)
    assert len(shop.engine.run_due(limit=3)) == 3
    assert len(shop.engine.run_due(source="wms", limit=1)) == 1
    assert shop.statuses() == ["applied"] * 7


def test_sync_now_applies_all_that_waits() -> None:
    shop = pushed(5, limits=TWO)
    run = shop.engine.sync("wms")
    assert (run.trigger, run.counts.rows) == (Trigger.MANUAL, 2)
    assert (shop.statuses(), shop.levels()) == (["applied"] * 5, {"A1": 24})


def test_sources_take_turns() -> None:
    shop = pushed(5, limits=TWO)
    other = evolve(pushed_source(shop.sink, limits=TWO), name="erp")
    shop.engine.add_source(other)
    shop.passes(seconds=1)
    for _ in range(3):
        shop.engine.receive("erp", shop.signed_delivery({"A2": 3}))
    turns = [run.source for run in shop.engine.run_due()]
    assert [sorted(turns[:2]), sorted(turns[2:4]), turns[4:]] == [["erp", "wms"], ["erp", "wms"], ["wms"]]


class Stubborn(MemorySink):
    """Takes the first writes only."""

    takes = 1

    def apply(self, changes: Changes, context: ApplyContext) -> ApplyResult:
        """As long as it likes."""
        self.takes -= 1
        if self.takes < 0:
            raise SinkError("the stock table does not answer")
        return super().apply(changes, context)


def test_a_failure_ends_the_turns_of_its_source() -> None:
    shop = pushed(5, limits=TWO, sink=Stubborn({"A1": Decimal(9)}))
    runs = shop.engine.run_due()
    assert [run.result for run in runs] == [RunResult.COMPLETED, RunResult.FAILED]
    assert shop.statuses() == ["applied"] * 2 + ["waiting"] * 3


class Restless(MemoryStateStore):
    """Each look at what is due finds another delivery."""

    shop: PushedShop | None = None

    def due(self, limit: int = 100) -> list[str]:
        """And keeps it."""
        if self.shop is not None:
            self.shop.deliver({"A1": 20})
        return list(super().due(limit))


def test_a_sender_without_rest_does_not_keep_the_call_for_ever() -> None:
    shop = PushedShop()
    restless = Restless(clock=shop.clock)
    shop = PushedShop(store=restless)
    restless.shop = shop
    assert len(shop.engine.run_due(limit=20)) == 20
