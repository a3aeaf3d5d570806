"""XmlDecoder on good documents, damaged ones, cut ones and bombs."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory_sources import Columns
from inventory_sources.errors import (
    ConfigurationError,
    EncodingInvalid,
    HeadingInvalid,
    InputIncomplete,
    InventorySourcesError,
    StructureInvalid,
    Truncated,
)
from inventory_sources.formats import XmlDecoder, _xml_reading
from inventory_sources.payload import Evidence, Payload, Proof
from inventory_sources.protocols.decoder import DecodeContext
from inventory_sources.registry import Registry
from tests.engine.conftest import Shop

UNPROVEN = Evidence(frozenset({Proof.STABLE}))
FIELDS = {"sku": "item/@code", "qty": "level"}
LEVELS = XmlDecoder("stock/row", FIELDS)
DOCUMENT = b"""<?xml version="1.0"?>
<stock at="09:30">
  <row><item code="A"/><level>5</level></row>
  <!-- the next one is new -->
  <row><note>new &amp; <b>bold</b></note><level unit="pc">12</level><item code="&lt;B&gt;">tee</item></row>
</stock>
"""
ROWS = [(1, ("A", "5")), (2, ("<B>", "12"))]


def document(*rows: str, root: str = "stock") -> bytes:
    return f"<{root}>{''.join(rows)}</{root}>".encode()


def row(code: str, level: object) -> str:
    return f"<row><item code={quoteattr(code)}/><level>{escape(str(level))}</level></row>"


def test_the_records_are_found_where_they_were_declared(read):
    found = read(LEVELS, DOCUMENT, "sku", "qty", evidence=UNPROVEN)
    assert found.rows == ROWS
    assert found.cells[2] == {"sku": "<B>", "qty": "12"}
    assert {place.unit for batch in found.batches for place, _ in batch.records()} == {"record"}
    assert found.context.evidence.proofs == {Proof.STABLE, Proof.TRAILER}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "cp1252", "koi8-r"])
def test_the_document_declares_its_encoding(read, encoding):
    sku = "Ж-1" if encoding == "koi8-r" else "Ä-1"
    data = f'<?xml version="1.0" encoding="{encoding}"?>{document(row(sku, 3)).decode()}'.encode(encoding)
    assert read(LEVELS, data).rows == [(1, (sku, "3"))]


def test_an_encoding_that_is_not_what_it_says_is_refused(read):
    with pytest.raises(StructureInvalid, match="line 1, column"):
        read(LEVELS, document(row("Ä", 3)).decode().encode("cp1252"))
    with pytest.raises(EncodingInvalid, match="encoding that the document declares"):
        read(LEVELS, b'<?xml version="1.0" encoding="klingon"?><stock/>')
    with pytest.raises(EncodingInvalid, match="multi-byte"):
        read(LEVELS, b'<?xml version="1.0" encoding="gb18030"?><stock/>')


NAMESPACES = {"s": "urn:stock/1", "i": "urn:items"}
QUALIFIED = b"""<x:stock xmlns:x="urn:stock/1" xmlns="urn:items" xmlns:o="urn:other">
<x:row><code>A</code><o:code>wrong</o:code><o:level>99</o:level><x:level x:unit="pc" unit="no">5</x:level></x:row>
</x:stock>"""


@pytest.mark.parametrize(
    ("records", "sku", "level", "unit"),
    [
        ("s:stock/s:row", "i:code", "s:level", "s:level/@s:unit"),
        ("/{urn:stock/1}stock/{urn:stock/1}row", "{urn:items}code", "{urn:stock/1}level", "{urn:stock/1}level/@s:unit"),
        ("stock/row", "i:code", "s:level", "s:level/@s:unit"),
    ],
)
def test_namespaces_are_matched_and_prefixes_are_the_document_s_own(read, records, sku, level, unit):
    decoder = XmlDecoder(records, {"sku": sku, "qty": level, "unit": unit}, NAMESPACES)
    assert read(decoder, QUALIFIED).rows == [(1, ("A", "5", "pc"))]


def test_a_bare_name_is_that_name_in_any_namespace(read):
    found = read(XmlDecoder("stock/row", {"sku": "code", "qty": "level"}), QUALIFIED)
    assert (found.rows, found.damaged) == ([], [(1, "field_repeated")])


def test_what_is_not_there_is_null_what_is_empty_is_empty_and_nil_is_null(read):
    nil = '<level xmlns:n="http://www.w3.org/2001/XMLSchema-instance" n:nil="true"/>'
    rows = [row("A", 1), '<row><item code=""/><level/></row>', f"<row>{nil}</row>", "<row/>", row("B", " 2\n")]
    found = read(LEVELS, document(*rows), "sku", "qty")
    cells = [("A", "1"), ("", ""), (None, None), (None, None), ("B", " 2\n")]
    assert found.rows == list(enumerate(cells, 1))


def test_a_record_s_own_text_and_the_document_s_fields_are_cells(read):
    decoder = XmlDecoder("r/row", {"sku": "@id", "qty": ".", "day": "/r/head/day", "kind": "/r/@kind"})
    head = '<r kind="full"><head><day>2026-03-02</day></head>'
    data = f'{head}<row id="A">7</row><row id="B">0</row></r>'.encode()
    assert read(decoder, data).rows == [(1, ("A", "7", "2026-03-02", "full")), (2, ("B", "0", "2026-03-02", "full"))]
    late = f'{head}<row id="A">7</row><head><day>2026-03-03</day></head></r>'.encode()
    with pytest.raises(StructureInvalid, match="'day' stands behind a record"):
        read(decoder, late)
    with pytest.raises(StructureInvalid, match="'day' stands more than once"):
        read(decoder, data.replace(b"</day>", b"</day><day/>"))


def test_a_field_that_stands_twice_or_holds_elements_damages_its_record_only(read):
    rows = [
        row("A", 1),
        '<row><item code="B"/><level>1</level><level>2</level></row>',
        '<row><item code="C"/><level>1<b>2</b></level></row>',
        '<row><item code="D"/><item/><level>4</level></row>',
        '<row><item code="E"/><item code="F"/><level>4</level></row>',
        row("G", 5),
    ]
    found = read(LEVELS, document(*rows), "sku", "qty")
    assert found.rows == [(1, ("A", "1")), (4, ("D", "4")), (6, ("G", "5"))]
    assert found.damaged == [(2, "field_repeated"), (3, "cell_type"), (5, "field_repeated")]
    assert read(LEVELS, document(*rows), "sku").damaged == [(5, "field_repeated")]
    assert "line 1" in found.batches[0].damaged.kept[0].message


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (document(row("A", 1), root="levels"), "the root element is 'levels'"),
        (document(row("A", 1).replace("row", "line")), "the way leads to stock"),
        (document("<rows>", row("A", 1), "</rows>"), "the way leads to stock"),
        (document(), "the way leads to stock"),
        (b"", "empty"),
        (b"sku,qty\nA,1\n", "not XML"),
        (b"<stock><row></stock>", "mismatched tag"),
        (b'<stock><row a="1" a="2"/></stock>', "duplicate attribute"),
        (b"<stock><x:row/></stock>", "unbound prefix"),
        (b"<stock>&nbsp;</stock>", "undefined entity"),
        (b"<!DOCTYPE stock>" + document(row("A", 1)), "document type declaration"),
        (b'<!DOCTYPE r [<!ENTITY q "5">]>' + document(row("A", 1)).replace(b"1", b"&q;"), "document type declaration"),
    ],
)
def test_a_document_of_another_shape_is_an_error_and_never_an_empty_feed(read, data, told):
    with pytest.raises(StructureInvalid, match=told):
        read(LEVELS, data)


def test_a_needed_field_that_no_record_has_is_missing(read):
    with pytest.raises(HeadingInvalid, match=r"'qty' \(levle\)"):
        read(XmlDecoder("stock/row", {"sku": "item/@code", "qty": "levle"}), DOCUMENT, "sku", "qty")
    assert read(XmlDecoder("stock/row", {**FIELDS, "x": "levle"}), DOCUMENT, "sku", "qty").rows == ROWS


def test_every_cut_is_noticed_and_so_is_what_follows_the_end(read):
    whole = DOCUMENT.rstrip()
    for end in range(1, len(whole)):
        with pytest.raises(InputIncomplete):
            read(LEVELS, whole[:end], evidence=UNPROVEN)
        with pytest.raises(StructureInvalid):
            read(LEVELS, whole[:end])
    with pytest.raises(InputIncomplete):
        read(LEVELS, whole + b"/row></stock>", evidence=UNPROVEN)
    assert read(LEVELS, whole, evidence=UNPROVEN).rows == ROWS


def test_another_number_of_records_than_declared_is_refused(read):
    with pytest.raises(Truncated):
        read(LEVELS, DOCUMENT, evidence=Evidence(declared_records=3))
    assert Proof.COUNT in read(LEVELS, DOCUMENT, evidence=Evidence(declared_records=2)).context.evidence.proofs


texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="￾￿"))


@given(st.lists(st.tuples(texts, texts | st.none(), st.sampled_from(["", "<!-- c -->", "<?p i?>", "<![CDATA[]]>"]))))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_was_written_is_what_is_read(read, written):
    rows, expected = [row("first", 1)], [("first", "1")]
    for sku, level, noise in written:
        text = None if level is None else f"<level>{escape(level[:3])}{noise}{escape(level[3:])}</level>"
        rows.append(f"<row>{noise}<x>{noise}</x>{text or ''}<item code={quoteattr(sku)}/></row>")
        expected.append((sku, level))
    found = read(LEVELS, document(*rows), "sku", "qty")
    assert [cells for _, cells in found.rows] == expected


# --- bombs --------------------------------------------------------------------------------------------------------

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
BOMBS = {
    "billion laughs": f'<!DOCTYPE r [<!ENTITY l0 "ha">{LAUGHS}]><stock>&l9;</stock>'.encode,
    "quadratic": f'<!DOCTYPE r [<!ENTITY a "{"a" * 50_000}">]><stock>{"&a;" * 50_000}</stock>'.encode,
    "external entity": lambda: b'<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]><stock>&a;</stock>',
    "external subset": lambda: b'<!DOCTYPE r SYSTEM "http://127.0.0.1:9/x.dtd"><stock/>',
    "deep nesting": lambda: b"<stock>" + b"<a>" * 5_000_000,
    "long attribute": lambda: b'<stock><row a="' + b"x" * 30_000_000 + b'"/></stock>',
    "long name": lambda: b"<stock><" + b"x" * 30_000_000 + b"/></stock>",
    "long comment": lambda: b"<stock><!--" + b"x" * 30_000_000 + b"--></stock>",
    "long cell": lambda: b"<stock><row><level>" + b"x" * 30_000_000,
    "many attributes": lambda: b"<stock><row " + b"".join(b'a%d="" ' % n for n in range(2_000_000)),
    "many names": lambda: b"<stock>" + b"".join(b"<a%d/>" % n for n in range(2_000_000)),
    "many namespaces": lambda: b"<stock>" + b"".join(b'<a xmlns="u%d"/>' % n for n in range(1_000_000)),
}

BOUNDED = """
import resource, sys
from tests.formats.test_xml import BOMBS, LEVELS
from inventory_sources.errors import DecodeError, InputTooLarge
from inventory_sources.payload import Payload
from inventory_sources.protocols.decoder import DecodeContext
import inventory_sources.formats._xml_reading
payload = Payload("stock", BOMBS[sys.argv[1]]())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    list(LEVELS.decode(payload, DecodeContext()))
except (DecodeError, InputTooLarge) as error:
    print(type(error).__name__, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_in_little_memory(bomb):
    done = subprocess.run([sys.executable, "-c", BOUNDED, bomb], capture_output=True, text=True, check=True)
    refused, kib = done.stdout.split()
    assert refused in {"StructureInvalid", "InputTooLarge"}
    assert int(kib) < 32 << 10


def test_a_large_document_is_read_in_bounded_memory(monkeypatch):
    monkeypatch.setattr(_xml_reading, "_BATCH_RECORDS", 1000)

    class Endless:
        """A document of very many records, made while it is read."""

        def __init__(self, records):
            self.parts = iter([b"<stock>", *[b"<row><skip>x</skip></row>" * 1000] * (records // 1000), b"</stock>"])

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def read(self, size):
            return next(self.parts, b"")

    class Made(Payload):
        def open(self):
            return Endless(50_000)

    decoder = XmlDecoder("stock/row", {"sku": "skip"})
    rows = 0
    list(decoder.decode(Payload("stock", document("<row><skip/></row>")), DecodeContext()))
    tracemalloc.start()
    for batch in decoder.decode(Made("stock", b""), DecodeContext()):
        rows += batch.rows
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 50_000
    assert peak < 2 << 20


# --- declarations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "fields", "told"),
    [
        ("", FIELDS, "no path to elements"),
        ("stock/@row", FIELDS, "no path to elements"),
        ("stock//row", FIELDS, "'' in the path"),
        ("stock/row[1]", FIELDS, r"row\[1\]"),
        ("stock/row", {}, "no fields"),
        ("stock/row", {"a": "x:y"}, "prefix 'x'"),
        ("stock/row", {"a": ""}, "no path to a field"),
        ("stock/row", {"a": "@b/c"}, "no path to a field"),
        ("stock/row", {"a": "b", "c": "b"}, "two fields"),
        ("stock/row", {"a": "@b", "c": "@b"}, "two fields"),
        ("stock/row", {"a": "b", "c": "{u}b"}, "with and without a namespace"),
        ("stock/row", {"a": "/stock/row/b"}, "stands in the records"),
    ],
)
def test_a_path_that_cannot_be_one_is_refused_when_it_is_declared(records, fields, told):
    with pytest.raises(ConfigurationError, match=told):
        XmlDecoder(records, fields)


def test_a_look_at_the_head_says_what_is_there():
    seen = LEVELS.inspect(DOCUMENT, complete=True)
    assert (seen.headings, seen.sample, seen.problems) == (("sku", "qty"), (("A", "5"), ("<B>", "12")), ())
    cut = LEVELS.inspect(DOCUMENT[: DOCUMENT.index(b"<note>")], complete=False)
    assert (cut.sample, cut.problems) == ((("A", "5"),), ())
    wrong = XmlDecoder("stock/rows/row", FIELDS).inspect(DOCUMENT, complete=True)
    assert wrong.suggestions == {"records": "stock/row"}
    assert "no record" in wrong.problems[0]
    for bad in (b"", b"\xff\xfe\0", b"<!DOCTYPE a>", b"<a><b>", b"{}"):
        for complete in (True, False):
            assert LEVELS.inspect(bad, complete=complete).problems


@given(st.binary(max_size=60) | st.sampled_from([DOCUMENT[:n] + b"\x00<" for n in range(0, 200, 7)]))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_nothing_but_our_own_errors_comes_out(read, data):
    LEVELS.inspect(data, complete=False)
    with pytest.raises(InventorySourcesError):
        read(LEVELS, data)


def test_a_stored_source_builds_the_same_decoder():
    registry = Registry()
    decoder = XmlDecoder("s:stock/s:row", FIELDS, {"s": "urn:s"}, max_depth=8)
    part, storable = registry._describe("decoder", decoder)
    assert (part.name, storable) == ("xml", True)
    assert registry._make("decoder", part) == decoder


def test_a_feed_of_xml_reaches_the_shop(tmp_path):
    shop = Shop(tmp_path)
    try:
        shop.stock(A=1, B=2, C=3)
        rows = document(row("A", 7), row("B", 0), '<row><item code="C"/><level>4</level><level>5</level></row>')
        shop.add(rows, decoder=LEVELS, mapper=Columns(quantity="qty"))
        run = shop.engine.sync("erp")
        assert shop.levels == {"A": 7, "B": 0, "C": 3}
        assert [stored.rejection.reason for stored in shop.engine.rejections(run)] == ["field_repeated"]
    finally:
        shop.engine.close()
        shop.database.dispose()
