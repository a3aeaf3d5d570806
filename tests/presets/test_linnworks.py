from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import evolve

from inventory_sources.presets import Preset, linnworks
from inventory_sources.testing.servers import Request, Response

from .vendors import FAULTS, KEY, TOKEN, answer, faulty, query, stored, synced

PLACE = "5e0f2c1b-0000-4000-8000-000000000001"
PRESET = linnworks(PLACE, application_id="app-1", application_secret=KEY, token=KEY, location="main")
LOGIN, LIST = "/api/Auth/AuthorizeByApplication", "/api/Stock/GetStockItems"
#: SKU, available and on hand.
ITEMS = [("00123", 4, 9), ("NEG", -1, 2), ("ZERO", 0, 3), ("", 3, 3), ("GONE", None, 1), ("Z", 7, 7)]
LEVELS = {("00123", "main"): 4, ("NEG", "main"): 0, ("ZERO", "main"): 0, ("Z", "main"): 7}


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDOR_KEY", "s3cret")


def near(preset: Preset) -> Preset:
    """The preset, whose login may lead to this machine instead of linnworks.net."""
    rest: Any = preset.connector
    return evolve(preset, connector=evolve(rest, auth=evolve(rest.auth, within="127.0.0.1")))


def vendor(request: Request) -> Response:
    if request.path == LOGIN:
        sent = json.loads(request.body)
        if sent != {"ApplicationId": "app-1", "ApplicationSecret": "s3cret", "Token": "s3cret"}:
            return answer({"Code": None, "Message": "Invalid application"}, 401)
        return answer({"Token": TOKEN, "Server": f"http://{request.headers['host']}", "TTL": 1800, "Locality": "EU"})
    if request.headers.get("authorization") != TOKEN:
        return answer({"Message": "Authorization has been denied"}, 401)
    asked = query(request)
    assert request.path.partition("?")[0] == LIST
    assert (asked["locationId"], asked["entriesPerPage"]) == (PLACE, "200")
    assert (asked["excludeComposites"], asked["excludeVariations"]) == ("true", "true")
    number = int(asked["pageNumber"])
    rows = [
        {"StockItemId": f"id-{n}", "ItemNumber": sku, "Available": left, "Quantity": there, "InOrder": 1}
        for n, (sku, left, there) in list(enumerate(ITEMS))[number * 2 - 2 : number * 2]
    ]
    counts = {"PageNumber": number, "EntriesPerPage": 2, "TotalEntries": len(ITEMS), "TotalPages": 3}
    return answer({**counts, "Data": rows})


def test_all_items_of_all_pages():
    done = synced(near(PRESET), vendor)
    assert done.result == "completed"
    assert done.levels == LEVELS
    assert sorted(done.rejected) == [("", "sku_blank"), ("GONE", "quantity_null")]
    assert [query(request)["pageNumber"] for request in done.requests[1:]] == ["1", "2", "3"]


def test_the_quantity_on_hand_and_the_id_as_the_place():
    preset = linnworks(PLACE, application_id="app-1", application_secret=KEY, token=KEY, quantity="on_hand")
    assert synced(near(preset), vendor).levels["00123", PLACE] == 9


def test_a_server_elsewhere_is_not_asked():
    done = synced(PRESET, vendor)
    assert (done.result, done.levels, len(done.requests)) == ("failed", {}, 1)


def test_read_twice_the_list_is_proven():
    preset = near(PRESET)
    done = synced(evolve(preset, connector=evolve(preset.connector, verify=True)), vendor)
    assert "last_page" in str(done.run.evidence)


def test_a_wrong_secret_waits_for_an_edit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VENDOR_KEY", "other")
    done = synced(near(PRESET), vendor)
    assert (done.failure, done.levels) == ("access_refused", {})


def test_a_session_that_ended_is_begun_again():
    answers = iter([None, None, answer({"Message": "Authorization has been denied"}, 401)])
    done = synced(near(PRESET), lambda request: next(answers, None) or vendor(request))
    assert done.levels == LEVELS
    assert [request.path for request in done.requests].count(LOGIN) == 2


def test_too_many_requests_wait_as_told():
    done = synced(near(PRESET), faulty(vendor, 3, answer({}, 429, Retry_After="60")))
    assert (done.failure, done.levels) == ("rate_limited", {})


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_between_pages_changes_nothing(fault: str):
    done = synced(near(PRESET), faulty(vendor, 3, FAULTS[fault]))
    assert (done.result, done.levels) == ("failed", {})


def test_it_can_be_stored():
    assert stored(PRESET) == PRESET
