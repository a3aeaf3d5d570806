"""SyncEngine: the verbs of the library."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from inventory_sources._log import event_logger
from inventory_sources.clock import SystemClock
from inventory_sources.engine._check import CheckReport, check_source
from inventory_sources.engine._deliveries import OneSourceInbox
from inventory_sources.engine._due import run_all_due, run_while_due
from inventory_sources.engine._fetching import FetchRequest
from inventory_sources.engine._fork import use_columns
from inventory_sources.engine._intake import take_in
from inventory_sources.engine._outbox import dispatch
from inventory_sources.engine._proposal import Background, propose
from inventory_sources.engine._receiving import Receiving
from inventory_sources.engine._running import Running
from inventory_sources.engine._runs import Claimed, Runs
from inventory_sources.engine._sources import SourceBook
from inventory_sources.engine._waking import Wakes
from inventory_sources.engine._watching import Watch
from inventory_sources.engine._webhooks import Webhooks
from inventory_sources.errors import ConfigurationError, InventorySourcesError, SourceExists, SourceNotFound, StoreError
from inventory_sources.plan import SyncPlan
from inventory_sources.protocols.clock import Clock
from inventory_sources.protocols.connector import Progress
from inventory_sources.protocols.notifier import Notifier
from inventory_sources.protocols.observer import Observer
from inventory_sources.protocols.scheduler import Scheduler
from inventory_sources.protocols.store import (
    AuditEntry,
    HeldPlan,
    Retention,
    Standing,
    StateStore,
    StoredRejection,
    UnmappedSku,
)
from inventory_sources.protocols.webhook import Answer, Delivery, Receiver
from inventory_sources.registry import Registry
from inventory_sources.run import RunResult, SyncRun, Trigger
from inventory_sources.source import Source, SourceSpec
from inventory_sources.status import (
    Approve,
    Pause,
    RejectHeld,
    Request,
    RequestCancel,
    Resume,
    SourceState,
)

__all__ = ["SyncEngine"]

_LEASE = timedelta(seconds=60)
_SHORTEST_LEASE = timedelta(seconds=1)
#: Further runs of one "sync now"; a sender that never rests must not keep its caller for ever.
_MOST_FURTHER = 100


class SyncEngine:
    """Runs syncs, keeps their state and answers for it; safe to share between threads.

    Events go to the host's structlog where that is configured, else to the standard logger ``inventory_sources``.

    The truth about what is due, running, failed and held is in the store, so any number of engines in any number of
    processes may share one; each keeps nothing that another would need. An engine made before a fork serves in the
    children too, as long as the parent has not synced, planned or checked a source by then; otherwise those verbs raise
    :class:`~inventory_sources.errors.ConfigurationError` in a child.

    :param store: a state store, or the path or URL of a SQL one, such as ``state.db``.
    :param registry: the host's names for its parts, needed to run a source in a process that did not make it.
    :param notifier: is handed each notification; without one they wait in the outbox.
    :param scheduler: is told when a source will be due.
    :param lease: how long a claim lasts without renewal; a worker that is gone is noticed after it.
    :param worker: names this process in the history.
    """

    def __init__(
        self,
        store: StateStore | str | Path,
        *,
        registry: Registry | None = None,
        notifier: Notifier | None = None,
        scheduler: Scheduler | None = None,
        clock: Clock | None = None,
        lease: timedelta = _LEASE,
        worker: str | None = None,
    ) -> None:
        if lease < _SHORTEST_LEASE:
            raise ConfigurationError(f"a lease must be at least one second, not {lease}")
        self._clock = clock or SystemClock()
        self._store = _store(store, clock)
        self._notifier = notifier
        self._logger = event_logger()
        self._wakes = Wakes(scheduler, self._logger)
        self._sources = SourceBook(self._store, registry or Registry())
        self._runs = Runs(self._store, self._sources.rules, worker or f"{socket.gethostname()}:{os.getpid()}", lease)
        self._receiving = Receiving(self._store, self._sources, self._clock, self._logger)
        self._stopping = threading.Event()
        self._watch = Watch(None, self._logger)
        self._running = Running(
            self._store,
            self._sources,
            self._runs,
            self._clock,
            self._wakes,
            self._watch,
            self._stopping.is_set,
            self._logger,
        )

    # Sources

    def add_source(self, source: Source | SourceSpec, *, exist_ok: bool = False, actor: str = "host") -> None:
        """Registers a source. It is due at its schedule's next tick; "sync now" does not wait.

        :param exist_ok: for hosts that declare their sources at each start: a source that is stored just like this is
            left as it is, another one of this name is updated.
        :raises SourceExists: when the name is taken.
        :raises ConfigurationError: when a specification cannot be built.
        """
        try:
            state = self._sources.add(source, actor)
        except SourceExists:
            if not exist_ok:
                raise
            if not self._sources.attach(source):
                self.update_source(source, actor=actor)
            return
        self._receiving.forget(source.name)
        self._wakes.tell(source.name, state)

    def update_source(self, source: Source | SourceSpec, *, actor: str = "host") -> None:
        """Replaces a source's declaration: fences out a running sync, ends a retry ladder, drops a held plan.

        :raises SourceNotFound: when there is none of this name.
        """
        stored = self._sources.stored(source, self._store.get(source.name).state)
        fenced = self._running.lease(source.name)
        state = self._runs.edit(stored, source.rules, actor)
        self._sources.remember(source, stored)
        self._receiving.forget(source.name)
        if fenced is not None:
            fenced.lose()
        self._wakes.tell(source.name, state)

    def delete_source(self, name: str, *, actor: str = "host") -> None:
        """Deletes a source with its history; its audit entries stay. A running sync is fenced out.

        :raises SourceNotFound: when there is none.
        """
        fenced = self._running.lease(name)
        self._store.remove(name, AuditEntry(name, "delete_source", actor, self._store.now()))
        self._sources.forget(name)
        self._receiving.forget(name)
        if fenced is not None:
            fenced.lose()

    def source(self, name: str) -> Source:
        """A registered source, as this process builds it.

        :raises SourceNotFound: when there is none of this name.
        :raises ConfigurationError: when this process cannot build it; ``NotPortable`` where only another one can.
        """
        return self._sources.built(self._store.get(name))

    def sources(self, after: str = "", limit: int = 1000) -> Sequence[str]:
        """Names of the sources in order, a page at a time."""
        return self._store.names(after, limit)

    # Looking before a first sync

    def check(self, source: str | Source) -> CheckReport:
        """Connects, reads, and says what columns are there, what mapping they suggest and how many rows match.

        Takes a registered source's name or a source that is not registered yet; writes nothing.
        """
        made, state = self._resolve(source)
        return check_source(made, self._request(made, state), Background.read(self._store, made.name, state))

    def plan(self, source: str | Source) -> SyncPlan:
        """A dry run: all of a sync but the writing.

        :raises InventorySourcesError: when the feed cannot be taken in.
        """
        made, state = self._resolve(source)
        with take_in(made, self._request(made, state)) as intake:
            return propose(made, intake, Background.read(self._store, made.name, state)).plan

    # Being pushed to

    def receive(self, name: str, delivery: Delivery) -> Answer:
        """Takes one request to a source's endpoint, and gives what to answer; in any thread, and without ever raising.

        A 2xx means that the delivery is durably kept, or was before. It is applied by whoever calls :meth:`run_due`
        next, or before this returns where the source says ``at_once``.
        """
        with self._watch.delivery(name) as tell:
            received = self._receiving.receive(name, delivery)
            tell(received.verdict)
        if received.answer.status < 300:
            self._wakes.call()
        if received.apply:
            self._apply_at_once(name)
        return received.answer

    def _apply_at_once(self, name: str) -> None:
        try:
            use_columns()
        except ConfigurationError as error:  # the delivery is kept, and a worker will apply it
            self._logger.warning("source_passed_over", source=name, code=error.code, message=error.message)
            return
        self._run_if_due(name)
        self.notify()

    @property
    def webhooks(self) -> Webhooks:
        """Endpoints and deliveries."""
        return Webhooks(self._store, self._receiving, self._resolve, self._request)

    # Syncing

    def sync(self, source: str | Source, *, progress: Callable[[str, str, int], None] | None = None) -> SyncRun:
        """Syncs a source now, in this thread; starts its retry ladder anew.

        While the source is syncing already, that run is given back, still going on. Pushed deliveries beyond what one
        run takes are applied by further runs before this returns.

        :param source: a registered source, or its name.
        :param progress: called with stage, unit (``bytes``, ``rows``, ``items``) and count as the sync goes on.
        :raises SourceNotFound: when it is not registered.
        :raises NotPortable: when only another process can build it.
        :raises LeaseLost: when the source was edited, deleted or taken over meanwhile.
        """
        use_columns()
        name = source.name if isinstance(source, Source) else source
        stored = self._store.get(name)
        try:
            pushed = isinstance(self._sources.built(stored).connector, Receiver)
        except ConfigurationError:
            if (going := self._runs.going_on(stored)) is None:
                raise
            return going
        claimed = self._runs.claim(name, manual=True)
        run = self._run(claimed, progress) if isinstance(claimed, Claimed) else claimed
        if pushed and isinstance(claimed, Claimed) and run is not None and run.result is RunResult.COMPLETED:
            self._run_one_due(name, _MOST_FURTHER)
        self.notify()
        if run is None:
            raise StoreError(f"the running sync of source {name!r} is not in the history")
        return run

    def run_due(self, limit: int = 100, *, source: str | None = None) -> list[SyncRun]:
        """Runs what is due, one after the other, longest overdue first, and hands over notifications.

        This is all that a cron job, a queue's task or a loop has to call; any number of callers may do so at once.
        Sources that this process cannot build are left to those that can. A source that is due again at once, as more
        deliveries wait than one run takes, has further turns, after those that had none.

        :param limit: how many runs at most.
        :param source: the name of the only one to run, if it is due.
        """
        done = self._run_all_due(limit) if source is None else self._run_one_due(source, limit)
        self.notify()
        return done

    def _run_one_due(self, name: str, limit: int) -> list[SyncRun]:
        if self._stopping.is_set():
            return []
        use_columns()
        return run_while_due(name, self._run_if_due, limit, self._stopping.is_set)

    def _run_all_due(self, limit: int) -> list[SyncRun]:
        def due(most: int) -> Sequence[str]:
            if names := self.due(most):
                use_columns()
            return names

        return run_all_due(due, self._run_if_due, limit, self._stopping.is_set)

    def due(self, limit: int = 100) -> Sequence[str]:
        """Names of sources whose time has come, longest overdue first."""
        return self._store.due(limit)

    def run_if_due(self, name: str) -> SyncRun | None:
        """Runs one source in this thread if it is due; ``None`` when it is not, or when another worker has it.

        For loops that share the work out themselves; call :meth:`notify` now and then.

        :raises InventorySourcesError: when this process cannot build it, loses it, or cannot reach the store.
        """
        use_columns()
        self.source(name)
        claimed = self._runs.claim(name, manual=False)
        return self._run(claimed, None) if isinstance(claimed, Claimed) else None

    def waking(self, wake: Callable[[], object]) -> AbstractContextManager[None]:
        """Has ``wake`` called, while it is entered, whenever this process may have made a source due.

        That is by a delivery, "sync now" or an edit; in any thread. It must return at once.
        """
        return self._wakes.calling(wake)

    def request_sync(self, name: str, *, actor: str = "host") -> SourceState:
        """Asks for a sync by whichever worker comes first; durable, and returns at once.

        :raises SourceNotFound: when there is none.
        """
        return self._change(name, Request(), "request_sync", actor)

    def cancel(self, name: str, *, actor: str = "host") -> None:
        """Asks the running sync to stop; it does so at its next checkpoint, in whichever process it runs.

        :raises IllegalTransition: when the source is not syncing.
        """
        lease = self._running.lease(name)
        self._change(name, RequestCancel(), "cancel", actor)
        if lease is not None:
            lease.cancel()

    def stop(self) -> None:
        """Lets running syncs stop at their next checkpoint and give their sources back; no attempt is spent."""
        self._stopping.set()

    def observe(self, observer: Observer | None) -> None:
        """Has an observer told of each run, its stages and each delivery from here on, in place of the one before."""
        self._watch.observer = observer

    # Deciding

    def pause(self, name: str, *, actor: str = "host") -> SourceState:
        """No scheduled runs and no retries until resumed; "sync now" still works."""
        return self._change(name, Pause(), "pause", actor)

    def resume(self, name: str, *, actor: str = "host") -> SourceState:
        """The schedule goes on; ticks missed meanwhile count as one."""
        return self._change(name, Resume(), "resume", actor)

    def held(self, name: str) -> HeldPlan | None:
        """The plan that waits for a person, with what the guards said."""
        return self._store.held(name)

    def approve(self, name: str, digest: str, *, actor: str = "host") -> SourceState:
        """Lets the held plan pass, once: the next sync applies what was looked at, without fetching again.

        :raises ApprovalInvalid: when nothing is held, or a plan with another digest.
        """
        return self._change(name, Approve(digest), "approve", actor, digest)

    def reject(self, name: str, digest: str, *, actor: str = "host") -> SourceState:
        """Drops the held plan; the schedule goes on.

        :raises ApprovalInvalid: when nothing is held, or a plan with another digest.
        """
        return self._change(name, RejectHeld(digest), "reject", actor, digest)

    def map_sku(self, name: str, external: str, sku: str | None, *, actor: str = "host") -> None:
        """Maps an external identifier of a source by hand, from the next sync on; ``None`` takes it back."""
        detail = f"{external} -> {sku}"
        self._store.override(name, external, sku, AuditEntry(name, "map_sku", actor, self._store.now(), detail))

    def resolve(self, rejection_ids: Iterable[int]) -> int:
        """Marks rejected rows as dealt with, by the ids of their stored rejections; gives how many were open."""
        return self._store.resolve_rejections(rejection_ids)

    # Asking

    def status(self, name: str) -> SourceState:
        """Where a source stands: status, reason, attempts, next run, last success, last failure.

        :raises SourceNotFound: when there is none.
        """
        return self._store.get(name).state

    def standings(self, after: str = "", limit: int = 1000) -> Sequence[Standing]:
        """Where all sources stand, in order of their names, a page at a time; a page takes a few queries."""
        return self._store.standings(after, limit)

    def history(self, name: str, limit: int = 50, before: datetime | None = None) -> Sequence[SyncRun]:
        """A source's runs, newest first."""
        return self._store.runs(name, limit, before)

    def rejections(self, run: SyncRun | str, after: int = 0, limit: int = 1000) -> Sequence[StoredRejection]:
        """A run's rejected rows in order, a page at a time, each with its place, cells, reason and what to do."""
        return self._store.rejections(run if isinstance(run, str) else run.id, after=after, limit=limit)

    def unmapped(self, name: str, after: str = "", limit: int = 1000) -> Sequence[UnmappedSku]:
        """Identifiers of a source that no product answers to, across its runs, in order, a page at a time."""
        return self._store.unmapped(name, after, limit)

    def audit(self, name: str, limit: int = 100) -> Sequence[AuditEntry]:
        """Who did what to a source, newest first."""
        return self._store.audit(name, limit)

    # Keeping house

    def notify(self) -> int:
        """Hands over the notifications that are due; gives how many."""
        if self._notifier is None:
            return 0
        try:
            return dispatch(self._store, self._notifier, self._logger)
        except StoreError as error:
            self._logger.warning("outbox_unavailable", code=error.code)
            return 0

    def purge(self, retention: Retention | None = None) -> Mapping[str, int]:
        """Deletes what is older than the retention allows; gives the rows deleted by table."""
        return self._store.purge(retention or Retention())

    def close(self) -> None:
        """Stops running syncs at their next checkpoint and frees the store."""
        self.stop()
        self._store.close()

    def _run_if_due(self, name: str) -> SyncRun | None:
        try:
            return self.run_if_due(name)
        except InventorySourcesError as error:
            self._logger.warning("source_passed_over", source=name, code=error.code, message=error.message)
        except Exception as error:  # noqa: BLE001 - the other sources must have their turn
            self._logger.warning("source_passed_over", source=name, error=type(error).__name__)
        return None

    def _run(self, claimed: Claimed, progress: Progress | None) -> SyncRun:
        return self._running.run(claimed, progress)

    @property
    def clock(self) -> Clock:
        """The clock that the engine was given."""
        return self._clock

    def _resolve(self, source: str | Source) -> tuple[Source, SourceState]:
        if isinstance(source, Source):
            return source, self._store.get(source.name).state if self._has(source.name) else SourceState()
        stored = self._store.get(source)
        return self._sources.built(stored), stored.state

    def _request(self, source: Source, state: SourceState) -> FetchRequest:
        use_columns()
        known = self._has(source.name)
        return FetchRequest(
            self._clock,
            self._store.now(),
            self._logger.bind(source=source.name),
            lambda stage, unit, done: None,
            state.cursor,
            state.memo,
            overrides=self._store.overrides(source.name) if known else {},
            trigger=Trigger.MANUAL,
            inbox=OneSourceInbox(self._store, source.name) if known else None,
        )

    def _change(self, name: str, event: Any, action: str, actor: str, detail: str = "") -> SourceState:
        state = self._runs.change(name, event, action, actor, detail)
        self._wakes.tell(name, state)
        return state

    def _has(self, name: str) -> bool:
        try:
            self._store.get(name)
        except SourceNotFound:
            return False
        return True


def _store(store: StateStore | str | Path, clock: Clock | None) -> StateStore:
    if not isinstance(store, (str, Path)):
        return store
    from inventory_sources.stores.sql import SqlStateStore

    return SqlStateStore(str(store), clock=clock)
