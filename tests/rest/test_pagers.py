"""Each pager against a real server, well and with each fault in its second page: the whole list, or none of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from attrs import Factory, evolve, frozen

from inventory_sources.errors import (
    ConfigurationError,
    FetchError,
    InputIncomplete,
    InputTooLarge,
    InventorySourcesError,
    Recovery,
    ServerFailed,
    StructureInvalid,
    Truncated,
)
from inventory_sources.payload import Evidence, Proof
from inventory_sources.protocols.connector import FetchContext
from inventory_sources.rest import (
    Cursor,
    GraphQl,
    GraphQlCursor,
    HeaderTotal,
    KeySet,
    LinkHeader,
    Manners,
    NextUrl,
    Offset,
    PageNumber,
    Pager,
    RestConnector,
)
from inventory_sources.testing.connectors import fetch_context
from inventory_sources.testing.servers import Request, Response, ScriptedHttpServer

ROWS = [{"id": number, "qty": 100 - number} for number in range(1, 13)]
WHOLE = [{"id": str(row["id"]), "qty": str(row["qty"])} for row in ROWS]
SIZE = 5


@pytest.fixture
def context(tmp_path: Path) -> FetchContext:
    return fetch_context(tmp_path)


@frozen
class Answer:
    """What the fake API is about to answer; a fault changes it."""

    items: list[Any]
    more: dict[str, Any]
    headers: dict[str, str]

    def response(self) -> Response:
        return Response(
            json.dumps({"items": self.items, **self.more}).encode(),
            headers={"Content-Type": "application/json", **self.headers},
        )


def asked(request: Request) -> dict[str, str]:
    query = {name: values[0] for name, values in parse_qs(urlsplit(request.path).query).items()}
    return {**query, **(json.loads(request.body).get("variables", {}) if request.body else {})}


def by_number(given: dict[str, str]) -> Answer:
    number = int(given["page"])
    items = ROWS[(number - 1) * SIZE : number * SIZE]
    return Answer(items, {"pages": 3, "total": 12}, {"X-Pages": "3", "X-Total-Count": "12"})


def by_offset(given: dict[str, str]) -> Answer:
    start = int(given["offset"])
    return Answer(ROWS[start : start + SIZE], {"total": 12}, {})


def by_key(given: dict[str, str]) -> Answer:
    items = [row for row in ROWS if row["id"] > int(given.get("after") or 0)][:SIZE]
    last = items[-1]["id"] if items else None
    more = last not in (None, 12)
    link = f'</stock?after={last}>; rel="next"' if more else '</stock>; rel="first"'
    document = {
        "cursor": last if more else None,
        "next": f"?after={last}" if more else None,
        "data": {"page": {"hasNextPage": more, "endCursor": str(last)}},
    }
    return Answer(items, document, {"Link": link})


@frozen
class Case:
    api: Callable[[dict[str, str]], Answer]
    pager: Pager
    options: dict[str, Any] = Factory(dict)


CASES = {
    "link": Case(by_key, LinkHeader()),
    "next url": Case(by_key, NextUrl("next")),
    "cursor": Case(by_key, Cursor(next="cursor", param="after")),
    "graphql": Case(by_key, GraphQlCursor("data.page"), {"graphql": GraphQl("query q")}),
    "page number": Case(by_number, PageNumber()),
    "page count": Case(by_number, PageNumber(last="pages")),
    "page total": Case(by_number, PageNumber(total="total")),
    "header": Case(by_number, HeaderTotal(last="X-Pages", total="X-Total-Count")),
    "offset": Case(by_offset, Offset()),
    "offset total": Case(by_offset, Offset(total="total")),
    "overlap": Case(by_offset, Offset(overlap=1)),
    "overlap total": Case(by_offset, Offset(overlap=1, total="total")),
    "key set": Case(by_key, KeySet(field="id", param="after")),
}
STABLE = {"overlap", "overlap total", "key set"}


def connector(server: ScriptedHttpServer, case: Case, **options: Any) -> RestConnector:
    given = {
        "records": "items", "key": "id", "pager": case.pager, "manners": Manners(tries=1), **case.options, **options
    }  # fmt: skip
    return RestConnector(server.url + "stock", allow_private=("127.0.0.0/8",), **given)


def served(case: Case, fault: Callable[[Answer], Answer | Response] = lambda answer: answer, times: int = 99) -> Any:
    """The API as it should be, but for the first `times` answers to what is asked for the second page."""
    second: list[str] = []
    left = [times]

    def answer(request: Request) -> Response:
        given = asked(request)
        shown = json.dumps(given, sort_keys=True)
        good = case.api(given)
        first = good.items[:1] == ROWS[:1]
        if not first and not second:
            second.append(shown)
        if second == [shown] and left[0]:
            left[0] -= 1
            bad = fault(good)
            return bad if isinstance(bad, Response) else bad.response()
        return good.response()

    return answer


@pytest.mark.parametrize("name", CASES)
def test_a_list_that_holds_still_comes_whole(name: str, context: FetchContext) -> None:
    case = CASES[name]
    with ScriptedHttpServer(served(case)) as server:
        assert list(connector(server, case).fetch(context)) == WHOLE
    counted = {Proof.COUNT} if name == "overlap total" else set()
    proofs = frozenset({Proof.LAST_PAGE, *counted}) if name in STABLE else frozenset()
    assert context.evidence == Evidence(proofs, 12 if "total" in name or name == "header" else None)


@pytest.mark.parametrize("name", CASES)
def test_read_twice_it_is_proven(name: str, context: FetchContext) -> None:
    case = CASES[name]
    with ScriptedHttpServer(served(case)) as server:
        assert list(connector(server, case, verify=True).fetch(context)) == WHOLE
    assert context.evidence.proves_end


def html(answer: Answer) -> Response:
    return Response(b"<!doctype html><title>Log in</title>", headers={"Content-Type": "text/html"})


FAULTS: dict[str, Callable[[Answer], Answer | Response]] = {
    "cut": lambda answer: evolve(answer.response(), cut_after=25),
    "500": lambda answer: Response(status=500),
    "410": lambda answer: Response(status=410),
    "another type": lambda answer: evolve(answer.response(), headers={"Content-Type": "text/csv"}),
    "html": html,
    "html as json": lambda answer: evolve(html(answer), headers={"Content-Type": "application/json"}),
    "no list": lambda answer: evolve(answer, items={"id": 6}),
    "no object": lambda answer: evolve(answer, items=[*answer.items[:2], 7, *answer.items[3:]]),
    "no key": lambda answer: evolve(answer, items=[{"qty": 1}, *answer.items[1:]]),
    "nothing beside the list": lambda answer: evolve(answer, more={}, headers={}),
    "first page again": lambda answer: evolve(answer, items=ROWS[:SIZE]),
    "fewer records": lambda answer: evolve(answer, items=answer.items[:-2]),
    "other totals": lambda answer: evolve(
        answer,
        more={**answer.more, **{key: 13 for key in ("pages", "total") if key in answer.more}},
        headers={**answer.headers, **{key: "13" for key in ("X-Pages", "X-Total-Count") if key in answer.headers}},
    ),
    "empty": lambda answer: evolve(answer, items=[]),
    "a record of the first page": lambda answer: evolve(answer, items=[*answer.items[:-1], ROWS[1]]),
    "a loop": lambda answer: evolve(
        answer,
        more={
            **answer.more, "cursor": 5, "next": "?after=5", "data": {"page": {"hasNextPage": True, "endCursor": "5"}}
        },
        headers={**answer.headers, "Link": '</stock?after=5>; rel="next"'},
    ),
}  # fmt: skip

LED = ("link", "next url", "cursor", "graphql")
#: What an API gives no means to notice. Then nothing is claimed.
BLIND = {
    *((name, fault) for name in LED for fault in ("fewer records", "empty")),
    *((name, "empty") for name in ("page number", "offset")),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", CASES)
def test_with_a_fault_it_is_whole_or_refused(name: str, fault: str, context: FetchContext) -> None:
    case = CASES[name]
    # An empty page is how these say that the list ends; one that is empty each time is that.
    times = 1 if fault == "empty" and name in ("key set", "overlap") else 99
    with ScriptedHttpServer(served(case, FAULTS[fault], times)) as server:
        try:
            found = list(connector(server, case).fetch(context))
        except InventorySourcesError:
            assert not context.evidence.proves_end
            return
    if (name, fault) in BLIND:
        assert found != WHOLE
        assert not context.evidence.proves_end
    else:
        assert found == WHOLE


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("cut", Truncated),
        ("500", ServerFailed),
        ("410", InputIncomplete),
        ("another type", FetchError),
        ("html", FetchError),
        ("html as json", StructureInvalid),
        ("no list", StructureInvalid),
        ("no object", StructureInvalid),
        ("no key", StructureInvalid),
    ],
)
def test_what_is_told_of_it(name: str, fault: str, error: type[Exception], context: FetchContext) -> None:
    case = CASES[name]
    with ScriptedHttpServer(served(case, FAULTS[fault])) as server:
        with pytest.raises(error):
            list(connector(server, case).fetch(context))


@pytest.mark.parametrize("fault", ["410", "first page again", "other totals", "a record of the first page"])
@pytest.mark.parametrize("name", CASES)
def test_what_passes_is_read_anew_from_the_first_page(name: str, fault: str, context: FetchContext) -> None:
    case = CASES[name]
    with ScriptedHttpServer(served(case, FAULTS[fault], times=2)) as server:
        if name == "key set" and "first page" in fault:
            # What is not sorted as a key set must be will not pass.
            with pytest.raises(StructureInvalid, match="not sorted by 'id'"):
                list(connector(server, case).fetch(context))
        else:
            assert list(connector(server, case).fetch(context)) == WHOLE


@pytest.mark.parametrize("name", [*LED[1:], "page count", "page total", "header", "offset total", "overlap total"])
def test_what_should_tell_of_the_end_must_be_there(name: str, context: FetchContext) -> None:
    case = CASES[name]
    with ScriptedHttpServer(served(case, FAULTS["nothing beside the list"])) as server:
        with pytest.raises(InventorySourcesError):
            list(connector(server, case).fetch(context))


def test_a_later_page_without_a_link_header_is_not_taken_for_the_last_unless_declared(context: FetchContext) -> None:
    case = CASES["link"]
    with ScriptedHttpServer(served(case, FAULTS["nothing beside the list"])) as server:
        with pytest.raises(InputIncomplete, match="page 2 has no Link header"):
            list(connector(server, case).fetch(context))
        assert len(list(connector(server, case, pager=LinkHeader(bare_end=True)).fetch(context))) == 10


@pytest.mark.parametrize(
    "link",
    [
        '</stock?after=5>; rel=next, </stock>; rel="first"',
        '<stock?after=5>;rel="prev next";title="a, b; c"',
        '</stock>; rel="first" , </stock?after=5> ; Rel = "NEXT"',
    ],
)
def test_links_as_rfc_8288_has_them(link: str, context: FetchContext) -> None:
    def answer(request: Request) -> Response:
        good = by_key(asked(request))
        return evolve(
            good, headers={"Link": link} if good.items[0] == ROWS[0] else {"Link": "<x>; rel=prev"}
        ).response()

    with ScriptedHttpServer(answer) as server:
        assert len(list(connector(server, CASES["link"]).fetch(context))) == 10


@pytest.mark.parametrize("link", ["/stock?after=5; rel=next", '</stock?after=5; rel="next"', '<http://[x>; rel="next"'])
def test_links_that_cannot_be_read_are_an_error(link: str, context: FetchContext) -> None:
    with ScriptedHttpServer([evolve(by_key({}), headers={"Link": link}).response()]) as server:
        with pytest.raises(StructureInvalid):
            list(connector(server, CASES["link"]).fetch(context))


def test_another_host_is_never_asked(context: FetchContext) -> None:
    with ScriptedHttpServer([Response(b"{}")]) as other:
        bad = evolve(by_key({}), more={"next": other.url + "stock?after=5&key=s3cret"})
        with ScriptedHttpServer([bad.response()]) as server:
            with pytest.raises(FetchError, match=f"leads from .* to http://127.0.0.1:{other.port}") as refused:
                list(connector(server, CASES["next url"]).fetch(context))
        assert other.requests == ()
    assert "s3cret" not in str(refused.value)


def test_an_optional_next_that_is_missing_ends_a_list_but_proves_nothing(context: FetchContext) -> None:
    with ScriptedHttpServer([evolve(by_key({}), more={}).response()]) as server:
        pager = NextUrl("@odata.nextLink", optional=True)
        assert len(list(connector(server, CASES["next url"], pager=pager).fetch(context))) == 5
    assert context.evidence == Evidence()


@pytest.mark.parametrize("place", ["", "/elsewhere", "https://other.example/stock"])
def test_of_a_next_url_only_the_parameters_may_be_taken(context: FetchContext, place: str) -> None:
    def answer(request: Request) -> Response:
        assert urlsplit(request.path).path == "/stock"
        assert asked(request)["size"] == "5"
        good = by_key(asked(request))
        link = good.more["next"]
        return evolve(good, more={"next": link and place + link}).response()

    with ScriptedHttpServer(answer) as server:
        pager = NextUrl("next", query_only=True)
        assert list(connector(server, CASES["next url"], pager=pager, params={"size": "5"}).fetch(context)) == WHOLE


def test_all_values_of_a_parameter_go_along_to_the_next_page(context: FetchContext) -> None:
    def answer(request: Request) -> Response:
        good = by_key(asked(request))
        link = good.more["next"]
        return evolve(good, more={"next": link and f"http://inside/{link}&at=1&at=2#top"}).response()

    with ScriptedHttpServer(answer) as server:
        pager = NextUrl("next", query_only=True)
        whole = connector(server, CASES["next url"], pager=pager)
        assert list(evolve(whole, url=f"{whole.url}?at=1&at=2").fetch(context)) == WHOLE
        places = [parse_qs(urlsplit(request.path).query)["at"] for request in server.requests]
    assert len(places) > 1
    assert places == [["1", "2"]] * len(places)


def test_a_last_page_without_a_link_header_says_what_to_declare(context: FetchContext) -> None:
    def answer(request: Request) -> Response:
        after = asked(request).get("after")
        headers = {} if after else {"Link": '</stock?after=1>; rel="next"'}
        return Response(b'[{"id": 2}]' if after else b'[{"id": 1}]', headers=headers)

    with ScriptedHttpServer(answer) as server:
        bare = RestConnector(server.url, records="", pager=LinkHeader(), allow_private=("127.0.0.0/8",))
        with pytest.raises(InputIncomplete, match="no Link header") as refused:
            list(bare.fetch(context))
        assert "bare_end=True" in refused.value.guidance
        assert refused.value.recovery is Recovery.STOP
        whole = evolve(bare, pager=LinkHeader(bare_end=True))
        assert list(whole.fetch(context)) == [{"id": "1"}, {"id": "2"}]


@pytest.mark.parametrize("link", ["/stock", 7, {"after": "5"}])
def test_a_next_url_without_parameters_is_refused_where_they_are_taken(context: FetchContext, link: object) -> None:
    with ScriptedHttpServer([evolve(by_key({}), more={"next": link}).response()]) as server:
        pager = NextUrl("next", query_only=True)
        with pytest.raises(StructureInvalid):
            list(connector(server, CASES["next url"], pager=pager).fetch(context))


def test_a_key_with_dots_is_found_as_a_whole(context: FetchContext) -> None:
    def answer(request: Request) -> Response:
        good = by_key(asked(request))
        return evolve(good, more={"@odata.nextLink": good.more["next"]}).response()

    with ScriptedHttpServer(answer) as server:
        pager = NextUrl("@odata.nextLink")
        assert list(connector(server, CASES["next url"], pager=pager).fetch(context)) == WHOLE


def test_a_cursor_in_the_body(context: FetchContext) -> None:
    def answer(request: Request) -> Response:
        return by_key({"after": json.loads(request.body)["page"].get("cursor", "")}).response()

    with ScriptedHttpServer(answer) as server:
        pager = Cursor(next="cursor", param="page.cursor", in_body=True)
        whole = connector(server, CASES["cursor"], pager=pager, method="POST", body={"page": {"size": 5}})
        assert list(whole.fetch(context)) == WHOLE
        assert [json.loads(request.body) for request in server.requests] == [
            {"page": {"size": 5}},
            {"page": {"size": 5, "cursor": "5"}},
            {"page": {"size": 5, "cursor": "10"}},
        ]


def test_what_the_numbers_are_sent_as(context: FetchContext) -> None:
    with ScriptedHttpServer(lambda request: by_number({"page": asked(request)["p"]}).response()) as server:
        pager = PageNumber(param="p", size_param="per_page", size=5, last="pages")
        list(connector(server, CASES["page count"], pager=pager, params={"p": "9", "q": "x y"}).fetch(context))
        assert [asked(request) for request in server.requests] == [
            {"q": "x y", "p": number, **more}
            for number, more in (("1", {"per_page": "5"}), ("2", {"per_page": "5"}), ("3", {"per_page": "5"}))
        ]


def test_keys_may_be_sent_within_an_expression_and_rise_as_texts(context: FetchContext) -> None:
    def answer(request: Request) -> Response:
        last = asked(request)["$filter"].removeprefix("sku gt '").removesuffix("'")
        return Answer([{"sku": sku} for sku in ("A-10", "A-9", "B") if sku > last][:2], {}, {}).response()

    pager = KeySet(field="sku", param="$filter", value="sku gt '{key}'", start="", numeric=False)
    with ScriptedHttpServer(answer) as server:
        rows = list(connector(server, CASES["key set"], pager=pager, key=None).fetch(context))
    assert rows == [{"sku": "A-10"}, {"sku": "A-9"}, {"sku": "B"}]


def test_an_error_of_one_of_several_stops_all(context: FetchContext) -> None:
    case = CASES["page count"]
    with ScriptedHttpServer(served(case, FAULTS["500"])) as server:
        with pytest.raises(ServerFailed):
            list(connector(server, case, concurrency=3).fetch(context))


@pytest.mark.parametrize(("cap", "most"), [("max_pages", 2), ("max_records", 11)])
def test_caps(cap: str, most: int, context: FetchContext) -> None:
    with ScriptedHttpServer(served(CASES["cursor"])) as server:
        with pytest.raises(InputTooLarge, match=f"more than {most}"):
            list(connector(server, CASES["cursor"], **{cap: most}).fetch(context))


def test_a_pager_of_two_methods_is_enough(context: FetchContext) -> None:
    @frozen
    class Next:
        def first(self, request: Any) -> Any:
            return request

        def following(self, page: Any) -> Any:
            after = page.document["cursor"]
            return after and evolve(page.request, url=f"{page.request.url.partition('?')[0]}?after={after}")

    with ScriptedHttpServer(served(CASES["cursor"])) as server:
        assert list(connector(server, CASES["cursor"], pager=Next()).fetch(context)) == WHOLE
    assert context.evidence == Evidence()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Offset(limit=0),
        lambda: Offset(overlap=2),
        lambda: Offset(limit=1, overlap=1),
        lambda: PageNumber(size=0),
        HeaderTotal,
        lambda: RestConnector("https://a.example/", records="", pager=Offset(overlap=1)),
        lambda: RestConnector("https://a.example/", records="", pager=Offset(), verify=True),
        lambda: RestConnector("https://a.example/", pager=Offset()),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_declared(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError):
        make()
