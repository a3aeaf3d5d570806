"""SpreadsheetDecoder on XLSX, XLS and ODS workbooks: good, damaged, cut, and made to exhaust the reader."""

from __future__ import annotations

import io
import random
import struct
import subprocess
import sys
from datetime import date, datetime

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory_sources import Columns
from inventory_sources.errors import (
    ConfigurationError,
    HeadingInvalid,
    InputIncomplete,
    InputTooLarge,
    InventorySourcesError,
    MissingExtra,
    StructureInvalid,
    Truncated,
)
from inventory_sources.formats.spreadsheet import SpreadsheetDecoder
from inventory_sources.payload import Evidence, Payload, Proof
from inventory_sources.protocols.decoder import DecodeContext
from inventory_sources.protocols.mapper import DuplicatePolicy
from inventory_sources.registry import Registry
from tests.engine.conftest import Shop
from tests.formats.workbooks import (
    MAIN,
    SPACES,
    compound,
    ods,
    ods_of,
    ods_row,
    record,
    sheet_xml,
    xls,
    xls_of,
    xlsx,
    xlsx_parts,
    zipped,
)

UNPROVEN = Evidence(frozenset({Proof.STABLE}))
STOCK = SpreadsheetDecoder(identifiers=("sku",))
FORMATS = pytest.mark.parametrize("write", [xlsx, xls, ods])
ROWS = [("sku", "qty"), ("00123", 5.0), ("B-2", 1.5), ("Ä", 0.0)]
READ = [(2, ("00123", "5")), (3, ("B-2", "1.5")), (4, ("Ä", "0"))]


def damage(found):
    return {r.place.number: (r.reason, r.message) for batch in found.batches for r in batch.damaged.kept}


@FORMATS
def test_the_rows_of_a_sheet_are_read_with_their_numbers(read, write):
    found = read(STOCK, write(*ROWS), "sku", "qty", evidence=UNPROVEN)
    assert (found.rows, found.damaged) == (READ, [])
    assert found.cells[2] == {"sku": "00123", "qty": "5"}
    assert found.context.evidence.proofs == {Proof.STABLE, Proof.TRAILER}


@FORMATS
def test_title_lines_above_the_headings_and_empty_columns_before_them_are_passed_over(read, write):
    decoder = SpreadsheetDecoder(identifiers=("sku",), heading_row=4)
    table = [("Stock list", None), *ROWS]
    assert read(decoder, write(*table, first=3), "sku", "qty").rows == [(n + 3, cells) for n, cells in READ]
    if write is not ods:
        shifted = [(None, None, *row) for row in (*ROWS, (5.0, 1.0))]
        found = read(STOCK, write(*shifted), "sku", "qty")
        assert found.rows == READ
        assert "C5 (sku)" in damage(found)[5][1]


@FORMATS
@pytest.mark.parametrize(
    ("number", "rule", "becomes"),
    [
        (123.0, None, None),
        (123.0, "plain", "123"),
        (123.0, "digits:8", "00000123"),
        (0.0, "digits:3", "000"),
        (1234.0, "digits:3", None),
        (1.5, "plain", None),
        (-5.0, "plain", None),
        (4006381333931.0, "digits:13", "4006381333931"),
        (999_999_999_999_999.0, "plain", "999999999999999"),
        (1e15, "plain", None),
        (2.0**53, "plain", None),
        (1.23e12, "plain", "1230000000000"),
        (1.23e17, "plain", None),
    ],
)
def test_a_number_where_text_must_stand_is_refused_or_repaired_by_the_rule(read, write, number, rule, becomes):
    decoder = SpreadsheetDecoder(identifiers=("Item",), repair={"item": rule} if rule else {})
    found = read(decoder, write(("Item", "qty"), (number, 1.0), ("ok", 2.0)), "Item", "qty")
    good = [] if becomes is None else [(2, (becomes, "1"))]
    assert found.rows == [*good, (3, ("ok", "2"))]
    assert [reason for _, reason in found.damaged] == ([] if good else ["identifier_number"])
    assert good or "A2 (Item)" in damage(found)[2][1]


def test_a_number_in_a_column_of_identifiers_is_told_as_its_cell_shows_it(read):
    decoder = SpreadsheetDecoder(identifiers=("Item",))
    found = read(decoder, xlsx(("Item", "qty"), (1001.0, 1.0), (0.5, 2.0)), "Item", "qty")
    told = [row.message for batch in found.batches for row in batch.damaged.kept]
    assert [message.partition(",")[0] for message in told] == [
        "A2 (Item) holds the number 1001",
        "A3 (Item) holds the number 0.5",
    ]


