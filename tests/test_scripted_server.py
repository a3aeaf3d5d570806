"""The scripted server does on the wire what its script says, seen by a client that is not ours."""

from __future__ import annotations

import http.client
import socket

import pytest

from inventory_sources.testing.servers import Drip, Framing, Request, Response, ScriptedHttpServer


def raw(server: ScriptedHttpServer, request: bytes = b"GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n") -> bytes:
    with socket.create_connection((server.host, server.port), timeout=10) as connection:
        connection.sendall(request)
        with connection.makefile("rb") as stream:
            return stream.read()


def test_answers_come_in_order_and_the_last_is_repeated() -> None:
    with ScriptedHttpServer([Response(b"one"), Response(b"two", 503)]) as server:
        seen = []
        for _ in range(3):
            client = http.client.HTTPConnection(server.host, server.port, timeout=10)
            client.request("GET", "/")
            answer = client.getresponse()
            seen.append((answer.status, answer.read()))
    assert seen == [(200, b"one"), (503, b"two"), (503, b"two")]


def test_requests_are_recorded_with_their_bodies() -> None:
    with ScriptedHttpServer([Response()]) as server:
        raw(server, b"POST /in?x=1 HTTP/1.1\r\nHost: h\r\nX-Key:  k \r\nContent-Length: 5\r\n\r\nhello")
    assert server.requests == (
        Request("POST", "/in?x=1", {"host": "h", "x-key": "k", "content-length": "5"}, b"hello"),
    )


@pytest.mark.parametrize(
    ("response", "body"),
    [
        (Response(b"hello"), b"hello"),
        (Response(b"hello", framing=Framing.CLOSE), b"hello"),
        (Response(b"hello", framing=Framing.CHUNKED), b"5\r\nhello\r\n0\r\n\r\n"),
        (Response(b"", framing=Framing.CHUNKED), b"0\r\n\r\n"),
        (Response(b"hello", cut_after=3), b"hel"),
        (Response(b"hello", framing=Framing.CHUNKED, cut_after=4), b"5\r\nh"),
        (Response(b"hello", drip=Drip(size=2, interval=0.001, head=True)), b"hello"),
        (Response(b"hello", cut_after=12, endless=True), b"hellohellohe"),
    ],
)
def test_the_body_is_sent_as_scripted(response: Response, body: bytes) -> None:
    with ScriptedHttpServer([response]) as server:
        head, _, sent = raw(server).partition(b"\r\n\r\n")
    assert sent == body
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")


def test_the_length_may_be_a_lie() -> None:
    with ScriptedHttpServer([Response(b"hello", content_length=99)]) as server:
        head, _, sent = raw(server).partition(b"\r\n\r\n")
    assert b"Content-Length: 99" in head
    assert sent == b"hello"


def test_closing_the_server_ends_an_endless_answer() -> None:
    with ScriptedHttpServer([Response(b"x" * 1000, endless=True, framing=Framing.CLOSE)]) as server:
        connection = socket.create_connection((server.host, server.port), timeout=10)
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert connection.recv(10)
    with connection, connection.makefile("rb") as stream:
        while stream.read(65536):
            pass
    with pytest.raises(ConnectionError):
        socket.create_connection((server.host, server.port), timeout=10)


def test_a_connection_is_kept_until_an_answer_says_or_does_otherwise() -> None:
    answers = [
        Response(b"one"),
        Response(b"two", framing=Framing.CHUNKED),
        Response(b"three", headers={"Connection": "close"}),
        Response(b"four", hang_up=True),
        Response(b"five", framing=Framing.CLOSE),
        Response(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nsix"),
        Response(b"seven"),
    ]
    with ScriptedHttpServer(answers, keep_alive=True) as server:
        client = http.client.HTTPConnection(server.host, server.port, timeout=10)
        bodies = []
        for answer in answers:
            client.request("GET", "/")
            with client.getresponse() as got:
                bodies.append(got.read())
            if answer.hang_up:
                client.close()
        client.request("HEAD", "/")
        with client.getresponse() as got:
            assert got.read() == b""
        client.close()
    assert bodies == [b"one", b"two", b"three", b"four", b"five", b"six", b"seven"]
    assert [request.connection for request in server.requests] == [1, 1, 1, 2, 3, 4, 4, 4]


def test_closing_the_server_hangs_up_on_an_idle_connection() -> None:
    with ScriptedHttpServer([Response(b"one")], keep_alive=True) as server:
        client = http.client.HTTPConnection(server.host, server.port, timeout=10)
        client.request("GET", "/")
        assert client.getresponse().read() == b"one"
    assert client.sock.recv(1) == b""
    client.close()
