"""X12InventoryDecoder on interchanges that the tests write: values, places, counts, and every way to be cut or bent."""

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
    HeadingInvalid,
    InputIncomplete,
    InputTooLarge,
    InventorySourcesError,
    StructureInvalid,
    Truncated,
)
from inventory_sources.formats import X12InventoryDecoder, _edi
from inventory_sources.payload import Evidence, Proof

UNPROVEN = Evidence(frozenset({Proof.STABLE}))
NARROW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def interchange(*sets, marks="*:~^", end="\n", version="00501", isa13="000000905", **bend):
    """An interchange of transaction sets (each a list of segments as lists), with right counts unless bent."""
    element, component, terminator, repetition = marks
    isa = [
        "ISA",
        "00",
        " " * 10,
        "00",
        " " * 10,
        "ZZ",
        "SENDER".ljust(15),
        "ZZ",
        "RECEIVER".ljust(15),
        "260302",
        "1200",
    ]
    lines = [[*isa, repetition, version, isa13, "0", "P", component], ["GS", "IB", "S", "R", "20260302", "1200", "7"]]
    for number, body in enumerate(sets, 1):
        count = bend.get("se01", len(body) + 2)
        lines += [["ST", bend.get("st01", "846"), f"{number:04}"], *body]
        lines.append(["SE", str(count), bend.get("se02", f"{number:04}")])
    lines.append(["GE", bend.get("ge01", str(len(sets))), bend.get("ge02", "7")])
    lines.append(["IEA", bend.get("iea01", "1"), bend.get("iea02", isa13)])
    return "".join(element.join(line) + terminator + end for line in lines).encode("latin-1")


def segs(text):
    return [line.split("*") for line in text.split()]


HEAD = segs("BIA*00*DD*R1*20260302*1200 DTM*097*20260302*1159 N1*WH*Main*92*W1")
BODY = [*HEAD, *segs("LIN*1*VP*A-1*UP*012345678905 QTY*33*5*EA LIN*2*VP*B-2 QTY*33*0*EA QTY*17*3*EA CTT*2*8")]


def splits(quantity="5", *parts):
    return [*HEAD, ["LIN", "1", "VP", "A-1"], ["QTY", "33", quantity, "EA"], *([*p] for p in parts)]


def sch(quantity, location, unit="EA"):
    return ["SCH", quantity, unit, "WH", location, "097", "20260302"]


UNITS = segs("LIN*1*VP*A QTY*33*5*EA LIN*2*VP*B QTY*33*9*CA QTY*17*1*EA LIN*3*VP*C QTY*33*7 LIN*4*VP*D QTY*33*4*EA")


def test_a_quantity_in_another_unit_than_the_declared_or_the_first_one_is_damaged(read, monkeypatch):
    monkeypatch.setattr(_edi, "_BATCH_ROWS", 1)  # the unit holds for the whole input
    data = interchange([*HEAD, *UNITS])
    found = read(X12InventoryDecoder(), data, "LIN.VP", "QTY.33")
    assert (found.rows, found.damaged) == (
        [(7, ("A", "5")), (12, ("C", "7")), (14, ("D", "4"))],
        [(9, "unit_differs")],
    )
    told = [row.message for batch in found.batches for row in batch.damaged.kept]
    assert told == ["segment 9: 'QTY.33' is in the unit 'CA', but rows before it are in 'EA'"]
    found = read(X12InventoryDecoder(unit="CA"), data, "LIN.VP", "QTY.33")
    assert (found.rows, [number for number, _ in found.damaged]) == ([(9, ("B", "9"))], [7, 12, 14])
    assert len(read(X12InventoryDecoder(), data, "LIN.VP", "QTY.17").rows) == 4
    assert told[0] in X12InventoryDecoder().inspect(data, complete=True).problems


