"""What an answer says of there being more: never a part of a list for all of it, whatever the pager looks for."""

from __future__ import annotations

from typing import Any

import pytest

from inventory_sources.errors import ConfigurationError, InputIncomplete, Recovery
from inventory_sources.rest import (
    BodyKeySet,
    Cursor,
    Details,
    GraphQl,
    GraphQlCursor,
    Join,
    KeySet,
    LinkHeader,
    NextUrl,
    Offset,
    OnePage,
    PageNumber,
    PageNumberMore,
    Pager,
    PostedQuery,
)
from inventory_sources.testing.servers import Request, Response, ScriptedHttpServer
from tests.rest.rows import answer, fetched, query_of, rest, routes

ROWS = [{"id": number, "sku": f"S{number}", "qty": 1} for number in range(1, 5)]
PROVING: dict[str, Pager] = {
    "cursor": Cursor(next="next_curosr", param="cursor", optional=True, stable=True),
    "url": NextUrl("nxet", optional=True, stable=True),
    "link": LinkHeader(stable=True),
    "one page": OnePage(),
}
HEADERS = [
    ({"Link": '</levels?page=2>; rel="next"'}, "Link"),
    *(({name: "5"}, name) for name in ("X-Total-Count", "X-WP-Total", "X-Total", "Total-Count")),
]
KEYS: list[tuple[dict[str, Any], str]] = [
    *(({name: True}, name) for name in ("has_more", "hasMore", "hasNextPage", "has_next")),
    *(
        ({name: "x"}, name)
        for name in ("next", "next_cursor", "nextLink", "@odata.nextLink", "nextPageToken", "__next")
    ),
    ({"next_page": 2}, "next_page"),
    *(({name: 5}, name) for name in ("total", "totalCount", "total_count", "totalResults", "count", "@odata.count")),
    ({"meta": {"pagination": {"total": 5}}}, "meta.pagination.total"),
    ({"_links": {"next": {"href": "/levels?page=2"}}}, "_links.next"),
    ({"paging": {"next": {"after": "4"}}}, "paging.next"),
    ({"page": {"totalElements": "5", "number": 0}}, "page.totalElements"),
]
MEANT_OTHERWISE: list[dict[str, Any]] = [
    {"has_more": False, "next_cursor": "x"},
    {"next": None, "next_page": 0, "nextPageToken": "", "paging": {"next": None}, "_links": {"next": {"href": None}}},
    {"total": 4, "count": 4, "@odata.count": "4"},
    {"total": {"value": 9}, "count": "many", "next": False, "has_more": None},
    {"warehouse": {"total": 900, "next": "x"}},
]


def page(more: dict[str, Any] | None = None, **headers: str) -> Response:
    return answer({"data": {"items": ROWS}, **(more or {})}, **headers)


def refused(response: Response, pager: Pager | None, **options: Any) -> InputIncomplete:
    with ScriptedHttpServer([response]) as server, pytest.raises(InputIncomplete) as caught:
        fetched(rest(server, records="data.items", pager=pager, **options))
    assert caught.value.recovery is Recovery.STOP
    return caught.value


def read(response: Response, pager: Pager | None, **options: Any) -> tuple[bool, list[str]]:
    """Whether all rows came as a whole list, and what was warned of."""
    with ScriptedHttpServer([response]) as server:
        rows, context = fetched(rest(server, records="data.items", pager=pager, **options))
    assert [row["sku"] for row in rows] == ["S1", "S2", "S3", "S4"]
    return context.evidence.proves_end, context.outcome.warnings


@pytest.mark.parametrize(("headers", "name"), HEADERS, ids=[name for _, name in HEADERS])
@pytest.mark.parametrize("pager", [pager for name, pager in PROVING.items() if name != "link"])
def test_a_header_that_says_more_refuses_what_would_be_proven(pager: Pager, headers: Any, name: str) -> None:
    error = refused(page(**headers), pager)
    assert f"{name!r}" in error.message
    assert f"ignore_markers=({name!r},)" in error.guidance
    assert read(page(**headers), pager, ignore_markers=(name.lower(),)) == (True, [])


@pytest.mark.parametrize(("more", "name"), KEYS, ids=[name for _, name in KEYS])
@pytest.mark.parametrize("pager", PROVING.values(), ids=PROVING)
def test_a_key_that_says_more_refuses_what_would_be_proven(pager: Pager, more: Any, name: str) -> None:
    error = refused(page(more), pager)
    assert error.message.startswith("http://127.0.0.1:")
    assert f"{name!r}" in error.message
    assert f"ignore_markers=({name!r},)" in error.guidance
    assert read(page(more), pager, ignore_markers=(name,)) == (True, [])


@pytest.mark.parametrize("name", ["total", "has_more", "next_cursor"])
def test_what_stands_beside_the_records_or_above_counts(name: str) -> None:
    more = {"total": 5, "has_more": True, "next_cursor": "x"}[name]
    assert f"'data.{name}'" in refused(answer({"data": {"items": ROWS, name: more}}), OnePage()).message


