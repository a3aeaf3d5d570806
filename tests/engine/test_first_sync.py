"""check, plan, sync: what a new user does in the first hour."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from inventory_sources import Columns, CsvDecoder, Feed, JsonDecoder, SyncStatus
from inventory_sources.batch import RejectionKind
from inventory_sources.errors import ConfigurationError, SourceExists, SourceNotFound
from inventory_sources.plan import Outcome
from inventory_sources.run import RunResult, Trigger
from inventory_sources.status import Reason

from .conftest import Scripted, Shop

GOOD = "sku,quantity\nA,5\nB,7\nC,0\n"


def test_sync_writes_what_changed_and_says_how_many_products(shop: Shop) -> None:
    shop.stock(A=5, B=1, C=3, D=9)
    shop.feed(GOOD)
    shop.engine.add_source(shop.source())
    run = shop.engine.sync("erp")
    assert shop.levels == {"A": 5, "B": 7, "C": 0, "D": 9}
    assert (run.result, run.products_updated, run.trigger) == (RunResult.COMPLETED, 2, Trigger.MANUAL)
    assert (run.counts.rows, run.counts.mapped, run.counts.items) == (3, 3, 3)
    assert run.counts.add_up
    status = shop.engine.status("erp")
    assert (status.status, status.last_success_at) == (SyncStatus.COMPLETED, run.finished_at)


def test_a_source_is_pending_before_its_first_run(shop: Shop) -> None:
    shop.feed(GOOD)
    shop.engine.add_source(shop.source())
    status = shop.engine.status("erp")
    assert (status.status, status.reason, status.last_success_at) == (SyncStatus.PENDING, Reason.NEVER_RUN, None)


def test_a_plan_writes_nothing_and_says_old_and_new(shop: Shop) -> None:
    shop.stock(A=5, B=1, C=3)
    shop.feed(GOOD)
    shop.engine.add_source(shop.source())
    plan = shop.engine.plan("erp")
    assert {(item.sku, item.old, item.new) for item in plan.items(Outcome.CHANGED)} == {
        ("B", Decimal(1), Decimal(7)),
        ("C", Decimal(3), Decimal(0)),
    }
    assert shop.levels == {"A": 5, "B": 1, "C": 3}
    assert not shop.engine.history("erp")
    assert shop.engine.status("erp").reason is Reason.NEVER_RUN


def test_check_shows_columns_and_matches_before_the_source_is_registered(shop: Shop) -> None:
    shop.stock(A=5, B=1)
    shop.feed("Item Code,Qty on hand,Bin\nA,5,x\nB,7,y\nZ,1,z\n")
    report = shop.engine.check(shop.source())
    assert report.headings == ("Item Code", "Qty on hand", "Bin")
    assert report.suggested_mapping["sku"] == "Item Code"
    assert not report.ok
    assert "sku" in report.problems[0]


def test_check_counts_matching_rows(shop: Shop) -> None:
    shop.stock(A=5, B=1)
    shop.feed("sku,quantity\nA,5\nB,7\nZ,1\n")
    report = shop.engine.check(shop.source())
    assert (report.ok, report.matched, report.rows) == (True, 2, 3)
    assert not shop.engine.sources()


def test_check_finds_the_heading_row_below_titles_as_the_sync_does(shop: Shop) -> None:
    shop.stock(A=1)
    shop.feed("Lagerbestand;;\nStand;02.03.2026;\n;;\nsku;name;quantity\nA;Tasse;5\n")
    source = shop.source(decoder=CsvDecoder(delimiter=";", heading_row="find"))
    report = shop.engine.check(source)
    assert (report.ok, report.headings, report.matched) == (True, ("sku", "name", "quantity"), 1)
    shop.engine.add_source(source)
    assert shop.engine.sync("erp").result is RunResult.COMPLETED
    assert shop.engine.check(shop.source(decoder=CsvDecoder(delimiter=";"))).suggested_options == {"heading_row": 4}


def test_each_rejected_row_is_listed_with_line_cells_and_reason(shop: Shop) -> None:
    shop.stock(A=5, B=1, C=3)
    shop.feed("sku,quantity,note\nA,N/A,first\nB,7,second\nZ,4,third\nC,,fourth\n")
    shop.engine.add_source(shop.source())
    run = shop.engine.sync("erp")
    assert shop.levels == {"A": 5, "B": 7, "C": 3}
    assert (run.result, run.counts.invalid, run.counts.unmapped, run.counts.mapped) == (RunResult.COMPLETED, 2, 1, 1)
    rows = {stored.rejection.place.number: stored.rejection for stored in shop.engine.rejections(run)}
    assert sorted(rows) == [2, 4, 5]
    assert rows[2].cells["quantity"] == "N/A"
    assert rows[2].place.origin.endswith("feed.csv")
    assert (rows[4].kind, rows[4].sku) == (RejectionKind.UNMAPPED, "Z")
    assert rows[5].reason == "quantity_blank"
    assert all(row.guidance for row in rows.values())
    assert [entry.sku for entry in shop.store.unmapped("erp")] == ["Z"]


def test_an_unmapped_sku_leaves_the_ledger_once_it_is_a_product(shop: Shop) -> None:
    shop.stock(A=5)
    shop.add("sku,quantity\nA,5\nZ,4\n")
    shop.engine.sync("erp")
    assert [entry.sku for entry in shop.store.unmapped("erp")] == ["Z"]
    shop.stock(A=5, Z=0)
    shop.engine.sync("erp")
    assert shop.levels["Z"] == 4
    assert not shop.store.unmapped("erp")


def test_plain_records_need_no_decoder(shop: Shop) -> None:
    class Erp:
        def fetch(self, context: object) -> list[dict[str, object]]:
            return [{"sku": "A", "quantity": 8}, {"sku": "B", "quantity": Decimal("2")}]

    shop.stock(A=5, B=1)
    shop.engine.add_source(shop.source(Erp(), decoder=None))
    assert shop.engine.sync("erp").products_updated == 2
    assert shop.levels == {"A": 8, "B": 2}


def test_a_json_endpoint_answers_like_a_file(shop: Shop) -> None:
    shop.stock(A=5, B=1)
    document = '{"data": {"items": [{"sku": "A", "stock": {"free": 3}}, {"sku": "B", "stock": {"free": 1}}]}}'
    shop.engine.add_source(
        shop.source(
            Scripted(document),
            decoder=JsonDecoder(records="data.items"),
            mapper=Columns("sku", "stock.free"),
        )
    )
    assert shop.engine.sync("erp").products_updated == 1
    assert shop.levels == {"A": 3, "B": 1}


def test_a_hand_made_mapping_applies_from_the_next_sync(shop: Shop) -> None:
    shop.stock(A=5)
    shop.add("sku,quantity\nART-A,8\n")
    shop.engine.sync("erp")
    assert shop.levels == {"A": 5}
    shop.engine.map_sku("erp", "ART-A", "A", actor="ana")
    assert shop.engine.sync("erp").products_updated == 1
    assert shop.levels == {"A": 8}
    assert ("map_sku", "ana") in {(entry.action, entry.actor) for entry in shop.store.audit("erp")}


def test_a_name_is_taken_once_and_must_exist(shop: Shop) -> None:
    shop.feed(GOOD)
    shop.engine.add_source(shop.source())
    with pytest.raises(SourceExists):
        shop.engine.add_source(shop.source())
    for call in _calls_by_name(shop):
        with pytest.raises(SourceNotFound):
            call("nobody")


def _calls_by_name(shop: Shop) -> list[Callable[[str], object]]:
    engine = shop.engine
    looking = [engine.status, engine.plan, engine.check]
    return [*looking, engine.sync, engine.pause, engine.request_sync, engine.delete_source]


def test_a_host_may_declare_its_sources_at_each_start(shop: Shop) -> None:
    shop.stock(A=1, B=1, C=1)
    shop.feed(GOOD)
    shop.engine.add_source(shop.source())
    shop.engine.sync("erp")
    restarted = shop.new_engine()
    restarted.add_source(shop.source(), exist_ok=True)
    assert restarted.status("erp").config_version == 1
    assert restarted.sync("erp").result is RunResult.COMPLETED
    restarted.add_source(shop.source(feed=Feed.partial("on_hand")), exist_ok=True)
    assert restarted.status("erp").config_version == 2


def test_progress_is_told_and_a_broken_callback_breaks_nothing(shop: Shop) -> None:
    told: list[tuple[str, str, int]] = []

    def tell(stage: str, unit: str, done: int) -> None:
        told.append((stage, unit, done))
        raise RuntimeError("the host's screen is gone")

    shop.stock(A=1, B=1, C=1)
    shop.feed(GOOD)
    shop.engine.add_source(shop.source())
    assert shop.engine.sync("erp", progress=tell).result is RunResult.COMPLETED
    assert {stage for stage, _, _ in told} >= {"fetch", "decode", "map", "apply"}


def test_a_registered_source_may_stand_for_its_name(shop: Shop) -> None:
    shop.stock(A=1, B=1, C=1)
    shop.feed(GOOD)
    source = shop.source()
    with pytest.raises(SourceNotFound):
        shop.engine.sync(source)
    shop.engine.add_source(source)
    assert shop.engine.sync(source).products_updated == 3


def test_a_function_may_map_identifiers(shop: Shop) -> None:
    shop.stock(A=1)
    mapper = Columns(identity=lambda skus: {sku: sku.removeprefix("ART-") for sku in skus})
    shop.add("sku,quantity\nART-A,8\n", mapper=mapper)
    assert shop.engine.sync("erp").products_updated == 1
    with pytest.raises(ConfigurationError):
        Columns(identity=7)


def test_rows_beyond_those_listed_are_counted_and_said(shop: Shop) -> None:
    shop.stock(A=1)
    shop.add("sku,quantity\nA,1\n" + "".join(f"X{number},1\n" for number in range(10_001)))
    run = shop.engine.sync("erp")
    assert run.counts.unmapped == 10_001
    assert run.warnings == (
        "only 1 of 10002 rows could be used",
        "10000 of 10001 unmapped rows are listed; all of them are counted",
    )


@pytest.mark.parametrize("text", ["sku,qty,note\nE1, 009.50 ,hello\n", 'sku,qty,note\nE1, 009.50 ,"hello"\n'])
def test_a_row_without_a_product_is_listed_as_it_was_read(shop: Shop, text: str) -> None:
    shop.stock(A=1)
    shop.add(text, mapper=Columns("sku", "qty", identity={"E1": "P1"}))
    (stored,) = shop.engine.rejections(shop.engine.sync("erp"))
    assert stored.rejection.cells == {"sku": "E1", "qty": " 009.50 ", "note": "hello"}
    assert (stored.rejection.reason, stored.rejection.place.number) == ("unknown_sku", 2)


def test_a_record_without_a_product_is_listed_as_it_was_given(shop: Shop) -> None:
    class Erp:
        def fetch(self, context: object) -> list[dict[str, object]]:
            return [{"sku": "A", "quantity": 8}, {"sku": "Z", "quantity": Decimal("2.50")}]

    shop.stock(A=5)
    shop.engine.add_source(shop.source(Erp(), decoder=None))
    (stored,) = shop.engine.rejections(shop.engine.sync("erp"))
    assert stored.rejection.cells == {"sku": "Z", "quantity": "2.50"}
    assert stored.rejection.place.number == 2
