"""Many senders at once, among them some that are slow or leave."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integrations.served import KEY, TOKEN, signature
from tests.integrations.serving import answer, served

CLIENTS = 6
EACH = 500


def post(prefix: str, body: bytes) -> bytes:
    head = f"POST {prefix}/{TOKEN} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Signature: {signature(body)}\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


@pytest.mark.parametrize("app", ["asgi_app", "wsgi_app"])
def test_every_acknowledged_delivery_is_kept_and_nothing_else(tmp_path, app):
    with served(app, tmp_path, {"body_timeout": 1.0}) as server:

        def send(client: int) -> list[bytes]:
            acknowledged = []
            with server.connected() as connection:
                for number in range(EACH):
                    body = b"%d of client %d" % (number, client)
                    connection.sendall(post("", body))
                    assert answer(connection).status == 202
                    acknowledged.append(body)
            return acknowledged

        def leave(client: int) -> list[bytes]:
            for number in range(EACH // 10):
                request = post("", b"%d, left by client %d" % (number, client))
                with server.connected() as connection:
                    connection.sendall(request[: number * 7 + 1] if number * 7 + 1 < len(request) else request[:-1])
            return []

        def dawdle(client: int) -> list[bytes]:
            with server.connected() as connection:
                connection.sendall(post("", b"slow %d" % client)[:-1])
                reply = answer(connection)
                assert reply.status == 408
            return []

        jobs = [*(send for _ in range(CLIENTS)), leave, leave, dawdle, dawdle]
        with ThreadPoolExecutor(len(jobs)) as clients:
            futures = [clients.submit(job, number) for number, job in enumerate(jobs)]
        acknowledged = sorted(body for future in futures for body in future.result())
        assert len(acknowledged) == CLIENTS * EACH
        assert server.kept() == acknowledged


@pytest.mark.parametrize("app", ["asgi_app", "wsgi_app"])
def test_a_client_that_leaves_before_the_answer_may_send_again(tmp_path, app):
    with served(app, tmp_path) as server:
        for number in range(20):
            with server.connected() as connection:
                connection.sendall(post("", b"%d" % number))
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # closes by a reset
        for number in range(20):
            assert server.says(post("", b"again %d" % number)).status == 202
        kept = server.kept()
    assert {body for body in kept if body.startswith(b"again")} == {b"again %d" % number for number in range(20)}
    assert set(kept) <= {b"%b%d" % (word, number) for number in range(20) for word in (b"", b"again ")}


@pytest.mark.parametrize("app", ["asgi_app", "wsgi_app", "fastapi_app", "litestar_app", "django_wsgi_app"])
def test_no_log_holds_the_token_or_a_header(tmp_path, app):
    with served(app, tmp_path, {"max_body": 100, "body_timeout": 0.5}) as server:
        good = post(server.prefix, b"logged")
        assert server.says(good).status == 202
        assert server.says(good.replace(b"logged", b"forged")).status == 401
        assert server.says(post(server.prefix, b"x" * 101)).status == 413
        assert server.says(good[:-1]).status == 408
    log = server.log.read_bytes()
    assert b"DEBUG" in log or b"INFO" in log
    for secret in (TOKEN.encode(), signature(b"logged").encode(), KEY + b"\n"):
        assert secret not in log
