"""HttpConnector against a real server that answers well and badly."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from attrs import frozen

from inventory_sources.connectors import HttpConnector, HttpRequest, HttpResponse
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
    ServerFailed,
    SourceMissing,
    SyncCancelled,
    Truncated,
)
from inventory_sources.payload import Evidence, Payload, Proof
from inventory_sources.protocols.connector import CheckableConnector, FetchContext, Fetched
from inventory_sources.secrets import Secret
from inventory_sources.testing.clock import ManualClock
from inventory_sources.testing.servers import Drip, Framing, Request, Response, ScriptedHttpServer

MakeContext = Callable[..., FetchContext]
STOCK = b"sku,quantity\nA-1,5\nA-2,0\n"
LOOPBACK = ("127.0.0.0/8",)


def connector(server: ScriptedHttpServer, path: str = "stock.csv", **options: object) -> HttpConnector:
    return HttpConnector(server.url + path, allow_private=LOOPBACK, **options)


def fetched(source: HttpConnector, context: FetchContext) -> Payload:
    (payload,) = source.fetch(context)
    assert isinstance(payload, Payload)
    return payload


def text(payload: Payload) -> bytes:
    with payload.open() as stream:
        return stream.read()


def left_behind(context: FetchContext) -> list[Path]:
    return list(context.spool.iterdir())


def failing(response: Response, context: FetchContext, expected: type[FetchError], **options: object) -> FetchError:
    """The error for a response; it must leave nothing in the spool."""
    with ScriptedHttpServer([response]) as server, pytest.raises(expected) as caught:
        fetched(connector(server, **options), context)
    assert type(caught.value) is expected
    assert left_behind(context) == []
    return caught.value


# --- the answer ---------------------------------------------------------------------------------------------------


def test_the_answer_arrives_whole_with_its_origin_size_and_digest(context: FetchContext) -> None:
    with ScriptedHttpServer([Response(STOCK, headers={"Content-Type": "text/csv"})]) as server:
        payload = fetched(connector(server, "feeds/stock.csv?shop=7"), context)
        assert payload.origin == f"{server.url}feeds/stock.csv"
        assert server.requests[0].path == "/feeds/stock.csv?shop=7"
    assert text(payload) == STOCK
    assert (payload.size, payload.sha256) == (len(STOCK), hashlib.sha256(STOCK).hexdigest())
    assert payload.media_type == "text/csv"
    assert payload.as_of is None
    assert isinstance(payload.body, Path)
    assert payload.body.parent == context.spool
    assert payload.body.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("framing", "proofs"),
    [(Framing.LENGTH, {Proof.LENGTH}), (Framing.CHUNKED, {Proof.CHUNKED_END}), (Framing.CLOSE, set())],
)
def test_the_framing_says_what_is_proven(framing: Framing, proofs: set[Proof], context: FetchContext) -> None:
    with ScriptedHttpServer([Response(STOCK, framing=framing)]) as server:
        payload = fetched(connector(server), context)
    assert text(payload) == STOCK
    assert payload.evidence == Evidence(frozenset(proofs))


@pytest.mark.parametrize("status", [200, 204])
def test_an_empty_answer_is_an_empty_payload(status: int, context: FetchContext) -> None:
    with ScriptedHttpServer([Response(b"", status)]) as server:
        assert text(fetched(connector(server), context)) == b""


def test_token_and_headers_are_sent(context: FetchContext) -> None:
    with ScriptedHttpServer([Response(STOCK)]) as server:
        source = connector(
            server,
            "stock?shop=7",
            token=Secret("t0ken"),
            headers={"Accept": "text/csv"},
            secret_headers={"X-Api-Key": Secret("k3y")},
            secret_query={"sig": Secret("a b&c")},
            allow_plaintext=True,
        )
        fetched(source, context)
        request = server.requests[0]
    assert request.method == "GET"
    assert request.path == "/stock?shop=7&sig=a+b%26c"
    assert request.headers["authorization"] == "Bearer t0ken"
    assert request.headers["x-api-key"] == "k3y"
    assert request.headers["accept"] == "text/csv"
    assert request.headers["host"] == f"127.0.0.1:{server.port}"


def test_progress_counts_bytes(make_context: MakeContext) -> None:
    seen: list[tuple[str, str, int]] = []
    context = make_context(progress=lambda *call: seen.append(call))
    with ScriptedHttpServer([Response(STOCK)]) as server:
        fetched(connector(server), context)
    assert seen[-1] == ("fetch", "bytes", len(STOCK))


@pytest.mark.parametrize("as_of", ["last-modified", "date"])
def test_the_declared_header_gives_the_time_of_the_stock(as_of: str, context: FetchContext) -> None:
    answer = Response(STOCK, headers={as_of.title(): "Mon, 05 Jan 2026 07:30:00 GMT"})
    with ScriptedHttpServer([answer]) as server:
        payload = fetched(connector(server, as_of=as_of), context)
    assert payload.as_of == datetime(2026, 1, 5, 7, 30, tzinfo=UTC)


@pytest.mark.parametrize("headers", [{}, {"Last-Modified": "yesterday"}])
def test_a_declared_time_that_is_not_there_is_refused(headers: dict[str, str], context: FetchContext) -> None:
    error = failing(Response(STOCK, headers=headers), context, FetchError, as_of="last-modified")
    assert "last-modified" in str(error)
    assert error.recovery is Recovery.STOP


# --- compression --------------------------------------------------------------------------------------------------


def raw_deflate(data: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-15)
    return engine.compress(data) + engine.flush()


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(STOCK)),
        ("x-gzip", gzip.compress(STOCK)),
        ("gzip", gzip.compress(STOCK[:9]) + gzip.compress(STOCK[9:])),
        ("deflate", zlib.compress(STOCK)),
        ("deflate", raw_deflate(STOCK)),
        ("identity", STOCK),
    ],
)
@pytest.mark.parametrize("framing", [Framing.LENGTH, Framing.CHUNKED])
def test_compressed_answers_are_decoded(coding: str, body: bytes, framing: Framing, context: FetchContext) -> None:
    answer = Response(body, headers={"Content-Encoding": coding}, framing=framing)
    with ScriptedHttpServer([answer]) as server:
        payload = fetched(connector(server), context)
        assert server.requests[0].headers["accept-encoding"] == "gzip, deflate"
    assert text(payload) == STOCK
    assert payload.size == len(STOCK)
    assert payload.evidence.proves_end


def test_large_compressed_answers_are_decoded_in_pieces(context: FetchContext) -> None:
    body = b"".join(b"SKU-%d,%d\n" % (number, number * 7919 % 101) for number in range(50_000))
    answer = Response(gzip.compress(body), headers={"Content-Encoding": "gzip"})
    with ScriptedHttpServer([answer]) as server:
        assert fetched(connector(server), context).sha256 == hashlib.sha256(body).hexdigest()


def test_the_last_bytes_of_a_run_of_equal_ones_are_not_lost(context: FetchContext) -> None:
    # All input is taken in while some bytes are still to come out.
    body = bytes(64 * 1024 + 3)
    engine = zlib.compressobj(9, wbits=-15)
    answer = Response(engine.compress(body) + engine.flush(), headers={"Content-Encoding": "deflate"})
    with ScriptedHttpServer([answer]) as server:
        assert fetched(connector(server), context).sha256 == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_compressed_answer_cut_at_any_byte_is_truncated(coding: str, context: FetchContext) -> None:
    whole = gzip.compress(STOCK) if coding == "gzip" else zlib.compress(STOCK)
    cuts = iter(range(1, len(whole)))
    with ScriptedHttpServer(
        lambda request: Response(whole[: next(cuts)], headers={"Content-Encoding": coding})
    ) as server:
        for _ in range(1, len(whole)):
            with pytest.raises(Truncated):
                fetched(connector(server), context)
    assert left_behind(context) == []


@pytest.mark.parametrize("body", [STOCK, gzip.compress(STOCK)[:-8] + bytes(8), gzip.compress(STOCK) + b"more"])
def test_damaged_compression_is_an_error(body: bytes, context: FetchContext) -> None:
    failing(Response(body, headers={"Content-Encoding": "gzip"}), context, FetchError)


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, gzip"])
def test_a_coding_that_was_not_asked_for_is_refused(coding: str, context: FetchContext) -> None:
    error = failing(Response(STOCK, headers={"Content-Encoding": coding}), context, FetchError)
    assert error.recovery is Recovery.STOP


def test_a_bomb_stops_at_the_ratio(context: FetchContext) -> None:
    bomb = gzip.compress(bytes(64 * 1024**2), compresslevel=9)
    seen: list[int] = []
    context.progress = lambda stage, unit, done: seen.append(done)
    failing(Response(bomb, headers={"Content-Encoding": "gzip"}), context, InputTooLarge, max_ratio=100)
    assert seen[-1] <= len(bomb) * 100


def test_a_bomb_stops_at_the_decoded_size(context: FetchContext) -> None:
    bomb = gzip.compress(bytes(8 * 1024**2))
    answer = Response(bomb, headers={"Content-Encoding": "gzip"})
    seen: list[int] = []
    context.progress = lambda stage, unit, done: seen.append(done)
    failing(answer, context, InputTooLarge, max_decoded_bytes=500_000, max_ratio=1e9)
    assert max(seen) <= 500_000


# --- cut, slow, endless -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "response",
    [
        Response(STOCK, cut_after=len(STOCK) - 1),
        Response(STOCK, content_length=len(STOCK) + 1),
        Response(STOCK, framing=Framing.CHUNKED, cut_after=10),
        # All of the data, but not the last chunk that says so.
        Response(STOCK, framing=Framing.CHUNKED, cut_after=len(b"19\r\n") + len(STOCK) + 2),
    ],
)
def test_a_body_cut_short_is_truncated(response: Response, context: FetchContext) -> None:
    failing(response, context, Truncated)


def test_a_server_that_leaves_without_an_answer_is_a_failed_connection(context: FetchContext) -> None:
    def leave(request: Request) -> Response:
        raise OSError

    with ScriptedHttpServer(leave) as server, pytest.raises(ConnectFailed):
        fetched(connector(server), context)


def test_an_answer_that_is_not_http_is_a_failed_server(context: FetchContext) -> None:
    failing(Response(STOCK, headers={"Bad Header": "x"}), context, ServerFailed)
    failing(Response(STOCK, headers={"Transfer-Encoding": "gzip, chunked"}), context, ServerFailed)


@pytest.mark.parametrize("framing", list(Framing))
def test_an_endless_body_stops_at_the_cap(framing: Framing, context: FetchContext) -> None:
    answer = Response(bytes(10_000), framing=framing, endless=True, content_length=10**9)
    error = failing(answer, context, InputTooLarge, max_bytes=100_000)
    assert "more than 100000" in str(error)


def test_a_declared_length_over_the_cap_is_refused_before_the_body(context: FetchContext) -> None:
    seen: list[int] = []
    context.progress = lambda stage, unit, done: seen.append(done)
    failing(Response(bytes(1000), content_length=10**12), context, InputTooLarge)
    assert seen == []


@pytest.mark.parametrize("head", [True, False])
def test_a_dripping_answer_ends_at_the_deadline(head: bool, context: FetchContext) -> None:
    answer = Response(STOCK, drip=Drip(size=1, interval=0.05, head=head), framing=Framing.CLOSE, endless=True)
    error = failing(answer, context, FetchTimeout, deadline=0.3, timeout=5)
    assert "0.3 s" in str(error)


def test_a_silent_server_ends_at_the_timeout(context: FetchContext) -> None:
    # It would go on after two seconds: whoever waits longer than told gets the whole answer.
    error = failing(Response(STOCK, drip=Drip(size=20, interval=2)), context, FetchTimeout, timeout=0.2)
    assert "0.2 s" in str(error)


def test_the_syncs_own_deadline_counts(make_context: MakeContext) -> None:
    base = make_context()
    context = make_context(deadline=base.clock.monotonic() + 0.3)
    answer = Response(STOCK, drip=Drip(interval=0.05), framing=Framing.CLOSE, endless=True)
    assert "deadline" in str(failing(answer, context, FetchTimeout))


def test_a_cancelled_sync_stops_in_the_middle(make_context: MakeContext) -> None:
    seen: list[int] = []
    context = make_context(cancelled=lambda: len(seen) >= 3, progress=lambda stage, unit, done: seen.append(done))
    answer = Response(bytes(70_000), framing=Framing.CHUNKED, endless=True)
    with ScriptedHttpServer([answer]) as server, pytest.raises(SyncCancelled):
        fetched(connector(server), context)
    assert len(seen) == 3
    assert left_behind(context) == []


def test_a_cancelled_sync_does_not_wait_for_dripping_headers(make_context: MakeContext) -> None:
    asked: list[None] = []

    def cancelled() -> bool:
        asked.append(None)
        return len(asked) > 5

    answer = Response(STOCK, drip=Drip(size=1, interval=0.05, head=True))
    failing(answer, make_context(cancelled=cancelled), SyncCancelled, deadline=2)


# --- statuses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "expected", "recovery"),
    [
        (202, FetchError, Recovery.RETRY),
        (206, FetchError, Recovery.STOP),
        (304, FetchError, Recovery.STOP),
        (400, FetchError, Recovery.STOP),
        (401, AccessRefused, Recovery.BLOCK),
        (403, AccessRefused, Recovery.BLOCK),
        (404, SourceMissing, Recovery.RETRY),
        (405, FetchError, Recovery.STOP),
        (407, AccessRefused, Recovery.BLOCK),
        (408, FetchTimeout, Recovery.RETRY),
        (410, SourceMissing, Recovery.RETRY),
        (429, RateLimited, Recovery.WAIT),
        (500, ServerFailed, Recovery.RETRY),
        (502, ServerFailed, Recovery.RETRY),
        (503, ServerFailed, Recovery.RETRY),
        (599, ServerFailed, Recovery.RETRY),
    ],
)
def test_each_status_steers_the_retries(
    status: int, expected: type[FetchError], recovery: Recovery, context: FetchContext
) -> None:
    error = failing(Response(STOCK, status), context, expected)
    assert error.recovery is recovery
    assert str(status) in str(error)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("120", timedelta(seconds=120)),
        ("0", timedelta(0)),
        ("-5", timedelta(0)),
        ("9" * 5000, timedelta(days=1)),
        ("Thu, 01 Jan 2026 00:10:00 GMT", timedelta(minutes=10)),
        ("Wed, 31 Dec 2025 23:00:00 GMT", timedelta(0)),
        ("Fri, 01 Jan 2027 00:00:00 GMT", timedelta(days=1)),
        ("Thu, 01 Jan 2026 00:10:00 -0000", timedelta(minutes=10)),
    ],
)
def test_retry_after_says_how_long_to_wait(
    status: int, header: str, wait: timedelta, make_context: MakeContext
) -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    context = make_context(clock=clock, deadline=clock.monotonic() + 30)
    error = failing(Response(b"", status, {"Retry-After": header}), context, RateLimited)
    assert isinstance(error, RateLimited)
    assert error.retry_after == wait


def test_a_retry_after_that_cannot_be_read_leaves_the_wait_open(context: FetchContext) -> None:
    error = failing(Response(b"", 429, {"Retry-After": "soon"}), context, RateLimited)
    assert isinstance(error, RateLimited)
    assert error.retry_after is None
    failing(Response(b"", 503, {"Retry-After": "soon"}), context, ServerFailed)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed_and_say_where_they_lead(status: int, context: FetchContext) -> None:
    answer = Response(b"", status, {"Location": "https://login.example.com/in?key=s3cret"})
    with ScriptedHttpServer([answer]) as server, pytest.raises(FetchError) as caught:
        fetched(connector(server), context)
    assert "https://login.example.com" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert caught.value.recovery is Recovery.STOP
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "location", ["/other?key=s3cret", "//u:s3cret@h/", "javascript:s3cret", "https://u:s3cret@h/", ""]
)
def test_odd_redirect_targets_are_not_shown(location: str, context: FetchContext) -> None:
    assert "s3cret" not in str(failing(Response(b"", 302, {"Location": location}), context, FetchError))


# --- whom it talks to ---------------------------------------------------------------------------------------------


def test_a_private_address_is_denied_unless_an_operator_allows_it(context: FetchContext) -> None:
    with ScriptedHttpServer([Response(STOCK)]) as server:
        with pytest.raises(AddressDenied) as caught:
            fetched(HttpConnector(server.url), context)
        assert server.requests == ()
    assert caught.value.recovery is Recovery.BLOCK


@frozen(kw_only=True)
class Resolving(HttpConnector):
    """A connector whose names resolve as a test says."""

    addresses: tuple[str, ...] = ("127.0.0.1",)

    def resolve(self, host: str, port: int) -> Iterable[str]:
        return self.addresses


def test_a_name_that_resolves_to_a_private_address_is_denied(context: FetchContext) -> None:
    with ScriptedHttpServer([Response(STOCK)]) as server:
        url = f"http://erp.example:{server.port}/"
        for addresses in (("127.0.0.1",), ("8.8.8.8", "127.0.0.1"), ("::ffff:127.0.0.1",), ("64:ff9b::7f00:1",)):
            with pytest.raises(AddressDenied):
                fetched(Resolving(url, addresses=addresses), context)
        assert server.requests == ()
        assert text(fetched(Resolving(url, allow_private=LOOPBACK), context)) == STOCK
        assert server.requests[0].headers["host"] == f"erp.example:{server.port}"


def test_proxies_of_the_environment_are_not_used(context: FetchContext, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedHttpServer([Response(b"proxy")]) as proxy, ScriptedHttpServer([Response(STOCK)]) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert text(fetched(connector(server), context)) == STOCK
        assert proxy.requests == ()


# --- check, and connectors of one's own ---------------------------------------------------------------------------


def test_check_shows_the_head_and_leaves_nothing_behind(context: FetchContext) -> None:
    long = b"x" * 200_000
    answers = [Response(STOCK), Response(long), Response(gzip.compress(STOCK), headers={"Content-Encoding": "gzip"})]
    with ScriptedHttpServer(answers) as server:
        source: CheckableConnector = connector(server)
        whole, cut, coded = (source.check(context) for _ in answers)
    assert (whole.data, whole.complete, whole.size) == (STOCK, True, len(STOCK))
    assert (cut.data, cut.complete, cut.size) == (long[: 64 * 1024], False, len(long))
    assert (coded.data, coded.complete, coded.size) == (STOCK, True, len(STOCK))
    assert left_behind(context) == []


def test_check_raises_as_fetch_does(context: FetchContext) -> None:
    with ScriptedHttpServer([Response(status=401)]) as server, pytest.raises(AccessRefused):
        connector(server).check(context)


@frozen(kw_only=True)
class Erp(HttpConnector):
    """A typed example: asks for what changed since the last sync, and unwraps the answer's envelope."""

    shop: int

    def request(self, context: FetchContext) -> HttpRequest:
        asked = super().request(context)
        since = context.cursor or "start"
        return HttpRequest(f"{asked.url}?shop={self.shop}&since={since}", {**asked.headers, "X-Client": "demo"})

    def payloads(self, response: HttpResponse, context: FetchContext) -> Iterable[Fetched]:
        context.next_cursor = response.headers["x-cursor"]
        for line in text(response.payload).splitlines():
            sku, quantity = line.decode().split("=")
            yield {"sku": sku, "quantity": quantity}


