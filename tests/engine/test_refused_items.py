"""Items that the sink refuses: listed, warned of, and fetched again by sources that would not send them again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from inventory_sources import Columns, Feed, FileConnector, MemorySink, Secret, Source, SqlStockSink
from inventory_sources.batch import RejectionKind
from inventory_sources.connectors import PickUp
from inventory_sources.plan import Outcome
from inventory_sources.protocols.sink import ApplyContext, ApplyResult, Changes, CurrentLevel, ItemOutcome
from inventory_sources.rest import RestConnector, Watermark
from inventory_sources.run import RunResult
from inventory_sources.sinks.http import WooCommerceSink
from inventory_sources.testing import ScriptedHttpServer
from tests.rest.rows import answer, query_of
from tests.sinks.woocommerce_server import KEY, SECRET, Product, WooServer

from .conftest import START, Shop

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


class Refusing(MemorySink):
    """Refuses each SKU of ``refused``, for the reason given there."""

    def __init__(self, *skus: str, **refused: str) -> None:
        super().__init__([CurrentLevel(sku, 1) for sku in skus])
        self.refused = refused

    def apply(self, changes: Changes, context: ApplyContext) -> ApplyResult:
        ended = [
            ItemOutcome(item.sku, item.location, Outcome.FAILED, self.refused[item.sku])
            for item in changes
            if item.sku in self.refused
        ]
        kept = {sku: self.quantity(sku) for sku in self.refused}
        super().apply(changes, context)
        for sku, quantity in kept.items():
            self._rows[sku, ""] = type(self._rows[sku, ""])(quantity)
        return ApplyResult(tuple(ended))

    @property
    def now(self) -> dict[str, int]:
        return {level.sku: int(level.quantity or 0) for level in self.levels(None)}


@pytest.fixture
def woo() -> Iterator[tuple[WooServer, WooCommerceSink]]:
    """A WooCommerce shop in which B keeps no stock."""
    api = WooServer([Product(1, "A", 1), Product(2, "B", None, False), Product(3, "C", 3)])
    with ScriptedHttpServer(api, keep_alive=True) as server:
        yield (
            api,
            WooCommerceSink(
                server.url,
                key=Secret(KEY),
                secret=Secret(SECRET),
                allow_private=("127.0.0.0/8",),
                allow_plaintext=True,
            ),
        )


def manage(api: WooServer) -> None:
    """What the shopkeeper does about it."""
    api.product("B").manage_stock = True
    api.product("B").stock_quantity = 0


def test_a_refused_item_is_listed_with_its_level_reason_and_what_to_do(
    shop: Shop, woo: tuple[WooServer, WooCommerceSink]
) -> None:
    shop.add("sku,quantity,colour\nA,9,red\nB,7,blue\nX,1,grey\n", sink=woo[1])
    run = shop.engine.sync("erp")
    assert (run.result, run.counts.changed, run.counts.failed, run.counts.add_up) == (RunResult.COMPLETED, 1, 1, True)
    failed, unmapped = (stored.rejection for stored in shop.engine.rejections(run))
    assert (unmapped.kind, unmapped.sku) == (RejectionKind.UNMAPPED, "X")
    assert (failed.kind, failed.reason) == (RejectionKind.FAILED, "stock_not_managed")
    assert (failed.sku, failed.location, failed.quantity) == ("B", "", 7)
    assert failed.message == "the sink did not set 'B' to 7: stock not managed"
    assert failed.guidance == (
        "Switch on stock management for the product in WooCommerce, or declare manage='enable'. "
        "The next sync tries it again."
    )
    assert str(failed.place) == "feed.csv, line 3"
    assert failed.cells == {"sku": "B", "quantity": "7", "colour": "blue"}
    assert "1 of 2 items were refused by the sink: first 'B' (stock_not_managed)" in run.warnings
    assert shop.engine.resolve(stored.id for stored in shop.engine.rejections(run)) == 2


def test_a_row_that_the_table_does_not_take_is_listed_and_tried_again_though_the_file_is_the_same(shop: Shop) -> None:
    with shop.database.begin() as connection:
        connection.execute(sa.text("DROP TABLE stock"))
        connection.execute(
            sa.text("CREATE TABLE stock (sku TEXT, place TEXT, quantity INTEGER CHECK (quantity <> 13))")
        )
        connection.execute(sa.text("INSERT INTO stock VALUES ('A', 'north', 1), ('B', 'north', 1)"))
    sink = SqlStockSink(shop.database, "stock", sku="sku", quantity="quantity", location="place")
    path = shop.feed("sku,place,quantity\nA,north,9\nB,north,13\n")
    os.utime(path, (START.timestamp(), START.timestamp()))
    connector = FileConnector(str(path), as_of="modified")
    shop.engine.add_source(shop.source(connector, mapper=Columns(location="place"), sink=sink, frequency="5min"))
    shop.engine.request_sync("erp")
    for _ in range(3):
        (run,) = shop.engine.run_due()
        assert (run.skipped, run.counts.failed) == ("", 1)
        (stored,) = shop.engine.rejections(run)
        assert stored.rejection.message == (
            "the sink did not set 'B' at location 'north' to 13: it does not take this quantity"
        )
        assert (stored.rejection.reason, stored.rejection.location) == ("refused", "north")
        due = shop.engine.status("erp").next_run_at
        assert due is not None
        shop.clock.advance(due - shop.clock.now())
    with shop.database.begin() as connection:
        connection.execute(sa.text("CREATE TABLE other (sku TEXT, place TEXT, quantity INTEGER)"))
        connection.execute(sa.text("INSERT INTO other SELECT * FROM stock"))
        connection.execute(sa.text("DROP TABLE stock"))
        connection.execute(sa.text("ALTER TABLE other RENAME TO stock"))
    (run,) = shop.engine.run_due()
    assert (run.counts.changed, run.counts.failed, run.warnings) == (1, 0, ())
    assert {level.sku: level.quantity for level in _each(sink)} == {"A": 9, "B": 13}
    shop.clock.advance(5 * MINUTE)
    assert [run.skipped for run in shop.engine.run_due()] == ["the input is unchanged since it was applied"]


def _each(sink: Any) -> list[CurrentLevel]:
    return [CurrentLevel(row["sku"], row["quantity"]) for row in sink.levels(None).iter_rows(named=True)]


def test_of_very_many_refused_items_the_first_ten_thousand_are_listed(shop: Shop) -> None:
    skus = [f"S{number:05}" for number in range(10_003)]
    sink = Refusing(*skus, **dict.fromkeys(skus, "locked"))
    shop.add("sku,quantity\n" + "".join(f"{sku},5\n" for sku in skus), sink=sink)
    run = shop.engine.sync("erp")
    assert run.counts.failed == 10_003
    assert len(shop.engine.rejections(run, limit=20_000)) == 10_000
    (warning,) = run.warnings
    assert warning == (
        "10003 of 10003 items were refused by the sink: first 'S00000' (locked); "
        "10000 of them are listed, all of them are counted"
    )


def test_a_reason_that_is_no_code_shows_nowhere(shop: Shop) -> None:
    shop.add("sku,quantity\nA,5\n", sink=Refusing("A", A="HTTP 400 from https://u:hunter2@shop.example/"))
    run = shop.engine.sync("erp")
    (stored,) = shop.engine.rejections(run)
    assert stored.rejection.reason == "refused"
    assert "hunter2" not in f"{stored} {run!r}"


def test_an_item_that_was_to_be_set_to_zero_is_listed_without_a_row(shop: Shop) -> None:
    sink = Refusing("A", "B", B="locked")
    sink.refused.clear()
    feed = Feed.snapshot("available", absent="zero")
    inputs = shop.add("sku,quantity\nA,5\nB,5\n", "sku,quantity\nA,5\n", sink=sink, feed=feed)
    shop.engine.sync("erp")
    sink.refused["B"] = "locked"
    shop.clock.advance(MINUTE)
    run = shop.engine.sync("erp")
    (stored,) = shop.engine.rejections(run)
    assert (stored.rejection.sku, stored.rejection.quantity) == ("B", 0)
    assert stored.rejection.place.origin == "not in the feed"
    assert sink.now == {"A": 5, "B": 5}
    sink.refused.clear()
    shop.clock.advance(MINUTE)
    shop.engine.sync("erp")
    assert sink.now == {"A": 5, "B": 0}
    assert inputs.fetches == 3


def test_refused_items_are_an_event_by_reason(shop: Shop) -> None:
    try:
        with structlog.testing.capture_logs() as heard:
            shop.engine = shop.new_engine()
            shop.add("sku,quantity\nA,5\nB,5\nC,5\n", sink=Refusing("A", "B", "C", A="locked", B="locked"))
            run = shop.engine.sync("erp")
    finally:
        structlog.reset_defaults()
    (event,) = [event for event in heard if event["event"] == "items_refused"]
    assert (event["log_level"], event["reasons"], event["rereads"]) == ("warning", {"locked": 2}, 0)
    assert (event["source"], event["run"]) == ("erp", run.id)


class Erp:
    """A list of levels that tells what changed since a time."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[int, datetime]] = {}
        self.asked: list[str | None] = []

    def __call__(self, request: Any) -> Any:
        since = query_of(request).get("since")
        self.asked.append(since)
        first = datetime.fromisoformat(since) if since else datetime.min.replace(tzinfo=UTC)
        return answer(
            [
                {"sku": sku, "quantity": quantity, "updated_at": changed.isoformat()}
                for sku, (quantity, changed) in self.rows.items()
                if changed > first
            ]
        )


