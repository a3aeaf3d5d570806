"""The fast and the strict reading of delimited text are one reading, whatever the text."""

from __future__ import annotations

import csv
import io

import pytest
from attrs import evolve
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from inventory_sources.errors import DecodeError, EncodingInvalid, InputTooLarge
from inventory_sources.formats import CsvDecoder, _csv_reading
from inventory_sources.formats._csv_doubts import Doubts
from inventory_sources.formats._csv_splits import Splits

WIDTHS = {1: ("a",), 2: ("a", "b"), 3: ("a", "b", "c")}
CHARACTERS = 'a0 ,;\t|-#x\x01^"\r\n\u00e9\u2028\x85\x0b\x1c\ufeff\U0001f4e6\0'


def truth(decoder, text):
    """The rows and the damaged lines of a text as the csv module alone reads it; None where it refuses the text."""
    if "\0" in text:
        return None
    quoting = {"quotechar": decoder.quote} if decoder.quote else {"quoting": csv.QUOTE_NONE}
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=decoder.delimiter, strict=True, **quoting)
    rows, damaged, begin = [], [], 1
    try:
        for row in reader:
            rows.append((begin, tuple(row)))
            begin = reader.line_num + 1
    except csv.Error:
        return None
    while rows and not rows[-1][1]:
        rows.pop()
    width = len(decoder.headings)
    reasons = {(): "row_blank", decoder.headings: "heading_repeated"}
    damaged = [
        (number, reasons.get(row, "row_width")) for number, row in rows if len(row) != width or row == decoder.headings
    ]
    return [(number, row) for number, row in rows if len(row) == width and row != decoder.headings], damaged


def lines(delimiter, end):
    """Mostly lines of the right width, so that blocks qualify for the fast path, and now and then any text."""
    cell = st.text("a0 x-\u00e9\x01\u0a05\u0100", max_size=4)
    good = st.tuples(cell, cell).map(lambda cells: delimiter.join(cells) + end)
    return st.lists(st.one_of(good, good, good, good, st.text(CHARACTERS, max_size=8)), max_size=30).map("".join)


@st.composite
def inputs(draw):
    delimiter = draw(st.sampled_from(",;\t|"))
    end = draw(st.sampled_from(["\n", "\r\n", "\n", "\r"]))
    text = draw(st.one_of(lines(delimiter, end), st.text(CHARACTERS, max_size=40)))
    quote = draw(st.sampled_from(['"', '"', None]))
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-16-le", "utf-16-be"]))
    width = draw(st.sampled_from([2, 2, 2, 3, 1]))
    return CsvDecoder(delimiter, encoding, quote, WIDTHS[width]), text


