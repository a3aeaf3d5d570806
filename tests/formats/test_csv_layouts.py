"""CSV files as they come: padded cells, titles, headings on every page, totals, and cells left blank below others."""

from __future__ import annotations

import csv
import io
import re
from decimal import Decimal

import pytest
from attrs import evolve
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from inventory_sources.errors import (
    ConfigurationError,
    DecodeError,
    HeadingInvalid,
    InputIncomplete,
    InputTooLarge,
    StructureInvalid,
    Truncated,
)
from inventory_sources.formats import CsvDecoder, Trailer, _csv_padded, _csv_reading
from inventory_sources.formats._csv_doubts import Doubts
from inventory_sources.payload import Evidence, Proof
from inventory_sources.quantities import QuantityFormat

UNPROVEN = Evidence(frozenset({Proof.STABLE}))
PLAIN = [("A-1", "5"), ("B-2", "12"), ("00123", "0")]


def cells_of(found):
    return [cells for _, cells in found.rows]


# --- padded cells -------------------------------------------------------------------------------------------------

PADDED = CsvDecoder(padded=True)
#: As an export that lines its columns up: blank stock is not zero, and a product's further rows name it no more.
ALIGNED = (
    "name    , options         , sku   , on hand , text\n"
    'Lamp    , "big, ""red"""  , L-1   , 100     , "says ""on"",\nthen off"\n'
    '        , "small|blue"    , L-2   ,         ,\n'
    '        , 19" rack        , 00012 , 0       ,\t\n'
)


def test_padded_cells_are_read_without_their_blanks(read):
    found = read(PADDED, ALIGNED.encode(), "sku", "on hand", "options", "text")
    assert found.rows == [
        (2, ("L-1", "100", 'big, "red"', 'says "on",\nthen off')),
        (4, ("L-2", "", "small|blue", "")),
        (5, ("00012", "0", '19" rack', "")),
    ]
    assert found.cells[4] == {"name": "", "options": "small|blue", "sku": "L-2", "on hand": "", "text": ""}


def test_blanks_stay_where_they_are_not_declared_away(read):
    assert read(CsvDecoder(), b"sku,n\n A ,1\n").rows == [(2, (" A ", "1"))]
    assert read(PADDED, b'sku,n\n" A ",1\n\xc2\xa0B,1\n').rows == [(2, (" A ", "1")), (3, ("\xa0B", "1"))]
    assert read(evolve(PADDED, delimiter="\t"), b"sku\tn\n A\t\t\n\t 1\n").damaged == [(2, "row_width")]


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        ('sku,n\nA,1\n "B" x ,2\n', StructureInvalid, "line 3, in the record of line 3: the quotes are wrong"),
        ('sku,n\n "B\n" "C",2\n', StructureInvalid, "line 3, in the record of line 2: the quotes are wrong"),
        ('sku,n\nA,1\n  "B,2\nC,3\n', StructureInvalid, "line 3: a quote is opened and never closed"),
        ("sku,n\nA," + "x" * 200_000 + "\n", InputTooLarge, "line 2: a cell is longer"),
    ],
)
def test_wrong_quotes_between_blanks_are_refused(read, data, error, words):
    with pytest.raises(error, match=words):
        read(PADDED, data.encode())


def test_a_line_of_blanks_is_an_empty_line(read):
    assert read(PADDED, b"sku,n\nA,1\n \t\nB,2\n").damaged == [(3, "row_blank")]
    assert not read(PADDED, b"sku,n\nA,1\n  \n").context.evidence.proves_end


def strict(text, delimiter, quote):
    quoting = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, **quoting)


def outcome(rows):
    try:
        return list(rows)
    except csv.Error as error:
        return "end" if "end of data" in str(error) else "wrong"


