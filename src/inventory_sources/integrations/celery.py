"""Celery brings the calls of ``engine.run_due()``; what is due, and every retry, stays in the engine's store.

In the module that makes the app::

    def make_engine():
        return SyncEngine(STATE, registry=registry, scheduler=CeleryScheduler(app))

    stock = InventoryTasks(app, make_engine)
    app.conf.beat_schedule = stock.beat()

A message is a hint: lost, late, doubled or out of order it changes nothing but the latency. So the tasks need neither
``acks_late`` nor retries, and work with either.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from attrs import Factory, define

from inventory_sources._log import event_logger
from inventory_sources.clock import SystemClock
from inventory_sources.engine import SyncEngine
from inventory_sources.errors import ConfigurationError
from inventory_sources.protocols.clock import Clock
from inventory_sources.run import SyncRun
from inventory_sources.status import Reason

__all__ = ["POKE", "SYNC_NOW", "CeleryScheduler", "InventoryTasks"]

#: The tasks' names, for ``task_routes``.
POKE = "inventory_sources.poke"
SYNC_NOW = "inventory_sources.sync_now"

#: Seconds. Beyond it the beat will do: brokers hand out messages again that wait for long.
_FURTHEST = 300.0
#: Seconds. A poke just before a source is due finds nothing, and clocks differ a little.
_SLACK = 1.0
#: A dead broker is told at once; one that was restarted gets a second connection.
_TRIES = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}

_MARK = "_inventory_sources"
#: Of the call, not of the process: whether the request that is made has a message of its own.
_has_message: ContextVar[bool] = ContextVar("has_message", default=False)


class CeleryScheduler:
    """Sends a poke for when a source will be due; what lies further off than 5 minutes is left to the beat.

    Needs a broker, and no task in this process. It follows ``broker_connection_timeout`` where the broker does not
    answer, and never raises: a hint that cannot be sent is logged and dropped.

    :param app: the host's Celery app.
    """

    def __init__(self, app: Any, *, clock: Clock | None = None) -> None:
        self._app = app
        self._clock = clock or SystemClock()

    def wake_at(self, source: str, moment: datetime) -> None:
        """Sends a poke with a countdown, or none."""
        wait = (moment - self._clock.now()).total_seconds()
        if wait <= _FURTHEST and not _has_message.get():
            self._poke(source, min(wait + _SLACK, _FURTHEST) if wait > 0 else None)

    def poke(self) -> None:
        """Sends a poke for now."""
        self._poke(None, None)

    def _poke(self, source: str | None, countdown: float | None) -> None:
        try:
            self._app.send_task(
                POKE, countdown=countdown, retry=True, retry_policy=_TRIES, ignore_result=True, add_to_parent=False
            )
        except Exception as error:  # noqa: BLE001 - a hint never fails a sync; each broker raises what it likes
            event_logger().warning("wake_hint_lost", source=source, error=type(error).__name__)


class InventoryTasks:
    """The tasks of one engine in one Celery app: ``poke`` runs what is due, ``sync_now`` one source.

    ``poke`` is to be sent by the beat (:meth:`beat`) and by :class:`CeleryScheduler`. It gives the number of runs, and
    sends another poke where more may be due.

    ``sync_now.delay(name, actor=...)`` writes the request into the store before the message is sent, so that a lost
    message loses nothing: the next poke serves it. Its result is a mapping of ``source``, ``run`` (the id), ``result``
    (as of :class:`~inventory_sources.run.RunResult`), ``rows``, ``products_updated`` and ``failure`` (a code). They are
    of the run that served the request: ``running`` where another worker is at it, ``pending`` with no run where none
    could take it. Sent by its name alone it makes the request when it is received.

    :param app: the host's Celery app.
    :param engine: makes an engine, once in each process that needs one; ends with its worker. An engine instead of a
        factory stays the host's to close, and must not have synced before the worker forks.
    :param limit: sources that a poke runs at most. One at a time, a worker that is to end has little left to do.
    :raises ConfigurationError: when the app has these tasks already.
    """

    def __init__(self, app: Any, engine: SyncEngine | Callable[[], SyncEngine], *, limit: int = 1) -> None:
        if limit < 1:
            raise ConfigurationError(f"a poke must run one source at least, not {limit}")
        if getattr(app, _MARK, False):  # Celery would go on with the first and say nothing
            raise ConfigurationError(
                "this Celery app has the tasks already", guidance="Make InventoryTasks once an app."
            )
        setattr(app, _MARK, True)
        self._engines = engines = _Engines(engine)
        scheduler = CeleryScheduler(app)

        def poke() -> int:
            runs = engines.here().run_due(limit)
            if len(runs) >= limit:
                scheduler.poke()
            return len(runs)

        def sync_now(name: str, *, actor: str = "host", requested: bool = False) -> dict[str, Any]:
            if not requested:
                _request(engines.here(), name, actor)
            return _sync_requested(engines.here(), name)

        #: The tasks, of no other app than this.
        self.poke: Any = app.task(name=POKE, shared=False, ignore_result=True)(poke)
        self.sync_now: Any = app.task(name=SYNC_NOW, shared=False, base=_requesting(app, engines))(sync_now)
        _end_with_worker(engines)

    def beat(self, every: float = 60.0) -> dict[str, dict[str, Any]]:
        """The entry for ``beat_schedule``: a poke every so many seconds. Several beats do no harm."""
        return {POKE: {"task": POKE, "schedule": every}}

    def close(self) -> None:
        """Closes the engine that was made in this process; a worker does so by itself."""
        self._engines.close()


def _sync_requested(engine: SyncEngine, name: str) -> dict[str, Any]:
    done = engine.run_due(source=name)
    if done:
        return _told(name, done[0])
    waits = engine.status(name).reason is Reason.REQUESTED
    return _told(name, None if waits else next(iter(engine.history(name, 1)), None))


def _told(name: str, run: SyncRun | None) -> dict[str, Any]:
    return {
        "source": name,
        "run": run and run.id,
        "result": run.result.value if run else "pending",
        "rows": run.counts.rows if run else 0,
        "products_updated": run.products_updated if run else 0,
        "failure": run.failure.code if run and run.failure else None,
    }


def _requesting(app: Any, engines: _Engines) -> Any:
    """A task class that makes the request durable before it sends the message."""

    def asked(name: str, *, actor: str = "host", requested: bool = False) -> tuple[str, str]:
        if not requested:
            _request(engines.here(), name, actor)
        return name, actor

    parent: Any = app.Task  # the host's own class of tasks

    def apply_async(task: Any, args: Any = None, kwargs: Any = None, *more: Any, **options: Any) -> Any:
        name, actor = asked(*(args or ()), **(kwargs or {}))
        return parent.apply_async(task, (name,), {"actor": actor, "requested": True}, *more, **options)

    return type("Requesting", (parent,), {"abstract": True, "apply_async": apply_async})


def _request(engine: SyncEngine, name: str, actor: str) -> None:
    """Without a poke, which another worker might take before, and leave the task nothing to tell."""
    token = _has_message.set(True)
    try:
        engine.request_sync(name, actor=actor)
    finally:
        _has_message.reset(token)


@define
class _Slot:
    lock: threading.Lock = Factory(threading.Lock)
    engine: SyncEngine | None = None


class _Engines:
    """The host's engine, or one for each process: connections, locks and threads do not pass a fork."""

    def __init__(self, given: SyncEngine | Callable[[], SyncEngine]) -> None:
        self._given = given
        self._slots: dict[int, _Slot] = {}

    def here(self) -> SyncEngine:
        """The engine of this process."""
        if not callable(self._given):
            return self._given
        slot = self._slots.setdefault(os.getpid(), _Slot())
        with slot.lock:
            if slot.engine is None:
                slot.engine = self._given()
            return slot.engine

    def stop(self, **signal: Any) -> None:
        """Lets syncs of this process end at their next checkpoint.

        Runs in signal handlers: a lock might be held by the very thread that was interrupted.
        """
        if (engine := self._made()) is not None:
            engine.stop()

    def close(self, **signal: Any) -> None:
        """Closes what was made in this process; the next use makes a new one."""
        engine = self._made()
        self._slots.pop(os.getpid(), None)
        if engine is not None:
            engine.close()

    def _made(self) -> SyncEngine | None:
        slot = self._slots.get(os.getpid())
        return slot.engine if slot else None


def _end_with_worker(engines: _Engines) -> None:
    """Celery's signals belong to the process; they hold these methods weakly."""
    from celery import signals

    signals.worker_shutting_down.connect(engines.stop)
    signals.worker_shutdown.connect(engines.close)
    signals.worker_process_shutdown.connect(engines.close)
