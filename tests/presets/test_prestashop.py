from __future__ import annotations

import base64
import re

import pytest
from attrs import evolve

from inventory_sources.presets import prestashop
from inventory_sources.testing.servers import Request, Response

from .vendors import FAULTS, KEY, TOKEN, answer, faulty, query, stored, synced

PRESET = prestashop("https://shop.example/ps/", KEY, location="shop")
LISTS = {
    "products": [
        {"id": 1, "reference": "00123"},
        {"id": 2, "reference": "SHIRT"},
        {"id": 3, "reference": ""},
        {"id": 4, "reference": "BACKORDER"},
        {"id": 5, "reference": "ZERO"},
        {"id": 6, "reference": "EMPTY-PARENT"},
        {"id": 7, "reference": "TWICE"},
        {"id": 8, "reference": "TWICE"},
    ],
    "combinations": [
        {"id": 21, "id_product": 2, "reference": "SHIRT-S"},
        {"id": 22, "id_product": 2, "reference": "SHIRT-M"},
        {"id": 23, "id_product": 2, "reference": ""},
        {"id": 61, "id_product": 6, "reference": "NO-STOCK-ROW"},
    ],
    # Each with product, combination and quantity.
    "stock_availables": [
        (11, 1, 0, 4),
        (12, 2, 0, 14),
        (13, 2, 21, 5),
        (14, 2, 22, 9),
        (15, 2, 23, 7),
        (16, 3, 0, 8),
        (17, 4, 0, -2),
        (18, 5, 0, 0),
        (19, 6, 0, 77),
        (20, 7, 0, 1),
        (21, 8, 0, 2),
        (23, 99, 0, 6),
    ],
}
EXPECTED = {"00123": 4, "SHIRT-S": 5, "SHIRT-M": 9, "BACKORDER": 0, "ZERO": 0}


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDOR_KEY", TOKEN)


def shop(request: Request) -> Response:
    if request.headers.get("authorization") != f"Basic {base64.b64encode(f'{TOKEN}:'.encode()).decode()}":
        return Response(b"401 Unauthorized", 401, {"WWW-Authenticate": 'Basic realm="PrestaShop"'})
    resource = re.fullmatch(r"/ps/api/(\w+)", request.path.partition("?")[0])[1]
    asked = query(request)
    assert (asked["output_format"], asked["sort"], asked["limit"]) == ("JSON", "[id_ASC]", "1000")
    above = int(re.fullmatch(r">\[(\d+)\]", asked["filter[id]"])[1])
    names = asked["display"].strip("[]").split(",")
    rows = [row if isinstance(row, dict) else dict(zip(names, row, strict=True)) for row in LISTS[resource]]
    assert all(set(row) == set(names) for row in rows)
    found = [row for row in rows if row["id"] > above][:4]
    return answer({resource: found} if found else [])


def plain(levels: dict) -> dict:
    assert {place for _, place in levels} <= {"shop"}
    return {sku: int(level) for (sku, _), level in levels.items()}


def test_products_and_combinations_but_no_sums():
    done = synced(PRESET, shop)
    assert done.result == "completed"
    assert plain(done.levels) == EXPECTED
    reasons = sorted(reason for _, reason in done.rejected)
    assert reasons == ["duplicate_key", "duplicate_key", "sku_blank", "sku_blank", "sku_blank"]
    assert "last_page" in str(done.run.evidence)


def test_a_shop_that_passes_over_the_filter_is_refused():
    def script(request: Request) -> Response:
        return shop(evolve(request, path=re.sub(r"%3E%5B\d+%5D", "%3E%5B0%5D", request.path)))

    done = synced(PRESET, script)
    assert (done.result, done.levels) == ("failed", {})


@pytest.mark.parametrize("emptied", ["products", "combinations"])
def test_a_list_that_is_empty_although_stock_names_its_records_is_refused(emptied: str):
    done = synced(PRESET, lambda request: answer([]) if f"/{emptied}?" in request.path else shop(request))
    assert (done.result, done.failure, done.levels) == ("failed", "input_incomplete", {})


def test_a_shop_without_combinations_needs_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(LISTS, "combinations", [])
    monkeypatch.setitem(LISTS, "stock_availables", [row for row in LISTS["stock_availables"] if row[2] == 0])
    levels = plain(synced(PRESET, shop).levels)
    assert (levels["00123"], levels["SHIRT"], levels["EMPTY-PARENT"]) == (4, 14, 77)


def test_a_wrong_key(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VENDOR_KEY", "wrong")
    done = synced(PRESET, shop)
    assert (done.failure, done.levels) == ("access_refused", {})


def test_an_error_in_the_body():
    document = {"errors": [{"code": 32, "message": "Unable to display this field"}]}
    done = synced(PRESET, lambda _: answer(document, 400))
    assert (done.result, done.levels) == ("failed", {})


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("number", [2, 6, 9])
def test_a_fault_in_a_page_of_each_list(fault: str, number: int):
    done = synced(PRESET, faulty(shop, number, FAULTS[fault]))
    assert (done.result, done.levels) == ("failed", {})


def test_a_limit_of_the_host_is_waited_for():
    answers = iter([None, Response(b"slow down", 429, {"Retry-After": "0"})])
    assert plain(synced(PRESET, lambda request: next(answers, None) or shop(request)).levels) == EXPECTED


def test_a_stored_preset_is_the_same():
    assert evolve(stored(PRESET), documented=(), unverified=()) == evolve(PRESET, documented=(), unverified=())
