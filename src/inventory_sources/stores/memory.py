"""The state in this process's memory: for tests, and for hosts that may forget."""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count, islice
from typing import TypeVar

from attrs import define, evolve, field

from inventory_sources.batch import RejectionKind
from inventory_sources.errors import Recovery, SourceExists, SourceNotFound, StoreError
from inventory_sources.protocols.clock import Clock
from inventory_sources.protocols.notifier import Notification
from inventory_sources.protocols.store import (
    AuditEntry,
    Delivery,
    HeldPlan,
    OutboxEntry,
    Retention,
    StateChange,
    StoredRejection,
    StoredSource,
    Transaction,
    UnmappedSku,
)
from inventory_sources.run import RunResult, SyncRun
from inventory_sources.status import SourceState
from inventory_sources.stores._codec import load_spec, to_text
from inventory_sources.stores._transaction import (
    OpenTransaction,
    check_name,
    cutoffs,
    in_order_of_place,
    keepable,
    time_of,
)

__all__ = ["MemoryStateStore"]

T = TypeVar("T")


@define
class _Kept:
    """All that is kept of one source."""

    spec: str
    state: SourceState
    runs: dict[str, SyncRun] = field(factory=dict)
    ledger: list[bytes] = field(factory=list)
    unmapped: dict[str, UnmappedSku] = field(factory=dict)
    held: HeldPlan | None = None
    overrides: dict[str, str] = field(factory=dict)
    inbox: dict[str, _Received] = field(factory=dict)

    def newest_runs(self) -> list[SyncRun]:
        return sorted(self.runs.values(), key=lambda run: (run.started_at, run.epoch), reverse=True)

    def finished(self, before: datetime) -> list[str]:
        """Runs that started before, and are neither running, nor the latest, nor of the held plan."""
        latest = max((run.started_at for run in self.runs.values()), default=before)
        held = self.held.run_id if self.held else None
        return [
            run.id
            for run in self.runs.values()
            if run.started_at < min(before, latest) and run.result is not RunResult.RUNNING and run.id != held
        ]


@define
class _Received:
    delivery: Delivery
    done: bool = False


@define
class _Posted:
    notification: Notification
    next_attempt_at: datetime
    attempts: int = 0
    settled_at: datetime | None = None


