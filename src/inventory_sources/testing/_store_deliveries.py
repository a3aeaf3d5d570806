"""The state store's contract: what became of deliveries."""

from __future__ import annotations

from attrs import evolve

from inventory_sources.errors import SourceNotFound, StoreError
from inventory_sources.protocols.inbox import InboxEntry, InboxSettlement, InboxStatus
from inventory_sources.testing._store_inbox import ids
from inventory_sources.testing._store_suite import SECOND, StoreSuite, audit, delivery, raised

__all__ = ["DeliveriesSuite"]

_HOSTILE = "tab\t half \ud800 在庫 \x00"


class SettlingSuite(StoreSuite):
    """What became of deliveries."""

    def test_a_settlement_reads_back(self) -> None:
        """Every field; an applied or dismissed one waits no more."""
        store, clock = self.open("erp")
        entries = [delivery(name, clock.now()) for name in "abcd"]
        store.put(entries)
        settled = [
            InboxSettlement("a", InboxStatus.APPLIED, run_id="r-1"),
            InboxSettlement("b", InboxStatus.PARKED, 4, None, "r-1", _HOSTILE),
            InboxSettlement("c", InboxStatus.DISMISSED, 1, reason="by hand"),
        ]
        self.write(store, "erp", settled=settled)
        expected = [_settled(*both) for both in zip(entries, settled, strict=False)]
        assert list(reversed(store.deliveries("erp"))) == [*expected, entries[3]]
        assert list(store.waiting("erp")) == [entries[3]]

    def test_a_delivery_set_aside_waits_for_its_time(self) -> None:
        """In its old place."""
        store, clock = self.open("erp")
        store.put([delivery("a", clock.now()), delivery("b", clock.now() + SECOND)])
        again = InboxSettlement("a", InboxStatus.WAITING, 1, clock.now() + 5 * SECOND, "r-1", "not JSON")
        self.write(store, "erp", settled=[again])
        assert ids(store.waiting("erp")) == ["b"]
        clock.advance(5 * SECOND)
        assert ids(store.waiting("erp")) == ["a", "b"]

    def test_what_is_settled_stays_so(self) -> None:
        """Nor is another source's delivery touched, or one that is not there; parked ones are open."""
        store, clock = self.open("erp", "wms")
        store.put([delivery("a", clock.now()), delivery("b", clock.now()), delivery("w", clock.now(), source="wms")])
        self.write(store, "erp", settled=[_applied("a"), InboxSettlement("b", InboxStatus.PARKED, 4)])
        again = [InboxSettlement(name, InboxStatus.WAITING) for name in ("a", "w", "gone")]
        self.write(store, "erp", settled=[*again, _applied("b"), InboxSettlement("w", InboxStatus.APPLIED)])
        assert [each.status for each in store.deliveries("erp")] == [InboxStatus.APPLIED] * 2
        assert [each.status for each in store.deliveries("wms")] == [InboxStatus.WAITING]

    def test_a_decision_that_raises_settles_nothing(self) -> None:
        """Deliveries and their effects stand or fall together."""
        store, clock = self.open("erp")
        store.put([delivery("a", clock.now())])
        raised(StoreError, lambda: self.write(store, "erp", spec={1, 2}, settled=[_applied("a")], clear_pushed=True))
        assert ids(store.waiting("erp")) == ["a"]
        assert store.get("erp").pushed_at == clock.now()

    def test_many_are_settled_at_once(self) -> None:
        """More than a statement holds."""
        store, clock = self.open("erp")
        names = [f"{number:04}" for number in range(1200)]
        store.put([delivery(name, clock.now()) for name in names])
        self.write(store, "erp", settled=[_applied(name) for name in names[1:]])
        assert ids(store.waiting("erp")) == ["0000"]

    def test_a_person_settles_what_is_open(self) -> None:
        """The source is looked at when asked for; what was done is in the audit trail, but only then."""
        store, clock = self.open("erp", "wms")
        store.put([delivery(name, clock.now()) for name in "abc"])
        store.put([delivery("w", clock.now(), source="wms")])
        self.write(
            store, "erp", settled=[_applied("a"), InboxSettlement("b", InboxStatus.PARKED, 4)], clear_pushed=True
        )
        clock.advance(SECOND)
        entry = audit("erp", clock.now(), "dismiss")
        dismissals = [InboxSettlement(name, InboxStatus.DISMISSED) for name in ("a", "c", "w", "gone")]
        assert store.settle_deliveries("erp", dismissals, entry, wake=False) == 1
        assert store.settle_deliveries("erp", dismissals, entry, wake=True) == 0
        assert store.get("erp").pushed_at is None
        retry = InboxSettlement("b", InboxStatus.WAITING)
        assert store.settle_deliveries("erp", [retry], audit("erp", clock.now(), "retry"), wake=True) == 1
        assert store.get("erp").pushed_at == clock.now()
        assert [(each.id, each.attempts) for each in store.waiting("erp")] == [("b", 0)]
        assert [entry.action for entry in store.audit("erp")] == ["retry", "dismiss", "add_source"]
        raised(SourceNotFound, lambda: store.settle_deliveries("gone", [retry], entry, wake=True))


