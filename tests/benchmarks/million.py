"""One million SKUs, 5 % changed: the full engine against the fastest plain code for the same work.

Each run is a process of its own on a fresh copy of the tables, ours and the floor's in turn. The floors use nothing of
this library; both sides must leave the same rows behind.
"""

from __future__ import annotations

import hashlib
import json
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

ROWS = 1_000_000
RUNS = 7
_NEW = "2026-03-02T11:00:00Z"
_OLD = "2026-03-02T10:00:00Z"


def quantity(number: int, *, changed: bool) -> int:
    """The level of an item: one in twenty moves up by one when ``changed``."""
    base = number * 7 % 1000
    return base + 1 if changed and number % 20 == 0 else base


def write_feed(path: Path, rows: int, *, changed: bool, unmapped_bytes: int = 0) -> None:
    """A feed of so many rows; ``unmapped_bytes`` adds a column that wide which nobody maps."""
    extra = "," + "x" * unmapped_bytes if unmapped_bytes else ""
    seen = _NEW if changed else _OLD
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("sku,quantity,warehouse,updated_at" + (",description" if unmapped_bytes else "") + "\n")
        file.writelines(
            f"SKU-{number:07},{quantity(number, changed=changed)},WH{number % 5},{seen}{extra}\n"
            for number in range(rows)
        )


def levels(rows: int) -> list[tuple[str, str, int]]:
    """The stock table before the sync."""
    return [(f"SKU-{number:07}", f"WH{number % 5}", quantity(number, changed=False)) for number in range(rows)]


CREATE = "CREATE TABLE stock (sku VARCHAR(64) NOT NULL, warehouse VARCHAR(16) NOT NULL, quantity INTEGER NOT NULL"


def prepare(folder: Path, rows: int = ROWS) -> None:
    """Feeds, the stock table in SQLite, and the state after a first sync of ours."""
    folder.mkdir(parents=True, exist_ok=True)
    write_feed(folder / "before.csv", rows, changed=False)
    write_feed(folder / "after.csv", rows, changed=True)
    with sqlite3.connect(folder / "base.db") as connection:
        connection.execute(f"{CREATE}, PRIMARY KEY (sku, warehouse))")
        connection.executemany("INSERT INTO stock VALUES (?, ?, ?)", levels(rows))
    connection.close()
    shutil.copy(folder / "before.csv", folder / "feed.csv")
    run_side("ours", folder, "sqlite", database=folder / "base.db", state=folder / "base-state.db")
    shutil.copy(folder / "after.csv", folder / "feed.csv")


def run_side(side: str, folder: Path, backend: str, *, database: Path | str, state: Path) -> dict[str, float]:
    """One run in a process of its own: seconds and peak memory in MB."""
    command = [sys.executable, "-m", "tests.benchmarks.million", side, backend, str(folder), str(database), str(state)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    measured: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return measured


def compare_sqlite(folder: Path, runs: int = RUNS) -> dict[str, list[dict[str, float]]]:
    """Alternating runs; every pair must leave the same table."""
    measured: dict[str, list[dict[str, float]]] = {"ours": [], "floor": []}
    for _ in range(runs):
        digests = set()
        for side in ("floor", "ours"):
            shutil.copy(folder / "base.db", folder / "work.db")
            shutil.copy(folder / "base-state.db", folder / "work-state.db")
            state = folder / "work-state.db"
            measured[side].append(run_side(side, folder, "sqlite", database=folder / "work.db", state=state))
            digests.add(sqlite_digest(folder / "work.db"))
        if len(digests) != 1:
            raise AssertionError("the two sides left different tables")
    return measured


def sqlite_digest(path: Path) -> str:
    """A fingerprint of the stock table."""
    digest = hashlib.sha256()
    with sqlite3.connect(path) as connection:
        for row in connection.execute("SELECT sku, warehouse, quantity FROM stock ORDER BY sku, warehouse"):
            digest.update(repr(row).encode())
    connection.close()
    return digest.hexdigest()


def floor_sqlite(folder: Path, database: str) -> None:
    """Polars reads the file and joins it with all levels; sqlite3 updates what differs."""
    import polars as pl

    feed = pl.read_csv(folder / "feed.csv")
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT sku, warehouse, quantity FROM stock").fetchall()
        current = pl.DataFrame(rows, schema={"sku": pl.String, "warehouse": pl.String, "old": pl.Int64}, orient="row")
        changed = feed.join(current, on=["sku", "warehouse"]).filter(pl.col("quantity") != pl.col("old"))
        connection.executemany(
            "UPDATE stock SET quantity = ? WHERE sku = ? AND warehouse = ?",
            changed.select("quantity", "sku", "warehouse").iter_rows(),
        )
    connection.close()


def ours(folder: Path, backend: str, database: str, state: str) -> object:
    """An engine ready to sync, and the sync itself as a call."""
    import sqlalchemy as sa

    from inventory_sources import Columns, CsvDecoder, Feed, FileConnector, Source, SqlStockSink, SyncEngine

    url = f"sqlite:///{database}" if backend == "sqlite" else database
    table = sa.create_engine(url)
    sink = SqlStockSink(table, "stock", sku="sku", quantity="quantity", location="warehouse")
    engine = SyncEngine(f"sqlite:///{state}" if backend == "sqlite" else database)
    source = Source(
        name="erp",
        connector=FileConnector(str(folder / "feed.csv")),
        decoder=CsvDecoder(),
        mapper=Columns("sku", "quantity", "warehouse", "updated_at"),
        feed=Feed.snapshot("available"),
        sink=sink,
    )
    engine.add_source(source, exist_ok=True)
    return lambda: engine.sync("erp")


def main(side: str, backend: str, folder: str, database: str, state: str) -> None:
    """Runs one side once and prints what it took."""
    import polars as pl

    pl.DataFrame({"warm": [1]})
    if side == "ours":
        call = ours(Path(folder), backend, database, state)
    elif backend == "sqlite":
        call = lambda: floor_sqlite(Path(folder), database)  # noqa: E731
    else:
        from tests.benchmarks import postgres

        call = postgres.floor(side, Path(folder), database)
    started = time.perf_counter()
    result = call()
    seconds = time.perf_counter() - started
    if side == "ours" and result.result.value != "completed":
        raise AssertionError(f"the sync ended as {result.result}: {result.failure}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak}))


def middle(runs: list[dict[str, float]], figure: str = "seconds") -> float:
    """The median of a figure."""
    return median(run[figure] for run in runs)


if __name__ == "__main__":
    main(*sys.argv[1:])
