"""The brokers that tests use: told by the environment, listening on their usual port, or started for the run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

#: Kind of broker to the variable that tells its URL, and the URL where it usually is.
USUAL = {
    "redis": ("INVENTORY_TEST_REDIS", "redis://127.0.0.1:6379/0"),
    "rabbitmq": ("INVENTORY_TEST_AMQP", "amqp://guest:guest@127.0.0.1:5672//"),
}
RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


@contextmanager
def broker(kind: str, folder: Path) -> Iterator[str]:
    """The URL of a broker; skips the test, naming what is missing, where there is none."""
    variable, usual = USUAL[kind]
    url = os.environ.get(variable, usual)
    if variable in os.environ or _listens(url):
        yield url
    elif kind == "redis" and (program := shutil.which("redis-server")):
        port = _free_port()
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        with _started(command, {}, "Ready to accept connections"):
            yield f"redis://127.0.0.1:{port}/0"
    elif kind == "rabbitmq" and RABBITMQ.exists():
        with _own_rabbitmq(folder) as url:
            yield url
    else:
        pytest.skip(f"no {kind} at {urlsplit(usual).netloc}, and no program to start one")


@contextmanager
def _own_rabbitmq(folder: Path) -> Iterator[str]:
    port = _free_port()
    (folder / "plugins").write_text("[].")
    (folder / "rabbitmq.conf").write_text(f"listeners.tcp.default = 127.0.0.1:{port}\nlog.console.level = error\n")
    env = {
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"inventory{port}@localhost",
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(_free_port()),
        "RABBITMQ_MNESIA_BASE": str(folder),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
    }
    # The script beside the installed links asks for no user of its own.
    program = next(RABBITMQ.parent.parent.glob("lib/*/sbin/rabbitmq-server"), RABBITMQ)
    with _started([str(program)], env, "completed with 0 plugins"):
        yield f"amqp://guest:guest@127.0.0.1:{port}//"


@contextmanager
def _started(command: list[str], env: dict[str, str], ready: str) -> Iterator[None]:
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, env={**os.environ, **env}, stdout=pipe, stderr=subprocess.STDOUT, text=True
    ) as server:
        assert server.stdout is not None
        told = []
        try:
            for line in server.stdout:
                told.append(line)
                if ready in line:
                    break
            else:
                pytest.fail(f"{command[0]} did not start:\n{''.join(told)}")
            yield
        finally:
            server.terminate()
            server.stdout.read()


def _listens(url: str) -> bool:
    at = urlsplit(url)
    with suppress(OSError), socket.create_connection((at.hostname, at.port), 5):
        return True
    return False


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
