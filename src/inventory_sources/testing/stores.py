"""The contract of a :class:`~inventory_sources.protocols.store.StateStore`, as tests to inherit.

In five lines::

    class TestRedisStore(StateStoreContract):
        def make_store(self, clock):
            return RedisStore(url, clock=clock, namespace=uuid4().hex)

Each test makes one store and expects it empty; whoever makes it also cleans up after it.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from attrs import evolve

from inventory_sources.errors import ConfigurationError, Phase, SourceExists, SourceNotFound, StoreError
from inventory_sources.protocols.store import HeldPlan, LedgerChange, StateChange, StoredSource, Transaction
from inventory_sources.run import Failure, Trigger
from inventory_sources.status import Incident, Reason, SourceState, SyncStatus
from inventory_sources.testing._store_deliveries import DeliveriesSuite
from inventory_sources.testing._store_endpoints import EndpointsSuite
from inventory_sources.testing._store_inbox import InboxSuite
from inventory_sources.testing._store_knowledge import HistorySuite, KnowledgeSuite
from inventory_sources.testing._store_outbox import OutboxSuite
from inventory_sources.testing._store_retention import RetentionSuite
from inventory_sources.testing._store_standings import StandingsSuite
from inventory_sources.testing._store_suite import SECOND, StoreSuite, audit, delivery, notification, raised, run_of

__all__ = ["StateStoreContract"]

_THREADS = 8
_STEPS = 10
_AT = datetime(2026, 3, 29, 1, 2, 3, 456789, tzinfo=UTC)
_FULL_STATE = SourceState(
    status=SyncStatus.SYNCING,
    reason=Reason.RUNNING,
    epoch=2**40,
    config_version=7,
    failures=2,
    next_run_at=_AT,
    next_trigger=Trigger.WEBHOOK,
    trigger=Trigger.RETRY,
    run_id="r-1",
    owner="worker 在庫",
    lease_until=_AT + timedelta(microseconds=1),
    waiting_since=_AT,
    last_failure=Failure("truncated", Phase.FETCH, "half \ud800 a pair", "…", _AT, "SHA256:k"),
    last_success_at=_AT,
    incident=Incident("i-1", held=True, alarms=("SHA256:k", "SHA256:other")),
    paused=True,
    cancel_requested=True,
    held_digest="h",
    approved_digest="a",
    rejected_digest="r",
    baseline_rows=1_000_000,
)


class SourcesSuite(StoreSuite):
    """Adding, reading, listing and removing."""

    def test_a_source_reads_back_as_it_was_added(self) -> None:
        """Every field of the state, times to the microsecond."""
        store, clock = self.open()
        source = StoredSource("erp", {"a": [1, "1.50", None, {"é": True}]}, _FULL_STATE, _AT)
        store.add(source, audit("erp", clock.now()))
        assert store.get("erp") == source

    def test_a_name_is_taken_once(self) -> None:
        """And the first one stays as it is."""
        store, clock = self.open("erp")
        again = StoredSource("erp", {"other": 1}, SourceState())
        raised(SourceExists, lambda: store.add(again, audit("erp", clock.now())))
        assert store.get("erp").spec == {"connector": "file"}
        assert len(store.audit("erp")) == 1

    def test_names_are_exact(self) -> None:
        """Case, accents, trailing spaces and full width all make another name, in the order of code points."""
        names = ["ERP", "erp", "erp ", "erp  ", "érp", "e\u0301rp", "\uff45\uff52\uff50", "\U0001f4e6", "x" * 255]
        store, _ = self.open(*names)
        assert list(store.names()) == sorted(names)
        assert [store.get(name).name for name in names] == names
        raised(SourceNotFound, lambda: store.get("Erp"))

    def test_names_come_in_pages(self) -> None:
        """A page goes on after the last name of the one before."""
        store, _ = self.open("c", "a", "b")
        assert list(store.names(limit=2)) == ["a", "b"]
        assert list(store.names(after="b", limit=2)) == ["c"]

    def test_a_name_that_not_every_database_keeps_is_refused(self) -> None:
        """Empty, too long, with NUL or half a pair."""
        store, clock = self.open()
        for name in ("", "x" * 256, "a\0b", "\ud800"):
            add = partial(store.add, StoredSource(name, {}, SourceState()), audit("erp", clock.now()))
            raised(ConfigurationError, add)
        assert list(store.names()) == []

    def test_removing_leaves_the_audit_only(self) -> None:
        """A source of the same name starts from nothing, and a running sync is fenced out."""
        store, clock = self.open("erp", "wms")
        self._fill(store, "erp", clock.now())
        self._fill(store, "wms", clock.now())
        store.remove("erp", audit("erp", clock.now(), "delete_source"))
        raised(SourceNotFound, lambda: store.transact("erp", lambda tx: None))
        raised(SourceNotFound, lambda: store.remove("erp", audit("erp", clock.now())))
        assert [entry.action for entry in store.audit("erp")] == [
            "delete_source",
            "add_endpoint",
            "map_sku",
            "add_source",
        ]
        store.add(StoredSource("erp", {}, SourceState()), audit("erp", clock.now()))
        assert not any(self._traces(store, "erp").values())
        assert all(self._traces(store, "wms").values())
        assert [entry.notification.source for entry in store.take(10, SECOND)] == ["wms"]

    def _fill(self, store: Any, name: str, now: datetime) -> None:
        from inventory_sources.protocols.store import UnmappedSku
        from inventory_sources.testing._store_knowledge import rejection

        self.write(
            store,
            name,
            runs=(run_of(name, f"run of {name}", now),),
            rejections_of=f"run of {name}",
            rejections=[rejection(1)],
            ledger=LedgerChange(b"x", 1, replaces=False),
            unmapped=[UnmappedSku("A", now, now)],
            held=HeldPlan("d", f"run of {name}", now, (), b"x"),
            notifications=(notification(f"mail of {name}", now, name),),
        )
        store.override(name, "A", "B", audit(name, now, "map_sku"))
        store.put([delivery(f"delivery of {name}", now, "key", name)])
        store.add_endpoint(name, f"token of {name}", audit(name, now, "add_endpoint"), SECOND)

    @staticmethod
    def _traces(store: Any, name: str) -> dict[str, object]:
        return {
            "run": store.run(f"run of {name}"),
            "runs": store.runs(name),
            "rejections": store.rejections(f"run of {name}"),
            "ledger": store.ledger(name),
            "unmapped": store.unmapped(name),
            "held": store.held(name),
            "overrides": store.overrides(name),
            "waiting": store.waiting(name),
            "deliveries": store.deliveries(name),
            "endpoints": store.endpoints(name),
            "endpoint": store.endpoint(f"token of {name}"),
            "pushed": store.get(name).pushed_at,
        }


class TransitionsSuite(StoreSuite):
    """One transaction at a time for each source, all of it or nothing."""

    def test_everything_is_there_after_a_transition(self) -> None:
        """The result of the decision comes out, and what it wrote is there."""
        store, clock = self.open("erp")
        before = store.get("erp")

        def decide(tx: Transaction) -> str:
            assert tx.source == before
            assert tx.now == clock.now()
            tx.write(StateChange(_FULL_STATE, runs=(run_of("erp", "r-1", tx.now),), spec={"new": 1}))
            return "decided"

        assert store.transact("erp", decide) == "decided"
        assert store.get("erp") == StoredSource("erp", {"new": 1}, _FULL_STATE)
        assert store.run("r-1") == run_of("erp", "r-1", clock.now())

    def test_a_decision_that_raises_changes_nothing(self) -> None:
        """Also after it has written; its own error comes out."""
        store, clock = self.open("erp")
        before, failure = store.get("erp"), RuntimeError("on purpose")

        def decide(tx: Transaction) -> None:
            tx.write(StateChange(_FULL_STATE, runs=(run_of("erp", "r-1", clock.now()),), spec={}))
            raise failure

        assert raised(RuntimeError, lambda: store.transact("erp", decide)) is failure
        assert store.get("erp") == before
        assert store.run("r-1") is None
        self.write(store, "erp", {"epoch": 1})
        assert store.get("erp").state.epoch == 1

    def test_a_second_write_is_refused(self) -> None:
        """And takes the first one with it."""
        store, _ = self.open("erp")

        def decide(tx: Transaction) -> None:
            tx.write(StateChange(evolve(tx.source.state, epoch=1)))
            tx.write(StateChange(evolve(tx.source.state, epoch=2)))

        raised(StoreError, lambda: store.transact("erp", decide))
        assert store.get("erp").state.epoch == 0

    def test_a_decision_that_writes_nothing_changes_nothing(self) -> None:
        """Looking is allowed."""
        store, _ = self.open("erp")
        before = store.get("erp")
        assert store.transact("erp", lambda tx: tx.source) == before
        assert store.get("erp") == before

    def test_a_run_is_read_inside_the_transaction(self) -> None:
        """Runs written before are seen, others are not there."""
        store, clock = self.open("erp")
        self.write(store, "erp", runs=(run_of("erp", "r-1", clock.now()),))
        assert store.transact("erp", lambda tx: tx.run("r-1")) == run_of("erp", "r-1", clock.now())
        assert store.transact("erp", lambda tx: tx.run("r-2")) is None

    def test_no_update_is_lost_between_threads(self) -> None:
        """Each thread counts two sources up; every step counts."""
        store, _ = self.open("erp", "wms")
        errors: list[Exception] = []

        def count() -> None:
            try:
                for step in range(2 * _STEPS):
                    store.transact(("erp", "wms")[step % 2], _count_up)
            except Exception as error:  # noqa: BLE001 - a thread's error is the test's
                errors.append(error)

        threads = [threading.Thread(target=count) for _ in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert [store.get(name).state.epoch for name in ("erp", "wms")] == [_THREADS * _STEPS] * 2

    def test_due_lists_the_longest_overdue_first(self) -> None:
        """Up to the limit, and nothing before its time."""
        store, clock = self.open("a", "b", "c", "d", "e")
        now = clock.now()
        for name, seconds in (("a", 3), ("b", 1), ("c", 2), ("d", 4)):
            self.write(store, name, {"next_run_at": now + seconds * SECOND})
        assert list(store.due(10)) == []
        clock.advance(3 * SECOND)
        assert list(store.due(10)) == ["b", "c", "a"]
        assert list(store.due(2)) == ["b", "c"]
        assert store.now() == now + 3 * SECOND

    def test_due_follows_every_change(self) -> None:
        """Moved on, taken back, paused, asked for while paused, and a lease that runs out."""
        store, clock = self.open("erp")
        now, due = clock.now(), {"next_run_at": clock.now()}
        syncing = {"status": SyncStatus.SYNCING, "lease_until": now + SECOND}
        for state, expected in (
            (due, ["erp"]),
            ({"next_run_at": now + SECOND}, []),
            ({"next_run_at": None}, []),
            ({**due, "paused": True}, []),
            ({**due, "next_trigger": Trigger.MANUAL}, ["erp"]),
            (syncing, []),
            ({"lease_until": now}, ["erp"]),
        ):
            self.write(store, "erp", state)
            assert list(store.due(10)) == expected, state


def _count_up(tx: Transaction) -> None:
    tx.write(StateChange(evolve(tx.source.state, epoch=tx.source.state.epoch + 1)))


class StateStoreContract(
    SourcesSuite,
    TransitionsSuite,
    HistorySuite,
    KnowledgeSuite,
    OutboxSuite,
    InboxSuite,
    DeliveriesSuite,
    EndpointsSuite,
    StandingsSuite,
    RetentionSuite,
):
    """Inherit it and say how to make the store."""
