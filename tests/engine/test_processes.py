"""One store, many processes: each rebuilds a source from its specification, the host's registry and secrets."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inventory_sources import Columns, CsvDecoder, Feed, FileConnector, HttpConnector, Secret, Source, SyncStatus
from inventory_sources.errors import ConfigurationError, NotPortable
from inventory_sources.run import RunResult
from inventory_sources.source import Part, SourceSpec
from inventory_sources.status import Reason
from inventory_sources.testing.servers import Request, Response, ScriptedHttpServer

from .neighbour import Host, answer, ask, start

FEED = "sku,quantity,reserve\nA,5,50\nB,7,70\n"
LOOPBACK = ("127.0.0.0/8",)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Host]:
    """This process of the host, over a stock table of A and B."""
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE stock (sku TEXT PRIMARY KEY, quantity INTEGER NOT NULL)")
        connection.executemany("INSERT INTO stock VALUES (?, 1)", ["A", "B"])
    connection.close()
    host = Host(tmp_path)
    yield host
    host.engine.close()


def levels(folder: Path) -> dict[str, int]:
    with sqlite3.connect(folder / "shop.db") as connection:
        found = dict(connection.execute("SELECT sku, quantity FROM stock"))
    connection.close()
    return found


def source(here: Host, connector: Any, **changes: Any) -> Source:
    fields: dict[str, Any] = {
        "name": "erp",
        "connector": connector,
        "decoder": CsvDecoder(),
        "mapper": Columns(),
        "feed": Feed.snapshot(),
        "guards": (),
        "sink": here.sink,
    }
    return Source(**{**fields, **changes})


def file_source(here: Host, folder: Path, **changes: Any) -> Source:
    (folder / "feed.csv").write_text(FEED, "utf-8")
    return source(here, FileConnector(str(folder / "feed.csv"), as_of="fetch"), **changes)


class Local:
    """A connector that no registry knows, with a function inside that nothing can store."""

    def __init__(self) -> None:
        self.fetches = 0

    def fetch(self, context: Any) -> Iterator[dict[str, object]]:
        self.fetches += 1
        yield {"sku": "A", "quantity": 6}


def as_source(here: Host, url: str) -> Source:
    secrets = here.registry.secrets
    connector = HttpConnector(
        url,
        token=Secret.reference("env:ERP_TOKEN", secrets),
        secret_headers={"X-Api-Key": Secret.reference("file:key", secrets)},
        secret_query={"key": Secret.reference("vault:erp/query", secrets)},
        allow_plaintext=True,
        allow_private=LOOPBACK,
    )
    return source(here, connector)


def as_spec(here: Host, url: str) -> SourceSpec:
    options = {
        "url": url,
        "token": "env:ERP_TOKEN",
        "secret_headers": {"X-Api-Key": "file:key"},
        "secret_query": {"key": "vault:erp/query"},
        "allow_plaintext": True,
        "allow_private": list(LOOPBACK),
    }
    return SourceSpec(
        name="erp",
        connector=Part("http", options),
        decoder=Part("csv"),
        mapper=Part("columns"),
        feed=Feed.snapshot(),
        guards=(),
        sink=Part("shop"),
    )


@pytest.mark.parametrize("declared", [as_source, as_spec])
def test_a_source_is_rebuilt_and_synced_by_another_process_with_its_own_secrets(
    here: Host, tmp_path: Path, declared: Any
) -> None:
    (tmp_path / "key").write_text("from-a-file\n", "utf-8")
    with ScriptedHttpServer([Response(FEED.encode())]) as server:
        here.engine.add_source(declared(here, server.url + "stock"))
        told = ask(tmp_path, "sync", "erp", env={**os.environ, "ERP_TOKEN": "from-the-environment"})
    assert told == {"result": "completed", "updated": 2}
    assert levels(tmp_path) == {"A": 5, "B": 7}
    (request,) = server.requests
    assert request.headers["authorization"] == "Bearer from-the-environment"
    assert request.headers["x-api-key"] == "from-a-file"
    assert request.path == "/stock?key=from-a-function"
    assert here.engine.status("erp").status is SyncStatus.COMPLETED
    (run,) = here.engine.history("erp")
    assert (run.products_updated, run.worker.endswith(f":{os.getpid()}")) == (2, False)


def test_a_secret_that_a_process_lacks_is_named_and_waits_for_a_person(here: Host, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-a-file\n", "utf-8")
    with ScriptedHttpServer([Response(FEED.encode())]) as server:
        here.engine.add_source(as_spec(here, server.url))
        assert ask(tmp_path, "sync", "erp")["result"] == "failed"
        assert server.requests == ()
    status = here.engine.status("erp")
    assert (status.status, status.reason) == (SyncStatus.ERROR, Reason.BLOCKED)
    assert status.last_failure is not None
    assert status.last_failure.code == "secret_not_found"
    assert "ERP_TOKEN" in status.last_failure.message


def test_an_edit_in_one_process_is_seen_by_the_other(here: Host, tmp_path: Path) -> None:
    declared = file_source(here, tmp_path)
    here.engine.add_source(declared)
    here.engine.sync("erp")
    assert levels(tmp_path) == {"A": 5, "B": 7}
    ask(tmp_path, "read_column", "erp", "reserve")
    here.engine.sync("erp")
    assert levels(tmp_path) == {"A": 50, "B": 70}
    here.engine.update_source(declared)
    assert ask(tmp_path, "sync", "erp")["updated"] == 2
    assert levels(tmp_path) == {"A": 5, "B": 7}
    edits = [entry.actor for entry in here.engine._store.audit("erp")]
    assert edits == ["host", "neighbour", "host"]


def test_a_source_of_unregistered_objects_is_left_to_its_own_process(here: Host, tmp_path: Path) -> None:
    local = Local()
    # Requested first, so that the others are behind them in the queue.
    for number in range(3):
        here.engine.add_source(source(here, local, name=f"local{number}", decoder=None))
        here.engine.request_sync(f"local{number}")
    here.engine.add_source(file_source(here, tmp_path))
    here.engine.request_sync("erp")
    before = [here.engine.status(f"local{number}") for number in range(3)]

    told = ask(tmp_path, "sync", "local0")
    assert told["error"] == "NotPortable"
    assert "local0" in told["told"]
    assert "Registry" in told["told"]
    assert ask(tmp_path, "run_due", "1") == ["erp"]
    assert levels(tmp_path) == {"A": 5, "B": 7}

    assert [here.engine.status(f"local{number}") for number in range(3)] == before, "no attempt was spent"
    assert not any(here.engine.history(f"local{number}") for number in range(3))
    assert [run.source for run in here.engine.run_due()] == ["local0", "local1", "local2"]
    assert local.fetches == 3


def test_an_engine_without_the_registry_says_which_part_it_lacks(here: Host, tmp_path: Path) -> None:
    here.engine.add_source(file_source(here, tmp_path))
    stranger = Host(tmp_path)
    stranger.registry._parts.clear()
    with pytest.raises(ConfigurationError, match="no sink is registered as 'shop'"):
        stranger.engine.sync("erp")
    stranger.engine.close()
    assert here.engine.status("erp").reason is Reason.NEVER_RUN


def test_a_part_that_cannot_be_stored_makes_the_source_local(here: Host) -> None:
    held_as_text = HttpConnector("https://erp.example/", token=Secret("held in memory"))
    here.engine.add_source(source(here, held_as_text))
    neighbour = Host(Path(here.engine._store._database._base.url.database).parent)
    with pytest.raises(NotPortable):
        neighbour.engine.sync("erp")
    neighbour.engine.close()


@pytest.mark.timeout(180)
def test_processes_that_run_what_is_due_at_once_run_each_source_once(here: Host, tmp_path: Path) -> None:
    names = [f"s{number:02}" for number in range(30)]

    def stock(request: Request) -> Response:
        return Response(FEED.encode())

    with ScriptedHttpServer(stock) as server:
        for name in names:
            here.engine.add_source(source(here, HttpConnector(server.url + name, allow_private=LOOPBACK), name=name))
            here.engine.request_sync(name)
        neighbours = [start(tmp_path, "run_due") for _ in range(3)]
        for neighbour in neighbours:
            assert neighbour.stdout is not None
            assert neighbour.stdout.readline() == "ready\n"
        for neighbour in neighbours:
            assert neighbour.stdin is not None
            neighbour.stdin.write("go\n")
            neighbour.stdin.flush()
        told = [answer(neighbour) for neighbour in neighbours]
    assert sorted(name for done in told for name in done) == names
    assert Counter(request.path for request in server.requests) == {f"/{name}": 1 for name in names}
    for name in names:
        (run,) = here.engine.history(name)
        assert run.result is RunResult.COMPLETED
        assert here.engine.status(name).status is SyncStatus.COMPLETED


def test_an_engine_made_before_a_fork_works_in_the_children(here: Host, tmp_path: Path) -> None:
    here.engine.add_source(file_source(here, tmp_path))
    told = ask(tmp_path, "fork_and_sync", "erp")
    assert told == {"children": ["completed", "completed"], "parent": "completed"}
    assert [run.result for run in here.engine.history("erp")] == [RunResult.COMPLETED] * 3
    assert levels(tmp_path) == {"A": 5, "B": 7}


def test_a_child_forked_after_a_sync_refuses_to_sync_rather_than_hang(here: Host, tmp_path: Path) -> None:
    here.engine.add_source(file_source(here, tmp_path))
    here.engine.add_source(file_source(here, tmp_path, name="due"))
    here.engine.request_sync("due")
    told = ask(tmp_path, "sync_and_fork", "erp")
    assert told.pop("status") == "completed", "what needs no columns still works"
    for verb in ("sync", "plan", "check", "run_due"):
        assert told.pop(verb).startswith("ConfigurationError: this process was forked"), verb
    assert told == {"parent": "completed"}
    assert [run.result for run in here.engine.history("erp")] == [RunResult.COMPLETED] * 2
    assert here.engine.status("due").reason is Reason.REQUESTED, "nothing was claimed that nobody would finish"
