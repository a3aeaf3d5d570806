"""Schedulers: hints to a host's job system. ``engine.run_due()`` finds what is due without any of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from inventory_sources._log import event_logger

__all__ = ["CallableScheduler", "NoScheduler"]


class NoScheduler:
    """Drops every hint: for hosts that call ``engine.run_due()`` at a fixed pace."""

    def wake_at(self, source: str, moment: datetime) -> None:
        """Does nothing."""


class CallableScheduler:
    """Hands each hint to a function of the host, which must return at once, such as one that enqueues a job.

    :param wake: called with the source's name and the time (UTC).
    :param logger: a structlog logger that is told of hints that were lost; by default the engine's.
    """

    def __init__(self, wake: Callable[[str, datetime], object], logger: Any = None) -> None:
        self._wake = wake
        self._logger = logger

    def wake_at(self, source: str, moment: datetime) -> None:
        """Calls the function; what it raises is logged, because a lost hint costs nothing but latency."""
        try:
            self._wake(source, moment)
        except Exception as error:  # noqa: BLE001 - a hint never fails a sync
            log = self._logger or event_logger()
            log.warning("wake_hint_lost", source=source, moment=moment.isoformat(), error=type(error).__name__)
