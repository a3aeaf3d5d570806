"""Levels in a Shopify shop: compared, told by their key, and never half told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from inventory_sources import Registry, Secret
from inventory_sources.errors import ConfigurationError, Recovery, SinkError, SinkUnavailable
from inventory_sources.plan import Outcome
from inventory_sources.protocols.sink import ApplyContext, CurrentLevel, SinkLevel, StockSink
from inventory_sources.sinks.http import ShopifySink
from inventory_sources.testing.servers import Response, ScriptedHttpServer
from inventory_sources.testing.sinks import StockSinkContract, change, changes_of, levels_of

from .shopify_server import HERE, TOKEN, Item, ShopifyServer, lost

PLACES = {"": HERE, "north": "gid://shopify/Location/2", "south": "gid://shopify/Location/3"}
CONTEXT = ApplyContext("erp", "run-1", 1)


class Patient(ShopifySink):
    """Notes pauses in place of making them."""

    def pause(self, seconds: float) -> None:
        PAUSES.append(seconds)


PAUSES: list[float] = []


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    PAUSES.clear()
    with ExitStack() as opened:
        yield opened


def sink_of(stack: ExitStack, shop: ShopifyServer, **options: Any) -> ShopifySink:
    server = stack.enter_context(ScriptedHttpServer(shop, keep_alive=True))
    given: dict[str, Any] = {"token": Secret(TOKEN), "locations": {"": HERE}, **options}
    return Patient(server.url, allow_private=("127.0.0.0/8",), allow_plaintext=True, **given)


def shop_of(**levels: int) -> ShopifyServer:
    return ShopifyServer([Item(f"gid://shopify/InventoryItem/{sku}", sku, {HERE: at}) for sku, at in levels.items()])


def levels(shop: ShopifyServer) -> dict[str, int]:
    return {item.sku: item.levels[HERE] for item in shop.items}


def ended(sink: StockSink, *items: Any, context: ApplyContext = CONTEXT) -> dict[str, tuple[Outcome, str]]:
    result = sink.apply(changes_of(items), context)
    return {item.sku: (item.outcome, item.reason) for item in result.exceptions}


class TestShopifySink(StockSinkContract):
    many = 600
    fills = False
    whole = False

    @pytest.fixture(autouse=True)
    def opened(self, stack: ExitStack) -> None:
        self.stack = stack

    def make_sink(self, levels: Sequence[CurrentLevel], *, locations: bool, inserts: bool) -> StockSink:
        places = PLACES if locations else {"": HERE}
        shop = ShopifyServer()
        shop.fill(levels, places)
        return sink_of(self.stack, shop, locations=places)


def test_it_compares_and_sets(stack):
    traits = sink_of(stack, shop_of()).describe()
    assert (traits.level, traits.places, traits.locations) == (SinkLevel.COMPARE_AND_SET, 0, False)


def test_a_location_that_the_shop_has_not_is_told(stack):
    with pytest.raises(SinkError, match="no location gid://shopify/Location/9") as caught:
        sink_of(stack, shop_of(), locations={"": HERE, "far": "gid://shopify/Location/9"}).describe()
    assert caught.value.recovery is Recovery.STOP


def test_a_sale_between_reading_and_writing_is_not_overwritten_and_the_others_are_written(stack):
    shop = shop_of(A=5, B=5, C=5)
    shop.before.append(lambda: shop.item("B").levels.update({HERE: 4}))
    found = ended(sink_of(stack, shop), change("A", 5, 9), change("B", 5, 9), change("C", 5, 9))
    assert found == {"B": (Outcome.FAILED, "moved_on")}
    assert levels(shop) == {"A": 9, "B": 4, "C": 9}
    assert shop.groups == [["A=9", "C=9"]]
    assert len(set(shop.sent)) == 2


def test_where_the_others_were_set_all_the_same_they_are_compared_again(stack):
    shop = shop_of(A=5, B=5)
    shop.whole = False
    shop.before.append(lambda: shop.item("B").levels.update({HERE: 4}))
    found = ended(sink_of(stack, shop), change("A", 5, 9), change("B", 5, 9))
    assert found == {"A": (Outcome.FAILED, "moved_on"), "B": (Outcome.FAILED, "moved_on")}
    assert levels(shop) == {"A": 9, "B": 4}
    assert ended(sink_of(stack, shop), change("A", 5, 9)) == {"A": (Outcome.UNCHANGED, "already_there")}


def test_a_stale_quantity_without_its_place_has_the_whole_batch_compared_again(stack):
    shop = shop_of(A=5, B=5)
    shop.faults.append(lambda _: answered("CHANGE_FROM_QUANTITY_STALE"))
    found = ended(sink_of(stack, shop), change("A", 5, 9), change("B", 5, 9))
    assert found == dict.fromkeys("AB", (Outcome.FAILED, "moved_on"))


def answered(code: str) -> Response:
    text = f'{{"data": {{"inventorySetQuantities": {{"userErrors": [{{"code": "{code}", "field": null}}]}}}}}}'
    return Response(text.encode())


def test_a_write_whose_answer_was_lost_is_sent_again_by_its_key_and_a_sale_after_it_stays(stack):
    shop = shop_of(A=5)
    shop.faults.append(lost)
    shop.before += [lambda: None, lambda: shop.item("A").levels.update({HERE: 8})]
    assert ended(sink_of(stack, shop), change("A", 5, 9)) == {}
    assert len(shop.sent) == 2
    assert len(set(shop.sent)) == 1
    assert shop.groups == [["A=9"]]
    assert levels(shop) == {"A": 8}


def test_a_shop_that_does_not_honour_the_key_still_compares(stack):
    shop = shop_of(A=5)
    shop.faults.append(lost)
    shop.before += [lambda: None, shop.keys.clear]
    assert ended(sink_of(stack, shop), change("A", 5, 9)) == {"A": (Outcome.FAILED, "moved_on")}
    assert shop.groups == [["A=9"]]
    assert levels(shop) == {"A": 9}


def test_a_shop_that_goes_silent_ends_the_run_and_the_next_finds_what_was_written(stack):
    shop = ShopifyServer()
    shop.fill([CurrentLevel(f"{number:03}", 5) for number in range(300)], {"": HERE})
    shop.faults += [lambda _: None, *[lost] * 4]  # the first is of an idle connection, which does not count
    items = [change(f"{number:03}", 5, 6) for number in range(300)]
    sink = sink_of(stack, shop)
    broken_off = sink.apply(changes_of(items), CONTEXT)
    unknown = {item.sku: (item.outcome, item.reason) for item in broken_off.exceptions}
    assert unknown == {f"{number:03}": (Outcome.FAILED, "not_reached") for number in range(250, 300)}
    assert isinstance(broken_off.stopped, SinkUnavailable)
    assert broken_off.stopped.message.startswith("could not write the levels")
    assert broken_off.stopped.recovery is Recovery.RETRY
    assert "finds what was written" in broken_off.stopped.guidance
    assert set(ended(sink, *items).values()) == {(Outcome.UNCHANGED, "already_there")}
    assert [len(group) for group in shop.groups] == [250, 50]


@pytest.mark.parametrize(
    ("code", "kind", "recovery"),
    [
        ("IDEMPOTENCY_CONCURRENT_REQUEST", SinkUnavailable, Recovery.RETRY),
        ("IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED", SinkUnavailable, Recovery.RETRY),
        ("INVALID_REASON", SinkError, Recovery.STOP),
        ("INVALID_LOCATION", SinkError, Recovery.STOP),
    ],
)
def test_a_batch_that_is_refused_as_a_whole_says_so(stack, code, kind, recovery):
    shop = shop_of(A=5)
    shop.faults.append(lambda _: answered(code))
    with pytest.raises(kind, match=code) as caught:
        ended(sink_of(stack, shop), change("A", 5, 9))
    assert type(caught.value) is kind
    assert caught.value.recovery is recovery


def test_an_item_deleted_in_between_and_one_too_large_fail_alone(stack):
    shop = shop_of(A=5, B=5, C=5)
    shop.before.append(lambda: shop.items.remove(shop.item("A")))
    found = ended(sink_of(stack, shop), change("A", 5, 9), change("B", 5, 2_000_000_000), change("C", 5, 9))
    assert found == {"A": (Outcome.FAILED, "row_gone"), "B": (Outcome.FAILED, "refused")}
    assert levels(shop) == {"B": 5, "C": 9}


def test_an_item_that_is_not_tracked_or_whose_sku_is_not_its_own_is_null_and_says_why(stack):
    shop = shop_of(A=5, B=5)
    shop.item("A").tracked = False
    shop.items.append(Item("gid://shopify/InventoryItem/77", "B", {HERE: 5}))
    sink = sink_of(stack, shop)
    assert levels_of(sink) == {("A", ""): None, ("B", ""): None}
    found = ended(sink, change("A", None, 1), change("B", None, 1))
    assert found == {"A": (Outcome.FAILED, "not_tracked"), "B": (Outcome.FAILED, "sku_not_unique")}
    assert shop.groups == []


def test_other_locations_are_never_touched_and_levels_are_of_those_named(stack):
    shop = shop_of(A=5)
    shop.item("A").levels["gid://shopify/Location/4"] = 70
    sink = sink_of(stack, shop)
    assert levels_of(sink, ["A"]) == {("A", ""): 5}
    assert ended(sink, change("A", 5, 6)) == {}
    assert shop.item("A").levels == {HERE: 6, "gid://shopify/Location/4": 70}


def test_a_throttled_request_is_asked_again_once_there_are_points(stack):
    shop = shop_of(A=5)
    shop.throttles = 2
    assert levels_of(sink_of(stack, shop)) == {("A", ""): 5}
    assert PAUSES == [4.0, 4.0]


def test_a_longer_pause_than_allowed_ends_the_run_and_spends_no_retry(stack):
    shop = shop_of(A=5)
    shop.throttles = 1
    with pytest.raises(SinkUnavailable) as caught:
        levels_of(sink_of(stack, shop, max_pause=3.0))
    assert caught.value.recovery is Recovery.WAIT
    assert PAUSES == []


def test_wrong_credentials_wait_for_a_person_and_never_show(stack):
    with pytest.raises(SinkError) as caught:
        sink_of(stack, shop_of(), token=Secret("another")).describe()
    assert caught.value.recovery is Recovery.BLOCK
    assert "another" not in f"{caught.value!s} {sink_of(stack, shop_of(), token=Secret('another'))!r}"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"url": "http://shop.example"}, "in the clear"),
        ({"locations": {}}, "1 to 20"),
        ({"locations": {"": "1"}}, "1 to 20"),
        ({"locations": {"a": HERE, "b": HERE}}, "different ids"),
        ({"version": "2025-10"}, "2026-04 or later"),
        ({"state": "committed"}, "available, on_hand"),
    ],
)
def test_a_wrong_declaration_is_told(options, complaint):
    given = {"url": "https://shop.example", "token": Secret("x"), "locations": {"": HERE}, **options}
    with pytest.raises(ConfigurationError, match=complaint):
        ShopifySink(**given)


def test_it_is_stored_by_its_options(monkeypatch):
    monkeypatch.setenv("SHOP_TOKEN", TOKEN)
    sink = ShopifySink("https://s.example", token=Secret.reference("env:SHOP_TOKEN"), locations={"": HERE})
    described = Registry()._stored("sink", sink)
    assert described.name == "shopify"
    assert Registry()._make("sink", described) == sink
