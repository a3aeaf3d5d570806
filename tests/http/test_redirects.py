"""Redirects are followed only where declared, each judged, and to another origin nothing goes along."""

from __future__ import annotations

import ssl

import pytest
import trustme

from inventory_sources._http import Dialling, HttpClient, HttpLimits, HttpRequest, patience
from inventory_sources._http._redirects import onwards
from inventory_sources.clock import SystemClock
from inventory_sources.errors import AddressDenied, ConfigurationError, FetchError, FetchTimeout
from inventory_sources.testing.servers import Drip, Request, Response, ScriptedHttpServer

SECRETS = {"Authorization": "Bearer t0ken", "X-Api-Key": "k3y", "Cookie": "c=1", "Accept": "text/csv"}
LOOPBACK = Dialling(allow_private=("127.0.0.0/8",))


def client(most: int = 3, dialling: Dialling = LOOPBACK, **limits: float) -> HttpClient:
    found = HttpLimits(**{"timeout": 5, "deadline": 20, **limits}, max_redirects=most)
    return HttpClient(found, patience(found, SystemClock()), dialling)


def to(location: str, status: int = 302) -> Response:
    return Response(b"moved", status, {"Location": location})


def after(count: int, last: Response, location: str = "/next") -> list[Response]:
    return [to(location)] * count + [last]


OK = Response(b"stock")


def test_none_is_followed_unless_declared() -> None:
    with ScriptedHttpServer(after(1, OK)) as server, client(HttpLimits().max_redirects) as http:
        assert http.send(HttpRequest(server.url)).status == 302
    assert len(server.requests) == 1


@pytest.mark.parametrize("most", [1, 2, 3])
def test_as_many_are_followed_as_declared(most: int) -> None:
    with ScriptedHttpServer(after(most, OK), keep_alive=True) as server, client(most) as http:
        assert http.send(HttpRequest(server.url)).body == b"stock"
    assert [request.connection for request in server.requests] == [1] * (most + 1)
    with ScriptedHttpServer(after(most + 1, OK)) as server, client(most) as http:
        assert http.send(HttpRequest(server.url)).status == 302
    assert len(server.requests) == most + 1


def test_more_than_three_cannot_be_declared() -> None:
    for most in (4, -1):
        with pytest.raises(ConfigurationError):
            HttpLimits(max_redirects=most)


def test_a_loop_ends() -> None:
    with ScriptedHttpServer(lambda request: to(request.path)) as server, client() as http:
        assert http.send(HttpRequest(server.url)).status == 302
    assert len(server.requests) == 4


def test_on_the_same_origin_headers_go_along_and_the_query_is_that_of_the_new_place() -> None:
    with ScriptedHttpServer(after(1, OK, "/b?page=1#part")) as server, client() as http:
        http.send(HttpRequest(f"{server.url}a?key=k3y", SECRETS))
    first, second = server.requests
    assert (first.path, second.path) == ("/a?key=k3y", "/b?page=1")
    for name, value in SECRETS.items():
        assert second.headers[name.lower()] == value


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_to_another_origin_nothing_goes_along(status: int) -> None:
    with (
        ScriptedHttpServer([OK]) as other,
        ScriptedHttpServer([to(f"{other.url}b", status)]) as server,
        client() as http,
    ):
        assert http.send(HttpRequest(f"{server.url}a?key=k3y", SECRETS)).body == b"stock"
    (request,) = other.requests
    assert (request.path, request.body) == ("/b", b"")
    assert not {"authorization", "x-api-key", "cookie"} & set(request.headers)
    assert request.headers["accept"] == "text/csv"
    assert "k3y" not in f"{request.path}{request.headers}"


@pytest.mark.parametrize(
    ("method", "content", "status", "same", "then"),
    [
        ("POST", b"{}", 303, True, ("GET", b"")),
        ("POST", b"{}", 303, False, ("GET", b"")),
        ("POST", b"{}", 307, True, ("POST", b"{}")),
        ("POST", b"{}", 308, True, ("POST", b"{}")),
        ("POST", b"{}", 307, False, None),
        ("POST", b"{}", 308, False, None),
        ("POST", b"{}", 301, True, None),
        ("POST", b"{}", 302, True, None),
        ("POST", None, 302, True, None),
        ("POST", None, 307, False, None),
        ("DELETE", None, 302, False, None),
        ("PUT", b"{}", 308, False, None),
        ("GET", b"{}", 307, True, ("GET", b"{}")),
        ("GET", b"{}", 302, False, None),
        ("HEAD", None, 302, False, ("HEAD", b"")),
        ("HEAD", None, 303, True, ("HEAD", b"")),
    ],
)
def test_a_body_or_a_change_never_goes_to_another_origin(
    method: str, content: bytes | None, status: int, same: bool, then: tuple[str, bytes] | None
) -> None:
    def script(request: Request) -> Response:
        return to("/b" if same else f"{other.url}b", status) if request.path == "/a" else OK

    with ScriptedHttpServer([OK]) as other, ScriptedHttpServer(script) as server, client() as http:
        request = HttpRequest(f"{server.url}a", {"Content-Type": "application/json"}, method, content)
        if then is None:
            with pytest.raises(FetchError, match=str(status)):
                http.send(request)
        else:
            http.send(request)
        reached = [*server.requests[1:], *other.requests]
    assert [(request.method, request.body) for request in reached] == ([] if then is None else [then])
    assert all(("content-type" in request.headers) == bool(request.body) for request in reached)


