"""Threads for the engine's work, so that an event loop never waits for a database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from inventory_sources.errors import ConfigurationError
from inventory_sources.integrations._mount import Refusal

__all__ = ["Pool"]

T = TypeVar("T")


class Pool:
    """A number of threads of its own, and a number of calls that may wait for one.

    Threads are made when needed, so one made before a fork serves in the children.

    :param threads: how many calls run at once.
    :param queue: how many more may wait.
    """

    def __init__(self, threads: int, queue: int) -> None:
        if threads < 1 or queue < 0:
            raise ConfigurationError(f"a mount needs a thread at least, and no less than no queue: {threads}, {queue}")
        self._room = threads + queue
        self._lock = threading.Lock()
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="inventory-sources-receive")

    async def run(self, call: Callable[[], T]) -> T:
        """What ``call`` gives, from a thread; when the caller is cancelled meanwhile, the call still ends.

        :raises Refusal: 503 when too many wait already.
        """
        with self._lock:
            if not self._room:
                raise Refusal(503)
            self._room -= 1
        future = self._executor.submit(call)
        future.add_done_callback(self._left)
        return await asyncio.wrap_future(future)

    def _left(self, done: Future[T]) -> None:
        with self._lock:
            self._room += 1
