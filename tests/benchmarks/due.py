"""``run_due()`` with 10 due sources among 100 and among 100,000 registered ones."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from inventory_sources import Feed, MemorySink, Registry, SqlStateStore, SyncEngine
from inventory_sources.protocols.store import AuditEntry, StoredSource
from inventory_sources.source import Part, SourceSpec
from inventory_sources.status import SourceState
from inventory_sources.testing import ManualClock

DUE = 10
FEW, MANY = 100, 100_000
RUNS = 7
_START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class _Nothing:
    """A connector whose feed changes nothing, so that finding and claiming is what is measured."""

    def fetch(self, context: object) -> Iterator[dict[str, object]]:
        """One known SKU at its level."""
        yield {"sku": "A", "quantity": 1}


def compare(folder: Path) -> tuple[float, float]:
    """Median seconds of ``run_due()`` among few and among many sources, in turn."""
    few, many = _Shop(folder / "few.db", FEW), _Shop(folder / "many.db", MANY)
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(RUNS):
        for shop, taken in zip((few, many), times, strict=True):
            taken.append(shop.run())
    return median(times[0]), median(times[1])


class _Shop:
    def __init__(self, path: Path, count: int) -> None:
        self._clock = ManualClock(_START)
        registry = Registry()
        registry.register("connector", "nothing", _Nothing())
        registry.register("sink", "memory", MemorySink({"A": 1}))
        store = SqlStateStore(str(path), clock=self._clock)
        self._engine = SyncEngine(store, registry=registry, clock=self._clock)
        _fill(store, registry, count)

    def run(self) -> float:
        """Seconds to run the ten that are due."""
        for number in range(DUE):
            self._engine.request_sync(f"s{number:06}")
        started = time.perf_counter()
        runs = self._engine.run_due()
        taken = time.perf_counter() - started
        if len(runs) != DUE:
            raise AssertionError(f"{len(runs)} ran, not {DUE}")
        return taken


def _fill(store: SqlStateStore, registry: Registry, count: int) -> None:
    """Registers sources that are due tomorrow."""
    later = SourceState(next_run_at=_START + timedelta(days=1))
    for number in range(count):
        spec = SourceSpec(
            name=f"s{number:06}",
            connector=Part("nothing"),
            mapper=Part("columns"),
            feed=Feed.partial(),
            sink=Part("memory"),
            guards=(),
        )
        document = registry.document(spec)
        store.add(StoredSource(spec.name, document, later), AuditEntry(spec.name, "add_source", "bench", _START))
