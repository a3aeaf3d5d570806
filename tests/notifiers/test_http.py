from __future__ import annotations

import json

import pytest
from attrs import evolve

from inventory_sources.errors import ConfigurationError, NotifyError
from inventory_sources.notifiers import HttpNotifier
from inventory_sources.secrets import Secret
from inventory_sources.testing import NotifierContract, sample_notification
from inventory_sources.testing.servers import Drip, Framing, Response, ScriptedHttpServer

LOOPBACK = ("127.0.0.0/8",)


class TestHttpNotifier(NotifierContract):
    @pytest.fixture(autouse=True)
    def _server(self):
        with (
            ScriptedHttpServer([Response(status=204)]) as self.server,
            ScriptedHttpServer([Response(status=500)]) as self.broken,
        ):
            yield

    def make(self):
        return HttpNotifier(self.server.url, allow_private=LOOPBACK)

    def make_broken(self):
        return HttpNotifier(self.broken.url, allow_private=LOOPBACK)

    def delivered(self):
        ids = [json.loads(request.body)["id"] for request in self.server.requests]
        assert ids == [request.headers["idempotency-key"] for request in self.server.requests]
        return ids


def test_the_body_is_the_whole_notification():
    with ScriptedHttpServer([Response(b"thanks")]) as server:
        HttpNotifier(f"{server.url}hooks?room=7", allow_private=LOOPBACK).notify(sample_notification())
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/hooks?room=7")
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {
        "id": "n-1",
        "source": "erp",
        "kind": "failed",
        "incident": "i-1",
        "summary": "erp failed: HTTP 401",
        "at": "2026-01-02T03:04:05+00:00",
        "run_id": "r-1",
        "failure": {
            "code": "access_refused",
            "phase": "fetch",
            "message": "HTTP 401",
            "guidance": "Correct the credentials.",
            "at": "2026-01-02T03:04:05+00:00",
        },
    }


def test_an_address_that_is_not_public_is_refused_at_the_dial():
    with ScriptedHttpServer([Response()]) as server:
        with pytest.raises(NotifyError, match="loopback"):
            HttpNotifier(server.url).notify(sample_notification())
    assert server.requests == ()


def test_a_redirect_is_not_followed():
    with ScriptedHttpServer([Response()]) as elsewhere:
        away = Response(status=307, headers={"Location": elsewhere.url})
        with ScriptedHttpServer([away]) as server, pytest.raises(NotifyError, match="HTTP 307"):
            HttpNotifier(server.url, allow_private=LOOPBACK).notify(sample_notification())
    assert elsewhere.requests == ()


@pytest.mark.parametrize("status", [300, 400, 401, 404, 429, 500, 503])
def test_any_status_but_2xx_is_an_error(status):
    with ScriptedHttpServer([Response(status=status)]) as server, pytest.raises(NotifyError, match=f"HTTP {status}"):
        HttpNotifier(server.url, allow_private=LOOPBACK).notify(sample_notification())


def test_the_token_travels_over_verified_tls_and_is_never_shown(server_tls, client_tls):
    with ScriptedHttpServer([Response(), Response(status=500)], tls=server_tls) as server:
        url = f"{server.url}?key=hunter2"
        notifier = HttpNotifier(url, token=Secret("hunter2"), allow_private=LOOPBACK, tls=client_tls)
        notifier.notify(sample_notification())
        with pytest.raises(NotifyError) as raised:
            notifier.notify(sample_notification())
    assert server.requests[0].headers["authorization"] == "Bearer hunter2"
    assert "hunter2" not in f"{raised.value}{raised.value!r}{raised.value.__cause__!r}{notifier!r}"


def test_a_certificate_of_an_unknown_authority_is_refused(server_tls):
    with ScriptedHttpServer([Response()], tls=server_tls) as server:
        with pytest.raises(NotifyError, match="certificate"):
            HttpNotifier(server.url, allow_private=LOOPBACK).notify(sample_notification())
    assert server.requests == ()


def test_a_server_that_drips_its_answer_does_not_hold_the_sender():
    slow = Response(b"x" * 1000, drip=Drip(size=1, interval=0.2, head=True))
    with (
        ScriptedHttpServer([slow]) as server,
        pytest.raises(NotifyError, match=r"not taken: the answer of http://[0-9.:]+/ did not arrive whole within 1 s"),
    ):
        HttpNotifier(server.url, allow_private=LOOPBACK, timeout=1.0).notify(sample_notification())


def test_the_answer_s_body_is_not_waited_for():
    endless = Response(b"x" * 1000, endless=True, framing=Framing.CLOSE)
    with ScriptedHttpServer([endless]) as server:
        HttpNotifier(server.url, allow_private=LOOPBACK).notify(sample_notification())
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("url", "fields"),
    [
        ("ftp://h.example/", {}),
        ("https://user:password@h.example/", {}),
        ("http://h.example/", {"token": Secret("x")}),
        ("https://h.example/", {"timeout": 0}),
        ("https://h.example/", {"allow_private": ["everywhere"]}),
    ],
)
def test_a_declaration_that_cannot_work_is_refused(url, fields):
    with pytest.raises(ConfigurationError):
        HttpNotifier(url, **fields)


def test_an_id_cannot_add_a_header():
    with ScriptedHttpServer([Response()]) as server, pytest.raises(NotifyError):
        odd = evolve(sample_notification(), id="n-1\r\nAuthorization: Bearer stolen")
        HttpNotifier(server.url, allow_private=LOOPBACK).notify(odd)
    assert server.requests == ()


@pytest.mark.parametrize("token", ["hunter2\n", "hunter2\r\nX-Admin: 1", "hunter2\u00e9\u5728"])
def test_a_token_that_http_cannot_send_is_an_error_that_does_not_show_it(server_tls, client_tls, token):
    with ScriptedHttpServer([Response()], tls=server_tls) as server:
        notifier = HttpNotifier(server.url, token=Secret(token), allow_private=LOOPBACK, tls=client_tls)
        with pytest.raises(NotifyError) as raised:
            notifier.notify(sample_notification())
    assert server.requests == ()
    assert "hunter2" not in f"{raised.value}{raised.value!r}{raised.value.__cause__!r}"
