"""SFTP, FTP, this machine's files and fsspec's filesystems are the same to whoever uses them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest

from inventory_sources.connectors import FtpServer, SftpServer
from inventory_sources.connectors._fsspec_files import FsspecFiles
from inventory_sources.connectors._ftp import FtpFiles
from inventory_sources.connectors._local_files import LocalFiles
from inventory_sources.connectors._sftp import SftpFiles
from inventory_sources.protocols.connector import FetchContext
from inventory_sources.protocols.remote_files import RemoteFiles
from inventory_sources.secrets import Secret
from inventory_sources.testing import RemoteFilesContract
from tests.connectors.ftpd import PASSWORD, USER, FTPHandler, RealServer
from tests.connectors.sshd import LOOPBACK, SSHD, Sshd

PRIVATE = ("127.0.0.0/8",)


class InAFolder(RemoteFilesContract):
    """Of a filesystem of this machine, whatever stands before it."""

    @pytest.fixture(autouse=True)
    def given(self, tmp_path: Path, context: FetchContext) -> None:
        self.root = tmp_path / "in"
        self.root.mkdir()
        self.folder = str(self.root)
        self.context = context

    def write(self, name: str, data: bytes) -> None:
        (self.root / name).write_bytes(data)

    def make_folder(self, name: str) -> None:
        (self.root / name).mkdir()
        (self.root / name / "kept.csv").touch()


class TestLocal(InAFolder):
    def session(self) -> AbstractContextManager[RemoteFiles]:
        return LocalFiles()


class TestRelative(TestLocal):
    @pytest.fixture(autouse=True)
    def here(self, given: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(self.root.parent)
        self.folder = "in"


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    if SSHD is None:
        pytest.skip("no sshd here: install openssh-server")
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    with server.running():
        yield server


class TestSftp(InAFolder):
    @pytest.fixture(autouse=True)
    def server(self, sshd: Sshd) -> None:
        self.known = SftpServer(
            LOOPBACK,
            port=sshd.port,
            username=sshd.user,
            private_key=Secret(sshd.user_key),
            host_key=sshd.printed("host_ed25519"),
            allow_private=PRIVATE,
        )

    def session(self) -> AbstractContextManager[RemoteFiles]:
        return SftpFiles.open(self.known, self.context)


class TestFtp(InAFolder):
    options: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(autouse=True)
    def server(self, given: None) -> Iterator[None]:
        self.folder = "/in"
        with RealServer(self.root.parent, FTPHandler, **self.options) as server:
            self.known = FtpServer(
                LOOPBACK,
                port=server.port,
                username=USER,
                password=Secret(PASSWORD),
                security="none",
                allow_private=PRIVATE,
            )
            yield

    def session(self) -> AbstractContextManager[RemoteFiles]:
        return FtpFiles(self.known, self.context)


class TestFtpWithoutMlst(TestFtp):
    """Old servers have LIST alone."""

    options: ClassVar[dict[str, Any]] = {
        "proto_cmds": {name: known for name, known in FTPHandler.proto_cmds.items() if name not in {"MLST", "MLSD"}}
    }


class TestFsspecsLocal(InAFolder):
    def session(self) -> AbstractContextManager[RemoteFiles]:
        return FsspecFiles(fsspec.filesystem("file", skip_instance_cache=True), "file")


class TestFsspecsMemory(RemoteFilesContract):
    folder = "in/erp"

    @pytest.fixture(autouse=True)
    def filesystem(self) -> None:
        self.memory = fsspec.filesystem("memory", global_store=False, skip_instance_cache=True)
        self.memory.makedirs("in/erp")

    def session(self) -> AbstractContextManager[RemoteFiles]:
        return FsspecFiles(self.memory, "memory")

    def write(self, name: str, data: bytes) -> None:
        self.memory.pipe_file(self.path(name), data)

    def make_folder(self, name: str) -> None:
        self.memory.pipe_file(self.path(f"{name}/kept.csv"), b"")
