"""Stock of a WooCommerce shop: products and variations, set absolutely, and never switched on silently."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from inventory_sources import Registry, Secret
from inventory_sources.errors import ConfigurationError, Recovery, SinkError, SinkUnavailable
from inventory_sources.plan import Outcome
from inventory_sources.protocols.sink import ApplyContext, CurrentLevel, SinkLevel, StockSink
from inventory_sources.sinks.http import WooCommerceSink
from inventory_sources.testing.servers import Response, ScriptedHttpServer
from inventory_sources.testing.sinks import StockSinkContract, change, changes_of, levels_of

from .woocommerce_server import KEY, SECRET, Product, WooServer

CONTEXT = ApplyContext("erp", "run-1", 1)
PAUSES: list[float] = []
LOST = Response(raw=b"", hang_up=True)


class Patient(WooCommerceSink):
    """Notes pauses in place of making them."""

    def pause(self, seconds: float) -> None:
        PAUSES.append(seconds)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    PAUSES.clear()
    with ExitStack() as opened:
        yield opened


def sink_of(stack: ExitStack, shop: WooServer, **options: Any) -> WooCommerceSink:
    server = stack.enter_context(ScriptedHttpServer(shop, keep_alive=True))
    given: dict[str, Any] = {"key": Secret(KEY), "secret": Secret(SECRET), **options}
    return Patient(server.url, allow_private=("127.0.0.0/8",), allow_plaintext=True, **given)


def ended(sink: StockSink, *items: Any) -> dict[str, tuple[Outcome, str]]:
    result = sink.apply(changes_of(items), CONTEXT)
    return {item.sku: (item.outcome, item.reason) for item in result.exceptions}


def shirts() -> WooServer:
    """A mug; a shirt in two sizes, the large one of which draws on the shirt's stock; and what keeps none."""
    return WooServer(
        [
            Product(1, "MUG", 5),
            Product(2, "SHIRT", 30, type="variable"),
            Product(3, "SHIRT-S", 7, parent_id=2, type="variation"),
            Product(4, "SHIRT-L", None, "parent", parent_id=2, type="variation"),
            Product(5, "BOX", None, False, type="grouped"),
            Product(6, "CAP", None, False, type="variable"),
            Product(7, "CAP-S", 2, parent_id=6, type="variation"),
            Product(8, "CARD", None, False),
            Product(9, "", 4),
        ]
    )


class TestWooCommerceSink(StockSinkContract):
    locations = False
    many = 250
    fills = False

    @pytest.fixture(autouse=True)
    def opened(self, stack: ExitStack) -> None:
        self.stack = stack

    def make_sink(self, levels: Sequence[CurrentLevel], *, locations: bool, inserts: bool) -> StockSink:
        shop = WooServer()
        shop.fill(levels)
        return self.sink(shop)

    def sink(self, shop: WooServer) -> StockSink:
        return sink_of(self.stack, shop)


class TestWooCommerceSinkThatEnables(TestWooCommerceSink):
    fills = True

    def sink(self, shop: WooServer) -> StockSink:
        return sink_of(self.stack, shop, manage="enable")


def test_it_sets_absolutely(stack):
    traits = sink_of(stack, WooServer()).describe()
    assert (traits.level, traits.places, traits.locations) == (SinkLevel.ABSOLUTE_SET, 0, False)


ALL = {"MUG": 5, "SHIRT": 30, "SHIRT-S": 7, "SHIRT-L": None, "BOX": None, "CAP": None, "CAP-S": 2, "CARD": None}


def test_products_and_variations_are_found_by_sku_as_in_the_whole_list(stack):
    sink = sink_of(stack, shirts())
    assert levels_of(sink) == {(sku, ""): quantity for sku, quantity in ALL.items()}
    assert levels_of(sink, list(ALL)) == levels_of(sink)


def test_products_go_in_one_batch_and_the_variations_of_each_product_in_one(stack):
    shop = shirts()
    found = ended(
        sink_of(stack, shop),
        change("MUG", 5, 6),
        change("SHIRT-S", 7, 8),
        change("SHIRT", 30, 31),
        change("CAP-S", 2, 0),
    )
    assert found == {}
    assert shop.batches == [("/batch", 2), ("/2/variations/batch", 1), ("/6/variations/batch", 1)]
    assert {p.sku: p.stock_quantity for p in shop.products if p.sku in {"MUG", "SHIRT", "SHIRT-S", "CAP-S"}} == {
        "MUG": 6,
        "SHIRT": 31,
        "SHIRT-S": 8,
        "CAP-S": 0,
    }


def test_what_keeps_no_stock_is_refused_with_the_reason(stack):
    shop = shirts()
    found = ended(sink_of(stack, shop), *(change(sku, None, 1) for sku in ("SHIRT-L", "BOX", "CAP", "CARD")))
    reasons = {"SHIRT-L": "stock_of_parent", "BOX": "no_stock", "CAP": "no_stock", "CARD": "stock_not_managed"}
    assert found == {sku: (Outcome.FAILED, reason) for sku, reason in reasons.items()}
    assert shop.batches == []


def test_only_where_it_may_a_product_is_made_to_keep_stock(stack):
    shop = shirts()
    found = ended(sink_of(stack, shop, manage="enable"), change("CARD", None, 3), change("SHIRT-L", None, 3))
    assert found == {"SHIRT-L": (Outcome.FAILED, "stock_of_parent")}
    assert (shop.product("CARD").manage_stock, shop.product("CARD").stock_quantity) == (True, 3)


