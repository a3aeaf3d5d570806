"""SIGKILL between any two steps: the table is untouched or right, and the next ``run_due()`` finishes the job."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from inventory_sources import SyncEngine, SyncStatus
from inventory_sources.run import RunResult
from inventory_sources.testing import ManualClock

from .killed_worker import START, Steps, source, store

OLD = {"A": 1, "B": 2, "C": 3}
NEW = {"A": 5, "B": 2, "C": 0}
ROOT = Path(__file__).parents[2]


def prepare(folder: Path, *, shared: bool) -> None:
    """Table, feed, and a requested sync."""
    folder.mkdir()
    with sqlite3.connect(folder / "shop.db") as connection:
        connection.execute("CREATE TABLE stock (sku TEXT PRIMARY KEY, quantity INTEGER NOT NULL)")
        connection.executemany("INSERT INTO stock VALUES (?, ?)", OLD.items())
    connection.close()
    (folder / "feed.csv").write_text("sku,quantity\nA,5\nB,2\nC,0\n", "utf-8")
    engine = reviver(folder, ManualClock(START), shared=shared)
    engine.request_sync("erp")
    engine.close()


def reviver(folder: Path, clock: ManualClock, *, shared: bool) -> SyncEngine:
    """A worker that nobody kills."""
    engine = SyncEngine(store(folder, clock, shared=shared), clock=clock, worker="reviver")
    engine.add_source(source(folder, shared=shared, step=Steps(0)), exist_ok=True)
    return engine


def levels(folder: Path) -> dict[str, int]:
    """The shop's table."""
    with sqlite3.connect(folder / "shop.db") as connection:
        found = dict(connection.execute("SELECT sku, quantity FROM stock"))
    connection.close()
    return found


def kill_at_every_step(folder: Path, sink: str) -> list[Path]:
    """The folders that dead workers left, in the order of the step they died at; the last one lived."""
    prepare(folder / "template", shared=sink == "shared")
    graves = folder / "graves"
    graves.mkdir()
    command = [sys.executable, "-m", "tests.engine.killed_worker", str(folder / "template"), str(graves), sink]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert outcome.returncode == 0, outcome.stderr
    return sorted(graves.iterdir(), key=lambda grave: int(grave.name))


@pytest.mark.parametrize("sink", ["own", "shared"])
@pytest.mark.timeout(400)
def test_a_kill_at_every_step_leaves_the_table_untouched_or_right(tmp_path: Path, sink: str) -> None:
    shared = sink == "shared"
    *graves, lived = kill_at_every_step(tmp_path, sink)
    assert len(graves) > 20
    assert int((lived / "steps").read_text("utf-8")) == len(graves), "every step was fatal once"
    assert levels(lived) == NEW
    for grave in graves:
        assert levels(grave) in (OLD, NEW)
        clock = ManualClock(START)
        clock.advance(timedelta(seconds=61))
        engine = reviver(grave, clock, shared=shared)
        runs = engine.run_due()
        assert levels(grave) == NEW
        assert engine.status("erp").status is SyncStatus.COMPLETED
        history = engine.history("erp")
        assert history[0].result is RunResult.COMPLETED
        assert all(run.counts.add_up for run in history)
        assert len(runs) <= 1
        if shared:
            assert sum(run.products_updated for run in history) == 2, "exactly once, in the table and in the books"
        engine.close()
