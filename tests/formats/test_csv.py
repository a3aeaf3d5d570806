"""CsvDecoder on good and bad files: what is read, what is rejected where, and what is refused as a whole."""

from __future__ import annotations

import codecs
import json
import warnings

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
    SyncCancelled,
    Truncated,
)
from inventory_sources.formats import CsvDecoder, Trailer, _csv_reading
from inventory_sources.payload import Evidence, Payload, Proof
from inventory_sources.protocols.decoder import DecodeContext
from inventory_sources.secrets import default_secrets

UNPROVEN = Evidence(frozenset({Proof.STABLE}))
GOOD = "sku,quantity\nA-1,5\nB-2,12\n"
ROWS = [(2, ("A-1", "5")), (3, ("B-2", "12"))]


@pytest.mark.parametrize(
    ("decoder", "data"),
    [
        (CsvDecoder(), GOOD.encode()),
        (CsvDecoder(), codecs.BOM_UTF8 + GOOD.encode()),
        (CsvDecoder(encoding="utf-8"), codecs.BOM_UTF8 + GOOD.encode()),
        (CsvDecoder(encoding="utf-16"), GOOD.encode("utf-16")),
        (CsvDecoder(encoding="utf-16"), codecs.BOM_UTF16_BE + GOOD.encode("utf-16-be")),
        (CsvDecoder(encoding="utf-16-le"), GOOD.encode("utf-16-le")),
        (CsvDecoder(encoding="utf-32"), GOOD.encode("utf-32")),
        (CsvDecoder(encoding="shift_jis"), GOOD.encode("shift_jis")),
        (CsvDecoder(), GOOD.replace("\n", "\r\n").encode()),
        (CsvDecoder(), GOOD.replace("\n", "\r").encode()),
        (CsvDecoder(), GOOD.replace("5\n", "5\r\n").encode()),
        (CsvDecoder(), GOOD.rstrip().encode()),
        (CsvDecoder(), GOOD.encode() + b"\n\r\n\n"),
        (CsvDecoder(delimiter="\t"), GOOD.replace(",", "\t").encode()),
        (CsvDecoder(delimiter="§"), GOOD.replace(",", "§").encode()),
        (CsvDecoder(quote="'"), GOOD.replace("A-1", "'A-1'").encode()),
        (CsvDecoder(), GOOD.replace("A-1", '"A-1"').encode()),
        (CsvDecoder(), GOOD.replace("sku", '" sku "').encode()),
    ],
)
def test_one_table_in_many_dresses(read, decoder, data):
    assert read(decoder, data, "sku", "quantity").rows == ROWS


def test_cells_stay_as_they_are(read):
    data = 'sku,size,quantity\n00123, 19" rack ,\n"A ""1""",NULL,"1,5"\n,"two\nlines",-\nB,N/A,0\n'
    assert read(CsvDecoder(), data.encode()).rows == [
        (2, ("00123", ' 19" rack ', "")),
        (3, ('A "1"', "NULL", "1,5")),
        (4, ("", "two\nlines", "-")),
        (6, ("B", "N/A", "0")),
    ]


def test_only_the_columns_asked_for_are_kept_and_the_others_can_be_looked_up(read):
    data = GOOD.replace("\n", ",more\n").replace(",more", ",note", 1).encode() + b'C,"1",x\n'
    found = read(CsvDecoder(), data, "quantity", "sku")
    assert {tuple(batch.frame.columns) for batch in found.batches} == {("quantity", "sku")}
    assert found.cells[3] == {"sku": "B-2", "quantity": "12", "note": "more"}
    assert found.cells[4] == {"sku": "C", "quantity": "1", "note": "x"}


