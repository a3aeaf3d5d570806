"""Telling those who wait for work that a source is, or will be, due."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from attrs import define, field

from inventory_sources.protocols.connector import Progress
from inventory_sources.protocols.scheduler import Scheduler
from inventory_sources.status import SourceState

__all__ = ["Wakes", "shielded"]


@define
class Wakes:
    """Hints to the host's scheduler, and to loops in this process; a lost one costs nothing but latency."""

    scheduler: Scheduler | None
    logger: Any
    _calls: list[Callable[[], object]] = field(factory=list, init=False)

    def tell(self, name: str, state: SourceState) -> None:
        """Tells all of a source's next time."""
        self.call()
        if self.scheduler is None or state.wake_at is None:
            return
        try:
            self.scheduler.wake_at(name, state.wake_at)
        except Exception as error:  # noqa: BLE001 - a host's part may raise anything
            self.logger.warning("scheduler_failed", source=name, error=type(error).__name__)

    def call(self) -> None:
        """Wakes the loops in this process."""
        for wake in tuple(self._calls):
            wake()

    @contextmanager
    def calling(self, wake: Callable[[], object]) -> Iterator[None]:
        """Has ``wake`` called while this lasts."""
        self._calls.append(wake)
        try:
            yield
        finally:
            self._calls.remove(wake)


def shielded(progress: Progress | None, logger: Any) -> Progress:
    """A host's callback that cannot break a sync."""
    if progress is None:
        return lambda stage, unit, done: None

    def call(stage: str, unit: str, done: int) -> None:
        try:
            progress(stage, unit, done)
        except Exception as error:  # noqa: BLE001 - a host's part may raise anything
            logger.warning("progress_callback_failed", error=type(error).__name__)

    return call
