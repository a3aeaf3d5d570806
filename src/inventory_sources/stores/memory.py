"""The state in this process's memory: for tests, and for hosts that may forget."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count, islice
from typing import TypeVar

from attrs import define, evolve

from inventory_sources.batch import RejectionKind
from inventory_sources.errors import SourceExists
from inventory_sources.protocols.clock import Clock
from inventory_sources.protocols.notifier import Notification
from inventory_sources.protocols.store import (
    AuditEntry,
    HeldPlan,
    OutboxEntry,
    Retention,
    StateChange,
    StoredRejection,
    StoredSource,
    Transaction,
    UnmappedSku,
)
from inventory_sources.run import SyncRun
from inventory_sources.status import SourceState
from inventory_sources.stores._codec import load_spec, to_text
from inventory_sources.stores._kept import Kept
from inventory_sources.stores._memory_endpoints import MemoryEndpoints
from inventory_sources.stores._memory_inbox import MemoryInbox
from inventory_sources.stores._memory_standings import MemoryStandings
from inventory_sources.stores._transaction import (
    OpenTransaction,
    check_name,
    cutoffs,
    earliest,
    in_order_of_place,
    keepable,
)

__all__ = ["MemoryStateStore"]

T = TypeVar("T")


@define
class _Posted:
    notification: Notification
    next_attempt_at: datetime
    attempts: int = 0
    settled_at: datetime | None = None


class MemoryStateStore(MemoryInbox, MemoryEndpoints, MemoryStandings):
    """A :class:`~inventory_sources.protocols.store.StateStore` that lasts as long as the object.

    Safe to share between threads: one lock lets one transaction or query in at a time.

    :param clock: gives the store's time; the system's unless given.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(clock)
        self._rejections: dict[str, list[StoredRejection]] = {}
        self._ids = count(1)
        self._outbox: dict[str, _Posted] = {}

    def transact(self, name: str, decide: Callable[[Transaction], T]) -> T:
        """Runs ``decide`` under the lock and then keeps what it wrote."""
        with self._lock:
            transaction = OpenTransaction(self.now(), self.get(name), self.run)
            result = decide(transaction)
            if transaction.change is not None:
                self._keep(name, self._kept(name), transaction.change, transaction.now)
            return result

    def due(self, limit: int) -> Sequence[str]:
        """Names of sources whose time has come, longest overdue first."""
        with self._lock:
            now = self.now()
            return [name for moment, name in islice(self._wakes, limit) if moment <= now]

    def add(self, source: StoredSource, audit: AuditEntry) -> None:
        """Registers a source."""
        check_name(source.name, "the source name")
        kept = Kept(to_text(source.spec), SourceState())
        with self._lock:
            if source.name in self._sources:
                raise SourceExists(f"a source {source.name!r} is in the state store already")
            self._sources[source.name] = kept
            self._wake(source.name, kept, source.state, source.pushed_at)
            self._audit.append(audit)

    def get(self, name: str) -> StoredSource:
        """One source."""
        with self._lock:
            kept = self._kept(name)
            return StoredSource(name, load_spec(kept.spec, name), kept.state, kept.pushed_at)

    def names(self, after: str = "", limit: int = 1000) -> Sequence[str]:
        """Names in order, a page at a time."""
        with self._lock:
            return sorted(name for name in self._sources if name > after)[:limit]

    def remove(self, name: str, audit: AuditEntry) -> None:
        """Deletes a source with all that is kept of it but its audit entries."""
        with self._lock:
            kept = self._kept(name)
            self._wake(name, kept, evolve(kept.state, next_run_at=None, lease_until=None), None)
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

    def purge(self, retention: Retention) -> Mapping[str, int]:
        """Deletes what is older than ``retention`` allows; gives the number of entries of each of its kinds."""
        with self._lock:
            before = cutoffs(retention, self.now())
            purged = dict.fromkeys(before, 0)
            for kept in self._sources.values():
                self._purge_runs(kept, before, purged)
                purged["unmapped"] += _drop(kept.unmapped, lambda entry: entry.last_seen < before["unmapped"])
                purged["deliveries"] += kept.inbox.purge(before["deliveries"])
            purged["notifications"] = _drop(
                self._outbox, lambda mail: mail.settled_at is not None and mail.settled_at < before["notifications"]
            )
            audit = [entry for entry in self._audit if entry.at >= before["audit"]]
            purged["audit"], self._audit = len(self._audit) - len(audit), audit
            return purged

    def close(self) -> None:
        """Nothing to free."""

    def _keep(self, name: str, kept: Kept, change: StateChange, now: datetime) -> None:
        if change.spec is not None:
            kept.spec = to_text(change.spec)
        pushed_at = None if change.clear_pushed else kept.pushed_at
        self._wake(name, kept, change.state, earliest(pushed_at, change.pushed_at))
        kept.runs.update((run.id, run) for run in change.runs)
        if change.rejections_of is not None:
            rows = self._rejections.setdefault(change.rejections_of, [])
            rows += (
                StoredRejection(next(self._ids), change.rejections_of, rejection)
                for rejection in in_order_of_place(change.rejections)
            )
        kept.inbox.settle(change.settled, now)
        _learn(kept, change)
        for notification in change.notifications:
            self._outbox.setdefault(notification.id, _Posted(notification, now))
        self._audit.extend(change.audit)

    def _purge_runs(self, kept: Kept, before: Mapping[str, datetime], purged: dict[str, int]) -> None:
        old = kept.finished(before["runs"])
        for run_id in {*old, *kept.finished(before["rejections"])}:
            purged["rejections"] += len(self._rejections.pop(run_id, ()))
        for run_id in old:
            del kept.runs[run_id]
        purged["runs"] += len(old)


def _learn(kept: Kept, change: StateChange) -> None:
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