@settings(max_examples=500)
@given(st.text('ab,;\t"\r\n', max_size=24), st.sampled_from(",;\t"), st.sampled_from(['"', None]))
@example('"a""b",\r\n"",a"b\n', ",", '"')
def test_without_padding_the_padded_reading_is_that_of_the_csv_module(text, delimiter, quote):
    text = text if delimiter == "\t" else text.replace("\t", "")
    padded = _csv_padded.PaddedRows(io.StringIO(text, newline=""), delimiter, quote)
    assert outcome(padded) == outcome(strict(text, delimiter, quote))


cells = st.text('ab,; "\n\r', max_size=5).map(lambda cell: cell.strip(" "))
blanks = st.sampled_from(["", " ", "  ", "\t"])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(cells, cells, blanks, blanks), min_size=1, max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_what_a_writer_pads_is_read_back(read, rows, end):
    def dressed(cell):
        quoted = '"' + cell.replace('"', '""') + '"'
        return quoted if set(cell) & set(',"\r\n') else cell

    text = "".join(f"{a}{dressed(x)}{b},{b}{dressed(y)}{a}{end}" for x, y, a, b in rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Doubts, "of", lambda *_: None)  # this noise may look like another table
        found = read(evolve(PADDED, headings=("one", "two")), text.encode())
    assert cells_of(found) == [(x, y) for x, y, _, _ in rows]
    assert not found.damaged


# --- titles before the headings -----------------------------------------------------------------------------------

TITLES = 'Stock "as of today\n\n;;;"\n'
TABLE = "sku,quantity\n" + "".join(f"{sku},{n}\n" for sku, n in PLAIN)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("heading_row", [4, "find"])
def test_title_lines_are_passed_over(read, heading_row, encoding, end):
    decoder = CsvDecoder(heading_row=heading_row, encoding=encoding)
    found = read(decoder, (TITLES + TABLE).replace("\n", end).encode(encoding), "sku", "quantity")
    assert found.rows == list(zip((5, 6, 7), PLAIN, strict=True))
    assert not found.damaged
    assert found.cells[6] == {"sku": "B-2", "quantity": "12"}


@pytest.mark.parametrize(
    ("heading_row", "data", "words"),
    [
        (2, TITLES + TABLE, "heading row is blank"),
        (9, TITLES + TABLE, "has 7 lines, and no heading row in line 9"),
        (8, TITLES + TABLE, "has 7 lines, and no heading row in line 8"),
        (1, TITLES + TABLE, "no column 'sku'"),
        ("find", TITLES + "sku,qty\nA,1\n", "none of the first 5 lines .* there is no column 'quantity'"),
        ("find", "\n" * 100 + TABLE, "none of the first 100 lines .* they are all blank"),
        ("find", TABLE + "quantity,sku\n", "line 1 and line 5 could both be the heading row"),
        ("find", "title\nsku,quantity,SKU\nA,1,2\n", "'sku' and 'SKU'"),
    ],
)
def test_a_heading_row_that_is_not_there_is_refused(read, heading_row, data, words):
    with pytest.raises(HeadingInvalid, match=words):
        read(CsvDecoder(heading_row=heading_row), data.encode(), "sku", "quantity")


def test_the_hundredth_line_may_be_the_heading_and_an_empty_file_has_none(read):
    found = read(CsvDecoder(heading_row="find"), ("\n" * 99 + TABLE).encode(), "sku", "quantity")
    assert cells_of(found) == PLAIN
    with pytest.raises(StructureInvalid, match="empty"):
        read(CsvDecoder(heading_row="find"), b"")


def test_titles_do_not_hide_what_the_columns_are_like(read):
    rows = "sku,a,b,c,d,e\n" + "".join(f"A-{n},1,2,3,4,{n}\n" for n in range(5)) + "item,v,w,x,y,z\n"
    with pytest.raises(StructureInvalid, match="line 8 looks like the heading row of another table"):
        read(CsvDecoder(heading_row=2), ('"Stock, open\n' + rows).encode())


