"""Workers and beats of Celery as processes, told apart by what they log; and the gate that a sync waits at."""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import redis
from kombu import pools

from inventory_sources import SyncEngine
from inventory_sources.integrations.celery import InventoryTasks
from tests.integrations.celery_host import Host

ROOT = Path(__file__).parents[2]
PATIENCE = 40.0


class Process:
    """A worker or a beat."""

    def __init__(self, host: Host, *arguments: str) -> None:
        command = [sys.executable, "-m", "celery", "-A", "tests.integrations.celery_host", *arguments]
        self._popen = subprocess.Popen(
            command,
            cwd=ROOT,
            env=host.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.log: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._popen.stdout is not None
        for line in self._popen.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def says(self, *words: str) -> str:
        """The next line with these words."""
        while True:
            try:
                line = self._lines.get(timeout=PATIENCE)
            except queue.Empty:
                line = None
            assert line is not None, f"never said {words}:\n{''.join(self.log)}"
            self.log.append(line)
            if all(word in line for word in words):
                return line

    def terminate(self) -> None:
        self._popen.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)

    def wait(self) -> None:
        try:
            self._popen.wait(PATIENCE)
        finally:
            self.kill()
            self._popen.wait()
            self._reader.join()
            assert self._popen.stdout is not None
            self._popen.stdout.close()


@contextmanager
def running(host: Host, *arguments: str, ready: str) -> Iterator[Process]:
    """A process from when it is ready until it is killed: an idle worker takes seconds to see that it is to end."""
    process = Process(host, *arguments)
    try:
        process.says(ready)
        yield process
    finally:
        process.kill()
        process.wait()


def worker(host: Host, pool: str, concurrency: int = 2) -> Any:
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    name = f"{uuid4().hex}@localhost"
    return running(
        host, "worker", "-l", "INFO", "-n", name, "-P", pool, "-c", str(concurrency), *quiet, ready=" ready."
    )


def beat(host: Host) -> Any:
    schedule = Path(host.folder) / f"beat-{uuid4().hex}"
    return running(host, "beat", "-l", "INFO", "-s", str(schedule), "--pidfile=", ready="beat: Starting")


class Side:
    """The test's own process of the host: an app, its tasks, and an engine without hints."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.app = host.app()
        self.tasks: InventoryTasks = host.tasks(self.app)
        self.engine: SyncEngine = host.engine()

    def add(self, *names: str, port: int = 0) -> None:
        for name in names:
            self.engine.add_source(self.host.spec(name, port=port))

    def results(self, name: str) -> list[str]:
        """How the runs of a source ended, the first first."""
        return [run.result.value for run in self.engine.history(name)][::-1]

    def close(self) -> None:
        """Leaves nothing in the broker."""
        self.engine.close()
        self.tasks.close()
        if self.host.broker.startswith("redis"):
            with redis.Redis.from_url(self.host.broker) as client:
                client.delete("nothing", *client.scan_iter(f"{self.host.queue}:*", count=1000))
        else:
            with self.app.connection_for_write() as connection:
                connection.default_channel.queue_delete(self.host.queue)
                connection.default_channel.exchange_delete(self.host.queue)
        with suppress(AttributeError):  # RPC's, where no result was asked for
            self.app.backend.result_consumer.stop()
        if self.host.broker.startswith("redis"):
            self.app.backend.client.close()
        self.app.close()
        pools.reset()


class Gate:
    """Where a sync tells that it runs, and waits."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(PATIENCE)
        self.port = int(self._listening.getsockname()[1])

    def arrival(self) -> tuple[int, socket.socket]:
        """The process of the next sync that came to the gate, and the connection whose end lets it go."""
        connection, _ = self._listening.accept()
        connection.settimeout(PATIENCE)
        with connection.makefile() as said:
            return int(said.readline()), connection

    def nobody_waits(self) -> bool:
        """Whether no other sync came."""
        self._listening.setblocking(False)
        try:
            self._listening.accept()[0].close()
        except BlockingIOError:
            return True
        finally:
            self._listening.settimeout(PATIENCE)
        return False

    def close(self) -> None:
        self._listening.close()


@contextmanager
def hosting(url: str, folder: Path, **fields: Any) -> Iterator[Side]:
    """A host of its own on a broker: a queue, keys and databases that nobody else has."""
    side = Side(Host(str(folder), url, f"inventory-{uuid4().hex}", **fields))
    try:
        yield side
    finally:
        side.close()