def test_looking_up_the_cells_of_a_file_leaves_it_closed(tmp_path):
    file = tmp_path / "stock.csv"
    file.write_text(GOOD)
    [batch] = CsvDecoder().decode(Payload("stock", file), DecodeContext())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert batch.cells(3) == {"sku": "B-2", "quantity": "12"}
    assert not caught


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_rows_of_another_width_are_rejected_and_never_shifted(read, end):
    data = end.join(["sku,quantity", "A,1", "B,1,5", "", "C", '"D",2', " ", "E,3", "", ""])
    found = read(CsvDecoder(), data.encode())
    assert found.rows == [(2, ("A", "1")), (6, ("D", "2")), (8, ("E", "3"))]
    assert found.damaged == [(3, "row_width"), (4, "row_blank"), (5, "row_width"), (7, "row_width")]
    wide = found.batches[0].damaged.kept + found.batches[-1].damaged.kept
    rejection = next(r for r in wide if r.place.number == 3)
    assert rejection.message == "line 3 has 3 cells where 2 are expected"
    assert rejection.cells == {"sku": "B", "quantity": "1", "cell 3": "5"}


def test_the_rows_beside_a_lone_cell_are_not_trusted(read):
    data = b"sku,quantity\nA,1\nB,12\n0\nC,3\nD,4\n"
    found = read(CsvDecoder(), data)
    assert [row for _, row in found.rows] == [("A", "1"), ("D", "4")]
    assert found.damaged == [(3, "row_split"), (4, "row_width"), (5, "row_split")]
    first, _, second = found.batches[-1].damaged.kept
    assert first.message == "line 4 holds one cell alone, which may be a part of the last cell of the row of line 3"
    assert second.message == "line 4 holds one cell alone, which may be a part of the first cell of the row of line 5"
    assert first.cells == {"sku": "B", "quantity": "12"}
    assert "skip_rows_starting" in first.guidance
    assert [row for _, row in read(CsvDecoder(skip_rows_starting=("0",)), data).rows] == [
        ("A", "1"),
        ("B", "12"),
        ("C", "3"),
        ("D", "4"),
    ]


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ('A,1\n"Remark, quoted"\nB,2\n', []),
        ('A,"1"\nRemark\n"B",2\n', []),
        ("A,1\n \nB,2\n", []),
        ("A,1\n\nRemark\n\nB,2\n", []),
        ("A,1\nRemark\nRemark\nB,2\n", [2, 5]),
        ('"A\nx",1\nRemark\n"B\nx",2\n', [2]),
    ],
)
def test_a_cell_that_is_whole_lacks_no_part(read, text, split):
    found = read(CsvDecoder(), f"sku,quantity\n{text}".encode())
    assert [number for number, reason in found.damaged if reason == "row_split"] == split
    assert len(found.rows) == 2 - len(split)


def test_only_columns_that_are_read_can_lack_a_part(read):
    data = b"note,sku,quantity,bin\nx,A,1,R1\nRemark\nx,B,2,R2\n"
    assert [row for _, row in read(CsvDecoder(), data, "sku", "quantity").rows] == [("A", "1"), ("B", "2")]
    assert read(CsvDecoder(), data, "note", "sku").damaged == [(3, "row_width"), (4, "row_split")]
    assert read(CsvDecoder(), data, "sku", "bin").damaged == [(2, "row_split"), (3, "row_width")]


def test_another_heading_below_a_lone_cell_is_still_seen(read):
    with pytest.raises(StructureInvalid, match="line 4 looks like the heading row of another table"):
        read(CsvDecoder(), b"sku,quantity\nA,1\nReserved stock\nsku,reserved\nB,2\n")