@pytest.fixture
def changes() -> Iterator[tuple[Erp, RestConnector]]:
    erp = Erp()
    with ScriptedHttpServer(erp) as server:
        mark = Watermark(field="updated_at", param="since")
        yield (
            erp,
            RestConnector(server.url, records="", watermark=mark, allow_private=("127.0.0.0/8",), allow_plaintext=True),
        )


def incremental(shop: Shop, connector: RestConnector, sink: Any) -> Callable[[], Any]:
    """A source of what changed; gives a function that syncs it half an hour later."""
    shop.engine.add_source(
        Source(name="erp", connector=connector, mapper=Columns(), feed=Feed.partial(), guards=(), sink=sink)
    )

    def later() -> Any:
        shop.clock.advance(30 * MINUTE)
        return shop.engine.sync("erp")

    return later


def test_a_watermark_does_not_pass_over_what_the_sink_refused(
    shop: Shop, changes: tuple[Erp, RestConnector], woo: tuple[WooServer, WooCommerceSink]
) -> None:
    (erp, connector), (api, sink) = changes, woo
    later = incremental(shop, connector, sink)
    erp.rows["A"] = (8, START)
    later()
    erp.rows |= {"A": (9, START + 20 * MINUTE), "B": (7, START + 20 * MINUTE)}
    first = later()
    assert (first.counts.changed, first.counts.failed) == (1, 1)
    erp.rows["C"] = (5, START + 70 * MINUTE)
    second = later()
    assert (second.counts.changed, second.counts.failed) == (1, 1), "C is written, and B is not forgotten"
    manage(api)
    third = later()
    assert (third.counts.failed, third.warnings[:-1]) == (0, ())
    assert [product.stock_quantity for product in api.products] == [9, 7, 5]
    later()
    since = "2026-03-02T11:55:00Z"
    assert erp.asked[:4] == [None, since, since, since]
    assert erp.asked[4] == "2026-03-02T13:05:00Z", "the mark moves on once nothing is refused"


