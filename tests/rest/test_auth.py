from __future__ import annotations

from base64 import b64decode

import pytest

from inventory_sources._http import HttpLimits, HttpRequest
from inventory_sources.errors import AccessRefused, ConfigurationError
from inventory_sources.rest import ApiKey, Basic, Bearer, Both
from inventory_sources.secrets import Secret
from inventory_sources.testing.servers import Response, ScriptedHttpServer

from .sessions import asked, session


def test_a_bearer_token_goes_into_the_header():
    assert asked(Bearer(Secret("t0ken"))).headers["authorization"] == "Bearer t0ken"
    assert asked(Bearer(Secret("t0ken"), scheme="Token")).headers["authorization"] == "Token t0ken"
    assert asked(Bearer(Secret("t0ken"), scheme="")).headers["authorization"] == "t0ken"


def test_basic_as_rfc_7617_gives_it():
    auth = Basic("Aladdin", Secret("open sesame"))
    assert asked(auth).headers["authorization"] == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    # Section 2.1: user "test", password "123£" in UTF-8.
    assert asked(Basic("test", Secret("123£"))).headers["authorization"] == "Basic dGVzdDoxMjPCow=="
    kind, _, text = asked(Basic("Jürgen", Secret("a:b:ü"))).headers["authorization"].partition(" ")
    assert (kind, b64decode(text)) == ("Basic", "Jürgen:a:b:ü".encode())


@pytest.mark.parametrize("name", ["a:b", ":", "a\nb", "a\x00", "a\x7f"])
def test_basic_refuses_a_user_name_that_it_cannot_send(name):
    with pytest.raises(ConfigurationError, match="colon or control characters"):
        Basic(name, Secret("p"))


def test_an_api_key_goes_into_the_header_or_the_query():
    assert asked(ApiKey(Secret("k"), header="X-Api-Key")).headers["x-api-key"] == "k"
    assert asked(ApiKey(Secret("k/ +&ü"), query="key")).path == "/stock?key=k%2F+%2B%26%C3%BC"
    assert asked(ApiKey(Secret("k"), query="key"), "stock?a=%2F&b").path == "/stock?a=%2F&b&key=k"


def test_a_key_that_a_next_link_repeats_is_sent_once():
    assert asked(ApiKey(Secret("new"), query="api key"), "stock?api+key=old&page=2&api%20key").path == (
        "/stock?page=2&api+key=new"
    )
    with session() as made:
        request = HttpRequest("https://erp.example/", {"x-KEY": "old", "Accept": "text/csv"})
        signed = ApiKey(Secret("new"), header="X-Key").sign(request, made)
    assert signed.headers == {"Accept": "text/csv", "X-Key": "new"}


@pytest.mark.parametrize("place", [{}, {"header": "X", "query": "x"}, {"header": "", "query": ""}])
def test_an_api_key_without_one_place_is_refused(place):
    with pytest.raises(ConfigurationError):
        ApiKey(Secret("k"), **place)


@pytest.mark.parametrize("name", ["Host", "X Key", "X:Key", "content-length", "Ü"])
def test_a_header_that_cannot_be_sent_is_refused_when_declared(name):
    with pytest.raises(ConfigurationError, match="cannot be named"):
        ApiKey(Secret("k"), header=name)


def test_two_credentials_go_along_together():
    auth = Both(Bearer(Secret("t")), Both(ApiKey(Secret("a"), header="X-A"), ApiKey(Secret("q"), query="q")))
    request = asked(auth)
    assert (request.headers["authorization"], request.headers["x-a"], request.path) == ("Bearer t", "a", "/stock?q=q")
    assert auth.sends_secrets


@pytest.mark.parametrize(
    "auth",
    [
        Bearer(Secret("c4nary")),
        Basic("u", Secret("c4nary")),
        ApiKey(Secret("c4nary"), header="X-Key"),
        ApiKey(Secret("c4nary"), query="key"),
        Both(Bearer(Secret("c4nary")), ApiKey(Secret("c4nary"), query="key")),
    ],
)
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_credential_that_never_changes_is_tried_once(auth, status):
    with ScriptedHttpServer([Response(b"c4nary", status)]) as server, session(auth) as made:
        with pytest.raises(AccessRefused) as caught:
            made.send(HttpRequest(server.url))
    assert len(server.requests) == 1
    assert "c4nary" not in f"{caught.value} {caught.value!r} {auth!r}"


def test_no_credential_goes_along_to_another_origin():
    auth = Both(Bearer(Secret("t")), Both(ApiKey(Secret("a"), header="X-A"), ApiKey(Secret("q"), query="q")))
    with ScriptedHttpServer([Response(b"{}")]) as other:
        redirect = Response(b"", 302, {"Location": other.url + "stock"})
        with ScriptedHttpServer([redirect]) as server, session(auth, limits=HttpLimits(max_redirects=1)) as made:
            made.send(HttpRequest(server.url))
    assert server.requests[0].headers["authorization"] == "Bearer t"
    assert set(other.requests[0].headers) == {"host", "accept", "accept-encoding", "cache-control", "user-agent"}
    assert other.requests[0].path == "/stock"


@pytest.mark.parametrize("text", ["a\nb", "a\r\nX-Other: b", "tökän", " "])
def test_a_secret_that_http_cannot_send_is_refused_unseen(text):
    with session(Bearer(Secret(text), scheme="")) as made, pytest.raises(ConfigurationError) as caught:
        made.send(HttpRequest("http://127.0.0.1:9/"))
    assert text.strip() == "" or text not in f"{caught.value}"