@pytest.mark.parametrize("more", MEANT_OTHERWISE)
@pytest.mark.parametrize("pager", PROVING.values(), ids=PROVING)
def test_what_says_no_more_or_something_else_refuses_nothing(pager: Pager, more: Any) -> None:
    assert read(page(more, **{"X-Total-Count": "4", "Link": "</>; rel=first"}), pager) == (True, [])


def test_keys_of_the_records_are_no_markers() -> None:
    rows = [{**row, "total": 9, "next": "x", "has_more": True} for row in ROWS]
    with ScriptedHttpServer([answer(rows)]) as server:
        assert fetched(rest(server, records="", pager=OnePage()))[1].evidence.proves_end


def test_where_nothing_is_proven_anyway_it_is_warned_of() -> None:
    for pager in (None, NextUrl("nxet", optional=True)):
        proven, (warning,) = read(page({"total": 5}), pager)
        assert not proven
        assert "'total' says that there are 5 records, but 4 came, so that absent SKUs mean nothing" in warning
        assert read(page({"total": 5}), pager, ignore_markers=("total",)) == (False, [])


def test_a_page_that_is_suspiciously_full_proves_nothing_where_nothing_says_that_it_is_the_last() -> None:
    silent = [PROVING[name] for name in ("cursor", "url", "link")]
    for pager in silent:
        assert read(page(), pager, params={"per_page": "5"}) == (True, [])
        proven, (warning,) = read(page(), pager, params={"per_page": "4"})
        assert not proven
        assert "4 records, as full pages have" in warning
        assert read(page(), pager, params={"per_page": "4"}, ignore_markers=("full page",)) == (True, [])
    assert read(page(), OnePage(), params={"per_page": "4"}) == (True, [])
    for rows, proven in ((99, True), (100, False), (101, True), (1000, False)):
        listed = answer([{"id": number} for number in range(rows)])
        with ScriptedHttpServer([listed]) as server:
            _, context = fetched(rest(server, records="", pager=LinkHeader(stable=True)))
        assert context.evidence.proves_end is proven


def test_read_twice_a_full_page_proves_no_more_than_read_once() -> None:
    pager = NextUrl("nxet", optional=True)
    assert not read(page(), pager, key="id", verify=True, params={"limit": "4"})[0]
    assert "'total'" in refused(page({"total": 5}), pager, key="id", verify=True).message


def test_a_pager_that_is_told_the_end_takes_no_cursor_beside_that_for_more() -> None:
    told = Cursor(next="cursor", param="c", has_more="state.goes_on", stable=True)
    assert read(page({"state": {"goes_on": False}, "next_cursor": "x"}), told) == (True, [])
    graph = page({"pageInfo": {"endCursor": "x"}, "info": {"hasNextPage": False}, "next": "y"})
    assert read(graph, GraphQlCursor("info", stable=True), graphql=GraphQl("{ a }")) == (True, [])


def by_key(total: Any, seen: int = 4) -> Any:
    """Two pages of two and then an empty one, with a total that a function gives for each."""

    def script(request: Request) -> Response:
        after = int(query_of(request).get("after", 0))
        return answer({"data": {"items": [row for row in ROWS[:seen] if row["id"] > after][:2]}, "total": total(after)})

    return script


def test_a_total_above_what_a_list_of_many_pages_gave_is_refused_if_it_stays_so() -> None:
    pager = KeySet(field="id", param="after")
    with ScriptedHttpServer(by_key(lambda after: 5)) as server, pytest.raises(InputIncomplete) as caught:
        fetched(rest(server, records="data.items", pager=pager))
    assert caught.value.recovery is Recovery.STOP
    assert "'total' says that there are 5 records, but 4 came" in caught.value.message
    assert len(server.requests) == 3 * 4  # an empty page is asked for twice


@pytest.mark.parametrize("total", [lambda after: 4 - after, lambda after: 4 + after], ids=["what is left", "it grows"])
def test_a_total_that_counts_what_is_left_or_grows_meanwhile_refuses_nothing(total: Any) -> None:
    with ScriptedHttpServer(by_key(total)) as server:
        rows, context = fetched(rest(server, records="data.items", pager=KeySet(field="id", param="after")))
    assert (len(rows), context.evidence.proves_end) == (4, True)


def test_a_second_list_is_held_to_its_markers_too() -> None:
    join = {"url": "/items", "records": "items", "pager": OnePage(), "on": "id", "key": "id", "take": {"name": "name"}}
    items = answer({"items": [{"id": 1, "name": "a"}], "total": 4})
    with ScriptedHttpServer(routes({"/levels": answer(ROWS), "/items": items})) as server:
        with pytest.raises(InputIncomplete, match="'total' says that there are 4 records, but 1 came"):
            fetched(rest(server, records="", pager=OnePage(), joins=(Join(**join),)))
        ignoring = Join(**join, ignore_markers=("total",))
        _, context = fetched(rest(server, records="", pager=OnePage(), joins=(ignoring,)))
    assert context.evidence.proves_end


# --- a parameter that the server does not know -----------------------------------------------------------------------

