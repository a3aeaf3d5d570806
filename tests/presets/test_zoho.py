from __future__ import annotations

import json
from urllib.parse import parse_qsl

import pytest
from attrs import evolve

from inventory_sources.errors import ConfigurationError
from inventory_sources.presets import zoho_inventory
from inventory_sources.rest import RestConnector
from inventory_sources.testing.servers import Request, Response

from .vendors import FAULTS, KEY, TOKEN, answer, faulty, query, stored, synced

PRESET = zoho_inventory("60001", client_id="1000.A", client_secret=KEY, refresh_token=KEY, centre="eu", location="main")
#: SKU and stock as JSON text; without a stock it is left out.
ITEMS = [("00123", "4"), ("A-1", "12.125"), ("NEG", "-1.5"), ("ZERO", "0"), ("", "3"), ("GONE", None), ("Z", '"7.00"')]


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDOR_KEY", "s3cret")


def vendor(request: Request) -> Response:
    path = request.path.partition("?")[0]
    if path == "/oauth/v2/token":
        form = dict(parse_qsl(request.body.decode()))
        assert form["grant_type"] == "refresh_token"
        if (form["client_secret"], form["refresh_token"]) != ("s3cret", "s3cret"):
            return answer({"error": "invalid_client"})  # with status 200, as Zoho does
        return answer({"access_token": TOKEN, "api_domain": "x", "token_type": "Bearer", "expires_in": 3600})
    assert path == "/inventory/v1/items"
    if request.headers.get("authorization") != f"Zoho-oauthtoken {TOKEN}":
        return answer({"code": 57, "message": "You are not authorized to perform this operation"}, 401)
    asked = query(request)
    assert (asked["organization_id"], asked["filter_by"], asked["per_page"]) == ("60001", "ItemType.Inventory", "200")
    number = int(asked["page"])
    rows = []
    for n, (sku, stock) in enumerate(ITEMS[number * 2 - 2 : number * 2], number * 2):
        told = "" if stock is None else f', "stock_on_hand": {stock}'
        rows.append(f'{{"item_id": {n}, "sku": {json.dumps(sku)}, "item_type": "inventory"{told}}}')
    more = "true" if number * 2 < len(ITEMS) else "false"
    context = f'{{"page": {number}, "per_page": 2, "has_more_page": {more}}}'
    body = f'{{"code": 0, "message": "success", "items": [{", ".join(rows)}], "page_context": {context}}}'
    return Response(body.encode(), headers={"Content-Type": "application/json;charset=UTF-8"})


def test_all_items_of_all_pages():
    done = synced(PRESET, vendor)
    assert done.result == "completed"
    assert {sku: float(level or 0) for (sku, _), level in done.levels.items()} == {
        "00123": 4,
        "A-1": 12.125,
        "NEG": 0,
        "ZERO": 0,
        "Z": 7,
    }
    assert sorted(done.rejected) == [("", "sku_blank"), ("GONE", "quantity_null")]
    assert [query(request)["page"] for request in done.requests[1:]] == ["1", "2", "3", "4"]


def test_read_twice_the_list_is_proven():
    connector = PRESET.connector
    assert isinstance(connector, RestConnector)
    assert synced(evolve(PRESET, connector=evolve(connector, verify=True)), vendor).run.evidence == "last_page"


def test_a_wrong_secret_waits_for_an_edit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VENDOR_KEY", "other")
    done = synced(PRESET, vendor)
    assert (done.failure, done.levels) == ("access_refused", {})


def test_too_many_requests_wait_as_told():
    throttled = answer({"code": 44, "message": "blocked"}, 429, Retry_After="90")
    done = synced(PRESET, faulty(vendor, 4, throttled))
    assert (done.failure, done.levels) == ("rate_limited", {})


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_between_pages_changes_nothing(fault: str):
    done = synced(PRESET, faulty(vendor, 4, FAULTS[fault]))
    assert (done.result, done.levels) == ("failed", {})


def test_a_page_that_does_not_tell_whether_it_is_the_last_is_refused():
    assert synced(PRESET, faulty(vendor, 3, answer({"code": 0, "items": []}))).levels == {}


def test_only_known_data_centres():
    with pytest.raises(ConfigurationError, match="data centres"):
        zoho_inventory("1", client_id="a", client_secret=KEY, refresh_token=KEY, centre="evil.test/")


def test_it_can_be_stored():
    assert stored(PRESET) == PRESET
