"""Gs1InventoryDecoder on inventory reports of GS1 XML 3."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory_sources import Columns
from inventory_sources.errors import (
    EncodingInvalid,
    HeadingInvalid,
    InputIncomplete,
    InputTooLarge,
    StructureInvalid,
    Truncated,
)
from inventory_sources.formats import Gs1InventoryDecoder
from inventory_sources.formats import _gs1_reading as reading
from inventory_sources.mappers import TableIdentity
from inventory_sources.payload import Evidence, Proof
from inventory_sources.registry import Registry
from tests.engine.conftest import Shop

SPACE = "urn:gs1:ecom:inventory_report:xsd:3"
HEADER = "http://www.unece.org/cefact/namespaces/StandardBusinessDocumentHeader"
UNPROVEN = Evidence(frozenset({Proof.STABLE}))
GS1 = Gs1InventoryDecoder()
AVAILABLE = "quantity.AVAILABLE_FOR_SALE"


def amount(kind: str, quantity: object, unit: str = "EA") -> str:
    number = f'<quantityOfUnits measurementUnitCode="{unit}">{quantity}</quantityOfUnits>'
    status = f"<inventoryStatusType>{kind}</inventoryStatusType>"
    spec = "inventoryStatusQuantitySpecification"
    return f"<{spec}>{status}{number}</{spec}>\n"


def line(*amounts: str, place: str = "") -> str:
    sub = f"<inventorySubLocation><gln>{place}</gln></inventorySubLocation>" if place else ""
    body = f"<lineItemNumber>1</lineItemNumber>{sub}{''.join(amounts)}"
    return f"<inventoryStatusLineItem>{body}</inventoryStatusLineItem>\n"


def item(gtin: str, *lines: str, sku: str = "", where: str = "4012345000009", tag: str = "") -> str:
    kind = "additionalTradeItemIdentification"
    own = f'<{kind} {kind}TypeCode="SUPPLIER_ASSIGNED">{sku}</{kind}>' if sku else ""
    trade = f"<transactionalTradeItem><gtin>{gtin}</gtin>{own}{tag}</transactionalTradeItem>"
    location = f"<inventoryLocation><gln>{where}</gln></inventoryLocation>"
    name = "inventoryItemLocationInformation"
    return f"<{name}>{trade}{location}{''.join(lines)}</{name}>\n"


def report(*items: str, kind: str = "INVENTORY_STATUS", action: str = "", number: str = "IR-7", hour: int = 6) -> str:
    doing = f"<documentActionCode>{action}</documentActionCode>" if action else ""
    head = (
        f"<creationDateTime>2026-03-02T{hour:02}:00:00Z</creationDateTime>"
        f"<documentStatusCode>ORIGINAL</documentStatusCode>{doing}"
        f"<inventoryReportIdentification><entityIdentification>{number}</entityIdentification>"
        "</inventoryReportIdentification>"
        f"<inventoryReportTypeCode>{kind}</inventoryReportTypeCode>"
        "<structureTypeCode>LOCATION_BY_ITEM</structureTypeCode>"
        "<inventoryReportingParty><gln>4099999000006</gln></inventoryReportingParty>"
    )
    return f"<inventoryReport>\n{head}\n{''.join(items)}</inventoryReport>\n"


def message(*reports: str, prefix: str = "inventory_report") -> bytes:
    """A message as a sender may write it: the root with its namespace, the rest without, as the schema has it."""
    header = (
        "<sh:StandardBusinessDocumentHeader><sh:Sender><sh:Identifier>none of ours</sh:Identifier></sh:Sender>"
        "</sh:StandardBusinessDocumentHeader>"
    )
    root = f"{prefix}:inventoryReportMessage"
    spaces = f'xmlns:{prefix}="{SPACE}" xmlns:sh="{HEADER}"'
    return f"<?xml version='1.0' encoding='UTF-8'?>\n<{root} {spaces}>\n{header}{''.join(reports)}</{root}>".encode()


def stock(gtin: str, quantity: object, **more: str) -> str:
    return item(gtin, line(amount("AVAILABLE_FOR_SALE", quantity)), **more)


def test_items_are_rows_with_each_kind_of_quantity_in_a_column_of_its_own(read):
    both = line(amount("ON_HAND", 9), amount("AVAILABLE_FOR_SALE", "7.50", "KGM"))
    none = stock("09501101530003", 0).replace('"EA"', '"KGM"')
    data = message(report(item("00012345600012", both, sku="A-1", where="4012345000016"), none))
    columns = ("gtin", "id.SUPPLIER_ASSIGNED", "location", AVAILABLE, "quantity.ON_HAND", f"{AVAILABLE}.unit")
    found = read(GS1, data, *columns, evidence=UNPROVEN)
    assert found.rows == [
        (1, ("00012345600012", "A-1", "4012345000016", "7.50", "9", "KGM")),
        (2, ("09501101530003", None, "4012345000009", "0", None, "KGM")),
    ]
    assert Proof.TRAILER in found.context.evidence.proofs
    assert found.cells[1]["report"] == "IR-7"


def test_several_reports_keep_their_own_times(read):
    data = message(
        report(stock("1", 5), hour=6), report(stock("2", 6), stock("3", 7), hour=9, action="CHANGE_BY_REFRESH")
    )
    found = read(GS1, data, "gtin", AVAILABLE, "created", "action")
    six, nine = "2026-03-02T06:00:00Z", "2026-03-02T09:00:00Z"
    refreshed = "CHANGE_BY_REFRESH"
    assert [cells for _, cells in found.rows] == [
        ("1", "5", six, None),
        ("2", "6", nine, refreshed),
        ("3", "7", nine, refreshed),
    ]


def test_the_document_s_prefixes_and_a_default_namespace_are_its_own_affair(read):
    data = message(report(stock("1", 5)), prefix="ns0")
    everywhere = data.replace(b"ns0:", b"").replace(b"xmlns:ns0", b"xmlns")
    for each in (data, everywhere, data.decode().replace("UTF-8", "UTF-16").encode("utf-16")):
        assert read(GS1, each, "gtin", AVAILABLE).rows == [(1, ("1", "5"))]


def test_parts_of_a_location_are_rows_of_their_own(read):
    lines = [line(amount("ON_HAND", n), place=place) for n, place in ((1, "X"), (2, "Y"))]
    more = line(amount("AVAILABLE_FOR_SALE", 3), place="X")
    found = read(GS1, message(report(item("1", *lines, more), stock("2", 4))), "gtin", "quantity.ON_HAND", AVAILABLE)
    assert found.rows == [(1, ("1", "1", "3")), (2, ("1", "2", None)), (4, ("2", None, "4"))]
    assert [cells.get("sub_location") for cells in found.cells.values()] == ["X", "Y", None]


SPEC = "inventoryStatusQuantitySpecification"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (stock("1", 5, tag="<gtin>2</gtin>"), "field_repeated"),
        (item("1", line(amount("AVAILABLE_FOR_SALE", 5), amount("AVAILABLE_FOR_SALE", 5))), "quantity_doubled"),
        (item("1", *[line(amount("AVAILABLE_FOR_SALE", n)) for n in (5, 6)]), "quantity_doubled"),
        (stock("1", "5</quantityOfUnits><quantityOfUnits>6"), "quantity_doubled"),
        (stock("<b>1</b>", 5), "cell_type"),
        (item("1", line(amount("", 5))), "element_missing"),
        (item("1", line(f"<{SPEC}><inventoryStatusType>ON_HAND</inventoryStatusType></{SPEC}>")), "element_missing"),
        (item("1"), "status_missing"),
        (item("1", "<inventoryActivityLineItem>movement</inventoryActivityLineItem>"), "status_missing"),
    ],
)
def test_an_item_that_can_be_read_in_two_ways_is_damaged_and_never_guessed(read, broken, reason):
    found = read(GS1, message(report(stock("0", 1), broken, stock("9", 2))), "gtin", AVAILABLE)
    assert [cells for _, cells in found.rows] == [("0", "1"), ("9", "2")]
    assert found.damaged == [(2, reason)]
    assert "line " in found.batches[0].damaged.kept[0].message


def test_what_is_not_needed_does_no_damage(read):
    twice = line(amount("ON_HAND", 5), amount("ON_HAND", 6), amount("AVAILABLE_FOR_SALE", 4))
    found = read(GS1, message(report(item("1", twice))), "gtin", AVAILABLE)
    assert (found.rows, found.damaged) == ([(1, ("1", "4"))], [])


def test_movements_in_a_report_of_stock_are_passed_over(read):
    moved = f"<inventoryActivityLineItem>{amount('ON_HAND', 500)}</inventoryActivityLineItem>"
    found = read(GS1, message(report(item("1", moved, line(amount("ON_HAND", 4))))), "gtin", "quantity.ON_HAND")
    assert found.rows == [(1, ("1", "4"))]


def test_another_unit_than_the_declared_one_is_damaged(read):
    boxes = item("2", line(amount("AVAILABLE_FOR_SALE", 5, "CS")))
    unnamed = stock("3", 5).replace(' measurementUnitCode="EA"', "")
    data = message(report(stock("1", 5), boxes, unnamed))
    found = read(Gs1InventoryDecoder(unit="EA"), data, "gtin", AVAILABLE)
    assert (found.rows, found.damaged) == ([(1, ("1", "5"))], [(2, "unit_differs"), (3, "unit_differs")])
    assert "'CS', not 'EA'" in found.batches[0].damaged.kept[0].message
    found = read(GS1, data, "gtin", AVAILABLE)
    assert (found.rows, found.damaged) == ([(1, ("1", "5")), (3, ("3", "5"))], [(2, "unit_differs")])
    assert "'CS', but rows before it are in 'EA'" in found.batches[0].damaged.kept[0].message


def test_items_of_which_none_can_be_read_are_told_by_the_first(read):
    empty = "".join(item(str(number), "") for number in (1, 2))
    with pytest.raises(StructureInvalid, match=r"no item can be read: record 1 \(line \d+\): .* no status line"):
        read(GS1, message(report(empty)), "gtin", AVAILABLE)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (message(report(stock("1", 5), kind="INVENTORY_ACTIVITY")), "'INVENTORY_ACTIVITY'"),
        (message(report(stock("1", 5)), report(stock("2", 5), action="DELETE")), "deletes"),
        (message(report(action="DELETE")), "deletes"),
        (message(report(stock("1", 5), kind="")), "inventoryReportTypeCode is ''"),
        (message(report()), "no item"),
        (message(), "no item"),
        (message(report(stock("1", 5))).replace(b"_report:xsd:3", b"_report:xsd:2"), "root element"),
        (message(report(stock("1", 5))).replace(b"ReportMessage", b"Report"), "root element"),
        (message(report(stock("1", 5)).replace("<documentS", "<creationDateTime/><documentS")), "twice"),
        (b"<?xml version='1.0'?><!DOCTYPE x><x/>", "document type"),
        (b"", "empty"),
        (b"gtin,quantity\n", "not XML"),
    ],
)
def test_what_tells_no_stock_is_refused(read, data, told):
    with pytest.raises(StructureInvalid, match=told):
        read(GS1, data)


def test_the_caps_and_the_encoding_hold(read):
    deep = stock("1", 5, tag="<a>" * 70 + "</a>" * 70)
    names = stock("1", 5, tag="".join(f"<a{n}/>" for n in range(17_000)))
    for each in (deep, names, stock("1" * 70_000, 5), stock("1", 5, tag=f"<a b='{'x' * 1_200_000}'/>")):
        with pytest.raises(InputTooLarge):
            read(GS1, message(report(each)))
    with pytest.raises(InputTooLarge, match="columns"):
        many = [line(*[amount(f"K{n}", 1) for n in range(9_000)])]
        read(GS1, message(report(item("1", *many))))
    with pytest.raises(EncodingInvalid):
        read(GS1, message(report(stock("1", 5))).replace(b"UTF-8", b"no-such"))


def test_a_needed_column_that_no_item_has_is_an_error_that_lists_the_others(read):
    with pytest.raises(HeadingInvalid, match="ON_HAND"):
        read(GS1, message(report(stock("1", 5))), "gtin", "quantity.ON_HAND")


def test_a_cut_document_waits_and_a_declared_number_counts(read):
    whole = message(report(stock("1", 1), stock("2", 2)))
    for end in range(1, len(whole), 7):
        with pytest.raises(InputIncomplete):
            read(GS1, whole[:end], evidence=UNPROVEN)
    with pytest.raises(Truncated):
        read(GS1, whole, evidence=Evidence(declared_records=3))


def test_more_than_one_batch_is_read_the_same(read, monkeypatch):
    monkeypatch.setattr(reading, "_BATCH_ROWS", 3)
    items = [stock(str(n), n) if n != 4 else item("4") for n in range(8)]
    found = read(GS1, message(report(*items)), "gtin", AVAILABLE)
    assert len(found.batches) == 3
    assert found.rows == [(n + 1, (str(n), str(n))) for n in range(8) if n != 4]
    assert found.damaged == [(5, "status_missing")]


texts = st.text("ABC-01 <&", min_size=1)


@given(st.lists(st.tuples(texts, st.integers(0)), min_size=1))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_was_reported_is_what_is_read(read, levels):
    def escaped(text: str) -> str:
        return text.replace("&", "&amp;").replace("<", "&lt;")

    found = read(GS1, message(report(*[stock(escaped(gtin), n) for gtin, n in levels])), "gtin", AVAILABLE)
    assert [cells for _, cells in found.rows] == [(gtin, str(n)) for gtin, n in levels]


def test_a_look_at_the_head_lists_the_columns_and_what_is_wrong():
    data = message(report(stock("1", 5), item("2"), stock("3", 6)))
    seen = GS1.inspect(data, complete=True)
    assert {"gtin", "location", AVAILABLE, "created"} <= set(seen.headings)
    assert (len(seen.sample), len(seen.problems)) == (3, 1)
    assert GS1.inspect(data[:-100], complete=False).problems == seen.problems
    assert "'INVENTORY_ACTIVITY'" in GS1.inspect(data.replace(b"Y_STATUS", b"Y_ACTIVITY"), complete=True).problems[0]
    assert "not XML" in GS1.inspect(b"a,b\n", complete=True).problems[0]


@given(st.binary(max_size=40) | st.text("<a/>x?! '", max_size=40).map(str.encode), st.booleans())
def test_no_head_makes_it_fail(head, complete):
    found = GS1.inspect(head, complete=complete)
    assert all(len(row) == len(found.headings) for row in found.sample)


def test_it_is_stored_by_name():
    registry, decoder = Registry(), Gs1InventoryDecoder(unit="EA")
    part, storable = registry._describe("decoder", decoder)
    assert (part.name, storable, registry._make("decoder", part)) == ("gs1_xml", True, decoder)


def test_a_report_reaches_the_shop_and_an_older_one_changes_nothing(tmp_path):
    shop = Shop(tmp_path)
    try:
        shop.stock(A=1, B=2, C=3)
        newer = report(stock("04012345678901", 7), stock("04012345678918", 0), item("04012345678925"), hour=9)
        older = report(stock("04012345678901", 5), hour=6)
        table = {"04012345678901": "A", "04012345678918": "B", "04012345678925": "C"}
        columns = Columns("gtin", AVAILABLE, as_of="created", identity=TableIdentity(table))
        shop.add(message(newer), message(older), decoder=GS1, mapper=columns)
        run = shop.engine.sync("erp")
        assert shop.levels == {"A": 7, "B": 0, "C": 3}
        assert [stored.rejection.reason for stored in shop.engine.rejections(run)] == ["status_missing"]
        assert shop.engine.sync("erp").products_updated == 0
        assert shop.levels == {"A": 7, "B": 0, "C": 3}
    finally:
        shop.engine.close()
        shop.database.dispose()