@pytest.mark.parametrize("heading_row", [4, "find"])
def test_titles_cost_no_speed(read, monkeypatch, heading_row):
    monkeypatch.setattr(_csv_reading.CsvReading, "_slow_batch", lambda reading: pytest.fail("the csv module was asked"))
    found = read(CsvDecoder(heading_row=heading_row), (TITLES + TABLE).encode(), "sku", "quantity")
    assert cells_of(found) == PLAIN


# --- headings on every page ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_repeated_heading_row_is_no_row(read, quote):
    head, *rows = (",".join(f"{quote}{cell}{quote}" for cell in row) for row in [("sku", "quantity"), *PLAIN])
    data = "\n".join([head, rows[0], head, *rows[1:], head, ""]).encode()
    found = read(CsvDecoder(), data, "quantity", "sku")
    assert found.damaged == [(3, "heading_repeated"), (6, "heading_repeated")]
    assert [number for number, _ in found.rows] == [2, 4, 5]
    skipped = read(CsvDecoder(repeated_headings="skip"), data, "sku", "quantity")
    assert (cells_of(skipped), skipped.damaged) == (PLAIN, [])
    assert sum(batch.rows for batch in skipped.batches) == 3


def test_only_the_whole_heading_row_counts_as_repeated(read):
    found = read(CsvDecoder(repeated_headings="skip"), b"sku,quantity,x\nsku,quantity,y\n", "sku", "quantity")
    assert found.rows == [(2, ("sku", "quantity"))]


def test_page_breaks_do_not_hide_the_first_heading(read):
    data = ("Stock\n" + TABLE + "Stock\n" + TABLE).encode()
    decoder = CsvDecoder(heading_row="find", repeated_headings="skip", skip_rows_starting=("Stock",))
    assert cells_of(read(decoder, data, "sku", "quantity")) == PLAIN * 2


# --- totals -------------------------------------------------------------------------------------------------------

TOTALS = CsvDecoder(trailer=Trailer("TOTAL", count=2, sum=("quantity", 3)))
TOTALLED = "sku,quantity\nA-1,5\nB-2,12.50\n00123,\nC,-1\nTOTAL of all,4,16.5\n"
TOTAL_ROWS = [("A-1", "5"), ("B-2", "12.50"), ("00123", ""), ("C", "-1")]


@pytest.mark.parametrize("columns", [("sku", "quantity"), ("sku",)])
def test_totals_prove_the_end_and_are_no_row(read, columns):
    for data in (TOTALLED, TOTALLED + "\n\n", TOTALLED.replace("C,-1\n", "C,-1\n\n\n")):
        found = read(TOTALS, data.encode(), *columns, evidence=UNPROVEN)
        assert cells_of(found) == [row[: len(columns)] for row in TOTAL_ROWS]
        assert not found.damaged
        assert found.context.evidence.proofs >= {Proof.COUNT, Proof.TRAILER}


@pytest.mark.parametrize(
    ("old", "new", "error", "words"),
    [
        ("l,4,", "l,5,", Truncated, "5 records were declared, but 4 came"),
        ("B-2,12.50\n", "", Truncated, "4 records were declared, but 3 came"),
        ("16.5\n", "16.51\n", StructureInvalid, "line 6: the sum is declared as 16.51, but the rows add up to 16.5 "),
        ("16.5\n", "16.50000000001\n", StructureInvalid, "line 6: the sum, '16.50000000001', is no number"),
        ("l,4,", "l,four,", StructureInvalid, "line 6: the count, 'four', is no number"),
        ("l,4,16.5", "l", StructureInvalid, "line 6: the count, '', is no number"),
        ("A-1,5", 'A-1,"1,250"', StructureInvalid, "line 2: the quantity '1,250' is not a number in"),
        ("A-1,5", "A-1,1e3", StructureInvalid, "line 2: the quantity '1e3' is not a number in"),
        ("16.5\n", "16.5\nD,1\n", StructureInvalid, "line 7 follows line 6, which begins with 'TOTAL'"),
        ("16.5\n", "16.5\nTOTAL,4,16.5\n", StructureInvalid, "line 7 follows line 6"),
        ("C,-1", "TOTAL-1,1", StructureInvalid, "line 5: the sum,"),
        ("TOTAL", "Total", InputIncomplete, "no record begins with 'TOTAL'"),
    ],
)
def test_totals_that_do_not_agree_are_refused(read, old, new, error, words):
    with pytest.raises(error, match=words):
        read(TOTALS, TOTALLED.replace(old, new).encode(), "sku")


