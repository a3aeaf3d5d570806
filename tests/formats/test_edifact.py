"""EdifactInventoryDecoder on interchanges that the tests write: service characters, places, counts, and every cut."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory_sources.errors import (
    ConfigurationError,
    DecodeError,
    EncodingInvalid,
    InputIncomplete,
    InputTooLarge,
    InventorySourcesError,
    StructureInvalid,
    Truncated,
)
from inventory_sources.formats import EdifactInventoryDecoder
from inventory_sources.payload import Evidence, Proof

UNPROVEN = Evidence(frozenset({Proof.STABLE}))
NARROW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
STANDARD = ":+.? '"


def interchange(*messages, service=STANDARD, una=False, syntax=("UNOC", "3"), end="", encoding="latin-1", **bend):
    """An interchange of messages (segments of elements of components), escaped, with right counts unless bent."""
    lines = [[["UNB"], list(syntax), ["S", "14"], ["R", "14"], ["260302", "1200"], ["REF905"]]]
    for number, body in enumerate(messages, 1):
        reference = [f"M{number}"]
        lines += [[["UNH"], reference, [bend.get("kind", "INVRPT"), "D", "96A", "UN", "EAN004"]], *body]
        lines.append([["UNT"], [str(bend.get("unt", len(body) + 2))], [bend.get("unt_ref", reference[0])]])
    lines.append([["UNZ"], [bend.get("unz", str(len(messages)))], [bend.get("unz_ref", "REF905")]])
    component, element, _, release, _, terminator = service

    def escaped(text):
        special = (component, element, terminator, release)
        return "".join(release + char if char in special and release != " " else char for char in text)

    text = "".join(
        element.join(component.join(map(escaped, parts)) for parts in line) + terminator + end for line in lines
    )
    return (f"UNA{service}{end}" * una + text).encode(encoding)


def segs(text):
    return [[element.split(":") for element in segment.split("+")] for segment in text.split()]


HEAD = segs("BGM+35+INV1+9 DTM+137:20260302:102 NAD+GY+5410000000012::9")
ITEM = segs("LIN+1++04012345678905:EN PIA+1+A-1:SA QTY+145:5:PCE")
BODY = [*HEAD, *ITEM, *segs("LIN+2++4012345678912:SRV PIA+5+B-2:SA:::+X:BP QTY+145:0 QTY+66:3 CNT+2:2 CNT+1:8")]


def test_a_quantity_in_another_unit_than_the_declared_or_the_first_one_is_damaged(read):
    data = interchange(
        [*HEAD, *ITEM, *segs("LIN+2++B:EN QTY+145:2:DZN LIN+3++C:EN QTY+145:4 LIN+4++D:EN QTY+145:1:PCE")]
    )
    found = read(EdifactInventoryDecoder(), data, "LIN.EN", "QTY.145")
    assert [row for _, row in found.rows] == [("04012345678905", "5"), ("C", "4"), ("D", "1")]
    assert found.damaged == [(9, "unit_differs")]
    assert "'DZN', but rows before it are in 'PCE'" in found.batches[0].damaged.kept[0].message
    found = read(EdifactInventoryDecoder(unit="DZN"), data, "LIN.EN", "QTY.145")
    assert ([row for _, row in found.rows], len(found.damaged)) == ([("B", "2")], 3)


def test_items_of_which_none_can_be_read_are_told_by_the_first(read):
    data = interchange([*HEAD, *ITEM, *segs("QTY+145:6:PCE")])
    with pytest.raises(StructureInvalid, match=r"^no item can be read: segment 9 gives QTY\.145 a second time"):
        read(EdifactInventoryDecoder(), data, "LIN.EN", "QTY.145")


def cells(found, *names):
    return [
        tuple(row.get(name) for name in names) for batch in found.batches for row in batch.frame.iter_rows(named=True)
    ]


@pytest.mark.parametrize(("una", "end"), [(False, ""), (True, ""), (True, "\r\n"), (False, "\n")])
def test_an_item_is_a_row_with_its_identifiers_quantities_and_the_headers_word(read, una, end):
    found = read(EdifactInventoryDecoder(), interchange(BODY, una=una, end=end))
    shared = ("REF905", "M1", "35", "INV1", "9", "20260302", "102", "5410000000012")
    heads = ("UNB.reference", "UNH.reference", "BGM.code", "BGM.number", "BGM.function", "DTM.137", "DTM.137.format")
    names = ("LIN.EN", "LIN.SRV", "PIA.SA", "PIA.BP", "QTY.145", "QTY.145.unit", "QTY.66")
    assert cells(found, *heads, "NAD.GY", *names) == [
        (*shared, "04012345678905", None, "A-1", None, "5", "PCE", None),
        (*shared, None, "4012345678912", "B-2", "X", "0", None, "3"),
    ]
    assert [number for number, _ in found.rows] == [6, 9]
    assert found.context.evidence.proofs >= {Proof.TRAILER, Proof.COUNT}


def test_released_characters_are_text_and_a_decimal_comma_stays(read):
    body = [*HEAD, [["LIN"], ["1"], [""], ["A+1:'?  x", "SA"]], [["QTY"], ["145", "1,5", "KGM"]], *segs("CNT+1:1,5")]
    for service in (STANDARD, ":+,? '", "\x1d\x1c,\x1f \x1e"):
        found = read(EdifactInventoryDecoder(), interchange(body, service=service, una=True))
        assert cells(found, "LIN.SA", "QTY.145") == [("A+1:'?  x", "1,5")]


def test_quantities_by_location_are_rows_and_totals_are_asked_for(read):
    parts = (
        "QTY+145:2 LOC+18+W1::9:Main+BIN7 DTM+171:20260301:102 QTY+66:1 LOC+18+W1::9:Main+BIN7 QTY+145:3 NAD+WH+W2::9"
    )
    body = [*HEAD, *ITEM, *segs(parts)]
    names = ("PIA.SA", "LOC.18", "LOC.18.name", "LOC.18.related", "NAD.WH", "QTY.145", "QTY.66", "DTM.171")
    found = read(EdifactInventoryDecoder(), interchange(body))
    assert cells(found, *names) == [
        ("A-1", "W1", "Main", "BIN7", None, "2", "1", "20260301"),
        ("A-1", None, None, None, "W2", "3", None, None),
    ]
    assert cells(read(EdifactInventoryDecoder(rows="item"), interchange(body)), "PIA.SA", "QTY.145") == [("A-1", "5")]


def test_movements_and_classes_of_stock_are_no_levels(read):
    body = [*HEAD, *ITEM, *segs("QTY+145:9 INV+2 QTY+145:7 INV+1 QTY+145:1 INV++2")]
    found = read(EdifactInventoryDecoder(), interchange(body))
    assert cells(found, "QTY.145", "QTY.145.in", "QTY.145.out", "QTY.145.type2") == [("5", "9", "7", "1")]


@pytest.mark.parametrize(
    ("parts", "reason", "words"),
    [
        ("QTY+145:2 LOC+18+W1 QTY+145:2 LOC+18+W2", "splits_differ", "QTY.145 as 5, its 2 locations give 4"),
        ("QTY+145:5", "quantity_doubled", "segment 9 gives QTY.145 a second time"),
        ("QTY+66:1 LOC+18+W1 QTY+66:1 LOC+18+W1", "quantity_doubled", "for the same location"),
        ("QTY+:5", "element_missing", r"segment 9 \(QTY\), element 1"),
        ("PIA+1+Z", "element_missing", r"segment 9 \(PIA\), element 2"),
        ("PIA+1+Z:SA", "value_doubled", "PIA.SA as 'Z'"),
        ("QTY+66:1 LOC+18+W1 LOC+18+W2", "value_doubled", "LOC.18 as 'W2'"),
    ],
)
def test_an_item_that_contradicts_itself_is_damaged_and_the_next_is_read(read, parts, reason, words):
    body = [*HEAD, *ITEM, *segs(parts), *segs("LIN+2 PIA+5+B-2:SA QTY+145:1")]
    found = read(EdifactInventoryDecoder(), interchange(body))
    assert cells(found, "PIA.SA", "QTY.145") == [("B-2", "1")]
    assert found.damaged == [(6, reason)]
    (kept,) = [rejection for batch in found.batches for rejection in batch.damaged.kept]
    assert kept.cells["PIA.SA"] == "A-1"
    assert re.search(words, kept.message)


@pytest.mark.parametrize(
    ("bend", "error", "words"),
    [
        ({"unt": 13}, Truncated, "UNT counts 13 segments of the message, but 14 came"),
        ({"unt_ref": "M2"}, StructureInvalid, "UNT closes 'M2', but 'M1' was opened"),
        ({"unz": "2"}, Truncated, "UNZ counts 2"),
        ({"unz_ref": "REF906"}, StructureInvalid, "UNZ closes 'REF906'"),
    ],
)
def test_an_envelope_that_does_not_agree_is_refused_or_reported_and_proves_nothing(read, bend, error, words):
    with pytest.raises(error, match=words):
        read(EdifactInventoryDecoder(), interchange(BODY, **bend))
    found = read(EdifactInventoryDecoder(totals="warn"), interchange(BODY, **bend))
    assert cells(found, "PIA.SA", "QTY.145") == [("A-1", "5"), ("B-2", "0")]
    assert [reason for _, reason in found.damaged] == ["totals_differ"]
    assert not found.context.evidence.proves_end


@pytest.mark.parametrize(("cnt", "words"), [("CNT+2:3", "3 for the line items, but 2"), ("CNT+1:9", "9 for the quant")])
def test_control_totals_are_checked(read, cnt, words):
    with pytest.raises(Truncated, match=words):
        read(EdifactInventoryDecoder(), interchange([*BODY[:-2], *segs(cnt)]))


@pytest.mark.parametrize(("function", "proven"), [("9", True), ("5", True), ("4", False), ("2", False), ("", False)])
def test_only_a_full_statement_proves_that_what_is_absent_is_gone(read, function, proven):
    found = read(EdifactInventoryDecoder(), interchange([[["BGM"], ["35"], ["I"], [function]], *BODY[1:]]))
    assert len(found.rows) == 2
    assert found.context.evidence.proves_end is proven


@pytest.mark.parametrize(
    ("syntax", "encoding"), [("UNOC", "latin-1"), ("UNOD", "iso8859-2"), ("UNOE", "iso8859-5"), ("UNOW", "utf-8")]
)
def test_the_syntax_identifier_tells_the_encoding(read, syntax, encoding):
    sku = b"\xe6\xe8".decode("iso8859-1") if encoding == "latin-1" else b"\xc6\xe8".decode("iso8859-2")
    if encoding == "iso8859-5":
        sku = b"\xc6\xe8".decode(encoding)
    body = [*HEAD, [["LIN"], ["1"], [""], [sku, "SA"]], *segs("QTY+145:1")]
    data = interchange(body, syntax=(syntax, "3"), encoding=encoding)
    assert cells(read(EdifactInventoryDecoder(), data), "LIN.SA") == [(sku,)]
    with pytest.raises(EncodingInvalid, match="not ASCII"):
        read(EdifactInventoryDecoder(), data.replace(syntax.encode(), b"UNOA"))
    with pytest.raises(EncodingInvalid, match="stands for no encoding"):
        read(EdifactInventoryDecoder(), data.replace(syntax.encode(), b"UNOX"))
    declared = EdifactInventoryDecoder(encoding=encoding)
    assert cells(read(declared, data.replace(syntax.encode(), b"UNOX")), "LIN.SA") == [(sku,)]


def test_groups_are_read_and_messages_of_other_kinds_passed_over(read):
    with pytest.raises(StructureInvalid, match="no INVRPT"):
        read(EdifactInventoryDecoder(), interchange(BODY, kind="ORDERS"))
    grouped = interchange(BODY, BODY).replace(b"UNH+M1", b"UNG+INVRPT+S+R+260302:1200+G1'UNH+M1")
    grouped = grouped.replace(b"UNZ+2", b"UNE+2+G1'UNZ+1")
    assert len(read(EdifactInventoryDecoder(), grouped).rows) == 4
    with pytest.raises(Truncated, match="UNE counts 3"):
        read(EdifactInventoryDecoder(), grouped.replace(b"UNE+2", b"UNE+3"))


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"", StructureInvalid, "empty"),
        (b"sku;quantity\nA;1\n", StructureInvalid, "does not begin with UNA and UNB"),
        (interchange(BODY, service="++.? '", una=True), StructureInvalid, "UNA and UNB|service"),
        (interchange(BODY).replace(b"A-1", b"A\n1"), StructureInvalid, r"segment 7 \(PIA\), element 2 .* U\+000A"),
        (interchange(BODY[1:]), StructureInvalid, "has no BGM"),
        (interchange([*segs("BGM+35+I+1"), *BODY[1:]]), StructureInvalid, r"\(BGM\), element 3: 1 marks a cancel"),
        (interchange(BODY) * 2, StructureInvalid, r"\(UNB\) does not belong"),
        (interchange(BODY).replace(b"UNT+14", b"XXX+14"), StructureInvalid, r"\(UNZ\) does not belong"),
        (interchange(BODY).replace(b"UNH+M1", b"XXX+M1"), StructureInvalid, r"segment 2 \(XXX\) does not belong"),
    ],
)
def test_what_is_no_such_interchange_is_refused_with_its_place(read, data, error, words):
    with pytest.raises(error, match=words):
        read(EdifactInventoryDecoder(), data)


def test_caps(read):
    with pytest.raises(InputTooLarge, match="more than 5 segments"):
        read(EdifactInventoryDecoder(max_segments=5), interchange(BODY))
    with pytest.raises(InputTooLarge, match="longer than 100"):
        read(EdifactInventoryDecoder(max_segment_chars=100), interchange([*BODY, [["FTX"], ["x" * 200]]]))
    for wrong in ({"totals": "ignore"}, {"rows": "set"}, {"encoding": "no"}, {"max_segments": 0}):
        with pytest.raises((ConfigurationError, ValueError)):
            EdifactInventoryDecoder(**wrong)


@pytest.mark.parametrize("una", [False, True])
@pytest.mark.parametrize("evidence", [UNPROVEN, Evidence(frozenset({Proof.LENGTH}))])
def test_no_prefix_is_taken_for_the_whole(read, una, evidence):
    whole = interchange(BODY, BODY, una=una)
    complete = len(whole) - 1  # only the last terminator may be missing: the reference before it is whole
    for decoder in (EdifactInventoryDecoder(), EdifactInventoryDecoder(totals="warn")):
        for cut in range(complete):
            with pytest.raises(InventorySourcesError) as refused:
                read(decoder, whole[:cut], evidence=evidence)
            if evidence is UNPROVEN and cut:
                assert isinstance(refused.value, InputIncomplete)
        assert read(decoder, whole[:complete], evidence=evidence).rows == read(decoder, whole).rows


def test_inspection_lists_columns():
    data = interchange(BODY, BODY)
    head = EdifactInventoryDecoder().inspect(data[:-40], complete=False)
    assert {"PIA.SA", "QTY.145", "LIN.EN"} <= set(head.headings)
    assert head.problems == ()
    assert EdifactInventoryDecoder().inspect(data[:-40], complete=True).problems
    assert EdifactInventoryDecoder().inspect(b"sku;1", complete=True).problems


@st.composite
def stock(draw):
    """Service characters and items: identifiers, then either quantities by kind, or one by location."""
    component, element, terminator, release = draw(
        st.lists(st.sampled_from(":+'?*|^~!\x1c\x1d\x1e\x1f"), min_size=4, max_size=4, unique=True)
    )
    word = st.text("".join(map(chr, range(32, 127))), min_size=1, max_size=12)
    number = st.builds(str, st.decimals(0, 9999, places=2) | st.integers(0, 9999))
    quantities = st.dictionaries(st.sampled_from(["145", "66", "83"]), number, min_size=1)
    located = st.dictionaries(word, number, min_size=1, max_size=4)
    identifiers = st.dictionaries(st.sampled_from(["SA", "IN", "BP", "EN"]), word, min_size=1, max_size=4)
    items = st.lists(st.tuples(identifiers, quantities | st.tuples(located)), min_size=1, max_size=6)
    return f"{component}{element}.{release} {terminator}", draw(items)


def written(items):
    """The items as segments, and the rows that they mean."""
    body, rows = list(HEAD), []
    for line, (identifiers, amount) in enumerate(items, 1):
        body += [[["LIN"], [str(line)]], [["PIA"], ["1"], *([value, kind] for kind, value in identifiers.items())]]
        named = {f"PIA.{kind}": value for kind, value in identifiers.items()}
        if isinstance(amount, dict):
            body += [[["QTY"], [kind, value]] for kind, value in amount.items()]
            rows.append({**named, **{f"QTY.{kind}": value for kind, value in amount.items()}})
        else:
            body.append([["QTY"], ["145", str(sum(map(Decimal, amount[0].values())))]])
            for location, value in amount[0].items():
                body += [[["QTY"], ["145", value]], [["LOC"], ["18"], [location]]]
                rows.append({**named, "LOC.18": location, "QTY.145": value})
    return [*body, [["CNT"], ["2", str(len(items))]]], rows


def stated(found):
    """What the rows say of identifiers, locations and quantities, without what is null."""
    return [
        {n: cell for n, cell in row.items() if cell is not None and n.startswith(("PIA.", "QTY.", "LOC."))}
        for batch in found.batches
        for row in batch.frame.iter_rows(named=True)
    ]


@NARROW
@given(stock(), st.sampled_from(["", "\n", "\r\n"]))
def test_whatever_is_written_is_read(read, stock, end):
    service, items = stock
    body, rows = written(items)
    found = read(EdifactInventoryDecoder(), interchange(body, service=service, una=True, end=end))
    assert stated(found) == rows
    assert found.damaged == []


@NARROW
@given(stock(), st.data())
def test_a_segment_lost_or_doubled_is_never_read_in_silence(read, stock, data):
    _, items = stock
    body, _ = written(
        [({k: v.translate({39: "x", 43: "x", 58: "x", 63: "x"}) for k, v in ids.items()}, q) for ids, q in items]
    )
    if any(set("'?") & set(at) for _, q in items if isinstance(q, tuple) for at in q[0]):
        return
    segments = interchange(body).split(b"'")[:-1]
    at = data.draw(st.integers(0, len(segments) - 1))
    times = data.draw(st.sampled_from([0, 2]))
    bent = b"'".join([*segments[:at], *[segments[at]] * times, *segments[at + 1 :]]) + b"'"
    with pytest.raises((DecodeError, Truncated)):
        read(EdifactInventoryDecoder(), bent)
