from __future__ import annotations

import copy
import pickle
import threading
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs

import attrs
import pytest

from inventory_sources._documents import document_converter, plain_document
from inventory_sources._http import HttpLimits, HttpRequest
from inventory_sources.errors import (
    AccessRefused,
    AddressDenied,
    ConfigurationError,
    ConnectFailed,
    FetchError,
    FetchTimeout,
    InputTooLarge,
    InventorySourcesError,
    NotPortable,
    RateLimited,
    Recovery,
    ServerFailed,
    SourceMissing,
    StructureInvalid,
    Truncated,
)
from inventory_sources.rest import ClientCredentials, RefreshToken
from inventory_sources.secrets import (
    CallableSecrets,
    EnvironmentSecrets,
    Secret,
    SecretResolvers,
)
from inventory_sources.testing import ManualClock
from inventory_sources.testing.servers import Drip, Request, Response, ScriptedHttpServer

from .sessions import answer, at, session


class Api:
    """A token endpoint and a list behind it; a token is good until another is given or it is voided."""

    def __init__(self, **token: object) -> None:
        self.token = token
        self.given: list[str] = []
        self.good: set[str] = set()

    def __call__(self, request: Request) -> Response:
        return at(token=self.grant, stock=self.stock)(request)

    def grant(self, request: Request) -> Response:
        name = f"t{len(self.given) + 1}"
        self.given.append(name)
        self.good = {name}
        return answer({"access_token": name, "token_type": "Bearer", **self.token})

    def stock(self, request: Request) -> Response:
        good = request.headers.get("authorization", "").removeprefix("Bearer ") in self.good
        return answer({}, 200 if good else 401)


def client(url: str, **options: object) -> ClientCredentials:
    defaults = {"client_id": "id", "client_secret": Secret("s3cret"), "allow_plaintext": True}
    return ClientCredentials(token_url=url + "token", **{**defaults, **options})


def refresh(url: str, token: Secret, **options: object) -> RefreshToken:
    defaults = {"client_id": "id", "client_secret": Secret("s3cret"), "allow_plaintext": True}
    return RefreshToken(token_url=url + "token", refresh_token=token, **{**defaults, **options})


@pytest.fixture
def api() -> Iterator[Api]:
    return Api(expires_in=3600)


def form(request: Request) -> dict[str, str]:
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    return {name: values[0] for name, values in parse_qs(request.body.decode(), strict_parsing=True).items()}


def test_the_request_for_a_token_is_that_of_rfc_6749(api):
    with ScriptedHttpServer(api) as server:
        auth = client(server.url, scope="stock read", parameters={"audience": "https://erp.example/?a=b"})
        with session(auth) as made:
            made.send(HttpRequest(server.url + "stock"))
    token, stock = server.requests
    assert (token.method, token.path) == ("POST", "/token")
    assert token.headers["authorization"] == f"Basic {b64encode(b'id:s3cret').decode()}"
    assert form(token) == {
        "grant_type": "client_credentials",
        "scope": "stock read",
        "audience": "https://erp.example/?a=b",
    }
    assert stock.headers["authorization"] == "Bearer t1"


def test_id_and_secret_are_encoded_as_in_a_form_before_they_are_joined(api):
    with ScriptedHttpServer(api) as server:
        with session(client(server.url, client_id="a:b", client_secret=Secret("c d%ü"))) as made:
            made.send(HttpRequest(server.url + "stock"))
    expected = b64encode(b"a%3Ab:c+d%25%C3%BC").decode()
    assert server.requests[0].headers["authorization"] == f"Basic {expected}"


def test_id_and_secret_in_the_body(api):
    with ScriptedHttpServer(api) as server:
        with session(client(server.url, client_auth="body")) as made:
            made.send(HttpRequest(server.url + "stock"))
    assert "authorization" not in server.requests[0].headers
    assert form(server.requests[0]) == {
        "grant_type": "client_credentials",
        "client_id": "id",
        "client_secret": "s3cret",
    }


def test_a_token_goes_where_the_api_wants_it():
    with ScriptedHttpServer(at(token=answer({"access_token": "t1"}), stock=answer({}))) as server:
        for place in ({"header": "X-Shop-Token", "scheme": ""}, {"scheme": "Zoho-oauthtoken"}):
            with session(client(server.url, **place)) as made:
                made.send(HttpRequest(server.url + "stock"))
    assert server.requests[1].headers["x-shop-token"] == "t1"
    assert server.requests[3].headers["authorization"] == "Zoho-oauthtoken t1"