def test_a_trailer_alone_proves_the_end_but_for_blank_lines_before_it(read):
    decoder = CsvDecoder(trailer=Trailer("#END"))
    whole = read(decoder, b"sku,n\nA,1\n#END\n", evidence=UNPROVEN)
    assert whole.context.evidence.proofs == UNPROVEN.proofs | {Proof.TRAILER}
    blanked = read(decoder, b"sku,n\nA,1\n\n#END\n\n")
    assert (blanked.damaged, blanked.context.evidence.proves_end) == ([], False)
    with pytest.raises(InputIncomplete):
        read(decoder, b"sku,n\nA,1\n")


@pytest.mark.parametrize("newline", ["required", "optional"])
@pytest.mark.parametrize("trailer", [Trailer("TOTAL", count=2), TOTALS.trailer, Trailer("TOTAL")])
def test_a_file_with_totals_cut_anywhere_is_never_shorter(read, trailer, newline):
    decoder = evolve(TOTALS, trailer=trailer, final_newline=newline)
    for text in (TOTALLED, TOTALLED.replace("\n", "\r\n")):
        data = text.encode()
        for cut in range(len(data)):
            try:
                found = read(decoder, data[:cut], "sku", evidence=UNPROVEN)
            except (DecodeError, Truncated):
                continue
            assert cells_of(found) == [row[:1] for row in TOTAL_ROWS], data[:cut]
            assert newline == "optional" or data[cut:] == b"\n"


@pytest.mark.parametrize("decoder", [TOTALS, evolve(TOTALS, trailer=Trailer("TOTAL", count=2))])
def test_a_file_with_totals_blanked_anywhere_is_never_shorter(read, decoder):
    lines = TOTALLED.splitlines()
    for first in range(1, len(lines)):
        for last in range(first, len(lines)):
            blanked = lines[:first] + [""] * (last - first + 1) + lines[last + 1 :]
            try:
                found = read(decoder, "\n".join([*blanked, ""]).encode(), "sku")
            except (DecodeError, Truncated):
                continue
            assert len(found.rows) + len(found.damaged) == 4


def test_totals_cost_only_their_own_block_the_fast_path(read, monkeypatch):
    monkeypatch.setattr(_csv_reading, "BLOCK_BYTES", 1000)
    asked, slow = [], _csv_reading.CsvReading._slow_batch
    monkeypatch.setattr(_csv_reading.CsvReading, "_slow_batch", lambda self: asked.append(1) or slow(self))
    rows = [f"S{n:04d}" for n in range(1000)]
    body = "".join(f"{sku},0.1\n" for sku in rows)
    found = read(TOTALS, ("sku,quantity\n" + body + "TOTAL,1000,100\n").encode(), "sku", "quantity")
    assert cells_of(found) == [(sku, "0.1") for sku in rows]
    assert len(asked) <= 2
    with pytest.raises(StructureInvalid, match="line 1003 follows line 1002"):
        read(TOTALS, ("sku,quantity\n" + body + "TOTAL,1000,100\n" + body).encode(), "sku", "quantity")


def test_large_sums_are_exact(read):
    n = "123456789012345678.123456789"
    data = "sku,quantity\n" + f"A,{n}\n" * 3 + f"TOTAL,3,{Decimal(n) * 3}\n"
    found = read(evolve(TOTALS, final_newline="optional"), data.encode())
    assert len(found.rows) == 3


