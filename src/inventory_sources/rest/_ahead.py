"""Answers to the pages of a list, some of them asked for before they are needed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import define, field

if TYPE_CHECKING:
    from inventory_sources._http import HttpAnswer, HttpRequest

__all__ = ["Answers", "Ask"]

#: Sends a request and gives its answer with the JSON document.
Ask: TypeAlias = "Callable[[HttpRequest], tuple[HttpAnswer, Any]]"


@define(eq=False)
class Answers:
    """Gives the answer to one request after the other, and has others under way meanwhile."""

    _ask: Ask
    _pool: ThreadPoolExecutor | None
    _most: int
    _planned: Iterator[HttpRequest] = field(factory=lambda: iter(()))
    _sent: deque[tuple[HttpRequest, Future[tuple[HttpAnswer, Any]]]] = field(factory=deque)

    @classmethod
    @contextmanager
    def of(cls, ask: Ask, concurrency: int) -> Iterator[Answers]:
        """For the time of the ``with``; what is still under way at its end is not waited for longer than it takes.

        :param concurrency: at most so many requests at once.
        """
        if concurrency == 1:
            yield cls(ask, None, 1)
            return
        pool = ThreadPoolExecutor(concurrency, "inventory-sources-pages")
        try:
            yield cls(ask, pool, concurrency)
        finally:
            pool.shutdown(cancel_futures=True)

    def expect(self, requests: Iterable[HttpRequest]) -> None:
        """Begins to send what :meth:`to` will most likely be asked for, in that order."""
        if self._pool is not None:
            self._planned = iter(requests)
            self._fill(self._pool)

    def to(self, request: HttpRequest) -> tuple[HttpAnswer, Any]:
        """The answer to a request, sent now or before.

        :raises FetchError: when it cannot be had.
        """
        if self._pool is None or not self._sent or self._sent[0][0] != request:
            self._forget()
            return self._ask(request)
        _, answer = self._sent.popleft()
        self._fill(self._pool)
        return answer.result()

    def _fill(self, pool: ThreadPoolExecutor) -> None:
        for request in islice(self._planned, self._most - len(self._sent)):
            self._sent.append((request, pool.submit(self._ask, request)))

    def _forget(self) -> None:
        self._planned = iter(())
        for _, answer in self._sent:
            answer.cancel()
        self._sent.clear()
