"""JsonDecoder and JsonLinesDecoder on good and bad documents."""

from __future__ import annotations

import codecs
import json
from contextlib import suppress

import cattrs
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from inventory_sources import _json as json_text
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
from inventory_sources.formats import JsonDecoder, JsonLinesDecoder, _json
from inventory_sources.payload import Evidence, Proof

UNPROVEN = Evidence(frozenset({Proof.STABLE}))
LEVELS = b'{"levels": [{"sku": "A", "qty": 5}, {"sku": "B", "qty": 12}], "total": 2}'
ROWS = [(1, ("A", "5")), (2, ("B", "12"))]


@pytest.mark.parametrize(
    ("decoder", "data"),
    [
        (JsonDecoder("levels"), LEVELS),
        (JsonDecoder("/levels", count="/total"), LEVELS),
        (JsonDecoder("levels"), codecs.BOM_UTF8 + LEVELS),
        (JsonDecoder("levels", encoding="utf-16"), LEVELS.decode().encode("utf-16")),
        (JsonDecoder(), b'[{"qty": 5, "sku": "A", "more": [1]}, {"sku": "B", "qty": "12"}]\n'),
        (JsonDecoder("/0/a~1b"), b'[{"a/b": [{"qty": 5, "sku": "A"}, {"sku": "B", "qty": 12}]}]'),
        (JsonDecoder("data.items"), b'{"data": {"items": [{"qty": 5, "sku": "A"}, {"sku": "B", "qty": 12}]}}'),
        (JsonLinesDecoder(), b'{"sku": "A", "qty": 5}\n{"qty": "12", "sku": "B"}\n'),
        (JsonLinesDecoder(), codecs.BOM_UTF8 + b'{"sku": "A", "qty": 5}\r\n{"qty": "12", "sku": "B"}'),
    ],
)
def test_the_records_are_found_where_they_were_declared(read, decoder, data):
    assert read(decoder, data, "sku", "qty").rows == ROWS


@pytest.mark.parametrize(
    ("records", "data"),
    [
        ("", b'{\n  "sku": "A", "qty": 5, "more": [{"sku": "B"}]\n}\n'),
        ("event.item", b'{"event": {"item": {"sku": "A", "qty": 5}}}'),
    ],
)
def test_an_object_is_the_one_record_where_that_is_declared(read, records, data):
    assert read(JsonDecoder(records, single=True), data, "sku", "qty").rows == ROWS[:1]
    with pytest.raises(StructureInvalid, match=r"an object .*, not the list of records .*single=True"):
        read(JsonDecoder(records), data, "sku", "qty")
    found = JsonDecoder(records, single=True).inspect(data, complete=True)
    assert (found.headings[:2], found.problems) == (("sku", "qty"), ())


@pytest.mark.parametrize("data", [b"[]", b'[{"sku": "A", "qty": 5}]', b"null", b"5"])
def test_what_is_no_object_is_not_the_one_record(read, data):
    with pytest.raises(StructureInvalid, match="not the one record"):
        read(JsonDecoder(single=True), data, "sku", "qty")
    assert JsonDecoder(single=True).inspect(data, complete=True).problems


@pytest.mark.parametrize(
    "spelling", ["1.10", "-0", "1e3", "1E+400", "12345678901234567890123", "0.1000000000000000000001", "9" * 5000]
)
def test_a_number_keeps_its_spelling(read, spelling):
    record = f'{{"sku": "A", "qty": {spelling}}}'
    assert read(JsonDecoder(), f"[{record}]".encode(), "qty").rows == [(1, (spelling,))]
    assert read(JsonLinesDecoder(), f"{record}\n".encode(), "qty").rows == [(1, (spelling,))]


