"""Connections are used again, replaced when they went stale, and never hand one answer to another request."""

from __future__ import annotations

import os
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import trustme

from inventory_sources._http import Dialling, HttpClient, HttpLimits, HttpRequest, patience
from inventory_sources._http._wire import Connection
from inventory_sources.clock import SystemClock
from inventory_sources.errors import (
    ConfigurationError,
    ConnectFailed,
    FetchTimeout,
    ServerFailed,
    SyncCancelled,
    Truncated,
)
from inventory_sources.payload import Proof
from inventory_sources.testing.servers import Drip, Framing, Request, Response, ScriptedHttpServer

LOOPBACK = Dialling(allow_private=("127.0.0.0/8",))
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"


def client(dialling: Dialling = LOOPBACK, **limits: float) -> HttpClient:
    found = HttpLimits(**{"timeout": 5, "deadline": 20, **limits})
    return HttpClient(found, patience(found, SystemClock()), dialling)


def asked(server: ScriptedHttpServer) -> list[int]:
    """The connection that each request came over."""
    return [request.connection for request in server.requests]


def post(url: str, *, repeatable: bool = False) -> HttpRequest:
    return HttpRequest(url, method="POST", content=b"{}", repeatable=repeatable)


@pytest.mark.parametrize("framing", [Framing.LENGTH, Framing.CHUNKED])
def test_requests_follow_each_other_over_one_connection(framing: Framing) -> None:
    with ScriptedHttpServer([Response(b"one", framing=framing)], keep_alive=True) as server, client() as http:
        answers = [http.send(HttpRequest(f"{server.url}{number}")).body for number in range(5)]
    assert answers == [b"one"] * 5
    assert asked(server) == [1] * 5


