"""What the parts of the state store's contract share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from attrs import evolve

from inventory_sources.protocols.clock import Clock
from inventory_sources.protocols.notifier import Notification, NotificationKind
from inventory_sources.protocols.store import (
    AuditEntry,
    InboxEntry,
    StateChange,
    StateStore,
    StoredSource,
    Transaction,
)
from inventory_sources.run import RunResult, SyncRun, Trigger
from inventory_sources.status import SourceState
from inventory_sources.testing.clock import ManualClock

__all__ = ["DAY", "SECOND", "StoreSuite", "audit", "delivery", "notification", "raised", "run_of"]

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


class StoreSuite:
    """How the tests reach the store."""

    def make_store(self, clock: Clock) -> StateStore:
        """An empty store that takes its time from ``clock``; called once in a test."""
        raise NotImplementedError

    def open(self, *names: str) -> tuple[StateStore, ManualClock]:
        """A store with these sources, and its clock."""
        clock = ManualClock()
        store = self.make_store(clock)
        for name in names:
            store.add(StoredSource(name, {"connector": "file"}, SourceState()), audit(name, clock.now()))
        return store, clock

    @staticmethod
    def write(store: StateStore, name: str, state: dict[str, Any] | None = None, **change: Any) -> None:
        """One transition that changes these fields of the state, and what else is given."""

        def decide(tx: Transaction) -> None:
            tx.write(StateChange(evolve(tx.source.state, **(state or {})), **change))

        store.transact(name, decide)


def audit(source: str, at: datetime, action: str = "add_source") -> AuditEntry:
    """An audit entry."""
    return AuditEntry(source, action, "alice", at, "détail 在庫")


def run_of(source: str, run_id: str, started_at: datetime, result: RunResult = RunResult.COMPLETED) -> SyncRun:
    """A run that has ended, unless ``result`` says otherwise."""
    finished = None if result is RunResult.RUNNING else started_at + SECOND
    return SyncRun(run_id, source, Trigger.MANUAL, started_at, 1, 1, result=result, finished_at=finished)


def notification(notification_id: str, at: datetime, source: str = "erp") -> Notification:
    """A notification."""
    return Notification(notification_id, source, NotificationKind.FAILED, "i-1", "erp failed", at)


def delivery(
    delivery_id: str, at: datetime, key: str | None = None, source: str = "erp", body: bytes = b"\x00{}\xff"
) -> InboxEntry:
    """A delivery; its key is its id unless given."""
    headers = {"x-topic": "stock", "x-hostile": "tab\t naïve 在庫 \ud800 \x00"}
    return InboxEntry(delivery_id, source, key or delivery_id, at, headers, body, sha256(body).hexdigest())


def raised(kind: type[Exception], call: Callable[[], object]) -> Exception:
    """The error of this kind that ``call`` raises."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")
