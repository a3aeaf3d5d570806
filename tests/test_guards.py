"""Guards hold what looks wrong, exactly beyond their thresholds, in words a merchant understands."""

from __future__ import annotations

from fractions import Fraction

import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

from inventory_sources.errors import ConfigurationError
from inventory_sources.guards import EmptyFeed, LowMatch, MassChange, MassZero, ShrunkFeed, default_guards
from inventory_sources.plan import PlanFigures, VerdictAction

CALM = PlanFigures(
    rows=1000, matched=1000, baseline_rows=1000, known=1000, items=1000, changed=10, nonzero=1000, zeroed=0, missing=0,
    snapshot=True,
)  # fmt: skip


def held_by(**changes):
    figures = evolve(CALM, **changes)
    verdicts = [guard.judge(figures) for guard in default_guards()]
    assert all(verdict.action is VerdictAction.HOLD for verdict in verdicts if verdict)
    return [verdict.guard for verdict in verdicts if verdict]


@pytest.mark.parametrize(
    ("changes", "guards"),
    [
        ({}, []),
        ({"rows": 0, "matched": 0, "items": 0, "changed": 0}, ["EmptyFeed", "ShrunkFeed"]),
        ({"rows": 0, "matched": 0, "baseline_rows": None, "known": 0}, ["EmptyFeed"]),
        ({"rows": 0, "snapshot": False}, []),
        ({"rows": 800}, []),
        ({"rows": 799}, ["ShrunkFeed"]),
        ({"rows": 799, "snapshot": False}, []),
        ({"rows": 1, "matched": 1, "baseline_rows": None}, []),
        ({"rows": 2000}, []),
        ({"zeroed": 150}, []),
        ({"zeroed": 151}, ["MassZero"]),
        ({"zeroed": 151, "snapshot": False}, ["MassZero"]),
        ({"zeroed": 151, "baseline_rows": None}, ["MassZero"]),
        ({"zeroed": 3, "nonzero": 20}, []),
        ({"zeroed": 4, "nonzero": 20}, ["MassZero"]),
        ({"zeroed": 1, "nonzero": 3}, ["MassZero"]),
        ({"zeroed": 500, "nonzero": 10_000}, []),
        ({"zeroed": 501, "nonzero": 10_000}, ["MassZero"]),
        ({"missing": 150}, []),
        ({"missing": 151}, ["MassZero"]),
        ({"missing": 501, "known": 10_000}, ["MassZero"]),
        ({"missing": 999, "snapshot": False}, []),
        ({"changed": 500}, []),
        ({"changed": 501}, ["MassChange"]),
        ({"changed": 501, "snapshot": False}, ["MassChange"]),
        ({"changed": 1000, "baseline_rows": None}, []),
        ({"matched": 500, "baseline_rows": None}, []),
        ({"matched": 499, "baseline_rows": None}, ["LowMatch"]),
        ({"matched": 499, "baseline_matched": 1000}, ["LowMatch"]),
        ({"matched": 500, "baseline_matched": 1000}, []),
        ({"matched": 0, "baseline_matched": 0}, []),
        ({"matched": 200, "baseline_matched": 400}, []),
        ({"matched": 199, "baseline_matched": 400}, ["LowMatch"]),
        ({"rows": 20, "matched": 0, "baseline_matched": 900, "snapshot": False}, ["LowMatch"]),
        ({"rows": 19, "matched": 0, "baseline_matched": 900, "snapshot": False}, []),
        ({"matched": 499}, []),
    ],
)
def test_a_plan_is_held_exactly_beyond_the_thresholds(changes, guards) -> None:
    assert held_by(**changes) == guards


shares = st.integers(0, 100)


@given(st.integers(0, 10_000), st.integers(1, 10_000), shares)
@example(29, 100, 29)  # 100 * 0.29 < 29 and 100 * 0.07 > 7 in binary fractions
@example(7, 100, 7)
def test_a_share_is_compared_as_it_is_written(part, whole, percent) -> None:
    share, figures = percent / 100, evolve(CALM, nonzero=whole, zeroed=part, items=whole, changed=part)
    beyond = Fraction(part, whole) > Fraction(percent, 100)
    assert bool(MassZero(share=share, count=10**6).judge(figures)) is (beyond and part > 0)
    assert bool(MassChange(share).judge(figures)) is (beyond and part > 0)
    under = Fraction(part, whole) < Fraction(percent, 100)
    assert bool(ShrunkFeed(share).judge(evolve(CALM, rows=part, baseline_rows=whole))) is under
    assert bool(LowMatch(share).judge(evolve(CALM, matched=part, rows=whole, baseline_rows=None))) is under


def test_a_small_shop_can_let_a_few_pass() -> None:
    three = evolve(CALM, nonzero=3, zeroed=1, items=3, changed=2)
    assert MassZero().judge(three)
    assert MassZero(at_least=2).judge(three) is None
    assert MassChange(at_least=3).judge(three) is None


@pytest.mark.parametrize(
    ("guard", "changes", "told"),
    [
        (EmptyFeed(), {"rows": 0}, ["no rows"]),
        (ShrunkFeed(), {"rows": 10}, ["10 rows", "1000"]),
        (MassZero(), {"zeroed": 400}, ["400 of 1000", "zero"]),
        (MassZero(), {"missing": 300}, ["300 of the 1000", "missing"]),
        (MassChange(), {"changed": 900}, ["900 of 1000"]),
        (LowMatch(), {"matched": 3, "baseline_rows": None}, ["3 of 1000"]),
        (LowMatch(), {"matched": 3, "baseline_matched": 998}, ["3 of 1000", "998 of 1000"]),
    ],
)
def test_a_verdict_gives_the_figures_and_what_to_do(guard, changes, told) -> None:
    verdict = guard.judge(evolve(CALM, **changes))
    assert all(words in verdict.message for words in told)
    assert "Approve this plan" in verdict.message


@pytest.mark.parametrize(
    "make",
    [
        lambda: ShrunkFeed(80),
        lambda: ShrunkFeed(-0.1),
        lambda: MassZero(share=15),
        lambda: MassZero(share=float("nan")),
        lambda: MassZero(count=-1),
        lambda: MassZero(at_least=1.5),
        lambda: MassChange(True),
        lambda: LowMatch("0.5"),
    ],
)
def test_a_threshold_that_means_nothing_is_refused(make) -> None:
    with pytest.raises(ConfigurationError):
        make()
