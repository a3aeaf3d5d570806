"""The database servers that tests use, or why a test that needs one is not run.

`INVENTORY_TEST_POSTGRES` and `INVENTORY_TEST_MYSQL` hold the URL of a throw-away database each; without them, a server
with a database `test` and a user without a password is looked for on the loopback.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from socket import socket
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


def _answers(url: str | sa.URL) -> bool:
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


@contextmanager
def pooler_before(url: str, folder: Path) -> Iterator[str]:
    """PgBouncer that gives each transaction the connection idle longest: its URL; skips where it is not installed."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("no pgbouncer is installed")
    server = sa.make_url(url)
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    password = f" password={server.password}" if server.password else ""
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={server.host} port={server.port or 5432} user={server.username}{password}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        "pool_mode = transaction\nserver_round_robin = 1\n"
    )
    # It does not run as root, and reads its file first.
    command = [program, *(["-u", "nobody"] if os.getuid() == 0 else []), str(folder / "pgbouncer.ini")]
    log = folder / "pgbouncer.log"
    with log.open("wb") as written, subprocess.Popen(command, stdout=written, stderr=subprocess.STDOUT) as process:
        try:
            pooled = server.set(host="127.0.0.1", port=port, password=None)
            if not _answers_in_time(pooled, process):
                raise AssertionError(f"pgbouncer does not answer: {log.read_text()[-500:]}")
            yield pooled.render_as_string()
        finally:
            process.terminate()


def _answers_in_time(url: sa.URL, process: subprocess.Popen[bytes], seconds: float = 20) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        if _answers(url):
            return True
    return False