class ListingSuite(StoreSuite):
    """Looking into the inbox."""

    def test_sequence_numbers_come_lowest_first(self) -> None:
        """Above the given one, of one item, of whatever status."""
        store, clock = self.open("erp", "wms")
        now = clock.now()
        numbers = [("a", 7, "x"), ("b", 5, "x"), ("c", 6, "X"), ("d", 9, "x"), ("e", None, "x"), ("f", 8, "")]
        for seconds, (name, number, of) in enumerate(numbers):
            store.put([evolve(delivery(name, now + seconds * SECOND), sequence=number, sequence_of=of)])
        store.put([evolve(delivery("w", now, source="wms"), sequence=6, sequence_of="x")])
        self.write(store, "erp", settled=[_applied("a")])
        assert list(store.sequences("erp", "x", 5)) == [(7, now)]
        assert list(store.sequences("erp", "x", 4, limit=10)) == [(5, now + SECOND), (7, now), (9, now + 3 * SECOND)]
        assert list(store.sequences("erp", "", -1)) == [(8, now + 5 * SECOND)]
        assert [*store.sequences("erp", "x", 9), *store.sequences("gone", "x", 0)] == []

    def test_deliveries_come_in_pages(self) -> None:
        """The last received first, on from one of them, of a status."""
        store, clock = self.open("erp", "wms")
        now = clock.now()
        for name, seconds in {"a": 1, "b": 0, "c": 2, "d": 1}.items():
            store.put([delivery(name, now + seconds * SECOND)])
        store.put([delivery("w", now, source="wms")])
        self.write(store, "erp", settled=[_applied("a"), _applied("c")])
        assert ids(store.deliveries("erp")) == ["c", "d", "a", "b"]
        assert ids(store.deliveries("erp", limit=2)) == ["c", "d"]
        assert ids(store.deliveries("erp", before="d")) == ["a", "b"]
        assert ids(store.deliveries("erp", status=InboxStatus.APPLIED)) == ["c", "a"]
        assert ids(store.deliveries("erp", before="d", status=InboxStatus.APPLIED)) == ["a"]
        assert [*store.deliveries("erp", before="w"), *store.deliveries("erp", before="?")] == []
        assert [*store.deliveries("gone")] == []

    def test_those_set_aside_come_without_their_bodies(self) -> None:
        """The next to be tried first, parked ones last; neither fresh nor settled ones."""
        store, clock = self.open("erp", "wms")
        now = clock.now()
        entries = {name: delivery(name, now) for name in ("parked", "late", "soon", "fresh", "done")}
        store.put(list(entries.values()))
        settled = [
            InboxSettlement("parked", InboxStatus.PARKED, 4, None, "r-1", "not JSON"),
            InboxSettlement("late", InboxStatus.WAITING, 2, now + 9 * SECOND, "r-1", "no SKU"),
            InboxSettlement("soon", InboxStatus.WAITING, 1, now + SECOND, "r-1", "no SKU"),
            InboxSettlement("done", InboxStatus.APPLIED, 1),
        ]
        self.write(store, "erp", settled=settled)
        bare = [evolve(_settled(entries[each.id], each), headers={}, body=b"") for each in settled[:3]]
        assert list(store.set_aside("erp")) == [bare[2], bare[1], bare[0]]
        assert list(store.set_aside("erp", limit=2)) == [bare[2], bare[1]]
        assert list(store.set_aside("wms")) == []


class DeliveriesSuite(SettlingSuite, ListingSuite):
    """From the worker to the one who asks."""


def _applied(name: str) -> InboxSettlement:
    return InboxSettlement(name, InboxStatus.APPLIED)


def _settled(entry: InboxEntry, by: InboxSettlement) -> InboxEntry:
    return evolve(
        entry,
        status=by.status,
        attempts=by.attempts,
        next_attempt_at=by.next_attempt_at,
        run_id=by.run_id,
        reason=by.reason,
    )
