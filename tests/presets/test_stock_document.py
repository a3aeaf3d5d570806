from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from inventory_sources import StockLevel
from inventory_sources.presets import stock_document, stock_page
from inventory_sources.testing.servers import Request, Response

from .vendors import FAULTS, KEY, answer, faulty, query, stored, synced

PRESET = stock_document("https://shop.example.com/stock?kind=all", token=KEY)
SEEN = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
LEVELS = [
    StockLevel("00123", Decimal(4), "a", SEEN),
    StockLevel("00123", Decimal("0.125"), "b", SEEN),
    StockLevel("A-1", Decimal("12.5"), "a"),
    StockLevel("BIG", Decimal("1E+3"), "a", SEEN),
    StockLevel("ZERO", Decimal(0), "a", SEEN),
]


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDOR_KEY", "k3y")


def publisher(request: Request) -> Response:
    if request.headers.get("authorization") != "Bearer k3y":
        return answer({}, 401)
    at = int(query(request).get("after", "0"))
    following = f"/stock?kind=all&after={at + 2}" if at + 2 < len(LEVELS) else None
    return answer(stock_page(LEVELS[at : at + 2], following))


def page(*levels: dict[str, object], following: object = None) -> Response:
    return answer({"format": "inventory-sources/1", "levels": levels, "next": following})


def test_what_is_published_is_read():
    done = synced(PRESET, publisher)
    assert done.result == "completed"
    assert done.levels == {(level.sku, level.location): level.quantity for level in LEVELS}
    assert done.run.evidence == "last_page"
    assert len(done.requests) == 3


def test_an_unknown_quantity_is_not_zero():
    levels = [{"sku": "A", "location": "", "quantity": None}, {"sku": "B", "location": "", "quantity": "-1"}]
    done = synced(stock_document("https://shop.example.com/", token=KEY, locations=False), lambda _: page(*levels))
    assert done.levels == {}
    assert done.rejected == [("A", "quantity_null"), ("B", "quantity_negative")]


@pytest.mark.parametrize(
    "answered",
    [
        answer({"levels": [], "next": None}),
        answer({"format": "inventory-sources/1", "levels": []}),
        page({"sku": "A", "quantity": "1"}),
        page({"sku": "B", "location": "", "quantity": "1"}, {"sku": "A", "location": "", "quantity": "1"}),
        page({"sku": "A", "location": "", "quantity": "1"}, {"sku": "A", "location": "", "quantity": "1"}),
    ],
    ids=["no format", "no next", "no location", "not sorted", "twice"],
)
def test_what_is_no_stock_document_is_refused(answered: Response):
    done = synced(PRESET, lambda _: answered)
    assert (done.failure, done.levels) == ("structure_invalid", {})


def test_a_wrong_token_waits_for_an_edit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VENDOR_KEY", "other")
    assert synced(PRESET, publisher).failure == "access_refused"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_between_pages_changes_nothing(fault: str):
    done = synced(PRESET, faulty(publisher, 2, FAULTS[fault]))
    assert (done.result, done.levels) == ("failed", {})


def test_it_can_be_stored():
    assert stored(PRESET) == PRESET
