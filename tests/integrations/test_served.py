"""The mounts under real servers and in real frameworks."""

from __future__ import annotations

import socket

import pytest

from tests.integrations.served import TOKEN, signature
from tests.integrations.serving import Served, answer, served

APPS = [
    "asgi_app",
    "wsgi_app",
    "starlette_app",
    "fastapi_app",
    "litestar_app",
    "flask_app",
    "django_wsgi_app",
    "django_asgi_app",
]
LIMITS = {"max_body": 64 * 1024, "body_timeout": 2.0}


@pytest.fixture(scope="module", params=APPS)
def server(request, tmp_path_factory):
    with served(request.param, tmp_path_factory.mktemp(request.param), LIMITS) as running:
        yield running


def post(server: Served, body: bytes, *, token: str = TOKEN, more: bytes = b"") -> bytes:
    head = f"POST {server.prefix}/{token}?a=1%202 HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Signature: {signature(body)}\r\n"
    return head.encode() + b"Content-Length: %d\r\n%b\r\n%b" % (len(body), more, body)


def chunked(server: Served, body: bytes, *pieces: bytes) -> bytes:
    head = f"POST {server.prefix}/{TOKEN} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Signature: {signature(body)}\r\n"
    return head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(pieces)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def test_a_delivery_is_kept_as_it_was_signed(server):
    body = b'{"sku": "\xc3\xa4", \x00\xff}' * 100
    reply = server.says(post(server, body))
    assert (reply.status, reply.body, reply.headers["content-type"]) == (202, b"kept", "text/plain; charset=utf-8")
    assert body in server.kept()


def test_a_wrong_signature_leaves_nothing(server):
    request = post(server, b"real").replace(b"\r\n\r\nreal", b"\r\n\r\nfake")
    assert server.says(request).status == 401
    assert b"fake" not in server.kept()


def test_a_chunked_body_is_whole(server):
    body = b"chunk by chunk"
    reply = server.says(chunked(server, body, chunk(b"chunk "), chunk(b"by chunk"), b"0\r\n\r\n"))
    assert reply.status == 202
    assert body in server.kept()


@pytest.mark.parametrize("size", [b"zz", b"-5", b"0x5", b"", b"5 5", b"f" * 40])
def test_a_wrong_chunk_size_is_the_client_s_fault(server, size):
    before = server.kept()
    reply = server.says(chunked(server, b"hello", size + b"\r\nhello\r\n0\r\n\r\n"))
    assert 400 <= reply.status < 500
    assert server.kept() == before


def test_a_length_above_the_limit_is_refused_before_the_body_is_sent(server):
    head = post(server, b"x" * (64 * 1024 + 1)).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    before = server.kept()
    if server.store.parent.name.startswith("django_asgi"):  # Django reads first, and asks then
        head += b"x" * (64 * 1024 + 1)
    assert server.says(head).status == 413
    assert server.kept() == before


def test_no_more_is_read_than_the_limit(server):
    body = b"x" * (64 * 1024)
    before = server.kept()
    with server.connected() as connection:
        connection.sendall(chunked(server, body, chunk(body)))
        # One byte would do, but gunicorn gives nothing before it has 1,024.
        connection.sendall(chunk(b"x" * 1024))
        if server.store.parent.name.startswith("django_asgi"):  # Django reads first, and asks then
            connection.sendall(b"0\r\n\r\n")
        assert answer(connection).status == 413
    assert server.kept() == before


def test_a_body_at_the_limit_is_taken(server):
    body = b"y" * (64 * 1024)
    assert server.says(post(server, body)).status == 202
    assert body in server.kept()


@pytest.mark.parametrize("length", [b"x", b"-1", b"1, 2", b"+4", b"4_0", b"9" * 30, b"\xb2"])
def test_a_length_that_is_none_is_refused(server, length):
    request = post(server, b"four").replace(b"Content-Length: 4", b"Content-Length: " + length)
    before = server.kept()
    with server.connected() as connection:
        connection.sendall(request)
        if len(length) == 30 and server.store.parent.name.startswith("django_asgi"):  # Django waits for it all first
            connection.shutdown(socket.SHUT_WR)
            assert not connection.recv(12).startswith((b"HTTP/1.1 2", b"HTTP/1.1 5"))
        else:
            assert 400 <= answer(connection).status < 500
    assert server.kept() == before


ABSURD = {
    "none": b"",
    "dots": b"..",
    "dots before": b"../" + TOKEN.encode() + b"x",
    "nul": b"%00",
    "nul behind": TOKEN.encode() + b"%00",
    "unicode": "é".encode(),
    "quoted": b"%C3%A9",
    "half": b"%ff",
    "space": TOKEN.encode() + b"%20",
    "other case": TOKEN.upper().encode(),
    "ten kB": b"a" * 10_000,
    "slash quoted": b"%2f",
}


@pytest.mark.parametrize("token", ABSURD.values(), ids=ABSURD)
def test_an_absurd_path_is_not_found(server, token):
    before = server.kept()
    request = post(server, b"absurd").replace(TOKEN.encode(), token, 1)
    assert 400 <= server.says(request).status < 500
    assert server.kept() == before


def test_unknown_tokens_are_all_answered_alike(server):
    other = TOKEN[:-1] + "8"
    answers = [server.says(post(server, b"1", token=token)) for token in (other, "x", "%C3%A9x", "a" * 300)]
    assert [reply.status for reply in answers] == [404] * 4
    assert {reply.body for reply in answers} == {b""}
    assert len({frozenset(reply.headers) for reply in answers}) == 1


def test_headers_that_are_repeated_or_no_ascii_are_handed_on(server):
    body = b"named"
    more = b"X-Name: caf\xe9\r\nX-Twice: a\r\nX-Twice: b\r\n"
    assert server.says(post(server, body, more=more)).status == 202
    twice = post(server, b"twice").replace(b"X-Sig", b"X-Signature: 00\r\nX-Sig")
    assert server.says(twice).status == 401
    assert b"named" in server.kept()
    assert b"twice" not in server.kept()


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_a_handshake_is_passed_on(server, method):
    request = method + b" %b/%b?challenge=a%%20b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with server.connected() as connection:
        for _ in range(2):  # the same connection: the first answer ended where it says
            connection.sendall(request % (server.prefix.encode(), TOKEN.encode()))
            reply = answer(connection, head_only=method == b"HEAD")
            assert (reply.status, reply.body) == (200, b"" if method == b"HEAD" else b"challenge=a%20b")


CUTS = {
    "in the request line": 8,
    "in the headers": 60,
    "in the body": -2,
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_client_that_leaves_early_leaves_nothing(server, cut):
    before = server.kept()
    with server.connected() as connection:
        connection.sendall(post(server, b"never whole")[:cut])
    with server.connected() as connection:
        connection.sendall(chunked(server, b"never whole", chunk(b"never whole"))[:cut])
    assert server.says(post(server, b"after it")).status == 202
    assert [body for body in server.kept() if body not in before] in ([], [b"after it"])