def test_splits_in_another_unit_are_damaged(read):
    items = [["LIN", "1", "VP", "A"], ["QTY", "33"], sch("5", "LYON"), sch("2", "GENT", "DZ")]
    found = read(X12InventoryDecoder(), interchange([*HEAD, *items]), "LIN.VP", "SCH.quantity")
    assert (found.rows, found.damaged) == ([(9, ("A", "5"))], [(10, "unit_differs")])


def test_items_of_which_none_can_be_read_are_told_by_the_first(read):
    items = segs("LIN*1*VP*A QTY*33*5*EA QTY*33*6*EA LIN*2*VP*B QTY*33*5*EA QTY*33*6*EA")
    with pytest.raises(StructureInvalid, match=r"^no item can be read: segment 9 gives QTY\.33 a second time"):
        read(X12InventoryDecoder(), interchange([*HEAD, *items]), "LIN.VP", "QTY.33")
    with pytest.raises(StructureInvalid, match="holds no item"):
        read(X12InventoryDecoder(), interchange(HEAD), "LIN.VP", "QTY.33")


def cells(found, *names):
    return [
        tuple(row.get(name) for name in names) for batch in found.batches for row in batch.frame.iter_rows(named=True)
    ]


def test_an_item_is_a_row_with_its_identifiers_quantities_and_the_headers_word(read):
    found = read(X12InventoryDecoder(), interchange(BODY))
    names = ("ISA13", "GS06", "ST02", "BIA01", "DTM.097", "N1.WH", "N1.WH.name", "LIN.VP", "LIN.UP", "QTY.33", "QTY.17")
    shared = ("000000905", "7", "0001", "00", "20260302 1159", "W1", "Main")
    assert cells(found, *names) == [
        (*shared, "A-1", "012345678905", "5", None),
        (*shared, "B-2", None, "0", "3"),
    ]
    assert [number for number, _ in found.rows] == [7, 9]
    assert {batch.unit for batch in found.batches} == {"segment"}
    assert found.context.evidence.proofs >= {Proof.TRAILER, Proof.COUNT}
    assert found.cells[9]["QTY.17"] == "3"


def test_text_stays_as_it_is(read):
    body = [*HEAD, ["LIN", "1", "SK", " 00 12  x ", "UP", "000000000000", "MG", "+1E5"], ["QTY", "33", "007.50"]]
    assert cells(read(X12InventoryDecoder(), interchange(body)), "LIN.SK", "LIN.UP", "LIN.MG", "QTY.33") == [
        (" 00 12  x ", "000000000000", "+1E5", "007.50")
    ]


def test_splits_by_location_are_rows_and_totals_are_asked_for(read):
    body = splits("5", sch("2", "DALLAS"), sch("3", "KANSAS CITY"))
    found = read(X12InventoryDecoder(), interchange(body))
    assert cells(found, "LIN.VP", "SCH.location", "SCH.quantity", "SCH.unit", "SCH.kind", "SCH.DTM.097", "QTY.33") == [
        ("A-1", "DALLAS", "2", "EA", "WH", "20260302", None),
        ("A-1", "KANSAS CITY", "3", "EA", "WH", "20260302", None),
    ]
    assert [number for number, _ in found.rows] == [9, 10]
    whole = read(X12InventoryDecoder(rows="item"), interchange(body))
    assert cells(whole, "LIN.VP", "QTY.33", "SCH.quantity") == [("A-1", "5", None)]


def test_quantities_in_ls_loops_are_rows_of_their_references(read):
    body = splits("9", *segs("QTY*33*4 LS*REF REF*WS*W1 LE*REF QTY*33*5 LS*REF REF*WS*W2 N1*ST*x*92*S2 LE*REF"))
    found = read(X12InventoryDecoder(), interchange(body))
    assert cells(found, "LIN.VP", "REF.WS", "N1.ST", "QTY.33") == [("A-1", "W1", None, "4"), ("A-1", "W2", "S2", "5")]


