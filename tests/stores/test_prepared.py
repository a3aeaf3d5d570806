"""Statements that are compiled once: a host's listeners see them, and errors are those of SQLAlchemy's own road."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from inventory_sources.errors import StoreError, StoreUnavailable
from inventory_sources.protocols.inbox import InboxEntry, Receipt
from inventory_sources.protocols.store import AuditEntry, StoredSource
from inventory_sources.status import SourceState
from tests.servers import postgres_url

AT = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def entry(number: int, source: str = "erp") -> InboxEntry:
    return InboxEntry(f"id-{number}", source, f"key-{number}", AT, {}, b"{}", f"digest-{number}")


def add(store, name="erp"):
    store.add(StoredSource(name, {}, SourceState()), AuditEntry(name, "add_source", "alice", store.now()))


def test_a_hosts_listeners_see_the_statements_of_its_engine(make_store, tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'state.db'}")
    store, seen = make_store(engine), []
    add(store)
    sa.event.listen(engine, "before_cursor_execute", lambda *told: seen.append(told[2].split()[0]))
    assert store.put([entry(1), entry(2)]) == [Receipt.KEPT, Receipt.KEPT]
    assert seen[:3] == ["BEGIN", "SELECT", "INSERT"]
    assert seen[-1] == "COMMIT"


@pytest.mark.parametrize("number", [1, 2, 3, 5, 8])
def test_a_group_of_any_number_of_sources_is_kept(make_store, tmp_path, number):
    store = make_store(str(tmp_path / "state.db"))
    names = [f"source-{each}" for each in range(number)]
    for name in names:
        add(store, name)
    given = [entry(at, name) for at, name in enumerate([*names, "gone"])]
    assert store.put(given) == [Receipt.KEPT] * number + [Receipt.GONE]


def test_a_statement_that_the_database_refuses_keeps_nothing(make_store, tmp_path):
    store = make_store(str(tmp_path / "state.db"))
    add(store)
    table = store._database.tables.inbox.name
    with store._database._engine.connect() as connection:
        connection.exec_driver_sql(
            f"CREATE TRIGGER refuse BEFORE INSERT ON {table} WHEN new.dedup_key = 'key-2' "
            "BEGIN SELECT RAISE(ABORT, 'hunter2'); END"
        )
    with pytest.raises(StoreError, match="SQLITE_CONSTRAINT_TRIGGER") as caught:
        store.put([entry(1), entry(2)])
    assert "hunter2" not in f"{caught.value!r} {caught.value}"
    assert caught.value.__suppress_context__
    assert list(store.waiting("erp")) == []
    assert store.put([entry(1)]) == [Receipt.KEPT]


@contextmanager
def broken_at_inserts(table):
    """Ends the server's side of every connection of the store's once it has held its rows."""
    with sa.create_engine(postgres_url(), poolclass=sa.NullPool, isolation_level="AUTOCOMMIT").connect() as other:
        name = f"end_{table}"
        other.exec_driver_sql(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN new; END $$"
        )
        other.exec_driver_sql(f"CREATE TRIGGER {name} BEFORE INSERT ON {table} EXECUTE FUNCTION {name}()")
        try:
            yield
        finally:
            other.exec_driver_sql(f"DROP FUNCTION {name} CASCADE")


@pytest.mark.skipif(postgres_url() is None, reason="no PostgreSQL server answers")
def test_a_connection_that_is_lost_between_the_statements_is_used_no_more(make_store):
    store = make_store(postgres_url())
    add(store)
    with broken_at_inserts(store._database.tables.inbox.name), pytest.raises(StoreUnavailable):
        store.put([entry(1)])
    assert list(store.waiting("erp")) == []
    assert store.put([entry(1)]) == [Receipt.KEPT]