@FORMATS
def test_text_that_a_spreadsheet_shortened_is_no_identifier(read, write):
    rows = [(text, 1.0) for text in ("1.23E+12", "4,00638E+12", "1E5", "E+12", "1.2E+1")]
    found = read(STOCK, write(("sku", "qty"), *rows), "sku")
    assert found.damaged == [(2, "identifier_number"), (3, "identifier_number")]
    assert [cells for _, cells in found.rows] == [("1E5",), ("E+12",), ("1.2E+1",)]


NUMBERS = [
    (5.0, "5"),
    (-3.0, "-3"),
    (0.1, "0.1"),
    (1.10, "1.1"),
    (1e-7, "0.0000001"),
    (123456.789, "123456.789"),
    (999_999_999_999_999.0, "999999999999999"),
    (0.123456789012345, "0.123456789012345"),
    (1e15, None),
    (0.1 + 0.2, None),
    (1e300, None),
    (1e-300, None),
]


@FORMATS
def test_a_number_is_exact_or_refused(read, write):
    found = read(STOCK, write(("sku", "qty"), *((f"S{n}", value) for n, (value, _) in enumerate(NUMBERS))), "qty")
    assert [cells for _, cells in found.rows] == [(text,) for _, text in NUMBERS if text]
    assert [reason for _, reason in found.damaged] == ["number_inexact"] * sum(text is None for _, text in NUMBERS)


@pytest.mark.parametrize("raw", [b"nan", b"inf", b"-inf"])
def test_a_number_that_is_none_is_refused(read, raw):
    bad = b'<c r="PLACE"><v>' + raw + b"</v></c>"
    found = read(STOCK, xlsx(("sku", "qty"), ("A", bad), ("B", 2.0)), "sku", "qty")
    assert (found.rows, found.damaged) == ([(3, ("B", "2"))], [(2, "number_inexact")])


XLSX_ERROR = b'<c r="PLACE" s="0" t="e"><f>1/0</f><v>#DIV/0!</v></c>'
XLS_ERROR = struct.pack("<HBB", 0x0205, 42, 1)
XLS_FORMULA_ERROR = struct.pack("<H8sHIH", 0x0006, b"\2\0\7\0\0\0\xff\xff", 0, 0, 0)
ODS_ERRORS = [
    (
        b'<table:table-cell table:formula="of:=1/0" office:value-type="float" office:value="0"><text:p>#DIV/0!</text:p>'
        b"</table:table-cell>"
    ),
    (
        b'<table:table-cell table:formula="of:=x" office:value-type="string" office:string-value=""><text:p>Err:502'
        b"</text:p></table:table-cell>"
    ),
    b'<table:table-cell xmlns:c="urn:c" office:value-type="float" office:value="0" c:value-type="error"/>',
    b'<table:table-cell office:value-type="float" office:value="much"/>',
]


@pytest.mark.parametrize(
    ("write", "error"),
    [(xlsx, XLSX_ERROR), (xls, XLS_ERROR), (xls, XLS_FORMULA_ERROR), *((ods, error) for error in ODS_ERRORS)],
)
def test_an_error_is_neither_empty_nor_zero(read, write, error):
    rows = [("sku", "qty", "more"), ("A", 1.0, error), ("B", error, 2.0), (error, 3.0, 3.0), ("C", 4.0, "#N/A")]
    found = read(STOCK, write(*rows), "sku", "qty")
    assert (found.rows, found.damaged) == ([(2, ("A", "1")), (5, ("C", "4"))], [(3, "cell_error"), (4, "cell_error")])
    assert "B3 (qty) holds an error" in damage(found)[3][1]
    assert "A4 (sku) holds an error" in damage(found)[4][1]
    assert read(STOCK, write(*rows), "more").damaged == [(2, "cell_error"), (5, "cell_error")]


