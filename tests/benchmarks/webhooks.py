"""Webhooks: deliveries verified and durably kept, how long a sender waits, and pushes applied, beside bare inserts.

The floor writes the same rows into tables of the same layout by the bare driver, on one connection with the store's
settings, in transactions of the sizes that the store's had. It verifies, looks up and locks nothing; its rows are made
before the clock starts. What judging a delivery takes is measured by itself, with a store that keeps nothing.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy as sa
from attrs import define, field

from inventory_sources import Columns, Feed, JsonDecoder, Secret, Source, SqlStateStore, SqlStockSink, SyncEngine
from inventory_sources.protocols.inbox import Receipt
from inventory_sources.protocols.webhook import Delivery
from inventory_sources.testing.webhooks import signed
from inventory_sources.webhooks import StandardWebhooks, Webhook
from tests import servers

Row = tuple[str, str, str, str]
COUNT = {1: 1000, 16: 4000}
ROUNDS = 5
THREADS = 16
LATENCIES = 4000
APPLIED = 5000
#: What one run applies by default; the floor commits as often.
GROUP = 500
SCHEMA = "inventory_bench_webhooks"
_SCHEME = StandardWebhooks(secrets=Secret("whsec_" + "c2VjcmV0" * 5))
_STOCK = "CREATE TABLE stock (sku VARCHAR(20) PRIMARY KEY, quantity INTEGER NOT NULL)"
_COLUMNS = (
    "id source dedup_key digest received_at sequence sequence_of status attempts next_attempt_at settled_at run_id "
    "reason headers body"
).split()


class _Counting(SqlStateStore):
    """A store that tells how many deliveries each transaction kept."""

    groups: list[int]
    keeps = True

    def put(self, entries: Any, wake_in: timedelta = timedelta(0)) -> Any:
        self.groups.append(len(entries))
        return super().put(entries, wake_in) if self.keeps else [Receipt.KEPT] * len(entries)


@define
class _Place:
    """A database with nothing in it but the tables, twice: ours and the floor's."""

    url: str
    store: _Counting = field(init=False)
    engine: SyncEngine = field(init=False)

    def __attrs_post_init__(self) -> None:
        SqlStateStore(self.url, prefix="floor_").migrate()
        self.store = _Counting(self.url)
        self.store.groups = []
        table = sa.create_engine(self.url)
        with table.begin() as connection:
            connection.exec_driver_sql(_STOCK)
            rows = [{"sku": f"S{number}"} for number in range(APPLIED)]
            connection.execute(sa.text("INSERT INTO stock VALUES (:sku, 0)"), rows)
        self.engine = SyncEngine(self.store)
        self.engine.add_source(
            Source(
                name="wms",
                connector=Webhook(signature=_SCHEME),
                decoder=JsonDecoder(records="items"),
                mapper=Columns(sku="sku", quantity="qty"),
                feed=Feed.partial(),
                guards=(),
                sink=SqlStockSink(table, "stock", sku="sku", quantity="quantity", shared=True),
            )
        )

    @contextmanager
    def bare(self) -> Iterator[Any]:
        """The driver's connection as the store would have it."""
        if self.url.startswith("sqlite"):
            connection: Any = sqlite3.connect(self.url.removeprefix("sqlite:///"), isolation_level=None)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        else:
            import psycopg

            connection = psycopg.connect(self.url.replace("+psycopg", ""), autocommit=True)
        try:
            yield connection
        finally:
            connection.close()

    def sql(self, statement: str) -> str:
        """With the driver's placeholders."""
        return statement if self.url.startswith("sqlite") else statement.replace("?", "%s")


def _deliveries(count: int) -> list[Delivery]:
    """Levels of one item each, signed now."""
    now = datetime.now(UTC)
    return [
        signed(
            _SCHEME,
            json.dumps({"items": [{"sku": f"S{number % APPLIED}", "qty": number + 1}]}).encode(),
            at=now,
            id=f"msg-{uuid.uuid4().hex}",
        )
        for number in range(count)
    ]


def _received(place: _Place, deliveries: Sequence[Delivery], threads: int) -> float:
    """Seconds until all are answered, by so many threads."""
    coming = iter(deliveries)
    statuses: list[int] = []

    def serve() -> None:
        for delivery in coming:  # a list's iterator gives each to one thread
            statuses.append(place.engine.receive("wms", delivery).status)  # noqa: PERF401 - threads share the list

    place.engine.receive("wms", _deliveries(1)[0])
    place.store.groups.clear()
    workers = [threading.Thread(target=serve) for _ in range(threads)]
    started = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    taken = time.perf_counter() - started
    if statuses != [200] * len(deliveries):
        raise AssertionError(f"not all were kept: {set(statuses)}")
    return taken


def _inserted(place: _Place, deliveries: Sequence[Delivery], groups: Sequence[int]) -> float:
    """Seconds of the bare inserts of the same rows, in transactions of these sizes."""
    rows = iter([_row(delivery) for delivery in deliveries])
    marks = ", ".join("?" * len(_COLUMNS))
    insert = place.sql(f"INSERT INTO floor_inbox ({', '.join(_COLUMNS)}) VALUES ({marks})")
    with place.bare() as connection:
        cursor = connection.cursor()
        started = time.perf_counter()
        for size in groups:
            cursor.execute("BEGIN")
            cursor.executemany(insert, [next(rows) for _ in range(size)])
            cursor.execute("COMMIT")
        return time.perf_counter() - started


def _row(delivery: Delivery) -> tuple[Any, ...]:
    headers = {name: value for name, value in delivery.headers if "signature" not in name}
    key, digest = dict(delivery.headers)["webhook-id"], hashlib.sha256(delivery.body).hexdigest()
    moment = int(delivery.received_at.timestamp() * 1_000_000)
    kept = ("waiting", 0, None, None, None, '""', json.dumps(headers), delivery.body)
    return (uuid.uuid4().hex, "wms", key, digest, moment, None, "", *kept)


