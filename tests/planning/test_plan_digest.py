"""A plan's digest names what would be written: nothing else changes it, and everything of that does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
from attrs import evolve
from hypothesis import assume, given
from hypothesis import strategies as st

from inventory_sources.payload import Evidence
from inventory_sources.plan import Outcome, PlanCause, PlanFigures, SyncPlan
from inventory_sources.run import RunCounts

T = datetime(2026, 3, 1, tzinfo=UTC)
FIGURES = PlanFigures(0, 0, None, 0, 0, 0, 0, 0, 0, snapshot=True)
SCHEMA = {
    "sku": pl.String,
    "location": pl.String,
    "old": pl.Decimal(38, 9),
    "new": pl.Decimal(38, 9),
    "as_of": pl.Datetime("us", "UTC"),
    "outcome": pl.String,
    "cause": pl.String,
    "part": pl.UInt32,
    "number": pl.Int64,
}

text = st.text(st.sampled_from("aB0 \x1f\x1e\n:é"), max_size=3)
numbers = st.decimals(-9, 9, places=2)
targets = st.dictionaries(st.tuples(text, text), st.tuples(numbers, st.integers(0, 3)), max_size=5)


def plan(items, *, olds=None, source="erp", version=1, observed=True) -> SyncPlan:
    rows = [
        (*key, olds, new, T + timedelta(minutes=minutes), Outcome.CHANGED.value, PlanCause.FEED.value, 0, number)
        for number, (key, (new, minutes)) in enumerate(items)
    ]
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    return SyncPlan(source, version, frame, RunCounts(), FIGURES, Evidence(), observed=observed)


@given(targets, st.randoms(use_true_random=False), st.none() | numbers)
def test_neither_order_nor_places_nor_old_levels_change_it(items, dice, old):
    rows = list(items.items())
    dice.shuffle(rows)
    assert plan(rows, olds=old).digest == plan(items.items()).digest


@given(targets, targets)
def test_other_targets_or_times_make_another_digest(one, other):
    assume(one != other)
    assert plan(one.items()).digest != plan(other.items()).digest


@given(targets, st.integers(1, 3))
def test_times_that_the_source_did_not_give_are_left_out(items, minutes):
    later = {key: (new, start + minutes) for key, (new, start) in items.items()}
    assert plan(items.items(), observed=False).digest == plan(later.items(), observed=False).digest
    assume(items)
    assert plan(items.items()).digest != plan(later.items()).digest


@given(targets)
def test_source_and_configuration_are_part_of_it(items):
    rows = items.items()
    digests = {plan(rows).digest, plan(rows, source="erp 1").digest, plan(rows, version=2).digest}
    assert len(digests) == 3


def test_it_covers_every_one_of_many_rows():
    many = plan(())
    number = pl.int_range(250_001)
    rows = many.frame.clear(n=250_001).with_columns(
        sku=pl.format("S{}", number), location=pl.lit(""), new=(number % 7).cast(SCHEMA["new"]), as_of=pl.lit(T)
    )
    last = rows.with_columns(new=pl.when(pl.col("sku") == "S250000").then(pl.lit(Decimal(99))).otherwise(pl.col("new")))
    digests = [evolve(many, frame=frame).digest for frame in (rows, rows.reverse(), last)]
    assert digests[0] == digests[1] != digests[2]


def test_items_come_one_by_one_with_their_place():
    made = plan({("A", "N"): (Decimal(1), 0), ("B", ""): (Decimal(2), 1)}.items(), olds=Decimal(3))
    made.origins = (("stock.csv", "line"),)
    first, second = made.items(Outcome.CHANGED)
    assert (first.sku, first.location, first.old, first.new, str(first.place)) == ("A", "N", 3, 1, "stock.csv, line 0")
    assert second.as_of == T + timedelta(minutes=1)
    assert list(made.items(Outcome.STALE)) == []
