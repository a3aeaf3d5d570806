"""A plan of deliveries that waits for a person, and deliveries of which the sink does not take everything."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from inventory_sources import Feed, MemorySink
from inventory_sources.errors import SinkError
from inventory_sources.feed import AbsencePolicy
from inventory_sources.guards import MassZero
from inventory_sources.plan import Outcome
from inventory_sources.protocols.sink import ApplyContext, ApplyResult, Changes, ItemOutcome
from inventory_sources.run import RunResult
from inventory_sources.status import Reason, SyncStatus
from inventory_sources.webhooks import EventFacts
from tests.webhooks.shop import PushedShop

CAREFUL = (MassZero(at_least=3),)


def held_shop() -> PushedShop:
    shop = PushedShop(guards=CAREFUL)
    shop.deliver({"A1": 5})
    shop.run()
    shop.passes(seconds=1)
    shop.deliver({"A2": 0, "A3": 0, "A4": 0, "A5": 0})
    (run,) = shop.run()
    assert run.result is RunResult.HELD
    return shop


def test_it_is_told_once_and_further_deliveries_join_it() -> None:
    shop = held_shop()
    first = shop.engine.held("wms")
    shop.passes(seconds=1)
    shop.deliver({"A6": 4})
    (run,) = shop.run()
    second = shop.engine.held("wms")
    assert first and second and first.digest != second.digest
    assert (run.result, shop.mailbox.kinds, shop.levels()) == (RunResult.HELD, ["held"], {"A1": 5})
    assert shop.statuses() == ["applied", "waiting", "waiting"]


def test_an_approval_applies_what_was_looked_at_and_settles_just_that() -> None:
    shop = held_shop()
    held = shop.engine.held("wms")
    assert held
    shop.engine.approve("wms", held.digest)
    shop.passes(seconds=1)
    shop.deliver({"A6": 4})
    (run,) = shop.engine.run_due(limit=1)
    assert run.result is RunResult.COMPLETED
    assert shop.levels() == {"A1": 5, "A2": 0, "A3": 0, "A4": 0, "A5": 0}
    assert shop.statuses() == ["applied", "applied", "waiting"]
    shop.run()
    assert shop.levels()["A6"] == 4
    assert (shop.statuses(), shop.state().status) == (["applied"] * 3, SyncStatus.COMPLETED)


def test_a_rejection_dismisses_the_deliveries_and_the_same_plan_never_comes_back() -> None:
    shop = held_shop()
    held = shop.engine.held("wms")
    assert held
    shop.engine.reject("wms", held.digest)
    assert shop.statuses() == ["applied", "dismissed"]
    assert shop.run() == []
    shop.passes(seconds=1)
    shop.deliver({"A6": 4})
    (run,) = shop.run()
    assert (run.result, shop.levels()) == (RunResult.COMPLETED, {"A1": 5, "A6": 4})
    assert shop.mailbox.kinds == ["held", "resolved"]


def test_a_rejection_lets_those_behind_the_plan_go_on() -> None:
    from inventory_sources.protocols.webhook import ReceiveLimits

    shop = PushedShop(guards=CAREFUL, limits=ReceiveLimits(group_size=1))
    shop.deliver({"A2": 0, "A3": 0, "A4": 0})
    shop.passes(seconds=1)
    shop.deliver({"A6": 4})
    (run,) = shop.run()
    assert run.result is RunResult.HELD
    shop.engine.reject("wms", shop.engine.held("wms").digest)
    shop.run()
    assert (shop.statuses(), shop.levels()) == (["dismissed", "applied"], {"A6": 4})


def test_an_edit_has_the_deliveries_judged_anew() -> None:
    from tests.webhooks.shop import pushed_source

    shop = held_shop()
    shop.engine.update_source(pushed_source(shop.sink))
    shop.run()
    assert shop.levels() == {"A1": 5, "A2": 0, "A3": 0, "A4": 0, "A5": 0}
    assert shop.statuses() == ["applied", "applied"]


class Choosy(MemorySink):
    """Refuses some SKUs; or everything."""

    def __init__(self, refused: set[str]) -> None:
        super().__init__({f"A{number}": Decimal(9) for number in range(10)})
        self.refused = refused
        self.down = False

    def apply(self, changes: Changes, context: ApplyContext) -> ApplyResult:
        """What it takes of them."""
        if self.down:
            raise SinkError("the stock table does not answer")
        kept = {(sku, ""): self._rows[sku, ""] for sku in self.refused}
        result = super().apply(changes, context)
        self._rows |= kept
        refused = [item for item in changes if item.sku in self.refused]
        taken = [each for each in result.exceptions if each.sku not in self.refused]
        return ApplyResult((*taken, *(ItemOutcome(item.sku, "", Outcome.FAILED, "refused") for item in refused)))


def test_a_delivery_with_a_refused_item_is_read_again_by_the_ladder_and_the_others_are_done() -> None:
    shop = PushedShop(sink=(sink := Choosy({"A1"})))
    shop.deliver({"A1": 5})
    shop.deliver({"A2": 6})
    (run,) = shop.run()
    assert (run.counts.failed, shop.statuses(), shop.levels()) == (1, ["waiting", "applied"], {"A2": 6})
    shop.passes(minutes=1)
    shop.deliver({"A3": 7})
    (run,) = shop.run()
    assert run.counts.failed == 0
    assert shop.state().status is SyncStatus.COMPLETED
    sink.refused = set()
    assert shop.run() == []
    shop.passes(minutes=4)
    shop.run()
    assert (shop.levels(), shop.statuses()) == ({"A1": 5, "A2": 6, "A3": 7}, ["applied"] * 3)


def test_after_the_ladder_the_source_goes_on_with_a_warning() -> None:
    shop = PushedShop(sink=Choosy({"A1"}))
    shop.deliver({"A1": 5})
    shop.run()
    for minutes in (5, 15):
        shop.passes(minutes=minutes)
        (run,) = shop.run()
        assert (run.counts.failed, shop.statuses()) == (1, ["waiting"])
        assert not any("goes on" in warning for warning in run.warnings)
    shop.passes(hours=1)
    (run,) = shop.run()
    assert "refused as often as is tried" in run.warnings[-1]
    assert shop.statuses() == ["applied"]
    shop.passes(days=1)
    assert shop.run() == []


def test_a_sink_that_fails_leaves_the_deliveries_to_the_ladder() -> None:
    shop = PushedShop(sink=(sink := Choosy(set())))
    sink.down = True
    shop.deliver({"A1": 5})
    (run,) = shop.run()
    assert (run.result, shop.state().reason, shop.statuses()) == (RunResult.FAILED, Reason.RETRY, ["waiting"])
    shop.deliver({"A2": 6})
    assert shop.run() == []
    sink.down = False
    shop.passes(minutes=5)
    shop.run()
    assert (shop.levels(), shop.statuses()) == ({"A1": 5, "A2": 6}, ["applied"] * 2)


@given(st.lists(st.sampled_from(["push", "bad", "down", "up", "refuse", "take", "later", "sync"]), max_size=14))
def test_whatever_fails_the_source_comes_to_rest(steps: list[str]) -> None:
    shop = PushedShop(sink=(sink := Choosy(set())), guards=CAREFUL, frequency="1h")
    for number, step in enumerate(steps):
        shop.passes(seconds=1)
        if step == "push":
            shop.deliver({"A1": number + 10, "A2": number})
        elif step == "bad":
            shop.deliver(b"{}")
        elif step in ("down", "up"):
            sink.down = step == "down"
        elif step in ("refuse", "take"):
            sink.refused = {"A1"} if step == "refuse" else set()
        elif step == "later":
            shop.passes(minutes=20)
        else:
            shop.engine.sync("wms")
        shop.run()


def snapshots() -> PushedShop:
    sink = MemorySink({f"A{number}": Decimal(9) for number in range(4)})
    feed = Feed.snapshot(absent=AbsencePolicy.ZERO)
    return PushedShop(sink=sink, feed=feed, snapshot=True, facts=EventFacts(time="at"))


def test_a_delivery_of_everything_zeroes_what_it_leaves_out_and_an_older_one_undoes_nothing() -> None:
    shop = snapshots()
    shop.deliver_with({"at": "2026-03-02T11:00:00Z"}, {"A0": 1, "A1": 2, "A2": 3})
    shop.run()
    shop.deliver_with({"at": "2026-03-02T11:30:00Z"}, {"A0": 1, "A1": 4})
    shop.deliver_with({"at": "2026-03-02T11:10:00Z"}, {"A0": 7, "A2": 3})
    shop.run()
    assert shop.statuses() == ["applied"] * 3
    assert shop.levels() == {"A0": 1, "A1": 4, "A2": 0}


def test_deliveries_of_a_run_that_an_edit_fences_out_are_looked_at_again() -> None:
    from tests.webhooks.shop import pushed_source

    class Edited(MemorySink):
        edits = True

        def levels(self, skus):  # type: ignore[no-untyped-def]
            if self.edits:
                self.edits = False
                shop.engine.update_source(pushed_source(self))
            return super().levels(skus)

    shop = PushedShop(sink=Edited({"A1": Decimal(9)}))
    shop.deliver({"A1": 5})
    assert shop.engine.run_due() == []
    shop.run()
    assert (shop.statuses(), shop.levels()) == (["applied"], {"A1": 5})


def test_one_that_waits_to_be_read_again_is_not_forgotten_for_one_that_is_parked() -> None:
    shop = PushedShop()
    shop.deliver(b"{}")
    for minutes in (0, 5, 15, 59):
        shop.passes(minutes=minutes)
        shop.run()
    shop.deliver(b'{"other": 1}')
    shop.run()
    shop.passes(minutes=1)
    shop.run()
    assert sorted(shop.statuses()) == ["parked", "waiting"]
    for minutes in (5, 15, 60):
        shop.passes(minutes=minutes)
        shop.run()
    assert shop.statuses() == ["parked", "parked"]
    assert shop.mailbox.kinds == ["failed"]


def test_after_an_edit_of_the_mapping_a_parked_delivery_can_be_retried() -> None:
    from attrs import evolve

    from inventory_sources import Columns, JsonDecoder
    from tests.webhooks.shop import pushed_source

    shop = PushedShop()
    shop.deliver(b'{"stock": [{"code": "A1", "on_hand": 5}]}')
    for minutes in (0, 5, 15, 60):
        shop.passes(minutes=minutes)
        shop.run()
    (parked,) = shop.engine.webhooks.deliveries("wms")
    assert (parked.status.value, shop.mailbox.kinds) == ("parked", ["failed"])
    assert "there is no 'items'" in parked.reason
    edited = evolve(
        pushed_source(shop.sink), decoder=JsonDecoder(records="stock"), mapper=Columns(sku="code", quantity="on_hand")
    )
    shop.engine.update_source(edited)
    assert shop.engine.webhooks.retry("wms", [parked.id]) == 1
    shop.run()
    assert (shop.levels(), shop.statuses(), shop.state().status) == ({"A1": 5}, ["applied"], SyncStatus.COMPLETED)
    assert shop.mailbox.kinds == ["failed", "resolved"]
