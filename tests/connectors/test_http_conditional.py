"""HttpConnector asks for an answer only if it has changed, where that is declared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from inventory_sources import Columns, CsvDecoder, Feed, HttpConnector, Source, SqlStockSink, SyncEngine
from inventory_sources._http import Validators
from inventory_sources.errors import FetchError
from inventory_sources.protocols.connector import FetchContext
from inventory_sources.testing.servers import Request, Response, ScriptedHttpServer

MakeContext = Callable[..., FetchContext]
STOCK = b"sku,quantity\nA-1,5\nA-2,5\nA-3,5\n"
MONDAY = "Mon, 05 Jan 2026 07:30:00 GMT"


def connector(server: ScriptedHttpServer, **options: object) -> HttpConnector:
    return HttpConnector(server.url, allow_private=("127.0.0.0/8",), **{"conditional": True, **options})


def after(headers: dict[str, str], make_context: MakeContext, **options: object) -> tuple[Request, FetchContext]:
    """The second of two requests, of which the first was answered with these headers and applied."""
    with ScriptedHttpServer([Response(STOCK, headers=headers), Response(status=304)]) as server:
        first = make_context()
        assert len(list(connector(server, **options).fetch(first))) == 1
        second = make_context(cursor=first.next_cursor)
        assert list(connector(server, **options).fetch(second)) == []
    return server.requests[1], second


@pytest.mark.parametrize("etag", ['"7"', 'W/"7"', '""', '"a!#~b"'])
def test_the_version_is_sent_back_as_it_came(etag: str, make_context: MakeContext) -> None:
    request, context = after({"ETag": etag, "Last-Modified": MONDAY}, make_context)
    assert request.headers["if-none-match"] == etag
    assert request.headers["if-modified-since"] == MONDAY
    assert context.outcome.nothing_new is not None
    assert context.next_cursor is None


def test_one_of_the_two_is_enough(make_context: MakeContext) -> None:
    assert "if-none-match" not in after({"Last-Modified": MONDAY}, make_context)[0].headers
    assert "if-modified-since" not in after({"ETag": '"7"'}, make_context)[0].headers


def test_a_declared_time_is_not_needed_of_what_has_not_changed(make_context: MakeContext) -> None:
    after({"ETag": '"7"', "Last-Modified": MONDAY}, make_context, as_of="last-modified")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"ETag": "7"},
        {"ETag": '"7'},
        {"ETag": '"a", "b"'},
        {"ETag": "*"},
        {"ETag": '"' + "x" * 2000 + '"'},
        {"ETag": '"\u00e9"'},
        {"Last-Modified": "yesterday"},
    ],
)
def test_what_cannot_be_sent_back_makes_no_condition(headers: dict[str, str], make_context: MakeContext) -> None:
    with ScriptedHttpServer([Response(STOCK, headers=headers), Response(status=304)]) as server:
        first = make_context()
        list(connector(server).fetch(first))
        with pytest.raises(FetchError, match="304"):
            list(connector(server).fetch(make_context(cursor=first.next_cursor)))
    assert not {"if-none-match", "if-modified-since"} & set(server.requests[1].headers)


@pytest.mark.parametrize(
    "cursor", ["", "41", "[]", "null", '{"etag": 7, "modified": null}', '{"etag": "x\\r\\ny: z"}', "{"]
)
def test_a_cursor_of_something_else_makes_no_condition(cursor: str, make_context: MakeContext) -> None:
    with ScriptedHttpServer([Response(STOCK)]) as server:
        assert len(list(connector(server).fetch(make_context(cursor=cursor)))) == 1
    assert not {"if-none-match", "if-modified-since", "y"} & set(server.requests[0].headers)


def test_nothing_is_asked_unless_declared(make_context: MakeContext) -> None:
    with ScriptedHttpServer([Response(STOCK, headers={"ETag": '"7"'}), Response(status=304)]) as server:
        context = make_context(cursor=Validators('"7"').dump())
        list(connector(server, conditional=False).fetch(context))
        assert context.next_cursor is None
        with pytest.raises(FetchError, match="304"):
            list(connector(server, conditional=False).fetch(context))


def test_the_version_is_kept_once_its_levels_are_applied(tmp_path: Path) -> None:
    def script(request: Request) -> Response:
        unchanged = request.headers.get("if-none-match") == versions[-1]
        return Response(b"", 304) if unchanged else Response(stock[-1], headers={"ETag": versions[-1]})

    versions, stock = ['"1"'], [STOCK]
    table = sa.create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    with table.begin() as connection:
        connection.execute(sa.text("CREATE TABLE stock (sku VARCHAR(64) PRIMARY KEY, quantity INTEGER NOT NULL)"))
        connection.execute(sa.text("INSERT INTO stock VALUES ('A-1', 1), ('A-2', 5), ('A-3', 5)"))
    engine = SyncEngine(str(tmp_path / "state.db"))
    with ScriptedHttpServer(script) as server:
        engine.add_source(
            Source(
                name="erp",
                connector=connector(server),
                decoder=CsvDecoder(),
                mapper=Columns(),
                feed=Feed.snapshot("available"),
                sink=SqlStockSink(table, "stock", sku="sku", quantity="quantity"),
            )
        )
        runs = [engine.sync("erp"), engine.sync("erp")]
        versions.append('"2"')
        stock.append(STOCK.replace(b",", b";"))  # cannot be read
        runs += [engine.sync("erp")]
        stock.append(STOCK.replace(b"A-1,5", b"A-1,7"))
        runs += [engine.sync("erp"), engine.sync("erp")]
    asked = [request.headers.get("if-none-match") for request in server.requests]
    assert asked == [None, '"1"', '"1"', '"1"', '"2"']
    assert [run.products_updated for run in runs] == [1, 0, 0, 1, 0]
    assert [bool(run.skipped) for run in runs] == [False, True, False, False, True]
    with table.connect() as connection:
        assert connection.scalar(sa.text("SELECT quantity FROM stock WHERE sku = 'A-1'")) == 7
    table.dispose()