def test_a_connector_of_ones_own_changes_request_and_payloads(make_context: MakeContext) -> None:
    context = make_context(cursor="41")
    with ScriptedHttpServer([Response(b"A=5\nB=0", headers={"X-Cursor": "42"})]) as server:
        records = list(Erp(server.url + "stock", shop=7, allow_private=LOOPBACK).fetch(context))
        assert server.requests[0].path == "/stock?shop=7&since=41"
        assert server.requests[0].headers["x-client"] == "demo"
    assert records == [{"sku": "A", "quantity": "5"}, {"sku": "B", "quantity": "0"}]
    assert context.next_cursor == "42"


# --- declarations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"token": Secret("t0ken")},
        {"secret_headers": {"X-Api-Key": Secret("t0ken")}},
        {"secret_query": {"key": Secret("t0ken")}},
    ],
)
def test_secrets_are_not_sent_in_the_clear(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="in the clear"):
        HttpConnector("http://erp.example/stock", **options)
    HttpConnector("https://erp.example/stock", **options)
    HttpConnector("http://erp.example/stock", allow_plaintext=True, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0},
        {"deadline": -1},
        {"timeout": float("nan")},
        {"max_bytes": 0},
        {"as_of": "guess"},
        {"allow_private": ["10.0.0.1/8"]},
        {"headers": {"Host": "other"}},
        {"headers": {"X Y": "1"}},
        {"headers": {"X-A": "1\r\nX-B: 2"}},
        {"headers": {"X-A": "1"}, "secret_headers": {"x-a": Secret("2")}},
        {"token": Secret("t"), "headers": {"authorization": "Basic x"}},
    ],
)
def test_options_that_cannot_work_are_refused_at_once(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        HttpConnector("https://erp.example/stock", **options)


def test_a_secret_that_breaks_a_header_is_refused_without_being_shown(context: FetchContext) -> None:
    source = HttpConnector("https://erp.example/stock", token=Secret("t0ken\r\nX-Evil: 1"))
    with pytest.raises(ConfigurationError) as caught:
        fetched(source, context)
    assert "Authorization" in str(caught.value)
    assert "t0ken" not in str(caught.value)
