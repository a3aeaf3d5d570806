"""The planner agrees, on any feed in any order, with one that is written in dictionaries and loops."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal

import polars as pl
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory_sources.batch import StockBatch, batch_schema
from inventory_sources.engine._planning import PlanSettings, make_plan
from inventory_sources.feed import Feed
from inventory_sources.ledger import Channel, Ledger, ledger_schema
from inventory_sources.payload import Evidence, Proof

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEVELS = {"sku": pl.String, "location": pl.String, "quantity": pl.Decimal(38, 9), "as_of": pl.Datetime("us", "UTC")}


@define
class World:
    """One planning problem as plain values; keys are (sku, location)."""

    feed: dict
    levels: dict
    ledger: dict
    mentioned: set
    unidentified: int
    inputs: tuple
    channel: str
    places: int
    inserts: bool
    catalog: set | None
    scope: str
    proven: bool
    located: bool
    known_unmapped: set


@define
class Expected:
    items: dict = field(factory=dict)
    refused: dict = field(factory=dict)
    observed: dict = field(factory=dict)
    floored: int = 0
    conflicts: int = 0
    kept: int = 0
    doubtful: int = 0
    known: int = 0
    missing: int = 0


def oracle(world: World) -> Expected:
    out = Expected()
    times = [time or NOON for time in world.inputs]
    in_table = {sku for sku, _ in world.levels}
    for key, (quantity, as_of, part) in world.feed.items():
        product = world.catalog is None or key[0] in world.catalog
        if key not in world.levels and not (world.inserts and product):
            out.refused[key] = "unknown_location" if key[0] in in_table else "unknown_sku"
            continue
        _plan(world, out, key, quantity, as_of or times[part], "feed", part)
    if world.scope == "partial":
        out.known = sum(not absent for *_, absent in world.ledger.values())
    else:
        _plan_absent(world, out, min(times))
    return out


def _plan(world, out, key, quantity, as_of, cause, part):
    old, level_as_of = world.levels.get(key, (None, None))
    new = quantity.quantize(Decimal(1).scaleb(-world.places), rounding=ROUND_FLOOR)
    out.floored += new != quantity
    outcome = "unchanged" if new == old else "changed"
    if key in world.ledger:
        seen_as_of, seen_channel, seen_quantity, _ = world.ledger[key]
        if seen_as_of == as_of and seen_quantity == quantity and old is not None:
            outcome = "unchanged"
        if seen_as_of == as_of and seen_quantity != quantity and seen_channel != world.channel:
            outcome = "stale"
            out.conflicts += not (level_as_of is not None and level_as_of > as_of)
        if seen_as_of > as_of:
            outcome = "stale"
    if level_as_of is not None and level_as_of > as_of:
        outcome = "stale"
    out.items[key] = (old, new, as_of, outcome, cause, part)
    if outcome != "stale":
        out.observed[key] = (as_of, world.channel, quantity, cause == "absent")


def _plan_absent(world, out, moment):
    spoken_of = {location for _, location in out.items}
    scope = [key for key in world.ledger if not world.located or key[1] in spoken_of]
    anywhere = {sku for sku, location in [*world.mentioned, *out.refused] if location == ""}
    absent = [
        key
        for key in scope
        if key not in out.items and key not in world.mentioned and key not in out.refused and key[0] not in anywhere
    ]
    out.known = sum(not world.ledger[key][3] for key in scope)
    out.missing = sum(not world.ledger[key][3] for key in absent)
    strangers = {sku for sku, _ in world.mentioned} - {sku for sku, _ in world.ledger}
    nameless = {sku for sku, _ in out.refused} | strangers
    renamed = nameless - world.known_unmapped
    zero = world.scope == "zero" and world.proven and not world.unidentified and not renamed
    if world.scope == "zero" and not zero:
        out.kept = len(absent)
    for key in absent:
        as_of, channel, quantity, marked = world.ledger[key]
        doubtful = zero and marked and quantity > 0 and bool(nameless)
        out.doubtful += doubtful
        if zero and not doubtful and key in world.levels and as_of <= moment:
            _plan(world, out, key, Decimal(0), moment, "absent", None)
        if key not in out.observed and not marked:
            out.observed[key] = (as_of, channel, quantity, True)


moments = st.sampled_from([NOON + timedelta(minutes=minutes) for minutes in (-10, -5, 0, 5)])
quantities = st.sampled_from(
    [
        Decimal(text)
        for text in ("0", "1", "5", "5.5", "-1", "-0.000000001", "0.999999999", "2.675", "12345678901234567")
    ]
)
levels = st.sampled_from([Decimal(text) for text in ("0", "1", "5", "2.67", "-1", "12345678901234567")])


@st.composite
def worlds(draw):
    located = draw(st.booleans())
    keys = st.tuples(st.sampled_from("ABCDE"), st.sampled_from(("N", "S", "") if located else ("",)))
    parts = draw(st.sampled_from((1, 1, 2)))
    fed = st.tuples(quantities, st.none() | moments, st.integers(0, parts - 1))
    held = st.tuples(st.none() | levels, st.none() | st.none() | moments)
    seen = st.tuples(moments, st.sampled_from(("poll", "file")), quantities, st.booleans())
    feed = draw(st.dictionaries(keys, fed, max_size=8))
    if draw(st.booleans()):
        supplied = [*feed, *sorted(draw(st.sets(keys, max_size=3)) - set(feed))]
        alike = {key: draw(held) for key in supplied}, {key: draw(seen) for key in supplied}
    else:
        alike = draw(st.dictionaries(keys, held, max_size=12)), draw(st.dictionaries(keys, seen, max_size=12))
    return World(
        feed=feed,
        levels=alike[0],
        ledger=alike[1],
        mentioned=draw(st.sets(keys, max_size=2)) - set(feed),
        unidentified=draw(st.sampled_from((0, 0, 0, 1))),
        inputs=tuple(draw(st.none() | moments) for _ in range(parts)),
        channel=draw(st.sampled_from(("poll", "file"))),
        places=draw(st.sampled_from((0, 2, 9))),
        inserts=draw(st.booleans()),
        catalog=draw(st.none() | st.sets(st.sampled_from("ABCDE"))),
        scope=draw(st.sampled_from(("zero", "zero", "zero", "keep", "partial"))),
        proven=draw(st.sampled_from((True, True, True, False))),
        located=located,
        known_unmapped=draw(st.sampled_from((set("ABCDE"), set()))),
    )


def planned(world: World, order):
    """What the library makes of it, with each table's rows in the order that ``order`` gives them."""
    feed = pl.DataFrame(
        [
            (*key, quantity, as_of, part, line)
            for line, (key, (quantity, as_of, part)) in enumerate(order(world.feed), 1)
        ],
        schema=batch_schema(),
        orient="row",
    )
    in_table = pl.DataFrame([(*key, *row) for key, row in order(world.levels)], schema=LEVELS, orient="row")
    ledger = pl.DataFrame([(*key, *row) for key, row in order(world.ledger)], schema=ledger_schema(), orient="row")
    mentioned = pl.DataFrame(sorted(world.mentioned), schema={"sku": pl.String, "location": pl.String}, orient="row")
    batch = StockBatch(
        feed,
        mentioned=mentioned if world.mentioned else None,
        unidentified=world.unidentified,
        origins=tuple((f"input {part}", "line") for part in range(len(world.inputs))),
    )
    return make_plan(
        batch,
        in_table,
        Ledger(ledger),
        PlanSettings(
            source="erp",
            config_version=1,
            feed=Feed.partial() if world.scope == "partial" else Feed.snapshot(absent=world.scope),
            evidence=Evidence(frozenset({Proof.LENGTH if world.proven else Proof.STABLE})),
            fallback_as_of=NOON,
            input_as_of=world.inputs,
            channel=Channel(world.channel),
            places=world.places,
            inserts=world.inserts,
            known=None if world.catalog is None else (lambda skus: world.catalog & set(skus)),
            located=world.located,
            known_unmapped=world.known_unmapped,
        ),
    )


