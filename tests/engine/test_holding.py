"""Held plans: nothing written, one notification, approved once and only as looked at."""

from __future__ import annotations

from datetime import timedelta

import pytest

from inventory_sources import Feed, SyncStatus
from inventory_sources.errors import ApprovalInvalid
from inventory_sources.guards import LowMatch, default_guards
from inventory_sources.run import RunResult
from inventory_sources.status import Reason

from .conftest import Scripted, Shop

SKUS = [f"S{number:02}" for number in range(20)]


def feed(**levels: int) -> str:
    """A feed of all SKUs at 10, but for those given."""
    return "sku,quantity\n" + "".join(f"{sku},{levels.get(sku, 10)}\n" for sku in SKUS)


def zeroed(count: int) -> str:
    """A feed in which the first SKUs have gone to zero."""
    return feed(**dict.fromkeys(SKUS[:count], 0))


@pytest.fixture
def connector(shop: Shop) -> Scripted:
    """A source with the library's guards whose first sync is done."""
    shop.stock(**dict.fromkeys(SKUS, 10))
    connector = shop.add(feed(), guards=default_guards(), frequency="5min")
    assert shop.engine.sync("erp").result is RunResult.COMPLETED
    return connector


def test_a_plan_that_would_zero_too_much_is_held_and_writes_nothing(shop: Shop, connector: Scripted) -> None:
    connector.inputs = [zeroed(4)]
    run = shop.engine.sync("erp")
    assert run.result is RunResult.HELD
    assert set(shop.levels.values()) == {10}
    assert (run.counts.held, run.counts.changed, run.products_updated) == (4, 0, 0)
    assert run.counts.add_up
    status = shop.engine.status("erp")
    assert (status.status, status.reason, status.held_digest) == (SyncStatus.ERROR, Reason.HELD, run.digest)
    assert shop.mailbox.kinds == ["held"]


def test_fifteen_percent_is_still_let_through(shop: Shop, connector: Scripted) -> None:
    connector.inputs = [zeroed(3)]
    assert shop.engine.sync("erp").products_updated == 3


def test_an_approved_plan_is_applied_as_looked_at_without_fetching(shop: Shop, connector: Scripted) -> None:
    connector.inputs = [zeroed(4)]
    held = shop.engine.sync("erp")
    connector.inputs = [zeroed(20)]
    fetches = connector.fetches
    shop.engine.approve("erp", held.digest or "", actor="ana")
    (run,) = shop.engine.run_due()
    assert (run.result, run.products_updated, connector.fetches) == (RunResult.COMPLETED, 4, fetches)
    assert run.counts.add_up
    assert [shop.levels[sku] for sku in SKUS[:5]] == [0, 0, 0, 0, 10]
    assert shop.mailbox.kinds == ["held", "resolved"]
    assert shop.engine.held("erp") is None
    assert shop.engine.sync("erp").result is RunResult.HELD, "an approval is good for one plan, once"


def test_only_the_held_plan_can_be_approved(shop: Shop, connector: Scripted) -> None:
    with pytest.raises(ApprovalInvalid):
        shop.engine.approve("erp", "0" * 64)
    connector.inputs = [zeroed(4)]
    held = shop.engine.sync("erp")
    with pytest.raises(ApprovalInvalid):
        shop.engine.approve("erp", "0" * 64)
    connector.inputs = [zeroed(5)]
    shop.engine.sync("erp")
    with pytest.raises(ApprovalInvalid):
        shop.engine.approve("erp", held.digest or "")
    assert set(shop.levels.values()) == {10}


def test_a_sale_between_hold_and_approval_does_not_void_it(shop: Shop, connector: Scripted) -> None:
    connector.inputs = [zeroed(4)]
    held = shop.engine.sync("erp")
    shop.stock(**{**dict.fromkeys(SKUS, 10), SKUS[0]: 9})
    shop.engine.approve("erp", held.digest or "")
    (run,) = shop.engine.run_due()
    assert (run.result, shop.levels[SKUS[0]]) == (RunResult.COMPLETED, 0)


