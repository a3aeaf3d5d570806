"""SIGKILL while deliveries come in and are applied: what was acknowledged is there, and each is applied once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from inventory_sources import SyncEngine, SyncStatus
from inventory_sources.protocols.inbox import InboxStatus
from inventory_sources.run import RunResult
from inventory_sources.testing import ManualClock
from tests.servers import postgres_url

from .killed_receiver import APPLYING, PATIENCE, RANDOM, RECEIVING, SOURCES, START, open_shop

ROOT = Path(__file__).parents[2]
ITEMS = 5000
TABLES = (
    "CREATE TABLE stock (sku VARCHAR(20) PRIMARY KEY, quantity INTEGER NOT NULL)",
    "CREATE TABLE written (sku VARCHAR(20) NOT NULL, quantity INTEGER NOT NULL)",
)
TRIGGERS = {
    "sqlite": (
        "CREATE TRIGGER tells AFTER UPDATE ON stock BEGIN INSERT INTO written VALUES (new.sku, new.quantity); END",
    ),
    "postgresql": (
        """CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO written VALUES (new.sku, new.quantity); RETURN NULL; END $$""",
        "CREATE TRIGGER tells AFTER UPDATE ON stock FOR EACH ROW EXECUTE FUNCTION told()",
    ),
}


#: A killed process loses nothing that it wrote, on the disk or not, so nobody waits for the disk here.
MEMORY = Path("/dev/shm")


@contextmanager
def database(kind: str) -> Iterator[str]:
    """The URL of an empty database, or of a schema of its own."""
    if kind == "sqlite":
        with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
            yield f"sqlite:///{folder}/shop.db"
        return
    url = postgres_url()
    if url is None:
        pytest.skip("no PostgreSQL at 127.0.0.1:5432")
    schema, server = f"kills_{uuid4().hex[:12]}", sa.create_engine(url)
    with server.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    try:
        yield f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{schema}%20-csynchronous_commit%3Doff"
    finally:
        with server.begin() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
        server.dispose()


def prepare(url: str, kind: str) -> None:
    """A shop with nothing in stock, whose table has every write of a level recorded, and its sources."""
    shop = sa.create_engine(url)
    with shop.begin() as connection:
        for statement in (*TABLES, *TRIGGERS[kind]):
            connection.exec_driver_sql(statement)
        rows = [{"sku": f"S{number}"} for number in range(ITEMS)]
        connection.execute(sa.text("INSERT INTO stock VALUES (:sku, 0)"), rows)
    shop.dispose()
    open_shop(url, ManualClock(START)).close()


def killed(url: str, *counts: int) -> dict[str, Any]:
    """What the sender reports after so many kills: at each step of receiving, at random, at each step of applying."""
    command = [sys.executable, "-m", "tests.webhooks.killed_receiver", url, "1", *map(str, counts)]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert outcome.returncode == 0, outcome.stderr
    report: dict[str, Any] = json.loads(outcome.stdout)
    sys.stdout.write(f"{report['kills']} {report['answers']}\n")
    return report


def recovered(url: str) -> SyncEngine:
    """A worker that nobody kills, hours later, and as long as the ladder of retries takes."""
    clock = ManualClock(START)
    engine = open_shop(url, clock)
    clock.advance(timedelta(days=1))
    for pause in (PATIENCE, PATIENCE, timedelta(minutes=16), timedelta(minutes=61)):
        engine.run_due()
        clock.advance(pause)
    assert engine.run_due() == []
    return engine


def tables(url: str) -> tuple[Counter[tuple[str, int]], dict[str, int]]:
    """How often each level was written, and the levels that there are now."""
    shop = sa.create_engine(url, poolclass=sa.NullPool)
    with shop.connect() as connection:
        written = Counter((row.sku, row.quantity) for row in connection.exec_driver_sql("SELECT * FROM written"))
        stock = {row.sku: row.quantity for row in connection.exec_driver_sql("SELECT * FROM stock WHERE quantity > 0")}
    return written, stock


@pytest.mark.parametrize(
    ("kind", "receivers", "at_random", "workers"),
    [("sqlite", 50, 172, 8), ("postgresql", 8, 24, 4)],
    ids=["sqlite", "postgresql"],
)
@pytest.mark.timeout(400)  # 420 kills and 80
def test_nothing_acknowledged_is_lost_and_nothing_is_applied_twice(
    kind: str, receivers: int, at_random: int, workers: int
) -> None:
    with database(kind) as url:
        prepare(url, kind)
        report = killed(url, receivers, at_random, workers)
        assert report["kills"] == {
            **dict.fromkeys(RECEIVING, receivers),
            **dict.fromkeys(APPLYING, workers),
            RANDOM: at_random + workers,
        }
        assert set(report["answers"]) == {"200"}
        sent = range(report["sent"])
        assert report["answered"] == list(sent), "all were sent until they were answered"
        engine = recovered(url)
        kept = [entry for name in SOURCES for entry in engine.webhooks.deliveries(name, ITEMS)]
        assert sorted(entry.key for entry in kept) == sorted(f"msg-{number}" for number in sent)
        assert {entry.status for entry in kept} == {InboxStatus.APPLIED}
        written, stock = tables(url)
        assert stock == {f"S{number}": number + 1 for number in sent}
        assert written == Counter(stock.items()), "each once"
        runs = [run for name in SOURCES for run in engine.history(name, ITEMS)]
        completed = [run for run in runs if run.result is RunResult.COMPLETED]
        assert sum(run.counts.rows for run in completed) == len(sent), "once in the books, too"
        assert sum(run.products_updated for run in completed) == len(sent)
        assert {engine.status(name).status for name in SOURCES} == {SyncStatus.COMPLETED}
        engine.close()
