"""Feeds in the shape that well-known systems export them, into stock tables of one's own."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from inventory_sources import Columns, FileConnector, JsonDecoder, Source, SqlStockSink
from inventory_sources.guards import default_guards
from inventory_sources.run import RunResult, SyncRun

from .conftest import Shop


class Warehouse:
    """A stock table with locations beside the shop's own."""

    def __init__(self, shop: Shop, quantity: str) -> None:
        self.shop = shop
        with shop.database.begin() as connection:
            connection.exec_driver_sql(
                f"CREATE TABLE depot (article TEXT, site TEXT, pieces {quantity}, PRIMARY KEY (article, site))"
            )
        self.sink = SqlStockSink(shop.database, "depot", sku="article", location="site", quantity="pieces")

    def stock(self, *keys: tuple[str, str]) -> None:
        """Rows at 100 each."""
        with self.shop.database.begin() as connection:
            rows = [{"article": sku, "site": site} for sku, site in keys]
            connection.execute(sa.text("INSERT INTO depot VALUES (:article, :site, 100)"), rows)

    @property
    def levels(self) -> dict[tuple[str, str], Decimal]:
        """What stands in the table."""
        with self.shop.database.connect() as connection:
            rows = connection.exec_driver_sql("SELECT article, site, pieces FROM depot")
            return {(sku, site): Decimal(str(pieces)) for sku, site, pieces in rows}


def synced(shop: Shop, source: Source) -> SyncRun:
    """check, then a first sync with the guards that a source has by default."""
    assert shop.engine.check(source).ok
    shop.engine.add_source(source)
    run = shop.engine.sync(source.name)
    assert run.result is RunResult.COMPLETED
    assert run.counts.add_up
    return run


def test_one_row_a_source_and_sku_with_decimals(shop: Shop) -> None:
    depot = Warehouse(shop, "NUMERIC(12, 2)")
    depot.stock(("YARN-1", "main"), ("YARN-1", "north"), ("00120", "north"), ("YARN-2", "main"))
    shop.feed(
        "source_code,sku,status,quantity\n"
        "main,YARN-1,1,7.25\nnorth,YARN-1,1,0.10\nnorth,00120,0,0.00\nmain,YARN-2,1,40\nmain,120,1,9\n"
    )
    mapper = Columns(location="source code")
    run = synced(shop, shop.source(mapper=mapper, sink=depot.sink, guards=()))
    assert depot.levels == {
        ("YARN-1", "main"): Decimal("7.25"),
        ("YARN-1", "north"): Decimal("0.1"),
        ("00120", "north"): Decimal(0),
        ("YARN-2", "main"): Decimal(40),
    }
    assert (run.counts.unmapped, run.products_updated, run.warnings) == (1, 3, ())


def test_decimals_into_whole_units_are_floored_and_told(shop: Shop) -> None:
    depot = Warehouse(shop, "INTEGER")
    depot.stock(("YARN-1", "main"), ("YARN-2", "main"))
    shop.feed("source_code,sku,quantity\nmain,YARN-1,7.99\nmain,YARN-2,3.0\n")
    run = synced(shop, shop.source(mapper=Columns(location="source_code"), sink=depot.sink))
    assert depot.levels == {("YARN-1", "main"): Decimal(7), ("YARN-2", "main"): Decimal(3)}
    assert [warning for warning in run.warnings if warning.startswith("1 quantities were floored")]


#: A count sheet: what the system has is blank, what was counted is beside it; one product lies in two lots.
SHEET = """Product code,Product name,Lot number,Bin location,System QOH,Counted QOH,Comment
P-10,"Gauze, sterile, 5cm",L1,R1-S1,,40,
P-10,"Gauze, sterile, 5cm",L2,R1-S2,,2,"count again, ""wet"" box"
P-11,Tape,,R1-S1,,0,
00012,"Gloves, box",L7,R2-S1,,1250,
"""
SHELVES = {"P-10": 5, "P-11": 6, "00012": 7}


def test_the_counted_column_is_taken_and_lots_are_added_up(shop: Shop) -> None:
    shop.stock(**SHELVES)
    shop.feed(SHEET)
    run = synced(shop, shop.source(mapper=Columns("product code", "counted qoh", duplicates="sum"), guards=()))
    assert shop.levels == {"P-10": 42, "P-11": 0, "00012": 1250}
    assert (run.counts.rows, run.counts.mapped, run.counts.items) == (4, 4, 3)


