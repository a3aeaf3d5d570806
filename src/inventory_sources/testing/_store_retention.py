"""The state store's contract: what is purged, and what never is."""

from __future__ import annotations

from datetime import datetime, timedelta

from inventory_sources.protocols.clock import Clock
from inventory_sources.protocols.inbox import InboxSettlement, InboxStatus, Receipt
from inventory_sources.protocols.store import HeldPlan, Retention, StateStore, UnmappedSku
from inventory_sources.run import RunResult
from inventory_sources.testing._store_knowledge import rejection
from inventory_sources.testing._store_suite import DAY, StoreSuite, audit, delivery, notification, run_of

__all__ = ["RetentionSuite"]

_NOTHING = {"runs": 0, "rejections": 0, "unmapped": 0, "notifications": 0, "deliveries": 0, "audit": 0}
_LONG = timedelta(days=1000)


def _keep_all_but(**kind: timedelta) -> Retention:
    kept = dict.fromkeys(_NOTHING, _LONG)
    return Retention(**{**kept, **kind})


class RetentionSuite(StoreSuite):
    """Each kind after its own time, and nothing that is open."""

    def _runs(self, store: StateStore, clock: Clock, *runs: tuple[str, RunResult]) -> datetime:
        """Runs a day apart, the first one today, with two rejections each."""
        start = clock.now()
        for days, (name, result) in enumerate(runs):
            self.write(
                store,
                "erp",
                runs=(run_of("erp", name, start + days * DAY, result),),
                rejections_of=name,
                rejections=[rejection(1), rejection(2)],
            )
        return start

    def test_old_runs_go_with_their_rejections(self) -> None:
        """What started before the limit goes, what started at it stays."""
        store, clock = self.open("erp")
        self._runs(store, clock, *((name, RunResult.COMPLETED) for name in ("a", "b", "c", "d")))
        clock.advance(5 * DAY)
        assert store.purge(_keep_all_but(runs=3 * DAY)) == {**_NOTHING, "runs": 2, "rejections": 4}
        assert [run.id for run in store.runs("erp")] == ["d", "c"]
        assert [len(store.rejections(name)) for name in ("a", "b", "c", "d")] == [0, 0, 2, 2]

    def test_open_runs_stay(self) -> None:
        """The running, the latest and the held plan's, with their rejections."""
        store, clock = self.open("erp")
        kinds = [("held", RunResult.HELD), ("running", RunResult.RUNNING), ("old", RunResult.FAILED)]
        start = self._runs(store, clock, *kinds, ("latest", RunResult.COMPLETED))
        self.write(store, "erp", held=HeldPlan("d", "held", start, (), b""))
        clock.advance(100 * DAY)
        purged = store.purge(_keep_all_but(runs=DAY, rejections=DAY))
        assert purged == {**_NOTHING, "runs": 1, "rejections": 2}
        assert [run.id for run in store.runs("erp")] == ["latest", "running", "held"]
        assert [len(store.rejections(name)) for name in ("latest", "running", "held")] == [2, 2, 2]

    def test_old_rejections_go_before_their_runs(self) -> None:
        """The run itself stays."""
        store, clock = self.open("erp")
        self._runs(store, clock, ("a", RunResult.COMPLETED), ("b", RunResult.COMPLETED))
        clock.advance(50 * DAY)
        assert store.purge(_keep_all_but(rejections=DAY)) == {**_NOTHING, "rejections": 2}
        assert [run.id for run in store.runs("erp")] == ["b", "a"]

    def test_unmapped_identifiers_go_when_they_are_not_seen_any_more(self) -> None:
        """However long ago they were seen first."""
        store, clock = self.open("erp")
        start = clock.now()
        seen = [UnmappedSku("gone", start, start + DAY), UnmappedSku("seen", start, start + 3 * DAY)]
        self.write(store, "erp", unmapped=seen)
        clock.advance(4 * DAY)
        assert store.purge(_keep_all_but(unmapped=2 * DAY)) == {**_NOTHING, "unmapped": 1}
        assert [entry.sku for entry in store.unmapped("erp")] == ["seen"]

    def test_only_settled_notifications_go(self) -> None:
        """One that was never handed over stays, however old."""
        store, clock = self.open("erp")
        self.write(store, "erp", notifications=(notification("done", clock.now()), notification("open", clock.now())))
        store.settle("done")
        clock.advance(10 * DAY)
        assert store.purge(_keep_all_but(notifications=DAY)) == {**_NOTHING, "notifications": 1}
        assert [entry.notification.id for entry in store.take(10, DAY)] == ["open"]

    def test_only_settled_deliveries_go(self) -> None:
        """By when they were settled; until then a repetition is recognised. Waiting and parked ones stay."""
        store, clock = self.open("erp")
        names = {"done": InboxStatus.APPLIED, "no": InboxStatus.DISMISSED, "parked": InboxStatus.PARKED}
        names["aside"] = InboxStatus.WAITING
        store.put([delivery(name, clock.now()) for name in (*names, "late", "waiting")])
        clock.advance(100 * DAY)
        self.write(store, "erp", settled=[InboxSettlement(name, status) for name, status in names.items()])
        clock.advance(DAY)
        self.write(store, "erp", settled=[InboxSettlement("late", InboxStatus.APPLIED)])
        clock.advance(6 * DAY)
        assert store.purge(_keep_all_but(deliveries=7 * DAY)) == _NOTHING
        clock.advance(DAY)
        assert store.purge(_keep_all_but(deliveries=7 * DAY)) == {**_NOTHING, "deliveries": 2}
        again = store.put([delivery(name, clock.now()) for name in (*names, "late", "waiting")])
        assert list(again) == [Receipt.KEPT] * 2 + [Receipt.REPEATED] * 4

    def test_old_audit_entries_go(self) -> None:
        """By their own time, of removed sources, too."""
        store, clock = self.open("erp")
        store.remove("erp", audit("erp", clock.now() + 2 * DAY, "delete_source"))
        clock.advance(3 * DAY)
        assert store.purge(_keep_all_but(audit=2 * DAY)) == {**_NOTHING, "audit": 1}
        assert [entry.action for entry in store.audit("erp")] == ["delete_source"]

    def test_more_goes_than_one_batch(self) -> None:
        """All of it in one call."""
        store, clock = self.open("erp")
        entries = [UnmappedSku(f"{number:06}", clock.now(), clock.now()) for number in range(2500)]
        self.write(store, "erp", unmapped=entries)
        clock.advance(2 * DAY)
        assert store.purge(_keep_all_but(unmapped=DAY)) == {**_NOTHING, "unmapped": 2500}
        assert list(store.unmapped("erp")) == []
