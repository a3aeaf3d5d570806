"""Which decoder the head of an input calls for, and when a check says so."""

from __future__ import annotations

import bz2
import gzip

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from inventory_sources import Columns, FileConnector
from inventory_sources.formats import (
    CsvDecoder,
    EdifactInventoryDecoder,
    FormatHint,
    Gs1InventoryDecoder,
    JsonDecoder,
    JsonLinesDecoder,
    UblDecoder,
    X12InventoryDecoder,
    XmlDecoder,
    suggest_format,
)
from inventory_sources.formats.spreadsheet import SpreadsheetDecoder
from tests.engine.conftest import Shop
from tests.formats import test_gs1, test_ubl, workbooks

ISA = f"ISA*00*{'':10}*00*{'':10}*ZZ*{'SUPPLIER':15}*ZZ*{'SHOP':15}*260302*1200*U*00401*000000031*0*P*>~"
X12 = (
    f"{ISA}GS*IB*A*B*20260302*1200*3*X*004010~ST*846*0001~BIA*00*DD*R1*20260302~"
    "LIN*1*VP*A~QTY*33*9*EA~CTT*1~SE*6*0001~GE*1*3~IEA*1*000000031~"
).encode()
UNB = "UNB+UNOC:3+4012345000009:14+4098765000003:14+260302:1200+R1'UNH+M1+INVRPT:D:96A:UN:EAN004'BGM+35+7+9'"
EDIFACT = f"{UNB}LIN+1++A:SA'QTY+145:6:PCE'UNT+5+M1'UNZ+1+R1'".encode()
TABLE = "sku;quantity;site\nA;1;X\nB;2;X\n"
ROWS = [("sku", "quantity"), ("A", "1")]

UBL = {
    kind: test_ubl.report(*[test_ubl.line(sku, 1, kind=kind) for sku in "AB"], kind=kind)
    for kind in ("InventoryReport", "StockAvailabilityReport")
}
GS1 = test_gs1.message(test_gs1.report(test_gs1.stock("1", 5)))
XML = b"<?xml version='1.0'?>\n<stock><level><sku>A</sku></level><level><sku>B</sku></level></stock>"

#: By name of the decoder that reads it: what it looks like, and what to declare.
HEADS: list[tuple[bytes, str, dict[str, str]]] = [
    (TABLE.encode(), "csv", {"delimiter": ";"}),
    (TABLE.replace(";", ",").encode(), "csv", {}),
    (TABLE.replace(";", "\t").encode("utf-16"), "csv", {"encoding": "utf-16", "delimiter": "\t"}),
    (TABLE.replace("X", "Köln").encode("cp1252"), "csv", {"encoding": "cp1252", "delimiter": ";"}),
    (b'[{"sku": "A", "quantity": 1}, {"sku": "B", "quantity": 2}]', "json", {}),
    (b'\xef\xbb\xbf {\n "data": {"items": [{"sku": "A"}, {"sku": "B"}]}}', "json", {"records": "/data/items"}),
    (b'{"sku": "A", "quantity": 1}\n{"sku": "B", "quantity": 2}\n', "jsonl", {}),
    ('{"sku": "A"}\r\n{"sku": "B"}\r\n'.encode("utf-16"), "jsonl", {"encoding": "utf-16"}),
    (XML, "xml", {"records": "stock/level"}),
    (XML.decode().partition("\n")[2].encode("utf-16"), "xml", {"records": "stock/level"}),
    (UBL["InventoryReport"], "ubl", {"document": "InventoryReport"}),
    (UBL["StockAvailabilityReport"], "ubl", {"document": "StockAvailabilityReport"}),
    (GS1, "gs1_xml", {}),
    (X12, "x12_846", {}),
    (EDIFACT, "edifact_invrpt", {}),
    (b"UNA:+.? '\r\n" + EDIFACT, "edifact_invrpt", {}),
    (workbooks.xlsx(*ROWS), "spreadsheet", {}),
    (workbooks.ods(*ROWS), "spreadsheet", {}),
    (workbooks.xls(*ROWS), "spreadsheet", {}),
]
DECODERS = {
    "csv": CsvDecoder(),
    "json": JsonDecoder(),
    "jsonl": JsonLinesDecoder(),
    "xml": XmlDecoder("a/b", {"sku": "sku", "quantity": "quantity"}),
    "ubl": UblDecoder("InventoryReport"),
    "gs1_xml": Gs1InventoryDecoder(),
    "x12_846": X12InventoryDecoder(),
    "edifact_invrpt": EdifactInventoryDecoder(),
    "spreadsheet": SpreadsheetDecoder(identifiers=("sku",)),
}


