"""What a damaged record, an unusable address or a lost server looks like to the one who asks."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from inventory_sources.batch import Place, Rejection, RejectionKind
from inventory_sources.errors import ConfigurationError, MissingExtra, RecordInvalid, StoreUnavailable
from inventory_sources.protocols.store import AuditEntry, StateChange, StoredSource
from inventory_sources.run import SyncRun
from inventory_sources.status import SourceState
from inventory_sources.stores._codec import dump, load
from inventory_sources.stores.sql import SqlStateStore
from tests.servers import postgres_url


@pytest.fixture
def store(make_store, tmp_path):
    store = make_store(str(tmp_path / "state.db"))
    store.add(StoredSource("erp", {}, SourceState()), AuditEntry("erp", "add_source", "alice", store.now()))
    return store


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"epoch":"1"}',
        '{"epoch":1.0}',
        '{"epoch":true}',
        '{"paused":0}',
        '{"status":"odd"}',
        '{"next_run_at":"2026-01-01"}',
        '{"next_run_at":1e3}',
        '{"last_failure":{}}',
        '{"owner":1}',
    ],
)
def test_a_damaged_state_is_named_and_the_source_can_be_removed(store, text):
    tables = store._database.tables
    with store._database._engine.connect() as connection:
        connection.execute(tables.sources.update().values(state=text))
    for read in (lambda: store.get("erp"), lambda: store.transact("erp", lambda tx: None)):
        with pytest.raises(RecordInvalid, match="'erp' in table 'sources'"):
            read()
    store.remove("erp", AuditEntry("erp", "delete_source", "alice", store.now()))
    assert list(store.names()) == []


@pytest.mark.parametrize(
    "change",
    [{"quantity": 1.5}, {"quantity": "NaN"}, {"cells": {"a": 1}}, {"cells": [["a", "b"]]}],
)
def test_a_damaged_rejection_is_refused(change):
    import json

    good = Rejection(RejectionKind.INVALID, "r", "m", "g", Place("o", 1), {"a": None}, quantity=Decimal("1.50"))
    text = dump(good)
    assert load(Rejection, text, "rejections", 1) == good
    with pytest.raises(RecordInvalid, match="'rejections'"):
        load(Rejection, json.dumps({**json.loads(text), **change}), "rejections", 1)


def test_text_is_never_taken_apart_into_a_list():
    run = '{"id":"r","source":"s","trigger":"manual","started_at":1,"epoch":1,"config_version":1,"inputs":"abc"}'
    with pytest.raises(RecordInvalid):
        load(SyncRun, run, "runs", "r")
    assert load(SyncRun, run.replace('"abc"', '["abc"]'), "runs", "r").inputs == ("abc",)


@given(st.datetimes(timezones=st.timezones()), st.decimals(allow_nan=False, allow_infinity=False))
def test_times_and_quantities_survive_exactly(moment, quantity):
    level = Rejection(RejectionKind.INVALID, "r", "m", "g", Place("o", 1), quantity=quantity)
    assert str(load(Rejection, dump(level), "t", 1).quantity) == str(quantity)
    state = SourceState(next_run_at=moment)
    try:
        read = load(SourceState, dump(state), "t", 1)
    except RecordInvalid:
        assert not 1 < moment.year < 9999
        return
    assert read.next_run_at == moment
    assert read.next_run_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize("url", ["postgresql://u:hunter2@127.0.0.1:1/x", "mysql://u:hunter2@127.0.0.1:1/x"])
def test_a_server_that_is_gone_shows_no_credentials(url):
    store = SqlStateStore(url)
    with pytest.raises(StoreUnavailable) as caught:
        store.names()
    assert "hunter2" not in f"{caught.value!r} {caught.value}"
    assert caught.value.__suppress_context__
    store.close()


@pytest.mark.parametrize("url", ["oracle://u:hunter2@h/x", "nonsense://u:hunter2@h", "postgresql://u:hunter2@h:port/x"])
def test_an_unusable_url_is_refused_without_showing_it(url):
    with pytest.raises((ConfigurationError, MissingExtra)) as caught:
        SqlStateStore(url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.skipif(postgres_url() is None, reason="no PostgreSQL server answers")
def test_a_deadlock_repeats_the_decision(make_store):
    store = make_store(postgres_url())
    store.add(StoredSource("erp", {}, SourceState()), AuditEntry("erp", "add_source", "alice", store.now()))
    attempts = []

    def decide(tx):
        attempts.append(tx.source.state.epoch)
        tx.write(StateChange(evolve(tx.source.state, epoch=tx.source.state.epoch + 1)))
        if len(attempts) < 3:
            tx.connection.execute(sa.text("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40P01'; END $$"))

    store.transact("erp", decide)
    assert attempts == [0, 0, 0]
    assert store.get("erp").state.epoch == 1


@pytest.mark.skipif(postgres_url() is None, reason="no PostgreSQL server answers")
def test_a_connection_lost_in_the_middle_changes_nothing(make_store):
    store = make_store(postgres_url())
    store.add(StoredSource("erp", {}, SourceState()), AuditEntry("erp", "add_source", "alice", store.now()))

    def decide(tx):
        tx.write(StateChange(evolve(tx.source.state, epoch=1)))
        with sa.create_engine(postgres_url(), poolclass=sa.NullPool).connect() as other:
            pid = tx.connection.execute(sa.text("SELECT pg_backend_pid()")).scalar()
            other.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})

    with pytest.raises(StoreUnavailable):
        store.transact("erp", decide)
    assert store.get("erp").state.epoch == 0


@pytest.mark.parametrize("use", ["read", "write"])
@pytest.mark.skipif(postgres_url() is None, reason="no PostgreSQL server answers")
def test_connections_that_the_server_ended_while_they_lay_idle_are_replaced(make_store, use):
    store = make_store(postgres_url())
    store.add(StoredSource("erp", {}, SourceState()), AuditEntry("erp", "add_source", "alice", store.now()))
    engine = store._database._engine
    with engine.connect() as one, engine.connect() as another:
        pids = [each.exec_driver_sql("SELECT pg_backend_pid()").scalar_one() for each in (one, another)]
    with sa.create_engine(postgres_url(), poolclass=sa.NullPool).connect() as other:
        for pid in pids:
            assert other.execute(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid}).scalar_one()
    if use == "write":
        store.transact("erp", lambda tx: tx.write(StateChange(evolve(tx.source.state, epoch=1))))
    assert store.get("erp").state.epoch == (1 if use == "write" else 0)
