from __future__ import annotations

import json

import pytest
from attrs import evolve

from inventory_sources.errors import ConfigurationError
from inventory_sources.presets import square
from inventory_sources.testing.servers import Request, Response

from .vendors import FAULTS, KEY, TOKEN, answer, faulty, query, stored, synced

PRESET = square(KEY)
SKUS = {
    "V1": "00123",
    "V2": "SHIRT",
    "V3": None,
    "V4": "SOLD",
    "V5": "TWICE",
    "V6": "TWICE",
    "V7": "YARN",
    "V8": "IDLE",
}
COUNTS = [
    ("V1", "L1", "4"),
    ("V1", "L2", "0"),
    ("V2", "L2", "7"),
    ("V3", "L1", "8"),
    ("V4", "L1", "-2"),
    ("V5", "L1", "1"),
    ("V6", "L1", "2"),
    ("V7", "L1", "1.25"),
    ("GONE", "L1", "5"),
]
EXPECTED = {("00123", "L1"): 4, ("00123", "L2"): 0, ("SHIRT", "L2"): 7, ("SOLD", "L1"): 0, ("YARN", "L1"): 1.25}


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDOR_KEY", TOKEN)


def page(name: str, rows: list, cursor: str | None) -> Response:
    at = int(cursor or "0")
    more = {"cursor": str(at + 3)} if at + 3 < len(rows) else {}
    return answer({name: rows[at : at + 3], **more})


def account(request: Request) -> Response:
    if request.headers.get("authorization") != f"Bearer {TOKEN}":
        return answer({"errors": [{"category": "AUTHENTICATION_ERROR", "code": "UNAUTHORIZED"}]}, 401)
    assert request.headers["square-version"] == "2025-01-23"
    path, asked = request.path.partition("?")[0], query(request)
    if (request.method, path) == ("GET", "/v2/catalog/list"):
        assert asked["types"] == "ITEM_VARIATION"
        variations = [
            {"type": "ITEM_VARIATION", "id": name, "item_variation_data": {"sku": sku} if sku else {}}
            for name, sku in SKUS.items()
        ]
        return page("objects", variations, asked.get("cursor"))
    assert (request.method, path) == ("POST", "/v2/inventory/counts/batch-retrieve")
    body = json.loads(request.body)
    assert (body["states"], body["limit"]) == (["IN_STOCK"], 1000)
    counts = [
        {"catalog_object_id": name, "state": "IN_STOCK", "location_id": place, "quantity": quantity}
        for name, place, quantity in COUNTS
        if place in body.get("location_ids", ("L1", "L2"))
    ]
    return page("counts", counts, body.get("cursor"))


def plain(levels: dict) -> dict:
    return {key: float(level) for key, level in levels.items()}


def test_counts_with_the_skus_of_their_variations():
    done = synced(PRESET, account)
    assert done.result == "completed"
    assert plain(done.levels) == EXPECTED
    reasons = sorted(reason for _, reason in done.rejected)
    assert reasons == ["duplicate_key", "duplicate_key", "sku_blank", "sku_blank"]
    assert len(done.requests) == 6


def test_one_location():
    done = synced(square(KEY, locations=["L2"]), account)
    assert plain(done.levels) == {("00123", "L2"): 0, ("SHIRT", "L2"): 7}


def test_a_wrong_token(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VENDOR_KEY", "wrong")
    done = synced(PRESET, account)
    assert (done.failure, done.levels) == ("access_refused", {})


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("number", [2, 5])
def test_a_fault_in_a_page_of_each_list(fault: str, number: int):
    done = synced(PRESET, faulty(account, number, FAULTS[fault]))
    assert (done.result, done.levels) == ("failed", {})


def test_an_answer_without_counts_is_refused():
    done = synced(PRESET, lambda _: answer({}), {"A": 3})
    assert (done.result, done.levels) == ("failed", {("A", ""): 3})


def test_a_limited_page_is_asked_for_again():
    limited = answer({"errors": [{"category": "RATE_LIMIT_ERROR", "code": "RATE_LIMITED"}]}, 429)
    answers = iter([None, limited])
    assert plain(synced(PRESET, lambda request: next(answers, None) or account(request)).levels) == EXPECTED


def test_a_text_is_no_list_of_locations():
    with pytest.raises(ConfigurationError, match="list of ids"):
        square(KEY, locations="L1")


def test_the_sandbox():
    assert square(KEY, sandbox=True).connector.url.startswith("https://connect.squareupsandbox.com/v2/")
    assert PRESET.connector.url.startswith("https://connect.squareup.com/v2/")


def test_a_stored_preset_is_the_same():
    assert evolve(stored(PRESET), documented=(), unverified=()) == evolve(PRESET, documented=(), unverified=())
