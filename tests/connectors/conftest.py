"""What the connectors' tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from inventory_sources.clock import SystemClock
from inventory_sources.protocols.connector import FetchContext
from tests.connectors.desk import Desk, fsspec_filesystem, ftp, local, sftp
from tests.connectors.sshd import SSHD, Sshd

MakeContext = Callable[..., FetchContext]


@pytest.fixture
def make_context(tmp_path: Path) -> MakeContext:
    """Contexts with a spool folder of their own; keyword arguments replace fields."""
    spool = tmp_path / "spool"
    spool.mkdir()

    def make(**fields: object) -> FetchContext:
        clock = SystemClock()
        defaults = {
            "clock": clock,
            "started_at": clock.now(),
            "deadline": clock.monotonic() + 30,
            "spool": spool,
            "logger": structlog.get_logger(),
        }
        return FetchContext(**{**defaults, **fields})

    return make


@pytest.fixture
def context(make_context: MakeContext) -> FetchContext:
    """A context on the machine's clock, with half a minute to go."""
    return make_context()


@pytest.fixture(scope="session")
def shared_sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One OpenSSH server for all."""
    if SSHD is None:
        pytest.skip("no sshd here: install openssh-server")
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    with server.running():
        yield server


@pytest.fixture(params=["local", "fsspec", "sftp", "ftp", "ftp that only knows LIST"])
def desk(request: pytest.FixtureRequest, tmp_path: Path, make_context: MakeContext) -> Iterator[Desk]:
    """An empty folder, with folders for files that were used, and what picks up from it."""
    folder = tmp_path / "in"
    for name in ("done", "error"):
        (folder / name).mkdir(parents=True)
    if request.param == "local":
        yield Desk(folder, local(folder), make_context)
    elif request.param == "fsspec":
        yield Desk(folder, fsspec_filesystem(folder), make_context)
    elif request.param == "sftp":
        yield Desk(folder, sftp(folder, request.getfixturevalue("shared_sshd")), make_context)
    else:
        left_out = ("MLSD", "MLST") if "LIST" in request.param else ()
        with ftp(folder, *left_out) as make:
            yield Desk(folder, make, make_context)


@pytest.fixture
def local_desk(tmp_path: Path, make_context: MakeContext) -> Desk:
    """As `desk`, of this machine alone."""
    folder = tmp_path / "in"
    for name in ("done", "error"):
        (folder / name).mkdir(parents=True)
    return Desk(folder, local(folder), make_context)
