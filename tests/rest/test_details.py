"""Details: one request for each record, in order, to where the declaration says and nowhere else."""

from __future__ import annotations

import pytest
from attrs import evolve

from inventory_sources import Feed
from inventory_sources.errors import (
    AccessRefused,
    ConfigurationError,
    InputIncomplete,
    Recovery,
    SourceMissing,
    StructureInvalid,
)
from inventory_sources.feed import AbsencePolicy
from inventory_sources.rest import Details, OnePage, RestConnector
from inventory_sources.run import RunResult
from inventory_sources.testing.servers import Request, Response, ScriptedHttpServer

from .rows import Shop, answer, fetched, path_of, query_of, rest, routes, stored_again

DETAILS = {"url": "/items/{id}", "take": {"available": "stock.free"}}


def listed(*ids: object) -> Response:
    return answer([{"id": number, "sku": f"S{number}"} for number in ids])


def item(request: Request) -> Response:
    """The details of any item: ten times its number."""
    return answer({"id": 0, "stock": {"free": 10 * int(path_of(request).rpartition("/")[2])}})


def shop_of(levels: Response, **others: object):
    """A script for the list, and details of whatever is asked for but these."""

    def script(request: Request) -> Response:
        if path_of(request) == "/levels":
            return levels
        found = others.get(path_of(request).rpartition("/")[2], item)
        return found(request) if callable(found) else found

    return script


@pytest.mark.parametrize("concurrency", [1, 4])
def test_each_record_gets_its_details_in_order(concurrency: int) -> None:
    with ScriptedHttpServer(shop_of(listed(*range(20)))) as server:
        connector = rest(
            server,
            records="",
            pager=OnePage(),
            details=Details(**DETAILS),
            concurrency=concurrency,
            keep=("sku", "available"),
        )
        records, context = fetched(connector)
        paths = [path_of(request) for request in server.requests]
    assert records == [{"sku": f"S{number}", "available": str(10 * number)} for number in range(20)]
    assert sorted(paths) == sorted(["/levels", *(f"/items/{number}" for number in range(20))])
    assert context.evidence.proves_end


def test_details_of_several_records_at_one_url_are_asked_for_once() -> None:
    with ScriptedHttpServer(shop_of(answer([{"id": 1, "at": "x"}, {"id": 1, "at": "y"}]))) as server:
        records, _ = fetched(rest(server, records="", details=Details(**DETAILS)))
        assert len(server.requests) == 2
    assert [(row["at"], row["available"]) for row in records] == [("x", "10"), ("y", "10")]


def test_a_list_in_the_details_makes_a_row_each_and_an_empty_one_a_blank_row() -> None:
    levels = {"1": answer({"at": [{"place": "x", "free": 1}, {"place": "y", "free": 2}]}), "2": answer({"at": []})}
    with ScriptedHttpServer(shop_of(listed(1, 2), **levels)) as server:
        details = Details(url="/items/{id}", records="at", take={"location": "place", "available": "free"})
        records, _ = fetched(rest(server, records="", details=details))
    assert [(row["sku"], row["location"], row["available"]) for row in records] == [
        ("S1", "x", "1"),
        ("S1", "y", "2"),
        ("S2", None, None),
    ]


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_record_that_went_away_is_left_out_with_a_warning_and_nothing_is_proven(
    status: int, concurrency: int
) -> None:
    gone = dict.fromkeys(("1", "2", "3", "4"), Response(status=status))
    with ScriptedHttpServer(shop_of(listed(*range(8)), **gone)) as server:
        connector = rest(server, records="", details=Details(**DETAILS), concurrency=concurrency)
        records, context = fetched(connector)
    assert [row["sku"] for row in records] == ["S0", "S5", "S6", "S7"]
    assert context.outcome.warnings == ["4 of 8 records went away before their details were read"]
    assert not context.evidence.proves_end


def test_what_went_away_keeps_its_level_in_a_snapshot_that_zeroes_absent_ones() -> None:
    answers = {"levels": listed(1, 2)}
    details = {"1": item, "2": item}

    def script(request: Request) -> Response:
        return shop_of(answers["levels"], **details)(request)

    with ScriptedHttpServer(script) as server:
        shop = Shop("S1", "S2")
        connector = rest(server, records="", pager=OnePage(), details=Details(**DETAILS))
        shop.add(connector, Feed.snapshot(absent=AbsencePolicy.ZERO))
        shop.engine.sync("api")
        assert shop.quantities == {"S1": 10, "S2": 20}
        details["2"] = Response(status=404)
        run = shop.engine.sync("api")
        assert (run.result, shop.quantities) == (RunResult.COMPLETED, {"S1": 10, "S2": 20})
        answers["levels"] = listed(1)
        shop.engine.sync("api")
    assert shop.quantities == {"S1": 10, "S2": 0}


