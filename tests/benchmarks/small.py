"""A small source (200 SKUs, all unchanged): the engine's own time per sync on SQLite, without network."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from statistics import median

import sqlalchemy as sa

from inventory_sources import Columns, CsvDecoder, Feed, FileConnector, Source, SqlStockSink, SyncEngine

SKUS = 200
RUNS = 101


def measure(folder: Path) -> tuple[float, float]:
    """Median milliseconds of a sync, and of the least a durable run can do: three commits with ``synchronous=FULL``."""
    engine = _engine(folder)
    engine.sync("small")
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        run = engine.sync("small")
        times.append((time.perf_counter() - started) * 1000)
        if run.products_updated:
            raise AssertionError("nothing was to change")
    return median(times), _commits(folder)


def _engine(folder: Path) -> SyncEngine:
    feed = folder / "small.csv"
    feed.write_text("sku,quantity\n" + "".join(f"SKU-{number:03},{number}\n" for number in range(SKUS)), "utf-8")
    table = sa.create_engine(f"sqlite:///{folder / 'small.db'}")
    with table.begin() as connection:
        connection.execute(sa.text("CREATE TABLE stock (sku VARCHAR(64) PRIMARY KEY, quantity INTEGER NOT NULL)"))
        rows = [{"sku": f"SKU-{number:03}", "quantity": number} for number in range(SKUS)]
        connection.execute(sa.text("INSERT INTO stock VALUES (:sku, :quantity)"), rows)
    engine = SyncEngine(str(folder / "small-state.db"))
    engine.add_source(
        Source(
            name="small",
            connector=FileConnector(str(feed), as_of="fetch"),
            decoder=CsvDecoder(),
            mapper=Columns(),
            feed=Feed.snapshot("available"),
            sink=SqlStockSink(table, "stock", sku="sku", quantity="quantity"),
        )
    )
    return engine


def _commits(folder: Path) -> float:
    connection = sqlite3.connect(folder / "commits.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE t (n INTEGER)")
    times = []
    for number in range(RUNS):
        started = time.perf_counter()
        for _ in range(3):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO t VALUES (?)", (number,))
            connection.execute("COMMIT")
        times.append((time.perf_counter() - started) * 1000)
    connection.close()
    return median(times)
