"""Plain records and levels as batches: exact text, nothing rounded, nothing lost, and no exception for one bad row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory_sources.batch import Place, RawBatch, Rejection, RejectionKind, StockBatch, StockLevel, batch_schema

TEN = datetime(2026, 11, 23, 10, tzinfo=UTC)


def test_values_become_text_and_keys_columns_in_the_order_seen() -> None:
    records = [{"sku": "00123", "qty": 5}, {"qty": Decimal("1.50"), "loc": "W1"}, {"loc": None, "sku": " "}]
    raw = RawBatch.from_records(records, "erp", first=11)
    assert raw.frame.columns == ["sku", "qty", "loc"]
    assert list(raw.records()) == [
        (Place("erp", 11, "record"), {"sku": "00123", "qty": "5", "loc": None}),
        (Place("erp", 12, "record"), {"sku": None, "qty": "1.50", "loc": "W1"}),
        (Place("erp", 13, "record"), {"sku": " ", "qty": None, "loc": None}),
    ]


@pytest.mark.parametrize(
    "value",
    [1.0, float("nan"), True, b"5", [1], {"a": 1}, TEN, Decimal("NaN"), Decimal("Infinity"), Decimal("1E+999999"),
     Decimal("1E-999999"), pytest.param(10**5000, id="huge"), "\ud800"],
)  # fmt: skip
def test_a_value_that_is_no_exact_text_damages_its_record_and_no_other(value) -> None:
    raw = RawBatch.from_records([{"sku": "A", "qty": value}, {"sku": "B", "qty": 1}], "erp")
    assert raw.rows == 2
    assert raw.numbers.to_list() == [2]
    (rejection,) = raw.damaged.kept
    assert (rejection.kind, rejection.reason, rejection.place) == (
        RejectionKind.INVALID,
        "cell_type",
        Place("erp", 1, "record"),
    )
    assert "'qty'" in rejection.message
    assert type(value).__name__ in rejection.message
    assert max(len(cell) for cell in rejection.cells.values()) < 500


@pytest.mark.parametrize("record", [{}, ["A", 1], None, "sku", {1: "A"}])
def test_what_is_no_record_is_counted_as_damaged(record) -> None:
    raw = RawBatch.from_records([record], "erp")
    assert (raw.rows, raw.frame.height, raw.damaged.total) == (1, 0, 1)


def test_no_records_are_an_empty_batch() -> None:
    assert RawBatch.from_records([], "erp").rows == 0


values = st.one_of(
    st.none(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    st.integers(),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30),
    st.floats(),
    st.booleans(),
)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), values, min_size=1), max_size=8), st.integers(1, 1000))
def test_every_record_is_read_exactly_or_named_as_damaged(records, first) -> None:
    raw = RawBatch.from_records(records, "erp", first=first)
    read = {place.number: cells for place, cells in raw.records()}
    damaged = {rejection.place.number for rejection in raw.damaged.kept}
    assert sorted([*read, *damaged]) == list(range(first, first + len(records)))
    for number, record in enumerate(records, first):
        assert (number in damaged) is any(isinstance(value, float | bool) for value in record.values())
        for key, cell in read.get(number, {}).items():
            value = record.get(key)
            if cell is None or isinstance(value, str):
                assert cell == value
            else:
                assert "E" not in cell
                assert Decimal(cell) == value


def test_levels_become_columns_with_their_places() -> None:
    berlin = timezone(timedelta(hours=1))
    batch = StockBatch.from_levels(
        [
            StockLevel("A", Decimal("1.5"), "W1", TEN.astimezone(berlin), Place("f", 7)),
            StockLevel("B", Decimal(2)),
            StockLevel("C", Decimal(3), place=Place("f", 9)),
        ]
    )
    assert batch.frame.schema == batch_schema()
    assert batch.frame.rows() == [
        ("A", "W1", Decimal("1.5"), TEN, 0, 7),
        ("B", "", 2, None, 1, 2),
        ("C", "", 3, None, 0, 9),
    ]
    assert batch.origins == (("f", "line"), ("mapper", "level"))


@pytest.mark.parametrize(
    ("level", "reason"),
    [
        (StockLevel("A", Decimal("0.1234567891")), "quantity_too_precise"),
        (StockLevel("A", Decimal("NaN")), "quantity_unreadable"),
        (StockLevel("A", Decimal("-Infinity")), "quantity_unreadable"),
        (StockLevel("A", 1.5), "quantity_unreadable"),
        (StockLevel("A", 5), "quantity_unreadable"),
        (StockLevel("A", None), "quantity_unreadable"),
        (StockLevel("A", Decimal("1E+18")), "quantity_out_of_range"),
        (StockLevel("A", Decimal("1E+999999")), "quantity_out_of_range"),
        (StockLevel("A", Decimal(1), as_of=TEN.replace(tzinfo=None)), "as_of_without_zone"),
        (StockLevel(" ", Decimal(1)), "sku_blank"),
        (StockLevel(None, Decimal(1)), "sku_blank"),
        (StockLevel("A", Decimal(1), location=None), "location_unreadable"),
    ],
)
def test_a_level_that_cannot_be_kept_exactly_is_refused_at_its_place(level, reason) -> None:
    batch = StockBatch.from_levels([StockLevel("Z", Decimal(1)), level])
    assert batch.frame["sku"].to_list() == ["Z"]
    (rejection,) = batch.rejections.kept
    assert (rejection.reason, rejection.place.number) == (reason, 2)
    told = level.sku == "A" and reason != "location_unreadable"
    assert (batch.mentioned.rows() if batch.mentioned is not None else []) == ([("A", "")] if told else [])
    assert batch.unidentified == (0 if told else 1)
    assert batch.rows == 2


def test_rejections_of_a_mapper_of_one_s_own_are_taken_in() -> None:
    place = Place("f", 1)
    batch = StockBatch.from_levels(
        [
            Rejection(RejectionKind.INVALID, "x", "x", "x", place, sku="A", location="W"),
            Rejection(RejectionKind.INVALID, "x", "x", "x", place),
            Rejection(RejectionKind.UNMAPPED, "x", "x", "x", place, sku="B"),
        ]
    )
    counted = {kind: count for kind, count in batch.rejections.counts.items() if count}
    assert counted == {RejectionKind.INVALID: 2, RejectionKind.UNMAPPED: 1}
    assert batch.mentioned.rows() == [("A", "W")]
    assert batch.unidentified == 1
    assert batch.frame.schema == batch_schema()


def test_a_level_with_a_float_is_told_why_a_float_will_not_do() -> None:
    (rejection,) = StockBatch.from_levels([StockLevel("A", 1.5)]).rejections.kept
    assert rejection.message == "the quantity 1.5 cannot be taken: a float cannot hold a quantity exactly"
    assert rejection.guidance == "Give a Decimal."