@pytest.mark.parametrize(
    ("lifetime", "good_for"),
    [(3600, 3540), ("3600", 3540), (300, 270), ("10", 9), (599.5, 539.55)],
)
def test_a_token_is_replaced_shortly_before_it_ends(lifetime, good_for):
    api, clock = Api(expires_in=lifetime), ManualClock()
    with ScriptedHttpServer(api) as server:
        auth = client(server.url)
        for step in (0, good_for - 0.5, 0.5):
            clock.advance(step)
            # Each fetch has a session of its own; the token outlives it.
            with session(auth, clock) as made:
                made.send(HttpRequest(server.url + "stock"))
    assert [request.headers.get("authorization") for request in server.requests if request.path == "/stock"] == [
        "Bearer t1",
        "Bearer t1",
        "Bearer t2",
    ]


@pytest.mark.parametrize("token", [{}, {"expires_in": None}, {"expires_in": 0}])
def test_a_token_without_an_end_is_used_until_it_is_refused(token):
    api, clock = Api(**token), ManualClock()
    with ScriptedHttpServer(api) as server, session(client(server.url), clock) as made:
        made.send(HttpRequest(server.url + "stock"))
        clock.advance(50)
        made.send(HttpRequest(server.url + "stock"))
        assert api.given == ["t1"]
        api.good = set()
        made.send(HttpRequest(server.url + "stock"))
    assert api.given == ["t1", "t2"]


def test_a_new_token_that_is_refused_too_ends_it_at_once(api):
    script = at(token=api.grant, stock=answer({}, 401))
    with ScriptedHttpServer(script) as server, session(client(server.url)) as made:
        with pytest.raises(AccessRefused) as caught:
            made.send(HttpRequest(server.url + "stock"))
    assert [request.path for request in server.requests] == ["/token", "/stock", "/token", "/stock"]
    assert caught.value.recovery is Recovery.BLOCK


def test_sixteen_threads_ask_for_one_token_and_replace_it_once(api):
    with ScriptedHttpServer(api) as server, session(client(server.url)) as made:
        start = threading.Barrier(16)

        def send(_: int) -> int:
            start.wait()
            return made.send(HttpRequest(server.url + "stock")).status

        with ThreadPoolExecutor(16) as threads:
            assert list(threads.map(send, range(16))) == [200] * 16
            assert api.given == ["t1"]
            api.good = set()
            api.token = {}
            assert list(threads.map(send, range(16))) == [200] * 16
    assert api.given == ["t1", "t2"]


def test_threads_that_wait_for_a_token_share_its_refusal():
    asking = threading.Barrier(16)
    asked = []

    def refused(request: Request) -> Response:
        asked.append(request)
        entered.wait()
        return answer({"error": "invalid_client"}, 401)

    entered = threading.Event()
    with ScriptedHttpServer(refused) as server, session(auth := client(server.url)) as made:
        waiting = threading.Semaphore(0)
        lock = auth._cell._lock
        auth._cell._lock = Announcing(lock, waiting)

        def send(_: int) -> str:
            asking.wait()
            with pytest.raises(AccessRefused) as caught:
                made.send(HttpRequest(server.url + "stock"))
            return str(caught.value)

        with ThreadPoolExecutor(16) as threads:
            found = threads.map(send, range(16))
            for _ in range(16):
                waiting.acquire()
            entered.set()
            assert len(set(found)) == 1
    assert len(asked) == 1


class Announcing:
    """A lock that tells when a thread is about to wait for it."""

    def __init__(self, lock: threading.Lock, waiting: threading.Semaphore) -> None:
        self.lock, self.waiting = lock, waiting

    def acquire(self, timeout: float) -> bool:
        self.waiting.release()
        return self.lock.acquire(timeout=timeout)

    def release(self) -> None:
        self.lock.release()