def test_lots_without_a_declaration_of_what_they_mean_are_refused(shop: Shop) -> None:
    shop.stock(**SHELVES)
    shop.feed(SHEET)
    run = synced(shop, shop.source(mapper=Columns("product code", "counted qoh")))
    assert shop.levels == {"P-10": 5, "P-11": 0, "00012": 1250}
    assert run.counts.duplicate == 2


def test_the_blank_column_is_not_taken_for_zeros(shop: Shop) -> None:
    shop.stock(**SHELVES)
    shop.feed(SHEET)
    shop.engine.add_source(shop.source(mapper=Columns("product code", "system qoh", duplicates="sum")))
    run = shop.engine.sync("erp")
    assert shop.levels == SHELVES
    assert (run.counts.rows, run.counts.invalid, run.counts.add_up) == (4, 4, True)
    rows = [stored.rejection for stored in shop.engine.rejections(run)]
    assert {row.reason for row in rows} == {"quantity_blank"}
    assert [row.cells["Product name"] for row in rows][:1] == ["Gauze, sterile, 5cm"]


ITEMS = [{"id": 9_007_199_254_740_993, "sku": "MUG-BLUE"}, {"id": 41, "sku": "MUG-RED"}]


def levels_document(*levels: tuple[int, int, int | None, str]) -> str:
    """Levels by item and location, which name no SKU."""
    names = ("inventory_item_id", "location_id", "available", "updated_at")
    return json.dumps({"inventory_levels": [dict(zip(names, level, strict=True)) for level in levels]})


def shopify_like(shop: Shop, depot: Warehouse, **changes: Any) -> Source:
    """Item ids are translated by a table made of the items' own list."""
    return shop.source(
        FileConnector(str(shop.folder / "feed.csv"), as_of="fetch"),
        decoder=JsonDecoder(records="inventory_levels"),
        mapper=Columns(
            "inventory_item_id",
            "available",
            "location_id",
            "updated_at",
            identity={str(item["id"]): item["sku"] for item in ITEMS},
        ),
        sink=depot.sink,
        guards=default_guards(),
        **changes,
    )


def test_levels_by_item_id_at_several_locations_find_their_sku(shop: Shop) -> None:
    depot = Warehouse(shop, "INTEGER")
    depot.stock(*[(item["sku"], site) for item in ITEMS for site in ("501", "502")])
    early = "2026-03-02T04:30:00-05:00"
    blue, red = (item["id"] for item in ITEMS)
    feed = [(blue, 501, 27, early), (red, 501, 9, early), (red, 502, 1, early), (77, 502, 5, early)]
    shop.feed(levels_document(*feed, (blue, 502, None, early)))
    run = synced(shop, shopify_like(shop, depot))
    assert depot.levels == {
        ("MUG-BLUE", "501"): Decimal(27),
        ("MUG-BLUE", "502"): Decimal(100),
        ("MUG-RED", "501"): Decimal(9),
        ("MUG-RED", "502"): Decimal(1),
    }
    assert (run.counts.mapped, run.counts.unmapped, run.counts.invalid, run.products_updated) == (3, 1, 1, 2)
    assert [entry.sku for entry in shop.store.unmapped("erp")] == ["77"]


def test_an_item_changed_longer_ago_than_was_seen_is_not_put_back(shop: Shop) -> None:
    depot = Warehouse(shop, "INTEGER")
    depot.stock(*[(item["sku"], "501") for item in ITEMS], ("MUG-RED", "502"))
    blue, red = (item["id"] for item in ITEMS)
    seen, before, after = "2026-03-02T04:30:00-05:00", "2026-03-02T09:29:59Z", "2026-03-02T09:30:01Z"
    shop.feed(levels_document((blue, 501, 27, seen), (red, 501, 9, seen), (red, 502, 1, seen)))
    synced(shop, shopify_like(shop, depot))
    shop.clock.advance(60)
    shop.feed(levels_document((blue, 501, 27, seen), (red, 501, 8, before), (red, 502, 2, after)))
    run = shop.engine.sync("erp")
    assert (run.result, run.counts.changed, run.counts.unchanged, run.counts.stale) == (RunResult.COMPLETED, 1, 1, 1)
    assert depot.levels == {("MUG-BLUE", "501"): 27, ("MUG-RED", "501"): 9, ("MUG-RED", "502"): 2}
