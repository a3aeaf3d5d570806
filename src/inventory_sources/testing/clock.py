"""A clock that stands still until a test moves it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

__all__ = ["ManualClock"]


class ManualClock:
    """A :class:`~inventory_sources.protocols.clock.Clock` for tests; safe to share between threads.

    :param start: the first time of day, aware; kept in UTC.
    :raises ValueError: for a start without a time zone.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        if start.tzinfo is None:
            raise ValueError("a clock starts at an aware time; give it a time zone")
        self._now = start.astimezone(UTC)
        self._monotonic = 0.0
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The time of day, aware, in UTC."""
        with self._lock:
            return self._now

    def monotonic(self) -> float:
        """Seconds passed since the clock was made, by :meth:`advance` alone."""
        with self._lock:
            return self._monotonic

    def advance(self, by: timedelta | float) -> None:
        """Lets time pass, on both readings.

        :param by: a timedelta or seconds; not negative.
        """
        passed = _as_timedelta(by)
        if passed < timedelta(0):
            raise ValueError("time does not pass backwards; use step() to set the time of day back")
        with self._lock:
            self._now += passed
            self._monotonic += passed.total_seconds()

    def step(self, by: timedelta | float) -> None:
        """Sets the time of day forward or back, as an administrator or NTP does; :meth:`monotonic` stays.

        :param by: a timedelta or seconds, of either sign.
        """
        with self._lock:
            self._now += _as_timedelta(by)


def _as_timedelta(by: timedelta | float) -> timedelta:
    return by if isinstance(by, timedelta) else timedelta(seconds=by)
