"""What a plan makes of one feed, case by case."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from attrs import evolve

from inventory_sources.batch import Place, Rejection, RejectionKind, StockBatch, StockLevel
from inventory_sources.engine._planning import Approval, PlanSettings, make_plan
from inventory_sources.feed import Feed
from inventory_sources.ledger import Channel, Ledger
from inventory_sources.payload import Evidence, Proof
from inventory_sources.plan import Outcome, PlanCause, Verdict, VerdictAction

LEVELS = {"sku": pl.String, "location": pl.String, "quantity": pl.Decimal(38, 9), "as_of": pl.Datetime("us", "UTC")}


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, 1, hour, minute, tzinfo=UTC)


def feed(**quantities) -> StockBatch:
    return StockBatch.from_levels(StockLevel(sku, Decimal(quantity)) for sku, quantity in quantities.items())


def table(levels) -> pl.DataFrame:
    rows = [(sku, "", None if quantity is None else Decimal(quantity), None) for sku, quantity in levels.items()]
    return pl.DataFrame(rows, schema=LEVELS, orient="row")


def settings(moment: datetime, **changes) -> PlanSettings:
    asked = PlanSettings(
        source="erp",
        config_version=1,
        feed=Feed.snapshot(absent="zero"),
        evidence=Evidence(frozenset({Proof.LENGTH})),
        fallback_as_of=moment,
        places=0,
    )
    return evolve(asked, **changes)


class Shop:
    """A stock table and a ledger, with every plan applied at once."""

    def __init__(self, **levels):
        self.levels = dict(levels)
        self.ledger = Ledger.empty()

    def sync(self, batch: StockBatch, moment: datetime, **changes):
        planned = make_plan(batch, table(self.levels), self.ledger, settings(moment, **changes))
        if not planned.plan.held:
            for item in planned.plan.items(Outcome.CHANGED):
                self.levels[item.sku] = item.new
            self.ledger, _ = self.ledger.record(planned.observed)
        return planned.plan


def outcomes(plan):
    return {item.sku: item.outcome.value for item in plan.items()}


def test_a_late_older_level_does_not_undo_what_a_poll_has_confirmed_since():
    shop = Shop(A=0)
    shop.sync(feed(A=5), at(10, 0))
    assert outcomes(shop.sync(feed(A=5), at(10, 10))) == {"A": "unchanged"}
    late = shop.sync(feed(A=7), at(10, 30), input_as_of=(at(10, 5),), channel=Channel.WEBHOOK)
    assert outcomes(late) == {"A": "stale"}
    assert shop.levels == {"A": 5}


def test_reading_the_same_observation_again_does_not_put_back_what_was_sold_since():
    shop = Shop(A=0)
    shop.sync(feed(A=5), at(10), input_as_of=(at(10),), channel=Channel.FILE)
    shop.levels["A"] = Decimal(4)
    again = shop.sync(feed(A=5), at(11), input_as_of=(at(10),), channel=Channel.FILE)
    assert outcomes(again) == {"A": "unchanged"}
    assert shop.levels == {"A": 4}


def test_a_new_poll_of_the_same_quantity_does_put_it_back():
    shop = Shop(A=0)
    shop.sync(feed(A=5), at(10))
    shop.levels["A"] = Decimal(4)
    assert outcomes(shop.sync(feed(A=5), at(11))) == {"A": "changed"}


def test_a_correction_of_the_same_moment_wins_within_its_channel():
    shop = Shop(A=0)
    shop.sync(feed(A=5), at(10))
    shop.sync(feed(A=6), at(11), input_as_of=(at(10),))
    assert shop.levels == {"A": 6}


def test_two_channels_that_contradict_each_other_are_reported_and_the_first_is_kept():
    shop = Shop(A=0, B=0)
    shop.sync(feed(A=5, B=5), at(10))
    plan = shop.sync(feed(A=6, B=5), at(11), input_as_of=(at(10),), channel=Channel.WEBHOOK)
    assert outcomes(plan) == {"A": "stale", "B": "unchanged"}
    assert [warning for warning in plan.warnings if "contradict" in warning and warning.startswith("1 ")]


def test_a_snapshot_zeroes_what_it_dropped_and_leaves_alone_what_the_source_never_supplied():
    shop = Shop(A=1, B=2, OTHER=9)
    shop.sync(feed(A=1, B=2), at(10))
    plan = shop.sync(feed(A=1), at(11))
    assert shop.levels == {"A": 1, "B": 0, "OTHER": 9}
    assert (plan.figures.known, plan.figures.missing, plan.figures.zeroed) == (2, 1, 1)


def test_what_is_missing_counts_once_and_not_again_in_every_later_feed():
    shop = Shop(A=1, B=2)
    keep = {"feed": Feed.snapshot()}
    shop.sync(feed(A=1, B=2), at(10), **keep)
    assert shop.sync(feed(A=1), at(11), **keep).figures.missing == 1
    later = shop.sync(feed(A=1), at(12), **keep).figures
    assert (later.known, later.missing) == (1, 0)
    assert shop.sync(feed(A=1, B=2), at(13), **keep).figures.missing == 0
    assert shop.sync(feed(A=1), at(14), **keep).figures.missing == 1


def test_what_a_held_plan_misses_is_missing_from_the_next_one_too():
    class Never:
        def judge(self, figures):
            return Verdict("Never", VerdictAction.HOLD, "no")

    shop = Shop(A=1, B=2)
    shop.sync(feed(A=1, B=2), at(10))
    assert shop.sync(feed(A=1), at(11), guards=(Never(),)).held
    assert shop.sync(feed(A=1), at(12)).figures.missing == 1


@pytest.mark.parametrize("proofs", [{Proof.STABLE}, set()])
def test_absence_means_nothing_without_proof_of_the_end(proofs):
    shop = Shop(A=1, B=2)
    shop.sync(feed(A=1, B=2), at(10))
    plan = shop.sync(feed(A=1), at(11), evidence=Evidence(frozenset(proofs)))
    assert shop.levels["B"] == 2
    assert [warning for warning in plan.warnings if "nothing proves" in warning]


def test_absence_means_nothing_while_a_row_does_not_tell_its_product():
    shop = Shop(A=1, B=2)
    shop.sync(feed(A=1, B=2), at(10))
    unreadable = Rejection(RejectionKind.INVALID, "sku_blank", "blank", "fill", Place("f", 2))
    plan = shop.sync(StockBatch.from_levels([StockLevel("A", Decimal(1)), unreadable]), at(11))
    assert shop.levels["B"] == 2
    assert [warning for warning in plan.warnings if "1 rows could not be read" in warning]


def test_a_renamed_sku_keeps_the_level_of_its_old_name_as_long_as_the_new_one_is_unmapped():
    shop = Shop(A=1, B=2)
    shop.sync(feed(A=1, B=2), at(10))
    plan = shop.sync(feed(A=1, **{"B-NEW": 2}), at(11))
    assert shop.levels["B"] == 2
    assert plan.counts.unmapped == 1
    again = shop.sync(feed(A=1, **{"B-NEW": 2}), at(12), known_unmapped={"B-NEW"})
    assert shop.levels["B"] == 2
    assert [warning for warning in again.warnings if warning.startswith("1 items that went missing earlier")]
    shop.sync(feed(A=1), at(13))
    assert shop.levels["B"] == 0


def test_an_unmapped_name_that_stood_beside_a_sku_is_not_its_new_one():
    shop = Shop(A=1, B=2)
    shop.sync(feed(A=1, B=2, OTHER=3), at(10))
    shop.sync(feed(A=1, OTHER=3), at(11), known_unmapped={"OTHER"})
    assert shop.levels["B"] == 0


def test_an_unmapped_row_of_the_mapper_holds_absence_back_even_beyond_the_rows_kept():
    shop = Shop(A=1, B=2)
    shop.sync(feed(A=1, B=2), at(10))
    batch = feed(A=1)
    batch.rejections.counts[RejectionKind.UNMAPPED] = 1
    shop.sync(batch, at(11))
    assert shop.levels["B"] == 2


def test_a_row_that_is_refused_is_not_absent():
    shop = Shop(A=1, B=2)
    shop.sync(feed(A=1, B=2), at(10))
    refused = Rejection(RejectionKind.INVALID, "quantity_blank", "blank", "fill", Place("f", 2), sku="B")
    plan = shop.sync(StockBatch.from_levels([StockLevel("A", Decimal(1)), refused]), at(11))
    assert shop.levels["B"] == 2
    assert plan.figures.missing == 0
    assert plan.counts.add_up


def test_a_refused_row_without_a_location_stands_for_all_locations_of_its_product():
    sold = [StockLevel(sku, Decimal(1), "N") for sku in "ABC"]
    in_table = pl.DataFrame([(sku, "N", 1, None) for sku in "ABC"], schema=LEVELS, orient="row")
    ledger, _ = Ledger.empty().record(
        make_plan(StockBatch.from_levels(sold), in_table, Ledger.empty(), settings(at(10))).observed
    )
    refused = Rejection(RejectionKind.INVALID, "location_blank", "blank", "fill", Place("f", 2), sku="B")
    plan = make_plan(StockBatch.from_levels([sold[0], refused]), in_table, ledger, settings(at(11))).plan
    assert {item.sku: item.new for item in plan.items()} == {"A": 1, "C": 0}


def test_a_snapshot_of_one_location_says_nothing_about_another():
    both = [StockLevel("A", Decimal(1), "N"), StockLevel("A", Decimal(1), "S")]
    in_table = pl.DataFrame([("A", "N", 1, None), ("A", "S", 1, None)], schema=LEVELS, orient="row")
    first = make_plan(StockBatch.from_levels(both), in_table, Ledger.empty(), settings(at(10)))
    ledger, _ = Ledger.empty().record(first.observed)
    assert ledger.frame.height == 2
    plan = make_plan(StockBatch.from_levels(both[:1]), in_table, ledger, settings(at(11))).plan
    assert [(item.location, item.new) for item in plan.items()] == [("N", 1)]
    assert (plan.figures.known, plan.figures.missing) == (1, 0)


def test_what_was_supplied_after_the_snapshot_was_made_is_not_absent():
    shop = Shop(A=1, B=2)
    shop.sync(feed(A=1, B=2), at(10))
    shop.sync(feed(B=3), at(12), feed=Feed.partial(), channel=Channel.WEBHOOK)
    plan = shop.sync(feed(A=1), at(13), input_as_of=(at(11),))
    assert shop.levels["B"] == 3
    assert outcomes(plan) == {"A": "unchanged"}


def test_parts_of_a_cent_and_of_a_unit_are_floored_and_the_loss_is_told():
    shop = Shop(A=0, B=0, C=0, D=0)
    plan = shop.sync(feed(A="0.999999999", B="-0.000000001", C="-1.5", D="3"), at(10))
    assert shop.levels == {"A": 0, "B": -1, "C": -2, "D": 3}
    assert "3 quantities were floored to whole units" in plan.warnings[0]
    cents = make_plan(feed(A="2.675", B="-2.675"), table(shop.levels), Ledger.empty(), settings(at(10), places=2)).plan
    assert {item.sku: item.new for item in cents.items()} == {"A": Decimal("2.67"), "B": Decimal("-2.68")}


def test_floors_are_exact_where_a_float_would_not_be():
    great = "123456789012345678.999999999"
    plan = make_plan(feed(A=great), table({"A": 0}), Ledger.empty(), settings(at(10))).plan
    assert next(plan.items()).new == Decimal(123456789012345678)


def test_a_row_without_a_product_or_location_is_listed_with_its_place_and_never_planned():
    rows = [
        StockLevel("A", Decimal(1), "N", place=Place("stock.csv", 2)),
        StockLevel("A", Decimal(2), "S", place=Place("stock.csv", 3)),
        StockLevel("X", Decimal(3), "N", place=Place("stock.csv", 4)),
    ]
    in_table = pl.DataFrame([("A", "N", 0, None)], schema=LEVELS, orient="row")
    plan = make_plan(StockBatch.from_levels(rows), in_table, Ledger.empty(), settings(at(10))).plan
    refused = [(one.reason, str(one.place), one.sku, one.location, one.quantity) for one in plan.rejections.kept]
    assert refused == [
        ("unknown_location", "stock.csv, line 3", "A", "S", Decimal(2)),
        ("unknown_sku", "stock.csv, line 4", "X", "N", Decimal(3)),
    ]
    assert [(item.sku, item.location, str(item.place)) for item in plan.items()] == [("A", "N", "stock.csv, line 2")]


def test_the_rows_listed_are_bounded_and_their_count_is_exact():
    plan = make_plan(
        feed(**{f"X{n}": 1 for n in range(50)}), table({}), Ledger.empty(), settings(at(10), keep_rejections=7)
    ).plan
    assert (len(plan.rejections.kept), plan.counts.unmapped, plan.counts.rows) == (7, 50, 50)


def test_a_catalog_is_asked_once_and_only_for_skus_without_a_row():
    asked = []

    def known(skus):
        asked.append(sorted(skus))
        return {"NEW"}

    plan = make_plan(
        feed(A=1, NEW=2, X=3), table({"A": 1}), Ledger.empty(), settings(at(10), inserts=True, known=known)
    ).plan
    assert asked == [["NEW", "X"]]
    assert {item.sku: item.old for item in plan.items()} == {"A": 1, "NEW": None}
    assert plan.counts.unmapped == 1


def test_a_level_of_null_is_written_even_by_the_same_observation():
    shop = Shop(A=5)
    shop.sync(feed(A=5), at(10), input_as_of=(at(10),))
    shop.levels["A"] = None
    assert outcomes(shop.sync(feed(A=5), at(11), input_as_of=(at(10),))) == {"A": "changed"}


class Wary:
    def judge(self, figures):
        return Verdict("Wary", VerdictAction.HOLD, "too much changes") if figures.changed else None


class Warier:
    def judge(self, figures):
        return Verdict("Warier", VerdictAction.HOLD, "it objects now, and nobody has seen that")


def test_a_sink_that_inserts_takes_every_sku_for_a_product_where_there_is_no_catalog():
    plan = make_plan(feed(A=1, NEW=2), table({"A": 1}), Ledger.empty(), settings(at(10), inserts=True)).plan
    assert {item.sku: (item.old, item.new) for item in plan.items()} == {"A": (1, 1), "NEW": (None, 2)}


def test_a_held_plan_changes_nothing_and_its_approval_lets_just_this_plan_pass():
    shop = Shop(A=1, B=2)
    held = shop.sync(feed(A=1, B=5), at(10), guards=(Wary(),))
    assert outcomes(held) == {"A": "unchanged", "B": "held"}
    assert (held.counts.held, held.counts.changed, held.counts.products_updated) == (1, 0, 0)
    assert held.counts.add_up
    approved = Approval(held.digest, frozenset({"Wary"}))
    assert shop.sync(feed(A=1, B=6), at(10), guards=(Wary(),), approved=approved).held
    assert shop.sync(feed(A=1, B=5), at(10), guards=(Wary(), Warier()), approved=approved).held
    passed = shop.sync(feed(A=1, B=5), at(11), guards=(Wary(),), approved=approved)
    assert not passed.held
    assert [verdict.action for verdict in passed.verdicts] == [VerdictAction.WARN]
    assert shop.levels == {"A": 1, "B": 5}


def test_rows_of_one_input_without_a_time_make_the_plan_unobserved():
    levels = [StockLevel("A", Decimal(1), place=Place("one", 1)), StockLevel("B", Decimal(1), place=Place("two", 1))]
    batch = StockBatch.from_levels(levels)
    half = make_plan(batch, table({"A": 0, "B": 0}), Ledger.empty(), settings(at(12), input_as_of=(at(9), None))).plan
    assert {item.sku: item.as_of for item in half.items()} == {"A": at(9), "B": at(12)}
    assert (half.observed, half.as_of) == (False, None)
    whole = make_plan(batch, table({"A": 0, "B": 0}), Ledger.empty(), settings(at(12), input_as_of=(at(9), at(9)))).plan
    assert (whole.observed, whole.as_of) == (True, at(9))


def test_what_is_absent_from_an_input_without_a_time_makes_the_plan_unobserved():
    shop = Shop(A=1, B=2)
    shop.sync(feed(A=1, B=2), at(10))
    dated = StockBatch.from_levels([StockLevel("A", Decimal(1), as_of=at(11))])
    assert make_plan(dated, table(shop.levels), shop.ledger, settings(at(12), feed=Feed.snapshot())).plan.observed
    assert not shop.sync(dated, at(12)).observed
    assert shop.levels["B"] == 0


def test_an_empty_feed_plans_nothing_where_it_names_no_location():
    shop = Shop(A=1)
    shop.sync(feed(A=1), at(10))
    plan = shop.sync(feed(), at(11))
    assert (plan.counts.items, plan.figures.rows, plan.figures.missing) == (0, 0, 0)
    plan = make_plan(feed(), table({"A": 1}), shop.ledger, settings(at(11), located=False)).plan
    assert (plan.figures.zeroed, plan.figures.missing) == (1, 1)


def test_later_of_two_polls_advances_the_time_by_exactly_that_much():
    shop = Shop(A=1)
    shop.sync(feed(A=1), at(10))
    shop.sync(feed(A=1), at(10) + timedelta(microseconds=1))
    assert shop.ledger.frame["as_of"].to_list() == [at(10) + timedelta(microseconds=1)]


def test_what_several_inputs_leave_out_was_absent_only_when_the_oldest_of_them_was_made():
    shop = Shop(A=1, B=2, C=3)
    shop.sync(feed(A=1, B=2, C=3), at(10))
    shop.sync(feed(C=4), at(12), feed=Feed.partial())
    rows = [StockLevel("A", Decimal(1), place=Place("old", 1)), StockLevel("A2", Decimal(1), place=Place("new", 1))]
    shop.levels["A2"] = 0
    plan = shop.sync(StockBatch.from_levels(rows), at(14), input_as_of=(at(11), at(13)))
    assert {item.sku: item.as_of for item in plan.items() if item.cause is PlanCause.ABSENT} == {"B": at(11)}
    assert (shop.levels["B"], shop.levels["C"]) == (0, 4)
