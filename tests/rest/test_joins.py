"""Joins: the second list is whole and joined by its key, or the fetch is refused; no record is lost unseen."""

from __future__ import annotations

import json

import pytest

from inventory_sources import Secret
from inventory_sources.errors import ConfigurationError, InputIncomplete, StructureInvalid
from inventory_sources.payload import Proof
from inventory_sources.rest import Bearer, Join, LinkHeader, OnePage, PageNumber, RestConnector
from inventory_sources.run import RunResult
from inventory_sources.testing.servers import Framing, Request, Response, ScriptedHttpServer

from .rows import Shop, answer, fetched, path_of, query_of, rest, routes, stored_again

LEVELS = [
    {"inventory_item_id": 11, "location_id": 1, "available": 5},
    {"inventory_item_id": 12, "location_id": 1, "available": 0},
    {"inventory_item_id": 11, "location_id": 2, "available": 7},
]
ITEMS = [{"id": 11, "sku": "00123"}, {"id": 12, "sku": "B"}, {"id": 13, "sku": "C"}]
JOIN = {"on": "inventory_item_id", "key": "id", "take": {"sku": "sku"}}


def paged(request: Request, rows: list[dict], size: int) -> Response:
    """A page of a list, by number, as long as the list."""
    number = int(query_of(request).get("page", "1"))
    return answer({"total": len(rows), "items": rows[(number - 1) * size : number * size]})


def linked(request: Request, rows: list[dict], size: int) -> Response:
    """A page of a list that goes on by a Link header with a cursor in it."""
    start = int(query_of(request).get("after", "0"))
    link = f'<{path_of(request)}?after={start + size}>; rel="next"' if start + size < len(rows) else '</>; rel="first"'
    return answer(rows[start : start + size], Link=link)


def items(request: Request) -> Response:
    """The items that are asked for, or all."""
    asked = query_of(request).get("ids")
    return answer([item for item in ITEMS if asked is None or str(item["id"]) in asked.split(",")])


def test_each_record_gets_the_columns_of_its_partner_in_order() -> None:
    paths = {"/levels": answer(LEVELS), "/items": items}
    with ScriptedHttpServer(routes(paths)) as server:
        join = Join(url="/items", pager=OnePage(), **JOIN)
        records, context = fetched(rest(server, records="", pager=OnePage(), joins=(join,)))
    assert [(row["sku"], row["location_id"], row["available"]) for row in records] == [
        ("00123", "1", "5"),
        ("B", "1", "0"),
        ("00123", "2", "7"),
    ]
    assert context.evidence.proves_end


def test_both_lists_in_pages_are_proven_together() -> None:
    paths = {"/levels": lambda r: linked(r, LEVELS, 2), "/items": lambda r: linked(r, ITEMS, 1)}
    pager = LinkHeader(stable=True)
    with ScriptedHttpServer(routes(paths)) as server:
        connector = rest(server, records="", pager=pager, joins=(Join(url="/items", pager=pager, **JOIN),))
        records, context = fetched(connector)
        assert len(server.requests) == 5
    assert [row["sku"] for row in records] == ["00123", "B", "00123"]
    assert context.evidence.proofs == {Proof.LAST_PAGE}


def test_a_second_list_whose_end_is_not_proven_leaves_the_whole_unproven() -> None:
    paths = {"/levels": lambda r: linked(r, LEVELS, 2), "/items": lambda r: paged(r, ITEMS, 2)}
    join = Join(url="/items", records="items", pager=PageNumber(total="total"), **JOIN)
    with ScriptedHttpServer(routes(paths)) as server:
        records, context = fetched(rest(server, records="", pager=LinkHeader(stable=True), joins=(join,)))
    assert [row["sku"] for row in records] == ["00123", "B", "00123"]
    assert not context.evidence.proves_end


def test_ids_are_asked_for_in_batches_each_once() -> None:
    with ScriptedHttpServer(routes({"/levels": answer(LEVELS), "/items": items})) as server:
        for batch, asked in ((1, ["11", "12"]), (2, ["11,12"])):
            join = Join(url="/items?limit=9", ids_param="ids", batch=batch, **JOIN)
            before = len(server.requests)
            records, context = fetched(rest(server, records="", pager=OnePage(), joins=(join,)))
            assert [row["sku"] for row in records] == ["00123", "B", "00123"]
            sent = [query_of(request) for request in server.requests[before + 1 :]]
            assert sent == [{"limit": "9", "ids": ids} for ids in asked]
            assert context.evidence.proves_end


def test_braces_in_a_parameter_stay() -> None:
    with ScriptedHttpServer(routes({"/levels": answer(LEVELS), "/items": items})) as server:
        join = Join(url="/items?b=2", params={"filter": '{"active":{"eq":1}}', "fields": "{id}"}, **JOIN)
        fetched(rest(server, records="", joins=(join,)))
        assert query_of(server.requests[1]) == {"b": "2", "filter": '{"active":{"eq":1}}', "fields": "{id}"}