def test_values_deep_in_a_record_are_read_by_their_path_and_null_where_they_are_not(read):
    records = [{"v": {"sku": "A"}, "q.n": 1}, {"v": None, "q.n": None}, {"v": "x"}, {"q.n": 0, "v": {"sku": None}}]
    found = read(JsonDecoder(), json.dumps(records).encode(), "v.sku", "q.n")
    assert found.rows == [(1, ("A", "1")), (2, (None, None)), (3, (None, None)), (4, (None, "0"))]
    assert found.cells[1] == {"v.sku": "A", "q.n": "1"}
    deep = b'[{"a": {"b": {"c": 1}}}, {"a": {"b": 2}}, {"a": 3}, {}]'
    assert read(JsonDecoder(), deep, "a.b.c").rows == [(1, ("1",)), (2, (None,)), (3, (None,)), (4, (None,))]
    with pytest.raises(HeadingInvalid, match=r"both called 'a\.b'"):
        read(JsonDecoder(), b'[{"a.b": 1, "a": {"b": 2}}]')


def test_a_key_that_turns_up_late_is_a_column_from_the_start(read, monkeypatch):
    monkeypatch.setattr(_json, "_BATCH_RECORDS", 700)
    records = [{"sku": str(n)} for n in range(3000)] + [{"sku": "Z", "place": "WH"}]
    rows = [(n + 1, (str(n), None)) for n in range(3000)] + [(3001, ("Z", "WH"))]
    assert read(JsonDecoder(), json.dumps(records).encode(), "sku", "place").rows == rows
    lines = "".join(json.dumps(record) + "\n" for record in records).encode()
    assert read(JsonLinesDecoder(), lines, "sku", "place").rows == rows


@pytest.mark.parametrize("value", ["true", "[5]", '{"on_hand": 5}', r'"\ud800"'])
def test_a_wanted_cell_that_is_no_text_number_or_null_damages_its_row_alone(read, value):
    data = f'[{{"sku": "A", "qty": 5}}, {{"sku": "B", "qty": {value}}}, {{"sku": "C", "qty": null}}]'.encode()
    found = read(JsonDecoder(), data, "sku", "qty")
    assert (found.rows, found.damaged) == ([(1, ("A", "5")), (3, ("C", None))], [(2, "cell_type")])
    assert found.batches[0].damaged.kept[0].cells["sku"] == "B"
    assert [row[0] for row in read(JsonDecoder(), data, "sku").rows] == [1, 2, 3]


@pytest.mark.parametrize(
    ("decoder", "data", "error", "words"),
    [
        (JsonDecoder(), b" ", StructureInvalid, "empty"),
        (
            JsonDecoder("items"),
            LEVELS,
            StructureInvalid,
            "no 'items': at the top is an object with the keys 'levels', ",
        ),
        (JsonDecoder("levels.x"), LEVELS, StructureInvalid, "no 'levels.x': at 'levels' is a list"),
        (JsonDecoder("/levels/2"), LEVELS, StructureInvalid, "no '/levels/2'"),
        (JsonDecoder("total"), LEVELS, StructureInvalid, "at 'total' is a text or number, not the list"),
        (JsonDecoder(), LEVELS, StructureInvalid, "at the top is an object"),
        (JsonDecoder("a"), b'{"a": null}', StructureInvalid, "at 'a' is null"),
        (JsonDecoder(), b'[{"sku": 1}, 5]', StructureInvalid, "record 2 of the list at the top is a text or number"),
        (JsonDecoder(), b'[{"sku": 1, "sku": 2}]', StructureInvalid, "key 'sku' stands twice"),
        (JsonDecoder(), b'[{"qty": NaN}]', StructureInvalid, "NaN is not"),
        (JsonDecoder(), b'[{"qty": -Infinity}]', StructureInvalid, "-Infinity is not"),
        (JsonDecoder(), b"<html>\n</html>", StructureInvalid, "line 1, column 1: this is not JSON"),
        (JsonDecoder(), b'[{"qty": 5}', StructureInvalid, "column 12"),
        (JsonDecoder(), b'[{"qty": 5}]]', StructureInvalid, "Extra data"),
        (JsonDecoder(), b'[{"qty": 5}, {"qty": 05}]', StructureInvalid, "column 23"),
        (JsonDecoder(), b'[{"sku": "\xe9"}]', EncodingInvalid, r"offset 10 \(line 1\)"),
        (JsonDecoder(), "[]".encode("utf-16"), EncodingInvalid, "mark of UTF-16-LE"),
        (JsonDecoder(), b'[{"sku": 1}]', HeadingInvalid, "'qty'"),
        (JsonDecoder(max_depth=3), b"[" * 4 + b"]" * 4, InputTooLarge, "4 levels deep; at most 3"),
        (JsonDecoder(), b'[{"a":' * 100_000, InputTooLarge, "200000 levels deep"),
        (JsonDecoder(max_bytes=10), LEVELS, InputTooLarge, "more than 10 bytes"),
        (JsonDecoder("levels", count="levels"), LEVELS, StructureInvalid, "at 'levels' is a list, not the number"),
        (JsonDecoder("levels", count="total"), LEVELS.replace(b"2}", b"9" * 5000 + b"}"), StructureInvalid, "'total'"),
        (JsonDecoder("levels", count="total"), LEVELS.replace(b"2}", b"3}"), Truncated, "3 records .* 2 came"),
        (JsonLinesDecoder(), b"", StructureInvalid, "no line"),
        (JsonLinesDecoder(), b"sku,qty\nA,5\n", StructureInvalid, "no line .*: line 1 is not JSON"),
        (JsonLinesDecoder(), b'{"sku": "A"}\n\xe9\n', EncodingInvalid, r"offset 13 \(line 2\)"),
    ],
)
def test_what_is_no_such_document_is_refused(read, decoder, data, error, words):
    with pytest.raises(error, match=words):
        read(decoder, data, "qty")