def test_errors_are_found_on_the_right_sheet_however_they_are_written(read):
    cells = [
        b"<c t='e' r='PLACE'><v>#N/A</v></c>",
        b'<c\n r = "PLACE" t = "e"><v>#N/A</v></c>',
        b'<x:c xmlns:x="%b" r="PLACE" t="e"><x:v>#N/A</x:v></x:c>' % MAIN.encode(),
    ]
    clean, bad = sheet_xml(ROWS), sheet_xml([ROWS[0], *(("A", error) for error in cells), ("B", 2.0)])
    data = zipped(xlsx_parts({"Old & new": clean, "Stock": bad}))
    found = read(SpreadsheetDecoder(sheet="Stock", identifiers=()), data, "sku", "qty")
    assert (found.rows, found.damaged) == ([(5, ("B", "2"))], [(n, "cell_error") for n in (2, 3, 4)])
    assert read(SpreadsheetDecoder(sheet="Old & new", identifiers=()), data, "sku", "qty").rows == READ


def test_what_openpyxl_writes_is_read_by_type(read):
    book = openpyxl.Workbook()
    book.active.title = "Stock"
    for row in (
        ("sku", "qty", "seen"),
        ("00123", 5, date(2026, 1, 31)),
        ("A", 2.5, datetime(2026, 1, 31, 9, 30)),  # noqa: DTZ001 - sheets know no zones
        ("B", True, None),
        (date(2026, 3, 1), 1, None),
        ("C", "7", "=NOW()"),
        ("D", None, None),
        ("E", " 8 ", ""),
    ):
        book.active.append(row)
    book.active.row_dimensions[2].hidden = True
    book.create_sheet("Notes").sheet_state = "hidden"
    target = io.BytesIO()
    book.save(target)
    found = read(STOCK, target.getvalue(), "sku", "qty", "seen")
    assert found.rows == [
        (2, ("00123", "5", "2026-01-31")),
        (3, ("A", "2.5", "2026-01-31T09:30:00")),
        (6, ("C", "7", "")),
        (7, ("D", "", "")),
        (8, ("E", " 8 ", "")),
    ]
    assert found.damaged == [(4, "cell_type"), (5, "identifier_date")]
    with pytest.raises(HeadingInvalid, match="blank"):
        read(SpreadsheetDecoder(sheet=2, identifiers=()), target.getvalue())


def test_what_an_ods_cell_says_is_taken_from_the_right_place(read):
    rows = [
        (
            b'<table:table-cell office:value-type="string"><office:annotation><text:p>why</text:p></office:annotation>'
            b'<text:p>a<text:s text:c="2"/>b<text:span>c</text:span></text:p><text:p>d</text:p></table:table-cell>'
        ),
        (
            b'<table:table-cell office:value-type="date" office:date-value="2026-01-31"><text:p>31.1.26</text:p>'
            b"</table:table-cell>"
        ),
        b'<table:table-cell office:value-type="percentage" office:value="0.5"><text:p>50%</text:p></table:table-cell>',
        b'<table:table-cell office:value-type="boolean" office:boolean-value="false"/>',
    ]
    found = read(SpreadsheetDecoder(identifiers=()), ods(("v", "n"), *((cell, 1.0) for cell in rows)), "v")
    assert [cells for _, cells in found.rows] == [("a  bc\nd",), ("2026-01-31",), ("0.5",)]
    assert found.damaged == [(5, "cell_type")]


def _ods_outcome(data: bytes) -> object:
    try:
        decoder = SpreadsheetDecoder(identifiers=())
        batches = list(decoder.decode(Payload("stock", data), DecodeContext()))
    except InventorySourcesError as error:
        return type(error)
    rows = [(place.number, row) for batch in batches for place, row in batch.records()]
    return rows, [(found.place.number, found.reason) for batch in batches for found in batch.damaged.kept]


def _twice(kind: str, own: str, text: str) -> bytes:
    spaces = 'xmlns:calcext="urn:c"'
    return (
        f'<table:table-cell office:value-type="{kind}"{own} calcext:value-type="{kind}" {spaces}>'
        f"<text:p>{text}</text:p></table:table-cell>"
    ).encode()


