"""Starts real servers on the loopback and talks to them in bytes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
UVICORN = ["uvicorn", "--factory", "--no-access-log", "--log-level", "debug", "--no-proxy-headers", "--fd"]
# Its debug log has the path of each request.
GUNICORN = ["gunicorn", "--worker-class", "gthread", "--threads", "8", "--log-level", "info", "--bind"]


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class Served:
    """A server that is up."""

    def __init__(self, port: int, store: Path, log: Path, prefix: str) -> None:
        self.port = port
        self.store = store
        self.log = log
        self.prefix = prefix

    def kept(self) -> list[bytes]:
        """Bodies in the store, in order of their bytes."""
        with sqlite3.connect(self.store) as connection:
            return sorted(body for (body,) in connection.execute("SELECT body FROM deliveries"))

    def row(self) -> tuple[str, bytes, str, bytes]:
        """The one delivery in the store."""
        with sqlite3.connect(self.store) as connection:
            (row,) = connection.execute("SELECT * FROM deliveries")
            return row

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield connection

    def says(self, request: bytes) -> Reply:
        """The answer to a request on a connection of its own."""
        with self.connected() as connection:
            connection.sendall(request)
            return answer(connection)


def answer(connection: socket.socket, *, head_only: bool = False) -> Reply:
    """The next answer on a connection."""
    with connection.makefile("rb") as stream:
        line = stream.readline()
        fields = iter(lambda: stream.readline().decode("latin-1").strip(), "")
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        size = 0 if head_only else int(headers.get("content-length", 0))
        return Reply(int(line.split()[1]), headers, stream.read(size))


@contextmanager
def served(app: str, folder: Path, limits: Mapping[str, Any] | None = None) -> Iterator[Served]:
    """Serves a factory of `served.py` by uvicorn or gunicorn, on a socket that is open before the server is up."""
    by_wsgi = app in {"wsgi_app", "flask_app", "django_wsgi_app"}
    store, log = folder / "deliveries.db", folder / "server.log"
    with sqlite3.connect(store) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE deliveries (source TEXT, body BLOB, url TEXT, name BLOB)")
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener, log.open("wb") as output:
        # Servers take a socket that they are handed for one of another family, and leave its small packets waiting.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        port, number = listener.getsockname()[1], listener.fileno()
        target = f"tests.integrations.served:{app}"
        command = [*GUNICORN, f"fd://{number}", f"{target}()"] if by_wsgi else [*UVICORN, str(number), target]
        environment = {**os.environ, "DELIVERIES": str(store), "LIMITS": json.dumps(limits or {})}
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[number],
        )
        try:
            yield Served(port, store, log, "" if app in {"asgi_app", "wsgi_app"} else "/hooks")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    fine(log.read_text("utf-8", "replace"))


def fine(log: str) -> None:
    """A server's log without crashes."""
    assert log
    assert not re.search(r"Traceback|Exception in ASGI|Error handling request|CRITICAL|ERROR", log), log
