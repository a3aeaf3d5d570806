"""The inbox in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from attrs import evolve

from inventory_sources.errors import Recovery, StoreError
from inventory_sources.protocols.inbox import InboxEntry, InboxSettlement, InboxStatus, Receipt
from inventory_sources.protocols.store import AuditEntry
from inventory_sources.stores._kept import KeptInbox, KeptSources
from inventory_sources.stores._transaction import check_entries, earliest, fitting

__all__ = ["MemoryInbox"]

_FIRST = datetime.min.replace(tzinfo=UTC)


class MemoryInbox(KeptSources):
    """:class:`~inventory_sources.protocols.inbox.Inbox` and what became of deliveries, in memory."""

    def put(self, entries: Sequence[InboxEntry], wake_in: timedelta = timedelta(0)) -> Sequence[Receipt]:
        """Keeps deliveries, and has their sources looked at after ``wake_in``."""
        check_entries(entries)
        with self._lock:
            self._check_ids(entries)
            receipts = [self._put(entry) for entry in entries]
            moment = self.now() + wake_in
            kept = (entry.source for entry, receipt in zip(entries, receipts, strict=True) if receipt is Receipt.KEPT)
            for name in set(kept):
                source = self._kept(name)
                self._wake(name, source, source.state, earliest(source.pushed_at, moment))
            return receipts

    def waiting(self, source: str, limit: int = 500, max_bytes: int | None = None) -> Sequence[InboxEntry]:
        """Deliveries that wait and whose time has come, in the order received."""
        with self._lock:
            now = self.now()
            waiting = (entry for entry in self._inbox(source).in_order() if entry.status is InboxStatus.WAITING)
            come = [entry for entry in waiting if (entry.next_attempt_at or now) <= now][:limit]
            return come[: fitting((len(entry.body) for entry in come), max_bytes)]

    def sequences(self, source: str, sequence_of: str, after: int, limit: int = 1) -> Sequence[tuple[int, datetime]]:
        """Sequence numbers above ``after`` with the times of their receipt, lowest first."""
        with self._lock:
            entries = [entry for entry in self._inbox(source).in_order() if entry.sequence_of == sequence_of]
            numbered = ((entry.sequence, entry.received_at) for entry in entries if entry.sequence is not None)
            return sorted(each for each in numbered if each[0] > after)[:limit]

    def deliveries(
        self, source: str, limit: int = 50, before: str | None = None, status: InboxStatus | None = None
    ) -> Sequence[InboxEntry]:
        """Deliveries of a source, the last received first, a page at a time: those that came before ``before``."""
        with self._lock:
            entries = self._inbox(source).in_order()
            if before is not None:
                ids = [entry.id for entry in entries]
                entries = entries[: ids.index(before)] if before in ids else []
            return [entry for entry in reversed(entries) if status in (None, entry.status)][:limit]

    def set_aside(self, source: str, limit: int = 1000) -> Sequence[InboxEntry]:
        """Those that were read in vain and are not settled, the next to be tried first and parked ones last."""
        with self._lock:
            entries = self._inbox(source).in_order()
            retries = [entry for entry in entries if entry.status is InboxStatus.WAITING and entry.attempts]
            retries.sort(key=lambda entry: entry.next_attempt_at or _FIRST)
            parked = (entry for entry in entries if entry.status is InboxStatus.PARKED)
            return [evolve(entry, headers={}, body=b"") for entry in (*retries, *parked)][:limit]

    def settle_deliveries(
        self, source: str, settlements: Sequence[InboxSettlement], audit: AuditEntry, *, wake: bool
    ) -> int:
        """Settles deliveries of a source that wait or are parked; gives how many."""
        with self._lock:
            kept, now = self._kept(source), self.now()
            settled = kept.inbox.settle(settlements, now)
            if settled:
                self._audit.append(audit)
            if settled and wake:
                self._wake(source, kept, kept.state, earliest(kept.pushed_at, now))
            return settled

    def _inbox(self, source: str) -> KeptInbox:
        return self._sources[source].inbox if source in self._sources else KeptInbox()

    def _put(self, entry: InboxEntry) -> Receipt:
        return self._kept(entry.source).inbox.put(entry) if entry.source in self._sources else Receipt.GONE

    def _check_ids(self, entries: Sequence[InboxEntry]) -> None:
        """An id names one delivery; a repetition of a key is not kept, so that its id does not matter."""
        keys: set[tuple[str, str]] = set()
        ids: set[str] = set()
        for entry in entries:
            key = (entry.source, entry.key)
            if entry.source not in self._sources or key in keys or entry.key in self._inbox(entry.source).by_key:
                continue
            if entry.id in ids or any(entry.id in kept.inbox.entries for kept in self._sources.values()):
                raise StoreError(f"another delivery has the id {entry.id!r}", recovery=Recovery.STOP)
            ids.add(entry.id)
            keys.add(key)
