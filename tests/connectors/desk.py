"""A folder that a sender fills and a connector picks up from, over each protocol, and the runs of a source on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from inventory_sources.connectors import FileConnector, FtpConnector, FtpServer, PickUp, SftpConnector, SftpServer
from inventory_sources.payload import Payload
from inventory_sources.protocols.connector import FetchContext
from inventory_sources.secrets import Secret
from tests.connectors.ftpd import PASSWORD, USER, FTPHandler, RealServer
from tests.connectors.sshd import LOOPBACK, Sshd

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PRIVATE = ("127.0.0.0/8",)

Connector = FileConnector | SftpConnector | FtpConnector
Make = Callable[..., Connector]


class Desk:
    """The folder, and what the engine would do: runs, one a minute, that end in a commit, a failure or nothing.

    :ivar now: when the next run starts.
    """

    def __init__(self, folder: Path, make: Make, context: Callable[..., FetchContext]) -> None:
        self.folder = folder
        self.now = NOON
        self.cursor: str | None = None
        self.memo: str | None = None
        self.context: FetchContext
        self._make = make
        self._context = context

    def upload(self, name: str, data: str, *, minutes: float = -60) -> Path:
        """A file of so many minutes after noon."""
        path = self.folder / name
        path.write_text(data)
        self.touch(name, minutes=minutes)
        return path

    def touch(self, name: str, *, minutes: float) -> None:
        moment = (NOON + minutes * MINUTE).timestamp()
        os.utime(self.folder / name, (moment, moment))

    def names(self) -> list[str]:
        """What is in the folder and below."""
        found = (path.relative_to(self.folder) for path in self.folder.rglob("*") if not path.is_dir())
        return sorted(str(path) for path in found)

    def connector(self, pattern: str, *, as_of: str | None = None, max_bytes: int = 1024, **pick_up: Any) -> Connector:
        return self._make(pattern, as_of=as_of, max_bytes=max_bytes, pick_up=PickUp(**pick_up))

    def copy(self, connector: Connector) -> list[Payload]:
        """Begins a run; nothing is committed."""
        self.context = self._context(started_at=self.now, cursor=self.cursor, memo=self.memo)
        self.now += MINUTE
        try:
            payloads = list(connector.fetch(self.context))
        finally:
            self.memo = self.context.outcome.memo or self.memo
        assert all(isinstance(payload, Payload) for payload in payloads)
        return [payload for payload in payloads if isinstance(payload, Payload)]

    def fetch(self, connector: Connector) -> list[str]:
        """Begins a run, and gives what was copied."""
        return [text(payload) for payload in self.copy(connector)]

    def commit(self, *, then_killed: bool = False) -> None:
        """Ends the run well; a process that is killed then does not come to what is left to be done."""
        self.cursor = self.context.next_cursor or self.cursor
        for action in () if then_killed else self.context.outcome.after_commit:
            action(self._context(started_at=self.now))

    def refuse(self) -> None:
        """Ends the run because its input cannot be used."""
        for action in self.context.outcome.after_refusal:
            action(self._context(started_at=self.now))

    def run(self, connector: Connector) -> list[str]:
        """A whole run."""
        copied = self.fetch(connector)
        self.commit()
        return copied

    @property
    def said(self) -> tuple[str | None, bool, list[str]]:
        """Of the last run: why there was nothing, whether more waits, and the warnings."""
        outcome = self.context.outcome
        return outcome.nothing_new, outcome.more, outcome.warnings


def text(payload: Payload) -> str:
    with payload.open() as stream:
        return stream.read().decode()


def local(folder: Path) -> Make:
    return lambda pattern, **options: FileConnector(folder / pattern, **options)


class Shelf(LocalFileSystem):
    """A filesystem of fsspec: it renames by copying, which gives a file another time and number."""

    protocol = "shelf"


def fsspec_filesystem(folder: Path) -> Make:
    fsspec.register_implementation("shelf", Shelf, clobber=True)
    return lambda pattern, **options: FileConnector(folder / pattern, filesystem="shelf", **options)


def sftp(folder: Path, server: Sshd) -> Make:
    known = SftpServer(
        LOOPBACK,
        port=server.port,
        username=server.user,
        private_key=Secret(server.user_key),
        host_key=server.printed("host_ed25519"),
        allow_private=PRIVATE,
    )
    return lambda pattern, **options: SftpConnector(f"{folder}/{pattern}", server=known, **options)


@contextmanager
def ftp(folder: Path, *left_out: str) -> Iterator[Make]:
    """Served without some commands."""
    commands = {name: spec for name, spec in FTPHandler.proto_cmds.items() if name not in left_out}
    with RealServer(folder.parent, FTPHandler, proto_cmds=commands) as server:
        known = FtpServer(
            LOOPBACK,
            port=server.port,
            username=USER,
            password=Secret(PASSWORD),
            security="none",
            allow_private=PRIVATE,
        )
        yield lambda pattern, **options: FtpConnector(f"{folder.name}/{pattern}", server=known, **options)
