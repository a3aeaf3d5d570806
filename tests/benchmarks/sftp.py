"""A file of 100 MB from an OpenSSH server of this run's own: our connector beside the ``sftp`` command.

Each side is a process of its own that logs in and copies the file; ours hashes it on the way. It is measured in its
second fetch, as in a worker that is running: the first one loads the client.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.connectors.sshd import LOOPBACK, SSHD, Sshd

MEGABYTES = 100
_RUNS = 5

_OURS = """
import sys
import time
from pathlib import Path
from inventory_sources import Secret
from inventory_sources.clock import SystemClock
from inventory_sources.connectors import SftpConnector, SftpServer
from inventory_sources.protocols.connector import FetchContext

host, port, user, key, host_key, path, spool = sys.argv[1:]
server = SftpServer(host, port=int(port), username=user, private_key=Secret(Path(key).read_text()), host_key=host_key,
                    allow_private=("127.0.0.0/8",))
clock = SystemClock()
context = FetchContext(clock, clock.now(), clock.monotonic() + 600, Path(spool), logger=None)
list(SftpConnector(key, server=server).fetch(context))
began = time.perf_counter()
(payload,) = SftpConnector(path, server=server).fetch(context)
print(time.perf_counter() - began)
assert payload.size == Path(path).stat().st_size
"""


def table(folder: Path) -> Iterator[tuple[str, str, str, str]]:
    """The row to print."""
    if SSHD is None or shutil.which("sftp") is None:
        yield "SFTP, 100 MB", "not run", "no OpenSSH here", ""
        return
    with (folder / "stock.csv").open("wb") as file:
        for _ in range(MEGABYTES):
            file.write(os.urandom(1 << 20))
    server = Sshd(folder)
    with server.running():
        measured = _compare(folder, server)
    ours, theirs = (statistics.median(measured[side]) for side in ("ours", "sftp"))
    yield (
        f"SFTP, {MEGABYTES} MB",
        f"{MEGABYTES / ours:.0f} MB/s",
        f"sftp {MEGABYTES / theirs:.0f} MB/s",
        f"{theirs / ours:.2f}x of its speed; at least 0.8x",
    )


def _compare(folder: Path, server: Sshd) -> dict[str, list[float]]:
    key, known = folder / "user", folder / "known_hosts"
    known.write_text(f"[{LOOPBACK}]:{server.port} {server.public('host_ed25519')}\n")
    source = folder / "stock.csv"
    spool = folder / "spool"
    theirs = ["sftp", "-q", "-P", str(server.port), "-i", str(key), "-o", f"UserKnownHostsFile={known}"]
    theirs += ["-o", "IdentitiesOnly=yes", f"{server.user}@{LOOPBACK}:{source}", str(spool / "copy")]
    facts = [LOOPBACK, str(server.port), server.user, str(key), server.printed("host_ed25519"), str(source), str(spool)]
    commands = {"ours": [sys.executable, "-c", _OURS, *facts], "sftp": theirs}
    measured: dict[str, list[float]] = {side: [] for side in commands}
    for _ in range(_RUNS):
        for side, command in commands.items():
            spool.mkdir()
            began = time.perf_counter()
            told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            measured[side].append(float(told) if side == "ours" else time.perf_counter() - began)
            shutil.rmtree(spool)
    return measured
