from __future__ import annotations

import pytest
from attrs import evolve

from inventory_sources.presets import shipbob
from inventory_sources.rest import RestConnector
from inventory_sources.testing.servers import Request, Response

from .vendors import FAULTS, KEY, TOKEN, answer, faulty, query, stored, synced

PRESET = shipbob(KEY)
PATH = "/2026-07/inventory-level/locations"
#: SKU, and by centre what can be sent and what is there; None in place of the list where there is none.
ITEMS = [
    ("00123", [(7, 4, 9), (8, 0, 2)]),
    ("NEG", [(7, -2, 1)]),
    ("NOWHERE", None),
    ("EMPTY", []),
    ("GONE", [(8, None, 3)]),
    (None, [(7, 1, 1)]),
    ("TWICE", [(7, 1, 1)]),
    ("TWICE", [(7, 2, 2)]),
    ("Z", [(8, 7, 7)]),
]
LEVELS = {("00123", "7"): 4, ("00123", "8"): 0, ("NEG", "7"): 0, ("Z", "8"): 7}
#: How the next page may be told: with the path and without its first part, or the whole address.
FORMS = (PATH, PATH.removeprefix("/2026-07"), f"https://elsewhere.example{PATH}")


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDOR_KEY", TOKEN)


def centres(levels: list[tuple[int, int | None, int]] | None) -> list[dict[str, object]] | None:
    if levels is None:
        return None
    return [
        {"location_id": place, "name": "A (CA)", "fulfillable_quantity": left, "on_hand_quantity": there}
        for place, left, there in levels
    ]


def vendor(request: Request, form: str = PATH) -> Response:
    if request.headers.get("authorization") != f"Bearer {TOKEN}":
        return answer({"message": "Unauthorized"}, 401)
    asked = query(request)
    assert request.path.partition("?")[0] == PATH
    assert (asked["IsDigital"], asked["PageSize"]) == ("false", "100")
    at = int(asked.get("Cursor", "0").removeprefix("a+b="))
    items = [
        {"inventory_id": at + n, "sku": sku, "name": "x", "locations": centres(levels)}
        for n, (sku, levels) in enumerate(ITEMS[at : at + 3])
    ]
    onward = f"{form}?Cursor=a%2Bb%3D{at + 3}" if at + 3 < len(ITEMS) else None
    return answer({"first": PATH, "prev": None, "next": onward, "last": "x", "items": items}, x_remaining_calls="90")


@pytest.mark.parametrize("form", FORMS)
def test_each_item_at_each_centre(form: str):
    done = synced(PRESET, lambda request: vendor(request, form))
    assert done.result == "completed"
    assert done.levels == LEVELS
    assert sorted(done.rejected) == [
        ("", "sku_blank"),
        ("GONE", "quantity_null"),
        ("TWICE", "duplicate_key"),
        ("TWICE", "duplicate_key"),
    ]
    assert len(done.requests) == 3


def test_the_quantity_on_hand():
    done = synced(shipbob(KEY, quantity="on_hand"), vendor)
    assert (done.levels["00123", "8"], done.levels["GONE", "8"]) == (2, 3)


def test_read_twice_the_list_is_proven():
    connector = PRESET.connector
    assert isinstance(connector, RestConnector)
    assert synced(evolve(PRESET, connector=evolve(connector, verify=True)), vendor).run.evidence == "last_page"


def test_a_wrong_token_waits_for_an_edit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VENDOR_KEY", "other")
    done = synced(PRESET, vendor)
    assert (done.failure, done.levels) == ("access_refused", {})


def test_a_long_wait_in_shipbobs_own_header_ends_the_sync_and_comes_back():
    throttled = answer({"statusCode": 429, "message": "Rate limit is exceeded."}, 429, x_retry_after="45")
    done = synced(PRESET, faulty(vendor, 2, throttled))
    assert (done.failure, done.levels) == ("rate_limited", {})
    assert len(done.requests) == 2


def test_a_short_wait_is_made():
    answers = iter([None, answer({"statusCode": 429}, 429, x_retry_after="0")])
    assert synced(PRESET, lambda request: next(answers, None) or vendor(request)).levels == LEVELS


@pytest.mark.parametrize("broken", [{"items": []}, {"items": [], "next": "more"}, {"items": [{"inventory_id": 1}]}])
def test_a_page_of_another_form_is_refused(broken: object):
    assert synced(PRESET, faulty(vendor, 2, answer(broken))).levels == {}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_between_pages_changes_nothing(fault: str):
    done = synced(PRESET, faulty(vendor, 2, FAULTS[fault]))
    assert (done.result, done.levels) == ("failed", {})


def test_it_can_be_stored():
    assert stored(PRESET) == PRESET
