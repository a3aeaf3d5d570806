"""Reports: one job, asked after until it is ready, remembered when it is not; its file is whole or refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from attrs import frozen

from inventory_sources import CsvDecoder, Feed, Secret
from inventory_sources.errors import (
    AccessRefused,
    ConfigurationError,
    FetchError,
    InputIncomplete,
    Recovery,
    ServerFailed,
    SourceMissing,
    StructureInvalid,
    SyncCancelled,
)
from inventory_sources.protocols.connector import FetchContext
from inventory_sources.rest import Bearer, Call, LinkHeader, Report, RestConnector, RestSession
from inventory_sources.run import RunResult
from inventory_sources.status import Reason
from inventory_sources.testing import ManualClock
from inventory_sources.testing.servers import Request, Response, ScriptedHttpServer

from .rows import Shop, answer, fetched, path_of, stored_again

CSV = b"sku,available\nA,5\nB,0\n"
FILE = Response(CSV, headers={"Content-Type": "text/csv"})
REPORT = {
    "create": Call("/reports", method="POST", body={"type": "stock"}),
    "id": "reportId",
    "poll": Call("/reports/{id}"),
    "status": "state",
    "ready": ("DONE",),
    "failed": ("FATAL", "CANCELLED"),
    "link": "url",
    "every": 30.0,
    "wait": 100.0,
}


@frozen(kw_only=True)
class Patient(RestConnector):
    """A connector whose pauses move the test's clock."""

    @contextmanager
    def session(self, context: FetchContext) -> Iterator[RestSession]:
        """With pauses that take no time."""
        with RestConnector.session(self, context) as session:
            session.pace.pause = context.clock.advance
            yield session


class Jobs:
    """An API that makes reports: ready after so many times of asking.

    :ivar created: numbers of the jobs.
    """

    def __init__(self, ready_after: int, file: Response = FILE) -> None:
        self.ready_after = ready_after
        self.file = file
        self.created: list[str] = []
        self.asked = 0
        self.url: str = "/files/stock.csv?key=s3cret"
        self.failing: Response | None = None
        self.state = "DONE"

    def __call__(self, request: Request) -> Response:
        """Answers as such an API."""
        path = path_of(request)
        if (request.method, path) == ("POST", "/reports"):
            self.created.append(f"r{len(self.created) + 1}")
            return answer({"reportId": self.created[-1]}, 202)
        if path.startswith("/files/"):
            return self.file
        if path != f"/reports/{self.created[-1] if self.created else None}":
            return Response(status=404)
        self.asked += 1
        if self.failing:
            return self.failing
        if self.asked <= self.ready_after:
            return answer({"state": "IN_PROGRESS"}, 202)
        return answer({"state": self.state, "url": self.url, "documentId": "d/1"})


def made(server: ScriptedHttpServer, **changes: object) -> RestConnector:
    report = Report(**{**REPORT, **changes})
    return Patient(
        server.url + "api",
        report=report,
        allow_private=("127.0.0.0/8",),
        allow_plaintext=True,
        auth=Bearer(Secret("t0ken")),
    )


def test_a_report_is_created_awaited_and_read() -> None:
    clock = ManualClock()
    with ScriptedHttpServer(Jobs(2)) as server:
        (payload,), context = fetched(made(server), clock=clock, deadline=1000.0)
        requests = [(request.method, request.path) for request in server.requests]
        bodies = [json.loads(request.body) for request in server.requests if request.body]
        with payload.open() as file:
            assert file.read() == CSV
    assert requests == [
        ("POST", "/reports"),
        *[("GET", "/reports/r1")] * 3,
        ("GET", "/files/stock.csv?key=s3cret"),
    ]
    assert bodies == [{"type": "stock"}]
    assert clock.monotonic() == pytest.approx(60)
    assert payload.as_of == datetime(2026, 1, 1, tzinfo=UTC)
    assert payload.evidence.proves_end
    assert payload.origin.endswith("/files/stock.csv")
    assert context.outcome.memo == ""


def test_a_report_that_is_not_ready_is_asked_after_by_the_next_sync() -> None:
    jobs = Jobs(2)
    with ScriptedHttpServer(jobs) as server:
        shop = Shop("A", "B")
        shop.add(made(server, every=5.0, wait=8.0), decoder=CsvDecoder())
        first = shop.engine.sync("api")
        status = shop.engine.status("api")
        assert first.failure and (first.failure.code, status.reason) == ("input_incomplete", Reason.WAITING)
        second = shop.engine.sync("api")
        assert (second.result, shop.quantities) == (RunResult.COMPLETED, {"A": 5, "B": 0})
        assert jobs.created == ["r1"]
        # What it tells was observed when it was created, not when it was ready.
        assert second.as_of == first.started_at < second.started_at
        shop.engine.sync("api")
        assert jobs.created == ["r1", "r2"]


