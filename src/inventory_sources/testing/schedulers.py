"""The contract of a :class:`~inventory_sources.protocols.scheduler.Scheduler`, as tests to inherit.

In five lines::

    class TestQueueScheduler(SchedulerContract):
        def make(self): return QueueScheduler(queue)
        def make_broken(self): return QueueScheduler(closed_queue)
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from inventory_sources.protocols.scheduler import Scheduler

__all__ = ["SchedulerContract"]

_NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
_HANGS = 30.0


class SchedulerContract:
    """Inherit it and say how to make the scheduler, and one whose job system is gone."""

    def make(self) -> Scheduler:
        """A scheduler that works."""
        raise NotImplementedError

    def make_broken(self) -> Scheduler:
        """A scheduler whose job system takes nothing."""
        raise NotImplementedError

    def test_a_hint_for_any_time_returns_at_once(self) -> None:
        """Also one for next year: nothing waits in the caller's thread."""
        scheduler = self.make()
        hints = threading.Thread(target=_hint_all_times, args=(scheduler,), daemon=True)
        hints.start()
        hints.join(_HANGS)
        assert not hints.is_alive(), "wake_at did not return"

    def test_a_hint_may_come_twice(self) -> None:
        """Doubled hints are part of the protocol."""
        scheduler = self.make()
        scheduler.wake_at("erp", _NOON)
        scheduler.wake_at("erp", _NOON)

    def test_a_lost_hint_raises_nothing(self) -> None:
        """A sync must not fail because a hint could not be given."""
        self.make_broken().wake_at("erp", _NOON)


def _hint_all_times(scheduler: Scheduler) -> None:
    for days in (-365, 0, 1, 365):
        scheduler.wake_at("erp", _NOON + timedelta(days=days))
