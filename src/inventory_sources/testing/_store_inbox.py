"""The state store's contract: the inbox."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial

from attrs import evolve

from inventory_sources.errors import ConfigurationError, StoreError
from inventory_sources.protocols.inbox import InboxEntry, InboxSettlement, InboxStatus, Receipt
from inventory_sources.protocols.store import StateStore
from inventory_sources.status import Reason, SyncStatus
from inventory_sources.testing._store_suite import SECOND, StoreSuite, audit, delivery, raised

__all__ = ["InboxSuite", "ids"]

_THREADS = 4
_SYNCING = {"status": SyncStatus.SYNCING, "reason": Reason.RUNNING, "next_run_at": None}
_IDLE = {"status": SyncStatus.COMPLETED, "reason": Reason.DONE, "next_run_at": None}
_HOSTILE = "tab\t half \ud800 在庫 \x00"


class PuttingSuite(StoreSuite):
    """In exactly once."""

    def test_a_delivery_reads_back_as_it_was_put(self) -> None:
        """Every field, byte for byte."""
        store, clock = self.open("erp")
        plain = delivery("a", clock.now() + timedelta(microseconds=1))
        full = evolve(delivery("b", clock.now(), body=b""), sequence=-(2**63), sequence_of="SKU 在庫")
        assert list(store.put([plain, full])) == [Receipt.KEPT, Receipt.KEPT]
        assert list(store.waiting("erp")) == [full, plain]

    def test_deliveries_wait_in_the_order_received(self) -> None:
        """Of one moment in the order put; a page of them, of their own source."""
        store, clock = self.open("erp", "wms")
        now = clock.now()
        moments = {"a": 2, "b": 0, "c": 1, "z": 1, "d": 1}
        store.put([delivery(name, now + order * SECOND) for name, order in moments.items()])
        store.put([delivery("w", now, source="wms"), delivery("e", now + SECOND)])
        assert ids(store.waiting("erp")) == ["b", "c", "z", "d", "e", "a"]
        assert ids(store.waiting("erp", limit=2)) == ["b", "c"]
        assert ids(store.waiting("wms")) == ["w"]

    def test_a_repeated_delivery_is_recognised(self) -> None:
        """By its key, exactly, within its source; within a group, across groups and whatever became of the first."""
        store, clock = self.open("erp", "wms")
        put = partial(_put, store)
        one = delivery("a", clock.now(), "Key")
        assert put(one, evolve(one, id="b"), evolve(one, id="c", key="key")) == ["kept", "repeated", "kept"]
        assert put(evolve(one, id="d"), evolve(one, id="e", key="Key "), evolve(one, id="f", source="wms")) == [
            "repeated",
            "kept",
            "kept",
        ]
        for status in (InboxStatus.PARKED, InboxStatus.APPLIED):
            self.write(store, "erp", settled=[InboxSettlement("a", status)])
            assert put(evolve(one, id="g")) == ["repeated"]
        assert ids(store.waiting("erp")) == ["c", "e"]

    def test_another_body_under_a_known_key_is_a_conflict(self) -> None:
        """Within a group, too; the first one stays."""
        store, clock = self.open("erp")
        first, other = (delivery(name, clock.now(), "key", body=name.encode()) for name in ("first", "other"))
        assert _put(store, first, other) == ["kept", "conflict"]
        assert _put(store, other, evolve(first, id="again")) == ["conflict", "repeated"]
        assert list(store.waiting("erp")) == [first]

    def test_a_delivery_for_a_source_that_is_gone_is_told(self) -> None:
        """The others of the group are kept."""
        store, clock = self.open("erp")
        lost = [delivery(name, clock.now(), source="wms") for name in ("a", "b")]
        assert _put(store, lost[0], delivery("c", clock.now()), lost[1]) == ["gone", "kept", "gone"]
        assert _put(store) == []
        store.remove("erp", audit("erp", clock.now(), "delete_source"))
        assert _put(store, delivery("d", clock.now())) == ["gone"]

    def test_a_delivery_that_cannot_be_kept_is_refused(self) -> None:
        """Rather than acknowledged and lost; nothing of its group is kept, and no source is woken."""
        store, clock = self.open("erp", "wms")
        good, known = delivery("good", clock.now(), source="wms"), delivery("a", clock.now())
        store.put([known])
        for error, bad in (
            (StoreError, evolve(known, key="another")),
            (StoreError, evolve(known, source="wms")),
            (StoreError, evolve(good, key="another")),
            (ConfigurationError, evolve(known, id="b", key="k" * 256)),
            (ConfigurationError, evolve(known, id="b", key="a\0")),
            (ConfigurationError, evolve(known, id="\ud800", key="c")),
            (ConfigurationError, evolve(known, id="b", key="c", sequence_of="s" * 256)),
            (ConfigurationError, evolve(known, id="b", key="c", sequence=2**63)),
        ):
            raised(error, partial(store.put, [good, bad]))
        assert list(store.waiting("erp")) == [known]
        assert list(store.waiting("wms")) == []
        assert store.get("wms").pushed_at is None

    def test_a_large_delivery_is_kept(self) -> None:
        """Nine mebibytes, among small ones."""
        store, clock = self.open("erp")
        bodies = [b"small", b"\x00'\\" * (3 * 1024 * 1024), b""]
        store.put([delivery(str(number), clock.now(), body=body) for number, body in enumerate(bodies)])
        assert [entry.body for entry in store.waiting("erp")] == bodies
        total = 0
        for count, body in enumerate(bodies, 1):
            assert len(store.waiting("erp", 500, total)) == min(count, len(bodies))
            total += len(body)
        assert len(store.waiting("erp", 500, total)) == len(bodies)

    def test_threads_that_put_the_same_keep_it_once(self) -> None:
        """Groups that overlap, in all orders; each is acknowledged, whoever kept it."""
        store, clock = self.open("erp", "wms")
        names = [f"{number:02}" for number in range(16)]
        groups = [names, names[::-1], names[8:] + names[:8], names[::2] + names[1::2]]
        receipts: list[Receipt] = []
        start = threading.Barrier(_THREADS)

        def put(thread: int) -> None:
            start.wait()
            entries = [
                delivery(f"{thread}-{name}", clock.now(), name, ("erp", "wms")[int(name) % 2])
                for name in groups[thread]
            ]
            receipts.extend(store.put(entries))

        _in_threads(put)
        assert receipts.count(Receipt.KEPT) == len(names)
        assert receipts.count(Receipt.REPEATED) == len(names) * (_THREADS - 1)
        assert sorted(each.key for name in ("erp", "wms") for each in store.waiting(name)) == names


class WakingSuite(StoreSuite):
    """A source that was pushed to is looked at."""

    def test_a_delivery_wakes_its_source(self) -> None:
        """After the given time; a repetition does not."""
        store, clock = self.open("erp", "wms")
        now = clock.now()
        store.put([delivery("a", now)], 5 * SECOND)
        assert [store.get(name).pushed_at for name in ("erp", "wms")] == [now + 5 * SECOND, None]
        clock.advance(4 * SECOND)
        assert list(store.due(10)) == []
        clock.advance(1 * SECOND)
        assert list(store.due(10)) == ["erp"]
        self.write(store, "erp", clear_pushed=True)
        store.put([delivery("a", now)])
        assert store.get("erp").pushed_at is None
        assert list(store.due(10)) == []

    def test_the_earliest_counts(self) -> None:
        """Of what was put, and of what a transition asks for."""
        store, clock = self.open("erp")
        now = clock.now()
        for number, (seconds, earliest) in enumerate(((5, 5), (9, 5), (2, 2))):
            store.put([delivery(str(number), now)], seconds * SECOND)
            assert store.get("erp").pushed_at == now + earliest * SECOND
        for change, expected in (
            ({"pushed_at": now + 3 * SECOND}, 2),
            ({"pushed_at": now + SECOND}, 1),
            ({}, 1),
            ({"pushed_at": now + 8 * SECOND, "clear_pushed": True}, 8),
        ):
            self.write(store, "erp", **change)
            assert store.get("erp").pushed_at == now + expected * SECOND
        self.write(store, "erp", clear_pushed=True)
        assert store.get("erp").pushed_at is None

    def test_a_transition_sees_when_it_was_pushed(self) -> None:
        """As the others do."""
        store, clock = self.open("erp")
        store.put([delivery("a", clock.now())], SECOND)
        assert store.transact("erp", lambda tx: tx.source) == store.get("erp")
        assert store.get("erp").pushed_at == clock.now() + SECOND

    def test_a_source_that_takes_no_pushes_gathers_them(self) -> None:
        """Until it does again: syncing, waiting for a retry, blocked, paused."""
        store, clock = self.open("erp")
        store.put([delivery("a", clock.now())])
        for closed in (
            _SYNCING,
            {**_IDLE, "reason": Reason.RETRY},
            {**_IDLE, "reason": Reason.WAITING},
            {**_IDLE, "reason": Reason.BLOCKED},
            {**_IDLE, "paused": True},
        ):
            self.write(store, "erp", closed)
            assert list(store.due(10)) == []
            self.write(store, "erp", {**_IDLE, "paused": False})
            assert list(store.due(10)) == ["erp"]

    def test_due_takes_the_earlier_of_both_times(self) -> None:
        """In one order, each source once."""
        store, clock = self.open("a", "b", "c", "d")
        now = clock.now()
        times: dict[str, tuple[int | None, int | None]] = {"a": (3, 4), "b": (5, 2), "c": (1, None), "d": (None, 3)}
        for name, (planned, pushed) in times.items():
            if planned is not None:
                self.write(store, name, {"next_run_at": now + planned * SECOND})
            if pushed is not None:
                store.put([delivery(name, now, source=name)], pushed * SECOND)
        clock.advance(2 * SECOND)
        assert list(store.due(10)) == ["c", "b"]
        clock.advance(8 * SECOND)
        assert list(store.due(10)) == ["c", "b", "a", "d"]
        assert [list(store.due(limit)) for limit in (1, 2, 3)] == [["c"], ["c", "b"], ["c", "b", "a"]]

    def test_a_wake_up_is_never_lost(self) -> None:
        """Whenever no source is due, nothing waits unseen: claims race with deliveries."""
        store, clock = self.open("erp")
        seen: set[str] = set()
        start, over = threading.Barrier(_THREADS + 1), threading.Event()

        def put(thread: int) -> None:
            start.wait()
            for number in range(12):
                store.put([delivery(f"{thread}-{number}", clock.now())])

        def work() -> None:
            start.wait()
            while not over.is_set():
                claim()

        def claim() -> None:
            for name in store.due(10):
                self.write(store, name, _SYNCING, clear_pushed=True)
                waiting = ids(store.waiting(name, 1000))
                seen.update(waiting)
                self.write(store, name, _IDLE, settled=[InboxSettlement(each, InboxStatus.APPLIED) for each in waiting])

        worker = threading.Thread(target=work)
        worker.start()
        _in_threads(put)
        over.set()
        worker.join()
        claim()
        assert seen == {f"{thread}-{number}" for thread in range(_THREADS) for number in range(12)}


class InboxSuite(PuttingSuite, WakingSuite):
    """From the sender to the worker."""


def ids(entries: Iterable[InboxEntry]) -> list[str]:
    """What they are called."""
    return [entry.id for entry in entries]


def _put(store: StateStore, *entries: InboxEntry) -> list[str]:
    return [receipt.value for receipt in store.put(entries)]


def _in_threads(call: Callable[[int], None]) -> None:
    """Calls it in threads, each with its number; what one of them raises is the test's error."""
    errors: list[Exception] = []

    def run(number: int) -> None:
        try:
            call(number)
        except Exception as error:  # noqa: BLE001 - a thread's error is the test's
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
