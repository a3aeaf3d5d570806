"""A host with Celery: the module that workers and beats are started with (`-A`), and the test's own side of it.

`CELERY_HOST` holds the fields of :class:`Host` as JSON.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from attrs import asdict, field, frozen
from celery import Celery

from inventory_sources import Feed, Registry, SqlStateStore, SqlStockSink, SyncEngine
from inventory_sources.clock import SystemClock
from inventory_sources.integrations.celery import CeleryScheduler, InventoryTasks
from inventory_sources.source import Part, SourceSpec


@frozen
class Gated:
    """A connector that tells the test's port its process, waits there to be let go, and yields one level."""

    sku: str
    quantity: int
    port: int = 0

    def fetch(self, context: Any) -> Iterator[dict[str, object]]:
        if self.port:
            with socket.create_connection(("127.0.0.1", self.port)) as gate:
                gate.sendall(f"{os.getpid()}\n".encode())
                gate.recv(1)
        yield {"sku": self.sku, "quantity": self.quantity}


class Ahead(SystemClock):
    """The time of all processes, moved by as many seconds as a file says."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=float(self.path.read_text() if self.path.exists() else 0))


@frozen
class Host:
    """What every process of the host makes at its start."""

    folder: str
    broker: str
    queue: str
    options: dict[str, Any] = field(factory=dict)
    #: Makes one engine at the start instead of one in each process.
    shares_engine: bool = False
    #: A source that a process syncs at its start, before it forks.
    syncs_first: str = ""

    def environment(self) -> dict[str, str]:
        return {**os.environ, "CELERY_HOST": json.dumps(asdict(self))}

    def app(self) -> Celery:
        redis = self.broker.startswith("redis")
        app = Celery("shop", broker=self.broker, backend=self.broker if redis else "rpc://", set_as_current=False)
        prefix = {"global_keyprefix": f"{self.queue}:"} if redis else {}
        app.conf.update(
            task_default_queue=self.queue,
            worker_enable_remote_control=False,
            worker_prefetch_multiplier=1,
            result_expires=60,
            result_backend_transport_options=prefix,
            broker_connection_retry_on_startup=False,
        )
        app.conf.update(self.options)
        app.conf.broker_transport_options = {**app.conf.broker_transport_options, **prefix}
        return app

    def engine(self, scheduler: Any = None) -> SyncEngine:
        folder = Path(self.folder)
        registry = Registry()
        database = sa.create_engine(f"sqlite:///{folder / 'shop.db'}", poolclass=sa.NullPool)
        registry.register("sink", "shop", SqlStockSink(database, "stock", sku="sku", quantity="quantity"))
        registry.register("connector", "gated", Gated)
        clock = Ahead(folder / "ahead")
        store = SqlStateStore(f"sqlite:///{folder / 'state.db'}", clock=clock)
        return SyncEngine(store, registry=registry, clock=clock, scheduler=scheduler)

    def tasks(self, app: Celery) -> InventoryTasks:
        def make() -> SyncEngine:
            return self.engine(CeleryScheduler(app))

        engine = make() if self.shares_engine else make
        if self.syncs_first:
            first = engine if isinstance(engine, SyncEngine) else make()
            assert first.sync(self.syncs_first).products_updated == 1
        tasks = InventoryTasks(app, engine)
        app.conf.beat_schedule = tasks.beat(every=1)
        return tasks

    def spec(self, name: str, quantity: int = 7, port: int = 0) -> SourceSpec:
        """A source of one product of its own, of which the shop has one piece."""
        with sqlite3.connect(Path(self.folder) / "shop.db") as shop:
            shop.execute("CREATE TABLE IF NOT EXISTS stock (sku TEXT PRIMARY KEY, quantity INTEGER NOT NULL)")
            shop.execute("INSERT INTO stock VALUES (?, 1)", [name])
        shop.close()
        return SourceSpec(
            name=name,
            connector=Part("gated", {"sku": name, "quantity": quantity, "port": port}),
            mapper=Part("columns"),
            feed=Feed.partial(),
            guards=(),
            sink=Part("shop"),
        )

    def level(self, name: str) -> int:
        with sqlite3.connect(Path(self.folder) / "shop.db") as shop:
            (level,) = shop.execute("SELECT quantity FROM stock WHERE sku = ?", [name]).fetchone()
        shop.close()
        return int(level)


if "CELERY_HOST" in os.environ:
    host = Host(**json.loads(os.environ["CELERY_HOST"]))
    app = host.app()
    tasks = host.tasks(app)