def test_a_schedule_without_locations_splits_nothing(read):
    body = splits("5", ["SCH", "90", "EA", "", "", "018", "20260401"])
    assert cells(read(X12InventoryDecoder(), interchange(body)), "LIN.VP", "QTY.33") == [("A-1", "5")]


@pytest.mark.parametrize(
    ("parts", "reason", "words"),
    [
        ([sch("2", "D"), sch("2", "C")], "splits_differ", "segment 8 gives QTY.33 as 5, its 2 locations give 4 EA"),
        ([sch("2", "D"), sch("3", "C", "CA")], "splits_differ", "5 CA/EA"),
        ([sch("2", "D"), sch("", "C")], "splits_differ", "no sum"),
        ([sch("5", "D"), ["SCH", "1", "EA"]], "location_missing", "segment 10 names no location"),
        ([sch("5", "D"), ["QTY", "17", "5", "EA"], sch("5", "D")], "splits_mixed", "QTY.17 and QTY.33"),
        ([["QTY", "33", "6", "EA"]], "quantity_doubled", "segment 9 gives QTY.33 a second time"),
        ([["QTY", "", "6"]], "element_missing", r"segment 9 \(QTY\), element 1"),
        ([["QTY", "17", "6:7"]], "element_composite", r"segment 9 \(QTY\), element 2"),
        ([["N1", "WH", "", "92", "X"], ["N1", "WH", "", "92", "Y"]], "value_doubled", "segment 10 gives N1.WH as 'Y'"),
    ],
)
@pytest.mark.parametrize("by", ["location", "item"])
def test_an_item_that_contradicts_itself_is_damaged_and_the_next_is_read(read, by, parts, reason, words):
    body = [*splits("5", *parts), *segs("LIN*2*VP*B-2 QTY*33*1*EA")]
    found = read(X12InventoryDecoder(rows=by), interchange(body))
    assert cells(found, "LIN.VP", "QTY.33") == [("B-2", "1")]
    assert found.damaged == [(7, reason)]
    (kept,) = [rejection for batch in found.batches for rejection in batch.damaged.kept]
    assert kept.cells["LIN.VP"] == "A-1"
    assert re.search(words, kept.message)


def test_the_splits_of_one_kind_are_read_where_several_are_split(read):
    body = splits("5", sch("5", "D"), ["QTY", "17", "8", "EA"], sch("6", "D"), sch("2", "C"))
    found = read(X12InventoryDecoder(splits_of="17"), interchange(body))
    assert cells(found, "SCH.location", "SCH.quantity") == [("D", "6"), ("C", "2")]


def test_identifiers_without_qualifier_or_said_twice_are_damaged(read):
    body = [*HEAD, *segs("LIN*1**A QTY*33*1 LIN*2*VP*A*VP*B QTY*33*1 LIN*3*VP**UP*9 QTY*33*1")]
    found = read(X12InventoryDecoder(), interchange(body))
    assert found.damaged == [(7, "element_missing"), (9, "value_doubled")]
    assert cells(found, "LIN.UP", "QTY.33") == [("9", "1")]


@pytest.mark.parametrize(
    ("bend", "error", "words"),
    [
        ({"se01": 9}, Truncated, "segment 13: SE counts 9 segments of the transaction set, but 11 came"),
        ({"se02": "0002"}, StructureInvalid, "SE closes '0002', but '0001' was opened"),
        ({"ge01": "2"}, Truncated, "GE counts 2"),
        ({"ge02": "8"}, StructureInvalid, "GE closes '8'"),
        ({"iea01": "2"}, Truncated, "IEA counts 2"),
        ({"iea02": "000000906"}, StructureInvalid, "IEA closes '000000906'"),
    ],
)
def test_an_envelope_that_does_not_agree_is_refused_or_reported_and_proves_nothing(read, bend, error, words):
    with pytest.raises(error, match=words):
        read(X12InventoryDecoder(), interchange(BODY, **bend))
    found = read(X12InventoryDecoder(totals="warn"), interchange(BODY, **bend))
    assert cells(found, "LIN.VP", "QTY.33") == [("A-1", "5"), ("B-2", "0")]
    assert [reason for _, reason in found.damaged] == ["totals_differ"]
    assert not found.context.evidence.proves_end


