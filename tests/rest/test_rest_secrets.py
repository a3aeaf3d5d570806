"""No secret of a REST source shows anywhere, whatever its server answers: the whole life of a source for each auth."""

from __future__ import annotations

import copy
import itertools
import json
import pickle
from collections.abc import Callable
from urllib.parse import parse_qsl

import pytest

from inventory_sources.rest import (
    ApiKey,
    Basic,
    Bearer,
    Both,
    ClientCredentials,
    HmacSigning,
    LoginToken,
    Manners,
    OAuth1,
    RefreshToken,
    RestConnector,
)
from inventory_sources.run import RunResult
from inventory_sources.secrets import CallableSecrets, EnvironmentSecrets, Secret, SecretResolvers
from inventory_sources.testing.servers import Request, Response, ScriptedHttpServer
from tests.engine import test_secrets_never_show as engines
from tests.engine.test_secrets_never_show import Host

from .sessions import at

host, logged = engines.host, engines.logged

LOOPBACK = ("127.0.0.0/8",)
#: What the host holds.
TEXTS = {name: f"c4nary-{name}" for name in ("key", "other", "refresh")}


class Vault(CallableSecrets):
    """Keeps what replaces a secret in memory."""

    def __init__(self) -> None:
        self.texts = dict(TEXTS)
        super().__init__("vault", self.texts.get)

    def store(self, reference: str, text: str) -> None:
        """Keeps it."""
        self.texts[reference.removeprefix("vault:")] = text


class Broken(CallableSecrets):
    """Cannot store, and quotes what it was to."""

    def __init__(self) -> None:
        self.texts = dict(TEXTS)
        super().__init__("vault", self.texts.get)

    def store(self, reference: str, text: str) -> None:
        """Fails."""
        raise OSError(text)


def secret(name: str, vault: CallableSecrets) -> Secret:
    return Secret.reference(f"vault:{name}", SecretResolvers(EnvironmentSecrets({}), vault))


def oauth2(url: str, vault: CallableSecrets) -> dict:
    return {
        "token_url": url + "token",
        "client_id": "app",
        "client_secret": secret("other", vault),
        "allow_plaintext": True,
    }


AUTHS: dict[str, Callable] = {
    "bearer": lambda url, vault: Bearer(secret("key", vault)),
    "basic": lambda url, vault: Basic("app", secret("key", vault)),
    "header": lambda url, vault: ApiKey(secret("key", vault), header="X-Api-Key"),
    "query": lambda url, vault: ApiKey(secret("key", vault), query="key"),
    "both": lambda url, vault: Both(
        ApiKey(secret("key", vault), header="X-Api-Key"), ApiKey(secret("other", vault), query="q")
    ),
    "client_credentials": lambda url, vault: ClientCredentials(**oauth2(url, vault)),
    "client_credentials in the body": lambda url, vault: ClientCredentials(**oauth2(url, vault), client_auth="body"),
    "refresh_token": lambda url, vault: RefreshToken(**oauth2(url, vault), refresh_token=secret("refresh", vault)),
    "login": lambda url, vault: LoginToken(
        url=url + "token",
        secrets={"a.b": secret("key", vault)},
        token="access_token",
        allow_plaintext=True,
    ),
    "login by cookie": lambda url, vault: LoginToken(
        url=url + "token", secrets={"p": secret("key", vault)}, cookies=("sid",), form=True, allow_plaintext=True
    ),
    "oauth1": lambda url, vault: OAuth1(
        consumer_key=secret("key", vault), consumer_secret=secret("other", vault), place="query"
    ),
    "oauth1 in the header": lambda url, vault: OAuth1(
        consumer_key=secret("key", vault),
        consumer_secret=secret("other", vault),
        token=secret("refresh", vault),
        token_secret=secret("key", vault),
        realm="1",
    ),
    "hmac": lambda url, vault: HmacSigning(
        key=secret("key", vault), signs="{url}{body}", headers={"X-Signature": "{signature}"}
    ),
}


def connector(url: str, auth: object, **options: object) -> RestConnector:
    defaults = {"auth": auth, "records": "items", "allow_private": LOOPBACK, "allow_plaintext": True}
    defaults["manners"] = Manners(tries=1)
    return RestConnector(url, **{**defaults, **options})


def whole(request: Request) -> str:
    """All that a request says, fit for a header; escapes undone, so that nothing is hidden by them."""
    query = dict(parse_qsl(request.path.partition("?")[2]))
    body = request.body.decode()
    body = " ".join(dict(parse_qsl(body)).values()) if "=" in body else body
    texts = [request.path, *query.values(), *request.headers.values(), body]
    return " ".join(texts).replace('"', "'").replace("\n", " ")