def test_a_parser_out_of_depth_is_an_error_like_any_other():
    with pytest.raises(InputTooLarge, match="too deeply"):
        json_text.parse("[" * 200_000)


@given(
    st.recursive(
        st.text('[]{}"\\a') | st.integers(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('[]{}"\\a'), inner, max_size=3),
        max_leaves=20,
    )
)
def test_depth_is_counted_without_being_misled_by_texts(value):
    def depth(value):
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if inner is None else 1 + max(map(depth, inner), default=0)

    deep, text = depth(value), json.dumps(value)
    json_text.parse(text, deep)
    if deep:
        with pytest.raises(InputTooLarge, match=f"nested {deep} levels"):
            json_text.parse(text, deep - 1)


def test_an_empty_list_has_no_rows_and_no_headings_to_miss(read):
    assert read(JsonDecoder("items", count="n"), b'{"items": [], "n": 0}', "sku").batches == []


def test_a_closed_document_proves_its_end_and_a_count_its_rows(read):
    found = read(JsonDecoder("levels", count="total"), LEVELS, evidence=UNPROVEN).context.evidence
    assert found.proofs == {Proof.STABLE, Proof.TRAILER, Proof.COUNT}
    declared = Evidence(declared_records=2)
    lines = b'{"sku": "A"}\n{"sku": "B"}\n'
    assert read(JsonLinesDecoder(), lines, evidence=declared).context.evidence.proofs == {Proof.COUNT}
    with pytest.raises(Truncated):
        read(JsonLinesDecoder(), lines[:13], evidence=declared)


def test_each_damaged_line_is_rejected_by_itself(read):
    bad = ['{"sku": "A", "sku": "B"}', "[1]", '{"qty": NaN}', "{", '{"a":' * 65 + "1" + "}" * 65, '{"sku": ["x"]}']
    lines = ['{"sku": "A"}', "", *bad, '{"sku": "B"}', ""]
    found = read(JsonLinesDecoder(), "\n".join(lines).encode(), "sku")
    assert found.rows == [(1, ("A",)), (9, ("B",))]
    assert sorted(found.damaged) == [*((number, "json_invalid") for number in range(3, 8)), (8, "cell_type")]
    assert found.cells[9] == {"sku": "B"}


