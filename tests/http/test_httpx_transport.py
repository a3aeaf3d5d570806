"""httpx under the library's guards, against real servers."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import trustme

from inventory_sources.errors import (
    AccessRefused,
    AddressDenied,
    ConfigurationError,
    ConnectFailed,
    FetchError,
    FetchTimeout,
    InputTooLarge,
    RateLimited,
    Recovery,
    SyncCancelled,
    Truncated,
)
from inventory_sources.httpx_transport import GuardedTransport, check_status
from inventory_sources.protocols.connector import FetchContext
from inventory_sources.rest import HttpLimits
from inventory_sources.testing import HttpRecording, ScriptedHttpServer
from inventory_sources.testing.servers import Drip, Framing, Request, Response

MIB = 1024**2
LOCAL = ("127.0.0.0/8",)
SECRET = "s3cret"
MakeContext = Callable[..., FetchContext]


def client(context: FetchContext, *, follow: bool = False, **options: object) -> httpx.Client:
    given = {"allow_private": LOCAL, "allow_plaintext": True, **options}
    return httpx.Client(transport=GuardedTransport(context, **given), trust_env=False, follow_redirects=follow)


def asked(server: ScriptedHttpServer) -> list[int]:
    """The connection that each request came over."""
    return [request.connection for request in server.requests]


def moved(to: str, status: int = 302) -> Response:
    return Response(status=status, headers={"Location": to})


def test_requests_go_out_as_httpx_was_told_over_one_connection(context: FetchContext) -> None:
    with ScriptedHttpServer([Response(b'{"n": 1}')], keep_alive=True) as server, client(context) as http:
        assert http.get(server.url + "a", params={"q": "é"}, headers={"X-Api-Key": SECRET}).json() == {"n": 1}
        assert http.post(server.url + "b", json={"sku": "A"}).status_code == 200
        assert http.post(server.url + "c", content=iter([b"one", b"two"])).status_code == 200
        assert http.head(server.url).headers["content-length"] == "8"
    first, second, third, _ = server.requests
    assert (first.method, first.path, first.headers["x-api-key"]) == ("GET", "/a?q=%C3%A9", SECRET)
    assert first.headers["accept-encoding"] == "gzip, deflate"
    assert (second.method, second.headers["content-type"]) == ("POST", "application/json")
    assert json.loads(second.body) == {"sku": "A"}
    assert third.body == b"onetwo"
    assert asked(server) == [1] * 4


def test_an_answer_is_handed_over_decoded_with_each_of_its_cookies(context: FetchContext) -> None:
    cookies = b"Set-Cookie: a=1; Expires=Wed, 09 Jun 2100 10:18:14 GMT; Path=/\r\nSet-Cookie: b=2\r\n"
    body = gzip.compress(b'"stock"')
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n%bContent-Length: %d\r\n\r\n" % (cookies, len(body))
    with ScriptedHttpServer([Response(raw=head + body)], keep_alive=True) as server, client(context) as http:
        answer = http.get(server.url)
        http.get(server.url)
    assert answer.json() == "stock"
    assert not {"content-encoding", "content-length"} & answer.headers.keys()
    assert dict(answer.cookies) == {"a": "1", "b": "2"}
    assert server.requests[1].headers["cookie"] == "a=1; b=2"


def test_a_status_is_for_the_caller_to_judge(context: FetchContext) -> None:
    answers = [
        Response(status=404),
        Response(status=429, headers={"Retry-After": "7"}),
        Response(status=403),
        Response(b"whole"),
    ]
    with ScriptedHttpServer(answers, keep_alive=True) as server, client(context) as http:
        assert http.get(server.url).status_code == 404
        limited = http.get(f"{server.url}?key={SECRET}")
        with pytest.raises(RateLimited) as told:
            check_status(limited, context)
        with pytest.raises(AccessRefused):
            check_status(http.get(server.url), context)
        check_status(http.get(server.url), context)
    assert told.value.retry_after.total_seconds() == 7
    assert SECRET not in f"{told.value} {told.value!r}"


@pytest.mark.parametrize("host", ["127.0.0.1", "erp.example"])
def test_a_private_address_is_denied(host: str, context: FetchContext) -> None:
    with ScriptedHttpServer([Response(b"inside")]) as server:
        with client(context, allow_private=(), resolver=lambda host, port: ["127.0.0.1"]) as http:
            with pytest.raises(AddressDenied):
                http.get(f"http://{host}:{server.port}/")
    assert not server.requests


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_each_hop_is_judged(status: int, context: FetchContext) -> None:
    with ScriptedHttpServer([moved("http://169.254.169.254/latest", status)]) as server:
        with client(context) as http:
            assert http.get(server.url).status_code == status
        with client(context, follow=True) as http, pytest.raises(AddressDenied):
            http.get(server.url)
    assert len(server.requests) == 2


@pytest.mark.parametrize("name", ["X-Api-Key", "X-Auth-Token", "Proxy-Authorization"])
def test_no_header_goes_along_to_another_origin(name: str, context: FetchContext) -> None:
    with ScriptedHttpServer([Response(b"other")]) as other, ScriptedHttpServer([moved(other.url)]) as server:
        with client(context, follow=True) as http:
            with pytest.raises(FetchError, match="another origin") as told:
                http.get(server.url, headers={name: SECRET})
            with pytest.raises(FetchError, match="another origin"):
                http.send(http.send(http.build_request("GET", server.url, headers={name: SECRET})).next_request)
    assert not other.requests
    assert told.value.recovery is Recovery.STOP
    assert SECRET not in f"{told.value} {told.value.guidance}"


def test_a_body_does_not_go_along_either(context: FetchContext) -> None:
    with ScriptedHttpServer([Response(b"other")]) as other, ScriptedHttpServer([moved(other.url, 307)]) as server:
        with client(context, follow=True) as http, pytest.raises(FetchError, match="another origin"):
            http.post(server.url, json={"password": SECRET})
    assert not other.requests


def test_a_redirect_that_carries_nothing_is_followed(context: FetchContext) -> None:
    with ScriptedHttpServer([Response(b"other")]) as other, ScriptedHttpServer([moved(other.url)]) as server:
        with client(context, follow=True) as http:
            assert http.get(server.url, auth=("user", SECRET)).content == b"other"
    assert "authorization" in server.requests[0].headers
    assert "authorization" not in other.requests[0].headers


def test_a_redirect_on_the_same_server_takes_everything_along(context: FetchContext) -> None:
    answers = [moved("/there"), Response(b"there")]
    with ScriptedHttpServer(answers, keep_alive=True) as server, client(context, follow=True) as http:
        assert http.get(server.url, headers={"X-Api-Key": SECRET}).content == b"there"
    assert server.requests[1].headers["x-api-key"] == SECRET


def test_extensions_that_are_used_twice_make_no_redirect_of_the_second_request(context: FetchContext) -> None:
    shared: dict[str, object] = {"timeout": {}}
    with ScriptedHttpServer([Response(b"one")]) as server, ScriptedHttpServer([Response(b"two")]) as other:
        with client(context) as http:
            found = [
                http.get(one.url, headers={"X-Api-Key": SECRET}, extensions=shared).content for one in (server, other)
            ]
    assert found == [b"one", b"two"]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusting(authority: trustme.CA) -> Callable[[], ssl.SSLContext]:
    def tls() -> ssl.SSLContext:
        made = ssl.create_default_context()
        authority.configure_trust(made)
        return made

    return tls


def serving(authority: trustme.CA, name: str) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(made)
    return made


def test_certificates_are_verified_for_the_name(
    authority: trustme.CA, trusting: Callable[[], ssl.SSLContext], context: FetchContext
) -> None:
    options = {"resolver": lambda host, port: ["127.0.0.1"], "allow_plaintext": False}
    with ScriptedHttpServer([Response(b"stock")], tls=serving(authority, "erp.example")) as server:
        with client(context, tls=trusting, **options) as http:
            assert http.get(f"https://erp.example:{server.port}/").content == b"stock"
            with pytest.raises(ConnectFailed, match="certificate"):
                http.get(f"https://other.example:{server.port}/")
        with client(context, **options) as http, pytest.raises(ConnectFailed, match="certificate"):
            http.get(f"https://erp.example:{server.port}/")
    assert len(server.requests) == 1


def test_a_redirect_does_not_leave_https(
    authority: trustme.CA, trusting: Callable[[], ssl.SSLContext], context: FetchContext
) -> None:
    with ScriptedHttpServer([Response(b"open")]) as plain:
        with ScriptedHttpServer([moved(plain.url)], tls=serving(authority, "127.0.0.1")) as server:
            with client(context, follow=True, tls=trusting) as http, pytest.raises(FetchError, match="another origin"):
                http.get(f"https://127.0.0.1:{server.port}/")
    assert not plain.requests


@pytest.mark.parametrize("drip", [Drip(1, 0.05), Drip(1, 0.05, head=True)])
def test_what_drips_ends_at_the_deadline(drip: Drip, context: FetchContext) -> None:
    with ScriptedHttpServer([Response(b" " * 10_000, drip=drip)]) as server:
        with client(context, limits=HttpLimits(deadline=0.3)) as http, pytest.raises(FetchTimeout):
            http.get(server.url, timeout=None)


def test_the_deadline_is_that_of_the_fetch_and_of_all_requests_together(make_context: MakeContext) -> None:
    with ScriptedHttpServer([Response(b"one")], keep_alive=True) as server:
        context = make_context()
        with client(context) as http:
            assert http.get(server.url).content == b"one"
            context.deadline = context.clock.monotonic() - 1
            with pytest.raises(FetchTimeout):
                http.get(server.url)
    assert len(server.requests) == 1


def test_a_sync_that_is_cancelled_asks_no_more(make_context: MakeContext) -> None:
    stop = threading.Event()
    with ScriptedHttpServer([Response(b"one")], keep_alive=True) as server:
        with client(make_context(cancelled=stop.is_set)) as http:
            http.get(server.url)
            stop.set()
            with pytest.raises(SyncCancelled):
                http.get(server.url)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (gzip.compress(bytes(64 * MIB)), {"Content-Encoding": "gzip"}),
        (bytes(3 * MIB), {}),
        (gzip.compress(bytes(range(256)) * 12 * 1024), {"Content-Encoding": "gzip"}),
    ],
    ids=["bomb", "large", "large when decoded"],
)
def test_an_answer_that_is_too_large_is_refused_and_its_connection_left(
    body: bytes, headers: dict[str, str], context: FetchContext
) -> None:
    answers = [Response(body, headers=headers), Response(b"small")]
    with ScriptedHttpServer(answers, keep_alive=True) as server:
        with client(context, limits=HttpLimits(max_answer_bytes=2 * MIB)) as http:
            with pytest.raises(InputTooLarge):
                http.get(server.url)
            assert http.get(server.url).content == b"small"
    assert asked(server) == [1, 2]


def test_an_answer_that_is_cut_is_none(context: FetchContext) -> None:
    with ScriptedHttpServer([Response(b"half of it", cut_after=4)]) as server:
        with client(context) as http, pytest.raises(Truncated):
            http.get(server.url)


def test_a_stream_is_read_piece_by_piece_and_may_be_left(context: FetchContext) -> None:
    endless = Response(b"piece\n" * 1000, framing=Framing.CHUNKED, endless=True)
    with ScriptedHttpServer([endless, Response(b"whole")], keep_alive=True) as server, client(context) as http:
        with http.stream("GET", server.url) as answer:
            lines = answer.iter_lines()
            assert [next(lines) for _ in range(3)] == ["piece"] * 3
        assert http.get(server.url).content == b"whole"
    assert asked(server) == [1, 2]


def test_its_connections_are_closed_with_the_client(context: FetchContext) -> None:
    seen: list[bytes] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none")
                seen.append(connection.recv(1))

        thread = threading.Thread(target=serve)
        thread.start()
        with client(context) as http:
            assert http.get(f"http://127.0.0.1:{listener.getsockname()[1]}/").content == b"one"
            assert not seen
        thread.join(10)
    assert seen == [b""]


@pytest.mark.parametrize(
    ("url", "headers", "plaintext", "match"),
    [
        ("http://erp.example/", {}, False, "in the clear"),
        (f"https://user:{SECRET}@erp.example/", {}, True, "user name or password"),
        ("https://erp.example/", {"Host": "other.example"}, True, "another server than the URL"),
        ("https://erp.example/", {"X-Api-Key": f"{SECRET}\x01"}, True, "control characters"),
    ],
)
def test_what_cannot_be_sent(
    url: str, headers: dict[str, str], plaintext: bool, match: str, context: FetchContext
) -> None:
    with client(context, allow_plaintext=plaintext, resolver=lambda host, port: []) as http:
        with pytest.raises(ConfigurationError, match=match) as told:
            http.get(url, headers=headers)
    assert SECRET not in f"{told.value} {told.value!r} {told.value.guidance}"


def test_it_is_recorded_and_replayed(tmp_path: Path, context: FetchContext) -> None:
    def script(request: Request) -> Response:
        return Response(b'{"items": []}', headers={"Content-Type": "application/json"})

    recording = tmp_path / "acme.json"
    with ScriptedHttpServer(script) as server, HttpRecording(recording).record(), client(context) as http:
        http.get(server.url + "stock", headers={"Authorization": f"Bearer {SECRET}"})
    with HttpRecording(recording).replay(), client(context) as http:
        assert http.get("http://127.0.0.1/stock").json() == {"items": []}
    assert SECRET not in recording.read_text()


def test_only_its_module_loads_httpx() -> None:
    package = Path(__file__).parents[2] / "src" / "inventory_sources"
    loading = [path.name for path in package.rglob("*.py") if "import httpx" in path.read_text(encoding="utf-8")]
    assert loading == ["httpx_transport.py"]
