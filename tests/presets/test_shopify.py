from __future__ import annotations

import json

import pytest
from attrs import evolve

from inventory_sources import Secret
from inventory_sources.errors import ConfigurationError
from inventory_sources.presets import shopify, shopify_rest
from inventory_sources.testing.servers import Request, Response

from .vendors import FAULTS, KEY, TOKEN, answer, faulty, query, stored, synced

PLACE = "gid://shopify/Location/"
#: SKU, tracked, and available by location.
ITEMS = [
    ("00123", True, {"1": 4, "2": 0}),
    ("OVERSOLD", True, {"1": -3}),
    ("UNTRACKED", False, {"1": 99}),
    (None, True, {"1": 8}),
    ("NOWHERE", True, {}),
    ("TWICE", True, {"2": 5}),
    ("TWICE", True, {"2": 6}),
    ("UNNAMED", True, {"1": None}),
    ("LAST", True, {"2": 7}),
]
EXPECTED = {("00123", "1"): 4, ("00123", "2"): 0, ("OVERSOLD", "1"): 0, ("LAST", "2"): 7}
REJECTED = ["duplicate_key", "duplicate_key", "quantity_null", "quantity_null", "sku_blank"]


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDOR_KEY", TOKEN)


def levels(number: int, names: list[str], first: int) -> dict:
    found = [
        {
            "location": {"id": PLACE + place},
            "quantities": [
                {"name": name, "quantity": quantity + (name == "on_hand") * 10}
                for name in reversed(names)
                if quantity is not None
            ],
        }
        for place, quantity in ITEMS[number][2].items()
    ]
    return {"nodes": found[:first], "pageInfo": {"hasNextPage": len(found) > first}}


def graphql(request: Request) -> Response:
    if request.headers.get("x-shopify-access-token") != TOKEN:
        return answer({"errors": "[API] Invalid API key or access token (unrecognized login or wrong password)"}, 401)
    assert (request.method, request.path) == ("POST", "/admin/api/2026-10/graphql.json")
    asked = json.loads(request.body)
    assert "inventoryItems(first: $first, after: $after)" in asked["query"]
    given = asked["variables"]
    at, size = int(given["after"] or "0"), min(given["first"], 3)
    nodes = [
        {
            "id": f"gid://{number}",
            "sku": sku,
            "tracked": tracked,
            "inventoryLevels": levels(number, given["names"], given["levels"]),
        }
        for number, (sku, tracked, _) in list(enumerate(ITEMS))[at : at + size]
    ]
    page = {"hasNextPage": at + size < len(ITEMS), "endCursor": str(at + size)}
    return answer({"data": {"inventoryItems": {"nodes": nodes, "pageInfo": page}}, "extensions": cost(500)})


def cost(left: float) -> dict:
    status = {"maximumAvailable": 1000.0, "currentlyAvailable": left, "restoreRate": 5000.0}
    return {"cost": {"requestedQueryCost": 410, "actualQueryCost": 30, "throttleStatus": status}}


def plain(levels: dict) -> dict:
    return {(sku, place.removeprefix(PLACE)): level for (sku, place), level in levels.items()}


PRESET = shopify("my-shop", KEY)


def test_each_level_of_each_tracked_item():
    done = synced(PRESET, graphql)
    assert done.result == "completed"
    assert plain(done.levels) == EXPECTED
    assert sorted(reason for _, reason in done.rejected) == REJECTED
    assert ("UNTRACKED", "quantity_null") in done.rejected
    assert "last_page" in str(done.run.evidence)
    assert len(done.requests) == 3


def test_the_quantity_on_hand():
    done = synced(shopify("my-shop", KEY, state="on_hand"), graphql)
    assert plain(done.levels) == {("00123", "1"): 14, ("00123", "2"): 10, ("OVERSOLD", "1"): 7, ("LAST", "2"): 17}