# --- rows passed over, and cells left blank below others ----------------------------------------------------------


def test_rows_that_begin_as_declared_are_passed_over(read):
    decoder = CsvDecoder(skip_rows_starting=("Subtotal", "#"))
    data = 'sku,quantity\n# one, \'two\nA-1,5\nSubtotal A,5\n"#x,"\nB-2,12\n00123,0\n# end'
    found = read(decoder, data.encode(), "sku", "quantity")
    assert (cells_of(found), found.damaged) == (PLAIN, [])
    assert read(CsvDecoder(), data.encode()).damaged == [(5, "row_width"), (7, "row_split"), (8, "row_width")]


def test_blank_cells_take_the_value_above(read):
    decoder = CsvDecoder(fill_down=("Name", "sku"), skip_rows_starting=("Sum",))
    data = "sku,name,bin,n\n,,R0,9\nA,Lamp,R1,1\n,,R2,2\nSum,,,3\n ,Bulb,,3\nB,,R3,4\n,,R3,5\n"
    assert read(decoder, data.encode(), "sku", "name", "bin").rows == [
        (2, ("", "", "R0")),
        (3, ("A", "Lamp", "R1")),
        (4, ("A", "Lamp", "R2")),
        (6, ("A", "Bulb", "")),
        (7, ("B", "Bulb", "R3")),
        (8, ("B", "Bulb", "R3")),
    ]
    with pytest.raises(HeadingInvalid, match="'colour'"):
        read(CsvDecoder(fill_down=("colour",)), data.encode())


@pytest.mark.parametrize("damaged", ["B,1,2", "", "sku,n"])
def test_nothing_is_filled_in_after_a_damaged_row(read, damaged):
    data = f"sku,n\nA,1\n{damaged}\n,2\nC,3\n,4\n"
    found = read(CsvDecoder(fill_down=("sku",)), data.encode())
    assert cells_of(found) == [("A", "1"), ("", "2"), ("C", "3"), ("C", "4")]


# --- one reading, fast or slow ------------------------------------------------------------------------------------

RICH = CsvDecoder(
    padded=True,
    heading_row=2,
    repeated_headings="skip",
    skip_rows_starting=("#",),
    fill_down=("sku",),
    trailer=Trailer("TOTAL", count=2, sum=("n", 3)),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(
            ["A,1\n", "B , 2\n", ",3\n", "\t, 1.5\n", "#\n", "# x,1\n", "sku,n\n", '"C",4\n', "D\n", "TO,1\n"]
        ),
        max_size=30,
    ),
    st.sampled_from([16, 40, 1 << 20]),
)
def test_rich_files_read_alike_fast_and_slow(read, lines, size):
    expected, damaged, above = [], [], ""
    for number, (before, line, after) in enumerate(zip(["", *lines], lines, [*lines[1:], ""], strict=False), 3):
        sku, _, n = line.replace('"', "").partition(",")
        if line[0] == "#" or sku == "sku":
            continue
        split = after == "D\n" or (before == "D\n" and line[0] != '"')
        if line == "D\n" or split:
            damaged.append((number, "row_width" if line == "D\n" else "row_split"))
            above = ""
        else:
            above = sku.strip() or above
            expected.append((number, (above, n.strip())))
    total = sum(Decimal(n) for _, (_, n) in expected)
    data = "".join(["title\nsku,n\n", *lines, f"TOTAL,{len(expected) + len(damaged)},{total}\n"]).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_csv_reading, "BLOCK_BYTES", size)
        found = read(RICH, data)
    assert found.rows == expected
    assert found.damaged == damaged


# --- text that was misread before ---------------------------------------------------------------------------------

CUPS = "Tasse für Käufer, Größe 5½ \u2013 „neu“, 3 €\n"