def test_a_product_that_stops_keeping_stock_in_between_is_not_taken_for_written(stack):
    shop = shirts()
    shop.before.append(lambda: setattr(shop.product("MUG"), "manage_stock", False))
    assert ended(sink_of(stack, shop), change("MUG", 5, 6)) == {"MUG": (Outcome.FAILED, "refused")}


def test_a_product_deleted_in_between_fails_alone(stack):
    shop = shirts()
    shop.before.append(lambda: shop.products.remove(shop.product("MUG")))
    assert ended(sink_of(stack, shop), change("MUG", 5, 6), change("SHIRT", 30, 1)) == {
        "MUG": (Outcome.FAILED, "row_gone")
    }


def test_a_sale_since_the_plan_is_compared_again_and_one_during_the_request_is_overwritten(stack):
    shop = shirts()
    shop.product("MUG").stock_quantity = 4
    shop.before.append(lambda: setattr(shop.product("SHIRT"), "stock_quantity", 29))
    found = ended(sink_of(stack, shop), change("MUG", 5, 6), change("SHIRT", 30, 40))
    assert found == {"MUG": (Outcome.FAILED, "moved_on")}
    assert (shop.product("MUG").stock_quantity, shop.product("SHIRT").stock_quantity) == (4, 40)


def test_an_item_that_the_answer_leaves_out_is_not_confirmed(stack):
    shop = shirts()
    shop.faults += [None, Response(b'{"update": [{"id": 2, "stock_quantity": 31}]}')]
    found = ended(sink_of(stack, shop), change("MUG", 5, 6), change("SHIRT", 30, 31))
    assert found == {"MUG": (Outcome.FAILED, "not_confirmed")}


def test_an_item_that_the_answer_shows_at_another_level_was_refused(stack):
    shop = shirts()
    shop.faults += [None, Response(b'{"update": [{"id": 1, "stock_quantity": 5}]}')]
    assert ended(sink_of(stack, shop), change("MUG", 5, 6)) == {"MUG": (Outcome.FAILED, "refused")}


def test_a_batch_that_was_turned_away_is_sent_again(stack):
    shop = shirts()
    turned_away = Response(status=429)
    shop.faults += [None, turned_away]
    assert ended(sink_of(stack, shop), change("MUG", 5, 6)) == {}
    assert PAUSES == [1.0]
    assert len(shop.batches) == 2


def test_a_batch_whose_answer_was_lost_is_not_sent_again_and_the_next_run_finds_it(stack):
    shop = shirts()
    shop.faults += [None, LOST]
    sink = sink_of(stack, shop)
    with pytest.raises(SinkUnavailable, match="could not write the levels") as caught:
        ended(sink, change("MUG", 5, 6))
    assert caught.value.recovery is Recovery.RETRY
    assert len(shop.batches) == 1
    assert ended(sink, change("MUG", 5, 6)) == {"MUG": (Outcome.UNCHANGED, "already_there")}
    assert len(shop.batches) == 1


def test_questions_are_asked_again_when_the_answer_fails_or_the_shop_is_busy(stack):
    shop = shirts()
    busy = Response(status=429, headers={"Retry-After": "7"})
    maintenance = Response(b"<html>Briefly unavailable</html>")
    shop.faults += [busy, maintenance, Response(status=502)]
    assert levels_of(sink_of(stack, shop), ["MUG"]) == {("MUG", ""): 5}
    assert PAUSES == [7.0, 1.0, 2.0]


def test_skus_with_commas_are_asked_for_alone(stack):
    shop = WooServer([Product(1, "A,B", 1), Product(2, "A", 2), Product(3, "B", 3)])
    assert levels_of(sink_of(stack, shop), ["A,B"]) == {("A,B", ""): 1}
    assert levels_of(sink_of(stack, shop), ["A", "B", "A,B"]) == {("A", ""): 2, ("B", ""): 3, ("A,B", ""): 1}


def test_a_sku_that_two_products_have_is_null_and_fails(stack):
    shop = WooServer([Product(1, "A", 1), Product(2, "A", 1)])
    sink = sink_of(stack, shop)
    assert levels_of(sink) == {("A", ""): None}
    assert ended(sink, change("A", None, 2)) == {"A": (Outcome.FAILED, "sku_not_unique")}


def test_wrong_credentials_wait_for_a_person_and_never_show(stack):
    sink = sink_of(stack, shirts(), secret=Secret("another"))
    with pytest.raises(SinkError) as caught:
        sink.describe()
    assert caught.value.recovery is Recovery.BLOCK
    assert "another" not in f"{caught.value!s} {sink!r}"


def test_something_else_than_a_list_is_told(stack):
    shop = shirts()
    shop.faults.append(Response(b'{"code": "rest_no_route"}'))
    with pytest.raises(SinkError, match="in place of a list of products"):
        levels_of(sink_of(stack, shop))


def test_a_wrong_declaration_is_told():
    with pytest.raises(ConfigurationError, match="in the clear"):
        WooCommerceSink("http://shop.example", key=Secret("k"), secret=Secret("s"))
    with pytest.raises(ConfigurationError, match="refuse or enable"):
        WooCommerceSink("https://shop.example", key=Secret("k"), secret=Secret("s"), manage="yes")


def test_it_is_stored_by_its_options(monkeypatch):
    monkeypatch.setenv("WOO_KEY", KEY)
    key = Secret.reference("env:WOO_KEY")
    sink = WooCommerceSink("https://shop.example", key=key, secret=key, manage="enable")
    described = Registry()._stored("sink", sink)
    assert described.name == "woocommerce"
    assert Registry()._make("sink", described) == sink
