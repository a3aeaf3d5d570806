"""The state store's contract: where all sources stand."""

from __future__ import annotations

from inventory_sources.protocols.inbox import InboxSettlement, InboxStatus
from inventory_sources.protocols.standings import Standing
from inventory_sources.status import Reason, SyncStatus
from inventory_sources.testing._store_suite import SECOND, StoreSuite, audit, delivery

__all__ = ["StandingsSuite"]


class StandingsSuite(StoreSuite):
    """All sources at a glance."""

    def test_standings_tell_status_and_last_success(self) -> None:
        """Of each source, and nothing of one that never ran."""
        store, clock = self.open("erp", "wms")
        now = clock.now()
        self.write(store, "erp", {"status": SyncStatus.COMPLETED, "reason": Reason.DONE, "last_success_at": now})
        assert list(store.standings()) == [
            Standing("erp", SyncStatus.COMPLETED, due=False, last_success_at=now),
            Standing("wms", SyncStatus.PENDING, due=False),
        ]

    def test_standings_tell_what_is_due_as_due_does(self) -> None:
        """By the schedule, by a delivery, and by a lease that has run out."""
        store, clock = self.open("erp", "late", "lost", "paused", "pushed")
        now = clock.now()
        self.write(store, "erp", {"next_run_at": now})
        self.write(store, "late", {"next_run_at": now + SECOND})
        self.write(store, "lost", {"status": SyncStatus.SYNCING, "reason": Reason.RUNNING, "lease_until": now})
        self.write(store, "paused", {"next_run_at": now, "paused": True})
        store.put([delivery("d-1", now, source="pushed"), delivery("d-2", now, source="paused")])
        for due in (["erp", "lost", "pushed"], ["erp", "late", "lost", "pushed"]):
            assert [each.source for each in store.standings() if each.due] == sorted(store.due(9)) == due
            clock.advance(SECOND)

    def test_standings_count_deliveries_that_wait(self) -> None:
        """Whether their time has come or not; those that are settled or parked do not wait."""
        store, clock = self.open("erp", "wms")
        now = clock.now()
        store.put([delivery(each, now) for each in "abcd"])
        retried = InboxSettlement("a", InboxStatus.WAITING, attempts=1, next_attempt_at=now + SECOND)
        others = (InboxSettlement("b", InboxStatus.PARKED), InboxSettlement("c", InboxStatus.APPLIED))
        store.settle_deliveries("erp", (retried, *others), audit("erp", now), wake=False)
        assert [each.waiting for each in store.standings()] == [2, 0]

    def test_standings_come_in_pages(self) -> None:
        """In the order of the names, each once."""
        store, _ = self.open("b", "a", "ä", "c ", "c")
        pages = [store.standings(limit=2)]
        while pages[-1]:
            pages.append(store.standings(after=pages[-1][-1].source, limit=2))
        assert [[each.source for each in page] for page in pages] == [["a", "b"], ["c", "c "], ["ä"], []]
