"""``python -m inventory_sources worker``: real processes, signals and kills."""

from __future__ import annotations

import http.client
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from inventory_sources import SyncEngine, SyncStatus
from inventory_sources.status import Reason
from inventory_sources.stores._tables import build_tables
from tests.servers import postgres_url
from tests.worker import stock_host

ROOT = Path(__file__).parents[2]
PLACE = "tests.worker.stock_host:make_engine"


class Process:
    """A worker process, and the lines that it logs.

    :param lines: where lines go, with the process; several may share one.
    """

    def __init__(self, *arguments: str, place: str = PLACE, lines: queue.Queue[str] | None = None) -> None:
        command = [sys.executable, "-m", "inventory_sources", "worker", place, "--interval", "0.2", *arguments]
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        self.lines: queue.Queue[str] = lines or queue.Queue()
        self.log: list[str] = []
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.log.append(line)
            self.lines.put(line)
        self.lines.put("END")

    def until(self, text: str) -> str:
        """The first line from here on that has the text."""
        while text not in (line := self.lines.get(timeout=60)):
            assert line != "END", "".join(self.log)
        return line

    def told(self, number: signal.Signals) -> None:
        """Sends a signal."""
        self.process.send_signal(number)

    def ended(self) -> int:
        """The exit code."""
        code = self.process.wait(60)
        self.reader.join()
        return code


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncEngine]:
    """This process of the host."""
    prefix = f"w{uuid4().hex[:8]}_"
    url = f"sqlite:///{tmp_path / 'state.db'}" if request.param == "sqlite" else postgres_url()
    if url is None:
        pytest.skip("no PostgreSQL at 127.0.0.1:5432")
    for name, value in {"STATE": url, "STATE_PREFIX": prefix, "SHOP": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    made = stock_host.make_engine()
    yield made
    made.close()
    if request.param == "postgresql":
        database = sa.create_engine(url)
        build_tables(prefix).metadata.drop_all(database)
        database.dispose()


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    """Starts workers; none outlives its test."""
    started: list[Process] = []

    def start(*arguments: str, **options: Any) -> Process:
        started.append(Process(*arguments, **options))
        return started[-1]

    yield start
    for worker in started:
        if worker.process.poll() is None:
            worker.process.kill()
        worker.ended()
        assert worker.process.stderr
        worker.process.stderr.close()


def add(engine: SyncEngine, name: str, connector: str) -> None:
    engine.add_source(stock_host.spec(name, connector))
    engine.request_sync(name)


def results(engine: SyncEngine, name: str) -> list[str]:
    return [run.result.value for run in reversed(engine.history(name))]


def test_sigterm_gives_the_source_back_and_spends_nothing(engine: SyncEngine, start: Any, tmp_path: Path) -> None:
    add(engine, "erp", "attentive")
    worker = start()
    worker.until("fetching")
    worker.told(signal.SIGTERM)
    assert worker.ended() == 0, worker.log
    state = engine.status("erp")
    assert (state.status, state.reason, state.failures) == (SyncStatus.PENDING, Reason.REQUESTED, 0)
    assert results(engine, "erp") == ["cancelled"]
    (tmp_path / "go").touch()
    assert start("--once").ended() == 0
    assert results(engine, "erp") == ["cancelled", "completed"]


def test_after_a_kill_another_worker_takes_over_once_the_lease_is_over(
    engine: SyncEngine, start: Any, tmp_path: Path
) -> None:
    add(engine, "erp", "attentive")
    worker = start()
    worker.until("fetching")
    worker.told(signal.SIGKILL)
    assert worker.ended() == -signal.SIGKILL
    assert engine.status("erp").status is SyncStatus.SYNCING
    (tmp_path / "go").touch()
    other = start()
    assert "result='completed'" in other.until("sync_ended")
    assert results(engine, "erp") == ["lost", "completed"]
    other.told(signal.SIGINT)
    assert other.ended() == 0


def test_three_workers_run_each_of_sixty_sources_once(engine: SyncEngine, start: Any) -> None:
    names = [f"s{number:02}" for number in range(60)]
    for name in names:
        add(engine, name, "quick")
    lines: queue.Queue[str] = queue.Queue()
    workers = [start(lines=lines) for _ in range(3)]
    for _ in names:
        assert "result='completed'" in workers[0].until("sync_ended")
    for worker in workers:
        worker.told(signal.SIGTERM)
    assert [worker.ended() for worker in workers] == [0, 0, 0]
    assert {name: results(engine, name) for name in names} == {name: ["completed"] for name in names}
    assert all(any("sync_ended" in line for line in worker.log) for worker in workers)


def test_what_does_not_stop_is_left_to_its_lease_and_the_exit_code_says_so(engine: SyncEngine, start: Any) -> None:
    add(engine, "erp", "stuck")
    worker = start("--grace", "0.3")
    worker.until("fetching")
    worker.told(signal.SIGTERM)
    assert worker.ended() == 3
    assert "worker_ended_late" in worker.log[-1]
    assert engine.status("erp").status is SyncStatus.SYNCING


@pytest.fixture
def on_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncEngine]:
    """For what the database has no part in."""
    monkeypatch.setenv("STATE", f"sqlite:///{tmp_path / 'state.db'}")
    monkeypatch.setenv("SHOP", str(tmp_path))
    made = stock_host.make_engine()
    yield made
    made.close()


