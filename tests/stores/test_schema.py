"""The schema: created once, migrated from older versions, refused when newer, whoever opens it first."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from inventory_sources.errors import SchemaTooNew
from inventory_sources.protocols.store import AuditEntry, StoredSource
from inventory_sources.status import SourceState
from inventory_sources.stores.sql import SqlStateStore
from tests.servers import mysql_url, postgres_url

_VERSION_1 = (Path(__file__).parent / "schema_version_1.sql").read_text()
_LATEST = 4
_PREFIX = f"mig{os.getpid()}_"
_OPEN = """
import sys
from inventory_sources.stores.sql import SqlStateStore
print("ready", flush=True)
sys.stdin.readline()
store = SqlStateStore(sys.argv[1])
store.migrate()
store.close()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.db"


@pytest.fixture
def old(path):
    """A database of version 1 with a source in it."""
    connection = sqlite3.connect(path)
    connection.executescript(_VERSION_1)
    connection.execute("INSERT INTO inventory_sources VALUES ('erp', '{\"a\":1}', '{\"epoch\":5}', 'pending', 5, NULL)")
    connection.commit()
    connection.close()
    return path


def _schema(path):
    connection = sqlite3.connect(path)
    parts = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite%'").fetchall()
    version = connection.execute("SELECT schema_version FROM inventory_meta").fetchall()
    connection.close()
    return {(kind, name, " ".join((sql or "").split())) for kind, name, sql in parts}, version


def _open_at_once(path, processes):
    children = [
        subprocess.Popen(
            [sys.executable, "-c", _OPEN, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(processes)
    ]
    assert [child.stdout.readline() for child in children] == ["ready\n"] * processes
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    for child in children:
        child.communicate()
    return [child.returncode for child in children]


def test_an_older_schema_is_migrated_with_what_it_holds(old, tmp_path):
    with_everything = tmp_path / "new.db"
    for location in (old, with_everything):
        store = SqlStateStore(str(location))
        store.migrate()
        store.close()
    assert _schema(old) == _schema(with_everything)
    assert _schema(old)[1] == [(_LATEST,)]
    store = SqlStateStore(str(old))
    assert store.get("erp") == StoredSource("erp", {"a": 1}, SourceState(epoch=5))
    store.close()


def test_a_migration_cut_off_in_the_middle_changes_nothing(old, monkeypatch):
    from inventory_sources.stores import _schema as module

    def breaks(connection, tables):
        raise KeyboardInterrupt

    before = _schema(old)
    store = SqlStateStore(str(old))
    with monkeypatch.context() as patch:
        patch.setattr(module, "_STEPS", (module._STEPS[0], breaks))
        with pytest.raises(KeyboardInterrupt):
            store.migrate()
    assert _schema(old) == before
    store.migrate()
    store.close()
    assert _schema(old)[1] == [(_LATEST,)]


def test_processes_that_open_an_old_schema_at_once_migrate_it_once(old):
    assert _open_at_once(old, 3) == [0, 0, 0]
    assert _schema(old)[1] == [(_LATEST,)]


def test_processes_that_create_a_database_at_once_create_it_once(path):
    assert _open_at_once(path, 3) == [0, 0, 0]
    assert _schema(path)[1] == [(_LATEST,)]


def test_a_newer_schema_is_refused_and_left_alone(old):
    connection = sqlite3.connect(old)
    connection.execute("UPDATE inventory_meta SET schema_version = 5")
    connection.commit()
    connection.close()
    before = _schema(old)
    store = SqlStateStore(str(old))
    for attempt in (store.migrate, store.names, lambda: store.transact("erp", lambda tx: None)):
        with pytest.raises(SchemaTooNew, match="version 5"):
            attempt()
    store.close()
    assert _schema(old) == before


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(
            postgres_url(), id="postgres", marks=pytest.mark.skipif(not postgres_url(), reason="no PostgreSQL")
        ),
        pytest.param(mysql_url(), id="mariadb", marks=pytest.mark.skipif(not mysql_url(), reason="no MariaDB")),
    ],
)
def test_a_server_is_created_and_migrated_once_by_many(url):
    engine = sa.create_engine(url)
    stores = [SqlStateStore(url, prefix=_PREFIX) for _ in range(4)]
    try:
        _together(stores)
        stores[0].add(StoredSource("erp", {}, SourceState()), AuditEntry("erp", "add_source", "a", stores[0].now()))
        _back_to_version_1(engine, stores[0]._database.tables)
        for store in stores:
            store._database._ready = False
        _together(stores)
        inspector = sa.inspect(engine)
        indexes = {
            index["name"] for table in (_PREFIX + "runs", _PREFIX + "outbox") for index in inspector.get_indexes(table)
        }
        assert {_PREFIX + "runs_by_age", _PREFIX + "outbox_of_source"} <= indexes
        assert list(stores[0].names()) == ["erp"]
        with engine.connect() as connection:
            assert connection.execute(sa.text(f"SELECT schema_version FROM {_PREFIX}meta")).all() == [(_LATEST,)]
    finally:
        stores[0]._database.tables.metadata.drop_all(engine)
        for store in stores:
            store.close()
        engine.dispose()


def _together(stores):
    errors = []
    barrier = threading.Barrier(len(stores))

    def migrate(store):
        barrier.wait()
        try:
            store.migrate()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=migrate, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def _back_to_version_1(engine, tables):
    with engine.begin() as connection:
        for index in (*tables.runs.indexes, *tables.outbox.indexes):
            if index.name in (_PREFIX + "runs_by_age", _PREFIX + "outbox_of_source"):
                index.drop(connection)
        connection.execute(tables.meta.update().values(schema_version=1))