def test_damaged_rows_are_counted_beyond_those_kept(read, monkeypatch):
    monkeypatch.setattr(_csv_reading, "_BATCH_ROWS", 2)
    found = read(CsvDecoder(), b"a,b\n" + b"1,2,3\n1,2\n" * 10, keep_damaged=3)
    assert found.damaged == [(2, "row_width"), (4, "row_width"), (6, "row_width")]
    assert sum(batch.damaged.total for batch in found.batches) == 10
    assert sum(batch.rows for batch in found.batches) == 20


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"", StructureInvalid, "the file is empty"),
        (codecs.BOM_UTF8, StructureInvalid, "the file is empty"),
        (b"\n\n", HeadingInvalid, "heading row is blank"),
        (b"SKU,s_k-u\nA,1\n", HeadingInvalid, "'SKU' and 's_k-u'"),
        (b"sku,,quantity\nA,1,2\n", HeadingInvalid, "no name in column 2"),
        (b"sku,quantity,\nA,1,\n", HeadingInvalid, "ends with a delimiter"),
        (b"sku,qty\nA,1\n", HeadingInvalid, "no column 'quantity'"),
        (b"sku;quantity\nA;1\n", HeadingInvalid, "looks delimited by ';'"),
        (b'sku,quantity\nA,1\n"B,2\nC,3\n', StructureInvalid, "line 3: a quote is opened and never closed"),
        (b'sku,quantity\nA,1\n"B"x,2\n', StructureInvalid, "line 3, in the record of line 3: the quotes are wrong"),
        (b'sku,quantity\n"A\n\n,1\n"B,2\n', StructureInvalid, "line 5, in the record of line 2"),
        (b"sku,quantity\nA,\0\n", EncodingInvalid, r"offset 15 \(line 2\) is a NUL"),
        (GOOD.encode("utf-16"), EncodingInvalid, "mark of UTF-16-LE but is declared utf-8-sig"),
        (GOOD.encode("utf-32"), EncodingInvalid, "mark of UTF-32-LE"),
        (GOOD.encode("utf-16-le"), EncodingInvalid, r"offset 1 \(line 1\) is a NUL"),
        (b"sku,quantity\n\xc3\xa9,1\n\xe9,2\n", EncodingInvalid, r"offset 18 \(line 3\) is not UTF-8"),
    ],
)
def test_what_is_no_such_table_is_refused_with_its_place(read, data, error, words):
    with pytest.raises(error, match=words):
        read(CsvDecoder(), data, "sku", "quantity")


@pytest.mark.parametrize(
    ("encoding", "data", "words"),
    [
        ("utf-16", GOOD.encode("utf-16-le"), "does not begin with its byte order mark"),
        ("cp1252", codecs.BOM_UTF8 + GOOD.encode(), "mark of UTF-8 but is declared cp1252"),
        ("utf-16-le", codecs.BOM_UTF16_BE + GOOD.encode("utf-16-be"), "mark of UTF-16-BE"),
        ("ascii", "sku,é\n".encode(), r"offset 4 \(line 1\) is not ASCII"),
        ("cp1252", b"a,b\n\x81,1\n", r"offset 4 \(line 2\) is not CP1252"),
        ("utf-16-le", "a,b\nA,1\n\0,2\n".encode("utf-16-le"), r"offset 16 \(line 3\) is a NUL"),
    ],
)
def test_another_encoding_than_declared_is_refused(read, encoding, data, words):
    with pytest.raises(EncodingInvalid, match=words):
        read(CsvDecoder(encoding=encoding), data)


def test_a_heading_alone_is_a_table_without_rows(read):
    found = read(CsvDecoder(), b"sku,quantity\n", "sku")
    assert found.rows == found.damaged == []
    with pytest.raises(HeadingInvalid, match="'location'"):
        read(CsvDecoder(), b"sku,quantity\n", "location")


@pytest.mark.parametrize(
    "data", [b"sku,quantity\nA,1", b'sku,quantity\nA,1\n"B\n', b"sku,quan", "sku\né".encode()[:-1]]
)
def test_an_end_that_nothing_proves_is_waited_for(read, data):
    with pytest.raises(InputIncomplete):
        read(CsvDecoder(), data, evidence=UNPROVEN)


