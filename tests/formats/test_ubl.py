"""UblDecoder on documents of its two kinds."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory_sources import Columns
from inventory_sources.errors import ConfigurationError, InputIncomplete, StructureInvalid
from inventory_sources.formats import UblDecoder
from inventory_sources.payload import Evidence, Proof
from inventory_sources.registry import Registry
from tests.engine.conftest import Shop

SCHEMAS = "urn:oasis:names:specification:ubl:schema:xsd:"
REPORT = UblDecoder("InventoryReport")
AVAILABILITY = UblDecoder("StockAvailabilityReport")
UNPROVEN = Evidence(frozenset({Proof.STABLE}))


def line(sku: str, quantity: object, *, more: str = "", place: str | None = None, kind: str = "InventoryReport") -> str:
    where = f"<a:InventoryLocation><b:ID>{place}</b:ID></a:InventoryLocation>" if place is not None else ""
    item = f"<a:Item><a:SellersItemIdentification><b:ID>{sku}</b:ID></a:SellersItemIdentification></a:Item>"
    amount = f'<b:Quantity unitCode="C62">{quantity}</b:Quantity>'
    return f"<a:{kind}Line><b:ID>1</b:ID>{amount}{more}{item}{where}</a:{kind}Line>\n"


def report(*lines: str, kind: str = "InventoryReport", day: str = "2026-03-02") -> bytes:
    """A document as a sender may write it, whose prefixes are its own affair."""
    spaces = f'xmlns="{SCHEMAS}{kind}-2" xmlns:a="{SCHEMAS}CommonAggregateComponents-2"'
    head = f"<b:UBLVersionID>2.1</b:UBLVersionID><b:ID>IR-7</b:ID><b:IssueDate>{day}</b:IssueDate>"
    party = "<a:SellerSupplierParty><a:Party><b:ID>none of ours</b:ID></a:Party></a:SellerSupplierParty>"
    body = f"{head}{party}{''.join(lines)}"
    return f'<{kind} {spaces} xmlns:b="{SCHEMAS}CommonBasicComponents-2">{body}</{kind}>'.encode()


def test_an_inventory_report_s_lines_are_rows_with_the_document_s_date(read):
    data = report(line("00123", 10, place="WH 1"), line("B-2", "2.50", place="WH 2"), line("B-2", 0))
    found = read(REPORT, data, "sellers_id", "quantity", "unit", "location", "issue_date", evidence=UNPROVEN)
    assert found.rows == [
        (1, ("00123", "10", "C62", "WH 1", "2026-03-02")),
        (2, ("B-2", "2.50", "C62", "WH 2", "2026-03-02")),
        (3, ("B-2", "0", "C62", None, "2026-03-02")),
    ]
    assert Proof.TRAILER in found.context.evidence.proofs
    assert found.cells[1]["document_id"] == "IR-7"


def test_a_quantity_in_another_unit_than_the_declared_or_the_first_one_is_damaged(read):
    dozens = line("B", 2).replace("C62", "DZN")
    unnamed = line("C", 3).replace(' unitCode="C62"', "")
    data = report(line("A", 1), dozens, unnamed, line("D", 4))
    found = read(REPORT, data, "sellers_id", "quantity")
    assert (found.rows, found.damaged) == ([(1, ("A", "1")), (3, ("C", "3")), (4, ("D", "4"))], [(2, "unit_differs")])
    told = found.batches[0].damaged.kept[0].message
    assert told == "record 2 (line 2): 'quantity' is in the unit 'DZN', but rows before it are in 'C62'"
    found = read(UblDecoder("InventoryReport", unit="DZN"), data, "sellers_id", "quantity")
    assert (found.rows, [number for number, _ in found.damaged]) == ([(2, ("B", "2"))], [1, 3, 4])


def available(day: str) -> str:
    return f"<b:AvailabilityDate>{day}</b:AvailabilityDate>"


def test_goods_that_come_later_are_not_taken_for_goods_that_are_there(read):
    days = ["2026-03-02", "2026-03-03", "2026-03-01", "2027-01-01", "2026-03-02Z", "2026-03-02+14:00", "soon", ""]
    kind = "StockAvailabilityReport"
    lines = [line(f"S{n}", n, more=available(day), kind=kind) for n, day in enumerate(days)]
    found = read(AVAILABILITY, report(*lines, line("S8", 8, kind=kind), kind=kind), "sellers_id", "quantity")
    assert [cells for _, cells in found.rows] == [(f"S{n}", str(n)) for n in (0, 2, 4, 5, 8)]
    reasons = ["available_later", "available_later", "available_unknown", "available_unknown"]
    assert found.damaged == list(zip([2, 4, 7, 8], reasons, strict=True))
    assert "2027-01-01" in found.batches[0].damaged.kept[1].message


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (report(line("A", 1, kind="StockAvailabilityReport"), kind="StockAvailabilityReport"), "StockAvailabilityRep"),
        (report(), "the way leads to InventoryReport"),
        (report(line("A", 1)).replace(f"{SCHEMAS}InventoryReport-2".encode(), b"urn:other"), "root element"),
        (report(line("A", 1)).replace(b"Components-2", b"Components-1"), "the way leads to"),
    ],
)
def test_another_document_is_refused_by_name(read, data, told):
    with pytest.raises(StructureInvalid, match=told):
        read(REPORT, data)


def test_a_second_quantity_or_identifier_in_a_line_damages_it(read):
    twice = "<b:Quantity>5</b:Quantity>"
    found = read(REPORT, report(line("A", 1), line("B", 2, more=twice)), "sellers_id", "quantity")
    assert (found.rows, found.damaged) == ([(1, ("A", "1"))], [(2, "field_repeated")])


def test_a_cut_document_waits(read):
    whole = report(line("A", 1), line("B", 2))
    for end in range(1, len(whole), 7):
        with pytest.raises(InputIncomplete):
            read(REPORT, whole[:end], evidence=UNPROVEN)


names = st.text("ABC-01 ", min_size=1)


@given(st.lists(st.tuples(names, st.integers(0), st.none() | names, st.booleans()), min_size=1))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_was_reported_is_what_is_read(read, stock):
    lines = [line("", 0, place="")]
    lines += [
        line(sku, n, place=place, more=available("2030-01-01") if later else "") for sku, n, place, later in stock
    ]
    found = read(REPORT, report(*lines), "sellers_id", "quantity", "location")
    expected = [(n, (sku, str(level), place)) for n, (sku, level, place, later) in enumerate(stock, 2) if not later]
    assert found.rows == [(1, ("", "0", "")), *expected]
    assert len(found.damaged) == len(stock) - len(expected)


def test_a_look_at_the_head_suggests_the_other_document():
    kind = "StockAvailabilityReport"
    data = report(line("A", 1, kind=kind), line("B", 1, kind=kind), kind=kind)
    assert REPORT.inspect(data, complete=True).suggestions == {"document": kind}
    seen = AVAILABILITY.inspect(data, complete=True)
    assert (len(seen.sample), seen.problems) == (2, ())


def test_a_kind_that_does_not_exist_is_refused_and_one_that_does_is_stored():
    with pytest.raises(ConfigurationError, match="Invoice"):
        UblDecoder("Invoice")
    registry = Registry()
    part, storable = registry._describe("decoder", AVAILABILITY)
    assert (part.name, storable, registry._make("decoder", part)) == ("ubl", True, AVAILABILITY)


def test_a_report_reaches_the_shop(tmp_path):
    shop = Shop(tmp_path)
    try:
        shop.stock(A=1, B=2, C=3)
        lines = [line("A", 7), line("B", 0), line("C", 900, more=available("2026-09-01"))]
        columns = Columns(sku="sellers_id", quantity="quantity")
        shop.add(report(*lines), decoder=REPORT, mapper=columns)
        run = shop.engine.sync("erp")
        assert shop.levels == {"A": 7, "B": 0, "C": 3}
        assert [stored.rejection.reason for stored in shop.engine.rejections(run)] == ["available_later"]
    finally:
        shop.engine.close()
        shop.database.dispose()