ODS_ROWS = (
    ods_row(("A", 1.0)),
    ods_row(("B", None)),
    ods_row((None, 2.5)),
    ods_row((None, None)),
    ods_row((None, None, "wide")),
    ods_row(("#N/A", "a & b")),
    ods_row(
        (b'<table:table-cell office:value-type="float" office:value="0"><text:p>#DIV/0!</text:p></table:table-cell>',)
    ),
    ods_row(
        (b'<table:table-cell office:value-type="float" office:value="1e9999"><text:p>1</text:p></table:table-cell>',)
    ),
    ods_row((_twice("float", ' office:value="7"', "7"), _twice("error", "", "Err:502"))),
    ods_row(("C", 3.0), ' table:number-rows-repeated="2"'),
    ods_row(("D",), ' xmlns:table="urn:another"'),
    ods_row((b'<table:table-cell calcext:value-type="string" office:value-type="string"/>',)),
    ods_row((b"<table:table-cell><table:table-row/></table:table-cell>",)),
    ods_row((_twice("string", "", "undeclared").replace(b' xmlns:calcext="urn:c"', b""),)),
    f"<!-- {ods_row(('E', 1.0))} -->",
    f"<![CDATA[ {ods_row(('F', 1.0))} ]]>",
    f"<?rows {ods_row(('G', 1.0))}?>",
    "<?rows?>",
    ods_row(("\x01",)),
    "<table:table-row>",
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(ODS_ROWS[:10]) | st.sampled_from(ODS_ROWS), max_size=8))
def test_rows_of_ods_that_need_no_parser_are_read_as_the_parser_reads_them(rows):
    body = "".join([ods_row(("sku", "qty")), *rows, ods_row(("Z", 9.0))])
    # With a comment in it a document is the parser's altogether.
    assert _ods_outcome(ods_of(body)) == _ods_outcome(ods_of(body, before="<!-- -->"))


def test_repetitions_of_ods_are_rows_and_cells_of_their_own(read):
    body = ods_row(("sku", "qty")) + ods_row(("A", 1.0), ' table:number-rows-repeated="2"')
    body += '<table:table-row table:number-rows-repeated="2"><table:table-cell table:number-columns-repeated="9"/>'
    body += "</table:table-row>"
    twice = b'<table:table-cell table:number-columns-repeated="2" office:value-type="float" office:value="7"/>'
    body += ods_row((twice,)) + '<table:table-row table:number-rows-repeated="1048570"><table:table-cell '
    body += 'table:number-columns-repeated="16384"/></table:table-row>'
    found = read(SpreadsheetDecoder(identifiers=()), ods_of(body), "sku", "qty")
    assert found.rows == [(2, ("A", "1")), (3, ("A", "1")), (6, ("7", "7"))]
    assert found.damaged == [(4, "row_blank"), (5, "row_blank")]


@FORMATS
def test_rows_that_are_no_rows_of_the_table_are_damaged(read, write):
    rows = [("sku", "qty", " "), ("A", 1.0), (None, None), ("B", 2.0, None, "total"), (None, 3.0), ("C", 4.0)]
    found = read(STOCK, write(*rows), "sku", "qty")
    assert found.rows == [(2, ("A", "1")), (5, ("", "3")), (6, ("C", "4"))]
    assert found.damaged == [(3, "row_blank"), (4, "row_width")]
    assert "D4" in damage(found)[4][1]


@FORMATS
@pytest.mark.parametrize(
    ("headings", "told"),
    [
        (("sku", "SKU "), "named alike"),
        (("sku", None, "qty"), "no name in column 2"),
        (("item", "qty"), "no column 'sku', declared to hold identifiers"),
        ((None, None), "blank"),
    ],
)
def test_bad_headings_are_refused(read, write, headings, told):
    with pytest.raises(HeadingInvalid, match=told):
        read(STOCK, write(headings, ("A", 1.0)))


@FORMATS
def test_the_sheet_is_the_declared_one(read, write):
    for sheet in (1, "Stock"):
        assert read(SpreadsheetDecoder(sheet=sheet, identifiers=()), write(*ROWS), "sku", "qty").rows == READ
    for sheet in (2, "stock", "1"):
        with pytest.raises(InventorySourcesError, match=f"no sheet {sheet!r}; it has 'Stock'"):
            read(SpreadsheetDecoder(sheet=sheet, identifiers=()), write(*ROWS))


@FORMATS
def test_another_number_of_rows_than_declared_is_refused(read, write):
    with pytest.raises(Truncated):
        read(STOCK, write(*ROWS), evidence=Evidence(declared_records=4))


@FORMATS
def test_every_cut_is_noticed(read, write):
    whole = write(*ROWS, *((f"S{n}", float(n)) for n in range(40)))
    for end in sorted({*range(1, len(whole) - 1, 37), len(whole) - 1, 8, 600}):
        with pytest.raises(InventorySourcesError) as caught:
            read(STOCK, whole[:end], evidence=UNPROVEN)
        assert isinstance(caught.value, InputIncomplete), end
        with pytest.raises(StructureInvalid):
            read(STOCK, whole[:end])
    with pytest.raises(StructureInvalid, match="empty"):
        read(STOCK, b"")


