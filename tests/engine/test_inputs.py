"""What connectors may yield: nothing, several parts, records and bytes together; and one that never comes back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from inventory_sources import Columns, Feed
from inventory_sources.batch import RawBatch, StockLevel
from inventory_sources.engine._lease import Lease
from inventory_sources.errors import LeaseLost
from inventory_sources.guards import default_guards
from inventory_sources.payload import Evidence, Payload, Proof
from inventory_sources.protocols.mapper import DuplicatePolicy
from inventory_sources.run import RunResult

from .conftest import Shop

WHOLE = Evidence(frozenset({Proof.LENGTH}))
ZEROING = Feed.snapshot("available", absent="zero")


class Yielding:
    """A connector of these inputs."""

    def __init__(self, *inputs: Any) -> None:
        self.inputs = inputs
        self.spools: list[Path] = []

    def fetch(self, context: Any) -> Iterable[Any]:
        """Yields them."""
        self.spools.append(context.spool)
        (context.spool / "left-over").write_bytes(b"x")
        for item in self.inputs:
            if isinstance(item, BaseException):
                raise item
            yield item


def part(text: str, evidence: Evidence = WHOLE) -> Payload:
    """A file."""
    return Payload("feed.csv", text.encode(), evidence=evidence)


def test_a_connector_that_yields_nothing_zeroes_nothing_and_is_held_by_the_guards(shop: Shop) -> None:
    shop.stock(A=1, B=1)
    connector = Yielding(part("sku,quantity\nA,5\nB,5\n"))
    shop.engine.add_source(shop.source(connector, feed=ZEROING))
    shop.engine.sync("erp")
    connector.inputs = ()
    run = shop.engine.sync("erp")
    assert (run.result, run.counts.rows, run.counts.add_up) == (RunResult.COMPLETED, 0, True)
    assert shop.levels == {"A": 5, "B": 5}
    shop.engine.update_source(shop.source(connector, feed=ZEROING, guards=default_guards()))
    assert shop.engine.sync("erp").result is RunResult.HELD


def test_bytes_payloads_and_records_make_one_feed_whose_counts_add_up(shop: Shop) -> None:
    shop.stock(A=1, B=1, C=1, D=1)
    records = [{"sku": "C", "quantity": 7}, {"sku": "Z", "quantity": 7}, {"sku": "D", "quantity": 0.5}]
    doubled, last = b"sku,quantity\nB,6\nB,6\n", {"sku": "D", "quantity": "x"}
    connector = Yielding(part("sku,quantity\nA,5\n"), *records, doubled, last)
    shop.engine.add_source(shop.source(connector, mapper=Columns(duplicates="last")))
    run = shop.engine.sync("erp")
    assert shop.levels == {"A": 5, "B": 6, "C": 7, "D": 1}
    assert run.counts.add_up
    counts = run.counts
    assert (counts.rows, counts.mapped, counts.unmapped, counts.invalid, counts.duplicate) == (7, 3, 1, 2, 1)
    places = [str(row.rejection.place) for row in shop.engine.rejections(run)]
    assert places == ["records of erp, record 2", "records of erp, record 3", "records of erp, record 4"]
    assert len(run.inputs) == 4


def by_hand(raw: RawBatch, _context: object) -> Iterable[StockLevel]:
    """What a mapper of one's own may yield."""
    for place, cells in raw.records():
        yield StockLevel(str(cells["sku"]), Decimal(str(cells["quantity"])), place=place)


@pytest.mark.parametrize("own", [False, True])
def test_rows_of_several_inputs_for_one_sku_are_told_by_the_name_of_their_input(shop: Shop, own: bool) -> None:
    shop.stock(A=1, B=1, C=1)
    first = Payload("stock.zip: north.csv", b"sku,quantity\nA,5\nB,6\n", evidence=WHOLE)
    second = Payload("stock.zip: south.csv", b"sku,quantity\nC,7\nB,8\n", evidence=WHOLE)
    mapper = SimpleNamespace(map=by_hand, select=list, duplicates=DuplicatePolicy.ERROR) if own else Columns()
    shop.engine.add_source(shop.source(Yielding(first, second), mapper=mapper))
    run = shop.engine.sync("erp")
    assert shop.levels == {"A": 5, "B": 1, "C": 7}
    assert [(str(stored.rejection.place), stored.rejection.message) for stored in shop.engine.rejections(run)] == [
        ("stock.zip: north.csv, line 3", "'B' is also at stock.zip: south.csv, line 3"),
        ("stock.zip: south.csv, line 3", "'B' is also at stock.zip: north.csv, line 3"),
    ]


