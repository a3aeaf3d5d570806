"""The walk over lists that change while they are read: whole and each row once, or refused; thousands of times."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from inventory_sources.errors import InputIncomplete
from inventory_sources.payload import Evidence
from inventory_sources.rest import (
    Cursor,
    GraphQlCursor,
    HeaderTotal,
    HttpAnswer,
    HttpRequest,
    KeySet,
    LinkHeader,
    NextUrl,
    Offset,
    PageNumber,
    Pager,
)
from inventory_sources.rest._walk import Listing, Walk

URL = "https://erp.example/stock"
SIZE = 5


class Shop:
    """A list, sorted by ids that are never used twice, that changes between any two requests."""

    def __init__(self, seed: int, unrest: float) -> None:
        self.chance = random.Random(seed)
        self.unrest = unrest
        self.unused = list(range(1, 400))
        self.chance.shuffle(self.unused)
        self.rows = {self.unused.pop(): 1 for _ in range(self.chance.randrange(40))}
        self.steady = set(self.rows)
        self.lock = threading.Lock()

    def change(self) -> None:
        while self.chance.random() < self.unrest:
            what = self.chance.randrange(3)
            if what == 0 and self.unused:
                self.rows[self.unused.pop()] = 1
            elif self.rows:
                row = self.chance.choice(list(self.rows))
                if what == 1:
                    del self.rows[row]
                    self.steady.discard(row)
                else:
                    self.rows[row] += 1

    def page(self, start: int) -> list[dict[str, str]]:
        return self.items(sorted(self.rows)[start : start + SIZE])

    def above(self, key: int) -> list[dict[str, str]]:
        return self.items([row for row in sorted(self.rows) if row > key][:SIZE])

    def items(self, ids: list[int]) -> list[dict[str, str]]:
        return [{"id": str(row), "qty": str(self.rows[row])} for row in ids]

    def more(self, items: list[dict[str, str]]) -> bool:
        return bool(items) and max(self.rows) > int(items[-1]["id"])


Given = dict[str, str]
Api = Callable[[Shop, Given], tuple[dict[str, Any], dict[str, str]]]


def by_page(shop: Shop, given: Given) -> tuple[dict[str, Any], dict[str, str]]:
    pages = str(-(-len(shop.rows) // SIZE))
    items = shop.page((int(given["page"]) - 1) * SIZE)
    return {"items": items, "pages": pages, "total": str(len(shop.rows))}, {"x-pages": pages}


def by_offset(shop: Shop, given: Given) -> tuple[dict[str, Any], dict[str, str]]:
    return {"items": shop.page(int(given["offset"])), "total": str(len(shop.rows))}, {}


def by_key(shop: Shop, given: Given) -> tuple[dict[str, Any], dict[str, str]]:
    items = shop.above(int(given.get("after") or 0))
    more = shop.more(items)
    last = items[-1]["id"] if items else None
    link = f'<{URL}?after={last}>; rel="next"' if more else f'<{URL}>; rel="first"'
    return {
        "items": items,
        "more": more,
        "cursor": last if more else None,
        "next": f"?after={last}" if more else None,
        "page": {"hasNextPage": more, "endCursor": last},
    }, {"link": link}


def given_by(request: HttpRequest) -> Given:
    query = {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}
    return {**query, **(json.loads(request.content)["variables"] if request.content else {})}


def walk(
    shop: Shop, api: Api, pager: Pager, *, arrives: Callable[[Given], object] = bool, **options: Any
) -> Listing[str]:
    def ask(request: HttpRequest) -> tuple[HttpAnswer, Any]:
        arrives(given_by(request))
        with shop.lock:
            shop.change()
            document, headers = api(shop, given_by(request))
        return HttpAnswer(200, headers, b"", URL, Evidence()), document

    whole: Walk[str] = Walk(
        ask=ask,
        records=lambda page: page.document["items"],
        take=lambda page, rows: [row["id"] for row in rows],
        pager=pager,
        **options,
    )
    return whole.run(HttpRequest(URL))


STABLE: list[tuple[str, Api, Pager, dict[str, Any]]] = [
    ("key set", by_key, KeySet(field="id", param="after"), {}),
    ("cursor by key", by_key, Cursor(next="cursor", param="after", stable=True), {"key": "id"}),
    ("cursor with a flag", by_key, Cursor(next="cursor", param="after", has_more="more", stable=True), {"key": "id"}),
    ("next URL by key", by_key, NextUrl("next", stable=True), {"key": "id"}),
    ("link by key", by_key, LinkHeader(stable=True), {"key": "id"}),
    ("GraphQL cursor", by_key, GraphQlCursor("page", stable=True), {"key": "id"}),
    ("overlap", by_offset, Offset(limit=SIZE, overlap=1), {"key": "id"}),
    ("overlap and total", by_offset, Offset(limit=SIZE, overlap=1, total="total"), {"key": "id"}),
]
SHIFTING: list[tuple[str, Api, Pager, dict[str, Any]]] = [
    ("page number", by_page, PageNumber(), {}),
    ("page count", by_page, PageNumber(last="pages", total="total"), {}),
    ("header", by_page, HeaderTotal(last="X-Pages"), {}),
    ("offset", by_offset, Offset(limit=SIZE), {}),
    ("offset and total", by_offset, Offset(limit=SIZE, total="total"), {}),
]
NAMES = [case[0] for case in STABLE]


def outcome(shop: Shop, api: Api, pager: Pager, options: dict[str, Any]) -> Listing[str] | None:
    try:
        return walk(shop, api, pager, **options)
    except InputIncomplete:
        return None


def wrong(shop: Shop, listing: Listing[str]) -> bool:
    """Whether a row came twice, or one is missing that was there all the time."""
    found = listing.taken
    return len(set(found)) < len(found) or not {str(row) for row in shop.steady} <= set(found)


@pytest.mark.parametrize("case", STABLE, ids=NAMES)
def test_a_row_that_was_there_all_the_time_comes_once_wherever_pages_are_kept_in_place_by_a_key(case: Any) -> None:
    _, api, pager, options = case
    whole = 0
    for seed in range(1250):
        shop = Shop(seed, unrest=0.3)
        listing = outcome(shop, api, pager, options)
        if listing is not None:
            whole += 1
            assert listing.proven
            assert not wrong(shop, listing), seed
    assert whole == 1250 if "overlap" not in case[0] else whole > 600


@pytest.mark.parametrize("case", STABLE[-1:], ids=NAMES[-1:])
def test_the_same_with_several_requests_at_once(case: Any) -> None:
    _, api, pager, options = case
    whole = 0
    for seed in range(300):
        shop = Shop(seed, unrest=0.1)
        listing = outcome(shop, api, pager, {**options, "concurrency": 3})
        if listing is not None:
            whole += 1
            assert listing.proven
            assert not wrong(shop, listing), seed
    assert whole > 150


@pytest.mark.parametrize("case", SHIFTING, ids=[case[0] for case in SHIFTING])
def test_pages_that_shift_are_only_claimed_to_be_whole_where_one_answer_was_all(case: Any) -> None:
    _, api, pager, options = case
    lost = 0
    for seed in range(400):
        shop = Shop(seed, unrest=0.3)
        listing = outcome(shop, api, pager, options)
        if listing is not None:
            lost += wrong(shop, listing)
            assert not (listing.proven and wrong(shop, listing)), seed
            assert not listing.proven or len(listing.taken) <= SIZE
    assert lost, "the lists did not move enough to prove anything"


@pytest.mark.parametrize("case", SHIFTING, ids=[case[0] for case in SHIFTING])
def test_a_key_shows_rows_that_come_twice(case: Any) -> None:
    _, api, pager, _ = case
    for seed in range(300):
        listing = outcome(Shop(seed, unrest=0.3), api, pager, {"key": "id"})
        assert listing is None or len(set(listing.taken)) == len(listing.taken)


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("case", SHIFTING, ids=[case[0] for case in SHIFTING])
def test_two_walks_that_agree_prove_pages_that_shift_to_be_whole(case: Any, concurrency: int) -> None:
    _, api, pager, _ = case
    whole = 0
    for seed in range(300):
        shop = Shop(seed, unrest=0.12)
        listing = outcome(shop, api, pager, {"key": "id", "verify": True, "concurrency": concurrency})
        if listing is not None:
            whole += 1
            assert listing.proven
            assert not wrong(shop, listing), seed
    assert whole > 100


COUNTED = [SHIFTING[1], SHIFTING[2], SHIFTING[4], STABLE[-1]]


@pytest.mark.parametrize("case", COUNTED, ids=[case[0] for case in COUNTED])
def test_pages_that_are_known_are_asked_for_at_once_and_come_in_order(case: Any) -> None:
    _, api, pager, options = case
    shop = Shop(0, unrest=0)
    shop.rows = dict.fromkeys(range(1, 14), 1)
    together = threading.Barrier(2, timeout=10)

    def arrives(given: Given) -> None:
        if given.get("page") != "1" and given.get("offset") != "0":
            together.wait()

    found = walk(shop, api, pager, arrives=arrives, concurrency=2, **options)
    assert found.taken == [str(row) for row in range(1, 14)]


def told(api: Api, pager: Pager) -> str:
    """Why a list is refused that stays as it is."""
    with pytest.raises(InputIncomplete) as refused:
        walk(Shop(0, unrest=0), api, pager)
    return refused.value.message


ROWS = [{"id": str(row), "qty": "1"} for row in range(1, 11)]


def test_empty_pages_that_lead_in_a_circle_are_refused() -> None:
    assert "page 2 led back to a page before it" in told(
        lambda shop, given: ({"items": [], "cursor": "x"}, {}), Cursor(next="cursor", param="after")
    )


def test_as_many_pages_but_not_as_many_records_as_declared_are_refused() -> None:
    def api(shop: Shop, given: Given) -> tuple[dict[str, Any], dict[str, str]]:
        start = int(given["page"]) * SIZE - SIZE
        return {"items": ROWS[start : start + SIZE], "pages": "2", "total": "12"}, {}

    assert "12 records were declared, but 10 came" in told(api, PageNumber(last="pages", total="total"))


def test_a_total_that_changes_on_the_way_is_refused_though_it_comes_true() -> None:
    def api(shop: Shop, given: Given) -> tuple[dict[str, Any], dict[str, str]]:
        start = int(given["offset"])
        return {"items": ROWS[start : start + SIZE], "total": "10" if start else "11"}, {}

    assert "page 2 declares another length" in told(api, Offset(limit=SIZE, total="total"))


def test_an_empty_page_before_the_declared_end_is_refused() -> None:
    def api(shop: Shop, given: Given) -> tuple[dict[str, Any], dict[str, str]]:
        start = int(given["offset"])
        return {"items": ROWS[start : start + SIZE], "total": "12"}, {}

    assert "page 3 is empty after 10 records" in told(api, Offset(limit=SIZE, total="total"))