def test_a_server_that_does_not_know_the_ids_parameter_is_found_out() -> None:
    with ScriptedHttpServer(routes({"/levels": answer(LEVELS), "/items": answer(ITEMS)})) as server:
        join = Join(url="/items", ids_param="item_ids", **JOIN)
        with pytest.raises(StructureInvalid, match="'13', which was not asked for"):
            fetched(rest(server, records="", joins=(join,)))


def test_an_id_with_the_separator_in_it_is_refused() -> None:
    with ScriptedHttpServer(routes({"/levels": answer([{"inventory_item_id": "1,2"}]), "/items": items})) as server:
        with pytest.raises(StructureInvalid, match="separator"):
            fetched(rest(server, records="", joins=(Join(url="/items", ids_param="ids", **JOIN),)))
        assert len(server.requests) == 1


def test_a_record_without_a_partner_stays_with_blank_columns_or_is_left_out_with_a_warning() -> None:
    levels = [*LEVELS, {"inventory_item_id": 99, "available": 3}, {"inventory_item_id": None, "available": 4}]
    with ScriptedHttpServer(routes({"/levels": answer(levels), "/items": items})) as server:
        kept, _ = fetched(rest(server, records="", joins=(Join(url="/items", **JOIN),)))
        dropped, context = fetched(rest(server, records="", joins=(Join(url="/items", missing="drop", **JOIN),)))
    assert [row["sku"] for row in kept] == ["00123", "B", "00123", None, None]
    assert [row["sku"] for row in dropped] == ["00123", "B", "00123"]
    assert context.outcome.warnings == ["2 records were left out: the second list has nothing for them"]


def test_a_row_without_a_partner_is_reported_by_the_sync() -> None:
    levels = [*LEVELS[:2], {"inventory_item_id": 99, "available": 3}]
    with ScriptedHttpServer(routes({"/levels": answer(levels), "/items": items})) as server:
        shop = Shop("00123", "B")
        shop.add(rest(server, records="", joins=(Join(url="/items", **JOIN),)))
        run = shop.engine.sync("api")
        assert (run.result, run.counts.rows, run.counts.mapped, run.counts.invalid) == (RunResult.COMPLETED, 3, 2, 1)
    assert shop.quantities == {"00123": 5, "B": 0}


def test_doubled_keys_in_the_second_list_are_refused() -> None:
    twice = [*ITEMS, {"id": 11, "sku": "other"}]
    with ScriptedHttpServer(routes({"/levels": answer(LEVELS), "/items": answer(twice)})) as server:
        with pytest.raises(StructureInvalid, match="'11' stands twice"):
            fetched(rest(server, records="", joins=(Join(url="/items", **JOIN),)))
    paths = {"/levels": answer(LEVELS), "/items": lambda r: linked(r, twice, 2)}
    with ScriptedHttpServer(routes(paths)) as server, pytest.raises(InputIncomplete, match="'11' came again"):
        fetched(rest(server, records="", joins=(Join(url="/items", pager=LinkHeader(), **JOIN),)))


@pytest.mark.parametrize(
    ("second", "says"),
    [
        ([{"id": 1, "sku": "A"}], "no record's 'inventory_item_id' is a 'id'"),
        ([], "no record's 'inventory_item_id' is a 'id'"),
        ([{"id": 11, "name": "A"}], "no record of the second list has 'sku'"),
        ([{"sku": "A"}], "'id'"),
        ([{"id": None, "sku": "A"}], "no text or number"),
        ({"items": []}, "not a list"),
        ([11], "not an object"),
    ],
)
def test_a_join_by_the_wrong_columns_is_refused(second: object, says: str) -> None:
    with ScriptedHttpServer(routes({"/levels": answer(LEVELS), "/items": answer(second)})) as server:
        with pytest.raises(StructureInvalid, match=says):
            fetched(rest(server, records="", joins=(Join(url="/items", missing="drop", **JOIN),)))


def test_a_column_that_the_list_has_already_is_refused() -> None:
    levels = [{**LEVELS[0], "sku": "own"}]
    with ScriptedHttpServer(routes({"/levels": answer(levels), "/items": items})) as server:
        with pytest.raises(StructureInvalid, match="has its own 'sku'"):
            fetched(rest(server, records="", joins=(Join(url="/items", **JOIN),)))
        join = Join(url="/items", on="inventory_item_id", key="id", take={"item_sku": "sku"})
        (record,), _ = fetched(rest(server, records="", joins=(join,), keep=("sku", "item_sku")))
    assert record == {"sku": "own", "item_sku": "00123"}


def test_a_list_that_has_no_such_column_is_refused() -> None:
    with ScriptedHttpServer(routes({"/levels": answer([{"item": 1}]), "/items": items})) as server:
        with pytest.raises(StructureInvalid, match="no record has 'inventory_item_id'"):
            fetched(rest(server, records="", joins=(Join(url="/items", **JOIN),)))


