"""The state store's contract: the outbox."""

from __future__ import annotations

import threading

from attrs import evolve

from inventory_sources.errors import Phase
from inventory_sources.run import Failure
from inventory_sources.testing._store_suite import SECOND, StoreSuite, notification

__all__ = ["OutboxSuite"]

_THREADS = 4


class OutboxSuite(StoreSuite):
    """Out at least once."""

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
