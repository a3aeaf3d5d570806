"""What overtakes deliveries that wait: a pull that does well, and what was received after one that is read again."""

from __future__ import annotations

from datetime import timedelta

from inventory_sources.run import RunResult
from inventory_sources.status import SyncStatus
from inventory_sources.webhooks import EventFacts
from tests.webhooks.shop import START, Pulled, PushedShop
from tests.webhooks.test_held import CAREFUL, Choosy

NINES = {f"A{number}": 9 for number in range(10)}
ZEROS = {"A2": 0, "A3": 0, "A4": 0, "A5": 0}


def held_beside(at: int) -> tuple[PushedShop, Pulled]:
    """A plan of deliveries of this second is held; a pull is as of second 100."""
    pull = Pulled(NINES | {"A1": 3}, as_of=START - timedelta(hours=1) + timedelta(seconds=100))
    shop = PushedShop(pull=pull, facts=EventFacts(time="at"), guards=CAREFUL)
    moment = START - timedelta(hours=1) + timedelta(seconds=at)
    shop.deliver_with({"at": moment.isoformat()}, ZEROS)
    (run,) = shop.run()
    assert run.result is RunResult.HELD
    return shop, pull


def test_older_deliveries_are_done_with() -> None:
    shop, _ = held_beside(at=50)
    assert shop.engine.sync("wms").result is RunResult.COMPLETED
    shop.run()
    assert (shop.statuses(), shop.levels(), shop.engine.held("wms")) == (["applied"], {"A1": 3}, None)
    assert (shop.state().status, shop.mailbox.kinds) == (SyncStatus.COMPLETED, ["held", "resolved"])


def test_newer_ones_are_judged_again_and_wait_for_the_person_as_before() -> None:
    shop, _ = held_beside(at=150)
    before = shop.engine.held("wms")
    assert shop.engine.sync("wms").result is RunResult.COMPLETED
    shop.run()
    after = shop.engine.held("wms")
    assert before and after
    assert (shop.statuses(), shop.levels(), shop.state().status) == (["waiting"], {"A1": 3}, SyncStatus.ERROR)
    shop.engine.approve("wms", after.digest)
    shop.run()
    assert (shop.statuses(), shop.levels()) == (["applied"], {"A1": 3} | ZEROS)
    assert shop.mailbox.kinds[:1] + shop.mailbox.kinds[-1:] == ["held", "resolved"]


def test_an_unchanged_pull_does_so_too() -> None:
    shop, pull = held_beside(at=150)
    for _ in range(3):
        shop.passes(minutes=1)
        assert shop.engine.sync("wms").result is RunResult.COMPLETED
        shop.run()
    assert shop.statuses() == ["waiting"]
    assert pull.fetches == 3
    assert shop.engine.held("wms")


def refused_at_first(sku: str = "A1") -> tuple[PushedShop, Choosy]:
    """A delivery of one item, which the sink refuses."""
    shop = PushedShop(sink=(sink := Choosy({sku})), facts=EventFacts(time="at"))
    said(shop, {sku: 5})
    shop.run()
    assert shop.statuses() == ["waiting"]
    return shop, sink


def said(shop: PushedShop, levels: dict[str, int]) -> None:
    """All of the same moment, each received later than the one before."""
    shop.passes(seconds=1)
    assert shop.deliver_with({"at": START.isoformat()}, levels).status == 200


def test_a_delivery_that_is_read_again_does_not_replace_what_was_received_after_it() -> None:
    shop, sink = refused_at_first()
    sink.refused = set()
    said(shop, {"A1": 6})
    shop.run()
    shop.passes(minutes=5)
    shop.run()
    assert (shop.statuses(), shop.levels()) == (["applied"] * 2, {"A1": 6})


def test_it_replaces_what_was_received_before_it() -> None:
    shop = PushedShop(sink=(sink := Choosy(set())), facts=EventFacts(time="at"))
    said(shop, {"A1": 4})
    shop.run()
    sink.refused = {"A1"}
    said(shop, {"A1": 5})
    shop.run()
    sink.refused = set()
    shop.passes(minutes=5)
    shop.run()
    assert (shop.statuses(), shop.levels()) == (["applied"] * 2, {"A1": 5})


def test_and_is_applied_where_what_came_after_it_tells_of_other_items() -> None:
    shop, sink = refused_at_first()
    sink.refused = set()
    said(shop, {"A2": 6})
    shop.run()
    shop.passes(minutes=5)
    shop.run()
    assert shop.levels() == {"A1": 5, "A2": 6}