def test_a_throttled_page_is_asked_for_again():
    throttled = {"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}], "extensions": cost(300)}
    answers = iter([None, throttled, throttled])

    def script(request: Request) -> Response:
        refused = next(answers, None)
        return answer(refused) if refused else graphql(request)

    done = synced(PRESET, script)
    assert plain(done.levels) == EXPECTED
    assert len(done.requests) == 5


def test_a_query_that_costs_too_much_is_refused():
    error = {"message": "Query cost is 1200", "extensions": {"code": "MAX_COST_EXCEEDED", "cost": 1200}}
    done = synced(PRESET, lambda _: answer({"errors": [error]}))
    assert (done.result, done.levels) == ("failed", {})
    assert "MAX_COST_EXCEEDED" in done.run.failure.message


def test_a_field_that_may_not_be_read_refuses_the_page_although_there_is_data():
    def script(request: Request) -> Response:
        document = json.loads(graphql(request).body)
        document["errors"] = [{"message": "Access denied", "extensions": {"code": "ACCESS_DENIED"}}]
        return answer(document)

    done = synced(PRESET, script)
    assert (done.result, done.failure, done.levels) == ("failed", "access_refused", {})


def test_an_item_at_more_locations_than_asked_for_is_refused():
    done = synced(shopify("my-shop", KEY, levels_per_item=1), graphql)
    assert (done.result, done.failure, done.levels) == ("failed", "input_incomplete", {})


def test_a_wrong_token(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VENDOR_KEY", "wrong")
    done = synced(PRESET, graphql)
    assert (done.failure, done.levels) == ("access_refused", {})


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_second_page(fault: str):
    done = synced(PRESET, faulty(graphql, 2, FAULTS[fault]))
    assert (done.result, done.levels) == ("failed", {})


def test_one_fault_that_passes():
    faults = iter([None, Response(b"busy", 503)])
    done = synced(PRESET, lambda request: next(faults, None) or graphql(request))
    assert plain(done.levels) == EXPECTED


@pytest.mark.parametrize("preset", [PRESET, shopify_rest("my-shop", KEY, ["1", "2"])])
def test_a_stored_preset_is_the_same(preset):
    assert evolve(stored(preset), documented=(), unverified=()) == evolve(preset, documented=(), unverified=())


@pytest.mark.parametrize("shop", ["my-shop.myshopify.com", "evil.example/x", "", "My Shop"])
def test_what_is_no_shop(shop: str):
    with pytest.raises(ConfigurationError, match="no name of a Shopify shop"):
        shopify(shop, KEY)


@pytest.mark.parametrize("locations", [[], "655", ["a"], ["1,2"], [str(n) for n in range(51)]])
def test_what_are_no_locations(locations):
    with pytest.raises(ConfigurationError, match="1 to 50 ids"):
        shopify_rest("my-shop", KEY, locations)


def test_three_lines():
    source = shopify("my-shop", token=Secret.reference("env:T")).source("shop", sink=object(), frequency="15min")
    assert source.connector.url == "https://my-shop.myshopify.com/admin/api/2026-10/graphql.json"


REST = shopify_rest("my-shop", KEY, ["1", "2"])
ROWS = [(number, place, quantity) for number, item in enumerate(ITEMS) for place, quantity in item[2].items()]


def rest(request: Request) -> Response:
    if request.headers.get("x-shopify-access-token") != TOKEN:
        return answer({"errors": "[API] Invalid API key or access token"}, 401)
    path, asked = request.path.partition("?")[0], query(request)
    used = {"X_Shopify_Shop_Api_Call_Limit": "1/40"}
    if path == "/admin/api/2026-10/inventory_items.json":
        ids = asked["ids"].split(",")
        assert len(ids) <= 100
        items = [
            {"id": number + 700, "sku": sku or "", "tracked": tracked}
            for number, (sku, tracked, _) in enumerate(ITEMS)
            if str(number + 700) in ids and sku != "LAST"
        ]
        return answer({"inventory_items": items}, **used)
    assert path == "/admin/api/2026-10/inventory_levels.json"
    info = asked.get("page_info")
    assert set(asked) == ({"page_info", "limit"} if info else {"location_ids", "limit"})
    at = int(info or "0")
    found = [
        {"inventory_item_id": number + 700, "location_id": int(place), "available": quantity}
        for number, place, quantity in ROWS[at : at + 3]
    ]
    links = [f'<http://{request.headers["host"]}{path}?limit=250&page_info={max(at - 3, 0)}>; rel="previous"'] * (
        at > 0
    )
    if at + 3 < len(ROWS):
        links.append(f'<http://{request.headers["host"]}{path}?limit=250&page_info={at + 3}>; rel="next"')
    return answer({"inventory_levels": found}, Link=", ".join(links), **used)


def test_levels_of_the_legacy_api_with_the_skus_of_their_items():
    done = synced(REST, rest)
    assert done.result == "completed"
    assert done.levels == {key: level for key, level in EXPECTED.items() if key[0] != "LAST"}
    reasons = sorted(reason for _, reason in done.rejected)
    assert reasons == ["duplicate_key", "duplicate_key", "quantity_null", "quantity_null", "sku_blank", "sku_blank"]
    assert len(done.requests) == 4


def test_a_full_bucket_of_the_legacy_api_is_waited_for():
    full = Response(b'{"errors": "Exceeded 2 calls per second"}', 429, {"Retry-After": "0"})
    faults = iter([None, full])
    done = synced(REST, lambda request: next(faults, None) or rest(request))
    assert done.levels[("00123", "1")] == 4


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("number", [2, 4])
def test_a_fault_of_the_legacy_api(fault: str, number: int):
    done = synced(REST, faulty(rest, number, FAULTS[fault]))
    assert (done.result, done.levels) == ("failed", {})


def test_a_wrong_token_of_the_legacy_api(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VENDOR_KEY", "wrong")
    assert synced(REST, rest).failure == "access_refused"
