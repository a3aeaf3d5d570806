"""SQLite shared by processes: nothing is lost, a dead one holds nothing, a lock is waited for as long as told."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from attrs import evolve

from inventory_sources.errors import StoreError, StoreUnavailable
from inventory_sources.protocols.store import AuditEntry, StateChange, StoredSource
from inventory_sources.status import SourceState
from inventory_sources.stores._dialect import Sqlite
from inventory_sources.testing import ManualClock

_CHILD = """
import sys
from datetime import timedelta
from attrs import evolve
from inventory_sources.protocols.store import StateChange
from inventory_sources.stores.sql import SqlStateStore

def count_up(tx):
    tx.write(StateChange(evolve(tx.source.state, epoch=tx.source.state.epoch + 1)))

def hang(tx):
    count_up(tx)
    tx.connection.exec_driver_sql("UPDATE inventory_sources SET epoch = 99")
    print("inside", flush=True)
    sys.stdin.read()

store = SqlStateStore(sys.argv[1], lock_timeout=timedelta(seconds=60))
"""


def _child(path: Path, body: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _CHILD + body, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.db"


@pytest.fixture
def store(path):
    from inventory_sources.stores.sql import SqlStateStore

    store = SqlStateStore(str(path), lock_timeout=timedelta(milliseconds=50))
    now = store.now()
    store.add(StoredSource("erp", {}, SourceState()), AuditEntry("erp", "add_source", "alice", now))
    yield store
    store.close()


def _count_up(tx):
    tx.write(StateChange(evolve(tx.source.state, epoch=tx.source.state.epoch + 1)))


def test_no_update_is_lost_between_processes(store, path):
    body = 'for _ in range(50): store.transact("erp", count_up)'
    children = [_child(path, body) for _ in range(2)]
    assert [child.communicate()[0] for child in children] == ["", ""]
    assert [child.returncode for child in children] == [0, 0]
    assert store.get("erp").state.epoch == 100


def test_a_process_killed_inside_a_decision_leaves_nothing(store, path):
    before = store.get("erp")
    with _child(path, 'store.transact("erp", hang)') as child:
        assert child.stdout.readline() == "inside\n"
        with pytest.raises(StoreUnavailable, match="locked"):
            store.transact("erp", _count_up)
        os.kill(child.pid, signal.SIGKILL)
    assert store.get("erp") == before
    store.transact("erp", _count_up)
    assert store.get("erp").state.epoch == 1


def test_a_locked_database_is_reported_and_can_still_be_read(store, path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked by another worker"):
        store.transact("erp", _count_up)
    assert store.get("erp").state.epoch == 0
    other.execute("ROLLBACK")
    other.close()
    store.transact("erp", _count_up)
    assert store.get("erp").state.epoch == 1


def test_a_committed_change_is_written_to_the_disk(store, path):
    with store._database._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_a_file_that_is_not_a_database_is_refused_without_its_content(make_store, path):
    path.write_bytes(b"sku;quantity\n" * 1000)
    with pytest.raises(StoreError) as caught:
        make_store(str(path)).names()
    assert "quantity" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_folder_that_is_not_there_is_unavailable(make_store, tmp_path):
    with pytest.raises(StoreUnavailable):
        make_store(str(tmp_path / "nowhere" / "state.db")).names()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_opens_its_own_connections(store):
    inherited = store._database._base.pool
    child = os.fork()
    if child == 0:
        status = 1
        try:
            store.transact("erp", _count_up)
            status = 0 if store._database._base.pool is not inherited else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    store.transact("erp", _count_up)
    assert store.get("erp").state.epoch == 2


def test_due_reads_an_index(make_store, path):
    clock = ManualClock()
    store = make_store(str(path), clock=clock)
    store.migrate()
    statement = store._due.compile(store._database._base, compile_kwargs={"render_postcompile": True})
    with store._database._engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", (1, 10, 0)).all()
    (step,) = [row[-1] for row in plan]
    assert "USING COVERING INDEX" in step
    assert "sources_due (wake_at<?)" in step


def test_the_hosts_engine_keeps_its_transactions(make_store, path):
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.StaticPool)
    store = make_store(engine)
    store.add(StoredSource("erp", {}, SourceState()), AuditEntry("erp", "add_source", "alice", store.now()))
    store.transact("erp", _count_up)
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE hosts (x INTEGER)")
        connection.exec_driver_sql("INSERT INTO hosts VALUES (1)")
        connection.rollback()
        assert connection.exec_driver_sql("SELECT count(*) FROM hosts").scalar() == 0
    engine.dispose()


def test_importing_the_package_of_stores_loads_no_sqlalchemy():
    code = (
        "import sys, inventory_sources.stores, inventory_sources.stores.memory; assert 'sqlalchemy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_process_that_is_turned_away_while_another_opens_a_new_file_tries_again():
    class Crowded:
        """A connection to a file that others open at the same time: it is turned away twice."""

        def __init__(self):
            self.executed = []

        def execute(self, statement):
            self.executed.append(statement)
            if "journal_mode" in statement and self.executed.count(statement) <= 2:
                raise sqlite3.OperationalError("database is locked")

    cursor = Crowded()
    Sqlite().prepare(cursor, 5000)
    assert cursor.executed.count("PRAGMA journal_mode = WAL") == 3
    assert cursor.executed[2:4] == ["BEGIN IMMEDIATE", "ROLLBACK"]
