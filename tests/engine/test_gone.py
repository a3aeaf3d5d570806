"""A stock table whose database is locked, or goes away between reading and writing: all or nothing, and tried again."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from attrs import evolve

from inventory_sources import SqlStockSink
from inventory_sources.protocols.sink import ApplyContext, ApplyResult, Changes
from inventory_sources.run import RunResult
from inventory_sources.status import Reason
from tests.servers import engine_of, fresh_table

from .conftest import Shop
from .test_bad_input import GOOD, NEW, assert_nothing_happened, prepare


def assert_the_next_due_run_finishes(shop: Shop) -> None:
    """The retry that stands in the state applies all of it."""
    assert shop.engine.status("erp").reason is Reason.RETRY
    shop.clock.advance(5 * 60)
    (run,) = shop.engine.run_due()
    assert (run.result, run.products_updated, run.counts.add_up) == (RunResult.COMPLETED, 3, True)
    assert shop.levels == NEW


@pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_locked_database_is_tried_again(shop: Shop, lock: str) -> None:
    path = shop.folder / "shop.db"
    impatient = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 0.1})
    prepare(shop, sink=SqlStockSink(impatient, "stock", sku="sku", quantity="quantity"))
    shop.feed(GOOD)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"BEGIN {lock}")
        run = shop.engine.sync("erp")
        other.execute("ROLLBACK")
    assert_nothing_happened(shop, run, "sink_unavailable")
    assert_the_next_due_run_finishes(shop)
    impatient.dispose()


class Interrupted:
    """A sink to which something happens, once, before it writes or in the middle of writing."""

    def __init__(self, sink: SqlStockSink, happen: Callable[[], object], *, midway: bool) -> None:
        self.sink, self.happen, self.midway = sink, happen, midway
        self.describe, self.levels = sink.describe, sink.levels
        self.happened = False

    def apply(self, changes: Changes, context: ApplyContext) -> ApplyResult:
        """Writes, with the accident."""
        if not self.midway:
            self._once()
        return self.sink.apply(changes, evolve(context, renew=self._once))

    def _once(self) -> None:
        if not self.happened:
            self.happened = True
            self.happen()


def test_a_database_file_that_disappears_before_the_write_loses_nothing(shop: Shop) -> None:
    path, away = shop.folder / "shop.db", shop.folder / "away.db"
    prepare(shop, sink=Interrupted(shop.sink, lambda: path.rename(away), midway=False))
    shop.feed(GOOD)
    run = shop.engine.sync("erp")
    away.replace(path)
    assert_nothing_happened(shop, run, "sink_unavailable")
    assert_the_next_due_run_finishes(shop)


class ServedShop(Shop):
    """A shop whose stock table is in a database server; the sink has connections of its own."""

    def __init__(self, folder: Path, own: sa.Engine, table: str) -> None:
        super().__init__(folder)
        self.database.dispose()
        self.database, self.table = own, table

    def stock(self, **levels: int) -> None:
        """Replaces the stock table's rows."""
        with self.database.begin() as connection:
            connection.execute(sa.text(f"DELETE FROM {self.table}"))
            rows = [{"sku": sku, "quantity": quantity} for sku, quantity in levels.items()]
            connection.execute(sa.text(f"INSERT INTO {self.table} VALUES (:sku, :quantity)"), rows)

    @property
    def levels(self) -> dict[str, int]:
        """The stock table as the shop sees it."""
        with self.database.connect() as connection:
            return {row.sku: row.quantity for row in connection.execute(sa.text(f"SELECT * FROM {self.table}"))}


class Killer:
    """An engine and the means to end its connections on the server."""

    def __init__(self, url: sa.URL, own: sa.Engine) -> None:
        self.engine, self.own = sa.create_engine(url), own
        self.opened: list[int] = []
        self.postgres = own.dialect.name == "postgresql"
        sa.event.listen(self.engine, "connect", lambda driver, record: self.opened.append(self._number(driver)))

    def _number(self, driver) -> int:
        return driver.info.backend_pid if self.postgres else driver.thread_id()

    def __call__(self) -> None:
        with self.own.connect() as connection:
            for number in self.opened:
                connection.exec_driver_sql(
                    f"SELECT pg_terminate_backend({number}, 5000)" if self.postgres else f"KILL HARD {number}"
                )


@pytest.fixture(params=["postgresql", "mysql"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServedShop]:
    """A shop on a database server."""
    options = {"postgresql": "", "mysql": "ENGINE=InnoDB"}[request.param]
    with ExitStack() as stack:
        own = stack.enter_context(engine_of(request.param, tmp_path))
        columns = "sku varchar(50) PRIMARY KEY, quantity integer NOT NULL"
        made = ServedShop(tmp_path, own, stack.enter_context(fresh_table(own, columns, options)))
        stack.callback(made.engine.close)
        yield made


@pytest.mark.parametrize("midway", [False, True], ids=["before the write", "in the middle of it"])
def test_a_server_that_ends_the_connection_loses_nothing(served: ServedShop, midway: bool) -> None:
    killer = Killer(served.database.url, served.database)
    sink = SqlStockSink(killer.engine, served.table, sku="sku", quantity="quantity")
    prepare(served, sink=Interrupted(sink, killer, midway=midway))
    served.feed(GOOD)
    run = served.engine.sync("erp")
    assert killer.opened, "there was a connection to end"
    if run.result is RunResult.COMPLETED and not midway:  # an idle connection may be replaced without more ado
        assert (run.products_updated, served.levels) == (3, NEW)
    else:
        assert_nothing_happened(served, run, "sink_unavailable")
        assert_the_next_due_run_finishes(served)
    killer.engine.dispose()
