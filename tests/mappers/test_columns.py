"""`Columns`: rows of text become levels or rejections, each with its reason and place."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import cattrs.preconf.json
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory_sources.batch import RawBatch, RejectionKind, batch_schema
from inventory_sources.errors import ConfigurationError, HeadingInvalid
from inventory_sources.mappers import CallableIdentity, Columns, TableIdentity
from inventory_sources.protocols.mapper import MapContext
from inventory_sources.quantities import QuantityFormat

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
FULL = Columns("sku", "qty", "warehouse", "updated_at")


def raw_of(rows, headings=("sku", "qty", "warehouse", "updated_at"), first=2):
    frame = pl.DataFrame(rows, schema=dict.fromkeys(headings, pl.String()), orient="row")
    return RawBatch("stock.csv", frame, pl.Series(range(first, first + len(rows)), dtype=pl.Int64))


def mapped(mapper, rows, headings=("sku", "qty", "warehouse", "updated_at"), **context):
    return mapper.map(raw_of(rows, headings), MapContext(NOW, **context))


def reasons(batch):
    return [(rejection.place.number, rejection.reason) for rejection in batch.rejections.kept]


def levels(batch):
    return {row["sku"]: row["quantity"] for row in batch.frame.iter_rows(named=True)}


def test_a_row_becomes_a_level_with_its_place() -> None:
    batch = mapped(FULL, [("00123", "12.50", " W1", "2026-11-23T09:00:00+01:00")], part=3)
    assert batch.frame.schema == batch_schema()
    assert batch.frame.rows() == [("00123", "W1", Decimal("12.5"), datetime(2026, 11, 23, 8, tzinfo=UTC), 3, 2)]
    assert batch.rejections.total == batch.unidentified == 0
    assert batch.mentioned is None


def test_headings_are_found_as_they_are_written() -> None:
    mapper = Columns("item no", "qty_on_hand", as_of="updated-at")
    assert mapper.select(["Updated At", "x", "ITEM_NO", "QtyOnHand"]) == ["ITEM_NO", "QtyOnHand", "Updated At"]
    batch = mapped(mapper, [("x", "A", "1", None)], ("x", "ITEM_NO", "QtyOnHand", "Updated At"))
    assert levels(batch) == {"A": 1}
    with pytest.raises(HeadingInvalid):
        mapped(mapper, [("A", "1")], ("item no", "qty"))


ROWS = [
    ("A", "5", "W1", "2026-11-23T09:00:00Z"),
    (None, "5", "W1", None),
    ("B", "N/A", "W1", None),
    ("C", "5", " ", None),
    ("D", "5", "W1", "yesterday"),
    ("E", "5", "W1", "2026-11-23T10:05:01Z"),
    ("F", "5", "W1", "2026-11-23T10:05:00Z"),
    ("G", "-5", "W1", ""),
    ("1.2E+5", "x", None, "x"),
    ("H", "1.250", "W2", None),
]


@pytest.mark.parametrize("steps", [(), ("lower",), ("remove_hyphens", "lower")])
def test_identifiers_must_match_the_declared_pattern_as_a_whole(steps) -> None:
    mapper = Columns("sku", "qty", sku_pattern="[A-Z]{2}-[0-9]+|X", steps=steps)
    cells = ["AB-1", " AB-23\u00a0", "X", "AB-", "b-1", "AB-1\nX", "XX", "", None, "\uff21B-1", "AB-1 x", "Ä", "-7"]
    batch = mapped(mapper, [(cell, "5") for cell in cells], ("sku", "qty"))
    assert (
        levels(batch)
        == {
            (): {"AB-1": 5, "AB-23": 5, "X": 5},
            ("lower",): {"ab-1": 5, "ab-23": 5, "x": 5},
            ("remove_hyphens", "lower"): {"ab1": 5, "ab23": 5, "x": 5},
        }[steps]
    )
    assert reasons(batch) == [
        (5, "sku_pattern"), (6, "sku_pattern"), (7, "sku_unreadable"), (8, "sku_pattern"), (9, "sku_blank"),
        (10, "sku_blank"), (11, "sku_pattern"), (12, "sku_pattern"), (13, "sku_pattern"), (14, "sku_pattern"),
    ]  # fmt: skip
    assert batch.rejections.kept[0].message == "the sku 'AB-' does not match the declared pattern"
    assert batch.unidentified == len(cells) - 3


def test_a_row_whose_identifier_matches_keeps_its_own_fault() -> None:
    mapper = Columns("sku", "qty", sku_pattern="[A-Z]-[0-9]")
    assert reasons(mapped(mapper, [("A-1", "x"), ("A-22", "x")], ("sku", "qty"))) == [
        (2, "quantity_unreadable"),
        (3, "sku_pattern"),
    ]


@pytest.mark.parametrize("pattern", ["", "(", "a)|(b", "(?=a)", r"(a)\1", "(?x)a # b", b"a", 7])
def test_what_is_no_pattern_is_refused(pattern) -> None:
    with pytest.raises(ConfigurationError, match=r"sku_pattern|regular expression"):
        Columns(sku_pattern=pattern)


def test_each_bad_row_has_its_reason_and_place() -> None:
    batch = mapped(FULL, ROWS)
    assert reasons(batch) == [
        (3, "sku_blank"), (4, "quantity_unreadable"), (5, "location_blank"), (6, "as_of_unreadable"),
        (7, "as_of_in_future"), (9, "quantity_negative"), (10, "sku_scientific"), (11, "quantity_ambiguous"),
    ]  # fmt: skip
    assert levels(batch) == {"A": 5, "F": 5}
    assert {kind: count for kind, count in batch.rejections.counts.items() if count} == {RejectionKind.INVALID: 8}
    second = batch.rejections.kept[1]
    assert dict(second.cells) == {"sku": "B", "qty": "N/A", "warehouse": "W1", "updated_at": None}
    assert (second.sku, second.location, str(second.place)) == ("B", "W1", "stock.csv, line 4")
    assert all(rejection.guidance and rejection.message for rejection in batch.rejections.kept)


def test_a_refused_row_s_product_is_mentioned_unless_nobody_can_tell_it() -> None:
    batch = mapped(FULL, ROWS)
    assert sorted(batch.mentioned.rows()) == [("B", "W1"), ("D", "W1"), ("E", "W1"), ("G", "W1"), ("H", "W2")]
    # The blank SKU, the damaged one, and C, which may stand for any location.
    assert batch.unidentified == 3


def test_complete_cells_are_shown_where_the_decoder_has_them() -> None:
    raw = raw_of([("B", "N/A", "W1", None)])
    raw.cells = lambda number: {"line": str(number), "note": "not selected"}
    (rejection,) = FULL.map(raw, MapContext(NOW)).rejections.kept
    assert rejection.cells == {"line": "2", "note": "not selected"}


def test_counts_stay_exact_when_few_rejections_are_kept() -> None:
    batch = mapped(Columns("sku", "qty"), [("A", "?")] * 7 + [("B", "1")], ("sku", "qty"), keep_rejections=2)
    assert batch.rejections.counts[RejectionKind.INVALID] == 7
    assert reasons(batch) == [(2, "quantity_unreadable"), (3, "quantity_unreadable")]
    assert batch.rows == 8


def test_a_blank_time_is_left_to_the_input_and_a_blank_cell_is_not_an_error() -> None:
    batch = mapped(
        FULL, [("A", "1", "W", ""), ("B", "1", "W", None), ("C", "1", "W", " "), ("D", "1", "W", "2026-01-01 00:00Z")]
    )
    assert batch.frame["as_of"].to_list() == [None, None, None, datetime(2026, 1, 1, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("negative", "expected"), [("reject", {"B": 0}), ("zero", {"A": 0, "B": 0}), ("keep", {"A": Decimal(-5), "B": 0})]
)
def test_a_negative_quantity_is_what_the_source_declares(negative, expected) -> None:
    batch = mapped(Columns("sku", "qty", negative=negative), [("A", "-5"), ("B", "-0"), ("C", None)], ("sku", "qty"))
    assert levels(batch) == expected
    assert batch.rejections.kept[-1].reason == "quantity_null"


def test_a_locale_is_declared_by_name() -> None:
    rows = [("A", "1.250"), ("B", "1,5")]
    assert levels(mapped(Columns("sku", "qty", quantity_format="de"), rows, ("sku", "qty"))) == {
        "A": 1250,
        "B": Decimal("1.5"),
    }


TABLE = {"A": "product-a", "B": "product-b", "B2": "product-b"}


@pytest.mark.parametrize(
    "identity",
    [TABLE, TableIdentity(TABLE), CallableIdentity(lambda skus: {sku: TABLE[sku] for sku in skus if sku in TABLE})],
)
def test_identifiers_are_translated_and_strangers_unmapped(identity) -> None:
    rows = [("a ", "1"), ("Z", "2"), ("B2", "?"), ("Y", "?"), ("B", "4")]
    batch = mapped(Columns("sku", "qty", identity=identity, steps=("upper",)), rows, ("sku", "qty"))
    assert levels(batch) == {"product-a": 1, "product-b": 4}
    found = [(rejection.kind, rejection.reason, rejection.sku) for rejection in batch.rejections.kept]
    assert found == [
        (RejectionKind.INVALID, "quantity_unreadable", "product-b"),
        (RejectionKind.INVALID, "quantity_unreadable", "Y"),
        (RejectionKind.UNMAPPED, "not_in_mapping", "Z"),
    ]
    assert batch.mentioned.rows() == [("product-b", "")]
    assert batch.unidentified == 0


@pytest.mark.parametrize("nothing", ["", None])
def test_an_empty_entry_of_a_table_names_no_product(nothing) -> None:
    batch = mapped(Columns("sku", "qty", identity={"A": nothing}), [("A", "1")], ("sku", "qty"))
    assert (batch.frame.height, reasons(batch)) == (0, [(2, "not_in_mapping")])


def test_a_callable_is_asked_once_for_each_identifier() -> None:
    asked = []

    def products(skus):
        asked.extend(skus)
        return {}

    mapped(
        Columns("sku", "qty", identity=CallableIdentity(products)),
        [("A", "1"), (None, "1"), ("A", "2")],
        ("sku", "qty"),
    )
    assert asked == ["A"]


@pytest.mark.parametrize("identity", [{}, TABLE, None])
def test_what_a_person_mapped_by_hand_comes_first(identity) -> None:
    mapper = Columns("sku", "qty", steps=("upper",), **({} if identity is None else {"identity": identity}))
    batch = mapped(mapper, [("a", "1"), ("B", "2")], ("sku", "qty"), overrides={"a": "by-hand"})
    assert levels(batch)["by-hand"] == 1
    assert ("B" in levels(batch)) is (identity is None)


def test_a_fixed_location() -> None:
    batch = mapped(Columns("sku", "qty", fixed_location="MAIN"), [("A", "1")], ("sku", "qty"))
    assert batch.frame["location"].to_list() == ["MAIN"]


@pytest.mark.parametrize(
    "options",
    [{"quantity": "SKU"}, {"sku": " "}, {"location": "w", "fixed_location": "x"}, {"steps": ("shout",)},
     {"as_of_zone": "Mars/Olympus"}, {"as_of_zone": "../etc/passwd"}, {"quantity_format": "xx"}],
)  # fmt: skip
def test_a_wrong_declaration_is_refused_at_once(options) -> None:
    with pytest.raises(ConfigurationError):
        Columns(**options)


@pytest.mark.parametrize(
    "mapper",
    [
        Columns(),
        Columns("a", "b", "c", "d", identity={"x": "y"}, quantity_format="de", steps=["upper"], negative="keep"),
        Columns(duplicates="sum", as_of="t", as_of_zone="Europe/Madrid", quantity_format=QuantityFormat(grouping="")),
    ],
)
def test_a_mapper_survives_storage_as_json(mapper) -> None:
    converter = cattrs.preconf.json.make_converter(forbid_extra_keys=True)
    assert converter.structure(json.loads(converter.dumps(mapper)), Columns) == mapper


def test_no_rows_are_no_error() -> None:
    batch = mapped(FULL, [])
    assert batch.frame.schema == batch_schema()
    assert (batch.rows, batch.unidentified) == (0, 0)


cells = st.one_of(
    st.none(),
    st.sampled_from(["", " ", "A", "B", "7", "-7", "0", "1.5", "N/A", "1E+5", "2026-11-23T09:00:00Z", "x\x00"]),
)


@given(
    st.lists(st.tuples(cells, cells, cells, cells), max_size=12),
    st.sampled_from([None, {"A": "a", "7": "b"}]),
    st.integers(0, 20),
)
def test_every_row_ends_in_one_place_and_no_quantity_is_invented(rows, table, keep) -> None:
    mapper = Columns("sku", "qty", "warehouse", "updated_at", **({"identity": table} if table else {}))
    batch = mapped(mapper, rows, keep_rejections=keep)
    assert batch.rows == len(rows)
    places = [*batch.frame["number"], *(rejection.place.number for rejection in batch.rejections.kept)]
    assert len(set(places)) == len(places)
    if keep >= len(rows):
        assert sorted(places) == list(range(2, 2 + len(rows)))
    for row in batch.frame.iter_rows(named=True):
        sku, quantity, _, _ = rows[row["number"] - 2]
        assert row["sku"] == (table or {sku: sku})[sku]
        assert row["quantity"] == {"7": 7, "0": 0, "1.5": Decimal("1.5")}[quantity]


def test_the_future_is_measured_from_the_sync_s_own_time() -> None:
    later = NOW + timedelta(days=1)
    batch = FULL.map(raw_of(ROWS), MapContext(later))
    assert "as_of_in_future" not in {rejection.reason for rejection in batch.rejections.kept}