@pytest.mark.parametrize(
    "answer",
    [
        Response(b"one", headers={"Connection": "close"}),
        Response(b"one", framing=Framing.CLOSE),
        Response(b"one", hang_up=True),
        Response(raw=b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\none", hang_up=True),
    ],
)
def test_a_connection_that_ends_is_not_used_again(answer: Response) -> None:
    with ScriptedHttpServer([answer], keep_alive=True) as server, client() as http:
        for _ in range(3):
            assert http.send(HttpRequest(server.url)).body == b"one"
    assert asked(server) == [1, 2, 3]


def test_each_server_has_connections_of_its_own() -> None:
    with (
        ScriptedHttpServer([Response(b"a")], keep_alive=True) as one,
        ScriptedHttpServer([Response(b"b")], keep_alive=True) as other,
        client() as http,
    ):
        bodies = [http.send(HttpRequest(server.url)).body for server in (one, other, one, other)]
    assert bodies == [b"a", b"b", b"a", b"b"]
    assert asked(one) == asked(other) == [1, 1]


def test_all_idle_connections_are_closed_at_the_end() -> None:
    with ScriptedHttpServer([Response(b"one")], keep_alive=True) as server:
        with client() as http:
            http.send(HttpRequest(server.url))
            (idle,) = [connection for found in http._idle.values() for connection in found]
            assert idle.socket.fileno() >= 0
        assert idle.socket.fileno() == -1


def test_a_connection_that_comes_back_after_the_end_is_closed() -> None:
    with ScriptedHttpServer([Response(b"one")], keep_alive=True) as server:
        http = client()
        with http.open(HttpRequest(server.url)) as incoming:
            with http:
                pass
            assert http.read(incoming).body == b"one"
        assert incoming.exchange._socket.fileno() == -1


def test_threads_share_the_connections_and_each_gets_its_own_answer() -> None:
    def echo(request: Request) -> Response:
        return Response(request.path.encode() * 500)

    with ScriptedHttpServer(echo, keep_alive=True) as server, client() as http, ThreadPoolExecutor(8) as pool:
        paths = [f"p{number}" for number in range(200)]
        answers = list(pool.map(lambda path: http.send(HttpRequest(server.url + path)).body, paths))
    assert answers == [f"/{path}".encode() * 500 for path in paths]
    assert max(asked(server)) <= 8


# --- over TLS -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def trusting(authority: trustme.CA, version: ssl.TLSVersion) -> Dialling:
    def verification() -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.minimum_version = context.maximum_version = version
        authority.configure_trust(context)
        return context

    return Dialling(allow_private=("127.0.0.0/8",), resolver=lambda host, port: ["127.0.0.1"], tls=verification)


def serving(authority: trustme.CA, tickets: int) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = tickets
    authority.issue_cert("erp.example").configure_cert(context)
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_connections_are_used_again(version: ssl.TLSVersion, authority: trustme.CA) -> None:
    server = ScriptedHttpServer([Response(b"one")], tls=serving(authority, 2), keep_alive=True)
    with server, client(trusting(authority, version)) as http:
        for _ in range(4):
            assert http.send(HttpRequest(f"https://erp.example:{server.port}/")).body == b"one"
    assert asked(server) == [1] * 4


def test_bytes_that_are_no_data_do_not_cost_a_tls_connection(authority: trustme.CA) -> None:
    # Session tickets of TLS 1.3 may come at any time: the socket is readable, and yet nothing was said.
    ours, theirs = socket.socketpair()
    with ThreadPoolExecutor(1) as pool:
        accepted = pool.submit(serving(authority, 2).wrap_socket, theirs, server_side=True)
        verification = trusting(authority, ssl.TLSVersion.TLSv1_3).tls()
        with verification.wrap_socket(ours, server_hostname="erp.example") as tls, accepted.result() as server:
            kept = Connection(tls)
            os.write(server.fileno(), b"\x17\x03\x03")
            assert select.select([tls], [], [], 5)[0]
            assert not kept.stale
            server.shutdown(socket.SHUT_RDWR)
            assert kept.stale


# --- connections gone stale ---------------------------------------------------------------------------------------


@contextmanager
def speaking(*connections: tuple[bytes, ...]) -> Iterator[tuple[str, list[int]]]:
    """A server that answers each read of a connection with the next bytes, and then closes it.

    Gives its URL, and the connections on which something was read.
    """
    reads: list[int] = []

    def serve() -> None:
        for number, answers in enumerate(connections):
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                for answer in answers:
                    if not connection.recv(65536):
                        break
                    reads.append(number)
                    connection.sendall(answer)

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/", reads
    finally:
        socket.create_connection(listener.getsockname()).close()
        listener.close()
        thread.join(5)


def never_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the server hung up only once the request was on its way."""
    monkeypatch.setattr(Connection, "stale", property(lambda self: False))


def test_a_connection_that_was_hung_up_is_replaced_before_anything_is_sent() -> None:
    with ScriptedHttpServer([Response(b"one", hang_up=True)], keep_alive=True) as server, client() as http:
        http.send(post(server.url))
        (kept,) = [connection for found in http._idle.values() for connection in found]
        select.select([kept.socket], [], [], 5)
        assert kept.stale
        http.send(post(server.url))
    assert asked(server) == [1, 2]


@pytest.mark.parametrize(
    "make", [HttpRequest, lambda url: post(url, repeatable=True), lambda url: HttpRequest(url, method="PUT")]
)
def test_one_that_is_hung_up_on_the_way_is_replaced_once(
    make: Callable[[str], HttpRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    never_stale(monkeypatch)
    with speaking((PLAIN, b""), (PLAIN,)) as (url, reads), client() as http:
        assert http.send(make(url)).body == b"one"
        assert http.send(make(url)).body == b"one"
    assert reads == [0, 0, 1]


def test_it_is_replaced_once_only(monkeypatch: pytest.MonkeyPatch) -> None:
    never_stale(monkeypatch)
    with speaking((PLAIN, b""), (b"",), (PLAIN,)) as (url, reads), client() as http:
        http.send(HttpRequest(url))
        with pytest.raises(ConnectFailed):
            http.send(HttpRequest(url))
    assert reads == [0, 0, 1]


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-"])
def test_a_post_is_never_sent_again(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    never_stale(monkeypatch)
    with speaking((PLAIN, begun), (PLAIN,)) as (url, reads), client() as http:
        http.send(post(url))
        with pytest.raises(ConnectFailed):
            http.send(post(url))
    assert reads == [0, 0]


def test_nothing_is_sent_again_once_an_answer_began() -> None:
    with speaking((PLAIN, PLAIN[:-1]), (PLAIN,)) as (url, reads), client() as http:
        http.send(HttpRequest(url))
        with pytest.raises(Truncated):
            http.send(HttpRequest(url))
    assert reads == [0, 0]


# --- what stands before, in and behind an answer ------------------------------------------------------------------


@pytest.mark.parametrize(
    "before",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n" * 3,
        b"HTTP/1.1 102 Processing\r\n\r\n",
    ],
)
def test_heads_before_the_answer_are_passed_over(before: bytes) -> None:
    with ScriptedHttpServer([Response(raw=before + PLAIN)], keep_alive=True) as server, client() as http:
        assert [http.send(HttpRequest(server.url)).body for _ in range(2)] == [b"one", b"one"]
    assert asked(server) == [1, 1]


def test_heads_without_end_stop_at_the_deadline() -> None:
    drip = Response(raw=b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10_000, drip=Drip(size=29, interval=0.01))
    with ScriptedHttpServer([drip]) as server, client(deadline=0.3) as http, pytest.raises(FetchTimeout):
        http.send(HttpRequest(server.url))


def test_another_protocol_is_no_answer() -> None:
    upgrade = Response(raw=b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n")
    with ScriptedHttpServer([upgrade]) as server, client() as http, pytest.raises(ServerFailed):
        http.send(HttpRequest(server.url))


@pytest.mark.parametrize("name", ["Upgrade", "expect", "TE", "Keep-Alive", "connection", "Trailer"])
def test_headers_of_the_connection_are_not_the_callers(name: str) -> None:
    with client() as http, pytest.raises(ConfigurationError):
        http.send(HttpRequest("https://erp.example/", {name: "h2c"}))


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "get", "GET / HTTP/1.1\r\nX: ", ""])
def test_other_methods_are_refused(method: str) -> None:
    with pytest.raises(ConfigurationError):
        HttpRequest("https://erp.example/", method=method)


@pytest.mark.parametrize(
    ("method", "raw"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"),
    ],
)
def test_answers_without_a_body_keep_the_connection(method: str, raw: bytes) -> None:
    with ScriptedHttpServer([Response(raw=raw)], keep_alive=True) as server, client() as http:
        with http.open(HttpRequest(server.url, method=method)):
            pass
        assert http.send(HttpRequest(server.url, method=method)).body == b""
    assert asked(server) == [1, 1]


def test_chunks_with_extensions_and_trailers_are_read_to_their_end() -> None:
    raw = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
        b"2;a=b\r\non\r\n1\r\ne\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n"
    )
    with ScriptedHttpServer([Response(raw=raw)], keep_alive=True) as server, client() as http:
        for _ in range(2):
            answer = http.send(HttpRequest(server.url))
            assert answer.body == b"one"
            assert answer.evidence.proofs == {Proof.CHUNKED_END}
            assert "x-sum" not in answer.headers
    assert asked(server) == [1, 1]


@pytest.mark.parametrize("behind", [PLAIN, b"rubbish", b"\r\n", b"HTTP/1.1 200 OK\r\nContent-Le"])
def test_what_nobody_asked_for_is_never_taken_for_an_answer(behind: bytes) -> None:
    answers = [Response(raw=PLAIN.replace(b"one", b"two") + behind), Response(raw=PLAIN)]
    with ScriptedHttpServer(answers, keep_alive=True) as server, client() as http:
        assert http.send(HttpRequest(server.url)).body == b"two"
        assert http.send(HttpRequest(server.url)).body == b"one"
    assert asked(server) == [1, 2]


def test_what_comes_later_without_being_asked_for_is_no_answer_either() -> None:
    with speaking((PLAIN, PLAIN), (PLAIN.replace(b"one", b"new"),)) as (url, _), client() as http:
        http.send(HttpRequest(url))
        (kept,) = [connection for found in http._idle.values() for connection in found]
        kept.socket.sendall(b"x")  # has the server send its second answer
        select.select([kept.socket], [], [], 5)
        assert http.send(HttpRequest(url)).body == b"new"


@pytest.mark.parametrize(
    ("length", "framing", "kept"),
    [(100, Framing.LENGTH, True), (100_000, Framing.LENGTH, False), (100, Framing.CHUNKED, False)],
)
def test_a_body_that_nobody_reads_costs_the_connection_unless_it_is_short(
    length: int, framing: Framing, kept: bool
) -> None:
    with ScriptedHttpServer([Response(b"x" * length, framing=framing)], keep_alive=True) as server, client() as http:
        for _ in range(2):
            with http.open(HttpRequest(server.url)) as incoming:
                assert incoming.status == 200
    assert asked(server) == ([1, 1] if kept else [1, 2])


def test_an_error_while_a_body_is_read_costs_the_connection() -> None:
    with ScriptedHttpServer([Response(b"x" * 100)], keep_alive=True) as server, client() as http:
        with pytest.raises(SyncCancelled), http.open(HttpRequest(server.url)):
            raise SyncCancelled("stop")
        http.send(HttpRequest(server.url))
    assert asked(server) == [1, 2]
