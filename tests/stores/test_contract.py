"""The library's own stores keep the contract, on every database."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.stores.databases import MARIADB_URL, POSTGRES_URL

from inventory_sources.stores.memory import MemoryStateStore
from inventory_sources.testing import StateStoreContract


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


@pytest.mark.skipif(POSTGRES_URL is None, reason="no PostgreSQL server")
class TestPostgres(SqlContract):
    def make_store(self, clock):
        return self.make(POSTGRES_URL, clock=clock)


@pytest.mark.skipif(POSTGRES_URL is None, reason="no PostgreSQL server")
class TestPostgresSerializable(SqlContract):
    """A host's engine at the strictest isolation: the database asks for repetitions."""

    @pytest.fixture(autouse=True)
    def _engine(self, _makes_stores):
        self.engine = sa.create_engine(POSTGRES_URL, isolation_level="SERIALIZABLE") if POSTGRES_URL else None
        yield
        self.engine.dispose()

    def make_store(self, clock):
        return self.make(self.engine, clock=clock)


@pytest.mark.skipif(MARIADB_URL is None, reason="no MariaDB server")
class TestMariaDb(SqlContract):
    def make_store(self, clock):
        return self.make(MARIADB_URL, clock=clock)


@pytest.mark.skipif(MARIADB_URL is None, reason="no MariaDB server")
class TestMariaDbRepeatableRead(SqlContract):
    """A host's engine with the server's own default isolation."""

    @pytest.fixture(autouse=True)
    def _engine(self, _makes_stores):
        self.engine = sa.create_engine(MARIADB_URL) if MARIADB_URL else None
        yield
        self.engine.dispose()

    def make_store(self, clock):
        return self.make(self.engine, clock=clock)
