from __future__ import annotations

import json
from urllib.parse import parse_qs

import pytest

from inventory_sources._documents import document_converter, plain_document
from inventory_sources._http import HttpRequest
from inventory_sources.errors import (
    AccessRefused,
    AddressDenied,
    ConfigurationError,
    FetchError,
    Recovery,
    ServerFailed,
    StructureInvalid,
)
from inventory_sources.rest import LoginToken
from inventory_sources.secrets import EnvironmentSecrets, Secret, SecretResolvers
from inventory_sources.testing import ManualClock
from inventory_sources.testing.servers import Response, ScriptedHttpServer

from .sessions import answer, at, session


def login(url: str, **options: object) -> LoginToken:
    defaults = {"secrets": {"password": Secret("pä55")}, "allow_plaintext": True}
    return LoginToken(url=url + "login", **{**defaults, **options})


def odoo(url: str) -> LoginToken:
    return login(
        url,
        body={"jsonrpc": "2.0", "params": {"db": "shop", "login": "stock"}},
        secrets={"params.password": Secret("pä55")},
        cookies=["session_id"],
        granted="result.uid",
    )


def test_a_token_from_the_body_of_an_answer():
    script = at(login=answer({"data": {"session": "s1"}}), stock=answer({}))
    with ScriptedHttpServer(script) as server:
        with session(
            login(server.url, body={"user": "u"}, token="data.session", header="X-Session", scheme="")
        ) as made:
            made.send(HttpRequest(server.url + "stock"))
            made.send(HttpRequest(server.url + "stock"))
    first, *others = server.requests
    assert (first.method, first.path, first.headers["content-type"]) == ("POST", "/login", "application/json")
    assert json.loads(first.body) == {"user": "u", "password": "pä55"}
    assert [(request.path, request.headers["x-session"]) for request in others] == [("/stock", "s1")] * 2


def test_a_login_by_a_form():
    with ScriptedHttpServer(at(login=answer({"access_token": "s1"}), stock=answer({}))) as server:
        with session(login(server.url, body={"user": "u&v"}, form=True, token="access_token")) as made:
            made.send(HttpRequest(server.url + "stock"))
    assert server.requests[0].headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(server.requests[0].body.decode()) == {"user": ["u&v"], "password": ["pä55"]}
    assert server.requests[1].headers["authorization"] == "Bearer s1"


def test_the_cookie_of_odoo():
    cookie = "other=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT, session_id=s1-x.y; Path=/; HttpOnly, session_id2=no"
    good = answer({"jsonrpc": "2.0", "result": {"uid": 7}}, Set_Cookie=cookie)
    with ScriptedHttpServer(at(login=good, stock=answer({}))) as server, session(odoo(server.url)) as made:
        made.send(HttpRequest(server.url + "stock"))
    sent = json.loads(server.requests[0].body)
    assert sent == {"jsonrpc": "2.0", "params": {"db": "shop", "login": "stock", "password": "pä55"}}
    assert server.requests[1].headers["cookie"] == "session_id=s1-x.y"


def test_several_cookies():
    good = answer({}, Set_Cookie="B1SESSION=abc;HttpOnly;, ROUTEID=.node2; path=/")
    with ScriptedHttpServer(at(login=good, stock=answer({}))) as server:
        with session(login(server.url, cookies=("B1SESSION", "ROUTEID"))) as made:
            made.send(HttpRequest(server.url + "stock"))
    assert server.requests[1].headers["cookie"] == "B1SESSION=abc; ROUTEID=.node2"


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (answer({"error": {"code": 200, "message": "c4nary"}}, Set_Cookie="session_id=anonymous"), AccessRefused),
        (answer({"result": {"uid": False}}, Set_Cookie="session_id=anonymous"), AccessRefused),
        (answer({"result": {"uid": None}}, Set_Cookie="session_id=anonymous"), AccessRefused),
        (answer({"result": {"uid": 7}}), AccessRefused),
        (answer({"result": {"uid": 7}}, Set_Cookie="session_id=; Max-Age=0"), AccessRefused),
        (answer({"c4nary": 1}, 401), AccessRefused),
        (Response(b"c4nary", 500), ServerFailed),
        (Response(b"<form>c4nary", 200, {"Content-Type": "text/html"}), StructureInvalid),
    ],
)
def test_a_login_that_was_not_good_is_told_without_a_word_of_the_answer(given, error):
    with ScriptedHttpServer(at(login=given)) as server, session(odoo(server.url)) as made:
        with pytest.raises(error) as caught:
            made.send(HttpRequest(server.url + "stock"))
    assert len(server.requests) == 1
    assert "c4nary" not in f"{caught.value}{caught.value.__cause__}{caught.value.__context__}"


