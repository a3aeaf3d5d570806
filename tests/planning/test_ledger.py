"""The ledger reads back exactly what was recorded, whatever it was stored as."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from unittest import mock

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory_sources import ledger as ledger_module
from inventory_sources.errors import RecordInvalid
from inventory_sources.ledger import Ledger, ledger_schema, positions

T = datetime(2026, 3, 1, tzinfo=UTC)
KEYS = {"sku": pl.String, "location": pl.String}


@pytest.fixture(scope="module", autouse=True)
def _every_ledger_counts_as_big():
    """So that a few rows do not just make one segment."""
    with mock.patch.object(ledger_module, "_SMALL", 0):
        yield


def test_a_small_ledger_is_always_one_segment():
    with mock.patch.object(ledger_module, "_SMALL", 200):
        ledger, _ = Ledger.empty().record(frame(poll(200, 0)))
        ledger, change = ledger.record(frame({("S1", ""): (T + timedelta(hours=1), "poll", Decimal(7), False)}))
    assert change.replaces
    assert Ledger.load([change.segment]).frame.height == 200


def frame(rows) -> pl.DataFrame:
    return pl.DataFrame([(*key, *facts) for key, facts in rows.items()], schema=ledger_schema(), orient="row")


def facts_of(ledger: Ledger):
    return {row[:2]: row[2:] for row in ledger.frame.iter_rows()}


def poll(count: int, minutes: int, quantity: int = 1, **others):
    """One observation of ``count`` SKUs; ``others`` differ in quantity."""
    skus = [f"S{number}" for number in range(count)]
    moment = T + timedelta(minutes=minutes)
    return {(sku, ""): (moment, "poll", Decimal(others.get(sku, quantity)), False) for sku in skus}


keys = st.tuples(st.sampled_from("ABCDEFGH"), st.sampled_from(("", "N")))
facts = st.tuples(
    st.sampled_from([T, T + timedelta(hours=1), T + timedelta(microseconds=1)]),
    st.sampled_from(("poll", "file", "webhook")),
    st.sampled_from((Decimal(0), Decimal("1.000000001"), Decimal(-7))),
    st.booleans(),
)
alike = st.builds(
    lambda chosen, fact, odd: dict.fromkeys(chosen, fact) | odd,
    st.sets(keys, min_size=6),
    facts,
    st.dictionaries(keys, facts, max_size=2),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.dictionaries(keys, facts, max_size=10) | alike, max_size=6))
def test_what_was_recorded_last_is_what_is_read_back(runs):
    truth, ledger, stored = {}, Ledger.empty(), []
    for observed in runs:
        news = {key: fact for key, fact in observed.items() if truth.get(key) != fact}
        truth |= observed
        ledger, change = ledger.record(frame(observed))
        assert (change is None) == (not news)
        if change is not None:
            stored = [change.segment] if change.replaces else [*stored, change.segment]
        assert facts_of(ledger) == truth
        loaded = Ledger.load(stored)
        assert facts_of(loaded) == truth
        assert loaded.frame.height == len(truth)
        assert (loaded.segments, loaded.appended) == (ledger.segments, ledger.appended)
        assert loaded.frame["sku"].to_list() == ledger.frame["sku"].to_list()


def test_a_few_changes_are_stored_as_a_few_rows():
    ledger, _ = Ledger.empty().record(frame(poll(100, 0)))
    _, change = ledger.record(frame({("S7", ""): (T, "webhook", Decimal(3), False)}))
    assert (change.rows, change.replaces) == (1, False)


def test_a_poll_that_confirms_everything_is_stored_as_one_sweep_and_its_exceptions():
    ledger, _ = Ledger.empty().record(frame(poll(100, 0)))
    _, change = ledger.record(frame(poll(100, 10, S3=9)))
    assert (change.rows, change.replaces) == (1, False)


def test_half_of_the_ledger_changed_makes_one_segment_of_everything():
    ledger, _ = Ledger.empty().record(frame(poll(100, 0)))
    half = {(f"S{n}", ""): (T + timedelta(minutes=n), "poll", Decimal(n + 2), False) for n in range(50)}
    _, change = ledger.record(frame(half))
    assert (change.rows, change.replaces) == (100, True)


def test_no_more_than_sixteen_segments_pile_up():
    ledger, stored = Ledger.empty(), []
    for minute in range(40):
        ledger, change = ledger.record(frame(poll(1000, minute, S1=minute)))
        stored = [change.segment] if change.replaces else [*stored, change.segment]
        assert len(stored) <= 16
    assert len(stored) > 1


def test_the_order_of_a_feed_is_kept_so_that_the_next_one_compares_at_once():
    backwards = dict(reversed(poll(20, 0).items()))
    ledger, first = Ledger.empty().record(frame(backwards))
    ledger, second = ledger.record(frame(dict(reversed(poll(20, 5, S3=4).items()))))
    loaded = Ledger.load([first.segment, second.segment])
    assert positions(frame(backwards), loaded.frame) is None
    assert positions(frame(backwards), ledger.frame) is None


def test_a_segment_of_a_newer_format_is_refused_and_says_so():
    with mock.patch.object(ledger_module, "_VERSION", 2):
        _, change = Ledger.empty().record(frame(poll(1, 0)))
    with pytest.raises(RecordInvalid, match=r"format 2.*Upgrade"):
        Ledger.load([change.segment])


def test_no_cut_and_no_flipped_bit_is_read_as_a_ledger():
    _, change = Ledger.empty().record(frame(poll(3, 0)))
    good = change.segment
    for length in range(len(good)):
        with pytest.raises(RecordInvalid):
            Ledger.load([good[:length]])
    for index in range(len(good)):
        damaged = bytearray(good)
        damaged[index] ^= 1
        with pytest.raises(RecordInvalid):
            Ledger.load([bytes(damaged)])


pairs = st.lists(keys, unique=True, max_size=12)


@given(pairs, pairs, st.sampled_from(("hash", "colliding", "blind")))
def test_every_key_is_found_where_it_stands_even_if_hashes_collide(wanted, there, how):
    hashed = {"hash": None, "colliding": lambda *_: pl.col("sku").str.len_bytes(), "blind": lambda *_: pl.lit(0)}[how]
    asked = pl.DataFrame(wanted, schema=KEYS, orient="row")
    table = pl.DataFrame(there, schema=KEYS, orient="row")
    if hashed is None:
        at = positions(asked, table)
    else:
        with mock.patch.object(pl.Expr, "hash", hashed):
            at = positions(asked, table)
    expected = [there.index(key) if key in there else None for key in wanted]
    if at is None:
        assert wanted == there
    else:
        assert at.to_list() == expected
