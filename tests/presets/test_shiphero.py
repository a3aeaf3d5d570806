from __future__ import annotations

import json

import pytest
from attrs import evolve

from inventory_sources.presets import shiphero
from inventory_sources.rest import RestConnector
from inventory_sources.testing.servers import Request, Response

from .vendors import FAULTS, KEY, TOKEN, answer, faulty, stored, synced

PRESET = shiphero(KEY, customer_account_id="QWNjb3VudDo1")
PLACE, OTHER = "V2FyZWhvdXNlOjE=", "V2FyZWhvdXNlOjI="
PRODUCTS = [
    ("00123", PLACE, 4),
    ("00123", OTHER, 6),
    ("NEG", PLACE, -2),
    ("ZERO", PLACE, 0),
    ("GONE", PLACE, None),
    (None, PLACE, 1),
    ("Z", OTHER, 7),
]
LEVELS = {("00123", PLACE): 4, ("00123", OTHER): 6, ("NEG", PLACE): 0, ("ZERO", PLACE): 0, ("Z", OTHER): 7}


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDOR_KEY", "r3fresh")


def vendor(request: Request) -> Response:
    body = json.loads(request.body)
    if request.path == "/auth/refresh":
        if body != {"refresh_token": "r3fresh"}:
            return answer({"error": "invalid_grant"}, 403)
        return answer({"access_token": TOKEN, "expires_in": 2419200, "scope": "openid", "token_type": "Bearer"})
    assert request.path == "/graphql"
    if request.headers.get("authorization") != f"Bearer {TOKEN}":
        return answer({"message": "Unauthorized"}, 401)
    assert "node { id sku warehouse_id available }" in body["query"]
    assert body["variables"]["customer"] == "QWNjb3VudDo1"
    at = int(body["variables"].get("after", "0"))
    edges = [
        {"node": {"id": f"id-{n}", "sku": sku, "warehouse_id": place, "available": left}}
        for n, (sku, place, left) in enumerate(PRODUCTS[at : at + 2], at)
    ]
    info = {"hasNextPage": at + 2 < len(PRODUCTS), "endCursor": str(at + 2)}
    return answer({"data": {"warehouse_products": {"data": {"pageInfo": info, "edges": edges}}}})


def no_credits(wait: str) -> Response:
    error = {"code": 30, "message": "There are not enough credits", "required_credits": 201, "time_remaining": wait}
    return answer({"errors": [error]})


def test_all_products_of_all_pages():
    done = synced(PRESET, vendor)
    assert done.result == "completed"
    assert done.levels == LEVELS
    assert sorted(done.rejected) == [("", "sku_blank"), ("GONE", "quantity_null")]
    assert len(done.requests) == 5


def test_read_twice_the_list_is_proven():
    connector = PRESET.connector
    assert isinstance(connector, RestConnector)
    assert synced(evolve(PRESET, connector=evolve(connector, verify=True)), vendor).run.evidence == "last_page"


def test_a_wrong_refresh_token_waits_for_an_edit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VENDOR_KEY", "other")
    done = synced(PRESET, vendor)
    assert (done.failure, done.levels) == ("access_refused", {})


def test_a_page_waits_for_credits():
    seen: list[Request] = []

    def once(request: Request) -> Response:
        seen.append(request)
        return no_credits("0 seconds") if len(seen) == 3 else vendor(request)

    assert synced(PRESET, once).levels == LEVELS


def test_a_long_wait_for_credits_ends_the_sync_and_comes_back():
    done = synced(PRESET, faulty(vendor, 3, no_credits("45 seconds")))
    assert (done.failure, done.levels) == ("rate_limited", {})


def test_an_error_beside_data_is_refused():
    broken = {"data": {"warehouse_products": None}, "errors": [{"message": "oops", "path": ["warehouse_products"]}]}
    assert synced(PRESET, faulty(vendor, 3, answer(broken))).levels == {}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_between_pages_changes_nothing(fault: str):
    done = synced(PRESET, faulty(vendor, 3, FAULTS[fault]))
    assert (done.result, done.levels) == ("failed", {})


def test_it_can_be_stored():
    assert stored(PRESET) == PRESET
