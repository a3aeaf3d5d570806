"""The pause between two turns of a worker."""

from __future__ import annotations

from contextlib import suppress
from queue import Empty, SimpleQueue

__all__ = ["Waiting"]


class Waiting:
    """Waits until the time has passed or somebody wakes it; override for a clock that a test holds."""

    def __init__(self) -> None:
        # Not an Event: a signal's handler that sets one may wait for the lock that its own thread holds.
        self._calls: SimpleQueue[None] = SimpleQueue()

    def wake(self) -> None:
        """Ends the pause, or the next one; from any thread and any signal handler."""
        self._calls.put(None)

    def wait(self, seconds: float) -> None:
        """Returns once it was woken, at once if that was before, and after ``seconds`` at the latest."""
        with suppress(Empty):
            self._calls.get(timeout=max(seconds, 0.0))
            while True:
                self._calls.get_nowait()
