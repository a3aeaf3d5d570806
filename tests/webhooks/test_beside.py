"""Deliveries beside a pull of everything: neither does the other harm. With the library's own guards."""

from __future__ import annotations

from typing import Any

import pytest

from inventory_sources import Feed, MemorySink
from inventory_sources.errors import FetchError
from inventory_sources.feed import AbsencePolicy
from inventory_sources.guards import default_guards
from inventory_sources.run import RunResult
from inventory_sources.status import Reason, SyncStatus
from tests.webhooks.shop import Pulled, PushedShop

STOCK = {f"A{number}": 50 + number for number in range(40)}


def beside(levels: dict[str, int] = STOCK, **more: Any) -> tuple[PushedShop, Pulled]:
    """A shop that has pulled everything once."""
    pull = Pulled(dict(levels))
    sink = MemorySink(dict.fromkeys([*STOCK, "B1"], 9))
    feed = Feed.snapshot(absent=AbsencePolicy.ZERO)
    shop = PushedShop(sink=sink, pull=pull, feed=feed, guards=default_guards(), frequency="1h", **more)
    shop.passes(hours=1)
    (run,) = shop.run()
    assert run.result is RunResult.COMPLETED
    shop.passes(minutes=1)
    return shop, pull


def pulled(shop: PushedShop) -> Any:
    """The next pull."""
    shop.passes(hours=1)
    (run,) = shop.run()
    shop.passes(minutes=1)
    return run


def test_what_a_delivery_leaves_out_keeps_its_level_and_the_pull_its_measures() -> None:
    shop, _ = beside()
    before = shop.state()
    shop.deliver({"A1": 0})
    (run,) = shop.run()
    assert run.result is RunResult.COMPLETED
    assert shop.levels() == STOCK | {"A1": 0}
    after = shop.state()
    assert (after.baseline_rows, after.baseline_matched) == (before.baseline_rows, before.baseline_matched) == (40, 40)
    assert pulled(shop).result is RunResult.COMPLETED
    assert shop.levels() == STOCK


@pytest.mark.parametrize("levels", [{}, {"A1": 0}, {"unknown": 3}, {f"unknown-{n}": 3 for n in range(30)}, {"A1": 4}])
def test_no_small_delivery_is_held(levels: dict[str, int]) -> None:
    shop, _ = beside()
    shop.deliver(levels)
    (run,) = shop.run()
    assert (run.result, shop.statuses(), shop.mailbox.kinds) == (RunResult.COMPLETED, ["applied"], [])
    assert shop.levels() == STOCK | {sku: quantity for sku, quantity in levels.items() if sku in STOCK}


@pytest.mark.parametrize("levels", [{}, {"unknown": 3}, {f"unknown-{n}": 3 for n in range(30)}])
def test_nor_where_nothing_is_pulled(levels: dict[str, int]) -> None:
    shop = PushedShop(guards=default_guards())
    for _ in range(3):
        shop.deliver(levels)
        (run,) = shop.run()
        assert run.result is RunResult.COMPLETED
    assert (shop.levels(), set(shop.statuses()), shop.mailbox.kinds) == ({}, {"applied"}, [])


def test_what_a_later_pull_leaves_out_is_zeroed_however_much_is_pushed_between() -> None:
    shop, pull = beside()
    pull.levels |= {"stranger": 1}
    shop.deliver({"stranger": 1})
    shop.run()
    pulled(shop)
    shop.deliver({"stranger": 2})
    shop.run()
    del pull.levels["A3"]
    pulled(shop)
    assert shop.sink.levels(["A3"])[0].quantity == 0


def test_a_delivery_neither_ends_nor_renews_what_is_wrong_with_the_pull() -> None:
    shop, pull = beside()
    pull.error = FetchError("the warehouse does not answer")
    for minutes in (60, 5, 15, 60):
        shop.passes(minutes=minutes)
        shop.run()
    assert (shop.state().reason, shop.mailbox.kinds) == (Reason.FAILED, ["failed"])
    for quantity in (3, 4):
        shop.deliver({"A1": quantity})
        shop.run()
        state = shop.state()
        assert (state.status, state.reason) == (SyncStatus.ERROR, Reason.FAILED)
        assert state.next_run_at is not None
        assert state.last_success_at == shop.clock.now()
        assert shop.levels()["A1"] == quantity
        shop.passes(hours=1)
        shop.run()
    assert shop.mailbox.kinds == ["failed"]
    pull.error = None
    pulled(shop)
    assert (shop.state().status, shop.mailbox.kinds) == (SyncStatus.COMPLETED, ["failed", "resolved"])


def test_a_delivery_leaves_the_plan_of_a_pull_that_waits_for_a_person() -> None:
    shop, pull = beside()
    pull.levels = dict.fromkeys(STOCK, 0)
    assert pulled(shop).result is RunResult.HELD
    shop.deliver({"A1": 4})
    shop.run()
    held = shop.engine.held("wms")
    assert held is not None
    assert (shop.state().reason, shop.levels()["A1"], shop.mailbox.kinds) == (Reason.HELD, 4, ["held"])
    shop.engine.approve("wms", held.digest)
    shop.run()
    assert shop.mailbox.kinds[:1] == ["held"]


def test_deliveries_that_wait_while_the_pull_fails_are_applied() -> None:
    shop, pull = beside()
    pull.error = FetchError("the warehouse does not answer")
    shop.passes(hours=1)
    shop.run()
    shop.deliver({"A1": 1})
    assert shop.run() == []
    shop.passes(minutes=5)
    shop.run()
    for minutes in (15, 60):
        shop.passes(minutes=minutes)
        shop.run()
    assert (shop.levels()["A1"], shop.statuses()) == (1, ["applied"])


def test_the_same_moment_said_by_both_is_a_conflict_that_is_told() -> None:
    shop, pull = beside()
    moment = shop.clock.now()
    pull.as_of = moment
    pulled(shop)
    shop.engine.receive("wms", shop.signed_delivery({"A1": 3}, received_at=moment))
    (run,) = shop.run()
    assert shop.levels() == STOCK
    assert any("contradict" in warning for warning in run.warnings), run.warnings
