"""What `check` shows a person of an input's head, and what it suggests to declare."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory_sources.formats import CsvDecoder, JsonDecoder, JsonLinesDecoder, Trailer

TABLE = "sku,name,quantity\n" + "".join(f"A{n},Säge {n},{n}\n" for n in range(50))


@pytest.mark.parametrize(
    ("decoder", "encoding", "delimiter", "suggestions"),
    [
        (CsvDecoder(), "utf-8", ",", {}),
        (CsvDecoder(), "utf-8", ";", {"delimiter": ";"}),
        (CsvDecoder(), "utf-8", "\t", {"delimiter": "\t"}),
        (CsvDecoder(delimiter="|"), "utf-8-sig", ",", {"delimiter": ","}),
        (CsvDecoder(), "cp1252", ",", {"encoding": "cp1252"}),
        (CsvDecoder(), "utf-16", ";", {"encoding": "utf-16", "delimiter": ";"}),
        (CsvDecoder(), "utf-16-le", ",", {"encoding": "utf-16-le"}),
        (CsvDecoder(), "utf-16-be", ",", {"encoding": "utf-16-be"}),
        (CsvDecoder(encoding="cp1252"), "utf-8-sig", ",", {"encoding": "utf-8"}),
    ],
)
def test_a_table_is_shown_and_what_it_really_is_suggested(decoder, encoding, delimiter, suggestions):
    data = TABLE.replace(",", delimiter).encode(encoding)
    for head, complete in ((data, True), (data[:501], False)):
        found = decoder.inspect(head, complete=complete)
        assert found.headings == ("sku", "name", "quantity")
        assert found.sample == tuple((f"A{n}", f"Säge {n}", str(n)) for n in range(10))
        assert found.suggestions == suggestions
        assert bool(found.problems) == bool(suggestions)


@pytest.mark.parametrize(
    ("decoder", "text", "suggestions"),
    [
        (CsvDecoder(), "Stock; all of it\n\nsku,qty\nA,1\nB,2\n", {"heading_row": 3}),
        (CsvDecoder(heading_row=3), "Stock; all of it\n\nsku,qty\nA,1\nB,2\n", {}),
        (CsvDecoder(heading_row="find"), "Stock; all of it\n\nsku,qty\nA,1\nB,2\n", {}),
        (CsvDecoder(), "Stock,\nas of,\n,\nsku,qty\nA,1\nB,2\n", {"heading_row": 4}),
        (CsvDecoder(heading_row="find"), "Stock,\nas of,\n,\nsku,qty\nA,1\nB,2\n", {}),
        (CsvDecoder(heading_row="find"), "Stock,2026\n,\nsku,qty\nA,1\nB,2\n", {}),
        (CsvDecoder(), 'sku  , qty\nA    , 1\n"B"  , 2\n', {"padded": True}),
        (CsvDecoder(padded=True), 'sku  , qty\nA    , 1\n"B"  , 2\n', {}),
        (CsvDecoder(), "sku,qty\nA,1\nB,2\nTotal rows,2\n", {"trailer": Trailer("Total", 2)}),
        (CsvDecoder(), "sku,qty\nA,1\nB,2\nEOF\n\n", {"trailer": Trailer("EOF")}),
        (CsvDecoder(trailer=Trailer("EOF")), "sku,qty\nA,1\nB,2\nEOF\n", {}),
        (CsvDecoder(), "sku, qty\nA,1\nB,2\n", {}),
    ],
)
def test_what_stands_around_a_table_is_suggested(decoder, text, suggestions):
    found = decoder.inspect(text.encode(), complete=True)
    assert found.headings == ("sku", "qty")
    assert found.sample[:2] == (("A", "1"), ("B", "2"))
    assert found.suggestions == suggestions


def test_a_table_s_faults_are_named():
    assert CsvDecoder().inspect(b"", complete=True).problems == ("there is no heading row",)
    found = CsvDecoder().inspect(b"sku,SKU\nA\nB,2,3\n", complete=True)
    assert (found.headings, found.sample) == (("sku", "SKU"), (("A", None), ("B", "2")))
    assert "named alike" in found.problems[0]
    assert "quotes" in CsvDecoder().inspect(b'sku,q\n"A"x,1\n', complete=True).problems[0]


def test_a_document_is_shown_even_when_its_head_is_cut():
    records = [{"v": {"sku": f"A[{n}"}, "qty": n, "tags": ["x"], "on": True} for n in range(50)]
    data = json.dumps({"meta": {"n": 1}, "data": {"items": records}}).encode()
    sample = tuple((str(n), '["x"]', "true", f"A[{n}") for n in range(10))
    for head, complete in ((data, True), (data[:999], False)):
        for path, suggestions in (("data.items", {}), ("items", {"records": "/data/items"})):
            found = JsonDecoder(path).inspect(head, complete=complete)
            assert (found.headings, found.sample) == (("qty", "tags", "on", "v.sku"), sample)
            assert (found.suggestions, bool(found.problems)) == (suggestions, bool(suggestions))


def test_json_lines_are_shown_even_when_the_head_is_cut():
    data = b'{"sku": "A"}\n{"sku": "B", "qty": 1}\n{"sku"'
    found = JsonLinesDecoder().inspect(data, complete=False)
    assert (found.headings, found.sample, found.problems) == (("sku", "qty"), (("A", None), ("B", "1")), ())
    assert "line 3 is not JSON" in JsonLinesDecoder().inspect(data, complete=True).problems[0]


@given(st.text('[]{}",:0a-e \n\r;\\\0\ufeff', max_size=40).map(str.encode) | st.binary(max_size=40), st.booleans())
def test_no_head_makes_it_fail(head, complete):
    for decoder in (CsvDecoder(), CsvDecoder(encoding="utf-16"), JsonDecoder("a"), JsonLinesDecoder(encoding="ascii")):
        found = decoder.inspect(head, complete=complete)
        assert all(len(row) == len(found.headings) for row in found.sample)