@pytest.mark.parametrize(
    ("given", "error", "recovery", "says"),
    [
        (answer({"error": "invalid_client"}, 401), AccessRefused, Recovery.BLOCK, "invalid_client"),
        (answer({"error": "invalid_client"}, 400), AccessRefused, Recovery.BLOCK, "invalid_client"),
        (answer({"error": "invalid_grant"}, 200), AccessRefused, Recovery.BLOCK, "invalid_grant"),
        (
            answer({"error": "invalid_scope", "error_description": "c4nary"}, 400),
            AccessRefused,
            Recovery.BLOCK,
            "scope",
        ),
        (answer({"error": "c4nary"}, 400), FetchError, Recovery.STOP, "status 400"),
        (answer({"error": ["c4nary"]}, 400), FetchError, Recovery.STOP, "status 400"),
        (answer({"error": "c4nary"}, 401), AccessRefused, Recovery.BLOCK, "status 401"),
        (answer({"error": "temporarily_unavailable"}, 400), ServerFailed, Recovery.RETRY, "temporarily_unavailable"),
        (answer({"error": "invalid_client"}, 500), ServerFailed, Recovery.RETRY, "status 500"),
        (Response(b"c4nary", 500), ServerFailed, Recovery.RETRY, "status 500"),
        (Response(b"", 429, {"Retry-After": "30"}), RateLimited, Recovery.WAIT, "status 429"),
        (Response(b"", 302, {"Location": "/elsewhere?c4nary"}), FetchError, Recovery.STOP, "redirects"),
        (Response(b"", 404), SourceMissing, Recovery.RETRY, "status 404"),
        (Response(b"", 204), StructureInvalid, Recovery.STOP, "no JSON object"),
        (Response(b"<h1>c4nary</h1>", 200, {"Content-Type": "text/html"}), StructureInvalid, Recovery.STOP, "no JSON"),
        (Response(b"{", 200, {"Content-Type": "c4nary/c4nary"}), StructureInvalid, Recovery.STOP, "no JSON object"),
        (Response(b'{"access_token": "c4nary\xff"}'), StructureInvalid, Recovery.STOP, "no JSON object"),
        (Response(b'{"c4nary": 1, "c4nary": 2}'), StructureInvalid, Recovery.STOP, "no JSON object"),
        (Response(b"[" * 100), StructureInvalid, Recovery.STOP, "no JSON object"),
        (answer(["c4nary"]), StructureInvalid, Recovery.STOP, "no JSON object"),
        (answer({"c4nary": "c4nary"}), StructureInvalid, Recovery.STOP, "no token that a header"),
        (answer({"access_token": None}), StructureInvalid, Recovery.STOP, "no token that a header"),
        (answer({"access_token": ""}), StructureInvalid, Recovery.STOP, "no token that a header"),
        (answer({"access_token": "c4nary\r\nX: y"}), StructureInvalid, Recovery.STOP, "no token that a header"),
        (answer({"access_token": {"c4nary": 1}}), StructureInvalid, Recovery.STOP, "no token that a header"),
        (answer({"access_token": "t", "token_type": "c4nary"}), StructureInvalid, Recovery.STOP, "another type"),
        (answer({"access_token": "t", "expires_in": "c4nary"}), StructureInvalid, Recovery.STOP, "expires_in"),
        (answer({"access_token": "t", "expires_in": -1}), StructureInvalid, Recovery.STOP, "expires_in"),
        (answer({"access_token": "t", "expires_in": True}), StructureInvalid, Recovery.STOP, "expires_in"),
        (Response(b'{"access_token": "c4nary"}', cut_after=10), Truncated, Recovery.RETRY, "ended before"),
        (Response(b'{"access_token": "c4nary"}', content_length=10**12), InputTooLarge, Recovery.STOP, "more than"),
    ],
)
def test_a_token_that_cannot_be_had_is_told_exactly_and_without_a_word_of_the_answer(given, error, recovery, says):
    with ScriptedHttpServer(at(token=given)) as server, session(client(server.url)) as made:
        with pytest.raises(InventorySourcesError) as caught:
            made.send(HttpRequest(server.url + "stock"))
        assert made.context.outcome.warnings == []
    assert (type(caught.value), caught.value.recovery) == (error, recovery)
    assert says in caught.value.message
    assert "/token" in caught.value.message or error is Truncated
    assert len(server.requests) == 1, "wrong credentials are sent once"
    hanging: BaseException | None = caught.value
    while hanging is not None:
        assert "c4nary" not in f"{hanging} {hanging!r} {vars(hanging)}"
        hanging = hanging.__cause__ or hanging.__context__


