from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import quote

import pytest
from attrs import evolve

from inventory_sources import Secret
from inventory_sources.errors import ConfigurationError
from inventory_sources.presets import woocommerce
from inventory_sources.testing.servers import Request, Response

from .vendors import FAULTS, KEY, TOKEN, answer, faulty, query, stored, synced

PRESET = woocommerce("https://shop.example/store/", "ck_1", KEY, location="shop")
LIST = "/store/wp-json/wc/v3/products"
#: Id, type, SKU, manage_stock, stock_quantity.
PRODUCTS = [
    (1, "simple", "00123", True, 4),
    (2, "simple", "BACKORDER", True, -2),
    (3, "simple", "UNMANAGED", False, None),
    (4, "variable", "SHIRT", True, 50),
    (5, "simple", "", True, 9),
    (6, "grouped", "BUNDLE", False, None),
    (7, "simple", "NULL", True, None),
    (8, "simple", "HALF", True, 2.5),
    (9, "simple", "TWICE", True, 1),
    (10, "simple", "TWICE", True, 2),
    (11, "simple", "ZERO", True, 0),
]
VARIATIONS = {
    4: [
        (41, "variation", "SHIRT-S", True, 3),
        (42, "variation", "SHIRT-M", "parent", 50),
        (43, "variation", "SHIRT-L", True, 5),
        (44, "variation", "SHIRT-XL", True, 6),
        (45, "variation", "SHIRT-2XL", False, None),
    ]
}
EXPECTED = {"00123": 4, "BACKORDER": 0, "SHIRT-S": 3, "SHIRT-L": 5, "SHIRT-XL": 6, "HALF": 2.5, "ZERO": 0}
UNKNOWN = ["NULL", "SHIRT-2XL", "SHIRT-M", "UNMANAGED"]


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDOR_KEY", TOKEN)


def granted(request: Request) -> bool:
    pair = base64.b64encode(f"ck_1:{TOKEN}".encode()).decode()
    return request.headers.get("authorization") == f"Basic {pair}"


def products(request: Request) -> Response:
    path, asked = request.path.partition("?")[0], query(request)
    assert (asked["orderby"], asked["order"], asked["per_page"]) == ("id", "asc", "100")
    inner = path.removeprefix(LIST)
    rows = VARIATIONS[int(inner.split("/")[1])] if inner else PRODUCTS
    names = ("id", "type", "sku", "manage_stock", "stock_quantity")
    at, size = int(asked["page"]) - 1, 4
    page = [dict(zip(names, row, strict=True)) for row in rows[at * size :][:size]]
    return answer(page, X_WP_Total=str(len(rows)), X_WP_TotalPages=str(-(-len(rows) // size)))


def shop(request: Request) -> Response:
    if not granted(request):
        return answer({"code": "woocommerce_rest_cannot_view", "data": {"status": 401}}, 401)
    return products(request)


def plain(levels: dict) -> dict:
    assert {place for _, place in levels} <= {"shop"}
    return {sku: float(level) for (sku, _), level in levels.items()}


def test_products_and_variations_of_all_pages():
    done = synced(PRESET, shop)
    assert done.result == "completed"
    assert plain(done.levels) == EXPECTED
    assert sorted(sku for sku, reason in done.rejected if reason == "quantity_null") == UNKNOWN
    assert sorted(reason for _, reason in done.rejected if reason != "quantity_null") == [
        "duplicate_key",
        "duplicate_key",
        "sku_blank",
    ]
    assert len(done.requests) == 5


def test_a_stock_that_variations_share():
    done = synced(woocommerce("https://shop.example/store", "ck_1", KEY, location="shop", shared=True), shop)
    assert plain(done.levels) == {**EXPECTED, "SHIRT-M": 50}


def test_reading_twice_proves_the_list_whole():
    assert "last_page" not in str(synced(PRESET, shop).run.evidence)
    twice = evolve(PRESET, connector=evolve(PRESET.connector, verify=True))
    assert "last_page" in str(synced(twice, shop).run.evidence)


def test_a_product_that_goes_away_while_the_list_is_read_has_it_read_anew():
    asked: list[str] = []

    def script(request: Request) -> Response:
        asked.append(request.path)
        made = shop(request)
        return evolve(made, headers={**made.headers, "X-WP-Total": "12"}) if len(asked) == 1 else made

    assert plain(synced(PRESET, script).levels) == EXPECTED
    assert len(asked) == 7


def signed(request: Request) -> bool:
    """Whether the query is signed as the documentation of the API has it."""
    given = query(request)
    signature = given.pop("oauth_signature", "")
    assert "authorization" not in request.headers
    pairs = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(given.items()))
    url = f"http://{request.headers['host']}{request.path.partition('?')[0]}"
    text = f"GET&{quote(url, safe='')}&{quote(pairs, safe='')}"
    expected = hmac.digest(f"{TOKEN}&".encode(), text.encode(), hashlib.sha256)
    return given.get("oauth_consumer_key") == TOKEN and signature == base64.b64encode(expected).decode()


def test_requests_are_signed_over_plain_http():
    preset = woocommerce("http://shop.example/store", KEY, KEY, location="shop")
    done = synced(preset, lambda request: products(request) if signed(request) else answer({}, 401))
    assert plain(done.levels) == EXPECTED
    assert evolve(stored(preset), documented=(), unverified=()) == evolve(preset, documented=(), unverified=())


@pytest.mark.parametrize(("url", "key"), [("http://shop.example", "ck_1"), ("https://shop.example", KEY)])
def test_a_key_of_the_wrong_kind(url: str, key: str | Secret):
    with pytest.raises(ConfigurationError, match="consumer key"):
        woocommerce(url, key, KEY)


def test_a_wrong_secret(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VENDOR_KEY", "wrong")
    done = synced(PRESET, shop)
    assert (done.failure, done.levels) == ("access_refused", {})


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("number", [2, 5])
def test_a_fault_in_a_page(fault: str, number: int):
    done = synced(PRESET, faulty(shop, number, FAULTS[fault]))
    assert (done.result, done.levels) == ("failed", {})


def test_a_limit_of_the_host_is_waited_for():
    answers = iter([None, Response(b"slow down", 429, {"Retry-After": "0"})])
    assert plain(synced(PRESET, lambda request: next(answers, None) or shop(request)).levels) == EXPECTED


def test_a_stored_preset_is_the_same():
    assert evolve(stored(PRESET), documented=(), unverified=()) == evolve(PRESET, documented=(), unverified=())
