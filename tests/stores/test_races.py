"""Deliveries that meet claims, each other and locks on real servers, step by step."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from attrs import evolve

from inventory_sources.protocols.inbox import InboxSettlement, InboxStatus
from inventory_sources.protocols.store import AuditEntry, StateChange, StoredSource
from inventory_sources.status import Reason, SourceState, SyncStatus
from inventory_sources.stores.sql import SqlStateStore
from inventory_sources.testing import ManualClock
from inventory_sources.testing._store_suite import delivery
from tests.servers import mysql_url, postgres_url

_PATIENCE = 30
#: MariaDB looks at its locks anew only when nobody has asked for a tenth of a second.
_PAUSE = 0.12


class Peer:
    """A worker with a store and connections of its own, whose commits can be held up."""

    def __init__(self, make_store: Callable[..., SqlStateStore], engine: sa.Engine, clock: ManualClock) -> None:
        self.connections: set[int] = set()
        sa.event.listen(engine, "connect", self._connected)
        self.store = make_store(engine, clock=clock)
        self.at_commit, self.may_commit = threading.Event(), threading.Event()
        self.may_commit.set()
        self._commit = self.store._database.dialect.commit
        self.store._database.dialect.commit = self._gated
        self._threads = ThreadPoolExecutor(1)

    def start(self, call: Callable[[], Any]) -> Future[Any]:
        return self._threads.submit(call)

    def hold(self) -> None:
        """From now on stops before each commit, until released."""
        self.at_commit.clear()
        self.may_commit.clear()

    def close(self) -> None:
        self.may_commit.set()
        self._threads.shutdown()

    def _connected(self, connection: Any, _: object) -> None:
        if hasattr(connection, "info"):
            self.connections.add(connection.info.backend_pid)
        else:
            self.connections.add(connection.thread_id())

    def _gated(self, connection: sa.Connection) -> None:
        self.at_commit.set()
        assert self.may_commit.wait(_PATIENCE)
        self._commit(connection)


class Pair:
    """Two workers, and one who looks on."""

    def __init__(self, make_store: Callable[..., SqlStateStore], engines: list[sa.Engine]) -> None:
        self.clock = ManualClock()
        self.engine, *others = engines
        self.one, self.other = (Peer(make_store, engine, self.clock) for engine in others)
        self.store = make_store(self.engine, clock=self.clock)
        self.store.add(
            StoredSource("erp", {}, SourceState()), AuditEntry("erp", "add_source", "alice", self.clock.now())
        )

    def comes_to_rest(self, peer: Peer, future: Future[Any]) -> None:
        """Waits until the peer waits for a lock, stands before its commit, or is done."""
        while not (future.done() or self._waits_for_lock(peer) or self._stands(peer)):
            threading.Event().wait(_PAUSE)

    def _stands(self, peer: Peer) -> bool:
        return peer.at_commit.is_set() and not peer.may_commit.is_set()

    def _waits_for_lock(self, peer: Peer) -> bool:
        if self.engine.dialect.name == "postgresql":
            query = "SELECT pid FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0"
        else:
            query = "SELECT trx_mysql_thread_id FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
        with self.engine.connect() as connection:
            return bool(peer.connections & set(connection.execute(sa.text(query)).scalars()))


@pytest.fixture(
    params=[
        pytest.param(
            postgres_url(), id="postgres", marks=pytest.mark.skipif(not postgres_url(), reason="no PostgreSQL")
        ),
        pytest.param(mysql_url(), id="mariadb", marks=pytest.mark.skipif(not mysql_url(), reason="no MariaDB")),
    ]
)
def engines(request):
    engines = [sa.create_engine(request.param) for _ in range(3)]
    yield engines
    for engine in engines:
        engine.dispose()


@pytest.fixture
def pair(engines, make_store):
    pair = Pair(make_store, engines)
    yield pair
    for peer in (pair.one, pair.other):
        peer.close()


def _claim(store):
    def decide(tx):
        state = evolve(tx.source.state, status=SyncStatus.SYNCING, reason=Reason.RUNNING)
        tx.write(StateChange(state, clear_pushed=True))

    store.transact("erp", decide)


def _claim_and_read(store):
    _claim(store)
    return [entry.id for entry in store.waiting("erp")]


def _finish(store, ids):
    def decide(tx):
        state = evolve(tx.source.state, status=SyncStatus.COMPLETED, reason=Reason.DONE)
        tx.write(StateChange(state, settled=[InboxSettlement(each, InboxStatus.APPLIED) for each in ids]))

    store.transact("erp", decide)


def test_a_claim_that_meets_a_delivery_about_to_be_committed_sees_it_or_leaves_it_due(pair):
    putter, worker = pair.one, pair.other
    pair.store.put([delivery("first", pair.clock.now())])
    putter.hold()
    put = putter.start(lambda: putter.store.put([delivery("second", pair.clock.now())]))
    assert putter.at_commit.wait(_PATIENCE)
    claim = worker.start(lambda: _claim_and_read(worker.store))
    pair.comes_to_rest(worker, claim)
    putter.may_commit.set()
    put.result(_PATIENCE)
    seen = claim.result(_PATIENCE)
    _finish(worker.store, seen)
    assert "second" in seen or list(pair.store.due(10)) == ["erp"]


def test_a_delivery_that_meets_a_claim_about_to_be_committed_is_seen_or_leaves_the_source_due(pair):
    putter, worker = pair.one, pair.other
    pair.store.put([delivery("first", pair.clock.now())])
    worker.hold()
    claim = worker.start(lambda: _claim_and_read(worker.store))
    assert worker.at_commit.wait(_PATIENCE)
    putter.hold()
    put = putter.start(lambda: putter.store.put([delivery("second", pair.clock.now())]))
    pair.comes_to_rest(putter, put)
    worker.may_commit.set()
    seen = claim.result(_PATIENCE)
    putter.may_commit.set()
    put.result(_PATIENCE)
    _finish(worker.store, seen)
    assert "second" in seen or list(pair.store.due(10)) == ["erp"]


def test_a_delivery_does_not_wait_for_a_transition(pair):
    def decide(tx):
        receipts = pair.other.store.put([delivery("a", pair.clock.now())])
        tx.write(StateChange(evolve(tx.source.state, epoch=1)))
        return [receipt.value for receipt in receipts]

    assert pair.one.start(lambda: pair.one.store.transact("erp", decide)).result(_PATIENCE) == ["kept"]
    assert pair.store.get("erp") == StoredSource("erp", {}, SourceState(epoch=1), pair.clock.now())


def test_groups_that_meet_in_a_key_keep_it_once_and_all_the_rest(pair):
    now = pair.clock.now()
    pair.store.put([delivery("first", now)])
    groups = [
        [delivery(f"{who}-{key}", now, key) for key in keys]
        for who, keys in (("x", ["a", "b"]), ("y", ["c", "b", "d"]))
    ]
    pair.one.hold()
    ahead = pair.one.start(lambda: pair.one.store.put(groups[0]))
    assert pair.one.at_commit.wait(_PATIENCE)
    behind = pair.other.start(lambda: pair.other.store.put(groups[1]))
    pair.comes_to_rest(pair.other, behind)
    assert not behind.done()
    pair.one.may_commit.set()
    assert [receipt.value for receipt in ahead.result(_PATIENCE)] == ["kept", "kept"]
    assert [receipt.value for receipt in behind.result(_PATIENCE)] == ["kept", "repeated", "kept"]
    assert {entry.id for entry in pair.store.waiting("erp")} == {"first", "x-a", "x-b", "y-c", "y-d"}


def test_a_source_removed_while_a_delivery_comes_leaves_nothing_of_it(pair):
    pair.store.put([delivery("first", pair.clock.now())])
    pair.one.hold()
    put = pair.one.start(lambda: pair.one.store.put([delivery("second", pair.clock.now())]))
    assert pair.one.at_commit.wait(_PATIENCE)
    entry = AuditEntry("erp", "delete_source", "alice", pair.clock.now())
    remove = pair.other.start(partial(pair.other.store.remove, "erp", entry))
    pair.comes_to_rest(pair.other, remove)
    pair.one.may_commit.set()
    assert [receipt.value for receipt in put.result(_PATIENCE)] == ["kept"]
    remove.result(_PATIENCE)
    assert list(pair.store.deliveries("erp")) == []
    assert [receipt.value for receipt in pair.store.put([delivery("third", pair.clock.now())])] == ["gone"]


def test_a_deadlock_between_groups_is_repeated(pair):
    """Another transaction keeps b and then wants a, while ours has kept a and wants b."""
    now = pair.clock.now()
    pair.store.put([delivery("first", now)])
    table = pair.store._database.tables.inbox
    with pair.engine.connect() as connection:
        pattern = dict(connection.execute(sa.select(table)).mappings().one())
        del pattern["number"]
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(
                "SET deadlock_timeout = '1min'"
            )  # our side is to notice, a second after it began to wait
        rows = [{**pattern, "id": f"raw-{key}", "dedup_key": key} for key in ("b", *map(str, range(50)))]
        connection.execute(table.insert(), rows)  # of two, MariaDB gives up the one that has written less
        ours = pair.one.start(lambda: pair.one.store.put([delivery(key, now) for key in ("a", "b")]))
        pair.comes_to_rest(pair.one, ours)
        assert not ours.done()
        connection.execute(table.insert(), [{**pattern, "id": "raw-a", "dedup_key": "a"}])
        connection.commit()
    receipts = [receipt.value for receipt in ours.result(_PATIENCE)]
    assert receipts == ["repeated", "repeated"]
    assert pair.store.get("erp").pushed_at == now


def test_a_delivery_is_looked_at_by_the_databases_own_clock(engines, make_store):
    store = make_store(engines[0])
    before = store.now()
    store.add(StoredSource("erp", {}, SourceState()), AuditEntry("erp", "add_source", "alice", before))
    store.put([delivery("a", before)], timedelta(hours=1))
    assert before <= store.get("erp").pushed_at - timedelta(hours=1) <= store.now()
    assert list(store.due(10)) == []