def test_a_token_that_drips_in_is_given_up_by_the_fetch_s_deadline():
    class Ticking(ManualClock):
        def monotonic(self) -> float:
            self.advance(1)
            return super().monotonic()

    slow = Response(b" " * 10_000 + b'{"access_token": "t"}', drip=Drip(interval=0.001))
    with ScriptedHttpServer(at(token=slow)) as server:
        with session(client(server.url), Ticking(), limits=HttpLimits(deadline=30)) as made:
            with pytest.raises(FetchTimeout):
                made.send(HttpRequest(server.url + "stock"))


def test_a_token_endpoint_that_is_gone_or_may_not_be_reached():
    with ScriptedHttpServer([Response()]) as server:
        auth = client(server.url)
    with session(auth) as made, pytest.raises(ConnectFailed):
        made.send(HttpRequest("https://erp.example/stock"))
    with session(client("https://169.254.169.254/")) as made, pytest.raises(AddressDenied):
        made.send(HttpRequest("https://erp.example/stock"))


def test_a_failed_attempt_is_not_remembered(api):
    script = iter([Response(b"", 500), *[None] * 9])
    with ScriptedHttpServer(lambda request: next(script) or api(request)) as server:
        with session(client(server.url)) as made:
            with pytest.raises(ServerFailed):
                made.send(HttpRequest(server.url + "stock"))
            assert made.send(HttpRequest(server.url + "stock")).status == 200


class Tenants:
    """Refresh tokens that are good once."""

    def __init__(self, **good: str) -> None:
        self.good = good

    def __call__(self, request: Request) -> Response:
        if request.path == "/stock":
            return answer({"who": request.headers["authorization"]})
        sent = form(request)["refresh_token"]
        tenant = self.good.pop(sent, None)
        if tenant is None:
            return answer({"error": "invalid_grant"}, 400)
        self.good[sent + "'"] = tenant
        return answer({"access_token": f"of-{tenant}", "refresh_token": sent + "'", "expires_in": 600})


def vault(texts: dict[str, str]) -> SecretResolvers:
    class Vault(CallableSecrets):
        def store(self, reference: str, text: str) -> None:
            texts[reference.removeprefix("vault:")] = text

    return SecretResolvers(EnvironmentSecrets({"ERP": "r1", "S": "s3cret"}), Vault("vault", texts.get))


def test_a_refresh_token_is_sent_and_its_successor_kept_by_its_resolver():
    texts = {"erp": "r1"}
    clock = ManualClock()
    with ScriptedHttpServer(Tenants(r1="a")) as server:
        for _ in range(3):
            # A worker that knows nothing of the one before.
            auth = refresh(server.url, Secret.reference("vault:erp", vault(texts)))
            with session(auth, clock) as made:
                assert made.send(HttpRequest(server.url + "stock")).status == 200
                assert made.context.outcome.warnings == []
    assert texts == {"erp": "r1'''"}
    assert form(server.requests[0]) == {"grant_type": "refresh_token", "refresh_token": "r1"}
    assert server.requests[1].headers["authorization"] == "Bearer of-a"


@pytest.mark.parametrize("secret", [Secret("r1"), Secret.reference("env:ERP", vault({}))])
def test_a_successor_that_nothing_keeps_is_used_and_warned_of(secret):
    clock = ManualClock()
    with ScriptedHttpServer(Tenants(r1="a")) as server, session(refresh(server.url, secret), clock) as made:
        for _ in range(3):
            made.send(HttpRequest(server.url + "stock"))
            clock.advance(15)
            made.auth.renew(made.auth.sign(HttpRequest(server.url), made), made)
        warnings = made.context.outcome.warnings
    assert [form(request)["refresh_token"] for request in server.requests if request.path == "/token"] == [
        "r1",
        "r1'",
        "r1''",
    ]
    assert len(warnings) == 3
    assert "could not be kept" in warnings[0] and "r1" not in warnings[0].replace("error", "")


def test_a_resolver_that_fails_to_store_loses_nothing_and_is_not_quoted():
    class Broken(CallableSecrets):
        def store(self, reference: str, text: str) -> None:
            raise OSError(f"no room for {text}")

    secret = Secret.reference("vault:erp", SecretResolvers(Broken("vault", lambda _: "r1")))
    with ScriptedHttpServer(Tenants(r1="a")) as server, session(refresh(server.url, secret)) as made:
        made.auth.renew(made.auth.sign(HttpRequest(server.url), made), made)
        made.auth.sign(HttpRequest(server.url), made)
    assert [form(request)["refresh_token"] for request in server.requests] == ["r1", "r1'"]
    assert "no room" not in str(made.context.outcome.warnings)