def test_an_item_that_is_never_taken_stops_a_source_of_changes_for_as_long_as_a_retry_ladder_only(
    shop: Shop, changes: tuple[Erp, RestConnector], woo: tuple[WooServer, WooCommerceSink]
) -> None:
    (erp, connector), (api, sink) = changes, woo
    later = incremental(shop, connector, sink)
    erp.rows = {"A": (9, START), "B": (7, START - 20 * MINUTE)}
    runs = [later() for _ in range(4)]
    assert [run.counts.failed for run in runs] == [1, 1, 1, 1]
    assert all(any("refused by the sink: first 'B'" in told for told in run.warnings) for run in runs)
    given_up = "refused items were tried 4 times: the source goes on, until it sends them again"
    assert [given_up in run.warnings for run in runs] == [False, False, False, True]
    assert erp.asked == [None] * 4
    erp.rows["C"] = (5, START + 150 * MINUTE)
    run = later()
    assert (run.counts.changed, run.counts.failed) == (1, 0)
    assert erp.asked[4:] == ["2026-03-02T11:55:00Z"]
    manage(api)
    shop.clock.advance(DAY)
    later()
    assert erp.asked[-1] is None, "everything is asked for once a day"
    assert api.product("B").stock_quantity == 7


def dropped(folder: Path, name: str, text: str, at: datetime) -> None:
    (folder / name).write_text(text, "utf-8")
    os.utime(folder / name, (at.timestamp(), at.timestamp()))


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.csv"))


@pytest.fixture
def inbox(shop: Shop) -> Path:
    """Two files of changes, in the first of which the sink refuses B."""
    folder = shop.folder / "in"
    (folder / "done").mkdir(parents=True)
    dropped(folder, "1.csv", "sku,quantity\nA,9\nB,7\n", START - 2 * MINUTE)
    dropped(folder, "2.csv", "sku,quantity\nC,5\n", START - MINUTE)
    return folder


def one_by_one(shop: Shop, inbox: Path, sink: Any) -> None:
    pick_up = PickUp(take="each", afterwards="move", failed_folder=None, renamed=True)
    connector = FileConnector(str(inbox / "*.csv"), pick_up=pick_up)
    shop.engine.add_source(shop.source(connector, feed=Feed.partial(), sink=sink, frequency="5min"))


def test_a_file_is_not_put_away_before_the_sink_has_taken_all_of_it(shop: Shop, inbox: Path) -> None:
    sink = Refusing("A", "B", "C", B="locked")
    one_by_one(shop, inbox, sink)
    shop.engine.request_sync("erp")
    assert [run.counts.failed for run in shop.engine.run_due()] == [1]
    assert files(inbox) == ["1.csv", "2.csv"]
    assert shop.engine.run_due() == [], "more waits, and yet it is not tried at once"
    sink.refused.clear()
    shop.clock.advance(5 * MINUTE)
    assert [run.counts.failed for run in shop.engine.run_due()] == [0, 0]
    assert sink.now == {"A": 9, "B": 7, "C": 5}
    assert len(files(inbox / "done")) == 2


def test_a_file_with_an_item_that_is_never_taken_is_put_away_in_the_end(shop: Shop, inbox: Path) -> None:
    sink = Refusing("A", "B", "C", B="locked")
    one_by_one(shop, inbox, sink)
    shop.engine.request_sync("erp")
    runs = shop.engine.run_due()
    for _ in range(4):
        shop.clock.advance(5 * MINUTE)
        runs += shop.engine.run_due()
    assert [run.counts.failed for run in runs[:5]] == [1, 1, 1, 1, 0]
    assert sink.now == {"A": 9, "B": 1, "C": 5}
    assert len(files(inbox / "done")) == 2
