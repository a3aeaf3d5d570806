"""How long a declaration has a request wait; no server, no clock."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from inventory_sources import _json
from inventory_sources.errors import ConfigurationError
from inventory_sources.rest import Budget, CostThrottle, Manners

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "options",
    [
        {"requests_per_second": 0},
        {"requests_per_second": float("nan")},
        {"burst": 0},
        {"tries": 0},
        {"backoff": 0},
        {"max_pause": -1},
        {"retry_after": "X Retry"},
    ],
)
def test_manners_that_cannot_work_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        Manners(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"remaining": "X-Left"},
        {"remaining": "X-Left", "reset": "X-Reset", "per_second": 2},
        {"remaining": "X Left", "per_second": 2},
        {"remaining": "X-Left", "reset": "host"},
        {"remaining": "X-Left", "per_second": 0},
        {"remaining": "X-Left", "per_second": 1, "at_least": 0},
    ],
)
def test_budgets_that_cannot_work_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        Budget(**options)


@pytest.mark.parametrize(
    ("told", "wait"),
    [
        ("39/40", 0.0),
        ("40/40", 0.5),
        ("42/40", 1.5),
        (" 40 / 40 ", 0.5),
        ("1", 0.0),
        ("0", 0.5),
        ("", 0.0),
        ("many", 0.0),
        ("-1", 0.0),
        ("40/", 0.0),
        ("\u0660", 0.0),
        ("1e9", 0.0),
    ],
)
def test_a_bucket_that_leaks_at_a_known_rate(told: str, wait: float) -> None:
    budget = Budget(remaining="X-Shopify-Shop-Api-Call-Limit", per_second=2)
    assert budget.pause({"x-shopify-shop-api-call-limit": told}, NOON) == wait


def test_more_may_be_kept_in_hand() -> None:
    budget = Budget(remaining="X-Left", per_second=2, at_least=4)
    assert [budget.pause({"x-left": left}, NOON) for left in ("5", "4", "3", "0")] == [0.0, 0.0, 0.5, 2.0]


@pytest.mark.parametrize(
    ("reset", "wait"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        (str(int(NOON.timestamp()) + 9), 9.0),
        (str((int(NOON.timestamp()) + 9) * 1000), 9.0),
        (str(int(NOON.timestamp()) - 9), 0.0),
        ("Mon, 02 Mar 2026 12:00:30 GMT", 30.0),
        ("2026-03-02T12:01:00Z", 60.0),
        ("2026-03-02T12:01:00", 60.0),
        ("2026-03-02T11:00:00+00:00", 0.0),
        ("soon", 0.0),
        ("", 0.0),
        ("-3", 0.0),
    ],
)
def test_a_budget_that_says_when_it_is_filled_again(reset: str, wait: float) -> None:
    budget = Budget(remaining="X-RateLimit-Remaining", reset="X-RateLimit-Reset")
    assert budget.pause({"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}, NOON) == wait
    assert budget.pause({"x-ratelimit-remaining": "1", "x-ratelimit-reset": reset}, NOON) == 0.0


def judged(document: object) -> tuple[bool, float]:
    return CostThrottle().judge(_json.parse(json.dumps(document)))


def cost(wanted: float, left: float, rate: float = 50.0) -> dict[str, object]:
    status = {"maximumAvailable": 1000.0, "currentlyAvailable": left, "restoreRate": rate}
    return {"cost": {"requestedQueryCost": wanted, "actualQueryCost": None, "throttleStatus": status}}


THROTTLED = [{"message": "Throttled", "extensions": {"code": "THROTTLED", "documentation": "x"}}]


@pytest.mark.parametrize(
    ("document", "throttled", "wait"),
    [
        ({"data": {}, "extensions": cost(101, 500)}, False, 0.0),
        ({"data": {}, "extensions": cost(101, 76)}, False, 0.5),
        ({"errors": THROTTLED, "extensions": cost(202, 2)}, True, 4.0),
        ({"errors": THROTTLED, "extensions": cost(202, 202)}, True, 0.0),
        ({"errors": THROTTLED}, True, 1.0),
        ({"errors": THROTTLED, "extensions": cost(202, 2, rate=0)}, True, 1.0),
        ({"errors": [{"message": "no"}, *THROTTLED]}, True, 1.0),
        ({"errors": [{"message": "no", "extensions": {"code": "undefinedField"}}]}, False, 0.0),
        ({"errors": "THROTTLED"}, False, 0.0),
        ({"errors": [None, "x", {"extensions": None}]}, False, 0.0),
        ({"data": {}, "extensions": {"cost": "much"}}, False, 0.0),
        ([], False, 0.0),
        (None, False, 0.0),
    ],
)
def test_points_in_the_body(document: object, throttled: bool, wait: float) -> None:
    assert judged(document) == (throttled, wait)


@pytest.mark.parametrize(
    ("budget", "told"),
    [
        (Budget(remaining="X-Left", reset="X-Reset"), {"x-left": "0", "x-reset": "9999-12-31T23:59:59Z"}),
        (Budget(remaining="X-Left", reset="X-Reset"), {"x-left": "0", "x-reset": "999999999999999"}),
        (Budget(remaining="X-Left", per_second=1), {"x-left": "999999999999999/0"}),
    ],
)
def test_no_header_makes_a_source_wait_longer_than_a_day(budget: Budget, told: dict[str, str]) -> None:
    assert budget.pause(told, datetime(2026, 3, 2, tzinfo=UTC)) == 86_400


def test_no_body_makes_a_source_wait_longer_than_a_day() -> None:
    status = {"currentlyAvailable": "0", "restoreRate": "0.000000001"}
    cost = {"requestedQueryCost": "999999999999999", "throttleStatus": status}
    assert CostThrottle().judge({"extensions": {"cost": cost}}) == (False, 86_400)