class MemoryStateStore:
    """A :class:`~inventory_sources.protocols.store.StateStore` that lasts as long as the object.

    Safe to share between threads: one lock lets one transaction or query in at a time.

    :param clock: gives the store's time; the system's unless given.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._sources: dict[str, _Kept] = {}
        self._wakes: list[tuple[datetime, str]] = []
        self._rejections: dict[str, list[StoredRejection]] = {}
        self._ids = count(1)
        self._outbox: dict[str, _Posted] = {}
        self._audit: list[AuditEntry] = []

    def transact(self, name: str, decide: Callable[[Transaction], T]) -> T:
        """Runs ``decide`` under the lock and then keeps what it wrote."""
        with self._lock:
            transaction = OpenTransaction(self.now(), self.get(name), self.run)
            result = decide(transaction)
            if transaction.change is not None:
                self._keep(name, self._kept(name), transaction.change, transaction.now)
            return result

    def due(self, limit: int) -> Sequence[str]:
        """Names of sources whose ``wake_at`` has come, longest overdue first."""
        with self._lock:
            now = self.now()
            return [name for moment, name in islice(self._wakes, limit) if moment <= now]

    def now(self) -> datetime:
        """The store's time (UTC)."""
        return time_of(self._clock)

    def add(self, source: StoredSource, audit: AuditEntry) -> None:
        """Registers a source."""
        check_name(source.name, "the source name")
        kept = _Kept(to_text(source.spec), SourceState())
        with self._lock:
            if source.name in self._sources:
                raise SourceExists(f"a source {source.name!r} is in the state store already")
            self._sources[source.name] = kept
            self._set_state(source.name, kept, source.state)
            self._audit.append(audit)

    def get(self, name: str) -> StoredSource:
        """One source."""
        with self._lock:
            kept = self._kept(name)
            return StoredSource(name, load_spec(kept.spec, name), kept.state)

    def names(self, after: str = "", limit: int = 1000) -> Sequence[str]:
        """Names in order, a page at a time."""
        with self._lock:
            return sorted(name for name in self._sources if name > after)[:limit]

    def remove(self, name: str, audit: AuditEntry) -> None:
        """Deletes a source with all that is kept of it but its audit entries."""
        with self._lock:
            kept = self._kept(name)
            self._set_state(name, kept, evolve(kept.state, next_run_at=None, lease_until=None))
            for run_id in kept.runs:
                self._rejections.pop(run_id, None)
            self._outbox = {key: mail for key, mail in self._outbox.items() if mail.notification.source != name}
            del self._sources[name]
            self._audit.append(audit)

    def run(self, run_id: str) -> SyncRun | None:
        """One run, or ``None``."""
        with self._lock:
            return next((kept.runs[run_id] for kept in self._sources.values() if run_id in kept.runs), None)

    def runs(self, source: str, limit: int = 50, before: datetime | None = None) -> Sequence[SyncRun]:
        """Runs of a source, newest first: those that started before ``before``."""
        with self._lock:
            runs = self._sources[source].newest_runs() if source in self._sources else []
            return [run for run in runs if before is None or run.started_at < before][:limit]

    def rejections(
        self, run_id: str, kind: RejectionKind | None = None, after: int = 0, limit: int = 1000
    ) -> Sequence[StoredRejection]:
        """Rejected rows of a run in order of place, a page at a time."""
        with self._lock:
            rows = (row for row in self._rejections.get(run_id, ()) if row.id > after)
            return [row for row in rows if kind is None or row.rejection.kind is kind][:limit]

    def resolve_rejections(self, ids: Iterable[int]) -> int:
        """Marks rejected rows as resolved; gives how many were open."""
        chosen, resolved = set(ids), 0
        with self._lock:
            now = self.now()
            for rows in self._rejections.values():
                for position, row in enumerate(rows):
                    if row.id in chosen and row.resolved_at is None:
                        rows[position] = evolve(row, resolved_at=now)
                        resolved += 1
        return resolved

    def audit(self, source: str, limit: int = 100) -> Sequence[AuditEntry]:
        """Audit entries of a source, newest first."""
        with self._lock:
            return [entry for entry in reversed(self._audit) if entry.source == source][:limit]

    def ledger(self, source: str) -> Sequence[bytes]:
        """Segments of the ledger of observations, oldest first."""
        with self._lock:
            return list(self._sources[source].ledger) if source in self._sources else []

    def unmapped(self, source: str, after: str = "", limit: int = 1000) -> Sequence[UnmappedSku]:
        """Unmapped identifiers in order, a page at a time."""
        with self._lock:
            entries = self._sources[source].unmapped if source in self._sources else {}
            return [entries[sku] for sku in sorted(sku for sku in entries if sku > after)[:limit]]

    def held(self, source: str) -> HeldPlan | None:
        """The plan that waits for a person."""
        with self._lock:
            return self._sources[source].held if source in self._sources else None

    def overrides(self, source: str) -> Mapping[str, str]:
        """External identifiers that a person mapped by hand, to the platform's SKUs."""
        with self._lock:
            return dict(self._sources[source].overrides) if source in self._sources else {}

    def override(self, source: str, external: str, sku: str | None, audit: AuditEntry) -> None:
        """Maps an external identifier by hand; ``None`` takes the mapping back."""
        check_name(external, "the identifier")
        if sku is not None:
            check_name(sku, "the SKU")
        with self._lock:
            overrides = self._kept(source).overrides
            overrides.pop(external, None)
            if sku is not None:
                overrides[external] = sku
            self._audit.append(audit)

    def take(self, limit: int, lease: timedelta) -> Sequence[OutboxEntry]:
        """Up to ``limit`` due notifications; nobody else is given them until ``lease`` has passed."""
        with self._lock:
            now = self.now()
            due = [mail for mail in self._outbox.values() if mail.settled_at is None and mail.next_attempt_at <= now]
            due.sort(key=lambda mail: (mail.next_attempt_at, mail.notification.id))
            return [_hand_out(mail, now + lease) for mail in due[:limit]]

    def settle(self, notification_id: str, *, retry_in: timedelta | None = None) -> None:
        """Records that one was handed over, or that it is to be tried again in ``retry_in``."""
        with self._lock:
            mail = self._outbox.get(notification_id)
            if mail is None or mail.settled_at is not None:
                return
            if retry_in is None:
                mail.settled_at = self.now()
            else:
                mail.next_attempt_at = self.now() + retry_in

    def put(self, delivery: Delivery) -> bool:
        """Keeps a delivery; ``False`` when one with this key is there already for the source."""
        check_name(delivery.id, "the delivery's id")
        check_name(delivery.key, "the delivery's key")
        with self._lock:
            inbox = self._kept(delivery.source).inbox
            if any(received.delivery.key == delivery.key for received in inbox.values()):
                return False
            if any(delivery.id in kept.inbox for kept in self._sources.values()):
                raise StoreError(f"another delivery has the id {delivery.id!r}", recovery=Recovery.STOP)
            inbox[delivery.id] = _Received(delivery)
            return True

    def waiting(self, source: str, limit: int = 100) -> Sequence[Delivery]:
        """Deliveries not dealt with, oldest first."""
        with self._lock:
            inbox = self._sources[source].inbox.values() if source in self._sources else ()
            waiting = [received.delivery for received in inbox if not received.done]
            return sorted(waiting, key=lambda delivery: delivery.received_at)[:limit]

    def done(self, delivery_ids: Iterable[str]) -> None:
        """Marks deliveries as dealt with."""
        chosen = set(delivery_ids)
        with self._lock:
            for kept in self._sources.values():
                for delivery_id in chosen & kept.inbox.keys():
                    kept.inbox[delivery_id].done = True

    def purge(self, retention: Retention) -> Mapping[str, int]:
        """Deletes what is older than ``retention`` allows; gives the number of entries of each of its kinds."""
        with self._lock:
            before = cutoffs(retention, self.now())
            purged = dict.fromkeys(before, 0)
            for kept in self._sources.values():
                self._purge_runs(kept, before, purged)
                purged["unmapped"] += _drop(kept.unmapped, lambda entry: entry.last_seen < before["unmapped"])
                purged["deliveries"] += _drop(
                    kept.inbox, lambda entry: entry.done and entry.delivery.received_at < before["deliveries"]
                )
            purged["notifications"] = _drop(
                self._outbox, lambda mail: mail.settled_at is not None and mail.settled_at < before["notifications"]
            )
            audit = [entry for entry in self._audit if entry.at >= before["audit"]]
            purged["audit"], self._audit = len(self._audit) - len(audit), audit
            return purged

    def close(self) -> None:
        """Nothing to free."""

    def _kept(self, name: str) -> _Kept:
        kept = self._sources.get(name)
        if kept is None:
            raise SourceNotFound(f"no source {name[:80]!r} is in the state store")
        return kept

    def _set_state(self, name: str, kept: _Kept, state: SourceState) -> None:
        """Keeps the list of wake-up times sorted, so that ``due`` costs the same at any number of sources."""
        before, kept.state = kept.state.wake_at, state
        if before is not None:
            del self._wakes[bisect_left(self._wakes, (before, name))]
        if state.wake_at is not None:
            insort(self._wakes, (state.wake_at, name))

    def _keep(self, name: str, kept: _Kept, change: StateChange, now: datetime) -> None:
        if change.spec is not None:
            kept.spec = to_text(change.spec)
        self._set_state(name, kept, change.state)
        kept.runs.update((run.id, run) for run in change.runs)
        if change.rejections_of is not None:
            rows = self._rejections.setdefault(change.rejections_of, [])
            rows += (
                StoredRejection(next(self._ids), change.rejections_of, rejection)
                for rejection in in_order_of_place(change.rejections)
            )
        _learn(kept, change)
        for notification in change.notifications:
            self._outbox.setdefault(notification.id, _Posted(notification, now))
        self._audit.extend(change.audit)

    def _purge_runs(self, kept: _Kept, before: Mapping[str, datetime], purged: dict[str, int]) -> None:
        old = kept.finished(before["runs"])
        for run_id in {*old, *kept.finished(before["rejections"])}:
            purged["rejections"] += len(self._rejections.pop(run_id, ()))
        for run_id in old:
            del kept.runs[run_id]
        purged["runs"] += len(old)


def _learn(kept: _Kept, change: StateChange) -> None:
    if change.ledger is not None:
        kept.ledger = [*(() if change.ledger.replaces else kept.ledger), change.ledger.segment]
    for entry in keepable(change.unmapped):
        known = kept.unmapped.get(entry.sku)
        kept.unmapped[entry.sku] = entry if known is None else evolve(entry, first_seen=known.first_seen)
    for sku in change.resolved:
        kept.unmapped.pop(sku, None)
    if change.drop_held or change.held is not None:
        kept.held = change.held


def _hand_out(mail: _Posted, until: datetime) -> OutboxEntry:
    entry = OutboxEntry(mail.notification, mail.attempts, until)
    mail.attempts += 1
    mail.next_attempt_at = until
    return entry


def _drop(entries: dict[str, T], unwanted: Callable[[T], bool]) -> int:
    keys = [key for key, entry in entries.items() if unwanted(entry)]
    for key in keys:
        del entries[key]
    return len(keys)
