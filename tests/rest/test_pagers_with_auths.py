"""Every pager with every auth: a server that checks each request's credential, well and with one fault in its list."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from attrs import Factory, define, evolve, field, frozen

from inventory_sources.errors import (
    AccessRefused,
    FetchError,
    InputIncomplete,
    InventorySourcesError,
    StructureInvalid,
    Truncated,
)
from inventory_sources.payload import Evidence, Proof
from inventory_sources.rest import (
    BodyKeySet,
    Cursor,
    GraphQl,
    GraphQlCursor,
    HeaderTotal,
    KeySet,
    LinkHeader,
    Manners,
    NextUrl,
    Offset,
    OnePage,
    PageNumber,
    PageNumberMore,
    Pager,
    PostedQuery,
    RestConnector,
)
from inventory_sources.testing import ManualClock, fetch_context
from inventory_sources.testing.servers import Request, Response, ScriptedHttpServer

from .doors import CANARY, DOORS, NOON, Door, query
from .sessions import answer

ROWS = [{"id": number, "qty": 100 - number} for number in range(1, 13)]
WHOLE = [{"id": str(row["id"]), "qty": str(row["qty"])} for row in ROWS]
SIZE = 4
PROVEN = frozenset({Proof.LAST_PAGE})


def start(request: Request) -> int:
    """How many rows come before the page that is asked for."""
    body = json.loads(request.body or b"{}")
    given = {**query(request), **body.get("variables", body)}
    if "page" in given:
        return (int(given["page"]) - 1) * SIZE
    return int(given.get("offset") or given.get("after") or 0)


def link(request: Request, end: int) -> str:
    """To the rows behind; it repeats the parameters that were sent, and so a key among them, as many servers do."""
    path, _, sent = request.path.partition("?")
    kept = [pair for pair in parse_qsl(sent) if pair[0] != "after"]
    return f"{path}?{urlencode([*kept, ('after', end)])}"


@frozen
class Words:
    """What a page says beside its rows."""

    document: dict[str, object] = Factory(dict)
    headers: dict[str, str] = Factory(dict)


def by_link(request: Request, end: int | None) -> Words:
    named = f'<{link(request, end)}>; rel="next"' if end else '</stock>; rel="first"'
    return Words(headers={"Link": named})


@frozen
class Way:
    """A pager, and an API that it fits.

    :param words: of a page, by its request and how many rows there are up to its end; ``None`` for the last.
    :param evidence: of a list that came whole.
    :param pages: in how many the list comes.
    """

    pager: Pager
    words: Callable[[Request, int | None], Words] = lambda request, end: Words()
    options: dict[str, Any] = Factory(dict)
    connector: type[RestConnector] = RestConnector
    evidence: Evidence = Factory(Evidence)
    pages: int = 3

    @property
    def faulty(self) -> int:
        """Which page, from 0 on, a fault is in."""
        return min(1, self.pages - 1)


WAYS = {
    "LinkHeader": Way(LinkHeader(), by_link),
    "NextUrl": Way(NextUrl("next"), lambda request, end: Words({"next": link(request, end) if end else None})),
    "Cursor": Way(Cursor(next="cursor", param="after"), lambda request, end: Words({"cursor": end})),
    "GraphQlCursor": Way(
        GraphQlCursor("data.page"),
        lambda request, end: Words({"data": {"page": {"hasNextPage": bool(end), "endCursor": str(end)}}}),
        {"graphql": GraphQl("query q")},
    ),
    "PageNumber": Way(PageNumber()),
    "PageNumberMore": Way(PageNumberMore(more="more"), lambda request, end: Words({"more": bool(end)})),
    "HeaderTotal": Way(
        HeaderTotal(last="X-Pages", total="X-Total-Count"),
        lambda request, end: Words(headers={"X-Pages": "3", "X-Total-Count": "12"}),
        evidence=Evidence(declared_records=12),
    ),
    "Offset": Way(Offset(limit=SIZE)),
    "KeySet": Way(KeySet(field="id", param="after"), evidence=Evidence(PROVEN)),
    "BodyKeySet": Way(
        BodyKeySet(field="id", param="after"),
        options={"body": {"after": 0}},
        connector=PostedQuery,
        evidence=Evidence(PROVEN),
    ),
    "OnePage": Way(OnePage(), evidence=Evidence(PROVEN), pages=1),
}


def quoted(request: Request) -> str:
    """All that was sent, as a careless server repeats it."""
    return f"{request.path} {dict(request.headers)} {request.body.decode()}"


def unauthorised(request: Request) -> Response:
    return answer({"error": quoted(request)}, 401)


@frozen
class Fault:
    """What is wrong with one page.

    :param spoil: gives the answer in place of the good one, by the request and the page's rows and words.
    :param error: what it is refused as; ``None`` where the list comes whole.
    :param times: how often it is so.
    :param plain: what it is refused as, each time, where the page alone shows that it is wrong: its keys do not rise
        from the page before, or one stands twice.
    """

    spoil: Callable[[Request, list[dict[str, int]], Words], Response]
    error: type[InventorySourcesError] | None = None
    times: int = 99
    plain: type[InventorySourcesError] | None = None


def page(request: Request, rows: list[dict[str, int]], words: Words) -> Response:
    """A good page, but for what it quotes ahead of its rows."""
    headers = {"Content-Type": "application/json", **words.headers}
    document = {"quoted": quoted(request), "items": rows, **words.document}
    return Response(json.dumps(document).encode(), headers=headers)


def repeated(request: Request, rows: list[dict[str, int]], words: Words) -> Response:
    """The rows of the first page again; where there is but one page, its rows twice."""
    return page(request, ROWS + ROWS if rows == ROWS else ROWS[:SIZE], words)


def empty(request: Request, rows: list[dict[str, int]], words: Words) -> Response:
    return page(request, [], words)


def cut(request: Request, rows: list[dict[str, int]], words: Words) -> Response:
    whole = page(request, rows, words)
    return evolve(whole, cut_after=len(whole.body) - 20)


def html(request: Request, rows: list[dict[str, int]], words: Words) -> Response:
    text = f"<!doctype html><title>Log in</title>{quoted(request)}"
    return Response(text.encode(), headers={"Content-Type": "text/html"})


FAULTS = {
    "repeated": Fault(repeated, InputIncomplete, plain=StructureInvalid),
    "repeated once": Fault(repeated, times=1, plain=StructureInvalid),
    "empty once": Fault(empty, times=1),
    "cut": Fault(cut, Truncated),
    "401 for ever": Fault(lambda request, rows, words: unauthorised(request), AccessRefused),
    "HTML": Fault(html, FetchError),
}


@define
class Api:
    """The list behind the door, and the endpoint that gives tokens."""

    way: Way
    door: Door
    fault: Fault | None = None
    refusals: int = 0
    left: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.left = self.fault.times if self.fault else 0

    def __call__(self, request: Request) -> Response:
        if urlsplit(request.path).path == "/token":
            token = self.door.grants(request)
            more = {"refresh_token": f"c4nary-refresh-{self.door.given}"}
            return answer({"access_token": token, **more}) if token else unauthorised(request)
        if not self.door.admits(request):
            self.refusals += 1
            return unauthorised(request)
        return self._stock(request)

    def _stock(self, request: Request) -> Response:
        before, size = start(request), len(ROWS) // self.way.pages
        end = before + size
        rows, words = ROWS[before:end], self.way.words(request, end if end < len(ROWS) else None)
        if self.fault and self.left and before == self.way.faulty * size:
            self.left -= 1
            return self.fault.spoil(request, rows, words)
        return page(request, rows, words)


@frozen
class Outcome:
    """What came of one fetch.

    :param said: all that a person may get to read of it.
    :param asked: the requests for the list.
    """

    rows: list[Any] | None
    error: Exception | None
    evidence: Evidence
    said: str
    asked: int
    api: Api


def fetched(way: Way, door: type[Door], fault: Fault | None = None) -> Outcome:
    # A token that ends after the second page, or ahead of a page that is the only one.
    api = Api(way, door(2 if way.pages > 1 else 0), fault)
    context = fetch_context(Path("/nonexistent"), clock=ManualClock(NOON))
    rows, error = None, None
    with ScriptedHttpServer(api) as server:
        connector = way.connector(
            server.url + "stock",
            records="items",
            key="id",
            pager=way.pager,
            auth=api.door.auth(server.url),
            manners=Manners(tries=1),
            allow_private=("127.0.0.0/8",),
            allow_plaintext=True,
            **way.options,
        )
        try:
            rows = list(connector.fetch(context))
        except InventorySourcesError as caught:
            error = caught
    told = "".join(traceback.format_exception(error)) if error else ""
    said = f"{told}{error!r}{getattr(error, 'guidance', '')}{context.evidence!r}{context.outcome.warnings}{connector!r}"
    for request in server.requests:
        for name in ("authorization", "x-api-key", "x-signature"):
            assert request.headers.get(name, CANARY) not in said
    asked = sum(request.path.startswith("/stock") for request in server.requests)
    return Outcome(rows, error, context.evidence, said, asked, api)


def pairs(*more: Any) -> Any:
    names = ("way", "door", "fault")[: 2 + len(more)]
    return pytest.mark.parametrize(names, [*product(WAYS, DOORS, *more)])


@pairs()
def test_the_list_comes_whole_and_each_request_shows_who_asks(way: str, door: str) -> None:
    found = fetched(WAYS[way], DOORS[door])
    assert found.error is None
    assert found.rows == WHOLE
    assert found.evidence == WAYS[way].evidence
    # The first token's end, and no other request without a good credential.
    assert found.api.refusals == (1 if found.api.door.renews else 0)
    assert found.api.door.given == (2 if found.api.door.renews else 0)
    assert CANARY not in found.said


@pairs(FAULTS)
def test_with_a_fault_it_is_whole_or_refused(way: str, door: str, fault: str) -> None:
    expected, plain = FAULTS[fault], isinstance(WAYS[way].pager, KeySet | OnePage)
    error = (expected.plain if plain else None) or expected.error
    found = fetched(WAYS[way], DOORS[door], expected)
    assert CANARY not in found.said
    if error is None:
        assert found.error is None
        assert found.rows == WHOLE
        assert found.evidence == WAYS[way].evidence
    else:
        assert type(found.error) is error
        assert found.rows is None
        assert not found.evidence.proves_end


@pairs()
def test_a_door_that_stays_shut_is_knocked_at_once_more_where_there_is_another_token(way: str, door: str) -> None:
    found = fetched(WAYS[way], DOORS[door], FAULTS["401 for ever"])
    renewed = 1 if found.api.door.renews else 0
    assert found.asked == WAYS[way].faulty + 1 + renewed
    assert found.api.door.given == 2 * renewed


@pytest.mark.parametrize("door", DOORS)
def test_the_server_lets_nobody_in_without_the_credential(door: str) -> None:
    """Else the tests above would show nothing."""
    shut = DOORS[door](2)
    plain = Request("GET", "/stock?after=4", {"host": "127.0.0.1", "authorization": "Bearer other"})
    assert not shut.admits(plain)
    assert shut.grants(Request("POST", "/token", {}, b"{}" if door == "LoginToken" else b"a=b")) is None
