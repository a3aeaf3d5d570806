"""SFTP asked of servers that speak something else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from inventory_sources.connectors._sftp import SftpFiles, SftpServer
from inventory_sources.errors import ConnectFailed, Recovery
from inventory_sources.secrets import Secret
from tests.connectors.conftest import MakeContext
from tests.connectors.ftpd import ScriptedServer
from tests.connectors.sshd import LOOPBACK

SCRIPT = """
import logging, pathlib, sys, tempfile
import structlog
from inventory_sources import Secret
from inventory_sources.clock import SystemClock
from inventory_sources.connectors import SftpConnector, SftpServer
from inventory_sources.errors import ConnectFailed
from inventory_sources.protocols.connector import FetchContext

clock = SystemClock()
server = SftpServer(
    "127.0.0.1", port=int(sys.argv[1]), username="shop", password=Secret("p"), allow_private=["127.0.0.0/8"]
)
context = FetchContext(
    clock, clock.now(), clock.monotonic() + 30, pathlib.Path(tempfile.gettempdir()), structlog.get_logger()
)
try:
    list(SftpConnector("stock.csv", server=server).fetch(context))
except ConnectFailed as error:
    print(error.message)
known = [logging.getLogger(), *map(logging.getLogger, ("paramiko", "paramiko.transport"))]
print([handler for logger in known for handler in logger.handlers])
"""


@pytest.mark.parametrize(
    ("welcome", "shown"),
    [
        (b"220 Hello\r\n", "'220 Hello'"),
        (b"220 Files of \x1b[31mus\r\n", "'220 Files of ?[31mus'"),
        (b"x" * 300 + b"\r\n", f"'{'x' * 60}'"),
    ],
)
def test_a_server_that_does_not_speak_ssh_is_told_by_its_greeting(
    welcome: bytes, shown: str, make_context: MakeContext
) -> None:
    with ScriptedServer({"WELCOME": welcome}) as server:
        known = SftpServer(
            LOOPBACK, port=server.port, username="shop", password=Secret("p"), allow_private=["127.0.0.0/8"]
        )
        with pytest.raises(ConnectFailed) as raised, SftpFiles.open(known, make_context()):
            pass
    told = f"{LOOPBACK} (port {server.port}) does not speak SSH: its greeting is {shown}"
    assert raised.value.message == told
    assert raised.value.recovery is Recovery.STOP
    assert "FtpConnector" in raised.value.guidance


def test_without_a_logging_set_up_nothing_is_said_on_stderr() -> None:
    with ScriptedServer() as server:
        command = [sys.executable, "-c", SCRIPT, str(server.port)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert ended.stderr == ""
    first, handlers = ended.stdout.splitlines()
    assert "does not speak SSH: its greeting is '220 Hello'" in first
    assert handlers == "[]"
