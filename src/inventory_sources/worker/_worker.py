"""Worker: runs what is due, in threads, until it is asked to stop."""

from __future__ import annotations

import random
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

from attrs import Attribute, Factory, define, field

from inventory_sources._log import event_logger
from inventory_sources.engine import SyncEngine
from inventory_sources.errors import ConfigurationError, InventorySourcesError
from inventory_sources.protocols.store import Retention
from inventory_sources.worker._backlog import Backlog
from inventory_sources.worker._health import Health
from inventory_sources.worker._signals import AtOnce, Signals
from inventory_sources.worker._waiting import Waiting

__all__ = ["LATE", "NO_STORE", "Worker"]

#: Exit codes.
NO_STORE, LATE = 1, 3

_DAY = 86400.0
#: Names asked for, for each thread. Ten workers with four try 1,300 claims for 1,000 due sources then, not 10,000.
_NAMES = 32
#: Intervals in which the loop must have turned.
_TURNS = 3
#: Seconds that a loop which hangs has beyond its grace.
_SPARE = 2.0


def _at_least_one(instance: object, attribute: Attribute[Any], value: int | None) -> None:
    if value is not None and value < 1:
        raise ConfigurationError(f"a worker's {attribute.name} must be at least 1, not {value}")


def _positive(instance: object, attribute: Attribute[Any], value: timedelta) -> None:
    if value <= timedelta(0):
        raise ConfigurationError(f"a worker's {attribute.name} must be more than 0")


