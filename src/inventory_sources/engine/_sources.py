"""The registered sources, as stored and as built in this process."""

from __future__ import annotations

import threading

from attrs import define, field

from inventory_sources.protocols.store import AuditEntry, StateStore, StoredSource
from inventory_sources.registry import Registry
from inventory_sources.source import Source, SourceSpec
from inventory_sources.status import Rules, SourceState

__all__ = ["SourceBook"]


@define
class SourceBook:
    """Builds sources from what the store holds, and remembers those made of this process's own objects."""

    store: StateStore
    registry: Registry
    _live: dict[str, tuple[object, Source]] = field(factory=dict, init=False)
    _rules: dict[str, tuple[object, Rules]] = field(factory=dict, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def stored(self, source: Source | SourceSpec, state: SourceState) -> StoredSource:
        """A source as the store keeps it.

        :raises ConfigurationError: when it cannot be built here.
        """
        if isinstance(source, SourceSpec):
            self.registry.build(source)
            return StoredSource(source.name, self.registry.document(source), state)
        return StoredSource(source.name, self.registry.document(self.registry.describe(source)), state)

    def add(self, source: Source | SourceSpec, actor: str) -> SourceState:
        """Registers a source; its first scheduled run is the schedule's next tick.

        :raises SourceExists: when the name is taken.
        """
        now = self.store.now()
        # Stock tables remember epochs, also those of a source of this name that was deleted: count on from the time.
        state = SourceState(epoch=int(now.timestamp()), next_run_at=source.rules.tick(now))
        stored = self.stored(source, state)
        self.store.add(stored, AuditEntry(source.name, "add_source", actor, now))
        self.remember(source, stored)
        return stored.state

    def attach(self, source: Source | SourceSpec) -> bool:
        """Lends this process's objects to a source that is stored just like it; ``False`` when it is not."""
        found = self.store.get(source.name)
        mine = self.stored(source, found.state)
        if dict(mine.spec) != dict(found.spec):
            return False
        self.remember(source, mine)
        return True

    def remember(self, source: Source | SourceSpec, stored: StoredSource) -> None:
        """Keeps a source's objects, for as long as what is stored stays the same."""
        with self._lock:
            self._live.pop(stored.name, None)
            if isinstance(source, Source):
                self._live[stored.name] = (stored.spec, source)

    def built(self, stored: StoredSource) -> Source:
        """The source of a stored specification.

        :raises NotPortable: when only the process that made it has its parts.
        :raises ConfigurationError: when it cannot be built here.
        """
        with self._lock:
            live = self._live.get(stored.name)
        if live is not None and live[0] == stored.spec:
            return live[1]
        source = self.registry.build(self.registry.spec(stored.spec))
        self.remember(source, stored)
        return source

    def rules(self, stored: StoredSource) -> Rules:
        """What the state machine needs to know of a stored source."""
        known = self._rules.get(stored.name)
        if known is None or known[0] != stored.spec:
            known = (stored.spec, self.registry.spec(stored.spec).rules)
            self._rules[stored.name] = known
        return known[1]

    def forget(self, name: str) -> None:
        """Drops what this process keeps of a source."""
        with self._lock:
            self._live.pop(name, None)
            self._rules.pop(name, None)