def test_joins_follow_one_another() -> None:
    paths = {
        "/levels": answer(LEVELS[:1]),
        "/items": answer([{"id": 11, "variant": {"id": 7}}]),
        "/variants": answer([{"id": 7, "sku": "A"}]),
    }
    first = Join(url="/items", on="inventory_item_id", key="id", take={"variant": "variant.id"})
    second = Join(url="/variants", on="variant", key="id", take={"sku": "sku"})
    with ScriptedHttpServer(routes(paths)) as server:
        (record,), _ = fetched(rest(server, records="", joins=(first, second)))
    assert (record["variant"], record["sku"]) == ("7", "A")


@pytest.mark.parametrize(
    "fault",
    [
        Response(status=500),
        Response(status=404),
        Response(b"<html>", headers={"Content-Type": "text/html"}),
        Response(json.dumps(ITEMS).encode(), headers={"Content-Type": "application/json"}, cut_after=9),
        Response(json.dumps(ITEMS)[:-1].encode(), headers={"Content-Type": "application/json"}),
        answer(ITEMS[:1], Link='</items?page=2>; rel="next"'),
    ],
    ids=["500", "404", "html", "cut", "half", "one page of several"],
)
def test_a_fault_of_the_second_list_is_never_a_part_of_the_first(fault: Response) -> None:
    with ScriptedHttpServer(routes({"/levels": answer(LEVELS), "/items": fault})) as server:
        shop = Shop("00123", "B")
        shop.add(rest(server, records="", joins=(Join(url="/items", **JOIN),)))
        run = shop.engine.sync("api")
    assert run.result is RunResult.FAILED
    assert shop.quantities == {"00123": 0, "B": 0}


def test_a_second_list_that_only_the_close_of_the_connection_ends_proves_nothing() -> None:
    bare = Response(json.dumps(ITEMS).encode(), headers={"Content-Type": "application/json"}, framing=Framing.CLOSE)
    with ScriptedHttpServer(routes({"/levels": answer(LEVELS), "/items": bare})) as server:
        records, context = fetched(rest(server, records="", joins=(Join(url="/items", **JOIN),)))
    assert len(records) == 3
    assert not context.evidence.proves_end


def test_an_empty_list_needs_no_partner() -> None:
    with ScriptedHttpServer(routes({"/levels": answer([])})) as server:
        connector = rest(server, records="", pager=OnePage(), joins=(Join(url="/items", **JOIN),))
        records, context = fetched(connector)
    assert (records, context.evidence.proves_end) == ([], True)


def test_credentials_and_headers_go_along_to_the_second_list_and_nowhere_else() -> None:
    with ScriptedHttpServer(routes({"/levels": answer(LEVELS), "/items": items})) as server:
        options = {"auth": Bearer(Secret("t0ken")), "headers": {"X-Shop": "1"}}
        fetched(rest(server, records="", joins=(Join(url=server.url + "items", **JOIN),), **options))
        assert {r.headers["authorization"] + r.headers["x-shop"] for r in server.requests} == {"Bearer t0ken1"}
        for url in ("https://evil.example.com/items", server.url.replace("http:", "https:") + "items"):
            with pytest.raises(ConfigurationError, match="another origin"):
                rest(server, records="", joins=(Join(url=url, **JOIN),), **options)


@pytest.mark.parametrize("url", ["items", "/a/../items", "/./items", "/items#x", "/items\\x", "/it ems", "/items/{id}"])
def test_a_url_that_is_no_path_of_the_origin_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        RestConnector("https://erp.example.com/levels", records="", joins=(Join(url=url, **JOIN),))


def test_two_slashes_at_the_start_of_a_path_are_no_other_host() -> None:
    with ScriptedHttpServer(routes({"/levels": answer(LEVELS), "//evil.example.com/items": items})) as server:
        records, _ = fetched(rest(server, records="", joins=(Join(url="//evil.example.com/items", **JOIN),)))
    assert len(records) == 3


@pytest.mark.parametrize("wrong", [{"take": {}}, {"batch": 0}, {"missing": "guess"}])
def test_a_join_that_cannot_work_is_refused(wrong: dict) -> None:
    with pytest.raises(ConfigurationError):
        Join(url="/items", **{**JOIN, **wrong})


def test_joins_need_records() -> None:
    with pytest.raises(ConfigurationError, match="joins needs records"):
        RestConnector("https://erp.example.com/levels", joins=(Join(url="/items", **JOIN),))


def test_a_join_is_a_plain_document() -> None:
    join = Join(url="/items", ids_param="ids", batch=20, pager=LinkHeader(stable=True), missing="drop", **JOIN)
    connector = RestConnector("https://erp.example.com/levels", records="", joins=(join,))
    assert stored_again(connector) == connector


def test_a_secret_in_the_clear_is_refused_in_the_parameters_of_a_join() -> None:
    with pytest.raises(ConfigurationError, match="'access_token' has the name of a secret"):
        Join(url="/items", params={"access_token": "t0ken"}, **JOIN)
    Join(url="/items", params={"access_token": "none"}, not_secret=["access_token"], **JOIN)
