"""The pace of one fetch: whose turn it is, over all of its threads."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from attrs import define, field

from inventory_sources.errors import FetchTimeout, RateLimited

if TYPE_CHECKING:
    from inventory_sources.protocols.clock import Clock
    from inventory_sources.rest._manners import Manners

__all__ = ["Pace"]

#: Seconds after which a pause looks whether the sync was cancelled.
_SLICE = 0.1


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


@define(eq=False)
class Pace:
    """Keeps the manners of one fetch; safe to use from several threads.

    :param left: how many seconds of the fetch are left; raises when there are none, or it was cancelled.
    :param pause: waits so many seconds, at most a tenth of one at a time.
    :param draw: a number from 0 to 1.
    """

    manners: Manners
    clock: Clock
    left: Callable[[], float]
    pause: Callable[[float], None] = _pause
    draw: Callable[[], float] = random.random
    _lock: threading.Lock = field(factory=threading.Lock, init=False)
    #: On the clock: when the next request is due by the rate, and before when nobody sends.
    _due: float = field(default=float("-inf"), init=False)
    _held: float = field(default=float("-inf"), init=False)

    def turn(self) -> bool:
        """Waits until a request may be sent; whether there was anything to wait for.

        :raises RateLimited: when the server asked for a longer pause than the manners or the deadline allow.
        :raises FetchTimeout: when the rate lets no more requests through before the deadline.
        """
        wait = self._reserved()
        if wait > 0 and wait >= self.left():
            raise FetchTimeout("the declared rate lets no more requests through before the deadline")
        self.rest(wait)
        paused = wait > 0
        waited = self.clock.monotonic()
        while (held := self._held) > waited:
            wait = held - self.clock.monotonic()
            if wait > self.manners.max_pause or wait >= self.left():
                raise RateLimited("the server's budget is used up", retry_after=timedelta(seconds=wait))
            self.rest(wait)
            paused = True
            waited = held
        return paused

    def hold(self, seconds: float) -> None:
        """No request is sent for so long."""
        with self._lock:
            self._held = max(self._held, self.clock.monotonic() + seconds)

    def backoff(self, tried: int) -> float:
        """Seconds to wait after a request was tried so many times."""
        longest = self.manners.backoff * 2.0 ** min(tried - 1, 16)
        return self.draw() * min(self.manners.max_pause, longest)

    def _reserved(self) -> float:
        """Takes the next place in the row; seconds until it is there (a token bucket, told by its next due time)."""
        if self.manners.requests_per_second is None:
            return 0.0
        each = 1 / self.manners.requests_per_second
        with self._lock:
            now = self.clock.monotonic()
            # A bucket that is full stands for requests that were due long ago, but no more than fit into it.
            place = max(self._due, now - (self.manners.burst - 1) * each)
            self._due = place + each
        return place - now

    def rest(self, seconds: float) -> None:
        """Waits, and looks meanwhile whether the sync goes on.

        :raises FetchTimeout: at the deadline.
        :raises SyncCancelled: when it was asked to stop.
        """
        while seconds > 0:
            self.left()
            step = min(seconds, _SLICE)
            self.pause(step)
            seconds -= step
