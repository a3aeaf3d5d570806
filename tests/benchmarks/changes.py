"""Ten thousand changed levels written into a table of 200,000, beside the driver's bare executemany."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy as sa

from inventory_sources import SqlStockSink
from inventory_sources.protocols.sink import ApplyContext
from inventory_sources.testing.sinks import NOON, change, changes_of
from tests import servers

ROWS, CHANGED = 200_000, 10_000
RUNS = 7
_TABLE = "bench_changes"
_TIMES = {"sqlite": "DATETIME", "postgresql": "TIMESTAMPTZ", "mysql": "DATETIME(6)"}


def table(folder: Path) -> Iterator[tuple[str, str, str, str]]:
    """A row for each database."""
    urls = {
        "SQLite": f"sqlite:///{folder / 'stock.db'}",
        "PostgreSQL": servers.postgres_url(),
        "MariaDB": servers.mysql_url(),
    }
    for name, url in urls.items():
        if url is None:
            yield f"{CHANGED:,} changes, {name}", "not run", "no server answers", ""
            continue
        ours, bare = compare(url)
        yield (
            f"{CHANGED:,} changes, {name}",
            f"{ours * 1000:.0f} ms",
            f"bare executemany {bare * 1000:.0f} ms",
            f"{ours / bare:.2f}x",
        )


def compare(url: str) -> tuple[float, float]:
    """Median seconds to apply the changes, and to write them bare, in turn."""
    engine = sa.create_engine(url)
    _fill(engine)
    try:
        sink = SqlStockSink(
            engine, _TABLE, sku="sku", quantity="quantity", location="place", as_of="seen", epoch="written_by"
        )
        sink.describe()
        ours, bare = [], []
        for level in range(1, 2 * RUNS, 2):
            ours.append(_apply(sink, level))
            bare.append(_write(engine, level + 1))
        return median(ours), median(bare)
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"DROP TABLE {_TABLE}")
        engine.dispose()


def _fill(engine: sa.Engine) -> None:
    columns = "sku VARCHAR(64) NOT NULL, place VARCHAR(16) NOT NULL, quantity INTEGER NOT NULL"
    guards = f"seen {_TIMES[engine.dialect.name]}, written_by BIGINT"
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {_TABLE}")
        connection.exec_driver_sql(f"CREATE TABLE {_TABLE} ({columns}, {guards}, PRIMARY KEY (sku, place))")
        filled = sa.text(f"INSERT INTO {_TABLE} VALUES (:sku, :place, 0, NULL, NULL)")
        connection.execute(filled, [{"sku": sku, "place": place} for sku, place in map(_key, range(ROWS))])


def _key(number: int) -> tuple[str, str]:
    return f"SKU-{number:07}", f"WH{number % 5}"


def _changed() -> list[tuple[str, str]]:
    return [_key(number) for number in range(0, ROWS, ROWS // CHANGED)]


def _apply(sink: SqlStockSink, level: int) -> float:
    items = [change(sku, level - 1, level, location=place, as_of=NOON) for sku, place in _changed()]
    changes = changes_of(items)
    started = time.perf_counter()
    result = sink.apply(changes, ApplyContext("bench", f"run {level}", level))
    taken = time.perf_counter() - started
    if result.exceptions:
        raise AssertionError(f"not written: {result.exceptions[0]}")
    return taken


def _write(engine: sa.Engine, level: int) -> float:
    mark = "?" if engine.dialect.name == "sqlite" else "%s"
    statement = f"UPDATE {_TABLE} SET quantity = {mark} WHERE sku = {mark} AND place = {mark}"
    rows = [(level, *key) for key in _changed()]
    connection: Any = engine.raw_connection()
    started = time.perf_counter()
    cursor = connection.cursor()
    cursor.executemany(statement, rows)
    connection.commit()
    taken = time.perf_counter() - started
    connection.close()
    return taken
