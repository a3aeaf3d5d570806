"""Running what was claimed, in the calling thread, and knowing what runs in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from attrs import define, field

from inventory_sources.engine._lease import Lease
from inventory_sources.engine._runs import Claimed, Runs, released
from inventory_sources.engine._sources import SourceBook
from inventory_sources.engine._sync import Sync
from inventory_sources.engine._waking import Wakes, shielded
from inventory_sources.engine._watching import Watch
from inventory_sources.errors import ConfigurationError, SourceNotFound, StoreError
from inventory_sources.protocols.clock import Clock
from inventory_sources.protocols.connector import Progress
from inventory_sources.protocols.store import StateStore
from inventory_sources.run import SyncRun
from inventory_sources.source import Source

__all__ = ["Running"]


@define
class Running:
    """The runs of an engine; safe to share between threads.

    :param stopping: whether the engine was asked to stop.
    """

    store: StateStore
    sources: SourceBook
    runs: Runs
    clock: Clock
    wakes: Wakes
    watch: Watch
    stopping: Callable[[], bool]
    logger: Any
    _leases: dict[str, Lease] = field(factory=dict, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def run(self, claimed: Claimed, progress: Progress | None) -> SyncRun:
        """Runs it to its end.

        :raises InventorySourcesError: as :meth:`Sync.run` does, or when this process cannot build the source.
        """
        source = self._claimed_source(claimed)
        logger = self.logger.bind(source=source.name, run=claimed.run.id, trigger=claimed.run.trigger.value)
        logger.info("sync_started")
        with self.watch.run(claimed.run) as tell:
            run = self._sync(source, claimed, progress, logger)
            tell(run)
        logger.info("sync_ended", result=run.result.value, rows=run.counts.rows, updated=run.products_updated)
        if self.wakes.scheduler is not None:
            with suppress(SourceNotFound, StoreError):  # the run has ended; this is a hint
                self.wakes.tell(source.name, self.store.get(source.name).state)
        return run

    def lease(self, name: str) -> Lease | None:
        """That of the run in this process. Ask before an edit: a run that began after it is not fenced out."""
        with self._lock:
            return self._leases.get(name)

    def _sync(self, source: Source, claimed: Claimed, progress: Progress | None, logger: Any) -> SyncRun:
        lease = Lease(self.runs, claimed.run, self.clock, self.stopping)
        with self._lock:
            self._leases[source.name] = lease
        try:
            with lease:
                sync = Sync(source, claimed, self.store, self.runs, lease, self.clock, logger)
                sync.progress, sync.watch = shielded(progress, logger), self.watch
                return sync.run()
        finally:
            with self._lock:
                if self._leases.get(source.name) is lease:
                    del self._leases[source.name]

    def _claimed_source(self, claimed: Claimed) -> Source:
        try:
            return self.sources.built(claimed.stored)
        except ConfigurationError:  # edited after it was looked at and before it was claimed
            self.runs.finish(claimed.run, lambda tx: released(claimed.run))
            raise
