"""Behind a pooler that gives each transaction another connection, as PgBouncer does in transaction mode."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from inventory_sources import SqlStockSink
from inventory_sources.errors import StoreUnavailable
from inventory_sources.protocols.store import AuditEntry, StoredSource
from inventory_sources.status import SourceState
from inventory_sources.testing import StateStoreContract
from tests.servers import fresh_table, pooler_before, postgres_url

pytestmark = pytest.mark.skipif(postgres_url() is None, reason="no PostgreSQL server answers")

AT = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SERVERS = 3


@pytest.fixture(scope="module")
def pooler(tmp_path_factory):
    with pooler_before(postgres_url(), tmp_path_factory.mktemp("pooler")) as url:
        yield url


@pytest.fixture
def clients(pooler):
    """An engine at the pooler, behind which there are several connections for transactions to be spread over."""
    engine = sa.create_engine(pooler, connect_args={"prepare_threshold": None})
    with ExitStack() as open_ones:
        for connection in [open_ones.enter_context(engine.connect()) for _ in range(SERVERS)]:
            connection.exec_driver_sql("SELECT 1")
    yield engine
    engine.dispose()


def backends(engine: sa.Engine) -> set[int]:
    with engine.connect() as connection:
        found = set()
        for _ in range(2 * SERVERS):
            found.add(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
            connection.rollback()
    return found


class TestStoreBehindAPooler(StateStoreContract):
    @pytest.fixture(autouse=True)
    def _makes_stores(self, make_store, pooler, clients):
        assert len(backends(clients)) >= SERVERS
        self.make, self.url = make_store, pooler

    def make_store(self, clock):
        return self.make(self.url, clock=clock)


def add(store, name="erp"):
    store.add(StoredSource(name, {}, SourceState()), AuditEntry(name, "add_source", "test", AT))


def test_nothing_is_left_on_connections_that_others_are_given(make_store, pooler, clients):
    store = make_store(pooler, lock_timeout=timedelta(milliseconds=1234))
    for number in range(3 * SERVERS):
        add(store, f"erp {number}")
        store.transact(f"erp {number}", lambda transaction: transaction.source)
    with clients.connect() as connection:
        for _ in range(2 * SERVERS):
            left = [
                connection.exec_driver_sql("SHOW lock_timeout").scalar_one(),
                connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements").scalar_one(),
                connection.exec_driver_sql(
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
                ).scalar_one(),
            ]
            connection.rollback()
            assert left == ["0", 0, 0]


@pytest.mark.parametrize("pooled", [False, True], ids=["direct", "behind a pooler"])
def test_a_lock_is_waited_for_as_long_as_told(make_store, pooler, clients, pooled):
    store = make_store(pooler if pooled else postgres_url(), lock_timeout=timedelta(milliseconds=50))
    add(store)
    with clients.begin() as connection:
        connection.execute(sa.select(store._database.tables.sources).with_for_update())
        with pytest.raises(StoreUnavailable, match="locked by another worker"):
            store.transact("erp", lambda transaction: transaction.source)
    assert store.transact("erp", lambda transaction: transaction.source.name) == "erp"


def test_a_sync_into_a_stock_table_behind_a_pooler(make_store, pooler, clients):
    from inventory_sources import Columns, Feed, SyncEngine
    from inventory_sources.source import Source

    class Rows:
        changes = 0

        def fetch(self, context):
            yield from ({"sku": f"S{number}", "quantity": number + self.changes} for number in range(300))

    rows = Rows()
    columns = "sku varchar(20) PRIMARY KEY, on_hand integer, seen_at timestamptz, written_by bigint"
    with fresh_table(clients, columns) as table:
        with clients.begin() as connection:
            connection.exec_driver_sql(f"INSERT INTO {table} SELECT 'S' || n, 0 FROM generate_series(0, 299) AS n")
        sink = SqlStockSink(clients, table, sku="sku", quantity="on_hand", as_of="seen_at", epoch="written_by")
        engine = SyncEngine(make_store(pooler))
        engine.add_source(
            Source(
                name="erp", connector=rows, mapper=Columns("sku", "quantity"), feed=Feed.partial(), sink=sink, guards=()
            )
        )
        for rows.changes in range(8):
            assert engine.sync("erp").result.value == "completed"
        with clients.connect() as connection:
            total = connection.exec_driver_sql(f"SELECT sum(on_hand) FROM {table}").scalar_one()
    assert total == sum(range(300)) + 300 * 7