@pytest.mark.parametrize(("ctt", "words"), [("CTT*3", "CTT01 counts 3 line items, but 2"), ("CTT*2*9", "CTT02 is 9")])
def test_transaction_totals_are_checked(read, ctt, words):
    data = interchange([*BODY[:-1], *segs(ctt)])
    with pytest.raises(Truncated, match=words):
        read(X12InventoryDecoder(), data)
    assert len(read(X12InventoryDecoder(totals="warn"), data).damaged) == 1


def test_a_hash_total_is_summed_without_points_and_signs_and_cut_to_ten_digits(read):
    items = segs("LIN*1*VP*A QTY*33*-.0018 LIN*2*VP*B QTY*33*.18 LIN*3*VP*C QTY*33*1.8 LIN*4*VP*D QTY*33*18.01")
    assert len(read(X12InventoryDecoder(), interchange([*HEAD, *items, ["CTT", "4", "1855"]])).rows) == 4
    big = segs("LIN*1*VP*A QTY*33*9999999999 LIN*2*VP*B QTY*33*3 CTT*2*2")
    assert len(read(X12InventoryDecoder(), interchange([*HEAD, *big])).rows) == 2


@pytest.mark.parametrize(("purpose", "proven"), [("00", True), ("05", True), ("25", False), ("04", False), ("", False)])
def test_only_a_full_statement_proves_that_what_is_absent_is_gone(read, purpose, proven):
    body = [["BIA", purpose, "DD", "R", "20260302"], *BODY[1:]]
    found = read(X12InventoryDecoder(), interchange(body))
    assert len(found.rows) == 2
    assert found.context.evidence.proves_end is proven


def test_several_sets_are_read_and_others_than_846_are_passed_over(read):
    other = interchange(segs("AK1*IB*7 AK9*A*1*1*1"), st01="997")
    with pytest.raises(StructureInvalid, match="no transaction set 846"):
        read(X12InventoryDecoder(), other)
    found = read(X12InventoryDecoder(), interchange(BODY, splits("1", sch("1", "D"))))
    assert cells(found, "ST02", "LIN.VP") == [("0001", "A-1"), ("0001", "B-2"), ("0002", "A-1")]


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"", StructureInvalid, "empty"),
        (b"\r\n", StructureInvalid, "empty"),
        (b"sku,quantity\n" * 20, StructureInvalid, "does not begin with ISA"),
        (interchange(BODY).replace(b"SENDER ", b"SENDER", 1), StructureInvalid, r"segment 1 \(ISA\), element 6"),
        (interchange(BODY, marks="**~^"), StructureInvalid, r"segment 1 \(ISA\)"),
        (interchange(BODY, marks="*AB^"), StructureInvalid, "service characters"),
        (interchange(BODY).replace(b"A-1", b"A\n1"), StructureInvalid, r"segment 7 \(LIN\), element 3 .* U\+000A"),
        (interchange(BODY).replace(b"A-1", b"A\xe9"), EncodingInvalid, "offset 2[0-9][0-9] is not ASCII"),
        (interchange(BODY[1:]), StructureInvalid, "has no BIA"),
        (interchange([["BIA", "01"], *BODY[1:]]), StructureInvalid, r"segment 4 \(BIA\), element 1: 01 marks a cancel"),
        (interchange(BODY) * 2, StructureInvalid, r"segment 16 \(ISA\) does not belong"),
        (interchange(BODY) + b"LIN*1*VP*X~", StructureInvalid, r"segment 16 \(LIN\) does not belong"),
        (interchange(BODY).replace(b"SE*11", b"XX*11"), StructureInvalid, r"\(GE\) does not belong"),
        (interchange(BODY).replace(b"ST*846", b"XX*846"), StructureInvalid, r"segment 3 \(XX\) does not belong"),
    ],
)
def test_what_is_no_such_interchange_is_refused_with_its_place(read, data, error, words):
    with pytest.raises(error, match=words):
        read(X12InventoryDecoder(), data)