def test_a_missing_line_end_may_be_declared_or_proven_good(read):
    data = b"sku,quantity\nA,1"
    assert read(CsvDecoder(final_newline="optional"), data, evidence=UNPROVEN).rows == [(2, ("A", "1"))]
    assert read(CsvDecoder(), data).rows == [(2, ("A", "1"))]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(st.text('aé,"\n', max_size=4), st.integers(0, 999)), min_size=1, max_size=6),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_a_file_cut_anywhere_gives_its_first_rows_or_an_error(read, rows, end):
    quoted = [(sku, str(quantity), '"' + sku.replace('"', '""') + f'",{quantity}') for sku, quantity in rows]
    data = end.join(["sku,quantity", *(line for _, _, line in quoted), ""]).encode()
    truth = [(sku, quantity) for sku, quantity, _ in quoted]
    for cut in range(len(data)):
        try:
            found = [row for _, row in read(CsvDecoder(), data[:cut], evidence=UNPROVEN).rows]
        except DecodeError:
            continue
        assert found == truth[: len(found)]
    assert [row for _, row in read(CsvDecoder(), data, evidence=UNPROVEN).rows] == truth


def test_a_declared_number_of_records_must_come(read):
    declares = Evidence(UNPROVEN.proofs, declared_records=2)
    assert read(CsvDecoder(), GOOD.encode(), evidence=declares).context.evidence.proofs >= {Proof.COUNT}
    assert not read(CsvDecoder(), GOOD.encode(), evidence=UNPROVEN).context.evidence.proves_end
    with pytest.raises(Truncated, match="2 records were declared, but 1 came"):
        read(CsvDecoder(), b"sku,quantity\nA-1,5\n", evidence=declares)


def test_too_many_rows_and_a_stop_end_the_reading(read):
    with pytest.raises(InputTooLarge, match="more than 1 rows"):
        read(CsvDecoder(), GOOD.encode(), max_rows=1)

    def stop():
        raise SyncCancelled("stop")

    with pytest.raises(SyncCancelled):
        read(CsvDecoder(), GOOD.encode(), checkpoint=stop)


def test_what_a_reading_holds_does_not_grow_with_the_columns_nobody_asked_for(read, monkeypatch):
    monkeypatch.setattr(_csv_reading, "BLOCK_BYTES", 4096)
    for extra in ("", '"'):
        held = []
        for width in (1, 50):
            head = ",".join(["sku", *(f"c{n}" for n in range(width))])
            row = ",".join(["A", *[extra + "x" * 20 + extra] * width])
            data = (head + "\n" + (row + "\n") * 500).encode()
            held.append(sum(batch.frame.estimated_size() for batch in read(CsvDecoder(), data, "sku").batches))
        assert held[1] <= held[0] * 1.1


@pytest.mark.parametrize(
    "options",
    [
        {"delimiter": ""},
        {"delimiter": ",,"},
        {"delimiter": "a"},
        {"delimiter": "\n"},
        {"delimiter": None},
        {"delimiter": '"'},
        {"quote": ""},
        {"encoding": "nonsense"},
        {"encoding": "base64"},
        {"encoding": "utf-7"},
        {"encoding": "cp037"},
        {"encoding": "iso2022_jp"},
        {"headings": "sku"},
        {"headings": ("sku", "SKU")},
        {"headings": ()},
        {"headings": ("sku",), "heading_row": 2},
        {"heading_row": 0},
        {"heading_row": True},
        {"heading_row": "search"},
        {"skip_rows_starting": "Subtotal"},
        {"skip_rows_starting": (" ",)},
        {"fill_down": "sku"},
        {"trailer": Trailer("TOTAL", sum=("On hand", 2)), "fill_down": ("on_hand",)},
    ],
)
def test_options_that_cannot_work_are_refused_at_once(options):
    with pytest.raises(ConfigurationError):
        CsvDecoder(**options)


def test_options_survive_being_stored_as_json():
    converter = document_converter(default_secrets())
    for decoder in (
        CsvDecoder(),
        CsvDecoder("\t", "cp1252", None, ("a", "b"), "optional", 100),
        CsvDecoder(padded=True, heading_row="find", repeated_headings="skip", fill_down=("name",)),
        CsvDecoder(heading_row=3, skip_rows_starting=("Subtotal", "#"), trailer=Trailer("TOTAL", 2, ("qty", 3))),
    ):
        stored = json.loads(json.dumps(converter.unstructure(decoder)))
        assert converter.structure(stored, CsvDecoder) == decoder