def test_the_same_plan_held_again_tells_no_one_again(shop: Shop, connector: Scripted) -> None:
    connector.inputs = [zeroed(4)]
    first = shop.engine.sync("erp")
    for _ in range(3):
        shop.clock.advance(timedelta(minutes=5))
        (run,) = shop.engine.run_due()
        assert (run.result, run.digest) == (RunResult.HELD, first.digest)
    assert shop.mailbox.kinds == ["held"]


def test_a_rejected_plan_is_dropped_and_does_not_nag(shop: Shop, connector: Scripted) -> None:
    connector.inputs = [zeroed(4)]
    held = shop.engine.sync("erp")
    state = shop.engine.reject("erp", held.digest or "", actor="ana")
    assert (state.status, state.reason, state.held_digest) == (SyncStatus.PENDING, Reason.REJECTED, None)
    shop.engine.notify()
    assert shop.mailbox.kinds == ["held", "resolved"]
    shop.clock.advance(timedelta(minutes=5))
    assert shop.engine.run_due()[0].result is RunResult.HELD
    assert shop.mailbox.kinds == ["held", "resolved"]


def test_a_clean_run_overtakes_a_held_plan(shop: Shop, connector: Scripted) -> None:
    connector.inputs = [zeroed(4)]
    shop.engine.sync("erp")
    connector.inputs = [feed(S00=3)]
    shop.clock.advance(timedelta(minutes=5))
    (run,) = shop.engine.run_due()
    assert (run.result, run.products_updated) == (RunResult.COMPLETED, 1)
    assert shop.engine.status("erp").held_digest is None
    assert shop.engine.held("erp") is None
    assert shop.mailbox.kinds == ["held", "resolved"]


def test_a_shrunk_feed_is_held(shop: Shop, connector: Scripted) -> None:
    connector.inputs = ["sku,quantity\n" + "".join(f"{sku},10\n" for sku in SKUS[:15])]
    assert shop.engine.sync("erp").result is RunResult.HELD


def test_an_empty_feed_is_held_and_zeroes_nothing(shop: Shop, connector: Scripted) -> None:
    connector.inputs = ["sku,quantity\n"]
    assert shop.engine.sync("erp").result is RunResult.HELD
    assert set(shop.levels.values()) == {10}


def test_an_edit_drops_the_held_plan(shop: Shop, connector: Scripted) -> None:
    connector.inputs = [zeroed(4)]
    held = shop.engine.sync("erp")
    shop.engine.update_source(shop.source(connector, guards=default_guards()))
    with pytest.raises(ApprovalInvalid):
        shop.engine.approve("erp", held.digest or "")


def test_a_first_sync_that_matches_little_is_held(shop: Shop) -> None:
    shop.stock(A=5)
    shop.add("sku,quantity\nA,5\nX,1\nY,1\n", guards=default_guards())
    assert shop.engine.sync("erp").result is RunResult.HELD


def test_a_few_rows_of_a_partial_feed_are_measured_by_all_that_was_supplied(shop: Shop) -> None:
    shop.stock(**dict.fromkeys(SKUS, 10))
    connector = shop.add(feed(), guards=default_guards(), feed=Feed.partial())
    assert shop.engine.sync("erp").result is RunResult.COMPLETED
    connector.inputs = ["sku,quantity\nS00,0\nS01,4\n"]
    assert shop.engine.sync("erp").products_updated == 2
    connector.inputs = ["sku,quantity\nS02,0\nS03,0\nS04,0\n"]
    assert shop.engine.sync("erp").result is RunResult.HELD
    assert shop.levels["S02"] == 10


def test_a_low_match_holds_a_first_partial_feed_and_no_later_one(shop: Shop) -> None:
    shop.stock(A=5, B=5, C=5, D=5)
    few = "sku,quantity\nA,4\nX,1\nY,1\n"
    connector = shop.add(few, guards=(LowMatch(),), feed=Feed.partial())
    held = shop.engine.sync("erp")
    assert held.result is RunResult.HELD
    shop.engine.approve("erp", held.digest or "")
    assert shop.engine.run_due()[0].result is RunResult.COMPLETED
    connector.inputs = [few.replace("A,4", "A,3")]
    assert shop.engine.sync("erp").products_updated == 1
