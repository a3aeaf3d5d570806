"""The stores agree on what becomes of deliveries, in whatever order things happen."""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory_sources.protocols.inbox import InboxSettlement, InboxStatus
from inventory_sources.protocols.store import AuditEntry, Retention, StateChange, StoredSource
from inventory_sources.status import Reason, SourceState, SyncStatus
from inventory_sources.stores.memory import MemoryStateStore
from inventory_sources.stores.sql import SqlStateStore
from inventory_sources.testing import ManualClock
from inventory_sources.testing._store_suite import delivery

_SECOND = timedelta(seconds=1)
_NAMES = ("erp", "wms")
_SYNCING = {"status": SyncStatus.SYNCING, "reason": Reason.RUNNING, "next_run_at": None}

_names = st.sampled_from(_NAMES)
_seconds = st.integers(0, 3)
_moments = st.none() | _seconds
_puts = st.lists(
    st.tuples(st.sampled_from((*_NAMES, "gone")), st.sampled_from("abc"), st.sampled_from("xy"), _seconds), max_size=4
)
_settlements = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(InboxStatus), st.integers(0, 2), _moments), max_size=3
)
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), _puts, _seconds),
        st.tuples(st.just("claim"), _names),
        st.tuples(st.just("finish"), _names, _settlements, st.sampled_from(Reason), _moments),
        st.tuples(st.just("judge"), _names, _settlements, st.booleans()),
        st.tuples(st.just("remove"), _names),
        st.tuples(st.just("purge"), _seconds),
        st.tuples(st.just("pass"), _seconds),
    ),
    max_size=20,
)


class Driver:
    """Does the same steps on one store."""

    def __init__(self, make):
        self.clock = ManualClock()
        self.store = make(self.clock)
        self.start, self.put_so_far = self.clock.now(), 0
        for name in _NAMES:
            self._add(name)

    def put(self, entries, wake_in):
        deliveries = [
            evolve(
                delivery(f"d{self.put_so_far + position}", self.start + moment * _SECOND, key, source, body.encode()),
                sequence=self.put_so_far,
                sequence_of=body,
            )
            for position, (source, key, body, moment) in enumerate(entries)
        ]
        self.put_so_far += len(entries)
        return [receipt.value for receipt in self.store.put(deliveries, wake_in * _SECOND)]

    def claim(self, name):
        self._write(name, _SYNCING, clear_pushed=True)
        return [entry.id for entry in self.store.waiting(name)]

    def finish(self, name, settlements, reason, pushed_in):
        state = {"status": SyncStatus.COMPLETED, "reason": reason}
        pushed_at = None if pushed_in is None else self.clock.now() + pushed_in * _SECOND
        self._write(name, state, settled=self._settlements(name, settlements), pushed_at=pushed_at)

    def judge(self, name, settlements, wake):
        audit = AuditEntry(name, "judge", "alice", self.clock.now())
        return self.store.settle_deliveries(name, self._settlements(name, settlements), audit, wake=wake)

    def remove(self, name):
        self.store.remove(name, AuditEntry(name, "delete_source", "alice", self.clock.now()))
        self._add(name)

    def purge(self, seconds):
        return self.store.purge(Retention(deliveries=seconds * _SECOND))["deliveries"]

    def pass_(self, seconds):
        self.clock.advance(seconds * _SECOND)

    def all_there_is(self):
        store = self.store
        return [
            list(store.due(10)),
            *(
                (
                    store.get(name),
                    list(store.waiting(name)),
                    list(store.deliveries(name)),
                    list(store.set_aside(name)),
                    list(store.sequences(name, "x", -1, 100)),
                    [entry.action for entry in store.audit(name)],
                )
                for name in _NAMES
            ),
        ]

    def _settlements(self, name, settlements):
        """Of the deliveries that the source has, and of one that it has not."""
        now = self.clock.now()
        ids = [*(entry.id for entry in self.store.deliveries(name)), "d0"]
        later = {seconds: now + seconds * _SECOND for seconds in range(4)}
        chosen = {
            ids[number % len(ids)]: (status, attempts, later.get(seconds))
            for number, status, attempts, seconds in settlements
        }
        return [InboxSettlement(each, *settled, "r", "why") for each, settled in chosen.items()]

    def _add(self, name):
        self.store.add(StoredSource(name, {}, SourceState()), AuditEntry(name, "add", "alice", self.clock.now()))

    def _write(self, name, state, **change):
        self.store.transact(name, lambda tx: tx.write(StateChange(evolve(tx.source.state, **state), **change)))


@settings(max_examples=60, deadline=None)
@given(_steps)
def test_memory_and_sqlite_agree(steps):
    memory = Driver(MemoryStateStore)
    sqlite = Driver(lambda clock: SqlStateStore("sqlite://", clock=clock))
    try:
        for kind, *values in steps:
            method = "pass_" if kind == "pass" else kind
            assert getattr(memory, method)(*values) == getattr(sqlite, method)(*values)
            assert memory.all_there_is() == sqlite.all_there_is()
    finally:
        sqlite.store.close()
        sqlite.store._database._base.dispose()
