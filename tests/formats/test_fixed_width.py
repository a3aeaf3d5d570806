"""FixedWidthDecoder: what is cut out where, which lines are refused, and what proves the end."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory_sources._documents import document_converter
from inventory_sources.errors import (
    ConfigurationError,
    DecodeError,
    EncodingInvalid,
    HeadingInvalid,
    InputIncomplete,
    InputTooLarge,
    StructureInvalid,
    Truncated,
)
from inventory_sources.formats import FixedWidthDecoder, FixedWidthTrailer, _fixed_width_reading
from inventory_sources.payload import Evidence, Proof
from inventory_sources.registry import Registry
from inventory_sources.secrets import default_secrets
from inventory_sources.source import Part

UNPROVEN = Evidence(frozenset({Proof.STABLE}))
PLACES = {"sku": (1, 6), "quantity": (7, 8), "name": (16, 6)}
PLAIN = FixedWidthDecoder(PLACES)
#      sku   quantity name
DATA = """\
00123      120 Tüte
B-2      12.50 Glas 5
C            0
"""
ROWS = [(1, ("00123", "120", "Tüte")), (2, ("B-2", "12.50", "Glas 5")), (3, ("C", "0", ""))]


def filled(text, width=21):
    return "".join(line.ljust(width) + "\n" for line in text.splitlines())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_columns_are_cut_out_and_zeros_kept(read, encoding, end):
    decoder = FixedWidthDecoder(PLACES, encoding=encoding)
    found = read(decoder, filled(DATA).replace("\n", end).encode(encoding))
    assert (found.rows, found.damaged) == (ROWS, [])
    assert found.cells[2] == {"sku": "B-2", "quantity": "12.50", "name": "Glas 5"}


def test_spaces_that_are_missing_at_the_end_matter_only_inside_of_a_needed_column(read):
    data = DATA.encode()
    assert read(PLAIN, data, "sku", "quantity").rows == [(number, row[:2]) for number, row in ROWS]
    assert read(PLAIN, data).damaged == [(1, "row_width")]
    assert read(FixedWidthDecoder(PLACES, stripped=True), data).rows == ROWS


def test_lines_that_are_no_rows_are_refused_with_their_number(read):
    lines = [
        "A          12345678901",
        "B       12",
        "C\t       12",
        "",
        "D            1",
        "E            2      ",
        "F     ",
    ]
    found = read(FixedWidthDecoder({"sku": (1, 6), "quantity": (7, 8)}), "\n".join([*lines, "", ""]).encode())
    assert found.damaged == [(1, "row_width"), (2, "row_width"), (3, "row_tab"), (4, "row_blank")]
    assert found.rows == [(5, ("D", "1")), (6, ("E", "2")), (7, ("F", ""))]
    assert not found.context.evidence.proves_end, "rows may have been blanked at the end"
    [first, second, *_] = [kept for batch in found.batches for kept in batch.damaged.kept]
    assert first.message == "line 1 is 22 long where 14 are expected"
    assert second.message == "line 2 is 10 long where 14 are expected, and ends inside of a column"
    assert second.cells == {"line": lines[1]}


def test_a_line_that_goes_on_behind_the_columns_needs_its_width_declared(read):
    places = {"sku": (1, 3), "quantity": (4, 3)}
    assert read(FixedWidthDecoder(places), b"A    1 etc\n").damaged == [(1, "row_width")]
    decoder = FixedWidthDecoder(places, line_width=10)
    assert read(decoder, b"A    1 etc\nB    2 etc.\nC    3 e\n").rows == [(1, ("A", "1")), (3, ("C", "3"))]


def test_places_may_count_bytes(read):
    decoder = FixedWidthDecoder({"sku": (1, 4), "quantity": (5, 3)}, encoding="utf-8", unit="bytes")
    found = read(decoder, "Tü1 12\nTüü 7\nABCü 8\nAB   9\n".encode())
    assert found.rows == [(1, ("Tü1", "12"))]
    assert found.damaged == [(2, "row_character"), (3, "row_character"), (4, "row_width")]
    found = read(decoder, "Tü1 12\n  Ü 12\n0001 12\n".encode())
    assert found.rows == [(1, ("Tü1", "12")), (2, ("Ü", "12")), (3, ("0001", "12"))]


def test_a_place_that_is_off_by_one_is_noticed(read):
    for places in ({"sku": (1, 5), "quantity": (8, 6)}, {"sku": (1, 6), "quantity": (9, 5)}):
        decoder = FixedWidthDecoder(places, line_width=21)
        assert read(decoder, filled("00123    1200").encode()).damaged == [], places
        assert read(decoder, filled("00123     1200").encode()).damaged == [(1, "row_place")], places
    packed = FixedWidthDecoder({"sku": (1, 3), "quantity": (4, 3), "bin": (7, 2)})
    assert read(packed, b"ABC120R1\n", "sku", "quantity").rows == [(1, ("ABC", "120"))]


TRAILER = FixedWidthTrailer("END", count=(4, 5), sum=("quantity", 9, 10))
TOTALS = FixedWidthDecoder(PLACES, trailer=TRAILER, title_lines=2, skip_rows_starting=("--",), stripped=True)
TITLES = "Stock \tas of today\n\n"
TOTALLED = TITLES + DATA + "-- page 2\nD           -1\nEND00004    131.50\n"


def test_titles_skipped_lines_and_totals(read):
    found = read(TOTALS, TOTALLED.encode(), "sku", evidence=UNPROVEN)
    assert found.rows == [(3, ("00123",)), (4, ("B-2",)), (5, ("C",)), (7, ("D",))]
    assert not found.damaged
    assert found.context.evidence.proofs >= {Proof.COUNT, Proof.TRAILER}


@pytest.mark.parametrize(
    ("old", "new", "error", "words"),
    [
        ("00004", "00005", Truncated, "5 records were declared, but 4 came"),
        ("131.50", "131.51", StructureInvalid, "line 8: the sum is declared as 131.51, but the rows add up to 131.5 "),
        ("00004", "4 of ", StructureInvalid, "line 8: the count, '4 of', is no number"),
        ("12.50", "12,50", StructureInvalid, "line 4: the quantity '12,50' is not a number in"),
        ("END", "end", InputIncomplete, "no record begins with 'END'"),
        ("END", "END00004\nEND", StructureInvalid, "line 8: the sum, '', is no number"),
        ("131.50\n", "131.50\nE            1\n", StructureInvalid, "line 9 follows line 8"),
        ("131.50\n", "131.50", InputIncomplete, "no line end"),
    ],
)
def test_totals_that_do_not_agree_are_refused(read, old, new, error, words):
    with pytest.raises(error, match=words):
        read(TOTALS, TOTALLED.replace(old, new).encode(), "sku", evidence=UNPROVEN)


def test_a_file_with_totals_cut_anywhere_is_never_shorter(read):
    data = TOTALLED.encode()
    for cut in range(len(data)):
        with pytest.raises((DecodeError, Truncated)):
            read(TOTALS, data[:cut], "sku", "quantity", evidence=UNPROVEN)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.text("aé0-", min_size=1, max_size=6), st.integers(0, 9_999_999)), max_size=8),
    st.sampled_from([24, 1 << 20]),
    st.data(),
)
def test_a_file_cut_anywhere_gives_its_first_rows_or_an_error(read, rows, size, data):
    whole = "".join(f"{sku:6}{n:8}\n" for sku, n in rows).encode()
    cut = data.draw(st.integers(0, len(whole)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_fixed_width_reading, "BLOCK_BYTES", size)
        try:
            found = read(PLAIN, whole[:cut], "sku", "quantity", evidence=UNPROVEN)
        except DecodeError:
            assert not whole[:cut].endswith(b"\n")
            return
    assert found.rows == [(number, (sku, str(n))) for number, (sku, n) in enumerate(rows, 1)][: len(found.rows)]
    assert len(found.rows) == whole[:cut].count(b"\n")


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"", StructureInvalid, "the file is empty"),
        (b"title\n", HeadingInvalid, "has 1 lines, fewer than the 2 title lines"),
        (b"1\n2\nA\xff\n", EncodingInvalid, r"offset 5 \(line 3\) is not UTF-8"),
        (b"1\n2\n" + b"x" * 200, InputTooLarge, "line 3: the record is longer than 100"),
    ],
)
def test_what_is_no_such_text_is_refused(read, data, error, words):
    with pytest.raises(error, match=words):
        read(FixedWidthDecoder(PLACES, title_lines=2, max_record_chars=100), data)


def test_a_column_that_is_needed_must_be_declared(read):
    with pytest.raises(HeadingInvalid, match="'location'"):
        read(PLAIN, DATA.encode(), "sku", "location")


@pytest.mark.parametrize(
    "options",
    [
        {"columns": {}},
        {"columns": {"sku": (0, 3)}},
        {"columns": {"sku": (1, 0)}},
        {"columns": {"sku": 5}},
        {"columns": {"sku": (1, 3), "SKU": (4, 3)}},
        {"columns": {"quantity": (3, 4), "sku": (1, 3)}},
        {"columns": PLACES, "line_width": 19},
        {"columns": PLACES, "skip_rows_starting": "--"},
        {"columns": PLACES, "encoding": "nonsense"},
        {"columns": PLACES, "encoding": "utf-16", "unit": "bytes"},
    ],
)
def test_options_that_cannot_work_are_refused_at_once(options):
    with pytest.raises(ConfigurationError):
        FixedWidthDecoder(**options)


@pytest.mark.parametrize("options", [{"count": 3}, {"count": (0, 1)}, {"sum": ("n", 1)}, {"sum": ("n", 1, 0)}])
def test_a_trailer_without_places_is_refused(options):
    with pytest.raises(ConfigurationError):
        FixedWidthTrailer("END", **options)


def test_it_is_stored_by_name():
    converter = document_converter(default_secrets())
    stored = json.loads(json.dumps(converter.unstructure(TOTALS)))
    assert Registry()._make("decoder", Part("fixed_width", stored)) == TOTALS
    for wrong in ({"sku": "12"}, {"sku": [1]}, {"sku": [1, "3"]}):
        with pytest.raises(ConfigurationError, match="columns"):
            Registry()._make("decoder", Part("fixed_width", {"columns": wrong}))


def test_a_look_shows_what_the_places_cut_out():
    found = TOTALS.inspect(TOTALLED.encode("cp1252"), complete=True)
    assert found.headings == tuple(PLACES)
    assert found.sample == (*(row for _, row in ROWS), ("D", "-1", ""))
    assert (found.suggestions, len(found.problems)) == ({"encoding": "cp1252"}, 1)
    assert PLAIN.inspect(b"A\tB\nC", complete=False).problems == (
        "line 1 has a tab, so that nobody knows where its columns stand",
    )
    for head in (b"", b"\0\0", b"\xff\xfe", b"\xef\xbb"):
        assert FixedWidthDecoder(PLACES, encoding="utf-16").inspect(head, complete=True).sample == ()
