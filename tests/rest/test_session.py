"""A session sends requests at the declared pace, and again where that is right; on a clock that pauses move."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from attrs import define, evolve, field

from inventory_sources._http import Dialling, HttpClient, HttpLimits, HttpRequest, patience
from inventory_sources.errors import (
    AccessRefused,
    ConnectFailed,
    FetchError,
    FetchTimeout,
    InputTooLarge,
    RateLimited,
    ServerFailed,
    SourceMissing,
    SyncCancelled,
    Truncated,
)
from inventory_sources.rest import Budget, CostThrottle, Manners, RestSession
from inventory_sources.rest._pace import Pace
from inventory_sources.testing import ManualClock, fetch_context
from inventory_sources.testing.servers import Request, Response, ScriptedHttpServer

OK = Response(b"{}", headers={"Content-Type": "application/json"})


@define
class Bench:
    """A session, and what it waited."""

    session: RestSession
    clock: ManualClock
    pauses: list[float] = field(factory=list)

    @property
    def waited(self) -> float:
        return round(sum(self.pauses), 6)


@contextmanager
def bench(
    manners: Manners | None = None,
    *,
    spool: Path = Path("/nonexistent"),
    deadline: float = 900.0,
    draw: float = 1.0,
    cancelled: Callable[[], bool] = lambda: False,
    **limits: int,
) -> Iterator[Bench]:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    context = fetch_context(spool, clock=clock, timeout=10_000, cancelled=cancelled)
    found = HttpLimits(deadline=deadline, **limits)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        clock.advance(seconds)

    with HttpClient(found, patience(found, clock, context), Dialling(allow_private=("127.0.0.0/8",))) as client:
        session = RestSession(client, context, manners=manners or Manners())
        pace = Pace(session.manners, clock, client.left, pause, lambda: draw)
        yield Bench(evolve(session, pace=pace), clock, pauses)


def get(server: ScriptedHttpServer) -> HttpRequest:
    return HttpRequest(server.url)


# --- the rate -----------------------------------------------------------------------------------------------------


def test_requests_keep_their_distance() -> None:
    with ScriptedHttpServer([OK]) as server, bench(Manners(requests_per_second=4)) as made:
        at = []
        for _ in range(5):
            made.session.send(get(server))
            at.append(round(made.clock.monotonic(), 6))
    assert at == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_a_burst_may_go_at_once_and_is_earned_again_by_silence() -> None:
    with ScriptedHttpServer([OK]) as server, bench(Manners(requests_per_second=2, burst=3)) as made:
        at = []
        for number in range(9):
            if number == 5:
                made.clock.advance(60)
            made.session.send(get(server))
            at.append(round(made.clock.monotonic(), 6))
    assert at == [0.0, 0.0, 0.0, 0.5, 1.0, 61.0, 61.0, 61.0, 61.5]


def test_the_rate_holds_over_all_threads() -> None:
    manners = Manners(requests_per_second=10)
    clock = ManualClock()
    places = Pace(manners, clock, lambda: 900.0, lambda seconds: None)
    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(lambda _: places._reserved(), range(80)))
    assert sorted(round(wait, 6) for wait in waits) == [round(number / 10, 6) for number in range(80)]


def test_a_pause_looks_for_a_cancelled_sync_every_tenth_of_a_second() -> None:

    def cancelled() -> bool:
        return bool(made) and made[0].waited >= 0.3

    made: list[Bench] = []
    with ScriptedHttpServer([OK]) as server, bench(Manners(requests_per_second=0.01), cancelled=cancelled) as found:
        made.append(found)
        found.session.send(get(server))
        with pytest.raises(SyncCancelled):
            found.session.send(get(server))
    assert found.pauses == pytest.approx([0.1] * 3)


def test_a_rate_that_leaves_no_time_is_told_at_once() -> None:
    with ScriptedHttpServer([OK]) as server, bench(Manners(requests_per_second=0.01), deadline=50) as made:
        made.session.send(get(server))
        with pytest.raises(FetchTimeout, match="rate"):
            made.session.send(get(server))
    assert made.waited == 0


def test_without_a_pause_of_its_own_a_session_really_waits() -> None:
    # On the machine's clock, and without a look at it: the second answer is there, so the pause has an end.
    context = fetch_context(Path("/nonexistent"))
    limits = HttpLimits(deadline=10)
    dialling = Dialling(allow_private=("127.0.0.0/8",))
    with ScriptedHttpServer([Response(status=503), OK]) as server:
        with HttpClient(limits, patience(limits, context.clock, context), dialling) as client:
            RestSession(client, context, manners=Manners(requests_per_second=50, backoff=0.01)).send(get(server))
    assert len(server.requests) == 2


# --- what is sent again -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int) -> None:
    with ScriptedHttpServer([Response(status=status), Response(status=status), OK]) as server, bench() as made:
        assert made.session.send(get(server)).body == b"{}"
    assert made.waited == 1 + 2


def test_a_connection_that_fails_before_an_answer_or_in_it_is_tried_again() -> None:
    for fault, expected in ((Response(raw=b""), ConnectFailed), (Response(b"{}", cut_after=1), Truncated)):
        with ScriptedHttpServer([fault, OK]) as server, bench() as made:
            assert made.session.send(get(server)).body == b"{}"
        with ScriptedHttpServer([fault]) as server, bench() as made, pytest.raises(expected):
            made.session.send(get(server))
        assert len(server.requests) == 3


def test_the_pause_is_drawn_between_nothing_and_the_longest() -> None:
    for draw, waited in ((0.0, 0.0), (0.5, 1.5 + 3 + 5), (1.0, 3 + 6 + 10)):
        answers = [*[Response(status=503)] * 3, OK]
        manners = Manners(tries=4, backoff=3, max_pause=10)
        with ScriptedHttpServer(answers) as server, bench(manners, draw=draw) as made:
            made.session.send(get(server))
        assert made.waited == waited


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (302, FetchError),
        (400, FetchError),
        (401, AccessRefused),
        (403, AccessRefused),
        (404, SourceMissing),
        (409, FetchError),
        (422, FetchError),
        (501, ServerFailed),
    ],
)
def test_other_statuses_are_told_at_once(status: int, expected: type[FetchError]) -> None:
    with ScriptedHttpServer([Response(status=status)]) as server, bench() as made, pytest.raises(expected) as caught:
        made.session.send(get(server))
    assert len(server.requests) == 1
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("headers", "told"),
    [({"x-Retry-after": "90"}, 90), ({"Retry-After": "70", "X-Retry-After": "90"}, 90), ({"Retry-After": "70"}, 70)],
)
def test_a_wait_may_be_told_in_a_header_of_the_servers_own(headers: dict[str, str], told: int) -> None:
    slow = Response(status=429, headers=headers)
    manners = Manners(retry_after="X-Retry-After")
    with ScriptedHttpServer([slow]) as server, bench(manners) as made, pytest.raises(RateLimited) as caught:
        made.session.send(get(server))
    assert caught.value.retry_after == timedelta(seconds=told)


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize("fault", [Response(status=500), Response(status=503), Response(status=429), Response(raw=b"")])
def test_a_post_is_tried_again_only_where_it_is_declared_repeatable(fault: Response, repeatable: bool) -> None:
    with ScriptedHttpServer([fault, OK]) as server, bench() as made:
        request = HttpRequest(server.url, method="POST", content=b"{}", repeatable=repeatable)
        if repeatable:
            made.session.send(request)
        else:
            with pytest.raises(FetchError):
                made.session.send(request)
    assert len(server.requests) == 1 + repeatable


def test_the_tries_are_counted_and_may_be_one() -> None:
    for tries in (1, 2, 5):
        with ScriptedHttpServer([Response(status=502)]) as server, bench(Manners(tries=tries)) as made:
            with pytest.raises(ServerFailed):
                made.session.send(get(server))
        assert len(server.requests) == tries


def test_no_pause_goes_past_the_deadline() -> None:
    with ScriptedHttpServer([Response(status=503)]) as server, bench(Manners(backoff=20), deadline=30) as made:
        with pytest.raises(ServerFailed):
            made.session.send(get(server))
    assert len(server.requests) == 2
    assert made.waited == 20


# --- Retry-After --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("told", ["20", "Thu, 01 Jan 2026 00:00:20 GMT"])
def test_a_short_retry_after_is_waited_for(status: int, told: str) -> None:
    answers = [Response(status=status, headers={"Retry-After": told}), OK]
    with ScriptedHttpServer(answers) as server, bench() as made:
        made.session.send(get(server))
    assert made.waited == 20


@pytest.mark.parametrize(("told", "deadline"), [("31", 900), ("20", 20), ("86400", 900)])
def test_a_long_one_ends_the_sync_which_comes_back_then(told: str, deadline: float) -> None:
    answer = Response(status=429, headers={"Retry-After": told})
    with ScriptedHttpServer([answer]) as server, bench(deadline=deadline) as made:
        with pytest.raises(RateLimited) as caught:
            made.session.send(get(server))
    assert caught.value.retry_after == timedelta(seconds=int(told))
    assert (len(server.requests), made.waited) == (1, 0)


def test_all_threads_wait_while_a_server_wants_it() -> None:
    answers = [Response(status=429, headers={"Retry-After": "5"}), OK]
    with ScriptedHttpServer(answers) as server, bench(Manners(tries=1)) as made:
        with pytest.raises(RateLimited):
            made.session.send(get(server))
        made.session.pace.hold(5)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(made.session.send, get(server)).result()
    assert made.waited == 5


# --- budgets ------------------------------------------------------------------------------------------------------


def test_a_budget_in_the_headers_is_waited_for_before_the_next_request() -> None:
    told = iter(["38/40", "40/40", "1/40"])
    budget = Budget(remaining="X-Shopify-Shop-Api-Call-Limit", per_second=2)

    def script(request: Request) -> Response:
        return evolve(OK, headers={"X-Shopify-Shop-Api-Call-Limit": next(told)})

    with ScriptedHttpServer(script) as server, bench(Manners(budget=budget)) as made:
        waited = []
        for _ in range(3):
            made.session.send(get(server))
            waited.append(made.waited)
    assert waited == [0, 0, 0.5]


def test_a_budget_that_is_used_up_for_long_ends_the_sync() -> None:
    used = evolve(OK, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "3600"})
    budget = Budget(remaining="X-RateLimit-Remaining", reset="X-RateLimit-Reset")
    with ScriptedHttpServer([used]) as server, bench(Manners(budget=budget)) as made:
        made.session.send(get(server))
        with pytest.raises(RateLimited) as caught:
            made.session.send(get(server))
    assert caught.value.retry_after == timedelta(hours=1)
    assert len(server.requests) == 1


def points(wanted: int, left: int, *, throttled: bool = False) -> Response:
    status = {"currentlyAvailable": left, "restoreRate": 50}
    document: dict[str, object] = {
        "data": None if throttled else {"ok": 1},
        "extensions": {"cost": {"requestedQueryCost": wanted, "throttleStatus": status}},
    }
    if throttled:
        document["errors"] = [{"extensions": {"code": "THROTTLED"}}]
    return Response(json.dumps(document).encode(), headers={"Content-Type": "application/json"})


def query(server: ScriptedHttpServer) -> HttpRequest:
    return HttpRequest(server.url, method="POST", content=b"{}", repeatable=True)


def test_a_throttled_query_is_sent_again_once_there_are_points() -> None:
    answers = [points(500, 100, throttled=True), points(500, 550), points(500, 400)]
    with ScriptedHttpServer(answers) as server, bench(Manners(cost=CostThrottle()), draw=0) as made:
        assert made.session.json(query(server))["data"] == {"ok": "1"}
        assert made.waited == 8
        made.session.json(query(server))
        assert made.waited == 8
        made.session.json(query(server))  # the one before left too few for another of its cost
        assert made.waited == 10


def test_a_query_that_stays_throttled_is_rate_limited() -> None:
    with ScriptedHttpServer([points(500, 100, throttled=True)]) as server:
        with bench(Manners(cost=CostThrottle())) as made, pytest.raises(RateLimited) as caught:
            made.session.send(query(server))
    assert caught.value.retry_after == timedelta(seconds=8)
    assert len(server.requests) == 3


# --- downloads, caps, conditions ----------------------------------------------------------------------------------


def test_a_download_is_spooled_and_tried_again(tmp_path: Path) -> None:
    answers = [Response(b"a,1\n", cut_after=2), Response(b"a,1\n", headers={"ETag": '"7"'})]
    with ScriptedHttpServer(answers) as server, bench(spool=tmp_path) as made:
        answer, payload = made.session.download(get(server))
    with payload.open() as stream:
        assert stream.read() == b"a,1\n"
    assert (answer.body, answer.headers["etag"]) == (b"", '"7"')
    assert list(tmp_path.iterdir()) == [payload.body]


def test_an_answer_in_memory_has_a_cap_of_its_own(tmp_path: Path) -> None:
    body = Response(gzip.compress(bytes(range(256)) * 40), headers={"Content-Encoding": "gzip"})
    with ScriptedHttpServer([body]) as server, bench(spool=tmp_path, max_answer_bytes=10_000) as made:
        with pytest.raises(InputTooLarge, match="10000"):
            made.session.send(get(server))
        assert made.session.download(get(server))[1].size == 10_240


def test_the_cap_on_what_is_decoded_is_over_all_answers() -> None:
    with ScriptedHttpServer([Response(bytes(1000))]) as server, bench(max_decoded_bytes=3500) as made:
        for _ in range(3):
            made.session.send(get(server))
        with pytest.raises(InputTooLarge, match="3500"):
            made.session.send(get(server))


def test_not_modified_is_an_answer_only_to_those_who_expect_it() -> None:
    with ScriptedHttpServer([Response(status=304)]) as server, bench() as made:
        with pytest.raises(FetchError, match="304") as caught:
            made.session.send(get(server))
        assert caught.value.status == 304
        assert made.session.send(get(server), also=frozenset({304})).status == 304


def test_a_connection_is_kept_after_a_refusal_and_between_tries() -> None:
    answers = [Response(b"busy", 503), Response(b"busy", 429), OK]
    with ScriptedHttpServer(answers, keep_alive=True) as server, bench() as made:
        made.session.send(get(server))
    assert [request.connection for request in server.requests] == [1, 1, 1]


# --- auth ---------------------------------------------------------------------------------------------------------


class Numbered:
    """Signs each request with a number that is used once; a refusal makes it go on to the next hundred."""

    def __init__(self) -> None:
        self.number = 0
        self.lock = threading.Lock()

    @property
    def sends_secrets(self) -> bool:
        return False

    def sign(self, request: HttpRequest, session: RestSession) -> HttpRequest:
        with self.lock:
            self.number += 1
            return evolve(request, headers={**request.headers, "X-Nonce": str(self.number)})

    def renew(self, refused: HttpRequest, session: RestSession) -> bool:
        self.number = 100
        return True


def nonces(*answers: Response, expected: type[FetchError] | None = None) -> list[str]:
    with ScriptedHttpServer(answers) as server, bench() as made:
        session = evolve(made.session, auth=Numbered())
        if expected:
            with pytest.raises(expected):
                session.send(get(server))
        else:
            session.send(get(server))
    return [request.headers["x-nonce"] for request in server.requests]


def test_each_try_is_signed_anew() -> None:
    assert nonces(Response(status=503), Response(status=503), OK) == ["1", "2", "3"]


def test_a_signature_is_renewed_once() -> None:
    assert nonces(Response(status=401), OK) == ["1", "101"]
    assert nonces(Response(status=503), Response(status=401), Response(status=503), OK, expected=ServerFailed) == [
        "1",
        "2",
        "101",
    ]
    assert nonces(Response(status=401), expected=AccessRefused) == ["1", "101"]
