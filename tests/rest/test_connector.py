"""RestConnector against a real server: what is asked for, what is taken, and what is refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen

from inventory_sources.errors import (
    AccessRefused,
    ConfigurationError,
    FetchError,
    InputIncomplete,
    InputTooLarge,
    MissingExtra,
    RateLimited,
    Recovery,
    ServerFailed,
    StructureInvalid,
    Truncated,
)
from inventory_sources.feed import Feed
from inventory_sources.mappers import Columns
from inventory_sources.payload import Evidence, Payload, Proof
from inventory_sources.protocols.connector import FetchContext
from inventory_sources.registry import Registry
from inventory_sources.rest import (
    Bearer,
    Cursor,
    GraphQl,
    GraphQlCursor,
    HeaderTotal,
    HttpLimits,
    KeySet,
    LinkHeader,
    Manners,
    NextUrl,
    Offset,
    OnePage,
    Page,
    PageNumber,
    RestConnector,
)
from inventory_sources.rest._pages import sequential
from inventory_sources.secrets import Secret
from inventory_sources.sinks import MemorySink
from inventory_sources.source import Source
from inventory_sources.testing.connectors import ConnectorContract, fetch_context
from inventory_sources.testing.servers import Framing, Request, Response, ScriptedHttpServer

LOOPBACK = ("127.0.0.0/8",)
JSON = {"Content-Type": "application/json"}
ONE = [{"sku": "A", "qty": 5}]


def answer(document: object, **headers: str) -> Response:
    return Response(json.dumps(document).encode(), headers={**JSON, **headers})


@pytest.fixture
def context(tmp_path: Path) -> FetchContext:
    return fetch_context(tmp_path)


def rest(server: ScriptedHttpServer, path: str = "stock", **options: Any) -> RestConnector:
    given = {"manners": Manners(tries=1), **options}
    return RestConnector(server.url + path, allow_private=LOOPBACK, allow_plaintext=True, **given)


def fetched(response: Response, context: FetchContext, **options: Any) -> list[Any]:
    with ScriptedHttpServer([response]) as server:
        return list(rest(server, **options).fetch(context))


def text(payload: Payload) -> bytes:
    with payload.open() as stream:
        return stream.read()


class TestRecords(ConnectorContract):
    secrets = ("s3cret",)

    @pytest.fixture(autouse=True)
    def server(self) -> Iterator[None]:
        def stock(request: Request) -> Response:
            return answer(ONE) if request.path.startswith("/stock") else Response(status=404)

        with ScriptedHttpServer(stock) as self.scripted:
            yield

    def make(self) -> RestConnector:
        return rest(self.scripted, records="", auth=Bearer(Secret("s3cret")))

    def make_broken(self) -> RestConnector:
        return rest(self.scripted, "gone", records="", auth=Bearer(Secret("s3cret")))


class TestFiles(TestRecords):
    def make(self) -> RestConnector:
        return rest(self.scripted, auth=Bearer(Secret("s3cret")))

    def make_broken(self) -> RestConnector:
        return rest(self.scripted, "gone", auth=Bearer(Secret("s3cret")))


def test_a_list_in_one_answer(context: FetchContext) -> None:
    body = b"""{"data": {"items": [{"sku": "A", "qty": 5.10, "big": 12345678901234567890, "ok": true, "no": false,
        "at": {"bin": {"id": 7}, "none": {}}, "tags": ["x"], "gone": null}]}}"""
    with ScriptedHttpServer([Response(body, headers=JSON)]) as server:
        (record,) = rest(server, "stock?a=1", params={"q": "a b"}, records="data.items").fetch(context)
    assert record == {
        "sku": "A", "qty": "5.10", "big": "12345678901234567890", "ok": "true", "no": "false", "at.bin.id": "7",
        "gone": None,
    }  # fmt: skip
    (request,) = server.requests
    assert (request.method, request.path, request.headers["accept"]) == ("GET", "/stock?a=1&q=a+b", "application/json")


@pytest.mark.parametrize("framing", list(Framing), ids=str)
def test_one_answer_may_be_a_first_page_unless_it_is_declared_to_be_all(
    framing: Framing, context: FetchContext
) -> None:
    one = evolve(answer(ONE), framing=framing)
    assert fetched(one, context, records="") == [{"sku": "A", "qty": "5"}]
    assert context.evidence == Evidence()
    assert fetched(one, context, records="", pager=OnePage()) == [{"sku": "A", "qty": "5"}]
    assert context.evidence == Evidence(frozenset({Proof.LAST_PAGE}))


def test_headers_of_one_s_own_and_a_body(context: FetchContext) -> None:
    with ScriptedHttpServer([answer(ONE)]) as server:
        list(
            rest(
                server, records="", method="POST", body={"only": ["stock"]}, headers={"accept": "application/hal+json"}
            ).fetch(context)
        )
    (request,) = server.requests
    assert (request.method, json.loads(request.body)) == ("POST", {"only": ["stock"]})
    assert request.headers["accept"] == "application/hal+json"
    assert request.headers["content-type"] == "application/json"


def test_only_the_columns_to_keep(context: FetchContext) -> None:
    stock = [{"sku": "A", "qty": 1, "text": "x" * 100}, {"sku": "B", "text": "y"}]
    assert fetched(answer(stock), context, records="", keep=("sku", "qty")) == [{"sku": "A", "qty": "1"}, {"sku": "B"}]


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"items": ONE, "n": 1}, "no 'data.items': at the top is an object with the keys 'items', 'n'"),
        ({"data": {"items": None}}, "at 'data.items' is null, not a list"),
        ({"data": {"items": {"A": 5}}}, "at 'data.items' is an object with the keys 'A', not a list"),
        ({"data": {"items": [*ONE, ["B"]]}}, "record 2 at 'data.items' is a list, not an object"),
        ({"data": {"items": [*ONE, {"a.b": 1, "a": {"b": 2}}]}}, "record 2: two places of it are both called 'a.b'"),
    ],
)
def test_a_document_of_another_shape_is_refused(document: object, told: str, context: FetchContext) -> None:
    with pytest.raises(StructureInvalid, match=told.replace("(", r"\(")):
        fetched(answer(document), context, records="data.items")
    assert context.evidence == Evidence()


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (Response(b"<html>Log in</html>", headers={"Content-Type": "text/html"}), FetchError),
        (Response(b"<html>Log in</html>", headers=JSON), StructureInvalid),
        (Response(b"[]", headers={"Content-Type": "text/csv"}), FetchError),
        (Response(b'[{"a": 1, "a": 2}]', headers=JSON), StructureInvalid),
        (Response(b'[{"a": NaN}]', headers=JSON), StructureInvalid),
        (Response(b"[" * 100 + b"]" * 100, headers=JSON), InputTooLarge),
        (Response(b"\xff[]", headers=JSON), StructureInvalid),
        (Response(status=204), StructureInvalid),
        (Response(b"[]", headers=JSON, content_length=9), Truncated),
        (answer(ONE, Link='</stock?page=2>; rel="next"'), InputIncomplete),
        (answer({"value": ONE, "@odata.nextLink": "https://x.example/"}), InputIncomplete),
    ],
)
def test_what_is_no_whole_list_is_refused(response: Response, error: type[Exception], context: FetchContext) -> None:
    path = "value" if b"odata" in response.body else ""
    with pytest.raises(error):
        fetched(response, context, records=path)


def test_one_page_of_several_says_which_pager_to_declare(context: FetchContext) -> None:
    with pytest.raises(InputIncomplete) as refused:
        fetched(answer(ONE, Link='</stock?page=2>; rel="next"'), context, records="")
    assert refused.value.recovery is Recovery.STOP
    assert "LinkHeader()" in refused.value.guidance


def test_a_link_header_of_another_purpose_is_no_matter(context: FetchContext) -> None:
    assert len(fetched(answer(ONE, Link="</a.css>; rel=preload; as=style, what"), context, records="")) == 1


def test_a_document_is_reshaped_before_its_records_are_looked_for(context: FetchContext) -> None:
    stock = {"products": [{"name": "Shirt", "variants": [{"sku": "A", "qty": 1}, {"sku": "B", "qty": 2}]}]}
    rows = fetched(answer(stock), context, records="", reshape="products[].variants[]")
    assert rows == [{"sku": "A", "qty": "1"}, {"sku": "B", "qty": "2"}]
    with pytest.raises(StructureInvalid, match="at the top is null"):
        fetched(answer(stock), context, records="", reshape="items")
    with pytest.raises(StructureInvalid, match="reshape cannot be applied"):
        fetched(answer(stock), context, records="", reshape="sum(products)")


def test_reshape_is_judged_when_it_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="no JMESPath expression"):
        RestConnector("https://a.example/", records="", reshape="a[")
    monkeypatch.setitem(sys.modules, "jmespath", None)
    with pytest.raises(MissingExtra, match="jmespath"):
        RestConnector("https://a.example/", records="", reshape="a")


QUERY = GraphQl("query($after: String) { stock(after: $after) { nodes { sku } } }", {"shop": 7})


def test_a_query_of_graphql(context: FetchContext) -> None:
    def stock(request: Request) -> Response:
        after = json.loads(request.body)["variables"].get("after")
        info = {"hasNextPage": after is None, "endCursor": "abc"}
        nodes = [{"sku": "A" if after is None else "B"}]
        return answer({"data": {"stock": {"nodes": nodes, "pageInfo": info}}, "errors": []})

    with ScriptedHttpServer(stock) as server:
        rows = list(
            rest(
                server, graphql=QUERY, records="data.stock.nodes", pager=GraphQlCursor("data.stock.pageInfo")
            ).fetch(context)
        )  # fmt: skip
    assert rows == [{"sku": "A"}, {"sku": "B"}]
    assert [json.loads(request.body)["variables"] for request in server.requests] == [
        {"shop": 7},
        {"shop": 7, "after": "abc"},
    ]
    assert {request.method for request in server.requests} == {"POST"}


@pytest.mark.parametrize(
    ("errors", "error", "told"),
    [
        ([{"message": "token s3cret is bad", "extensions": {"code": "UNAUTHENTICATED"}}], AccessRefused, "UNAUTHENT"),
        ([{"message": "s3cret", "extensions": {"code": "THROTTLED"}}], RateLimited, "THROTTLED"),
        ([{"message": "s3cret", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}], ServerFailed, "INTERNAL"),
        ([{"message": "s3cret", "path": ["stock", 0, "s3cret is"]}], FetchError, r"without a code at stock\.0\.\?"),
        ([{"message": "s3cret", "extensions": {"code": "bad: s3cret"}}], FetchError, "without a code"),
        ("s3cret", FetchError, "without a code"),
    ],
)
def test_errors_of_graphql_with_status_200_are_refused_without_the_server_s_words(
    errors: object, error: type[FetchError], told: str, context: FetchContext
) -> None:
    document = {"data": {"stock": {"nodes": [{"sku": "A"}]}}, "errors": errors}
    with pytest.raises(error, match=told) as refused:
        fetched(answer(document), context, graphql=QUERY, records="data.stock.nodes")
    assert "s3cret" not in f"{refused.value} {refused.value!r}"


def test_an_answer_that_graphql_would_not_give_is_refused(context: FetchContext) -> None:
    with pytest.raises(StructureInvalid, match="neither data nor errors"):
        fetched(answer({"message": "Not found"}), context, graphql=QUERY, records="data")


def test_without_records_each_answer_is_left_to_the_decoder(context: FetchContext) -> None:
    with ScriptedHttpServer([Response(b"sku,qty\nA,5\n", headers={"Content-Type": "text/csv"})]) as server:
        (payload,) = rest(server).fetch(context)
        assert isinstance(payload, Payload)
        assert (text(payload), payload.media_type) == (b"sku,qty\nA,5\n", "text/csv")
        assert payload.evidence == Evidence(frozenset({Proof.LENGTH}))


def test_files_in_pages_prove_no_more_than_their_pager(context: FetchContext) -> None:
    def page(request: Request) -> Response:
        last = "page=2" in request.path
        link = '</stock?page=1>; rel="first"' if last else '</stock?page=2>; rel="next"'
        return Response(b"sku,qty\nB,1\n" if last else b"sku,qty\nA,5\n", headers={"Link": link})

    with ScriptedHttpServer(page) as server:
        found = list(rest(server, pager=LinkHeader()).fetch(context))
        assert [text(payload) for payload in found] == [b"sku,qty\nA,5\n", b"sku,qty\nB,1\n"]
        assert {payload.evidence for payload in found} == {Evidence()}
        found = list(rest(server, pager=LinkHeader(stable=True)).fetch(context))
        assert {payload.evidence for payload in found} == {Evidence(frozenset({Proof.LAST_PAGE}))}


def test_the_same_file_on_two_pages_is_refused(context: FetchContext) -> None:
    def page(request: Request) -> Response:
        return Response(b"sku,qty\nA,5\n", headers={"X-Pages": "2"})

    with ScriptedHttpServer(page) as server:
        with pytest.raises(InputIncomplete, match=r"page=2 .* page 1 again: it does not know the parameter 'page'"):
            list(rest(server, pager=HeaderTotal(last="X-Pages")).fetch(context))


@pytest.mark.parametrize(
    "response",
    [
        Response(b"sku", headers={"Content-Type": "text/HTML; charset=utf-8"}),
        Response(b"\xef\xbb\xbf \n<!DOCTYPE html><p>Log in", headers={"Content-Type": "text/csv"}),
        Response(b"<HTML><p>Log in"),
    ],
)
def test_html_in_place_of_a_file_is_refused_unless_declared(response: Response, context: FetchContext) -> None:
    with pytest.raises(FetchError, match="a page of HTML"):
        fetched(response, context)
    assert len(fetched(response, context, allow_html=True)) == 1


def test_redirects_are_followed_where_that_is_declared(context: FetchContext) -> None:
    def published(request: Request) -> Response:
        if request.path == "/stock":
            return Response(status=307, headers={"Location": "/file?id=1"})
        return Response(b"sku,qty\nA,5\n", headers={"Content-Type": "text/csv"})

    with ScriptedHttpServer(published) as server:
        with pytest.raises(FetchError, match="redirects"):
            list(rest(server).fetch(context))
        (payload,) = rest(server, limits=HttpLimits(max_redirects=2)).fetch(context)
        assert isinstance(payload, Payload)
        assert text(payload) == b"sku,qty\nA,5\n"


def test_check_shows_the_head_of_the_first_page(context: FetchContext) -> None:
    with ScriptedHttpServer([answer(ONE)]) as server:
        head = rest(server, records="", pager=PageNumber()).check(context)
    assert json.loads(head.data) == ONE
    assert (head.complete, head.size, head.media_type) == (True, len(head.data), "application/json")
    assert [request.path for request in server.requests] == ["/stock?page=1"]


def test_a_subclass_says_where_records_are_and_what_they_become(context: FetchContext) -> None:
    class ByWarehouse(RestConnector):
        def page_records(self, page: Page) -> Sequence[Mapping[str, Any]]:
            return [{"sku": sku, **levels} for sku, levels in page.document["stock"].items()]

        def record(self, record: dict[str, str | None]) -> Mapping[str, object] | None:
            return None if record["sku"] == "TEST" else {**record, "location": "main"}

    stock = {"stock": {"A": {"qty": 5}, "TEST": {"qty": 1}}}
    with ScriptedHttpServer([answer(stock)]) as server:
        found = ByWarehouse(server.url, records="", allow_private=LOOPBACK)
        assert list(found.fetch(context)) == [{"sku": "A", "qty": "5", "location": "main"}]


@pytest.mark.parametrize(
    "options",
    [
        {"url": "ftp://a.example/"},
        {"method": "DELETE"},
        {"body": {}, "graphql": QUERY, "records": ""},
        {"graphql": QUERY},
        {"keep": "sku", "records": ""},
        {"keep": ("sku",)},
        {"reshape": "a"},
        {"headers": {"Host": "b.example"}},
        {"headers": {"X": "a\nb"}},
        {"concurrency": 0},
        {"allow_private": ("10.0.0.0/99",)},
        {"url": "http://a.example/", "auth": Bearer(Secret("s3cret"))},
    ],
)
def test_what_cannot_work_is_refused_when_it_is_declared(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        RestConnector(**{"url": "https://a.example/", **options})


PAGERS = [
    LinkHeader(stable=True, expired=(404, 410)),
    NextUrl("@odata.nextLink", optional=True),
    Cursor(next="next", param="cursor", has_more="more"),
    GraphQlCursor("data.items.pageInfo", variable="cursor", stable=True),
    PageNumber(last="pages", size_param="size", size=50, start=0),
    HeaderTotal(last="X-WP-TotalPages", total="X-WP-Total"),
    Offset(total="total", limit=200, overlap=1),
    KeySet(field="id", param="since_id", start="0"),
    None,
]


@pytest.mark.parametrize("pager", PAGERS, ids=lambda pager: type(pager).__name__)
def test_a_source_survives_storage_as_a_plain_document(pager: Any) -> None:
    connector = RestConnector(
        "https://erp.example.com/stock",
        method="POST",
        params={"a": "b"},
        headers={"X": "y"},
        body={"deep": [1, {"b": None}]},
        auth=Bearer(Secret.reference("env:ERP")),
        records="data.items",
        reshape="@",
        keep=("sku", "qty"),
        pager=pager,
        key="id",
        verify=True,
        concurrency=1 if sequential(pager) else 4,
        manners=Manners(requests_per_second=2.0),
        limits=HttpLimits(max_redirects=2),
        max_pages=5,
        allow_private=("10.0.0.0/8",),
    )
    source = Source(
        name="erp", connector=connector, mapper=Columns(sku="sku", quantity="qty"), feed=Feed.snapshot("available"),
        sink=MemorySink({}),
    )  # fmt: skip
    registry = Registry()
    registry.register("sink", "shop", source.sink)
    stored = json.loads(json.dumps(registry.document(registry.describe(source))))
    again = registry.build(registry.spec(stored)).connector
    assert isinstance(again, RestConnector)
    assert again.auth.token.stored_as == "env:ERP"
    assert evolve(again, auth=None) == evolve(connector, auth=None)


def test_a_query_survives_storage_and_a_pager_of_one_s_own_is_found_by_name() -> None:
    @frozen
    class Sheets:
        param: str = "sheet"

        def first(self, request: Any) -> Any:
            return request

        def following(self, page: Any) -> None:
            return None

    registry = Registry()
    registry.register("pager", "sheets", Sheets)
    sink = MemorySink({})
    registry.register("sink", "shop", sink)
    connector = RestConnector("https://a.example/", graphql=QUERY, records="data", pager=Sheets("s"))
    source = Source(
        name="erp", connector=connector, mapper=Columns(sku="sku", quantity="qty"), feed=Feed.snapshot("available"),
        sink=sink,
    )  # fmt: skip
    stored = json.loads(json.dumps(registry.document(registry.describe(source))))
    assert stored["connector"]["options"]["pager"] == {"name": "sheets", "options": {"param": "s"}}
    assert registry.build(registry.spec(stored)).connector == connector