@pytest.mark.parametrize(
    ("encoding", "data", "words"),
    [
        ("utf-8", CUPS.encode().decode("latin-1"), "line 3 .* taken for cp1252"),
        ("utf-8", "für".encode().decode("cp1252"), "line 3 .* taken for cp1252"),
        ("utf-8", "it\u2019s".encode().decode("cp1252"), "line 3 .* taken for cp1252"),
        ("utf-8", "Käse".encode("latin-1").decode("utf-8", "replace"), r"line 3 holds the character U\+FFFD"),
        ("utf-8", "3 €".encode("cp1252").decode("latin-1"), "line 3 holds control characters"),
        ("cp1252", CUPS.encode().decode("cp1252"), "line 3 .* declare encoding='utf-8'"),
        ("latin-1", "für".encode().decode("latin-1"), "line 3 .* declare encoding='utf-8'"),
        ("iso8859-15", "3 €".encode("cp1252").decode("iso8859-15"), "line 3 .* declare encoding='cp1252'"),
    ],
)
@pytest.mark.parametrize("quote", ["", '"'])
def test_text_that_looks_misread_is_warned_of_once(read, encoding, data, words, quote):
    rows = "A,x\n" + f"B,{quote}{data.replace(',', '').strip()}{quote}\n" * 3
    found = read(CsvDecoder(encoding=encoding), ("sku,name\n" + rows).encode(encoding))
    [warning] = found.context.warnings
    assert re.search(words, warning)
    assert warning.startswith("stock: ")


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "cp1250", "utf-16"])
@pytest.mark.parametrize(
    "text", ["für Käufer, Größe ½ \u2013 „neu“ 3 €", "SÃO PAULO É, À MÃE", "Â, â, ça coûte 5°", "ascii"]
)
def test_text_that_was_read_right_is_not_warned_of(read, encoding, text):
    data = f'sku,name\nA,"{text}"\n'.encode(encoding, "ignore")
    assert read(CsvDecoder(encoding=encoding), data).context.warnings == []


GERMAN = "sku;quantity\nA;1.250\nB;-12,5\nC; 3 \nD;\nE;1.250\n"


def test_totals_are_read_as_numbers_are_declared_to_be_written(read):
    form = QuantityFormat(",", ".", trailing_minus=True)
    for declared, data in (("de", GERMAN), (form, GERMAN.replace("-12,5", "12,5-"))):
        trailer = Trailer("Summe", count=2, sum=("quantity", 3), quantity_format=declared)
        decoder = CsvDecoder(delimiter=";", trailer=trailer)
        assert len(read(decoder, f"{data}Summe;5;2.490,50\n".encode()).rows) == 5
        with pytest.raises(StructureInvalid, match=r"declared as 2490.6, but the rows add up to 2490.5 "):
            read(decoder, f"{data}Summe;5;2.490,60\n".encode())


def test_cells_that_can_be_read_in_two_ways_are_told_before_their_sum(read):
    decoder = CsvDecoder(delimiter=";", trailer=Trailer("Summe", sum=("quantity", 2)))
    with pytest.raises(StructureInvalid, match=r"line 3: the quantity '1.250' could be 1250 or 1.25, ") as told:
        read(decoder, b"sku;quantity\nA;12\nB;1.250\nC;1.250\nSumme;1262\n")
    assert "quantity_format" in told.value.guidance
    with pytest.raises(StructureInvalid, match=r"line 3: the sum, '1.012', is no number as declared"):
        read(decoder, b"sku;quantity\nA;1012\nSumme;1.012\n")


def test_options_name_columns_that_are_there(read):
    with pytest.raises(HeadingInvalid, match="'amount'"):
        read(CsvDecoder(trailer=Trailer("T", sum=("amount", 2))), b"sku,n\nA,1\nT,1\n")
    for wrong in (
        {"starts": ""},
        {"starts": "T", "count": 0},
        {"starts": "T", "sum": "n"},
        {"starts": "T", "sum": ("n", 0)},
    ):
        with pytest.raises((ConfigurationError, ValueError)):
            Trailer(**wrong)