DEAF: dict[str, tuple[Pager, str, dict[str, Any]]] = {
    "page number": (PageNumber(param="pge"), r"asked for with \?pge=2 and .* the parameter 'pge'", {}),
    "offset": (Offset(param="skp", limit=4), r"asked for with \?skp=4 and .* the parameter 'skp'", {}),
    "overlap": (Offset(param="skp", limit=4, overlap=1), r"asked for with \?skp=3 and .* the parameter 'skp'", {}),
    "total": (PageNumber(param="pge", total="total"), r"\?pge=2 and .* the parameter 'pge'", {}),
    "cursor": (Cursor(next="next", param="curosr"), r"\?curosr=… and .* the parameter 'curosr'", {}),
    "body": (
        Cursor(next="next", param="page.curosr", in_body=True),
        r"with page.curosr = … in its body and .* the parameter 'page.curosr'",
        {"method": "POST", "body": {"page": {"size": 4}}},
    ),
    "graphql": (
        GraphQlCursor("pageInfo", variable="aftre"),
        r"with variables.aftre = … in its body and .* the parameter 'variables.aftre'",
        {"graphql": GraphQl("query($after: String) { a }")},
    ),
    "link": (LinkHeader(), "the server answered page 1 again", {}),
}


@pytest.mark.parametrize("key", [None, "id"])
@pytest.mark.parametrize("case", DEAF.values(), ids=DEAF)
def test_a_server_that_gives_page_1_for_ever_is_told_by_the_parameter_that_it_does_not_know(
    case: Any, key: Any
) -> None:
    pager, told, options = case
    if getattr(pager, "needs_key", False):
        key = "id"
    document = {"next": "s3cret", "total": 8, "pageInfo": {"hasNextPage": True, "endCursor": "s3cret"}}
    answers = page({**document, "data": {"items": ROWS}}, Link='</levels?page=2>; rel="next"')
    with ScriptedHttpServer([answers]) as server, pytest.raises(InputIncomplete, match=told) as caught:
        fetched(rest(server, records="data.items", pager=pager, key=key, **options))
    assert caught.value.recovery is Recovery.STOP
    assert "s3cret" not in str(caught.value)
    assert len(server.requests) == 6


def test_a_page_whose_quantities_change_is_known_again_by_its_keys() -> None:
    sold = iter(range(1000))

    def script(request: Request) -> Response:
        return page({"data": {"items": [{**row, "qty": next(sold)} for row in ROWS]}})

    with ScriptedHttpServer(script) as server, pytest.raises(InputIncomplete, match="the parameter 'pge'"):
        fetched(rest(server, records="data.items", key="id", pager=PageNumber(param="pge")))


def test_a_list_that_moves_while_it_is_read_still_only_waits() -> None:
    for moves in ((2, 2, 2), (2, 2, 4), (4, 2, 4)):
        with (
            ScriptedHttpServer(Moving(moves)) as server,
            pytest.raises(InputIncomplete, match="never held still") as told,
        ):
            fetched(rest(server, records="", pager=PageNumber(), key="id"))
        assert told.value.recovery is Recovery.WAIT


class Moving:
    """So many rows come in front of the list while it is read, each time: by four, page 2 is page 1 again."""

    def __init__(self, moves: tuple[int, ...]) -> None:
        self.moves = iter(moves)
        self.front = 0

    def __call__(self, request: Request) -> Response:
        if query_of(request)["page"] == "1":
            return answer([{"id": self.front + number} for number in range(4)])
        self.front -= next(self.moves)
        return answer([{"id": self.front + number} for number in range(4, 8)])


def test_a_server_that_forgets_the_page_once_is_asked_anew() -> None:
    forgets = [True]

    def script(request: Request) -> Response:
        number = int(query_of(request)["page"])
        if number == 2 and forgets and forgets.pop():
            number = 1
        return answer(ROWS[number * 2 - 2 : number * 2])

    with ScriptedHttpServer(script) as server:
        rows, _ = fetched(rest(server, records="", pager=PageNumber()))
    assert [row["id"] for row in rows] == ["1", "2", "3", "4"]


# --- concurrency -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pager",
    [
        None,
        OnePage(),
        LinkHeader(),
        NextUrl("next"),
        Cursor(next="next", param="c"),
        GraphQlCursor("page"),
        KeySet(field="id", param="after"),
        BodyKeySet(field="id", param="after"),
        PageNumber(),
        PageNumberMore(more="more"),
        Offset(),
    ],
)
def test_concurrency_that_nothing_would_make_use_of_is_refused(pager: Pager | None) -> None:
    with pytest.raises(ConfigurationError, match="concurrency=4 has no use"):
        PostedQuery("https://erp.example/stock", records="", pager=pager, concurrency=4)
    details = Details(url="/items/{id}", take={"qty": "qty"})
    PostedQuery("https://erp.example/stock", records="", pager=pager, concurrency=4, details=details)


@pytest.mark.parametrize("pager", [PageNumber(last="pages"), PageNumber(total="total"), Offset(total="total")])
def test_concurrency_may_be_given_where_pages_are_known(pager: Pager) -> None:
    PostedQuery("https://erp.example/stock", records="", pager=pager, concurrency=4)
