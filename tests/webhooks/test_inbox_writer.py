"""Threads that keep deliveries together: who writes, who waits for whom, and a thread that is interrupted."""

from __future__ import annotations

import hashlib
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from inventory_sources.engine._inbox_writer import InboxWriter
from inventory_sources.errors import StoreUnavailable
from inventory_sources.protocols.inbox import InboxEntry, Receipt
from tests.webhooks.shop import START

AT_ONCE = timedelta(0)
PATIENCE = 30


class Stepped:
    """A store that writes a group when the test lets it."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.begun, self.allowed = threading.Semaphore(0), threading.Semaphore(0)
        self.faults: set[int] = set()

    def put(self, entries: Sequence[InboxEntry], wake_in: timedelta) -> list[Receipt]:
        """Keeps them, or fails in a way that no store may."""
        self.groups.append([entry.id for entry in entries])
        number = len(self.groups)
        self.begun.release()
        assert self.allowed.acquire(timeout=PATIENCE)
        if number in self.faults:
            raise ZeroDivisionError
        return [Receipt.KEPT] * len(entries)

    def begins(self) -> None:
        """Waits until the next group is being written."""
        assert self.begun.acquire(timeout=PATIENCE)


class Threads:
    """A writer, and threads that put."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.store = Stepped()
        self.writer = InboxWriter(self.store)  # type: ignore[arg-type]
        self._pool = pool

    def begin(self, name: str) -> list[Future[Receipt]]:
        """Puts one, and returns when it is being written."""
        future = self._pool.submit(self.writer.put, entry(name), AT_ONCE)
        self.store.begins()
        return [future]

    def put(self, *ids: str) -> list[Future[Receipt]]:
        """One after the other, each in a thread of its own; returns when all wait."""
        futures = []
        for name in ids:
            queued = len(self.writer._queue)
            futures.append(self._pool.submit(self.writer.put, entry(name), AT_ONCE))
            while len(self.writer._queue) == queued:
                threading.Event().wait(0.001)
        return futures


def entry(name: str) -> InboxEntry:
    digest = hashlib.sha256(b"").hexdigest()
    return InboxEntry(id=name, source="wms", key=name, received_at=START, headers={}, body=b"", digest=digest)


@pytest.fixture
def threads() -> Iterator[Threads]:
    with ThreadPoolExecutor(60) as pool:
        made = Threads(pool)
        yield made
        made.store.allowed.release(100)


def kept(futures: Sequence[Future[Any]]) -> list[Any]:
    return [future.result(PATIENCE) for future in futures]


def test_those_that_are_kept_do_not_wait_for_the_next_group(threads: Threads) -> None:
    first = threads.begin("a")
    second = threads.put(*(f"b{number}" for number in range(20)))
    threads.store.allowed.release()
    threads.store.begins()
    third = threads.put(*(f"c{number}" for number in range(20)))
    threads.store.allowed.release()
    threads.store.begins()
    assert kept(first + second) == [Receipt.KEPT] * 21
    assert not any(future.done() for future in third)
    threads.store.allowed.release()
    assert kept(third) == [Receipt.KEPT] * 20
    assert [len(group) for group in threads.store.groups] == [1, 20, 20]


def test_a_store_that_breaks_its_word_fails_its_group_and_the_next_is_written(threads: Threads) -> None:
    threads.store.faults = {2}
    first = threads.begin("a")
    second = threads.put("b", "c")
    threads.store.allowed.release()
    threads.store.begins()
    third = threads.put("d")
    threads.store.allowed.release(2)
    assert kept(first + third) == [Receipt.KEPT] * 2
    assert {type(future.exception(PATIENCE)) for future in second} == {ZeroDivisionError, StoreUnavailable}


class Interrupted(BaseException):
    """What a signal raises."""


def interrupt(*_: object) -> None:
    raise Interrupted


def test_a_thread_that_is_interrupted_leaves_the_queue_to_the_others(threads: Threads) -> None:
    first = threads.begin("a")
    others: list[Future[Receipt]] = []

    def disturb() -> None:
        while not threads.writer._queue:
            threading.Event().wait(0.001)
        others.extend(threads.put("c"))
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    disturber = threading.Thread(target=disturb)
    disturber.start()
    try:
        with pytest.raises(Interrupted):
            threads.writer.put(entry("b"), AT_ONCE)
    finally:
        signal.signal(signal.SIGUSR1, before)
        disturber.join(PATIENCE)
    threads.store.allowed.release(2)
    assert kept(first + others) == [Receipt.KEPT] * 2
    assert threads.store.groups == [["a"], ["c"]]
    threads.store.allowed.release()
    assert threads.writer.put(entry("e"), AT_ONCE) is Receipt.KEPT