@define(eq=False)
class Worker:
    """Runs what is due, until SIGTERM, SIGINT or :meth:`stop`; any number of workers may share a store.

    Only the loop of :meth:`run` asks what is due. Each sync runs in a thread of its own, as do notifications, so that
    one that hangs in a part of the host's leaves the others alone. It configures no logging.

    :param threads: syncs at once.
    :param per_host: syncs at once in this process at one host, by their connectors' ``host``; ``None`` for no limit.
    :param interval: how often the store is asked what is due.
    :param jitter: the share of the interval by which each pause is longer or shorter, so that workers do not ask all at
        once.
    :param grace: for running syncs to stop at their next checkpoint, after the first signal. What has not stopped by
        then is left to its lease.
    :param retention: what to purge, at the start and then once a day; ``None`` leaves that to others.
    :param health_file: touched at each turn.
    :param waiting: how to pause.
    :raises ConfigurationError: for values that cannot be.
    """

    engine: SyncEngine
    threads: int = field(default=4, kw_only=True, validator=_at_least_one)
    per_host: int | None = field(default=2, kw_only=True, validator=_at_least_one)
    interval: timedelta = field(default=timedelta(seconds=5), kw_only=True, validator=_positive)
    jitter: float = field(default=0.2, kw_only=True)
    grace: timedelta = field(default=timedelta(seconds=25), kw_only=True, validator=_positive)
    retention: Retention | None = field(default=None, kw_only=True)
    health_file: Path | None = field(default=None, kw_only=True)
    waiting: Waiting = field(factory=Waiting, kw_only=True)
    health: Health = field(init=False)
    _logger: Any = field(factory=event_logger, init=False)
    _backlog: Backlog = field(init=False)
    _running: dict[str, str | None] = field(factory=dict, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)
    _asked: bool = field(default=False, init=False)
    _house: threading.Thread | None = field(default=None, init=False)
    _house_kept_at: float | None = field(default=None, init=False)
    _purged_at: float | None = field(default=None, init=False)
    _seconds: float = field(
        init=False, default=Factory(lambda self: self.interval / timedelta(seconds=1), takes_self=True)
    )

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.jitter < 1:
            raise ConfigurationError("a worker's jitter must be at least 0 and less than 1")
        self.health = Health(self.engine.clock, _TURNS * self._seconds, self.health_file)
        self._backlog = self._new_backlog(once=False)

    @property
    def busy(self) -> tuple[str, ...]:
        """Names of the sources that it syncs now."""
        with self._lock:
            return tuple(self._running)

    def run(self) -> int:
        """Works until it is asked to stop; that stops the engine, too. Gives the exit code for a process.

        0: every source is finished or given back. 3: some sync had not stopped when the grace was over; its thread may
        be running still, so end the process. 128 and the signal's number: a second signal came; the same holds.
        """
        return self._work(once=False)

    def run_once(self) -> int:
        """Runs what is due, each source once, hands notifications over and returns. Gives the exit code for a process.

        As for :meth:`run`, and 1 when the store did not answer. Syncs that fail are in the history, not in the code.
        """
        return self._work(once=True)

    def stop(self) -> None:
        """Asks it to stop; from any thread or signal handler, and returns at once."""
        self._asked = True
        self.waiting.wake()

    def _work(self, *, once: bool) -> int:
        self._backlog = self._new_backlog(once=once)
        late = self.grace.total_seconds() + _SPARE
        try:
            with Signals(self.stop, late), self.engine.waking(self.waiting.wake):
                self._logger.info("worker_started", threads=self.threads, interval=self._seconds)
                answered = self._loop(once=once)
                if self._asked:
                    return self._drain()
                self._keep_house()
                return 0 if answered else NO_STORE
        except AtOnce as end:
            self._logger.warning("worker_ended_at_once", signal=end.number, sources=self.busy)
            return 128 + end.number

    def _loop(self, *, once: bool) -> bool:
        """Turns until asked to stop, or once nothing is left; whether the store answered the last time."""
        while True:
            answered = self._turn()
            self._turned(answered=answered)
            if self._asked or (once and not self.busy):
                return answered
            if not once:
                self._start_house()
            self.waiting.wait(self._seconds * (1 + random.uniform(-self.jitter, self.jitter)))  # noqa: S311 - a pause

    def _turn(self) -> bool:
        """Starts what can be started; whether the store answered."""
        try:
            self._backlog.turn(self._snapshot())
            while not self._asked and len(busy := self._snapshot()) < self.threads:
                found = self._backlog.take(busy)
                if found is None:
                    break
                self._start(*found)
        except InventorySourcesError as error:
            self._logger.warning("store_unavailable", code=error.code, message=error.message)
            return False
        except Exception as error:  # noqa: BLE001 - a store of the host's may raise anything
            self._logger.warning("store_unavailable", error=type(error).__name__)
            return False
        return True

    def _start(self, name: str, host: str | None) -> None:
        with self._lock:
            self._running[name] = host
        threading.Thread(target=self._sync, args=(name,), name=f"sync-{name}", daemon=True).start()

    def _sync(self, name: str) -> None:
        try:
            if not self._asked and self.engine.run_if_due(name) is None:
                self._backlog.outdated()
        except InventorySourcesError as error:
            self._backlog.pass_over(name, error)
        except BaseException as error:  # noqa: BLE001 - nothing that ends a thread of the host's ends the worker
            self._backlog.pass_over(name)
            self._logger.warning("source_passed_over", source=name, error=type(error).__name__)
        finally:
            with self._lock:
                del self._running[name]
            self._house_kept_at = None
            self.waiting.wake()

    def _drain(self) -> int:
        self.engine.stop()
        self._turned(answered=False)
        self._logger.info("worker_stopping", sources=self.busy)
        clock = self.engine.clock
        end = clock.monotonic() + self.grace.total_seconds()
        while (left := end - clock.monotonic()) > 0 and (self.busy or self._house is not None):
            self._turned(answered=False)
            self.waiting.wait(min(left, self._seconds))
        if self.busy or self._house is not None:
            self._logger.error("worker_ended_late", sources=self.busy, notifying=self._house is not None)
            return LATE
        self._logger.info("worker_stopped")
        return 0

    def _start_house(self) -> None:
        """Notifications are handed over at each interval and after each sync."""
        now, kept_at = self.engine.clock.monotonic(), self._house_kept_at
        if self._house is None and (kept_at is None or now - kept_at >= self._seconds):
            self._house_kept_at = now
            self._house = threading.Thread(target=self._keep_house, name="inventory-house", daemon=True)
            self._house.start()

    def _keep_house(self) -> None:
        try:
            while self.engine.notify() and not self._asked:
                pass
            now = self.engine.clock.monotonic()
            if self.retention is not None and (self._purged_at is None or now - self._purged_at >= _DAY):
                self._purged_at = now
                self._logger.info("purged", **self.engine.purge(self.retention))
        except InventorySourcesError as error:
            self._logger.warning("house_not_kept", code=error.code, message=error.message)
        except Exception as error:  # noqa: BLE001 - a host's part may raise anything
            self._logger.warning("house_not_kept", error=type(error).__name__)
        finally:
            self._house = None
            if self._asked:
                self.waiting.wake()

    def _turned(self, *, answered: bool) -> None:
        try:
            self.health.turned(answered=answered)
        except OSError as error:
            self._logger.warning("health_file_not_touched", error=type(error).__name__)

    def _snapshot(self) -> dict[str, str | None]:
        with self._lock:
            return dict(self._running)

    def _new_backlog(self, *, once: bool) -> Backlog:
        size = _NAMES * self.threads
        return Backlog(self.engine, size, self._seconds, self.per_host, self._logger, once)