@pytest.mark.parametrize(("head", "decoder", "options"), HEADS)
def test_a_head_is_told_by_its_beginning_whole_or_cut(head, decoder, options):
    for data, complete in ((head, True), (head[:-5], False)):
        found = suggest_format(data, complete=complete)
        assert found is not None
        assert (found.decoder, found.options) == (decoder, options)


@pytest.fixture
def shop(tmp_path):
    shop = Shop(tmp_path)
    shop.stock(A=1)
    yield shop
    shop.engine.close()
    shop.database.dispose()


def check(shop, data: bytes, decoder: object):
    path = shop.folder / "feed"
    path.write_bytes(data)
    source = shop.source(FileConnector(str(path), as_of="fetch"), mapper=Columns("sku", "quantity"))
    return shop.engine.check(evolve(source, decoder=decoder))


@pytest.mark.parametrize(("data", "right", "_options"), HEADS)
def test_a_check_with_any_other_decoder_names_the_right_one(shop, data, right, _options):
    for name, decoder in {**DECODERS, "none": None}.items():
        report = check(shop, data, decoder)
        if name == right:
            assert report.suggested_format is None, (name, right)
        else:
            assert report.suggested_format is not None, (name, right)
            assert report.suggested_format.decoder == right
            assert f"stored as {right!r}" in str(report)


def test_a_check_that_reads_the_input_suggests_nothing(shop):
    assert check(shop, b"sku,quantity\nA,2\n", CsvDecoder()).suggested_format is None
    generic = XmlDecoder("inventoryReport/x", {"sku": "a", "quantity": "b"})
    report = check(shop, b"<inventoryReport><x><a>A</a><b>2</b></x></inventoryReport>", generic)
    assert (report.ok, report.suggested_format) == (True, None)


def test_a_ubl_document_may_be_read_as_plain_xml(shop):
    fields = {"sku": "Item/SellersItemIdentification/ID", "quantity": "Quantity"}
    plain = XmlDecoder("InventoryReport/InventoryReportLine", fields)
    assert check(shop, UBL["InventoryReport"], plain).suggested_format is None
    renamed = check(shop, UBL["InventoryReport"], evolve(plain, fields={**fields, "sku": "no/such", "name": "ID"}))
    assert (renamed.ok, renamed.suggested_format) == (False, None)


def test_a_decoder_of_the_host_s_own_is_not_argued_with(shop):
    class Own(CsvDecoder):
        """Reads something of its own."""

    hint = suggest_format(X12)
    assert hint is not None
    assert hint.differs(CsvDecoder(), troubled=False)
    assert not hint.differs(Own(), troubled=False)
    assert hint.differs(Own(), troubled=True)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (gzip.compress(TABLE.encode()), "unpack=Unpack('gzip')"),
        (bz2.compress(TABLE.encode()), "bz2"),
        (b"\x28\xb5\x2f\xfd" + bytes(20), "Unpack('zstd')"),
        (workbooks.zipped({"stock.csv": TABLE}), "Unpack('zip')"),
        (workbooks.zipped({"[Content_Types].xml": "", "word/document.xml": ""}), "zip"),
        (b"<!DOCTYPE html>\n<html><form action='/login'></form></html>", "log in"),
        (b"\n<HTML><body>Error</body></HTML>", "log in"),
        (b"%PDF-1.7 ...", "PDF"),
        (b"\xfd7zXZ\0...", "xz"),
        (b"PAR1....", "Parquet"),
    ],
)
def test_what_no_decoder_reads_is_told_in_words(shop, data, told):
    for decoder in DECODERS.values():
        report = check(shop, data, decoder)
        assert report.suggested_format is not None, decoder
        assert report.suggested_format.decoder is None
        assert told in str(report)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"sku\nA\nB\n",
        bytes(range(256)),
        b"ISA number,quantity\nA,1\n"[:12],
        b"<",
        b"[sku]\nA\n",
        b"PK",
    ],
)
def test_what_tells_nothing_suggests_nothing(data):
    assert suggest_format(data, complete=True) is None


@pytest.mark.parametrize(
    "data", [b"ISA number,quantity\nA,1\n", b"[sku],[quantity]\nA,1\n", b"<sku>,<quantity>\nA,1\n", b"UNB,UNO\nA,1\n"]
)
def test_a_table_whose_headings_look_like_something_else_is_a_table(shop, data):
    declared = CsvDecoder()
    assert not declared.inspect(data, complete=True).problems
    assert check(shop, data, declared).suggested_format is None


@given(
    st.binary(max_size=80)
    | st.sampled_from([head for head, *_ in HEADS]).flatmap(
        lambda head: st.integers(0, len(head)).map(lambda end: head[:end])
    ),
    st.booleans(),
)
def test_no_head_makes_it_fail(head, complete):
    found = suggest_format(head, complete=complete)
    assert found is None or isinstance(found, FormatHint)
    assert str(found)
