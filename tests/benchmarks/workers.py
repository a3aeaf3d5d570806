"""Syncs a second of many small sources by one, two and four worker processes that share a state on PostgreSQL.

Every source has 200 SKUs in one stock table, of which 10 change. The processes are those of
``python -m inventory_sources worker``; what counts is the time from when all become due until the last is done. Feeds
that come at once show how far the processors go, feeds that take 0.4 seconds how the processes share the work out.
``--sources=10000`` has it run with so many, by default with 600; of those that take their time, a quarter.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any, Self

import sqlalchemy as sa
from attrs import frozen

from inventory_sources import Feed, Registry, SqlStateStore, SqlStockSink, SyncEngine
from inventory_sources.source import Part, SourceSpec
from inventory_sources.status import SourceState
from inventory_sources.stores._changes import state_columns
from inventory_sources.stores._codec import to_text
from inventory_sources.stores._tables import build_tables
from tests import servers

PROCESSES = (1, 2, 4)
SOURCES, SKUS, CHANGED = 600, 200, 10
_PREFIX, _STOCK, _URL = "bench_workers_", "bench_workers_stock", "INVENTORY_BENCH_URL"
_PATIENCE = 1800


@frozen
class Rows:
    """A feed of 200 SKUs of a source's own."""

    source: str
    seconds: float

    def fetch(self, context: object) -> Iterator[dict[str, object]]:
        """All of them; ten have another level than the table."""
        Event().wait(self.seconds)
        for number in range(SKUS):
            yield {"sku": f"{self.source}-{number:03}", "quantity": int(number < CHANGED)}


def make_engine() -> SyncEngine:
    """As each worker process makes it."""
    url = os.environ[_URL]
    return SyncEngine(SqlStateStore(url, prefix=_PREFIX), registry=_registry(sa.create_engine(url)))


def table(folder: Path) -> Iterator[tuple[str, str, str, str]]:
    """A row for each number of processes."""
    url = servers.postgres_url()
    if url is None:
        yield "syncs by worker processes", "not run", "no PostgreSQL answers", ""
        return
    sources = next((int(word.partition("=")[2]) for word in sys.argv if word.startswith("--sources=")), SOURCES)
    for kind, seconds, count in (("at once", 0.0, sources), ("in 0.4 s", 0.4, sources // 4)):
        alone = 0.0
        for processes in PROCESSES:
            rate = count / _measure(folder / f"{kind} {processes}", url, processes, (count, seconds))
            alone = alone or rate
            yield (
                f"{count:,} feeds {kind}, {processes} processes",
                f"{rate:.0f} syncs a second",
                f"one process: {alone:.0f}",
                f"{rate / alone:.2f}x on {os.cpu_count()} processors",
            )


def _measure(folder: Path, url: str, processes: int, feeds: tuple[int, float]) -> float:
    folder.mkdir()
    engine = sa.create_engine(url)
    tables = build_tables(_PREFIX)
    try:
        _fill(engine, tables, *feeds)
        with ExitStack() as workers:
            started = [workers.enter_context(_Process(url, folder / f"{number}")) for number in range(processes)]
            _until(lambda: all(process.turns() for process in started))
            with engine.begin() as connection:
                due = SourceState(next_run_at=datetime.now(UTC))
                connection.execute(sa.update(tables.sources).values(**state_columns(due)))
            begun = time.perf_counter()
            _until(lambda: _completed(engine, tables) >= feeds[0])
            return time.perf_counter() - begun
    finally:
        tables.metadata.drop_all(engine)
        with engine.begin() as connection:
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {_STOCK}")
        engine.dispose()


class _Process:
    """A worker process."""

    def __init__(self, url: str, touched: Path) -> None:
        self._touched = touched
        place = f"{__name__}:make_engine"
        options = ["--interval", "0.2", "--log-level", "error", "--health-file", str(touched)]
        command = [sys.executable, "-m", "inventory_sources", "worker", place, *options]
        self._process = subprocess.Popen(command, env={**os.environ, _URL: url}, cwd=Path(__file__).parents[2])

    def turns(self) -> bool:
        """Whether it has asked for work."""
        if self._process.poll() is not None:
            raise AssertionError(f"a worker ended with {self._process.returncode}")
        return self._touched.exists()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.wait()


def _until(reached: Any) -> None:
    pause, end = Event(), time.monotonic() + _PATIENCE
    while not reached():
        if time.monotonic() > end:
            raise AssertionError("the workers did not get done")
        pause.wait(0.05)


def _completed(engine: sa.Engine, tables: Any) -> int:
    with engine.connect() as connection:
        query = sa.select(tables.runs.c.result, sa.func.count()).group_by(tables.runs.c.result)
        counts = {row[0]: row[1] for row in connection.execute(query)}
    if set(counts) - {"running", "completed"}:
        raise AssertionError(f"not all did well: {counts}")
    return counts.get("completed", 0)


def _registry(engine: sa.Engine) -> Registry:
    registry = Registry()
    registry.register("connector", "rows", Rows)
    registry.register("sink", "stock", SqlStockSink(engine, _STOCK, sku="sku", quantity="quantity"))
    return registry


def _fill(engine: sa.Engine, tables: Any, sources: int, seconds: float) -> None:
    tables.metadata.drop_all(engine)
    SqlStateStore(engine, prefix=_PREFIX).migrate()
    registry = _registry(engine)
    later = state_columns(SourceState(next_run_at=datetime.now(UTC) + timedelta(days=365)))
    names = [f"S{number:06}" for number in range(sources)]
    with engine.begin() as connection:
        documents = (
            {"name": name, "spec": to_text(registry.document(_spec(name, seconds))), **later} for name in names
        )
        connection.execute(sa.insert(tables.sources), list(documents))
        connection.execute(sa.insert(tables.pushes), [{"source": name} for name in names])
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {_STOCK}")
        connection.exec_driver_sql(f"CREATE TABLE {_STOCK} (sku VARCHAR(64) PRIMARY KEY, quantity INTEGER NOT NULL)")
        connection.exec_driver_sql(
            f"INSERT INTO {_STOCK} SELECT 'S' || lpad(s::text, 6, '0') || '-' || lpad(n::text, 3, '0'), 0 "
            f"FROM generate_series(0, {sources - 1}) AS s, generate_series(0, {SKUS - 1}) AS n"
        )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for name in (_STOCK, tables.sources.name):
            connection.exec_driver_sql(f"VACUUM ANALYZE {name}")


def _spec(name: str, seconds: float) -> SourceSpec:
    return SourceSpec(
        name=name,
        connector=Part("rows", {"source": name, "seconds": seconds}),
        mapper=Part("columns"),
        feed=Feed.snapshot(),
        sink=Part("stock"),
        guards=(),
    )