def test_caps(read):
    with pytest.raises(InputTooLarge, match="more than 5 segments"):
        read(X12InventoryDecoder(max_segments=5), interchange(BODY))
    long = [*BODY[:-1], ["PID", "F", "", "", "", "x" * 5000]]
    with pytest.raises(InputTooLarge, match="longer than 1000"):
        read(X12InventoryDecoder(max_segment_chars=1000), interchange(long))
    with pytest.raises(InputTooLarge, match="more than 1 rows"):
        read(X12InventoryDecoder(), interchange(BODY), max_rows=1)
    for wrong in ({"totals": "ignore"}, {"rows": "set"}, {"encoding": "no"}, {"max_segments": 0}):
        with pytest.raises((ConfigurationError, ValueError)):
            X12InventoryDecoder(**wrong)


def test_a_needed_column_that_no_item_has_is_named(read):
    with pytest.raises(HeadingInvalid, match=r"QTY\.02"):
        read(X12InventoryDecoder(), interchange(BODY), "LIN.VP", "QTY.02")


def test_an_unclosed_interchange_may_still_grow_or_was_cut(read):
    data = interchange(BODY)[:-30]
    with pytest.raises(InputIncomplete):
        read(X12InventoryDecoder(), data, evidence=UNPROVEN)
    with pytest.raises(Truncated):
        read(X12InventoryDecoder(), data)


@pytest.mark.parametrize("marks", ["*:~^", "|>\n^", "\x1d\x1c\x1e\x1f"])
@pytest.mark.parametrize("evidence", [UNPROVEN, Evidence(frozenset({Proof.LENGTH}))])
def test_no_prefix_is_taken_for_the_whole(read, marks, evidence):
    whole = interchange(BODY, splits("5", sch("2", "D"), sch("3", "C")), marks=marks, end="")
    complete = len(whole) - 1  # only the last terminator may be missing: the control number before it is whole
    for decoder in (X12InventoryDecoder(), X12InventoryDecoder(totals="warn")):
        for cut in range(complete):
            with pytest.raises(InventorySourcesError):
                read(decoder, whole[:cut], evidence=evidence)
        assert read(decoder, whole[:complete], evidence=evidence).rows == read(decoder, whole).rows


def test_inspection_lists_columns_and_suggests_an_encoding():
    data = interchange(splits("5", sch("2", "D"), sch("3", "C")), BODY)
    head = X12InventoryDecoder().inspect(data[:-60], complete=False)
    assert {"LIN.VP", "SCH.location", "SCH.quantity"} <= set(head.headings)
    assert head.problems == ()
    assert len(head.sample[0]) == len(head.headings)
    assert X12InventoryDecoder().inspect(data[:-60], complete=True).problems
    odd = X12InventoryDecoder().inspect(data.replace(b"Main", b"M\xe9n"), complete=True)
    assert odd.suggestions == {"encoding": "cp1252"}
    assert X12InventoryDecoder().inspect(b"sku;1", complete=True).problems


PUNCTUATION = "*|^~!;>:\\\x1c\x1d\x1e\x1f\n"
KINDS = ["VP", "UP", "SK", "EN", "IN", "BP", "MG", "UK"]


