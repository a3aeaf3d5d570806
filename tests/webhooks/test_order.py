"""Sequence numbers without event times: late deliveries never win, and what is missing is noticed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory_sources.run import Trigger
from inventory_sources.webhooks import EventFacts
from tests.webhooks.shop import Pulled, PushedShop

NUMBERED = EventFacts(sequence="n")
BY_ITEM = EventFacts(sequence="n", sequence_of="items.0.sku")


def push(shop: PushedShop, number: int, **levels: int) -> None:
    """A delivery of its own moment."""
    shop.passes(seconds=1)
    assert shop.deliver_with({"n": number}, levels).status == 200


@pytest.mark.parametrize("between", [False, True])
@given(st.permutations(range(1, 7)))
def test_the_highest_number_wins_in_any_order_and_its_predecessors_keep_theirs(between: bool, order: list[int]) -> None:
    shop = PushedShop(facts=NUMBERED)
    for number in order:
        push(shop, number, A1=number * 10, **{f"A{2 + number % 2}": number})
        if between:
            shop.engine.run_due()
    shop.run()
    assert shop.levels() == {"A1": 60, "A2": 6, "A3": 5}


@given(st.lists(st.tuples(st.sampled_from(["A1", "A2", "A3"]), st.booleans()), max_size=12), st.randoms())
def test_of_each_item_the_highest_number_wins_whenever_runs_happen(sent: list[tuple[str, bool]], chance: Any) -> None:
    numbered = list(enumerate(sent, 1))
    chance.shuffle(numbered)
    shop = PushedShop(facts=NUMBERED)
    for number, (sku, runs) in numbered:
        push(shop, number, **{sku: number + 100})
        if runs:
            shop.engine.run_due()
    shop.run()
    assert shop.levels() == {sku: number + 100 for number, (sku, _) in enumerate(sent, 1)}


def test_numbers_count_for_each_item_by_itself() -> None:
    shop = PushedShop(facts=BY_ITEM)
    push(shop, 7, A1=7)
    push(shop, 3, A2=3)
    push(shop, 6, A1=6)
    push(shop, 4, A2=4)
    shop.run()
    push(shop, 5, A1=5)
    shop.run()
    assert shop.levels() == {"A1": 7, "A2": 4}


def test_large_steps_between_numbers_do_not_age_a_delivery_that_came_in_order() -> None:
    shop = PushedShop(facts=NUMBERED)
    push(shop, 1_700_000_000_000, A1=1)
    shop.run()
    push(shop, 1_700_060_000_000, A1=2)
    push(shop, 1_800_000_000_000, A2=3)
    shop.run()
    assert shop.levels() == {"A1": 2, "A2": 3}


def test_of_a_number_given_twice_the_later_receipt_wins() -> None:
    shop = PushedShop(facts=NUMBERED)
    push(shop, 1, A1=1)
    push(shop, 2, A1=2)
    push(shop, 2, A1=3)
    (run,) = shop.run()
    assert shop.levels() == {"A1": 3}
    assert not run.warnings


def test_a_gap_without_a_pull_is_a_warning_and_the_first_number_is_none() -> None:
    shop = PushedShop(facts=NUMBERED)
    push(shop, 41, A1=1)
    (first,) = shop.run()
    assert not first.warnings
    push(shop, 43, A1=2)
    (run,) = shop.run()
    assert [warning.partition(" before")[0] for warning in run.warnings] == ["number 42 is missing"]
    push(shop, 42, A2=7)
    push(shop, 44, A1=3)
    (run,) = shop.run()
    assert not run.warnings
    assert shop.levels() == {"A1": 3, "A2": 7}


def test_a_gap_beside_a_pull_is_filled_by_exactly_one() -> None:
    pull = Pulled({"A1": 5, "A2": 6})
    shop = PushedShop(facts=NUMBERED, pull=pull)
    push(shop, 1, A1=1)
    assert [run.trigger for run in shop.run()] == [Trigger.WEBHOOK]
    push(shop, 3, A1=3)
    shop.passes(seconds=1)
    assert [run.trigger for run in shop.run()] == [Trigger.WEBHOOK, Trigger.SCHEDULED]
    assert pull.fetches == 1
    assert shop.levels() == {"A1": 5, "A2": 6}
    push(shop, 4, A1=4)
    assert [run.trigger for run in shop.run()] == [Trigger.WEBHOOK]
    assert pull.fetches == 1


@pytest.mark.parametrize("alone", [False, True])
def test_a_delivery_that_cannot_be_read_has_its_gap_filled_once(alone: bool) -> None:
    pull = Pulled({"A1": 5})
    shop = PushedShop(facts=NUMBERED, pull=pull)
    push(shop, 1, A1=1)
    shop.run()
    shop.deliver(b'{"n": 3, "nothing": []}')
    if not alone:
        push(shop, 4, A2=4)
    shop.run()
    assert pull.fetches == 1
    for number in range(5 if not alone else 4, 9):
        shop.passes(hours=2)
        push(shop, number, A2=number)
        shop.run()
    assert pull.fetches == 1


def test_more_numbers_than_are_looked_at_once_are_in_order_all_the_same() -> None:
    shop = PushedShop(facts=NUMBERED)
    push(shop, 1, A1=1)
    shop.run()
    for number in range(3, 2200):
        shop.clock.advance(timedelta(milliseconds=2))
        shop.deliver_with({"n": number}, {"A2": number})
    shop.run()
    push(shop, 2, A1=2, A2=2)
    push(shop, 2200, A3=7)
    (run,) = shop.run()
    assert not any("missing" in warning for warning in run.warnings)
    assert shop.levels() == {"A1": 2, "A2": 2199, "A3": 7}
