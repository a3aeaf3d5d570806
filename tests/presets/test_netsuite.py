from __future__ import annotations

import json
import re

import pytest
from attrs import evolve

from inventory_sources.presets import netsuite
from inventory_sources.rest import Offset, RestConnector
from inventory_sources.testing.servers import Request, Response

from .vendors import FAULTS, KEY, answer, faulty, query, stored, synced

WHOLE = netsuite("1234567_SB1", consumer_key=KEY, consumer_secret=KEY, token=KEY, token_secret=KEY)
assert isinstance(WHOLE.connector, RestConnector)
PRESET = evolve(WHOLE, connector=evolve(WHOLE.connector, pager=Offset(limit=2, total="totalResults")))
#: Item, its name, location and available as text.
ROWS = [
    ("11", "00123", "1", "4"),
    ("11", "00123", "2", "6.5"),
    ("12", "A-1", "1", "12.125"),
    ("13", "NEG", "1", "-2"),
    ("14", "ZERO", "2", "0"),
]


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDOR_KEY", "k3y")


def vendor(request: Request) -> Response:
    assert request.path.partition("?")[0] == "/services/rest/query/v1/suiteql"
    assert (request.method, request.headers["prefer"]) == ("POST", "transient")
    signed = dict(re.findall(r'(\w+)="([^"]*)"', request.headers["authorization"]))
    if signed["oauth_token"] != "k3y" or signed["oauth_signature_method"] != "HMAC-SHA256":
        detail = {"detail": "Invalid login attempt.", "o:errorCode": "INVALID_LOGIN"}
        return answer({"title": "Unauthorized", "status": 401, "o:errorDetails": [detail]}, 401)
    assert signed["realm"] == "1234567_SB1"
    (name, text), *others = json.loads(request.body).items()
    assert (name, others) == ("q", [])
    assert "stock.quantityavailable AS quantity" in text
    assert text.endswith("ORDER BY stock.item, stock.location")
    offset, limit = int(query(request)["offset"]), int(query(request)["limit"])
    if offset % limit:
        return answer({"title": "Bad Request", "status": 400, "o:errorDetails": []}, 400)
    items = [
        {"links": [], "location": place, "pair": f"{item}/{place}", "quantity": quantity, "sku": name}
        for item, name, place, quantity in ROWS[offset : offset + limit]
    ]
    more = offset + limit < len(ROWS)
    page = {"links": [], "count": len(items), "hasMore": more, "items": items, "offset": offset}
    return answer({**page, "totalResults": len(ROWS)})


LEVELS = {("00123", "1"): 4, ("00123", "2"): 6.5, ("A-1", "1"): 12.125, ("NEG", "1"): 0, ("ZERO", "2"): 0}


def test_all_pairs_of_all_pages_read_twice():
    done = synced(PRESET, vendor)
    assert done.result == "completed"
    assert {key: float(level or 0) for key, level in done.levels.items()} == LEVELS
    assert done.rejected == []
    assert done.run.evidence == "count, last_page"
    assert len(done.requests) == 6


def test_the_host_is_that_of_the_account():
    assert WHOLE.connector.url.startswith("https://1234567-sb1.suitetalk.api.netsuite.com/")  # type: ignore[union-attr]


def test_a_wrong_token_waits_for_an_edit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VENDOR_KEY", "other")
    done = synced(PRESET, vendor)
    assert (done.failure, done.levels) == ("access_refused", {})


def test_too_many_requests_at_once_are_sent_again():
    seen: list[Request] = []

    def once(request: Request) -> Response:
        seen.append(request)
        busy = {"title": "Too Many Requests", "status": 429, "o:errorDetails": []}
        return answer(busy, 429) if len(seen) == 2 else vendor(request)

    assert {key: float(level or 0) for key, level in synced(PRESET, once).levels.items()} == LEVELS


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_between_pages_changes_nothing(fault: str):
    done = synced(PRESET, faulty(vendor, 3, FAULTS[fault]))
    assert (done.result, done.levels) == ("failed", {})


def test_a_pair_that_slips_from_one_page_to_another_is_noticed():
    pages: list[int] = []

    def shifting(request: Request) -> Response:
        """A pair goes from the front while another comes at the end, between the first page and the second."""
        pages.append(1)
        rows = [*ROWS[1:], ("15", "NEW", "1", "1")] if len(pages) > 1 else ROWS
        offset = int(query(request)["offset"])
        items = [{"pair": f"{i}/{p}", "sku": s, "location": p, "quantity": q} for i, s, p, q in rows][
            offset : offset + 2
        ]
        return answer({"items": items, "totalResults": len(rows), "hasMore": offset + 2 < len(rows)})

    done = synced(PRESET, shifting)
    assert done.result == "completed"
    assert {sku for sku, _ in done.levels} == {"00123", "A-1", "NEG", "ZERO", "NEW"}
    assert ("00123", "2") in done.levels


def test_as_many_rows_as_a_query_can_give_are_refused():
    connector = PRESET.connector
    assert isinstance(connector, RestConnector)
    assert connector.max_records == 99_999
    few = evolve(PRESET, connector=evolve(connector, max_records=len(ROWS) - 1))
    assert synced(few, vendor).failure == "input_too_large"


def test_it_can_be_stored():
    assert stored(WHOLE) == WHOLE
