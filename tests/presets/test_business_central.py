from __future__ import annotations

import json
from urllib.parse import parse_qsl

import pytest

from inventory_sources.presets import business_central
from inventory_sources.testing.servers import Request, Response

from .vendors import FAULTS, KEY, TOKEN, answer, faulty, query, stored, synced

PRESET = business_central(
    "11111111-2222-3333-4444-555555555555",
    "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
    client_id="app",
    client_secret=KEY,
    environment="Sandbox EU",
    location="main",
)
LIST = (
    "/v2.0/11111111-2222-3333-4444-555555555555/Sandbox%20EU/api/v2.0"
    "/companies(aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee)/items"
)
#: Number and inventory as JSON text, two to a page; None leaves the inventory out.
ITEMS = [("00123", "4"), ("1896-S", "12.125"), ("BACK", "-3"), ("NONE", "0"), ("GONE", "null"), ("", "8"), ("Z", "7.0")]


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDOR_KEY", "s3cret")


def vendor(request: Request) -> Response:
    path = request.path.partition("?")[0]
    if path.endswith("/oauth2/v2.0/token"):
        form = dict(parse_qsl(request.body.decode()))
        good = form["client_secret"] == "s3cret" and form["grant_type"] == "client_credentials"
        good = good and form["scope"] == "https://api.businesscentral.dynamics.com/.default"
        if not good:
            return answer({"error": "invalid_client", "error_description": "AADSTS7000215"}, 401)
        return answer({"token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN})
    if request.headers.get("authorization") != f"Bearer {TOKEN}":
        return answer({"error": {"code": "Authentication_InvalidCredentials", "message": "..."}}, 401)
    if path != LIST:
        return answer({"error": {"code": "Internal_CompanyNotFound", "message": "..."}}, 404)
    asked = query(request)
    assert asked["$filter"] == "type eq 'Inventory'"
    assert request.headers["prefer"] == "odata.maxpagesize=2000"
    at = int(asked.get("$skiptoken", "0"))
    rows = ", ".join(
        f'{{"@odata.etag": "x", "id": "id-{at + n}", "number": {json.dumps(number)}, "inventory": {inventory}}}'
        for n, (number, inventory) in enumerate(ITEMS[at : at + 2])
    )
    link = ""
    if at + 2 < len(ITEMS):
        host = f"http://{request.headers['host']}"
        more = f"{host}{LIST}?$select=id,number,inventory&$filter=type%20eq%20'Inventory'&$skiptoken={at + 2}"
        link = f', "@odata.nextLink": {json.dumps(more)}'
    return Response(f'{{"value": [{rows}]{link}}}'.encode(), headers={"Content-Type": "application/json"})


EXPECTED = {("00123", "main"): 4, ("1896-S", "main"): pytest.approx(12.125), ("BACK", "main"): 0, ("NONE", "main"): 0}


def test_all_items_of_all_pages():
    done = synced(PRESET, vendor)
    assert done.result == "completed"
    assert {key: float(level) for key, level in done.levels.items()} == {**EXPECTED, ("Z", "main"): 7}
    assert sorted(done.rejected) == [("", "sku_blank"), ("GONE", "quantity_null")]
    assert len(done.requests) == 5
    assert done.run.evidence == "none"


def test_a_wrong_secret_waits_for_an_edit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VENDOR_KEY", "other")
    done = synced(PRESET, vendor)
    assert (done.result, done.failure, done.levels) == ("failed", "access_refused", {})


def test_too_many_requests_wait_as_told():
    done = synced(PRESET, faulty(vendor, 3, answer({"error": {"code": "429"}}, 429, Retry_After="120")))
    assert (done.failure, done.levels) == ("rate_limited", {})


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_between_pages_changes_nothing(fault: str):
    done = synced(PRESET, faulty(vendor, 4, FAULTS[fault]))
    assert (done.result, done.levels) == ("failed", {})


def test_an_item_that_comes_twice_is_read_anew_and_then_refused():
    twice = faulty(vendor, 4, answer({"value": [{"id": "id-0", "number": "00123", "inventory": 1}]}))
    assert synced(PRESET, twice).failure == "input_incomplete"


def test_two_items_of_one_number_are_both_refused():
    page = {"value": [{"id": n, "number": "SAME", "inventory": 1} for n in ("a", "b")]}
    assert synced(PRESET, faulty(vendor, 2, answer(page))).levels == {}


def test_it_can_be_stored(monkeypatch: pytest.MonkeyPatch):
    assert stored(PRESET) == PRESET