def test_a_job_that_the_server_forgot_or_that_is_too_old_is_created_anew() -> None:
    def memo(job: str, age: timedelta) -> str:
        return json.dumps({"job": job, "since": (ManualClock().now() - age).isoformat()})

    with ScriptedHttpServer(Jobs(0)) as server:
        (payload,), _ = fetched(made(server), clock=ManualClock(), memo=memo("gone", timedelta(hours=1)))
        assert [r.path for r in server.requests][:2] == ["/reports/gone", "/reports"]
        assert payload.as_of == ManualClock().now()
    for stale in (memo("old", timedelta(hours=12)), memo("new", -timedelta(hours=1)), "", "{", "[]", '{"job": "x"}'):
        with ScriptedHttpServer(Jobs(0)) as server:
            fetched(made(server), clock=ManualClock(), memo=stale)
            assert server.requests[0].path == "/reports"


def test_a_failed_job_is_told_by_its_status_alone_and_forgotten() -> None:
    jobs = Jobs(0)
    jobs.state = "FATAL"
    with ScriptedHttpServer(jobs) as server:
        shop = Shop("A", "B")
        shop.add(made(server), decoder=CsvDecoder())
        run = shop.engine.sync("api")
        assert run.failure and run.failure.message.endswith("the report job ended with 'FATAL'")
        jobs.state = "DONE"
        assert shop.engine.sync("api").result is RunResult.COMPLETED
    assert jobs.created == ["r1", "r2"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Response(status=500), ServerFailed),
        (Response(status=404), SourceMissing),
        (Response(status=401), AccessRefused),
        (answer({"status": "DONE"}), StructureInvalid),
        (answer({"state": None}), StructureInvalid),
        (answer({"state": "DONE"}), StructureInvalid),
        (answer([]), StructureInvalid),
        (answer({"state": "DONE", "url": "ftp://files/x"}), StructureInvalid),
        (answer({"state": "DONE", "url": "http://a@b/x"}), StructureInvalid),
        (Response(b"<html>", headers={"Content-Type": "text/html"}), FetchError),
    ],
)
def test_a_fault_while_it_is_asked_after_keeps_the_job(fault: Response, error: type[Exception]) -> None:
    jobs = Jobs(0)
    jobs.failing = fault
    with ScriptedHttpServer(jobs) as server:
        shop = Shop("A", "B")
        shop.add(made(server), decoder=CsvDecoder())
        run = shop.engine.sync("api")
        assert run.failure and run.failure.code == error.code
        jobs.failing = None
        assert shop.engine.sync("api").result is RunResult.COMPLETED
    assert jobs.created == ["r1"]


@pytest.mark.parametrize(
    "fault",
    [
        Response(status=403),
        Response(CSV, cut_after=9),
        Response(b"<!DOCTYPE html><p>log in", headers={"Content-Type": "text/csv"}),
        Response(b"x", headers={"Content-Type": "text/html; charset=utf-8"}),
    ],
)
def test_a_file_that_does_not_come_whole_is_asked_for_again_without_another_job(fault: Response) -> None:
    jobs = Jobs(0, fault)
    with ScriptedHttpServer(jobs) as server:
        shop = Shop("A", "B")
        shop.add(made(server), decoder=CsvDecoder())
        assert shop.engine.sync("api").result is RunResult.FAILED
        assert shop.quantities == {"A": 0, "B": 0}
        jobs.file = FILE
        assert shop.engine.sync("api").result is RunResult.COMPLETED
    assert shop.quantities == {"A": 5, "B": 0}


def test_the_file_may_be_named_by_a_document_of_its_own() -> None:
    jobs = Jobs(0)

    def script(request: Request) -> Response:
        documents = {"/documents/d%2F1": answer({"url": "/files/x.csv"})}
        return documents.get(path_of(request)) or jobs(request)

    with ScriptedHttpServer(script) as server:
        (payload,), _ = fetched(made(server, document=Call("/documents/{documentId}")), clock=ManualClock())
        assert payload.size == len(CSV)
        assert {r.headers["authorization"] for r in server.requests} == {"Bearer t0ken"}


def test_the_answer_to_the_document_may_be_the_file() -> None:
    jobs = Jobs(0)
    with ScriptedHttpServer(jobs) as server:
        (payload,), _ = fetched(made(server, link=None, document=Call("/files/{id}")), clock=ManualClock())
        assert (server.requests[-1].path, payload.size) == ("/files/r1", len(CSV))


def test_another_origin_must_be_declared_and_gets_no_credentials() -> None:
    jobs = Jobs(0)
    with ScriptedHttpServer([FILE]) as files, ScriptedHttpServer(jobs) as server:
        jobs.url = files.url + "stock.csv?X-Amz-Signature=s3cret"
        with pytest.raises(FetchError, match="not one of the declared origins") as refused:
            fetched(made(server), clock=ManualClock())
        assert refused.value.recovery is Recovery.STOP
        assert "s3cret" not in str(refused.value)
        assert not files.requests
        (payload,), _ = fetched(made(server, origins=(files.url.rstrip("/"),)), clock=ManualClock())
        (request,) = files.requests
    assert request.path == "/stock.csv?X-Amz-Signature=s3cret"
    assert not {"authorization", "cookie"} & set(request.headers)
    assert "s3cret" not in payload.origin


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_link_that_is_no_longer_good_makes_the_next_sync_create_another_job(status: int) -> None:
    jobs = Jobs(0)
    with ScriptedHttpServer([Response(status=status), FILE]) as files, ScriptedHttpServer(jobs) as server:
        jobs.url = files.url + "stock.csv?X-Amz-Signature=s3cret"
        shop = Shop("A", "B")
        shop.add(made(server, origins=(files.url,)), decoder=CsvDecoder())
        run = shop.engine.sync("api")
        assert run.failure and run.failure.code == "source_missing"
        assert "s3cret" not in run.failure.message
        assert shop.engine.sync("api").result is RunResult.COMPLETED
    assert jobs.created == ["r1", "r2"]


