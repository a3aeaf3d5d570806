from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

from inventory_sources.presets import Preset, odoo, odoo_rpc
from inventory_sources.testing.servers import Request, Response

from .vendors import FAULTS, KEY, answer, faulty, stored, synced


def by_two(preset: Preset) -> Preset:
    """The preset with two products to a page."""
    text = json.dumps(preset.connector.body).replace('"limit": 500', '"limit": 2')  # type: ignore[attr-defined]
    return evolve(preset, connector=evolve(preset.connector, body=json.loads(text)))


NEW = by_two(odoo("https://shop.odoo.test/", KEY, database="shop", location_id=8))
OLD = by_two(odoo_rpc("https://shop.odoo.test", KEY, database="shop", version=16, user_id=7, quantity="on_hand"))
#: Id, reference, free and on hand as JSON; Odoo writes false for a blank text.
PRODUCTS = [
    (3, "00123", "4.0", "5.0"),
    (4, False, "1.0", "1.0"),
    (9, "A-1", "12.125", "13.0"),
    (11, "NEG", "-2.0", "0.0"),
    (20, "ZERO", "0.0", "2.0"),
    (21, "TWICE", "1.0", "1.0"),
    (30, "TWICE", "2.0", "2.0"),
    (31, "ODD", "1e-05", "1.0"),
]


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDOR_KEY", "k3y")


def found(domain: list[Any], options: dict[str, Any]) -> str:
    (above, storable, named) = domain
    assert above[:2] == ["id", ">"] and named == ["default_code", "!=", False]
    assert storable in (["is_storable", "=", True], ["type", "=", "product"])
    assert options["order"] == "id"
    field = options["fields"][1]
    rows = [
        f'{{"id": {id_}, "default_code": {json.dumps(code)}, "{field}": {free if field == "free_qty" else whole}}}'
        for id_, code, free, whole in PRODUCTS
        if id_ > above[2]
    ]
    return f"[{', '.join(rows[: options['limit']])}]"


def json_2(request: Request) -> Response:
    assert (request.method, request.path) == ("POST", "/json/2/product.product/search_read")
    if request.headers["authorization"].lower() != "bearer k3y":
        return answer({"name": "werkzeug.exceptions.Unauthorized", "message": "Invalid apikey"}, 401)
    body = json.loads(request.body)
    assert request.headers["x-odoo-database"] == "shop"
    assert body["context"] == {"location": 8}
    return Response(found(body["domain"], body).encode(), headers={"Content-Type": "application/json; charset=utf-8"})


def json_rpc(request: Request) -> Response:
    body = json.loads(request.body)
    assert (request.path, body["method"], body["params"]["service"]) == ("/jsonrpc", "call", "object")
    database, user, key, model, method, (domain,), options = body["params"]["args"]
    assert (database, user, model, method) == ("shop", 7, "product.product", "search_read")
    if key != "k3y":
        data = {"name": "odoo.exceptions.AccessDenied", "debug": "Traceback", "message": "Access Denied"}
        return answer({"jsonrpc": "2.0", "id": 1, "error": {"code": 200, "message": "Odoo Server Error", "data": data}})
    result = f'{{"jsonrpc": "2.0", "id": 1, "result": {found(domain, options)}}}'
    return Response(result.encode(), headers={"Content-Type": "application/json"})


BOTH = pytest.mark.parametrize(("preset", "vendor"), [(NEW, json_2), (OLD, json_rpc)], ids=["json-2", "json-rpc"])
Script = Callable[[Request], Response]


def test_free_quantities_of_a_location_by_json_2():
    done = synced(NEW, json_2)
    assert done.result == "completed"
    levels = {sku: float(level or 0) for (sku, place), level in done.levels.items() if place == "8"}
    assert levels == {"00123": 4, "A-1": 12.125, "NEG": 0, "ZERO": 0}
    reasons = {reason for _, reason in done.rejected}
    assert reasons == {"sku_blank", "duplicate_key", "quantity_unreadable"}
    assert done.run.evidence == "last_page"
    assert len(done.requests) == 6  # four pages, an empty one, and that again


def test_quantities_on_hand_by_json_rpc():
    done = synced(OLD, json_rpc)
    assert {sku: int(level or 0) for (sku, _), level in done.levels.items()} == {
        "00123": 5,
        "A-1": 13,
        "NEG": 0,
        "ZERO": 2,
        "ODD": 1,
    }
    assert done.run.evidence == "last_page"


@BOTH
def test_a_wrong_key_waits_for_an_edit(preset: Preset, vendor: Script, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VENDOR_KEY", "other")
    done = synced(preset, vendor)
    assert (done.failure, done.levels) == ("access_refused", {})


@BOTH
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_between_pages_changes_nothing(preset: Preset, vendor: Script, fault: str):
    done = synced(preset, faulty(vendor, 3, FAULTS[fault]))
    assert (done.result, done.levels) == ("failed", {})


def test_an_error_with_status_200_changes_nothing_and_shows_no_words():
    data = {"name": "psycopg2.OperationalError", "message": "password=k3y"}
    done = synced(OLD, faulty(json_rpc, 3, answer({"jsonrpc": "2.0", "id": 1, "error": {"code": 200, "data": data}})))
    assert (done.failure, done.levels) == ("server_failed", {})
    assert done.run.failure
    assert "psycopg2.OperationalError" in done.run.failure.message
    assert "k3y" not in done.run.failure.message


def test_a_page_that_was_throttled_is_asked_for_again():
    seen: list[Request] = []

    def once(request: Request) -> Response:
        seen.append(request)
        return answer({}, 429, Retry_After="0") if len(seen) == 2 else json_2(request)

    done = synced(NEW, once)
    assert done.result == "completed"
    assert len(done.requests) == 7


def test_records_out_of_order_are_refused():
    page = [{"id": 9, "default_code": "A", "free_qty": 1}, {"id": 4, "default_code": "B", "free_qty": 1}]
    assert synced(NEW, faulty(json_2, 2, answer(page))).levels == {}


@pytest.mark.parametrize("preset", [NEW, OLD])
def test_it_can_be_stored(preset: Preset):
    assert stored(preset) == preset