@st.composite
def stock(draw):
    """Service characters and items: identifiers, then either quantities by kind, or one split by location."""
    marks = draw(st.lists(st.sampled_from(PUNCTUATION), min_size=4, max_size=4, unique=True))
    alphabet = "".join(chr(c) for c in range(32, 127) if chr(c) not in marks)
    word = st.text(alphabet, min_size=1, max_size=12)
    number = st.builds(str, st.decimals(0, 9999, places=2) | st.integers(0, 9999))
    quantities = st.dictionaries(st.sampled_from(["33", "17", "02"]), number, min_size=1)
    located = st.dictionaries(word, number, min_size=1, max_size=4)
    identifiers = st.dictionaries(st.sampled_from(KINDS), word, min_size=1, max_size=4)
    return "".join(marks), draw(
        st.lists(st.tuples(identifiers, quantities | st.tuples(located)), min_size=1, max_size=6)
    )


def written(items):
    """The items as segments, and the rows that they mean."""
    body, rows = [list(segment) for segment in HEAD], []
    for line, (identifiers, amount) in enumerate(items, 1):
        body.append(["LIN", str(line), *(part for pair in identifiers.items() for part in pair)])
        named = {f"LIN.{kind}": value for kind, value in identifiers.items()}
        if isinstance(amount, dict):
            body += [["QTY", kind, value, "EA"] for kind, value in amount.items()]
            rows.append({**named, **{f"QTY.{kind}": value for kind, value in amount.items()}})
        else:
            body.append(["QTY", "33", str(sum(map(Decimal, amount[0].values()))), "EA"])
            body += [["SCH", value, "EA", "WH", location] for location, value in amount[0].items()]
            rows += [{**named, "SCH.location": at, "SCH.quantity": value} for at, value in amount[0].items()]
    return [*body, ["CTT", str(len(items))]], rows


def stated(found):
    """What the rows say of identifiers, locations and quantities, without what is null."""
    return [
        {
            name: cell
            for name, cell in row.items()
            if cell is not None and name.startswith(("LIN.", "QTY.", "SCH.")) and not name.endswith((".unit", ".kind"))
        }
        for batch in found.batches
        for row in batch.frame.iter_rows(named=True)
    ]


@NARROW
@given(stock(), st.sampled_from(["", "\n", "\r\n"]))
def test_whatever_is_written_is_read(read, stock, end):
    marks, items = stock
    body, rows = written(items)
    if "\n" in marks[:2] + marks[3]:
        end = ""
    found = read(X12InventoryDecoder(), interchange(body, marks=marks, end=end))
    assert stated(found) == rows
    assert found.damaged == []


@NARROW
@given(stock(), st.data())
def test_a_segment_lost_or_doubled_is_never_read_in_silence(read, stock, data):
    _, items = stock
    marks = "*:~^"
    items = [({k: v.translate(dict.fromkeys(map(ord, marks), "x")) for k, v in ids.items()}, q) for ids, q in items]
    if any(mark in location for _, q in items if isinstance(q, tuple) for location in q[0] for mark in marks):
        return
    segments = interchange(written(items)[0], marks=marks, end="").split(b"~")[:-1]
    at = data.draw(st.integers(0, len(segments) - 1))
    times = data.draw(st.sampled_from([0, 2]))
    bent = b"~".join([*segments[:at], *[segments[at]] * times, *segments[at + 1 :]]) + b"~"
    with pytest.raises((DecodeError, Truncated)):
        read(X12InventoryDecoder(), bent)


def test_more_rows_than_a_batch_are_all_read(read, monkeypatch):
    monkeypatch.setattr(_edi, "_BATCH_ROWS", 3)
    items = [segment for n in range(8) for segment in segs(f"LIN*{n}*VP*S{n} QTY*33*{n}")]
    found = read(X12InventoryDecoder(totals="warn"), interchange([*HEAD, *items], iea01="2"))
    assert cells(found, "LIN.VP", "QTY.33") == [(f"S{n}", str(n)) for n in range(8)]
    assert len(found.batches) == 3
    assert [reason for _, reason in found.damaged] == ["totals_differ"]
    assert not found.context.evidence.proves_end
