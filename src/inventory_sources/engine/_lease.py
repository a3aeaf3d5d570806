"""Keeping a run's lease alive, and telling the run when it must stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType
from typing import Self

from inventory_sources.engine._runs import Runs
from inventory_sources.errors import LeaseLost, SourceNotFound, StoreError, SyncCancelled
from inventory_sources.protocols.clock import Clock
from inventory_sources.run import SyncRun

__all__ = ["Lease"]

#: Local trust ends this share of the lease before it expires in the store (10 s of 60).
_MARGIN = 1 / 6


class Lease:
    """Renews a run's lease from a thread every third of its length, while the ``with`` block lasts.

    Trust in the lease is judged by the local monotonic clock and ends before the lease does, so that a worker that was
    paused or cut off from the store stops by itself before another may take over.
    """

    def __init__(self, runs: Runs, run: SyncRun, clock: Clock, stopping: Callable[[], bool]) -> None:
        self._runs = runs
        self._run = run
        self._clock = clock
        self.stopping = stopping
        self._seconds = runs.lease / timedelta(seconds=1)
        self._trusted_until = clock.monotonic() + self._seconds * (1 - _MARGIN)
        self._renewable_until: float | None = None
        self._ended = threading.Event()
        self._lost = threading.Event()
        self._asked = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease-{run.source}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def lost(self) -> bool:
        """Whether another worker may own the source by now."""
        return self._lost.is_set() or self._clock.monotonic() >= self._trusted_until

    @property
    def released(self) -> bool:
        """Whether the sync stops because its worker does, not because a person asked."""
        return self.stopping() and not self._asked.is_set()

    def cancel(self) -> None:
        """Asks the run to stop at its next checkpoint."""
        self._asked.set()

    def lose(self) -> None:
        """Tells the run that its source was edited or deleted in this process: it must not write any more."""
        self._lost.set()

    @contextmanager
    def within(self, timeout: timedelta) -> Iterator[None]:
        """Work that must be done in time: once it is a lease late, it hangs, and others may take the source over."""
        self._renewable_until = self._clock.monotonic() + timeout / timedelta(seconds=1) + self._seconds
        try:
            yield
        finally:
            self._renewable_until = None

    def cancelled(self) -> bool:
        """Whether the run must stop, for whatever cause."""
        return self._asked.is_set() or self.stopping() or self.lost

    def check(self) -> None:
        """Goes on only while the source is ours and nobody asked to stop.

        :raises LeaseLost: when another worker may own the source.
        :raises SyncCancelled: when it was asked to stop.
        """
        if self.lost:
            raise self._loss()
        self.check_asked()

    def check_asked(self) -> None:
        """Goes on unless asked to stop: for writes in the store's own transaction, whose lock keeps the source ours.

        :raises SyncCancelled: when it was asked to stop.
        """
        if self._asked.is_set() or self.stopping():
            raise SyncCancelled("the sync was asked to stop")

    def renew(self) -> None:
        """Renews in the store now, then checks.

        :raises LeaseLost: when the store says that the source is not ours, or the run hangs.
        """
        before, until = self._clock.monotonic(), self._renewable_until
        if until is not None and before > until:
            self._lost.set()
            raise self._loss()
        try:
            state = self._runs.renew(self._run)
        except (LeaseLost, SourceNotFound):
            self._lost.set()
            raise self._loss() from None
        self._trusted_until = before + self._seconds * (1 - _MARGIN)
        if state.cancel_requested:
            self._asked.set()
        self.check()

    def _loss(self) -> LeaseLost:
        return LeaseLost(f"run {self._run.id} lost its lease on source {self._run.source!r}")

    def _keep(self) -> None:
        while not self._ended.wait(self._seconds / 3):
            try:
                self.renew()
            except LeaseLost:
                return
            except (SyncCancelled, StoreError):  # the lease still runs; trust ends by the clock if this goes on
                continue
