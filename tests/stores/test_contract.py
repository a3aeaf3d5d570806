"""The library's own stores keep the contract, on every database."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from inventory_sources.stores.memory import MemoryStateStore
from inventory_sources.testing import StateStoreContract
from tests.servers import mysql_url, postgres_url


class TestMemory(StateStoreContract):
    def make_store(self, clock):
        return MemoryStateStore(clock)


class SqlContract(StateStoreContract):
    @pytest.fixture(autouse=True)
    def _makes_stores(self, make_store, tmp_path):
        self.make, self.path = make_store, tmp_path / "state.db"


class TestSqliteFile(SqlContract):
    def make_store(self, clock):
        return self.make(str(self.path), clock=clock)


class TestSqliteInMemory(SqlContract):
    def make_store(self, clock):
        return self.make("sqlite://", clock=clock)


class TestSqliteOnTheHostsEngine(SqlContract):
    """With the host's own transaction events, as SQLAlchemy's documentation has them, and a rollback journal."""

    @pytest.fixture(autouse=True)
    def _engine(self, _makes_stores):
        self.engine = sa.create_engine(f"sqlite:///{self.path}")

        @sa.event.listens_for(self.engine, "connect")
        def connect(connection, _):
            connection.isolation_level = None

        @sa.event.listens_for(self.engine, "begin")
        def begin(connection):
            connection.exec_driver_sql("BEGIN")

        yield
        self.engine.dispose()

    def make_store(self, clock):
        return self.make(self.engine, clock=clock)


@pytest.mark.skipif(postgres_url() is None, reason="no PostgreSQL server answers")
class TestPostgres(SqlContract):
    def make_store(self, clock):
        return self.make(postgres_url(), clock=clock)


@pytest.mark.skipif(postgres_url() is None, reason="no PostgreSQL server answers")
class TestPostgresSerializable(SqlContract):
    """A host's engine at the strictest isolation: the database asks for repetitions."""

    @pytest.fixture(autouse=True)
    def _engine(self, _makes_stores):
        self.engine = sa.create_engine(postgres_url(), isolation_level="SERIALIZABLE")
        yield
        self.engine.dispose()

    def make_store(self, clock):
        return self.make(self.engine, clock=clock)


@pytest.mark.skipif(mysql_url() is None, reason="no MariaDB server answers")
class TestMariaDb(SqlContract):
    def make_store(self, clock):
        return self.make(mysql_url(), clock=clock)


@pytest.mark.skipif(mysql_url() is None, reason="no MariaDB server answers")
class TestMariaDbRepeatableRead(SqlContract):
    """A host's engine with the server's own default isolation."""

    @pytest.fixture(autouse=True)
    def _engine(self, _makes_stores):
        self.engine = sa.create_engine(mysql_url())
        yield
        self.engine.dispose()

    def make_store(self, clock):
        return self.make(self.engine, clock=clock)
