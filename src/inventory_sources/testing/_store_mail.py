"""The state store's contract: outbox and inbox."""

from __future__ import annotations

import threading

from attrs import evolve

from inventory_sources.errors import ConfigurationError, Phase, SourceNotFound, StoreError
from inventory_sources.run import Failure
from inventory_sources.testing._store_suite import SECOND, StoreSuite, delivery, notification, raised

__all__ = ["MailSuite"]

_THREADS = 4


class MailSuite(StoreSuite):
    """Out at least once, in exactly once."""

    def test_a_notification_is_handed_out_once_in_a_lease(self) -> None:
        """Again after the lease, for the one who took it may be gone; attempts are counted from 0."""
        store, clock = self.open("erp")
        failure = Failure("truncated", Phase.FETCH, "ended \U0001f4e6", "again", clock.now())
        sent = evolve(notification("n-1", clock.now()), run_id="r-1", failure=failure)
        self.write(store, "erp", notifications=(sent,))
        (entry,) = store.take(10, 5 * SECOND)
        assert (entry.notification, entry.attempts, entry.next_attempt_at) == (sent, 0, clock.now() + 5 * SECOND)
        clock.advance(4 * SECOND)
        assert list(store.take(10, 5 * SECOND)) == []
        clock.advance(1 * SECOND)
        assert [(entry.notification.id, entry.attempts) for entry in store.take(10, SECOND)] == [("n-1", 1)]

    def test_a_settled_notification_is_gone(self) -> None:
        """For good, also when it is settled or written again."""
        store, clock = self.open("erp")
        self.write(store, "erp", notifications=(notification("n-1", clock.now()), notification("n-2", clock.now())))
        store.take(10, SECOND)
        store.settle("n-1")
        store.settle("n-1", retry_in=SECOND)
        self.write(store, "erp", notifications=(notification("n-1", clock.now()),))
        clock.advance(SECOND)
        assert [entry.notification.id for entry in store.take(10, SECOND)] == ["n-2"]

    def test_a_failed_notification_waits_as_told(self) -> None:
        """From the moment it failed; an unknown one is passed over."""
        store, clock = self.open("erp")
        self.write(store, "erp", notifications=(notification("n-1", clock.now()),))
        store.take(10, 60 * SECOND)
        clock.advance(SECOND)
        store.settle("n-1", retry_in=9 * SECOND)
        store.settle("not there", retry_in=SECOND)
        clock.advance(8 * SECOND)
        assert list(store.take(10, SECOND)) == []
        clock.advance(SECOND)
        assert [entry.notification.id for entry in store.take(10, SECOND)] == ["n-1"]

    def test_a_repeated_notification_is_kept_once(self) -> None:
        """The first stays: its attempts and lease go on."""
        store, clock = self.open("erp")
        self.write(store, "erp", notifications=(notification("n-1", clock.now()),))
        store.take(10, 9 * SECOND)
        self.write(store, "erp", notifications=(notification("n-1", clock.now()),))
        assert list(store.take(10, SECOND)) == []
        clock.advance(9 * SECOND)
        assert [entry.attempts for entry in store.take(10, SECOND)] == [1]

    def test_threads_never_take_the_same(self) -> None:
        """Each notification goes to one of them."""
        store, clock = self.open("erp")
        sent = tuple(notification(f"n-{number:02}", clock.now()) for number in range(24))
        self.write(store, "erp", notifications=sent)
        taken: list[str] = []
        start = threading.Barrier(_THREADS)

        def take() -> None:
            start.wait()
            while entries := store.take(3, 60 * SECOND):
                taken.extend(entry.notification.id for entry in entries)

        threads = [threading.Thread(target=take) for _ in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        taken += [entry.notification.id for entry in store.take(100, 60 * SECOND)]
        assert sorted(taken) == [entry.id for entry in sent]

    def test_a_delivery_waits_until_it_is_done(self) -> None:
        """Oldest first, byte for byte."""
        store, clock = self.open("erp", "wms")
        now = clock.now()
        first, second, third = (delivery(name, now + order * SECOND) for name, order in (("a", 2), ("b", 0), ("c", 1)))
        assert [store.put(each) for each in (first, second, third)] == [True, True, True]
        assert list(store.waiting("erp")) == [second, third, first]
        assert list(store.waiting("erp", limit=1)) == [second]
        assert list(store.waiting("wms")) == []
        store.done(["b", "not there"])
        assert list(store.waiting("erp")) == [third, first]

    def test_a_repeated_delivery_is_recognised(self) -> None:
        """By its key, exactly, for each source; also when the first one is done."""
        store, clock = self.open("erp", "wms")
        assert store.put(delivery("a", clock.now(), "Key"))
        assert not store.put(delivery("b", clock.now(), "Key"))
        store.done(["a"])
        assert not store.put(delivery("c", clock.now(), "Key"))
        assert store.put(delivery("d", clock.now(), "key"))
        assert store.put(delivery("e", clock.now(), "Key "))
        assert store.put(delivery("f", clock.now(), "Key", "wms"))
        assert [each.id for each in store.waiting("erp")] == ["d", "e"]

    def test_a_delivery_that_cannot_be_kept_is_refused(self) -> None:
        """Rather than acknowledged and lost."""
        store, clock = self.open("erp")
        store.put(delivery("a", clock.now()))
        raised(StoreError, lambda: store.put(delivery("a", clock.now(), "another key")))
        raised(SourceNotFound, lambda: store.put(delivery("b", clock.now(), source="wms")))
        raised(ConfigurationError, lambda: store.put(delivery("c", clock.now(), "k" * 256)))
        assert [each.id for each in store.waiting("erp")] == ["a"]

    def test_a_large_delivery_is_kept(self) -> None:
        """Nine mebibytes."""
        store, clock = self.open("erp")
        large = evolve(delivery("a", clock.now()), body=b"\x00'\\" * (3 * 1024 * 1024))
        store.put(large)
        (read,) = store.waiting("erp")
        assert read.body == large.body