def rotating() -> Callable[[Request], Response]:
    """A token endpoint that is well, and gives another refresh token each time."""
    turns = itertools.count(1)

    def token(request: Request) -> Response:
        given = {"access_token": "c4nary-token", "refresh_token": f"c4nary-rotated-{next(turns)}", "expires_in": 3600}
        return Response(json.dumps(given).encode(), 200, {"Set-Cookie": "sid=c4nary-cookie; Path=/"})

    return token


def echo(status: int, body: str = '{"error": "%s"}', **headers: str) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        said = whole(request)
        named = {name.replace("_", "-"): value.replace("%s", said) for name, value in headers.items()}
        return Response(body.replace("%s", said).encode(), status, named)

    return answer


FAULTS: dict[str, Callable[[Request], Response]] = {
    "refused": echo(401, WWW_Authenticate="%s"),
    "forbidden": echo(403),
    "not found": echo(404),
    "wrong": echo(400, '{"error": "%s", "error_description": "%s"}'),
    "wait": echo(429, Retry_After="%s"),
    "broken": echo(500),
    "elsewhere": echo(302, Location="https://u:c4nary-url@h.example/?%s"),
    "coding": echo(200, Content_Encoding="%s"),
    "kind": echo(200, Content_Type="%s"),
    "html": echo(200, "<h1>%s", Content_Type="text/html"),
    "not JSON": echo(200, '{"%s'),
    "not UTF-8": lambda request: Response(whole(request).encode() + b"\xff"),
    "cut": lambda request: Response(whole(request).encode(), content_length=10**5),
    "not there": echo(200, '{"items": {"a": "%s"}}'),
    "not records": echo(200, '{"items": ["%s"]}'),
    "another token": echo(200, '{"token_type": "%s", "access_token": "%s", "expires_in": "%s"}'),
}


def shown(text: str) -> list[str]:
    return sorted({text[at : at + 20] for at in range(len(text)) if text.startswith("c4nary", at)})


def live(host: Host, auth: object, vault: CallableSecrets, server: ScriptedHttpServer, syncs: int = 1) -> None:
    """The whole life of a source, each time made anew from what is stored of it."""
    host.registry.secrets = SecretResolvers(EnvironmentSecrets({}), vault)
    live_source(host, connector(server.url + "stock", auth), auth, syncs)


def live_source(host: Host, declared: RestConnector, auth: object, syncs: int = 1) -> None:
    source = host.source(declared, decoder=None)
    assert host.registry.describe(source).portable
    host.note(auth, copy.copy(auth), copy.deepcopy(auth), host.registry.document(host.registry.describe(source)))
    host.live(source)
    for unsafe in filter(None, (auth, source.connector)):
        with pytest.raises(TypeError):
            pickle.dumps(unsafe)
    for _ in range(syncs):
        host.try_to(lambda: host.engine.sync("erp"))
        # With objects that live on, whose tokens were used.
        host.try_to(lambda: host.engine.check(source))
    host.note(source, auth, copy.copy(auth), copy.deepcopy(auth))


def all_sent(server: ScriptedHttpServer) -> str:
    return " ".join(whole(request) for request in server.requests)


def failing() -> Callable[[Request], Response]:
    """One fault after the other, and again from the first."""
    faults = itertools.cycle(FAULTS.values())

    def answer(request: Request) -> Response:
        return next(faults)(request)

    return answer