def test_a_second_signal_ends_it_at_once(on_sqlite: SyncEngine, start: Any) -> None:
    add(on_sqlite, "erp", "stuck")
    worker = start("--grace", "1000")
    worker.until("fetching")
    worker.told(signal.SIGINT)
    worker.until("worker_stopping")
    worker.told(signal.SIGTERM)
    assert worker.ended() == 128 + signal.SIGTERM


def test_a_loop_that_hangs_in_the_store_is_ended_too(on_sqlite: SyncEngine, start: Any) -> None:
    worker = start("--grace", "0.1", place="tests.worker.stock_host:hanging")
    worker.until("asking")
    worker.told(signal.SIGTERM)
    assert worker.ended() == 128 + signal.SIGTERM


def test_once_runs_what_is_due_and_ends(on_sqlite: SyncEngine, start: Any) -> None:
    for number in range(3):
        add(on_sqlite, f"s{number}", "quick")
    assert start("--once", "--purge").ended() == 0
    assert [results(on_sqlite, f"s{number}") for number in range(3)] == [["completed"]] * 3


def test_once_says_when_the_store_does_not_answer(tmp_path: Path, start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE", f"sqlite:///{tmp_path / 'no' / 'such' / 'state.db'}")
    worker = start("--once")
    assert worker.ended() == 1
    assert any("store_unavailable" in line for line in worker.log)


def probe(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status


def test_the_health_endpoint_answers_while_it_works_and_is_not_ready_while_it_stops(
    on_sqlite: SyncEngine, start: Any, tmp_path: Path
) -> None:
    file = tmp_path / "alive"
    add(on_sqlite, "erp", "quick")
    worker = start("--health", "127.0.0.1:0", "--health-file", str(file), "--grace", "1000")
    match = re.search(r"health endpoint on 127\.0\.0\.1:(\d+)", worker.until("health endpoint"))
    assert match
    port = int(match[1])
    worker.until("sync_ended")
    assert [probe(port, path) for path in ("/healthz", "/readyz", "/readyz?a=1", "/")] == [200, 200, 200, 404]
    assert file.exists()
    add(on_sqlite, "wms", "stuck")
    worker.until("fetching")
    worker.told(signal.SIGTERM)
    worker.until("worker_stopping")
    while probe(port, "/readyz") == 200:
        pass
    assert probe(port, "/healthz") == 200


def test_the_command_line_logs_no_other_library_s_lines(on_sqlite: SyncEngine, start: Any) -> None:
    add(on_sqlite, "erp", "quick")
    worker = start("--once", "--log-level", "warning")
    assert worker.ended() == 0
    assert worker.log == []


def test_what_is_wrong_with_the_command_line_is_told(start: Any) -> None:
    worker = start(place="tests.worker.no_such:engine")
    assert worker.ended() == 2
    assert "there is no module 'tests.worker.no_such'" in "".join(worker.log)
    assert os.linesep.join(worker.log).count("Traceback") == 0
