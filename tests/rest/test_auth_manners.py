"""Requests for tokens keep the manners of the fetch that needs them, on a clock that pauses move."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from attrs import evolve

from inventory_sources._http import Dialling, HttpClient, HttpLimits, HttpRequest, patience
from inventory_sources.errors import AccessRefused, FetchTimeout, RateLimited, ServerFailed, SyncCancelled
from inventory_sources.rest import Auth, Budget, ClientCredentials, LoginToken, Manners, RefreshToken, RestSession
from inventory_sources.rest._pace import Pace
from inventory_sources.secrets import Secret
from inventory_sources.testing import ManualClock, fetch_context
from inventory_sources.testing.servers import Request, Response, ScriptedHttpServer

from .sessions import answer, at

AUTHS: dict[str, Callable[[str], Auth]] = {
    "client credentials": lambda url: ClientCredentials(
        token_url=url + "token", client_id="id", client_secret=Secret("s"), allow_plaintext=True
    ),
    "refresh token": lambda url: RefreshToken(
        token_url=url + "token", client_id="id", refresh_token=Secret("r"), allow_plaintext=True
    ),
    "login": lambda url: LoginToken(
        url=url + "token", secrets={"password": Secret("s")}, token="access_token", allow_plaintext=True
    ),
}
TOKEN = answer({"access_token": "t", "expires_in": 3600})
BUSY = Response(b"", 503)


@contextmanager
def sending(
    auth: Auth,
    manners: Manners,
    *,
    deadline: float = 900.0,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[RestSession, ManualClock]]:
    clock = ManualClock()
    context = fetch_context(Path("/nonexistent"), clock=clock, timeout=10_000, cancelled=cancelled)
    limits = HttpLimits(deadline=deadline)
    with HttpClient(limits, patience(limits, clock, context), Dialling(allow_private=("127.0.0.0/8",))) as client:
        session = RestSession(client, context, auth, manners)
        pace = Pace(manners, clock, client.left, clock.advance, lambda: 1.0)
        yield evolve(session, pace=pace), clock


class Scripted:
    """A token endpoint that gives one answer after the other, and a list that wants its token."""

    def __init__(self, clock: list[ManualClock], *answers: Response) -> None:
        self.clock, self.answers = clock, iter(answers)
        self.times: list[tuple[str, float]] = []

    def __call__(self, request: Request) -> Response:
        name = request.path.lstrip("/")
        self.times.append((name, round(self.clock[0].monotonic(), 3)))
        return at(token=lambda _: next(self.answers), stock=lambda _: answer({}))(request)

    def since_first(self) -> list[tuple[str, float]]:
        return [(name, round(time - self.times[0][1], 3)) for name, time in self.times]


def run(name: str, manners: Manners, *answers: Response, **options: object) -> list[tuple[str, float]]:
    """What is asked for, and when, for one request."""
    clocks: list[ManualClock] = []
    script = Scripted(clocks, *answers)
    with ScriptedHttpServer(script) as server, sending(AUTHS[name](server.url), manners, **options) as (made, clock):
        clocks.append(clock)
        assert made.send(HttpRequest(server.url + "stock")).status == 200
    return script.since_first()


@pytest.mark.parametrize("name", AUTHS)
def test_a_token_endpoint_that_says_when_to_come_back_is_asked_again_then(name: str) -> None:
    limited = Response(b"", 429, {"Retry-After": "7"})
    assert run(name, Manners(), limited, TOKEN) == [("token", 0), ("token", 7), ("stock", 7)]


@pytest.mark.parametrize("name", AUTHS)
@pytest.mark.parametrize("status", [408, 502, 503, 504])
def test_what_may_pass_is_asked_again_after_a_pause(name: str, status: int) -> None:
    fault = answer({"error": "temporarily_unavailable"}, status)
    assert run(name, Manners(backoff=2.0), fault, TOKEN) == [("token", 0), ("token", 2), ("stock", 2)]


def test_a_wait_in_a_header_of_the_servers_own_is_kept() -> None:
    limited = Response(b"", 429, {"X-Wait": "5"})
    assert run("login", Manners(retry_after="X-Wait"), limited, TOKEN)[1] == ("token", 5)


def test_a_connection_that_fails_is_tried_again() -> None:
    cut = Response(b'{"access_token": "t"}', cut_after=5)
    assert [name for name, _ in run("refresh token", Manners(), cut, TOKEN)] == ["token", "token", "stock"]


def test_requests_for_tokens_take_their_place_in_the_rate() -> None:
    assert run("client credentials", Manners(requests_per_second=0.5), TOKEN) == [("token", 0), ("stock", 2)]


def test_a_budget_that_a_token_endpoint_tells_is_kept() -> None:
    told = answer({"access_token": "t"}, X_Left="0", X_Reset="4")
    budget = Budget(remaining="X-Left", reset="X-Reset")
    assert run("login", Manners(budget=budget), told) == [("token", 0), ("stock", 4)]


@pytest.mark.parametrize("name", AUTHS)
def test_a_long_wait_ends_the_fetch_which_comes_back_then(name: str) -> None:
    script = Response(b"", 429, {"Retry-After": "3600"})
    with ScriptedHttpServer(lambda _: script) as server:
        with sending(AUTHS[name](server.url), Manners()) as (made, _), pytest.raises(RateLimited) as caught:
            made.send(HttpRequest(server.url + "stock"))
        assert caught.value.retry_after == timedelta(hours=1)
        assert len(server.requests) == 1


@pytest.mark.parametrize("name", AUTHS)
def test_the_tries_are_counted_and_wrong_credentials_are_sent_once(name: str) -> None:
    for given, error, count in ((BUSY, ServerFailed, 3), (answer({"error": "x"}, 401), AccessRefused, 1)):
        with ScriptedHttpServer(lambda _, given=given: given) as server:
            with sending(AUTHS[name](server.url), Manners()) as (made, _), pytest.raises(error):
                made.send(HttpRequest(server.url + "stock"))
            assert len(server.requests) == count


def test_the_deadline_is_over_the_tries_for_a_token_too() -> None:
    manners = Manners(tries=100, backoff=20.0)
    with ScriptedHttpServer(lambda _: BUSY) as server:
        with sending(AUTHS["login"](server.url), manners, deadline=70) as (made, clock):
            began = clock.monotonic()
            with pytest.raises(ServerFailed):
                made.send(HttpRequest(server.url + "stock"))
            assert clock.monotonic() - began <= 70
    # After 0, 20 and 50 seconds; the next pause would go past the deadline.
    assert len(server.requests) == 3


def test_a_rate_that_leaves_no_time_for_the_token_is_told() -> None:
    manners = Manners(requests_per_second=0.01)
    with (
        ScriptedHttpServer(lambda _: TOKEN) as server,
        sending(AUTHS["login"](server.url), manners, deadline=50) as (
            made,
            _,
        ),
    ):
        with pytest.raises(FetchTimeout):
            made.send(HttpRequest(server.url + "stock"))
    assert len(server.requests) == 1


def test_a_pause_before_another_try_for_a_token_ends_when_the_sync_is_cancelled() -> None:
    stop = threading.Event()

    def busy(request: Request) -> Response:
        stop.set()
        return Response(b"", 429, {"Retry-After": "20"})

    with ScriptedHttpServer(busy) as server:
        with sending(AUTHS["login"](server.url), Manners(), cancelled=stop.is_set) as (made, clock):
            began = clock.monotonic()
            with pytest.raises(SyncCancelled):
                made.send(HttpRequest(server.url + "stock"))
            assert clock.monotonic() == began
    assert len(server.requests) == 1


@pytest.mark.parametrize("name", AUTHS)
def test_threads_wait_together_for_a_token_that_takes_two_tries(name: str) -> None:
    clocks: list[ManualClock] = []
    script = Scripted(clocks, Response(b"", 429, {"Retry-After": "3"}), TOKEN)
    start = threading.Barrier(8)
    with ScriptedHttpServer(script) as server, sending(AUTHS[name](server.url), Manners()) as (made, clock):
        clocks.append(clock)

        def send(_: int) -> int:
            start.wait()
            return made.send(HttpRequest(server.url + "stock")).status

        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(send, range(8))) == [200] * 8
    assert script.since_first() == [("token", 0), ("token", 3), *[("stock", 3)] * 8]


def test_what_is_signed_is_signed_anew_after_a_wait() -> None:
    class Stamped:
        sends_secrets = False

        def sign(self, request: HttpRequest, session: RestSession) -> HttpRequest:
            return evolve(request, headers={"X-Time": str(round(session.context.clock.monotonic()))})

        def renew(self, refused: HttpRequest, session: RestSession) -> bool:
            return False

    with ScriptedHttpServer(lambda _: answer({})) as server:
        with sending(Stamped(), Manners(requests_per_second=0.1)) as (made, _):
            for _ in range(3):
                made.send(HttpRequest(server.url))
    times = [int(request.headers["x-time"]) for request in server.requests]
    assert [time - times[0] for time in times] == [0, 10, 20]
