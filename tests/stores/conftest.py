"""Stores on an SQLite file, or on tables of a server that are emptied after each test and dropped at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from inventory_sources.stores._tables import build_tables
from inventory_sources.stores.sql import SqlStateStore
from tests.servers import mysql_url, postgres_url

_PREFIX = f"t{os.getpid()}_"


@pytest.fixture
def make_store() -> Iterator[Callable[..., SqlStateStore]]:
    """Makes stores, and closes them; on a server all share their tables."""
    made: list[SqlStateStore] = []

    def make(location: str | sa.Engine, **options) -> SqlStateStore:
        store = SqlStateStore(location, prefix=_PREFIX, **options)
        made.append(store)
        return store

    yield make
    for store in made:
        _empty(store)
        store.close()


def _empty(store: SqlStateStore) -> None:
    database = store._database
    if database._base.dialect.name == "sqlite":
        return
    with database._base.begin() as connection:
        for table in database.tables.metadata.tables.values():
            if table is not database.tables.meta:
                connection.execute(table.delete())


@pytest.fixture(scope="session", autouse=True)
def _servers_as_found() -> Iterator[None]:
    yield
    for url in (postgres_url(), mysql_url()):
        if url is not None:
            engine = sa.create_engine(url)
            build_tables(_PREFIX).metadata.drop_all(engine)
            engine.dispose()
