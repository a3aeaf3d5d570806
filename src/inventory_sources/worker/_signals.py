"""SIGTERM and SIGINT: the first asks a worker to stop, the second ends it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from queue import SimpleQueue
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["AtOnce", "Signals"]

_NUMBERS = (signal.SIGTERM, signal.SIGINT)


class AtOnce(BaseException):
    """A second signal came, or the loop did not see the first one in time."""

    def __init__(self, number: int) -> None:
        self.number = number


class Signals:
    """Handles both signals while it lasts, where it is entered in the main thread; elsewhere they are the host's.

    :param ask: called by the first one; it may be in the middle of anything, so ``ask`` must take no lock.
    :param late: seconds after which a loop that hangs, in the store for one, is ended as by a second signal.
    :raises AtOnce: in the main thread, wherever that is, by the second one.
    """

    def __init__(self, ask: Callable[[], object], late: float) -> None:
        self._ask = ask
        self._late = late
        self._before: dict[signal.Signals, Any] = {}
        self._asked: SimpleQueue[int] = SimpleQueue()
        self._first: int | None = None
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            threading.Thread(target=self._watch, name="inventory-watch", daemon=True).start()
            self._before = {number: signal.signal(number, self._handle) for number in _NUMBERS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._asked.put(0)
        for number, before in self._before.items():
            signal.signal(number, before if before is not None else signal.SIG_DFL)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._first is not None:
            raise AtOnce(number)
        self._first = number
        self._ask()
        self._asked.put(number)

    def _watch(self) -> None:
        number = self._asked.get()
        if number and not self._ended.wait(self._late) and hasattr(signal, "pthread_kill"):
            main = threading.main_thread().ident
            if main is not None:
                signal.pthread_kill(main, number)