@pytest.mark.parametrize("name", AUTHS)
def test_an_api_that_fails_and_says_back_all_it_was_told_makes_nothing_show(host, logged, name):
    with ScriptedHttpServer(at(token=rotating(), stock=failing())) as server:
        vault = Vault()
        live(host, AUTHS[name](server.url, vault), vault, server, len(FAULTS) // 2)
        assert sum(request.path.startswith("/stock") for request in server.requests) > len(FAULTS)
        # A canary that was never sent proves nothing; of these the server sees no secret as it is.
        assert shown(all_sent(server)) or name in {"hmac", "basic"}
    assert {run.result for run in host.engine.history("erp")} == {RunResult.FAILED}
    assert shown(host.everything()) == []
    assert shown(logged()) == []


@pytest.mark.parametrize("name", [name for name in AUTHS if name[:5] in {"clien", "refre", "login"}])
def test_a_token_endpoint_that_fails_and_says_back_all_it_was_told_makes_nothing_show(host, logged, name):
    with ScriptedHttpServer(at(token=failing(), stock=Response(b"", 401))) as server:
        vault = Vault()
        live(host, AUTHS[name](server.url, vault), vault, server, len(FAULTS) // 2)
        assert sum(request.path.startswith("/token") for request in server.requests) > len(FAULTS)
    assert {run.result for run in host.engine.history("erp")} == {RunResult.FAILED}
    assert shown(host.everything()) == []
    assert shown(logged()) == []


@pytest.mark.parametrize("vault", [Vault, Broken])
@pytest.mark.parametrize("name", AUTHS)
def test_a_good_sync_shows_nothing_either(host, logged, name, vault):
    stock = Response(b'{"items": [{"sku": "A", "quantity": 5}]}')
    with ScriptedHttpServer(at(token=rotating(), stock=stock)) as server:
        resolver = vault()
        live(host, AUTHS[name](server.url, resolver), resolver, server)
    runs = host.engine.history("erp")
    assert {run.result for run in runs} == {RunResult.COMPLETED}
    assert shown(host.everything()) == []
    assert shown(logged()) == []
    if name == "refresh_token":
        assert resolver.texts["refresh"].startswith("c4nary-rotated" if vault is Vault else "c4nary-refresh")
        assert any("could not be kept" in str(run.warnings) for run in runs) == (vault is Broken)


@pytest.mark.parametrize("name", AUTHS)
def test_neither_do_the_url_the_headers_and_the_body_that_are_declared(host, logged, name):
    with ScriptedHttpServer(at(token=rotating(), stock=failing())) as server:
        declared = connector(
            server.url + "stock?u=c4nary-url",
            AUTHS[name](server.url, Vault()),
            params={"p": "c4nary-param"},
            headers={"X-Old": "c4nary-plain"},
            method="POST",
            body={"q": "c4nary-body"},
        )
        host.note(declared)
        for _ in FAULTS:
            host.try_to(lambda: host.engine.plan(host.source(declared, decoder=None)))
        for canary in ("c4nary-url", "c4nary-param", "c4nary-plain", "c4nary-body"):
            assert canary in all_sent(server)
    assert shown("\n".join(host.told)) == []
    assert shown(logged()) == []


def with_secrets(url: str, vault: CallableSecrets) -> RestConnector:
    """A secret in each part of the request that takes one."""
    return connector(
        url,
        None,
        headers={"X-Api-Key": secret("key", vault), "X-Kind": "stock"},
        params={"access_token": secret("other", vault), "page": "1"},
        method="POST",
        body={"login": {"password": secret("refresh", vault)}, "q": ["stock"]},
    )


@pytest.mark.parametrize("well", [True, False])
def test_neither_do_secrets_in_headers_parameters_and_body(host, logged, well):
    good = Response(b'{"items": [{"sku": "A", "quantity": 5}]}')
    vault = Vault()
    host.registry.secrets = SecretResolvers(EnvironmentSecrets({}), vault)
    with ScriptedHttpServer([good] if well else failing()) as server:
        live_source(host, with_secrets(server.url + "stock", vault), None, 1 if well else len(FAULTS) // 2)
    assert {run.result for run in host.engine.history("erp")} == {RunResult.COMPLETED if well else RunResult.FAILED}
    assert len(server.requests) > (1 if well else len(FAULTS))
    for request in server.requests:
        assert request.headers["x-api-key"] == "c4nary-key"
        assert parse_qsl(request.path.partition("?")[2]) == [("page", "1"), ("access_token", "c4nary-other")]
        assert json.loads(request.body) == {"login": {"password": "c4nary-refresh"}, "q": ["stock"]}
    assert shown(host.everything()) == []
    assert shown(logged()) == []
    stored = host.registry.document(host.registry.describe(host.source(with_secrets(server.url, vault), decoder=None)))
    options = stored["connector"]["options"]
    assert options["headers"] == {"X-Api-Key": {"$secret": "vault:key"}, "X-Kind": "stock"}
    assert options["body"] == {"login": {"password": {"$secret": "vault:refresh"}}, "q": ["stock"]}


def test_a_token_endpoint_that_is_asked_again_shows_nothing(host, logged):
    """Three tries for each token, as the manners say, each answered with all that was sent."""
    busy = echo(503, '{"error": "temporarily_unavailable", "error_description": "%s"}')
    with ScriptedHttpServer(at(token=busy, stock=Response(b"", 401))) as server:
        vault = Vault()
        host.registry.secrets = SecretResolvers(EnvironmentSecrets({}), vault)
        auth = AUTHS["refresh_token"](server.url, vault)
        declared = connector(server.url + "stock", auth, manners=Manners(tries=3, backoff=0.001))
        live_source(host, declared, auth)
        tokens = [request for request in server.requests if request.path.startswith("/token")]
        assert len(tokens) == len(server.requests) >= 3 * 4
        assert "c4nary-refresh" in all_sent(server)
    assert shown(host.everything()) == []
    assert shown(logged()) == []