@pytest.fixture(params=[48, 1 << 20])
def block_bytes(request, monkeypatch):
    monkeypatch.setattr(_csv_reading, "BLOCK_BYTES", request.param)
    monkeypatch.setattr(Doubts, "of", lambda *_: None)  # which the csv module does not have,
    monkeypatch.setattr(Splits, "is_part", lambda *_: False)  # nor these


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(inputs())
@example((CsvDecoder(headings=("a", "b")), "x\x01,1\nb,2\n"))  # looks like zlib
@example((CsvDecoder(headings=("a", "b")), "\ufeff\ufeffa,1\nb,2\n"))
@example((CsvDecoder(headings=("a", "b")), "a,1,9\nb\nc,2\n"))  # as many delimiters as there should be
@example((CsvDecoder(headings=("a", "b")), ",\n,\n\n,\n"))
@example((CsvDecoder(headings=("a", "b"), delimiter="\t"), "\t\n\t\n"))
@example((CsvDecoder(headings=("a", "b")), 'a,1\nb,"2\n\n3"\nc,4\n'))
@example((CsvDecoder(headings=("a",)), "a\n\nb\n"))
@example((CsvDecoder(headings=("a", "b")), "a,1\r" * 24 + "\nb,2\r"))  # a block that ends between CR and LF
@example((CsvDecoder(headings=("a", "b"), encoding="utf-16-le"), "a,1\n" * 3 + "x,x\u0a05\u0100x\n" * 9))  # half a LF
@example((CsvDecoder(headings=("a", "b"), encoding="utf-16-be"), "a,1\n" * 3 + "x,x\u0100\u0a05x\n" * 9))
def test_any_text_is_read_as_the_csv_module_reads_it(read, block_bytes, case):
    decoder, text = case
    data = text.encode(decoder.encoding.removesuffix("-sig"))
    expected = truth(decoder, text.removeprefix("\ufeff"))  # the mark of the declared encoding
    if expected is None or not text.removeprefix("\ufeff"):
        with pytest.raises((DecodeError, InputTooLarge)):
            read(decoder, data)
        return
    try:
        found = read(decoder, data)
    except InputTooLarge:
        assume(max(map(len, data.splitlines())) <= 40)  # else a line is longer than the tiny blocks of this test
        raise
    rows, damaged = expected
    assert (found.rows, found.damaged) == (rows, damaged)
    assert found.cells == {number: dict(zip(decoder.headings, row, strict=True)) for number, row in rows}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=40)
    .filter(lambda noise: 0 not in noise)
    .map(lambda noise: b"a,1\n" * 20 + noise + b"\nb,2\n" * 20)
)
def test_bytes_that_are_no_text_are_refused_at_the_place_where_they_stand(read, block_bytes, data):
    decoder = CsvDecoder(headings=("a", "b"), quote=None)
    try:
        data.decode()
    except UnicodeDecodeError as error:
        with pytest.raises(EncodingInvalid, match=rf"offset {error.start} \(line {_line_of(data, error.start)}\)"):
            read(decoder, data)
    else:
        assert read(decoder, data).batches


def _line_of(data, offset):
    return len(io.StringIO(data[:offset].decode() + "x", newline="").readlines())


def test_plain_text_never_needs_the_slow_path(read, monkeypatch):
    monkeypatch.setattr(_csv_reading.CsvReading, "_slow_batch", lambda reading: pytest.fail("the csv module was asked"))
    data = "sku,name,quantity\n" + "".join(f"S{n},Ünit {n},{n % 7}\n" for n in range(1000))
    for encoding, end in (("utf-8", "\n"), ("cp1252", "\n"), ("utf-8", "\r\n")):
        found = read(CsvDecoder(encoding=encoding), data.replace("\n", end).encode(encoding), "quantity", "sku")
        assert found.rows == [(n + 2, (str(n % 7), f"S{n}")) for n in range(1000)]
        assert found.batches[-1].cells(1001) == {"sku": "S999", "name": "Ünit 999", "quantity": "5"}


def test_one_bad_row_costs_only_its_own_block_the_fast_path(read, monkeypatch):
    monkeypatch.setattr(_csv_reading, "BLOCK_BYTES", 1000)
    asked, slow = [], _csv_reading.CsvReading._slow_batch
    monkeypatch.setattr(_csv_reading.CsvReading, "_slow_batch", lambda self: asked.append(1) or slow(self))
    good = [f"S{n:04d},{n % 9}\n" for n in range(1000)]
    data = "sku,quantity\n" + "".join(good[:500]) + "S,1,2\n" + "".join(good[500:])
    found = read(CsvDecoder(), data.encode())
    assert found.damaged == [(502, "row_width")]
    assert [row for _, row in found.rows] == [tuple(line.strip().split(",")) for line in good]
    assert [number for number, _ in found.rows] == [n for n in range(2, 1003) if n != 502]
    assert len(asked) == 1


def test_a_cell_too_long_for_the_csv_module_is_refused_on_either_path(read):
    data = b"a,b\n" + b"x" * 200_000 + b",1\n"
    with pytest.raises(InputTooLarge, match="line 2: a cell is longer than 131072 characters"):
        read(CsvDecoder(), data)
    with pytest.raises(InputTooLarge, match="line 2: the record is longer than 10 characters"):
        read(CsvDecoder(max_record_chars=10), b"a,b\nxxxxxxxxxx,1\n")
    assert read(evolve(CsvDecoder(), max_record_chars=20), b"a,b\nxxxxxxxxxx,1\n").rows == [(2, ("x" * 10, "1"))]