@pytest.mark.parametrize(("second", "left"), [(WHOLE, 0), (Evidence(), 9)], ids=["both proven", "one unproven"])
def test_what_several_parts_leave_out_is_zeroed_only_if_each_is_proven_whole(
    shop: Shop, second: Evidence, left: int
) -> None:
    shop.stock(A=9, B=9, C=9)
    connector = Yielding(part("sku,quantity\nA,9\n"), part("sku,quantity\nB,9\nC,9\n"))
    shop.engine.add_source(shop.source(connector, feed=ZEROING))
    shop.engine.sync("erp")
    connector.inputs = (part("sku,quantity\nA,8\n"), part("sku,quantity\nB,8\n", second))
    run = shop.engine.sync("erp")
    assert shop.levels == {"A": 8, "B": 8, "C": left}
    assert run.counts.add_up


@pytest.mark.parametrize("end", [None, RuntimeError(), KeyboardInterrupt()], ids=repr)
def test_nothing_is_left_in_the_spool_however_the_fetch_ends(shop: Shop, end: BaseException | None) -> None:
    shop.stock(A=1)
    connector = Yielding(part("sku,quantity\nA,5\n"), *([end] if end else []))
    shop.engine.add_source(shop.source(connector))
    if isinstance(end, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            shop.engine.sync("erp")
    else:
        shop.engine.sync("erp")
    assert shop.levels == {"A": 1 if end else 5}
    (spool,) = connector.spools
    assert not spool.exists()


def test_a_fetch_that_never_comes_back_does_not_keep_its_source_for_ever(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases: list[Lease] = []
    enter = Lease.__enter__
    monkeypatch.setattr(Lease, "__enter__", lambda lease: leases.append(lease) or enter(lease))

    class Hanging:
        def fetch(self, context: Any) -> list[Payload]:
            if len(leases) > 1:
                return [part("sku,quantity\nA,6\n")]
            for _ in range(15):
                shop.clock.advance(timedelta(minutes=1))
                leases[0].renew()
            shop.clock.advance(timedelta(minutes=1, seconds=1))
            with pytest.raises(LeaseLost):
                leases[0].renew()
            (rescue,) = shop.engine.run_due()
            assert (rescue.result, rescue.attempt) == (RunResult.COMPLETED, 1)
            return [part("sku,quantity\nA,5\n")]

    shop.stock(A=1)
    shop.engine.add_source(shop.source(Hanging(), timeout=timedelta(minutes=15)))
    with pytest.raises(LeaseLost):
        shop.engine.sync("erp")
    assert shop.levels == {"A": 6}
    assert [run.result for run in shop.engine.history("erp")] == [RunResult.COMPLETED, RunResult.LOST]


def test_floats_are_named_with_record_and_field_and_not_taken_for_missing_columns(shop: Shop) -> None:
    shop.stock(A=1, B=1)
    shop.engine.add_source(shop.source(Yielding({"sku": "A", "quantity": 5.0}, {"sku": "B", "quantity": 0.5})))
    failure = shop.engine.sync("erp").failure
    assert failure is not None
    assert failure.code == "structure_invalid"
    assert failure.message.endswith("record 1, field 'quantity': a float cannot hold a quantity exactly")
    assert failure.guidance == "Pass text, int or Decimal."


def test_one_float_is_listed_and_the_other_records_are_used(shop: Shop) -> None:
    shop.stock(A=1, B=1)
    records = [{"sku": "B", "quantity": 4}, {"sku": "A", "quantity": 5.0}]
    shop.engine.add_source(shop.source(Yielding(*records)))
    run = shop.engine.sync("erp")
    assert shop.levels == {"A": 1, "B": 4}
    (stored,) = shop.engine.rejections(run)
    assert stored.rejection.message == "record 2, field 'quantity': a float cannot hold a quantity exactly"
    assert stored.rejection.guidance == "Pass text, int or Decimal."


def test_a_float_alone_in_the_last_ten_thousand_records_is_one_invalid_row(shop: Shop) -> None:
    shop.stock(A=1, B=1)
    records = [{"sku": f"S{number}", "quantity": 1} for number in range(9_999)]
    connector = Yielding({"sku": "A", "quantity": 5}, *records, {"sku": "B", "quantity": 2.0})
    shop.engine.add_source(shop.source(connector))
    run = shop.engine.sync("erp")
    assert shop.levels == {"A": 5, "B": 1}
    assert (run.counts.rows, run.counts.mapped, run.counts.invalid) == (10_001, 1, 1)
