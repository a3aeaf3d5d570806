"""``python -m tests.benchmarks [races] [sqlite] [postgres] [memory] [small] [due] [claims] [changes] [workers]
[import] [formats] [sftp] [rest] [inbox] [webhooks]``.

All are run by default. ``--with-dlt`` has the last one compare with dlt, too, which it installs for that time;
``--sources=10000`` gives the workers as many sources, a few hundred by default.

Every figure is measured in this run beside its floor; compare the ratios, never the times.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests import servers
from tests.benchmarks import (
    changes,
    claims,
    due,
    formats,
    importing,
    inbox,
    million,
    postgres,
    races,
    rest,
    sftp,
    small,
    webhooks,
    workers,
)

Row = tuple[str, str, str, str]
_WIDE = 200


def spread(runs: list[dict[str, float]]) -> str:
    """Median seconds with the fastest and the slowest run: the machine's noise."""
    times = [run["seconds"] for run in runs]
    return f"{million.middle(runs):.2f} s ({min(times):.2f} to {max(times):.2f})"


def sqlite(folder: Path) -> Iterator[Row]:
    """One million SKUs on SQLite."""
    million.prepare(folder / "sqlite")
    measured = million.compare_sqlite(folder / "sqlite")
    yield _against("1M SKUs, SQLite", measured["ours"], measured["floor"], "1.5")
    peak = max(run["peak_mb"] for run in measured["ours"])
    yield "peak memory, 1M SKUs", f"{peak:.0f} MB", "", "at most 600 MB"


def on_postgres(folder: Path) -> Iterator[Row]:
    """One million SKUs on PostgreSQL."""
    url = servers.postgres_url()
    if url is None:
        yield "1M SKUs, PostgreSQL", "not run", "no PostgreSQL answers", ""
        return
    folder = folder / "postgres"
    folder.mkdir()
    million.write_feed(folder / "before.csv", million.ROWS, changed=False)
    million.write_feed(folder / "after.csv", million.ROWS, changed=True)
    inside = postgres.prepare(folder, url)
    try:
        measured = postgres.compare(folder, inside)
    finally:
        postgres.remove(inside)
    better = min(("update_from", "join_here"), key=lambda side: million.middle(measured[side]))
    yield _against(f"1M SKUs, PostgreSQL, floor {better}", measured["ours"], measured[better], "1.3")


def memory(folder: Path) -> Iterator[Row]:
    """Peak memory with and without a wide column that nobody maps."""
    rows, peaks = 200_000, []
    for width in (0, _WIDE, 4 * _WIDE):
        place = folder / f"wide{width}"
        place.mkdir()
        million.write_feed(place / "feed.csv", rows, changed=True, unmapped_bytes=width)
        _table(place, rows)
        taken = million.run_side("ours", place, "sqlite", database=place / "work.db", state=place / "state.db")
        peaks.append(taken["peak_mb"])
    for width, peak in zip((_WIDE, 4 * _WIDE), peaks[1:], strict=True):
        extra = rows * width / 1e6
        yield (
            f"peak memory, {extra:.0f} MB of unmapped column",
            f"{peak:.0f} MB",
            f"{peaks[0]:.0f} MB without",
            f"{(peak - peaks[0]) / extra:.2f} bytes a byte; below 1",
        )


def _table(folder: Path, rows: int) -> None:
    import sqlite3

    with sqlite3.connect(folder / "work.db") as connection:
        connection.execute(f"{million.CREATE}, PRIMARY KEY (sku, warehouse))")
        connection.executemany("INSERT INTO stock VALUES (?, ?, ?)", million.levels(rows))
    connection.close()


def small_source(folder: Path) -> Iterator[Row]:
    """A small source, nothing changed."""
    sync, commits = small.measure(folder)
    yield "200 SKUs unchanged, a sync", f"{sync:.1f} ms", f"three commits alone: {commits:.1f} ms", "at most 10 ms"


def run_due(folder: Path) -> Iterator[Row]:
    """Ten due sources among few and many."""
    few, many = due.compare(folder)
    yield (
        "run_due, 10 due of 100,000",
        f"{many * 1000:.0f} ms",
        f"of 100: {few * 1000:.0f} ms",
        f"{many / few:.2f}x; at most 2x",
    )


def half_files(folder: Path) -> Iterator[Row]:
    """Half files that each way would have had applied, against a sender that pauses."""
    for way in races.WAYS:
        met = races.measure(folder, way)
        yield f"races: {way}", f"{len(met.halves)} half files", f"of {met.polls} polls", f"{len(met.applied)} read"


def import_time(folder: Path) -> Iterator[Row]:
    """The import of the package."""
    bare, package = importing.compare()
    yield (
        "import inventory_sources",
        f"{package * 1000:.0f} ms",
        f"bare Python {bare * 1000:.0f} ms",
        f"{package / bare:.2f}x",
    )


def _against(name: str, ours: list[dict[str, float]], floor: list[dict[str, float]], bound: str) -> Row:
    ratio = million.middle(ours) / million.middle(floor)
    return name, spread(ours), f"floor {spread(floor)}", f"{ratio:.2f}x; at most {bound}x"


PARTS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "import": import_time,
    "races": half_files,
    "small": small_source,
    "due": run_due,
    "claims": claims.table,
    "changes": changes.table,
    "workers": workers.table,
    "memory": memory,
    "sqlite": sqlite,
    "postgres": on_postgres,
    "formats": formats.table,
    "sftp": sftp.table,
    "rest": rest.table,
    "webhooks": webhooks.table,
    "inbox": inbox.table,
}


def main(names: list[str]) -> None:
    """Measures and prints a table, row by row."""
    for name in [name for name in names if not name.startswith("--")] or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            for row in PARTS[name](Path(folder)):
                print(
                    " | ".join(f"{cell:<{width}}" for cell, width in zip(row, (38, 28, 36, 28), strict=True)),
                    flush=True,
                )


if __name__ == "__main__":
    main(sys.argv[1:])