def _latencies(place: _Place, rate: float) -> list[float]:
    """Seconds from when each was due to arrive to its answer; arrivals wait for nobody."""
    deliveries = _deliveries(LATENCIES)
    coming = iter(range(LATENCIES))
    waits: list[float] = []
    started = time.perf_counter()

    def serve() -> None:
        for number in coming:
            due = started + number / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            place.engine.receive("wms", deliveries[number])
            waits.append(time.perf_counter() - due)

    workers = [threading.Thread(target=serve) for _ in range(4 * THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sorted(waits)


def _applied(place: _Place) -> float:
    """Seconds until what waits is in the stock table."""
    started = time.perf_counter()
    runs = []
    while some := place.engine.run_due():
        runs += some
    taken = time.perf_counter() - started
    rows = sum(run.counts.rows for run in runs)
    if rows < APPLIED:
        raise AssertionError(f"{rows} were applied")
    return taken


def _updated(place: _Place) -> float:
    """Seconds of reading the same rows bare, writing their levels and marking them, as often committed."""
    read = place.sql("SELECT id, body FROM floor_inbox WHERE source = ? AND status = ? ORDER BY number LIMIT ?")
    write = place.sql("UPDATE stock SET quantity = ? WHERE sku = ?")
    mark = place.sql("UPDATE floor_inbox SET status = 'applied', run_id = 'bare' WHERE id = ?")
    with place.bare() as connection:
        cursor = connection.cursor()
        started = time.perf_counter()
        while True:
            cursor.execute("BEGIN")
            waiting = cursor.execute(read, ("wms", "waiting", GROUP)).fetchall()
            items = [item for _, body in waiting for item in json.loads(body)["items"]]
            if waiting:
                cursor.executemany(write, [(item["qty"], item["sku"]) for item in items])
                cursor.executemany(mark, [(name,) for name, _ in waiting])
            cursor.execute("COMMIT")
            if not waiting:
                return time.perf_counter() - started


@contextmanager
def _on_sqlite(folder: Path) -> Iterator[_Place]:
    place = _Place(f"sqlite:///{folder / uuid.uuid4().hex}.db")
    yield place
    place.engine.close()


@contextmanager
def _on_postgres(url: str) -> Iterator[_Place]:
    server = sa.create_engine(url, poolclass=sa.NullPool)
    with server.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        connection.exec_driver_sql(f"CREATE SCHEMA {SCHEMA}")
    place = _Place(f"{url}?options=-csearch_path%3D{SCHEMA}")
    yield place
    place.engine.close()
    with server.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {SCHEMA} CASCADE")


@define
class _Seconds:
    """Of a delivery, in each round."""

    ours: list[float] = field(factory=list)
    bare: list[float] = field(factory=list)
    judged: list[float] = field(factory=list)
    together: list[float] = field(factory=list)


def _compared(opened: Callable[[], Any], threads: int) -> _Seconds:
    """Ours, the bare inserts in the same groups, and judging alone; ``together`` is the size of a group."""
    count, seconds = COUNT[threads], _Seconds()
    for _ in range(ROUNDS):
        with opened() as place:
            seconds.ours.append(_received(place, _deliveries(count), threads) / count)
            groups = list(place.store.groups)
            seconds.together.append(count / len(groups))
            seconds.bare.append(_inserted(place, _deliveries(count), groups) / count)
            place.store.keeps = False
            seconds.judged.append(_received(place, _deliveries(count), threads) / count)
    return seconds


def _measured(name: str, opened: Callable[[], Any]) -> Iterator[Row]:
    for threads in COUNT:
        seconds = _compared(opened, threads)
        ours, bare, judged = (median(each) for each in (seconds.ours, seconds.bare, seconds.judged))
        yield (
            f"deliveries kept, {name}, {threads} thread{'s' if threads > 1 else ''}",
            f"{1 / ours:,.0f} a second",
            f"bare inserts {1 / bare:,.0f}, {median(seconds.together):.1f} at once",
            f"{bare / ours:.2f}x; at least 0.7x",
        )
        yield (
            "  of which judging",
            f"{judged * 1e6:.0f} of {ours * 1e6:.0f} us",
            f"judging and bare inserts {1 / (judged + bare):,.0f}",
            f"{(judged + bare) / ours:.2f}x",
        )
    rate = 1 / ours / 2
    with opened() as place:
        waits = _latencies(place, rate)
    middle, late = median(waits) * 1000, waits[int(len(waits) * 0.99)] * 1000
    yield f"answered, {name}, {rate:,.0f} a second", f"p99 {late:.1f} ms", f"median {middle:.1f} ms", ""
    applied, updated = [], []
    for _ in range(ROUNDS):
        with opened() as place:
            _received(place, _deliveries(APPLIED), THREADS)
            applied.append(APPLIED / _applied(place))
            _inserted(place, _deliveries(APPLIED), [GROUP] * (APPLIED // GROUP))
            updated.append(APPLIED / _updated(place))
    yield (
        f"pushes applied, {name}",
        f"{median(applied):,.0f} a second",
        f"bare updates {median(updated):,.0f}",
        f"{median(applied) / median(updated):.2f}x",
    )


def table(folder: Path) -> Iterator[Row]:
    """SQLite and, where it answers, PostgreSQL."""
    yield from _measured("SQLite", lambda: _on_sqlite(folder))
    url = servers.postgres_url()
    if url is None:
        yield "webhooks, PostgreSQL", "not run", "no PostgreSQL answers", ""
        return
    yield from _measured("PostgreSQL", lambda: _on_postgres(url))
