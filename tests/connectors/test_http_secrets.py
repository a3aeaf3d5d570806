"""No secret of an HTTP source shows anywhere: not in logs at DEBUG, not in errors or what led to them, not in reprs."""

from __future__ import annotations

import logging
import socket
import traceback

import pytest

from inventory_sources._http._wire import Connection, Exchange
from inventory_sources._url import WebAddress
from inventory_sources.connectors import HttpConnector, HttpRequest
from inventory_sources.errors import ConfigurationError, InventorySourcesError
from inventory_sources.protocols.connector import FetchContext
from inventory_sources.secrets import Secret
from inventory_sources.testing.servers import Framing, Response, ScriptedHttpServer

CANARIES = ("c4nary-token", "c4nary-header", "c4nary-query", "c4nary-url")
STOCK = b"sku,quantity\nA,5\n"
ECHO = "/stock?key=c4nary-query&s=c4nary-url"


def source(server: ScriptedHttpServer, **options: object) -> HttpConnector:
    return HttpConnector(
        server.url + "stock?s=c4nary-url",
        token=Secret("c4nary-token"),
        secret_headers={"X-Api-Key": Secret("c4nary-header")},
        secret_query={"key": Secret("c4nary-query")},
        allow_plaintext=True,
        allow_private=("127.0.0.0/8",),
        **options,
    )


def whole_story(error: BaseException | None) -> str:
    """An error with everything that hangs on it, as a log of the host would show it."""
    parts = []
    while error is not None:
        parts += [str(error), repr(error), "".join(traceback.format_exception(error))]
        error = error.__cause__ or error.__context__
    return "\n".join(parts)


def shown(text: str) -> list[str]:
    return [canary for canary in CANARIES if canary in text]


def every_record(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)


@pytest.mark.parametrize(
    "response",
    [
        Response(STOCK, headers={"Set-Cookie": "c4nary-token"}),
        Response(b"", 302, {"Location": ECHO}),
        Response(b"", 302, {"Location": f"https://u:c4nary-token@h.example{ECHO}"}),
        Response(b"c4nary-token", 401, {"WWW-Authenticate": "c4nary-token"}),
        Response(b"c4nary-query", 404),
        Response(b"", 429, {"Retry-After": "c4nary-query"}),
        Response(STOCK, headers={"Content-Encoding": "c4nary-query"}),
        Response(STOCK, headers={"c4nary-query c4nary-url": "c4nary-token"}),
        Response(STOCK, headers={"Last-Modified": "c4nary-query"}),
        Response(STOCK, cut_after=3),
        Response(STOCK, cut_after=3, framing=Framing.CHUNKED),
        Response(STOCK, content_length=10**12),
    ],
)
def test_neither_logs_nor_errors_show_a_secret(
    response: Response, context: FetchContext, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    error: BaseException | None = None
    with ScriptedHttpServer([response]) as server:
        try:
            payloads = list(source(server, as_of="last-modified").fetch(context))
            story = repr(payloads)
        except InventorySourcesError as caught:
            error = caught
            story = whole_story(caught)
        # The server did get them all: a canary that was never sent proves nothing.
        request = server.requests[0]
    assert shown(f"{request.path} {request.headers}") == list(CANARIES)
    assert error is not None
    assert shown(story) == []
    assert shown(every_record(caplog)) == []


def test_a_success_shows_no_secret_either(context: FetchContext, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with ScriptedHttpServer([Response(STOCK)]) as server:
        connector = source(server)
        told = f"{list(connector.fetch(context))} {connector.check(context)}"
        assert shown(server.requests[1].path) == ["c4nary-query", "c4nary-url"]
    assert shown(told) == []
    assert shown(every_record(caplog)) == []


def test_a_failed_connection_and_a_denied_address_show_no_secret(
    context: FetchContext, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with ScriptedHttpServer([Response(STOCK)]) as server:
        closed = source(server)
    denied = HttpConnector("https://127.0.0.1/stock?s=c4nary-url", token=Secret("c4nary-token"))
    for connector in (closed, denied):
        with pytest.raises(InventorySourcesError) as caught:
            list(connector.fetch(context))
        assert shown(whole_story(caught.value)) == []
    assert shown(every_record(caplog)) == []


@pytest.mark.parametrize(
    "url",
    [
        "https://user:c4nary-token@erp.example/stock",
        "https://erp.example/stock?key=c4nary-query#c4nary-url",
        "ftp://c4nary-token@erp.example/stock?key=c4nary-query",
        "https://c4nary-token:c4nary-query/",
    ],
)
def test_a_url_that_is_refused_is_not_shown(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        HttpConnector(url)
    assert shown(whole_story(caught.value)) == []


def test_a_token_that_http_cannot_send_is_not_shown(context: FetchContext) -> None:
    # A traceback quotes the source, so the line that raises must not hold the token itself.
    token = CANARIES[0] + "\n"
    with pytest.raises(ConfigurationError) as caught:
        list(HttpConnector("https://erp.example/", token=Secret(token)).fetch(context))
    assert shown(whole_story(caught.value)) == []
    ours, theirs = socket.socketpair()
    url = WebAddress.parse("https://erp.example/")
    with ours, theirs, pytest.raises(ConfigurationError) as caught:
        Exchange(Connection(ours), url, {"Authorization": token}, lambda: 1.0)
    assert shown(whole_story(caught.value)) == []


def test_reprs_show_no_secret() -> None:
    connector = HttpConnector(
        "https://erp.example/stock?s=c4nary-url",
        token=Secret("c4nary-token"),
        headers={"X-Old": "c4nary-header"},
        secret_query={"key": Secret("c4nary-query")},
    )
    request = HttpRequest("https://erp.example/stock?s=c4nary-url", {"X-Api-Key": "c4nary-header"})
    assert shown(f"{connector!r} {request!r}") == []
    assert "https://erp.example/stock" in repr(connector)
    assert shown(repr(HttpRequest("erp.example?key=c4nary-query"))) == []