def test_json_is_asked_for_but_where_the_file_is() -> None:
    with ScriptedHttpServer(Jobs(0)) as server:
        fetched(made(server, link=None, document=Call("/files/{id}")), clock=ManualClock())
        fetched(made(server), clock=ManualClock())
        accepted = [request.headers["accept"] for request in server.requests]
    assert accepted == ["application/json", "application/json", "*/*"] * 2


@pytest.mark.parametrize(
    ("origin", "leads"),
    [
        ("https://files.example.com", True),
        ("https://*.example.com", True),
        ("https://*.amazonaws.com", False),
        ("https://example.com", False),
        ("https://files.example.com:444", False),
        ("http://files.example.com", False),
        ("http://*.example.com", False),
        ("https://*.xample.com", False),
    ],
)
def test_origins(origin: str, leads: bool) -> None:
    from inventory_sources._url import WebAddress
    from inventory_sources.rest._report import _leads

    assert _leads(origin, WebAddress.parse("https://files.example.com/x")) is leads


def test_a_cancelled_sync_stops_asking() -> None:
    cancelled: list[bool] = []
    jobs = Jobs(99)

    def script(request: Request) -> Response:
        found = jobs(request)
        if jobs.asked == 2:
            cancelled.append(True)
        return found

    with ScriptedHttpServer(script) as server, pytest.raises(SyncCancelled):
        fetched(made(server), clock=ManualClock(), deadline=1000.0, cancelled=lambda: bool(cancelled))
    assert jobs.asked == 2


def test_it_waits_at_most_half_of_the_time_that_is_left() -> None:
    clock = ManualClock()
    with ScriptedHttpServer(Jobs(99)) as server, pytest.raises(InputIncomplete):
        fetched(made(server, wait=1000.0), clock=clock, deadline=200.0)
    assert clock.monotonic() == pytest.approx(90)


def test_check_makes_a_report_and_leaves_nothing(tmp_path) -> None:
    from inventory_sources.testing import fetch_context

    with ScriptedHttpServer(Jobs(0)) as server:
        head = made(server).check(fetch_context(tmp_path, clock=ManualClock()))
    assert (head.data, head.complete) == (CSV, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"ready": ()},
        {"failed": ("DONE",)},
        {"link": None},
        {"poll": Call("/reports/r1")},
        {"create": Call("/reports/{id}", method="POST")},
        {"poll": Call("https://other.example.com/{id}")},
        {"origins": ("files.example.com",)},
        {"origins": ("https://*.com",)},
        {"origins": ("https://*",)},
        {"origins": ("http://files.example.com",)},
        {"origins": ("https://files.example.com/path",)},
        {"origins": "https://files.example.com"},
        {"every": 0.0},
        {"wait": -1.0},
        {"lasts": timedelta(0)},
    ],
)
def test_a_report_that_cannot_work_is_refused(wrong: dict) -> None:
    with pytest.raises(ConfigurationError):
        RestConnector("https://erp.example.com/api", report=Report(**{**REPORT, **wrong}))


@pytest.mark.parametrize("wrong", [{"records": ""}, {"pager": LinkHeader()}])
def test_a_report_has_neither_records_nor_pager(wrong: dict) -> None:
    with pytest.raises(ConfigurationError, match="a report is a file"):
        RestConnector("https://erp.example.com/api", report=Report(**REPORT), **wrong)


QUERY = "query($id: ID!) { node(id: $id) { state url } }"


def test_a_job_may_be_asked_after_in_a_body() -> None:
    seen: list[object] = []

    def script(request: Request) -> Response:
        if path_of(request).startswith("/files"):
            return FILE
        seen.append(json.loads(request.body))
        node = {"id": 'gid://x/1"', "state": "DONE", "url": "/files/1"}
        return answer({"data": node})

    query = Call("/graphql", method="POST", body={"query": QUERY, "variables": {"id": "{id}", "n": [1, None]}})
    options = {"id": "data.id", "status": "data.state", "link": "data.url", "poll": query}
    with ScriptedHttpServer(script) as server:
        fetched(made(server, **options), clock=ManualClock())
    assert seen[1] == {"query": QUERY, "variables": {"id": 'gid://x/1"', "n": [1, None]}}


def test_a_report_is_a_plain_document() -> None:
    report = Report(**{**REPORT, "origins": ("https://*.s3.amazonaws.com",), "document": Call("/d/{documentId}")})
    connector = RestConnector("https://erp.example.com/api", report=report)
    assert stored_again(connector, Feed.snapshot()) == connector