@FORMATS
def test_flipped_bytes_give_the_same_rows_or_our_own_error(read, write):
    whole = bytearray(write(*ROWS))
    dice = random.Random(7)
    for _ in range(300):
        data = whole.copy()
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        try:
            found = read(STOCK, bytes(data), "sku", "qty")
        except InventorySourcesError:
            continue
        # XLS has no checksums, so that a changed byte may be a changed cell; the others have.
        assert write is xls or found.rows == READ


@pytest.mark.parametrize("data", [b"sku,qty\nA,1\n", b"<html><table></table></html>", b"%PDF-1.7", b"\0" * 600])
def test_what_is_no_workbook_is_refused(read, data):
    with pytest.raises(StructureInvalid, match="no XLSX, XLS or ODS"):
        read(STOCK, data)


@pytest.mark.parametrize("write", [xlsx, ods])
def test_a_zip_file_that_is_no_workbook_or_damaged_is_refused(read, write):
    with pytest.raises(StructureInvalid, match="no XLSX, XLS or ODS"):
        read(STOCK, zipped({"stock.csv": "sku,qty\nA,1\n"}))
    whole = write(*ROWS)
    for data in (whole + b"\0", whole + whole):
        with pytest.raises(StructureInvalid):
            read(STOCK, data)


def test_a_document_type_in_a_workbook_is_refused(read):
    declared = '<!DOCTYPE r [<!ENTITY q "5">]>'
    with pytest.raises(StructureInvalid, match="document type"):
        read(STOCK, zipped(xlsx_parts({"Stock": declared + sheet_xml(ROWS)})))
    content = f"{declared}<office:document-content {SPACES}/>"
    with pytest.raises(StructureInvalid, match="document type"):
        read(STOCK, zipped({"content.xml": content}))


def test_an_encrypted_workbook_is_named_so(read):
    with pytest.raises(StructureInvalid, match="encrypted"):
        read(STOCK, compound({"EncryptedPackage": b"x" * 99}))
    with pytest.raises(StructureInvalid, match="encrypted"):
        read(STOCK, xls_of(b"", more=record(0x002F, b"\1\0")))


cells = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="￾￿"), max_size=20)
exact = st.integers(-(10**14), 10**14).map(float) | st.decimals(-(10**6), 10**6, places=3).map(float)


@FORMATS
@given(rows=st.lists(st.tuples(cells, st.none() | exact), max_size=12))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_was_written_is_what_is_read(read, write, rows):
    if write is ods:  # where white space is markup
        rows = [(" ".join(sku.split()), quantity) for sku, quantity in rows]
    table = [("sku", "qty"), ("first", 1.0), *((f"S-{sku}", quantity) for sku, quantity in rows), ("last", 0.0)]
    found = read(STOCK, write(*table), "sku", "qty")
    assert found.damaged == []
    assert [sku for _, (sku, _) in found.rows] == [sku for sku, _ in table[1:]]
    for (_, (_, text)), (_, quantity) in zip(found.rows, table[1:], strict=True):
        assert (text == "") if quantity is None else (float(text) == quantity and "e" not in text)


# --- bombs --------------------------------------------------------------------------------------------------------


def _lying(size: int) -> bytes:
    """A workbook one of whose parts is larger than the directory says."""
    parts = xlsx_parts({"Stock": sheet_xml(ROWS) + " " * 50_000_000})
    data = bytearray(zipped(parts))
    at = data.rindex(b"PK\1\2")
    data[at + 24 : at + 28] = struct.pack("<I", size)
    return bytes(data)