records = st.lists(
    st.fixed_dictionaries({"sku": st.text('aé"\\{[,', max_size=4), "qty": st.integers(-5, 10**20)}),
    min_size=1,
    max_size=4,
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records, st.booleans())
def test_a_document_cut_anywhere_is_waited_for(read, rows, ascii_only):
    data = json.dumps({"items": rows, "n": len(rows)}, ensure_ascii=ascii_only).encode()
    for cut in range(1, len(data)):
        with pytest.raises(InputIncomplete):
            read(JsonDecoder("items", count="n"), data[:cut], evidence=UNPROVEN)
        with pytest.raises((StructureInvalid, EncodingInvalid)):
            read(JsonDecoder("items", count="n"), data[:cut])
    found = read(JsonDecoder("items", count="n"), data, "sku", "qty").rows
    assert found == [(n, (row["sku"], str(row["qty"]))) for n, row in enumerate(rows, 1)]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records)
def test_json_lines_cut_anywhere_give_their_first_rows_or_an_error(read, rows):
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    truth = [(n, (row["sku"], str(row["qty"]))) for n, row in enumerate(rows, 1)]
    for cut in range(len(data)):
        try:
            found = read(JsonLinesDecoder(), data[:cut], "sku", "qty", evidence=UNPROVEN)
        except DecodeError:
            continue
        assert (found.rows, found.damaged) == (truth[: len(found.rows)], [])
    assert read(JsonLinesDecoder(), data, "sku", "qty").rows == truth


def one_object(line: str) -> bool:
    """Whether a line is one JSON object with keys that differ, as the plain parser has it."""

    def unlike(pairs):
        if len(dict(pairs)) < len(pairs):
            raise ValueError
        return dict(pairs)

    def refuse(name):
        raise ValueError(name)

    try:
        return isinstance(json.loads(line, object_pairs_hook=unlike, parse_constant=refuse), dict)
    except ValueError:
        return False


PIECES = '{ } [ ] : , " \\" "a" "b" "::" ": NaN 1 {"a":1} {"a":1}, {"a":[1 2]} "a":2} {"a":1,"a":2} {"a":1},NaN,{"a":1}'
GOOD = ('{"a": "1:2::3"}', '{"a" :{"b":[{}]}}', '{"a": "NaN"}', '{"b": "}{][\\\\"}')


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example([GOOD[0], '{"a":1},NaN,{"a":[1', "2]}"])
@example([GOOD[0], '{"a":1},{"a":[1', "2]}"])
@example(['{"a":1,"a":2}'])
@given(st.lists(st.lists(st.sampled_from(PIECES.split()), max_size=5).map("".join) | st.sampled_from(GOOD), max_size=4))
def test_lines_read_together_are_read_like_each_by_itself(read, lines):
    found = read(JsonLinesDecoder(), "\n".join([*lines, '{"sku": "Z"}\n']).encode(), "sku")
    good = [number for number, line in enumerate(lines, 1) if one_object(line)]
    assert [number for number, _ in found.rows] == [*good, len(lines) + 1]
    assert [number for number, _ in found.damaged] == [
        number for number, line in enumerate(lines, 1) if line and number not in good
    ]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text('[]{}",:0a-e \n\\u', max_size=40).map(str.encode) | st.binary(max_size=20))
def test_no_bytes_get_past_the_error_tree(read, data):
    for decoder in (JsonDecoder(), JsonLinesDecoder()):
        with suppress(InventorySourcesError):
            read(decoder, data)


def test_options_survive_being_stored_as_json_and_impossible_ones_are_refused():
    converter = cattrs.Converter(forbid_extra_keys=True)
    for decoder in (JsonDecoder("a.b", "n", "utf-16", 5, 100), JsonLinesDecoder("cp1252", "optional", 9)):
        assert converter.structure(json.loads(json.dumps(converter.unstructure(decoder))), type(decoder)) == decoder
    for options in ({"max_depth": 0}, {"max_depth": 100_000}, {"encoding": "rot13"}):
        with pytest.raises(ConfigurationError):
            JsonDecoder(**options)