def test_a_session_that_ended_is_opened_again_once():
    sessions = iter(["s1", "s2"])
    good = at(
        login=lambda request: answer({"t": next(sessions)}),
        stock=lambda request: answer({}, 200 if request.headers["authorization"] == "Bearer s2" else 401),
    )
    with ScriptedHttpServer(good) as server, session(login(server.url, token="t")) as made:
        assert made.send(HttpRequest(server.url + "stock")).status == 200
    assert [request.path for request in server.requests] == ["/login", "/stock", "/login", "/stock"]


def test_requests_go_to_the_server_that_the_login_tells_and_to_the_next_one_after_another_login():
    tokens = iter(["s1", "s2"])
    with ScriptedHttpServer([answer({}), answer({}, 401)]) as one, ScriptedHttpServer([answer({})]) as two:
        servers = iter([one.url, two.url.rstrip("/")])
        script = at(login=lambda request: answer({"t": next(tokens), "at": {"server": next(servers)}}))
        with ScriptedHttpServer(script) as front:
            auth = login(front.url, token="t", server="at.server", within="127.0.0.1")
            with session(auth) as made:
                made.send(HttpRequest(front.url + "stock?page=1"))
                made.send(HttpRequest(front.url + "stock?page=2"))
    assert [request.path for request in front.requests] == ["/login", "/login"]
    assert [request.path for request in one.requests] == ["/stock?page=1", "/stock?page=2"]
    assert [(request.path, request.headers["authorization"]) for request in two.requests] == [
        ("/stock?page=2", "Bearer s2")
    ]


@pytest.mark.parametrize(
    "told",
    [
        "http://erp.example.evil.test",
        "http://evilerp.example",
        "http://127.0.0.1",
        "https://eu.erp.example",
        "http://eu.erp.example/c4nary",
        "http://eu.erp.example?c4nary",
        "http://c4nary@eu.erp.example",
        "eu.erp.example",
        "//eu.erp.example",
        "http://erp.example\\@evil.test",
        7,
        ["http://erp.example"],
    ],
)
def test_no_other_server_is_gone_to(told):
    with ScriptedHttpServer(at(login=answer({"t": "s1", "server": told}))) as server:
        with session(login(server.url, token="t", server="server", within="erp.example")) as made:
            with pytest.raises(FetchError, match=r"no server in erp\.example") as caught:
                made.send(HttpRequest(server.url + "stock"))
    assert caught.value.recovery is Recovery.STOP
    assert "c4nary" not in str(caught.value)
    assert len(server.requests) == 1


def test_a_server_in_a_private_network_is_judged_like_any_address():
    with ScriptedHttpServer(at(login=answer({"t": "s1", "server": "http://10.0.0.1"}))) as server:
        with session(login(server.url, token="t", server="server", within="10.0.0.1")) as made:
            with pytest.raises(AddressDenied):
                made.send(HttpRequest(server.url + "stock"))


def test_a_session_of_known_length_is_opened_again_before_it_ends():
    clock = ManualClock()
    with ScriptedHttpServer(at(login=answer({"t": "s"}), stock=answer({}))) as server:
        auth = login(server.url, token="t", lifetime=1800)
        for step in (0, 1739, 1):
            clock.advance(step)
            with session(auth, clock) as made:
                made.send(HttpRequest(server.url + "stock"))
    assert [request.path for request in server.requests] == ["/login", "/stock", "/stock", "/login", "/stock"]


@pytest.mark.parametrize(
    "options",
    [
        {"token": "t", "url": "http://erp.example/login"},
        {},
        {"token": "t", "cookies": ("c",)},
        {"token": "t", "lifetime": 0},
        {"token": "t", "body": {"password": ""}},
        {"token": "t", "body": {"params": "x"}, "secrets": {"params.password": Secret("p")}},
        {"token": "t", "secrets": {"a": Secret("p"), "a.b": Secret("p")}},
        {"token": "t", "server": "s"},
        {"token": "t", "within": "erp.example"},
        {"token": "t", "server": "s", "within": "https://erp.example"},
        {"token": "t", "server": "s", "within": ".erp.example"},
        {"token": "t", "server": "s", "within": "ERP.example"},
    ],
)
def test_a_login_that_cannot_be_used_is_refused(options):
    with pytest.raises(ConfigurationError):
        LoginToken(**{"url": "https://erp.example/login", "secrets": {"password": Secret("p")}, **options})


def test_a_login_is_stored_by_its_references():
    secrets = SecretResolvers(EnvironmentSecrets({"A": "c4nary"}))
    converter = document_converter(secrets)
    body = {"jsonrpc": "2.0", "params": {"db": "shop", "n": 1, "on": True, "none": None, "list": [1]}}
    auth = LoginToken(
        url="https://erp.example/login?k=c4nary",
        body=body,
        secrets={"params.password": Secret.reference("env:A", secrets)},
        cookies=("a", "b"),
        granted="result.uid",
    )
    document = plain_document(auth, converter)
    assert converter.structure(document, LoginToken) == auth
    assert document["secrets"] == {"params.password": "env:A"}
    assert "c4nary" not in repr(auth)