def number_in(warnings, word):
    """The count that the warning with this word begins with; 0 without one."""
    return next((int(warning.split()[0]) for warning in warnings if word in warning), 0)


@settings(max_examples=400, deadline=None)
@given(worlds(), st.sampled_from(("as given", "sorted", "shuffled")), st.randoms(use_true_random=False))
def test_any_feed_is_planned_as_a_planner_of_loops_and_dictionaries_plans_it(world, how, dice: random.Random):
    def order(table):
        rows = list(table.items())
        if how == "sorted":
            rows.sort(key=lambda row: row[0])
        elif how == "shuffled":
            dice.shuffle(rows)
        return rows

    expected, result = oracle(world), planned(world, order)
    plan, figures, counts = result.plan, result.plan.figures, result.plan.counts
    items = {
        (row["sku"], row["location"]): tuple(row[name] for name in ("old", "new", "as_of", "outcome", "cause", "part"))
        for row in plan.frame.iter_rows(named=True)
    }
    assert items == expected.items
    assert plan.frame.height == len(items)
    assert {(row.sku, row.location): row.reason for row in plan.rejections.kept} == expected.refused
    observed = {row[:2]: row[2:] for row in result.observed.iter_rows()}
    assert observed == expected.observed
    assert result.observed.height == len(observed)
    assert result.observed.schema == ledger_schema()
    assert number_in(plan.warnings, "floored") == expected.floored
    assert number_in(plan.warnings, "contradict") == expected.conflicts
    assert number_in(plan.warnings, "are not in the feed") == expected.kept
    assert number_in(plan.warnings, "went missing earlier") == expected.doubtful
    outcomes = [item[3] for item in expected.items.values()]
    assert counts.add_up
    assert (counts.rows, counts.mapped, counts.unmapped) == (
        len(world.feed),
        len(world.feed) - len(expected.refused),
        len(expected.refused),
    )
    for outcome in ("changed", "unchanged", "stale", "held", "failed"):
        assert getattr(counts, outcome) == outcomes.count(outcome)
    assert counts.products_updated == len({key[0] for key, item in expected.items.items() if item[3] == "changed"})
    assert (figures.known, figures.missing, figures.items) == (expected.known, expected.missing, len(items))
    supplied = sum(quantity > 0 and not absent for _, _, quantity, absent in world.ledger.values())
    nonzero = sum(item[0] is not None and item[0] > 0 for item in expected.items.values())
    assert figures.nonzero == (max(nonzero, supplied) if world.scope == "partial" else nonzero)
    assert figures.zeroed == sum(
        item[3] == "changed" and item[0] is not None and item[0] > 0 >= item[1] for item in expected.items.values()
    )
