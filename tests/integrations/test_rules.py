"""What no server or client shows on demand: full queues, faults of the engine, servers that do other things."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
import threading
from datetime import UTC, datetime
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from inventory_sources.errors import ConfigurationError, MissingExtra
from inventory_sources.integrations import asgi, wsgi
from inventory_sources.protocols.webhook import Answer
from inventory_sources.testing import ManualClock

NOW = datetime(2025, 3, 1, tzinfo=UTC)


class Engine:
    def __init__(self, answer=None):
        self.answer = answer or Answer(202)
        self.deliveries = []
        self.webhooks = self

    def source_of(self, token):
        return "erp" if token == "token" else None

    def receive(self, source, delivery):
        self.deliveries.append(delivery)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def scope(**more):
    return {
        "type": "http",
        "method": "POST",
        "path": "/hooks/token",
        "query_string": b"a=1",
        "headers": [],
        "client": ("192.0.2.1", 4),
        **more,
    }


def asked(app, *messages, **more):
    """Status, headers and body by ASGI."""

    async def ask():
        sent, left = [], list(messages or [{"type": "http.request", "body": b"b"}])

        async def receive():
            return left.pop(0) if left else await asyncio.Event().wait()

        async def send(message):
            sent.append(message)

        await app(scope(**more), receive, send)
        return sent

    return asyncio.run(ask())


def status(sent):
    return sent[0]["status"]


def called(app, body=b"b", **more):
    """Status, headers and body by WSGI, judged by the validator of the standard library."""
    environ = {"wsgi.input": io.BytesIO(body), "REQUEST_METHOD": "POST", "SCRIPT_NAME": "", "PATH_INFO": "/token"}
    environ.update(more)
    setup_testing_defaults(environ)
    environ["QUERY_STRING"] = "a=1"
    told = {}

    def start(line, headers, exc_info=None):
        told.update(status=int(line.split()[0]), headers=dict(headers))

    result = validator(app)(environ, start)
    try:
        return told["status"], told["headers"], b"".join(result)
    finally:
        result.close()


def test_the_public_url_is_that_of_the_configuration():
    headers = [(b"host", b"evil.example"), (b"x-forwarded-host", b"evil.example"), (b"x-forwarded-for", b"10.0.0.1")]
    engine = Engine()
    asked(asgi.WebhookApp(engine, public_url="https://shop.example/hooks/"), headers=headers)
    asked(asgi.WebhookApp(engine), headers=headers)
    called(wsgi.WebhookApp(engine, public_url="https://shop.example/h"), CONTENT_LENGTH="1", HTTP_X_FORWARDED_HOST="e")
    called(wsgi.WebhookApp(engine), CONTENT_LENGTH="1", SCRIPT_NAME="/hooks", REMOTE_ADDR="192.0.2.7")
    assert [delivery.url for delivery in engine.deliveries] == [
        "https://shop.example/hooks/token?a=1",
        "/hooks/token?a=1",
        "https://shop.example/h/token?a=1",
        "/hooks/token?a=1",
    ]
    assert [delivery.client for delivery in engine.deliveries][1::2] == ["192.0.2.1", "192.0.2.7"]


def test_the_time_of_receipt_is_that_of_the_clock():
    engine, clock = Engine(), ManualClock(NOW)
    asked(asgi.WebhookApp(engine, clock=clock))
    called(wsgi.WebhookApp(engine, clock=clock), CONTENT_LENGTH="1")
    assert [delivery.received_at for delivery in engine.deliveries] == [NOW, NOW]


def test_only_a_certificate_that_the_server_verified_counts():
    engine = Engine()
    for tls in (
        {"client_cert_name": "CN=erp", "client_cert_error": None},
        {"client_cert_name": "CN=x", "client_cert_error": "no"},
    ):
        asked(asgi.WebhookApp(engine), extensions={"tls": tls})
    for verified in ("SUCCESS", "FAILED:expired"):
        called(wsgi.WebhookApp(engine), CONTENT_LENGTH="1", SSL_CLIENT_S_DN="CN=erp", SSL_CLIENT_VERIFY=verified)
    assert [delivery.certificate for delivery in engine.deliveries] == ["CN=erp", None, "CN=erp", None]


@pytest.mark.parametrize("declared", [b"0", b"2", b"7"])
def test_a_body_of_another_length_than_declared_is_refused(declared):
    engine = Engine()
    assert status(asked(asgi.WebhookApp(engine), headers=[(b"content-length", declared)])) == 400
    assert engine.deliveries == []


def test_a_body_that_ends_early_is_refused_and_more_than_declared_is_not_read():
    engine = Engine()
    assert called(wsgi.WebhookApp(engine), b"abc", CONTENT_LENGTH="4")[0] == 400
    assert called(wsgi.WebhookApp(engine), b"abcd", CONTENT_LENGTH="3")[0] == 202
    assert called(wsgi.WebhookApp(engine), b"abcd", HTTP_TRANSFER_ENCODING="chunked")[0] == 411
    assert [delivery.body for delivery in engine.deliveries] == [b"abc"]


def test_a_client_that_leaves_gets_nothing_kept():
    engine = Engine()
    part = {"type": "http.request", "body": b"b", "more_body": True}
    assert status(asked(asgi.WebhookApp(engine), part, {"type": "http.disconnect"})) == 400
    assert engine.deliveries == []


def test_a_client_that_left_before_the_answer_is_no_error():
    async def ask():
        async def receive():
            return {"type": "http.request", "body": b"b"}

        async def send(message):
            raise OSError

        await asgi.WebhookApp(engine)(scope(), receive, send)

    engine = Engine()
    asyncio.run(ask())
    assert len(engine.deliveries) == 1


def test_a_slow_body_ends_by_its_time():
    engine = Engine()
    part = {"type": "http.request", "body": b"b", "more_body": True}
    sent = asked(asgi.WebhookApp(engine, body_timeout=0.01), part)
    assert (status(sent), dict(sent[0]["headers"])[b"connection"]) == (408, b"close")
    clock = ManualClock(NOW)

    class Slow(io.BytesIO):
        def read(self, size=-1):
            clock.advance(6)
            return super().read(1)

    environ = {"CONTENT_LENGTH": "9", "wsgi.input": Slow(b"123456789"), "REQUEST_METHOD": "POST", "PATH_INFO": "token"}
    told = []
    wsgi.WebhookApp(engine, body_timeout=30, clock=clock)(environ, lambda line, headers: told.append(line))
    assert told == ["408 Request Timeout"]
    assert engine.deliveries == []


def test_a_full_queue_asks_to_come_again():
    begun, go_on = threading.Event(), threading.Event()

    class Busy(Engine):
        def receive(self, source, delivery):
            begun.set()
            assert go_on.wait(20)
            return super().receive(source, delivery)

    async def load():
        engine = Busy()
        app = asgi.WebhookApp(engine, threads=1, queue=0)
        first = asyncio.create_task(ask(app))
        await asyncio.to_thread(begun.wait, 20)
        refused = await ask(app)
        go_on.set()
        return await first, refused, await ask(app), engine

    async def ask(app):
        sent = []

        async def receive():
            return {"type": "http.request", "body": b"b"}

        async def send(message):
            sent.append(message)

        await app(scope(), receive, send)
        return sent

    first, refused, third, engine = asyncio.run(load())
    assert [status(first), status(refused), status(third)] == [202, 503, 202]
    assert dict(refused[0]["headers"])[b"retry-after"] == b"5"
    assert len(engine.deliveries) == 2


def test_a_fault_of_the_engine_is_no_server_error_and_shows_nothing(caplog):
    caplog.set_level(logging.DEBUG)
    engine = Engine(RuntimeError("s3cret"))
    sent = asked(asgi.WebhookApp(engine))
    assert (status(sent), sent[1]["body"]) == (503, b"")
    assert called(wsgi.WebhookApp(engine), CONTENT_LENGTH="1")[0] == 503
    assert caplog.text.count("receiving_failed") == 2
    assert "s3cret" not in caplog.text
    assert "token" not in caplog.text


def test_an_answer_goes_back_as_it_is():
    answer = Answer(429, (("Retry-After", "7"), ("X-Name", "caf\xe9 \u20ac"), ("Content-Type", "text/x")), b"slow down")
    start, body = asked(asgi.WebhookApp(Engine(answer)))
    assert (start["status"], body["body"]) == (429, b"slow down")
    assert dict(start["headers"]) == {
        b"retry-after": b"7",
        b"x-name": b"caf\xe9 ?",
        b"content-type": b"text/x",
        b"content-length": b"9",
    }
    status, headers, body = called(wsgi.WebhookApp(Engine(answer)), CONTENT_LENGTH="1")
    assert (status, headers["retry-after"], headers["x-name"], body) == (429, "7", "caf\xe9 ?", b"slow down")


def test_no_connection_header_in_http_2():
    sent = asked(asgi.WebhookApp(Engine()), path="/hooks/other", http_version="2")
    assert status(sent) == 404
    assert b"connection" not in dict(sent[0]["headers"])


def test_lifespan_and_websockets_are_answered():
    async def run(kind, *events):
        sent, left = [], list(events)

        async def receive():
            return {"type": left.pop(0)}

        async def send(message):
            sent.append(message["type"])

        await asgi.WebhookApp(Engine())({"type": kind}, receive, send)
        return sent

    started = asyncio.run(run("lifespan", "lifespan.startup", "lifespan.shutdown"))
    assert started == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert asyncio.run(run("websocket", "websocket.connect")) == ["websocket.close"]


@pytest.mark.parametrize(
    "wrong",
    [{"max_body": 0}, {"body_timeout": -1}, {"threads": 0}, {"queue": -1}, {"public_url": "https://a.example/?b=1"}],
)
def test_limits_that_cannot_be_are_refused(wrong):
    with pytest.raises(ConfigurationError):
        asgi.WebhookApp(Engine(), **wrong)


def test_a_missing_django_is_told(monkeypatch):
    from inventory_sources.integrations.django import webhook_view

    monkeypatch.setitem(sys.modules, "django.views.decorators.csrf", None)
    with pytest.raises(MissingExtra) as told:
        webhook_view(Engine())
    assert told.value.extra == "django"


@pytest.mark.parametrize("token", ["a b", "a\0", "é", "a" * 201, "a\n", "a%b"])
def test_what_cannot_be_a_token_is_not_asked_for(token):
    class Asked(Engine):
        def source_of(self, token):
            raise AssertionError(token)

    engine = Asked()
    assert status(asked(asgi.WebhookApp(engine), path=f"/hooks/{token}")) == 404
    assert called(wsgi.WebhookApp(engine), PATH_INFO=f"/{token}", CONTENT_LENGTH="1")[0] == 404
