"""The database servers that tests use, or why a test that needs one is not run.

`INVENTORY_TEST_POSTGRES` and `INVENTORY_TEST_MYSQL` hold the URL of a throw-away database each; without them, a server
with a database `test` and a user without a password is looked for on the loopback.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from uuid import uuid4

import pytest
import sqlalchemy as sa

POSTGRES = ["postgresql+psycopg://root@127.0.0.1:5432/test", "postgresql+psycopg://postgres@127.0.0.1:5432/test"]
MYSQL = ["mysql+pymysql://root@127.0.0.1:3306/test?charset=utf8mb4"]


def postgres_url() -> str | None:
    """A PostgreSQL database that answers."""
    return _answering("INVENTORY_TEST_POSTGRES", tuple(POSTGRES))


def mysql_url() -> str | None:
    """A MariaDB or MySQL database that answers."""
    return _answering("INVENTORY_TEST_MYSQL", tuple(MYSQL))


@cache
def _answering(variable: str, usual: tuple[str, ...]) -> str | None:
    given = os.environ.get(variable)
    return next((url for url in ([given] if given else usual) if _answers(url)), None)


def _answers(url: str) -> bool:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    try:
        with engine.connect():
            return True
    except (sa.exc.SQLAlchemyError, ImportError):
        return False


@contextmanager
def engine_of(kind: str, folder: os.PathLike[str]) -> Iterator[sa.Engine]:
    """An engine for "sqlite", "postgresql" or "mysql"; skips the test, naming the server, where there is none."""
    if kind == "sqlite":
        url: str | None = f"sqlite:///{folder}/{uuid4().hex}.db"
    else:
        url = {"postgresql": postgres_url, "mysql": mysql_url}[kind]()
    if url is None:
        name, usual = {"postgresql": ("PostgreSQL", POSTGRES), "mysql": ("MariaDB or MySQL", MYSQL)}[kind]
        pytest.skip(f"no {name} at {sa.make_url(usual[0]).host}:{sa.make_url(usual[0]).port}")
    engine = sa.create_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def fresh_table(engine: sa.Engine, columns: str, options: str = "") -> Iterator[str]:
    """The name of a new table with these columns; it is dropped afterwards."""
    name = f"stock_{uuid4().hex[:12]}"
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE {name} ({columns}) {options}")
    try:
        yield name
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"DROP TABLE {name}")
