"""What the memory store keeps of each source, and when each source's time comes."""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections.abc import Sequence
from datetime import datetime

from attrs import define, evolve, field

from inventory_sources.errors import SourceNotFound
from inventory_sources.protocols.clock import Clock
from inventory_sources.protocols.endpoints import Endpoint
from inventory_sources.protocols.inbox import InboxEntry, InboxSettlement, InboxStatus, Receipt
from inventory_sources.protocols.store import AuditEntry, HeldPlan, UnmappedSku
from inventory_sources.run import RunResult, SyncRun
from inventory_sources.status import SourceState
from inventory_sources.stores._transaction import earliest, time_of

__all__ = ["Kept", "KeptInbox", "KeptSources"]

_OPEN = (InboxStatus.WAITING, InboxStatus.PARKED)


@define
class KeptInbox:
    """The deliveries of one source, by id in the order they were put."""

    entries: dict[str, InboxEntry] = field(factory=dict)
    by_key: dict[str, InboxEntry] = field(factory=dict)
    settled_at: dict[str, datetime] = field(factory=dict)

    def put(self, entry: InboxEntry) -> Receipt:
        """Keeps an entry whose key is new."""
        known = self.by_key.get(entry.key)
        if known is not None:
            return Receipt.REPEATED if known.digest == entry.digest else Receipt.CONFLICT
        self.entries[entry.id] = self.by_key[entry.key] = entry
        return Receipt.KEPT

    def in_order(self) -> list[InboxEntry]:
        """As received; of those received at once, as put."""
        return sorted(self.entries.values(), key=lambda entry: entry.received_at)

    def settle(self, settlements: Sequence[InboxSettlement], now: datetime) -> int:
        """Settles those that are open; gives how many."""
        settled = 0
        for each in settlements:
            entry = self.entries.get(each.id)
            if entry is None or entry.status not in _OPEN:
                continue
            self.entries[each.id] = self.by_key[entry.key] = evolve(
                entry,
                status=each.status,
                attempts=each.attempts,
                next_attempt_at=each.next_attempt_at,
                run_id=each.run_id,
                reason=each.reason,
            )
            if each.status not in _OPEN:
                self.settled_at[each.id] = now
            settled += 1
        return settled

    def purge(self, before: datetime) -> int:
        """Forgets what was settled before; gives how many."""
        old = [entry_id for entry_id, moment in self.settled_at.items() if moment < before]
        for entry_id in old:
            del self.settled_at[entry_id], self.by_key[self.entries.pop(entry_id).key]
        return len(old)


@define
class Kept:
    """All that is kept of one source."""

    spec: str
    state: SourceState
    pushed_at: datetime | None = None
    runs: dict[str, SyncRun] = field(factory=dict)
    ledger: list[bytes] = field(factory=list)
    unmapped: dict[str, UnmappedSku] = field(factory=dict)
    held: HeldPlan | None = None
    overrides: dict[str, str] = field(factory=dict)
    inbox: KeptInbox = field(factory=KeptInbox)
    endpoints: dict[str, Endpoint] = field(factory=dict)

    @property
    def wake_at(self) -> datetime | None:
        """When it needs a worker, by its state or for its deliveries."""
        return earliest(self.state.wake_at, self.pushed_at if self.state.takes_pushes else None)

    def newest_runs(self) -> list[SyncRun]:
        """The last started first."""
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


class KeptSources:
    """The sources, under one lock that lets one transaction or query in at a time."""

    def __init__(self, clock: Clock | None) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._sources: dict[str, Kept] = {}
        self._wakes: list[tuple[datetime, str]] = []
        self._audit: list[AuditEntry] = []

    def now(self) -> datetime:
        """The store's time (UTC)."""
        return time_of(self._clock)

    def _kept(self, name: str) -> Kept:
        kept = self._sources.get(name)
        if kept is None:
            raise SourceNotFound(f"no source {name[:80]!r} is in the state store")
        return kept

    def _wake(self, name: str, kept: Kept, state: SourceState, pushed_at: datetime | None) -> None:
        """Keeps the list of wake-up times sorted, so that ``due`` costs the same at any number of sources."""
        before = kept.wake_at
        kept.state, kept.pushed_at = state, pushed_at
        if before is not None:
            del self._wakes[bisect_left(self._wakes, (before, name))]
        if kept.wake_at is not None:
            insort(self._wakes, (kept.wake_at, name))
