"""Events that only say that something changed: they start a pull, and are done with once it is applied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inventory_sources.errors import FetchError
from inventory_sources.payload import Payload
from inventory_sources.protocols.connector import FetchContext
from inventory_sources.run import RunResult, Trigger
from inventory_sources.status import Reason, SyncStatus
from tests.webhooks.shop import START, Pulled, PushedShop


class Targeted(Pulled):
    """One that can fetch some items."""

    asked: list[str] | None = None

    def fetch_items(self, context: FetchContext, items: Sequence[str]) -> Iterator[Payload]:
        """Those that it has."""
        self.asked = list(items)
        everything, self.levels = self.levels, {sku: self.levels[sku] for sku in items if sku in self.levels}
        yield from self.fetch(context)
        self.levels = everything


def event(shop: PushedShop, item: str | None = None) -> None:
    said = {"changed": item} if item else {"changed": ""}
    assert shop.deliver_with(said, {}).status == 200


def test_a_thousand_events_are_one_pull() -> None:
    shop = PushedShop(pull=(pull := Pulled({"A1": 5})), thin=True)
    for _ in range(1000):
        event(shop)
    (run,) = shop.run()
    assert (pull.fetches, run.trigger, shop.levels()) == (1, Trigger.WEBHOOK, {"A1": 5})
    assert set(shop.statuses()) == {"applied"}


def test_an_event_that_comes_during_the_pull_starts_another() -> None:
    shop = PushedShop(pull=(pull := Pulled({"A1": 5})), thin=True)
    event(shop)
    late = iter([{"A1": 6}])
    pull.meanwhile = lambda: event(shop) if next(late, None) else None
    shop.run()
    assert pull.fetches == 2
    assert shop.statuses() == ["applied", "applied"]


def test_a_pull_that_finds_nothing_new_is_the_end_of_its_events() -> None:
    pull = Pulled({"A1": 5}, as_of=START)
    shop = PushedShop(pull=pull, thin=True)
    for _ in range(3):
        event(shop)
        shop.run()
    assert next(run.skipped for run in shop.engine.history("wms")) == "the input is unchanged since it was applied"
    assert (pull.fetches, set(shop.statuses())) == (3, {"applied"})


def test_a_pull_that_says_that_nothing_is_new_is_the_end_of_its_events() -> None:
    class Quiet:
        def fetch(self, context: FetchContext) -> Iterator[Payload]:
            context.nothing_new("nothing changed")
            return iter(())

    shop = PushedShop(pull=Quiet(), thin=True)
    event(shop)
    (run,) = shop.run()
    assert (run.skipped, shop.statuses()) == ("nothing changed", ["applied"])


def test_each_item_named_is_fetched_once() -> None:
    shop = PushedShop(pull=(pull := Targeted({"A1": 5, "A2": 6, "A3": 7})), thin="changed")
    for item in ("A1", "A2", "A1"):
        event(shop, item)
    shop.run()
    assert (pull.asked, pull.fetches, shop.levels()) == (["A1", "A2"], 1, {"A1": 5, "A2": 6})
    assert set(shop.statuses()) == {"applied"}


def test_everything_is_fetched_where_one_event_names_no_item() -> None:
    shop = PushedShop(pull=(pull := Targeted({"A1": 5, "A2": 6, "A3": 7})), thin="changed")
    event(shop, "A1")
    event(shop)
    shop.run()
    assert (pull.asked, pull.fetches, shop.levels()) == (None, 1, {"A1": 5, "A2": 6, "A3": 7})


def test_a_pull_that_fails_climbs_the_ladder_and_its_events_wait() -> None:
    pull = Pulled({"A1": 5})
    pull.error = FetchError("the warehouse does not answer")
    shop = PushedShop(pull=pull, thin=True)
    event(shop)
    (run,) = shop.run()
    assert (run.result, shop.state().reason, shop.statuses()) == (RunResult.FAILED, Reason.RETRY, ["waiting"])
    event(shop)
    assert shop.run() == []
    for minutes in (5, 15, 60):
        shop.passes(minutes=minutes)
        (run,) = shop.run()
        assert run.trigger is Trigger.RETRY
    assert (shop.state().status, shop.state().reason) == (SyncStatus.ERROR, Reason.FAILED)
    pull.error = None
    event(shop)
    shop.run()
    assert (shop.state().status, set(shop.statuses())) == (SyncStatus.COMPLETED, {"applied"})
    assert shop.levels() == {"A1": 5}


def test_a_scheduled_pull_is_the_end_of_events_that_came_before() -> None:
    shop = PushedShop(pull=(pull := Pulled({"A1": 5})), thin=True)
    event(shop)
    assert shop.engine.sync("wms").trigger is Trigger.MANUAL
    assert (shop.run(), pull.fetches, shop.statuses()) == ([], 1, ["applied"])
