"""Secrets among the parts of a request, and what has the name of one in the clear."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from inventory_sources import HttpConnector, Secret
from inventory_sources.errors import ConfigurationError, FetchError
from inventory_sources.rest import (
    Bearer,
    Call,
    ClientCredentials,
    Details,
    GraphQl,
    LinkHeader,
    LoginToken,
    NextUrl,
    OAuth1,
    RestConnector,
)
from inventory_sources.testing.servers import Request, Response, ScriptedHttpServer

from .rows import answer, fetched, query_of, rest, routes, stored_again

URL = "https://erp.example/stock"
SECRETS = [
    *(
        "Authorization",
        "Proxy-Authorization",
        "Cookie",
        "X-Api-Key",
        "api-key",
        "apikey",
        "X-Auth-Token",
        "PRIVATE-TOKEN",
    ),
    *("X-Shop-Access-Token", "access_token", "accessToken", "api_key", "token", "password", "userPassword", "secret"),
    *("client_secret", "sig", "signature", "X-Amz-Signature", "consumer_key", "Ocp-Apim-Subscription-Key", "pwd"),
]
PLAIN = [
    *("Accept", "X-Request-Id", "page_token", "nextPageToken", "key", "primaryKey", "sign", "design", "secretary"),
    *("tokens_left", "X-Odoo-Database", "compass", "keywords", "sku"),
]


def declared(name: str, text: str) -> list[Any]:
    """All places that a name can stand in."""
    oauth = {"client_id": "i", "client_secret": Secret("s")}
    return [
        lambda **more: RestConnector(URL, headers={name: text}, **more),
        lambda **more: RestConnector(URL, params={name: text}, **more),
        lambda **more: RestConnector(f"{URL}?a=b&{name}={text}", **more),
        lambda **more: RestConnector(URL, method="POST", body={"a": [{name: text}]}, **more),
        lambda **more: RestConnector(URL, graphql=GraphQl("{ a }", {name: text}), records="data", **more),
        lambda **more: HttpConnector(URL, headers={name: text}, **more),
        lambda **more: HttpConnector(f"{URL}?{name}={text}", **more),
        lambda **more: Call("/a", params={name: text}, **more),
        lambda **more: Call("/a", method="POST", body={"b": {name: text}}, **more),
        lambda **more: Call(f"/a?{name}={text}", **more),
        lambda **more: LoginToken(url=URL, body={"b": {name: text}}, secrets={"p": Secret("s")}, token="t", **more),
        lambda **more: ClientCredentials(token_url=URL, parameters={name: text}, **oauth, **more),
    ]


@pytest.mark.parametrize("name", SECRETS)
def test_what_has_the_name_of_a_secret_is_refused_in_the_clear_by_name_and_not_by_value(name: str) -> None:
    for make in declared(name, "c4nary"):
        with pytest.raises(ConfigurationError) as caught:
            make()
        assert repr(name) in caught.value.message
        assert "c4nary" not in f"{caught.value} {caught.value.guidance}"
        assert "Secret" in str(caught.value.guidance) or "auth" in str(caught.value.guidance)
        make(not_secret=(name.upper(),))


@pytest.mark.parametrize("name", PLAIN)
def test_other_names_are_taken(name: str) -> None:
    for make in declared(name, "c4nary"):
        make()


def test_a_key_is_told_by_its_value() -> None:
    for make in declared("key", "AIzaSyD-93kfu3kd9f0f9s8d7f"):
        with pytest.raises(ConfigurationError):
            make()
    for make in declared("key", "quantity_available_in_stock"):
        make()


def test_what_is_filled_in_later_is_no_secret_that_is_declared() -> None:
    assert Call("/reports/{id}?token={token}", params={"access_token": "{token}"}).places == {"id", "token"}


@pytest.mark.parametrize(
    "parts",
    [
        {"headers": {"X-Api-Key": Secret("s")}},
        {"params": {"token": Secret("s")}},
        {"method": "POST", "body": {"a": [{"b": Secret("s")}]}},
        {"params": {"token": Secret("s")}, "auth": OAuth1(consumer_key=Secret("k"), consumer_secret=Secret("s"))},
        {"auth": Bearer(Secret("s"))},
    ],
)
def test_no_secret_goes_over_http_unless_that_is_allowed(parts: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="in the clear"):
        RestConnector("http://erp.example/stock", **parts)
    RestConnector("http://erp.example/stock", allow_plaintext=True, **parts)
    RestConnector(URL, **parts)


def test_a_signature_without_a_secret_may() -> None:
    RestConnector("http://shop.example/wc", auth=OAuth1(consumer_key=Secret("k"), consumer_secret=Secret("s")))


def test_a_secret_is_sent_with_each_page_although_the_link_leaves_it_out() -> None:
    def stock(request: Request) -> Response:
        more = {} if "after" in query_of(request) else {"next": "/levels?after=1"}
        return answer({"items": [{"sku": "B" if not more else "A"}], **more})

    with ScriptedHttpServer(stock) as server:
        connector = rest(
            server,
            records="items",
            pager=NextUrl("next", optional=True),
            params={"token": Secret("a/ b"), "shop": "7"},
            headers={"X-Api-Key": Secret("k3y"), "X-Kind": "stock"},
        )
        rows, _ = fetched(connector)
    assert rows == [{"sku": "A"}, {"sku": "B"}]
    for request in server.requests:
        assert query_of(request)["token"] == "a/ b"
        assert (request.headers["x-api-key"], request.headers["x-kind"]) == ("k3y", "stock")
    assert query_of(server.requests[0]) == {"token": "a/ b", "shop": "7"}


def test_a_secret_is_sent_with_further_requests_and_beside_an_auth() -> None:
    script = routes({"/levels": answer({"items": [{"id": "1"}]}), "/items/1": answer({"quantity": 5})})
    with ScriptedHttpServer(script) as server:
        connector = rest(
            server,
            records="items",
            details=Details(url="/items/{id}", take={"quantity": "quantity"}),
            params={"api_key": Secret("k3y")},
            auth=Bearer(Secret("t0ken")),
        )
        rows, _ = fetched(connector)
    assert rows == [{"id": "1", "quantity": "5"}]
    for request in server.requests:
        assert query_of(request) == {"api_key": "k3y"}
        assert request.headers["authorization"] == "Bearer t0ken"


def test_a_secret_in_the_body_is_sent_in_its_place() -> None:
    with ScriptedHttpServer([answer({"items": []})]) as server:
        body = {"login": {"password": Secret("p4ss")}, "list": [Secret("one"), 2, None]}
        fetched(rest(server, method="POST", records="items", body=body))
    assert json.loads(server.requests[0].body) == {"login": {"password": "p4ss"}, "list": ["one", 2, None]}


def test_a_secret_among_the_parameters_of_a_token_is_sent() -> None:
    script = routes({"/token": answer({"access_token": "t"}), "/levels": answer({"items": []})})
    with ScriptedHttpServer(script) as server:
        auth = ClientCredentials(
            token_url=server.url + "token",
            client_id="i",
            client_secret=Secret("s"),
            parameters={"security_token": Secret("s3c"), "audience": "a"},
            allow_plaintext=True,
        )
        fetched(rest(server, records="items", auth=auth))
    assert server.requests[0].body == b"security_token=s3c&audience=a&grant_type=client_credentials"


def test_no_secret_goes_to_another_origin() -> None:
    with ScriptedHttpServer([answer({"items": []})]) as other:
        server_answer = Response(b"[1]", headers={"Link": f'<{other.url}next>; rel="next"'})
        with ScriptedHttpServer([server_answer]) as server:
            connector = rest(server, pager=LinkHeader(), params={"token": Secret("s")}, headers={"Cookie": Secret("s")})
            with pytest.raises(FetchError, match="leads from"):
                fetched(connector)
    assert len(other.requests) == 0


def test_stored_secrets_are_references_that_no_text_is_mistaken_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERP_KEY", "k3y")
    key = Secret.reference("env:ERP_KEY")
    connector = RestConnector(
        URL,
        method="POST",
        records="items",
        headers={"X-Api-Key": key, "X-Kind": "env:ERP_KEY"},
        params={"token": key, "like": "env:ERP_KEY"},
        body={"password": key, "like": "env:ERP_KEY", "n": [1, {"pin": key}]},
    )
    again = stored_again(connector)
    assert isinstance(again, RestConnector)
    assert (again.headers, again.params, again.body) == (connector.headers, connector.params, connector.body)
    assert "k3y" not in repr(again)
    with pytest.raises(TypeError):
        pickle.dumps(connector)
