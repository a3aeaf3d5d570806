"""Several rows for one (SKU, location): settled over the whole feed, by the declared policy, against a plain oracle."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory_sources.batch import Place, Rejection, RejectionKind, RejectionLog, StockBatch, StockLevel, batch_schema
from inventory_sources.mappers import concat_batches, resolve_duplicates
from inventory_sources.protocols.mapper import DuplicatePolicy

T0 = datetime(2026, 11, 23, 10, tzinfo=UTC)
FILE = ("feed.csv", "line")


def batch_of(rows, **more):
    """Rows of (sku, location, quantity, minutes or None), numbered from line 2."""
    frame = pl.DataFrame(
        [
            (sku, location, Decimal(quantity), None if minutes is None else T0 + timedelta(minutes=minutes), 0, number)
            for number, (sku, location, quantity, minutes) in enumerate(rows, 2)
        ],
        schema=batch_schema(),
        orient="row",
    )
    return StockBatch(frame, origins=(FILE,), **more)


def oracle(rows, policy):
    """The rows that must remain: (sku, location, quantity, minutes, line)."""
    groups = defaultdict(list)
    for number, (sku, location, quantity, minutes) in enumerate(rows, 2):
        groups[sku, location].append((sku, location, quantity, minutes, number))
    never = 10**9
    for group in groups.values():
        if len(group) == 1:
            yield group[0]
        elif policy is DuplicatePolicy.LAST:
            yield max(group, key=lambda row: (never if row[3] is None else row[3], row[4]))
        elif policy is DuplicatePolicy.MIN:
            yield min(group, key=lambda row: (row[2], row[4]))
        elif policy is DuplicatePolicy.SUM:
            oldest = min((row[3] for row in group if row[3] is not None), default=None)
            yield (*group[0][:2], sum(row[2] for row in group), oldest, group[0][4])


def shown(batch):
    return [
        (sku, location, quantity, None if as_of is None else (as_of - T0) // timedelta(minutes=1), number)
        for sku, location, quantity, as_of, _, number in batch.frame.iter_rows()
    ]


feeds = st.lists(
    st.tuples(st.sampled_from("ABC"), st.sampled_from(["", "W1"]), st.integers(0, 9), st.sampled_from([None, 0, 1, 2])),
    max_size=12,
)


@given(feeds, st.sampled_from(DuplicatePolicy))
def test_each_policy_does_what_it_says_and_every_row_is_counted(rows, policy) -> None:
    batch = resolve_duplicates(batch_of(rows), policy)
    assert shown(batch) == sorted(oracle(rows, policy), key=lambda row: row[4])
    assert batch.frame.schema == batch_schema()
    assert batch.rows == len(rows)
    if policy is DuplicatePolicy.ERROR:
        places = [rejection.place.number for rejection in batch.rejections.kept]
        assert sorted([*places, *batch.frame["number"]]) == list(range(2, 2 + len(rows)))
        refused = {(rows[number - 2][0], rows[number - 2][1]) for number in places}
        assert set(batch.mentioned.rows() if batch.mentioned is not None else []) == refused
    else:
        assert batch.rejections.total == 0


def test_an_error_names_the_other_lines() -> None:
    batch = resolve_duplicates(
        batch_of([("A", "W1", 1, None), ("B", "W1", 1, None), ("A", "W1", 1, None)]), DuplicatePolicy.ERROR
    )
    first, second = batch.rejections.kept
    assert (first.kind, first.reason) == (RejectionKind.DUPLICATE, "duplicate_key")
    assert first.message == "'A' at 'W1' is also at feed.csv, line 4"
    assert second.message == "'A' at 'W1' is also at feed.csv, line 2"
    assert (second.sku, second.location, second.quantity) == ("A", "W1", 1)


def test_many_duplicates_are_counted_exactly_and_described_briefly() -> None:
    batch = batch_of([("A", "", 1, None)] * 500)
    batch.rejections = RejectionLog(limit=10)
    batch = resolve_duplicates(batch, DuplicatePolicy.ERROR)
    assert batch.rejections.counts[RejectionKind.DUPLICATE] == 500
    assert len(batch.rejections.kept) == 10
    assert all(len(rejection.message) < 200 for rejection in batch.rejections.kept)


@pytest.mark.parametrize("policy", DuplicatePolicy)
def test_a_row_is_not_believed_beside_one_of_its_key_that_could_not_be_read(policy) -> None:
    unread = pl.DataFrame({"sku": ["A"], "location": ["W1"]})
    batch = batch_of([("A", "W1", 5, None), ("A", "W2", 6, None), ("B", "W1", 7, None)], mentioned=unread)
    batch = resolve_duplicates(batch, policy)
    assert [row[:3] for row in shown(batch)] == [("A", "W2", 6), ("B", "W1", 7)]
    (rejection,) = batch.rejections.kept
    assert (rejection.reason, rejection.place.number) == ("duplicate_unread", 2)
    assert batch.mentioned.rows() == [("A", "W1")]
    assert batch.rows == 3


def test_keys_are_compared_as_pairs_and_not_as_joined_text() -> None:
    rows = [("AB", "C", 1, None), ("A", "BC", 2, None), ("AB", "", 3, None), ("A", "B", 4, None)]
    assert resolve_duplicates(batch_of(rows), DuplicatePolicy.ERROR).frame.height == 4


def test_equal_hashes_alone_are_no_duplicate(monkeypatch) -> None:
    monkeypatch.setattr(pl.Series, "hash", lambda series, seed=0: pl.Series([0] * series.len(), dtype=pl.UInt64))
    rows = [("A", "", 1, None), ("B", "", 2, None), ("A", "", 3, None)]
    batch = resolve_duplicates(batch_of(rows), DuplicatePolicy.ERROR)
    assert [row[:3] for row in shown(batch)] == [("B", "", 2)]
    assert batch.rows == 3


def test_batches_of_one_sync_are_put_together_in_order() -> None:
    first, second = batch_of([("A", "", 1, None)]), batch_of([("B", "", 2, None), ("C", "", 3, None)])
    first.origins = second.origins = ()
    second.frame = second.frame.with_columns(part=pl.lit(1, pl.UInt32))
    second.unidentified, second.mentioned = 2, pl.DataFrame({"sku": ["X"], "location": [""]})
    whole = concat_batches([first, second], [FILE, ("more.csv", "line")])
    assert whole.frame.select("sku", "part").rows() == [("A", 0), ("B", 1), ("C", 1)]
    assert (whole.rows, whole.unidentified, whole.mentioned.rows()) == (3, 2, [("X", "")])
    assert whole.origins == (FILE, ("more.csv", "line"))


def test_batches_that_name_their_own_inputs_are_renumbered() -> None:
    levels = [StockLevel("A", Decimal(1), place=Place("b", 1)), StockLevel("B", Decimal(2), place=Place("a", 1))]
    whole = concat_batches([StockBatch.from_levels(levels), batch_of([("C", "", 1, None)])], [("a", "line")])
    assert whole.origins == (("a", "line"), ("b", "line"), FILE)
    assert whole.frame.select("sku", "part").rows() == [("A", 1), ("B", 0), ("C", 2)]


def test_nothing_is_no_error() -> None:
    assert resolve_duplicates(concat_batches([]), DuplicatePolicy.SUM).rows == 0


def test_rejections_of_all_batches_are_kept_with_their_counts() -> None:
    batches = []
    for number in (1, 2):
        log = RejectionLog(limit=1)
        log.add(RejectionKind.INVALID, 3, [Rejection(RejectionKind.INVALID, "x", "x", "x", Place("f", number))])
        batches.append(batch_of([], rejections=log))
    whole = concat_batches(batches)
    assert whole.rejections.counts[RejectionKind.INVALID] == 6
    assert [rejection.place.number for rejection in whole.rejections.kept] == [1]
