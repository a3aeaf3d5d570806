"""The module of a host that ``python -m inventory_sources worker`` is started on.

The environment says where the state is, and in which folder the shop; a source's connector, what its syncs do.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from inventory_sources import Feed, MemorySink, Registry, SqlStateStore, SyncEngine
from inventory_sources.source import Part, SourceSpec

LEASE = timedelta(seconds=2)


class Quick:
    """One level."""

    def fetch(self, context: Any) -> Iterator[dict[str, object]]:
        """At once."""
        yield {"sku": "A", "quantity": 1}


class Attentive:
    """Goes on from checkpoint to checkpoint until there is a file ``go``."""

    def fetch(self, context: Any) -> Iterator[dict[str, object]]:
        """Says when it has begun."""
        logging.getLogger("inventory_sources").info("fetching")
        while not (Path(os.environ["SHOP"]) / "go").exists():
            context.checkpoint()
            yield {"sku": "A", "quantity": 1}
        yield {"sku": "A", "quantity": 1}


class Stuck:
    """Hangs for ever."""

    def fetch(self, context: Any) -> Iterator[dict[str, object]]:
        """Says when it has begun."""
        logging.getLogger("inventory_sources").info("fetching")
        threading.Event().wait()
        yield {}


class HangingStore:
    """A store that never answers what is due."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def due(self, limit: int) -> Any:
        """Hangs."""
        logging.getLogger("inventory_sources").info("asking")
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()


def make_engine() -> SyncEngine:
    """As every process of the host makes it."""
    registry = Registry()
    for name, connector in {"quick": Quick(), "attentive": Attentive(), "stuck": Stuck()}.items():
        registry.register("connector", name, connector)
    registry.register("sink", "memory", MemorySink({"A": 9}))
    store = SqlStateStore(os.environ["STATE"], prefix=os.environ.get("STATE_PREFIX", "inventory_"))
    return SyncEngine(store, registry=registry, lease=LEASE)


def hanging() -> SyncEngine:
    """One whose store hangs."""
    return SyncEngine(HangingStore(SqlStateStore(os.environ["STATE"])))


def spec(name: str, connector: str) -> SourceSpec:
    """A source that any process of the host can build."""
    return SourceSpec(
        name=name,
        connector=Part(connector),
        mapper=Part("columns", {"duplicates": "last"}),
        feed=Feed.partial(),
        sink=Part("memory"),
        guards=(),
    )


number = 5


def needs_parameters(path: str) -> SyncEngine:
    """No engine can be had from it."""
    raise AssertionError(path)


def gives_none() -> None:
    """Nor from this."""


def crashes() -> SyncEngine:
    """Nor from this."""
    raise sqlite3.OperationalError("unable to open database file")