def test_a_successor_is_kept_even_if_the_rest_of_the_answer_is_of_no_use():
    texts = {"erp": "r1"}
    given = answer({"refresh_token": "r2", "expires_in": "soon", "access_token": "t"})
    auth = {"token": Secret.reference("vault:erp", vault(texts))}
    with ScriptedHttpServer(at(token=given)) as server, session(refresh(server.url, **auth)) as made:
        with pytest.raises(StructureInvalid):
            made.send(HttpRequest(server.url + "stock"))
    assert texts == {"erp": "r2"}


def test_a_newly_connected_account_takes_the_place_of_what_was_kept_in_memory():
    texts = {"erp": "r1"}
    secret = Secret.reference("plain:erp", SecretResolvers(CallableSecrets("plain", texts.get)))
    with ScriptedHttpServer(Tenants(r1="a", x1="a")) as server, session(refresh(server.url, secret)) as made:
        made.auth.renew(made.auth.sign(HttpRequest(server.url), made), made)
        texts["erp"] = "x1"
        made.auth.sign(HttpRequest(server.url), made)
    assert [form(request)["refresh_token"] for request in server.requests] == ["r1", "x1"]


def test_a_refresh_token_that_ended_waits_for_a_person():
    with ScriptedHttpServer(Tenants()) as server, session(refresh(server.url, Secret("gone"))) as made:
        with pytest.raises(AccessRefused, match="invalid_grant") as caught:
            made.send(HttpRequest(server.url + "stock"))
    assert "connected again" in caught.value.guidance
    assert len(server.requests) == 1


def test_a_public_client_sends_its_id_alone():
    with ScriptedHttpServer(Tenants(r1="a")) as server:
        with session(refresh(server.url, Secret("r1"), client_secret=None)) as made:
            made.send(HttpRequest(server.url + "stock"))
    assert form(server.requests[0]) == {"grant_type": "refresh_token", "refresh_token": "r1", "client_id": "id"}
    assert "authorization" not in server.requests[0].headers


def test_equal_declarations_do_not_share_a_token():
    with ScriptedHttpServer(Api()) as server:
        one, other = client(server.url), client(server.url)
        assert one == other
        with session(one) as made:
            made.send(HttpRequest(server.url + "stock"))
            assert one == other and one._cell is not other._cell
        for same in (other, attrs.evolve(one), copy.deepcopy(one)):
            with session(same) as made:
                made.send(HttpRequest(server.url + "stock"))
    assert [request.path for request in server.requests] == ["/token", "/stock"] * 4


def test_a_token_is_neither_shown_nor_stored_nor_pickled():
    resolvers = vault({"erp": "r1"})
    converter = document_converter(resolvers)
    with ScriptedHttpServer(at(token=answer({"access_token": "c4nary"}), stock=answer({}))) as server:
        stored = {"client_secret": Secret.reference("env:S", resolvers)}
        for auth in (
            client(server.url, **stored),
            refresh(server.url, Secret.reference("env:ERP", resolvers), **stored),
        ):
            with session(auth) as made:
                made.send(HttpRequest(server.url + "stock"))
            document = plain_document(auth, converter)
            assert "c4nary" not in f"{auth!r} {document} {auth._cell!r} {auth._cell._token!r}"
            assert converter.structure(document, type(auth)) == auth
            assert document["client_secret"] == "env:S"
            for unsafe in (auth, auth._cell):
                with pytest.raises(TypeError):
                    pickle.dumps(unsafe)
    with pytest.raises(NotPortable):
        plain_document(client("https://erp.example/"), converter)


@pytest.mark.parametrize(
    "options",
    [
        {"token_url": "http://erp.example/token"},
        {"token_url": "https://id:s3cret@erp.example/token"},
        {"client_auth": "header"},
        {"header": "X Token"},
        {"scheme": "Bear\ner"},
    ],
)
def test_what_cannot_be_used_is_refused_when_declared(options):
    declared = {
        "token_url": "https://erp.example/token",
        "client_id": "id",
        "client_secret": Secret("s3cret"),
        **options,
    }
    for make in (ClientCredentials, lambda **given: RefreshToken(refresh_token=Secret("r1"), **given)):
        with pytest.raises(ConfigurationError) as caught:
            make(**declared)
        assert "s3cret" not in str(caught.value)