@pytest.mark.parametrize(
    "location",
    [
        "",
        " ",
        "https://user@erp.example/",
        "https://user:pass@erp.example/",
        "//user@erp.example/",
        "https://erp.example@127.0.0.1/",
        "https://erp.example\\@127.0.0.1/",
        "\\\\127.0.0.1/",
        "/\\127.0.0.1/",
        "///127.0.0.1/",
        "https:///127.0.0.1/",
        "https:/127.0.0.1/",
        "https:127.0.0.1/",
        "http:next",
        "HTTPS://erp.example/",
        "ftp://erp.example/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_x",
        "javascript:alert(1)",
        "data:text/csv,a",
        "mailto:a@b.example",
        "ht\ttps://127.0.0.1/",
        "https://127.0.0.1\t/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://[::ffff:127.0.0.1%25eth0]/",
        "https://erp.example:99999/",
        "https://erp.example:/",
        "https://\u00e9rp.example/",
        "https://[erp.example/",
        "/a b",
    ],
)
def test_odd_places_are_refused(location: str) -> None:
    request = HttpRequest("https://erp.example/a/b?key=k3y", SECRETS)
    with pytest.raises(FetchError, match="status 302") as caught:
        onwards(request, 302, {"location": location}, "https://erp.example/a/b")
    assert "k3y" not in str(caught.value)


def test_no_location_is_no_redirect() -> None:
    with pytest.raises(FetchError):
        onwards(HttpRequest("https://erp.example/"), 302, {}, "https://erp.example/")
    assert onwards(HttpRequest("https://erp.example/"), 200, {"location": "/a"}, "https://erp.example/") is None
    assert onwards(HttpRequest("https://erp.example/"), 304, {"location": "/a"}, "https://erp.example/") is None


@pytest.mark.parametrize(
    ("location", "then"),
    [
        ("/", "https://erp.example/"),
        ("/c?d=e", "https://erp.example/c?d=e"),
        ("c", "https://erp.example/a/c"),
        ("../c", "https://erp.example/c"),
        ("?page=2", "https://erp.example/a/b?page=2"),
        ("//other.example/c", "https://other.example/c"),
        ("https://other.example:8443/c", "https://other.example:8443/c"),
        ("https://erp.example", "https://erp.example/"),
        ("/c?to=https://x/", "https://erp.example/c?to=https://x/"),
    ],
)
def test_plain_places_are_taken(location: str, then: str) -> None:
    found = onwards(HttpRequest("https://erp.example/a/b?key=k3y"), 302, {"location": location}, "x")
    assert found is not None
    assert found.url == then


def test_https_never_leads_to_http() -> None:
    authority = trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(serving)

    def verification() -> ssl.SSLContext:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        return context

    dialling = Dialling(allow_private=("127.0.0.0/8",), tls=verification)
    with ScriptedHttpServer([OK]) as plain, ScriptedHttpServer([to(plain.url)], tls=serving) as secure:
        with client(dialling=dialling) as http, pytest.raises(FetchError, match="302"):
            http.send(HttpRequest(secure.url))
        assert plain.requests == ()
    with ScriptedHttpServer([OK], tls=serving) as secure, ScriptedHttpServer([to(secure.url)]) as plain:
        with client(dialling=dialling) as http:
            assert http.send(HttpRequest(plain.url, SECRETS)).body == b"stock"
        assert "authorization" not in secure.requests[0].headers


def test_each_address_is_judged() -> None:
    dialling = Dialling(allow_private=("127.0.0.1/32",))
    for location in ("http://127.0.0.2/", "http://10.0.0.1/", "http://[::1]/", "http://169.254.169.254/latest"):
        with ScriptedHttpServer([to(location)]) as server, client(dialling=dialling) as http:
            with pytest.raises(AddressDenied):
                http.send(HttpRequest(server.url))


def test_the_deadline_is_over_all_of_them() -> None:
    slow = Response(b"moved", 302, {"Location": "/next"}, drip=Drip(size=1, interval=0.004, head=True))
    with (
        ScriptedHttpServer([slow]) as server,
        client(deadline=0.5) as http,
        pytest.raises(FetchTimeout, match=r"0\.5 s"),
    ):
        http.send(HttpRequest(server.url))
    assert len(server.requests) < 4


def test_the_deadline_is_over_many_requests() -> None:
    slow = Response(b"{}", drip=Drip(size=20, interval=0.01, head=True))
    with ScriptedHttpServer([slow], keep_alive=True) as server, client(deadline=0.4) as http:
        with pytest.raises(FetchTimeout, match=r"0\.4 s"):
            for _ in range(1000):
                http.send(HttpRequest(server.url))
    assert len(server.requests) > 1