def _sparse(*places: str) -> bytes:
    rows = "".join(f'<row><c r="{place}"><v>1</v></c></row>' for place in places)
    return zipped(xlsx_parts({"Stock": f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'}))


def _copied(length: int, uses: int) -> bytes:
    rows = "".join(f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c></row>' for n in range(1, uses))
    sheet = f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'
    return zipped(xlsx_parts({"Stock": sheet}, texts=("x" * length,)))


def _with_part(content: str) -> bytes:
    return zipped(xlsx_parts({"Stock": content}))


def _xls_copied() -> bytes:
    text = struct.pack("<IIHB", 1, 1, 8000, 0) + b"x" * 8000
    rows = (record(0x00FD, struct.pack("<HHHI", row, at, 0, 0)) for row in range(40_000) for at in range(8))
    return xls_of(b"".join(rows), shared=record(0x00FC, text))


def _circle() -> bytes:
    data = bytearray(xls(*ROWS))
    at = 512 + 4 * 2  # the first sector of the stream, in the table that is the first sector
    data[at : at + 4] = struct.pack("<I", 2)
    return bytes(data)


XLS_CORNERS = struct.pack("<HHHd", 0, 0, 0, 1.0), struct.pack("<HHHd", 65_535, 255, 0, 1.0)
XLS_TALL = struct.pack("<HHHd", 0, 20, 0, 1.0), struct.pack("<HHHd", 65_535, 0, 0, 1.0)
NESTED = "<table:table-row>" + "<a>" * 1_000_000
BOMBS = {
    "a part of zeros": lambda: _with_part("\0" * 400_000_000),
    "a part beyond the cap": lambda: _with_part(" " * 600_000_000),
    "a part of more than it says": lambda: _lying(1000),
    "very many parts": lambda: zipped({f"{n}.xml": b"" for n in range(100_000)}),
    "long names of parts": lambda: zipped({f"{n}{'x' * 60_000}": b"" for n in range(300)}),
    "a zip in a zip": lambda: zipped({"xl/workbook.xml": zipped({"a": b"\0" * 300_000_000})}),
    "two far cells": lambda: _sparse("A1", "XFD1048576"),
    "a far cell in the first row": lambda: _sparse("A1", "Z900000"),
    "a cell beyond every sheet": lambda: _sparse("A1", "A99999999999"),
    "lower case letters": lambda: _sparse("A1", "xfd1048576"),
    "a text in each cell": lambda: _copied(30_000, 100_000),
    "a long text": lambda: _copied(30_000_000, 3),
    "a long tag": lambda: _with_part(f'<worksheet xmlns="{MAIN}" a="{"x" * 30_000_000}"><sheetData/></worksheet>'),
    "billion laughs": lambda: _with_part(
        '<!DOCTYPE r [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><worksheet>&b;</worksheet>'
    ),
    "utf-16": lambda: zipped({**xlsx_parts({"Stock": ""}), "xl/worksheets/s1.xml": "<!DOCTYPE a>".encode("utf-16")}),
    "ods rows": lambda: ods_of(ods_row(("A",), ' table:number-rows-repeated="1000000000"')),
    "ods rows of many": lambda: ods_of(ods_row(("A",) * 1000, ' table:number-rows-repeated="1000000"')),
    "ods cells": lambda: ods_of(
        ods_row(
            (
                (
                    b'<table:table-cell table:number-columns-repeated="1000000000" '
                    b'office:value-type="float" office:value="1"/>'
                ),
            )
        )
    ),
    "ods spaces": lambda: ods_of(
        ods_row(
            (
                (
                    b'<table:table-cell office:value-type="string"><text:p><text:s '
                    b'text:c="1000000000"/></text:p></table:table-cell>'
                ),
            )
        )
    ),
    "xls far cells in few columns": lambda: xls_of(b"".join(record(0x0203, cell) for cell in XLS_TALL)),
    "ods nesting": lambda: ods_of(NESTED),
    "ods entities": lambda: zipped({"content.xml": '<!DOCTYPE r [<!ENTITY a "aa">]><r>&a;</r>'}),
    "xls corners": lambda: xls_of(b"".join(record(0x0203, corner) for corner in XLS_CORNERS)),
    "xls dimensions": lambda: xls_of(record(0x0200, struct.pack("<IIHHH", 0, 2**32 - 1, 0, 65_535, 0))),
    "xls a text in each cell": _xls_copied,
    "xls chain in a circle": _circle,
}


BOUNDED = """
import resource, sys
from inventory_sources.errors import DecodeError, InputTooLarge
from inventory_sources.formats import _sheet_reading
from inventory_sources.formats.spreadsheet import SpreadsheetDecoder
from inventory_sources.payload import Payload
from inventory_sources.protocols.decoder import DecodeContext
import python_calamine, pathlib
payload = Payload("stock", pathlib.Path(sys.argv[1]))
def peak():
    return int(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
before, started = peak(), resource.getrusage(resource.RUSAGE_SELF).ru_utime
try:
    print(list(SpreadsheetDecoder(identifiers=()).decode(payload, DecodeContext())))
except (DecodeError, InputTooLarge) as error:
    print(type(error).__name__, peak() - before, resource.getrusage(resource.RUSAGE_SELF).ru_utime - started)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_in_little_memory(bomb, tmp_path):
    path = tmp_path / "stock"
    path.write_bytes(BOMBS[bomb]())
    done = subprocess.run([sys.executable, "-c", BOUNDED, str(path)], capture_output=True, text=True, check=True)
    refused, kib, seconds = done.stdout.split()
    assert refused in {"StructureInvalid", "InputTooLarge", "InputIncomplete"}, done.stdout
    assert int(kib) < 64 << 10
    assert float(seconds) < 10  # of its own processor time, far above what any takes


@pytest.mark.parametrize(
    "rows",
    [
        [("sku", "qty"), *((f"S{n}", float(n)) for n in range(30_000))],
        [tuple(f"h{n}" for n in range(60)), *(tuple(float(n) for n in range(60)) for _ in range(500))],
    ],
    ids=["long", "wide"],
)
def test_a_large_workbook_is_no_bomb(read, rows):
    found = read(SpreadsheetDecoder(identifiers=()), xlsx(*rows))
    assert len(found.rows) == len(rows) - 1
    assert found.damaged == []


def test_the_caps_are_those_that_were_declared(read):
    rows = [("sku", "qty"), *((f"S{n}", float(n)) for n in range(2000))]
    for cap in ({"max_decoded_bytes": 10_000}, {"max_cells": 100}):
        for write in (xlsx, xls):
            with pytest.raises(InputTooLarge):
                read(SpreadsheetDecoder(identifiers=(), **cap), write(*rows))


# --- declarations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sheet": 0}, "sheet 0"),
        ({"sheet": ""}, "sheet ''"),
        ({"sheet": True}, "sheet True"),
        ({"identifiers": "sku"}, "several names"),
        ({"repair": {"sku": "digits:99"}}, "no rule"),
        ({"repair": {"sku": "digits"}}, "no rule"),
        ({"repair": {"qty": "plain"}}, "not among the identifiers"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(options, told):
    with pytest.raises(ConfigurationError, match=told):
        SpreadsheetDecoder(**{"identifiers": ("sku",), **options})


def test_what_identifies_must_be_declared():
    with pytest.raises(TypeError, match="identifiers"):
        SpreadsheetDecoder()


def test_a_stored_source_builds_the_same_decoder():
    registry = Registry()
    for sheet in (2, "Stock"):
        decoder = SpreadsheetDecoder(sheet=sheet, identifiers=("sku",), repair={"sku": "digits:8"}, heading_row=3)
        part, storable = registry._describe("decoder", decoder)
        assert (part.name, storable) == ("spreadsheet", True)
        assert registry._make("decoder", part) == decoder


def test_without_the_extra_the_command_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(MissingExtra, match="excel"):
        list(STOCK.decode(Payload("stock", xlsx(*ROWS)), DecodeContext()))


@FORMATS
def test_a_look_at_the_head_needs_the_whole(write):
    data = write(*ROWS)
    seen = STOCK.inspect(data, complete=True)
    assert (seen.headings, seen.problems) == (("sku", "qty"), ())
    assert seen.sample == tuple(cells for _, cells in READ)
    assert STOCK.inspect(data[:100], complete=False).problems
    for bad in (b"", data[:500], b"x"):
        assert STOCK.inspect(bad, complete=True).problems


@FORMATS
def test_a_workbook_reaches_the_shop_and_lots_add_up(tmp_path, write):
    shop = Shop(tmp_path)
    try:
        shop.stock(**{"00001": 1, "00002": 2, "A": 3})
        rows = [
            ("sku", "lot", "qty"),
            ("00001", "M1", 5.0),
            ("00001", "M2", 7.0),
            ("00002", "M1", 0.0),
            (1.0, "X", 9.0),
        ]
        mapper = Columns(quantity="qty", duplicates=DuplicatePolicy.SUM)
        shop.add(write(*rows), decoder=STOCK, mapper=mapper)
        run = shop.engine.sync("erp")
        assert shop.levels == {"00001": 12, "00002": 0, "A": 3}
        assert [stored.rejection.reason for stored in shop.engine.rejections(run)] == ["identifier_number"]
    finally:
        shop.engine.close()
        shop.database.dispose()
