from __future__ import annotations

import pytest
from attrs import evolve

from inventory_sources.errors import ConfigurationError
from inventory_sources.presets import bigcommerce
from inventory_sources.testing.servers import Request, Response

from .vendors import FAULTS, KEY, TOKEN, answer, faulty, query, stored, synced

PRESET = bigcommerce("abc123", KEY)
#: SKU, product, tracking, and available by location.
ITEMS = [
    ("00123", 1, "product", {1: 4, 2: 0}),
    ("SHIRT-S", 2, "variant", {1: 3}),
    ("SHIRT-M", 2, "variant", {1: 5, 2: 6}),
    ("UNTRACKED", 3, "none", {1: 9}),
    ("", 4, "product", {1: 8}),
    ("GONE", 5, None, {1: 7}),
    ("BACKORDER", 6, "product", {2: -2}),
    ("NULL", 7, "product", {1: None}),
    ("TWICE", 8, "product", {1: 1}),
    ("TWICE", 9, "product", {1: 2}),
    ("LAST", 10, "product", {2: 11}),
]
EXPECTED = {
    ("00123", "1"): 4,
    ("00123", "2"): 0,
    ("SHIRT-S", "1"): 3,
    ("SHIRT-M", "1"): 5,
    ("SHIRT-M", "2"): 6,
    ("BACKORDER", "2"): 0,
    ("LAST", "2"): 11,
}


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDOR_KEY", TOKEN)


def store(request: Request) -> Response:
    if request.headers.get("x-auth-token") != TOKEN:
        return answer({"status": 401, "title": "X-Auth-Token header is required"}, 401)
    path, asked = request.path.partition("?")[0], query(request)
    if path == "/stores/abc123/v3/catalog/products":
        wanted = asked["id:in"].split(",")
        assert len(wanted) <= int(asked["limit"])
        found = {number: kind for _, number, kind, _ in ITEMS if str(number) in wanted and kind}
        rows = [{"id": number, "inventory_tracking": kind} for number, kind in found.items()]
        total = {"total": len(rows), "current_page": 1, "total_pages": 1}
        return answer({"data": rows, "meta": {"pagination": total}})
    assert (path, asked["limit"]) == ("/stores/abc123/v3/inventory/items", "1000")
    at = (int(asked["page"]) - 1) * 4
    rows = [
        {
            "identity": {"sku": sku, "product_id": product, "variant_id": number + 100},
            "locations": [
                {"location_id": place, "available_to_sell": left, "total_inventory_onhand": (left or 0) + 10}
                for place, left in levels.items()
            ],
        }
        for number, (sku, product, _, levels) in list(enumerate(ITEMS))[at : at + 4]
    ]
    pages = {"total": len(ITEMS), "count": len(rows), "per_page": 4, "current_page": at // 4 + 1, "total_pages": 3}
    return answer({"data": rows, "meta": {"pagination": pages}}, X_Rate_Limit_Requests_Left="100")


def test_each_item_at_each_location():
    done = synced(PRESET, store)
    assert done.result == "completed"
    assert done.levels == EXPECTED
    assert sorted(done.rejected) == [
        ("", "sku_blank"),
        ("GONE", "quantity_null"),
        ("NULL", "quantity_null"),
        ("TWICE", "duplicate_key"),
        ("TWICE", "duplicate_key"),
        ("UNTRACKED", "quantity_null"),
    ]
    assert len(done.requests) == 4


def test_the_quantity_on_hand():
    done = synced(bigcommerce("abc123", KEY, state="on_hand"), store)
    assert (done.levels["00123", "1"], done.levels["BACKORDER", "2"]) == (14, 8)


def test_reading_twice_proves_the_list_whole():
    assert "last_page" not in str(synced(PRESET, store).run.evidence)
    twice = evolve(PRESET, connector=evolve(PRESET.connector, verify=True))
    assert "last_page" in str(synced(twice, store).run.evidence)


def test_a_wrong_token(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VENDOR_KEY", "wrong")
    done = synced(PRESET, store)
    assert (done.failure, done.levels) == ("access_refused", {})


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("number", [2, 4])
def test_a_fault_in_a_page(fault: str, number: int):
    done = synced(PRESET, faulty(store, number, FAULTS[fault]))
    assert (done.result, done.levels) == ("failed", {})


def test_a_throttled_page_is_asked_for_again():
    slow = Response(b'{"status": 429}', 429, {"X-Rate-Limit-Time-Reset-Ms": "5", "X-Rate-Limit-Requests-Left": "0"})
    answers = iter([None, slow])
    assert synced(PRESET, lambda request: next(answers, None) or store(request)).levels == EXPECTED


def test_what_is_no_store():
    with pytest.raises(ConfigurationError, match="hash"):
        bigcommerce("abc/../x", KEY)
    with pytest.raises(ConfigurationError, match="state"):
        bigcommerce("abc123", KEY, state="sold")


def test_a_stored_preset_is_the_same():
    assert evolve(stored(PRESET), documented=(), unverified=()) == evolve(PRESET, documented=(), unverified=())
