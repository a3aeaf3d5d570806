"""A source whose levels can be at none of its sink's locations is refused before anything is fetched."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from inventory_sources import Columns, MemorySink, Secret, SqlStockSink, StockLevel
from inventory_sources.run import RunResult
from inventory_sources.sinks.http import ShopifySink, WooCommerceSink

from .conftest import Scripted, Shop

FEED = "sku,quantity,site\nA,5,main\n"
AT_SITE = Columns(location="site")
TOKEN = Secret("x" * 20)


def shopify(*names: str) -> ShopifySink:
    """A shop with these names of locations; nothing is ever asked of it."""
    ids = {name: f"gid://shopify/Location/{number}" for number, name in enumerate(names, 1)}
    return ShopifySink("https://shop.example", token=TOKEN, locations=ids)


def table(shop: Shop, location: str | None) -> SqlStockSink:
    """A stock table with a column of locations, declared or not."""
    with shop.database.begin() as connection:
        connection.execute(sa.text("CREATE TABLE levels (sku TEXT, site TEXT, quantity INTEGER)"))
        connection.execute(sa.text("INSERT INTO levels VALUES ('A', 'main', 1)"))
    return SqlStockSink(shop.database, "levels", sku="sku", quantity="quantity", location=location)


NOT_APART = "tells locations apart and its stock table does not"
NOWHERE = "can be at a location of its stock, which are 'east', 'west'"


@pytest.mark.parametrize(
    ("mapper", "sink", "told"),
    [
        (AT_SITE, MemorySink({"A": 1}), NOT_APART),
        (Columns(fixed_location="main"), MemorySink({"A": 1}), NOT_APART),
        (AT_SITE, lambda shop: table(shop, None), NOT_APART),
        (AT_SITE, WooCommerceSink("https://shop.example", key=TOKEN, secret=TOKEN), NOT_APART),
        (AT_SITE, shopify(""), NOT_APART),
        (Columns(), shopify("west", "east"), NOWHERE),
        (Columns(fixed_location="main"), shopify("west", "east"), NOWHERE),
    ],
)
def test_a_mismatch_that_is_declared_is_told_before_anything_is_fetched(
    shop: Shop, mapper: Columns, sink: Any, told: str
) -> None:
    connector = Scripted(FEED)
    made = shop.source(connector, mapper=mapper, sink=sink(shop) if callable(sink) else sink)
    report = shop.engine.check(made)
    assert any(told in problem for problem in report.problems)
    shop.engine.add_source(made)
    run = shop.engine.sync("erp")
    assert run.result is RunResult.FAILED
    assert run.failure is not None
    assert (run.failure.code, connector.fetches) == ("sink_schema_invalid", 0)
    assert told in run.failure.message


@pytest.mark.parametrize(
    ("mapper", "sink"),
    [
        (AT_SITE, lambda shop: table(shop, "site")),
        (Columns(fixed_location="main"), lambda shop: table(shop, "site")),
        (AT_SITE, MemorySink([StockLevel("A", 1, "main")])),
        (Columns(), MemorySink({"A": 1})),
    ],
)
def test_what_the_declarations_allow_is_synced(shop: Shop, mapper: Columns, sink: Any) -> None:
    shop.add(FEED, mapper=mapper, sink=sink(shop) if callable(sink) else sink)
    assert shop.engine.sync("erp").products_updated == 1


@pytest.mark.parametrize("mapper", [AT_SITE, Columns(), Columns(fixed_location="main")])
def test_a_sink_that_takes_feeds_with_and_without_locations_is_asked_when_the_feed_is_there(
    shop: Shop, mapper: Columns
) -> None:
    connector = shop.add(FEED, mapper=mapper, sink=table(shop, "site"))
    shop.engine.sync("erp")
    assert connector.fetches == 1