def test_details_that_are_nowhere_are_a_wrong_url() -> None:
    with (
        ScriptedHttpServer(routes({"/levels": listed(1, 2)})) as server,
        pytest.raises(SourceMissing, match="any of the 2"),
    ):
        fetched(rest(server, records="", details=Details(**DETAILS)))


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Response(status=401), AccessRefused),
        (answer([]), StructureInvalid),
        (answer({"stock": {"free": 1}}, Link='</items/2?page=2>; rel="next"'), None),
        (Response(status=500), None),
        (Response(b"{", headers={"Content-Type": "application/json"}), StructureInvalid),
        (Response(b'{"stock": {"free": 1}}', headers={"Content-Type": "application/json"}, cut_after=5), None),
    ],
    ids=["401", "list", "one page", "500", "half", "cut"],
)
@pytest.mark.parametrize("concurrency", [1, 3])
def test_any_other_fault_stops_the_fetch(fault: Response, error: type[Exception] | None, concurrency: int) -> None:
    with ScriptedHttpServer(shop_of(listed(*range(6)), **{"2": fault})) as server:
        connector = rest(server, records="", details=Details(**DETAILS), concurrency=concurrency)
        shop = Shop(*(f"S{number}" for number in range(6)))
        shop.add(connector)
        run = shop.engine.sync("api")
        if error is not None:
            with pytest.raises(error):
                fetched(connector)
    assert run.result is RunResult.FAILED
    assert set(shop.quantities.values()) == {0}


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("AB/12", "/items/AB%2F12"),
        ("a b?c=d#e", "/items/a%20b%3Fc%3Dd%23e"),
        ("//evil.example.com", "/items/%2F%2Fevil.example.com"),
        ("https://evil.example.com/x", "/items/https%3A%2F%2Fevil.example.com%2Fx"),
        ("é%2e", "/items/%C3%A9%252e"),
        ("...", "/items/..."),
        ("a..b", "/items/a..b"),
        ("@evil:80", "/items/%40evil%3A80"),
    ],
)
def test_a_value_stays_one_step_of_the_path(value: str, path: str) -> None:
    with ScriptedHttpServer(routes({"/levels": listed(value), path: answer({"stock": {"free": 1}})})) as server:
        records, _ = fetched(rest(server, records="", details=Details(**DETAILS)))
        assert server.requests[-1].path == path
    assert len(records) == 1


@pytest.mark.parametrize(
    "value", ["..", ".", "../admin", "a/../../b", "..\\admin", "x/..", "a\nb", "\x00", "", None, "\ud800"]
)
def test_a_value_that_would_lead_out_of_the_path_is_refused_before_anything_is_asked(value: object) -> None:
    with ScriptedHttpServer(routes({"/levels": listed(7, value)})) as server:
        with pytest.raises(StructureInvalid, match="record 2"):
            fetched(rest(server, records="", details=Details(**DETAILS)))
        assert len(server.requests) == 1


def test_a_column_that_no_record_has_is_refused() -> None:
    with ScriptedHttpServer(shop_of(listed(1))) as server:
        with pytest.raises(StructureInvalid, match="record 1 has no 'item_id'"):
            fetched(rest(server, records="", details=Details(url="/items/{item_id}", take={"a": "b"})))
        with pytest.raises(StructureInvalid, match="no details have"):
            fetched(rest(server, records="", details=Details(url="/items/{id}", take={"a": "stock.qty"})))
        with pytest.raises(StructureInvalid, match="has its own 'sku'"):
            fetched(rest(server, records="", details=Details(url="/items/{id}", take={"sku": "id"})))


def test_a_column_may_go_into_the_query() -> None:
    with ScriptedHttpServer(shop_of(listed("a&b=c d"), stock=answer({"stock": {"free": 1}}))) as server:
        fetched(
            rest(server, records="", details=Details(url="/stock", params={"of": "{id}"}, take={"a": "stock.free"}))
        )
        assert query_of(server.requests[-1]) == {"of": "a&b=c d"}


@pytest.mark.parametrize(
    "url",
    [
        "/items",
        "items/{id}",
        "https://other.example.com/{id}",
        "https://{id}/items",
        "https://{id}.example.com/items",
        "https://erp.example.com{id}/x",
        "/../{id}",
        "/a/./{id}",
    ],
)
def test_a_url_that_may_lead_elsewhere_is_refused_when_declared(url: str) -> None:
    with pytest.raises(ConfigurationError):
        RestConnector("https://erp.example.com/levels", records="", details=Details(url=url, take={"a": "b"}))


def test_details_are_a_plain_document() -> None:
    details = Details(url="/items/{id}", params={"of": "{sku}"}, records="at", take={"available": "free"})
    connector = RestConnector("https://erp.example.com/levels", records="", details=details)
    assert stored_again(connector) == connector


@pytest.mark.parametrize(
    ("said", "name"), [({"has_more": True}, "has_more"), ({"total": 50}, "total"), ({"next": "/more"}, "next")]
)
def test_a_list_in_the_details_that_goes_on_is_refused_unless_declared(said: dict[str, object], name: str) -> None:
    levels = answer({"levels": [{"at": "x", "free": 1}, {"at": "y", "free": 2}], **said})
    details = Details(url="/items/{id}", records="levels", take={"at": "at", "free": "free"})
    with ScriptedHttpServer(routes({"/levels": listed(1), "/items/1": levels})) as server:
        with pytest.raises(InputIncomplete) as refused:
            fetched(rest(server, records="", pager=OnePage(), details=details))
        assert repr(name) in refused.value.message
        assert refused.value.recovery is Recovery.STOP
        known = evolve(details, ignore_markers=(name,))
        records, _ = fetched(rest(server, records="", pager=OnePage(), details=known))
    assert [row["free"] for row in records] == ["1", "2"]
