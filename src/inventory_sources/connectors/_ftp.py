"""FTP and FTPS as :class:`~inventory_sources.protocols.remote_files.RemoteFiles` (RFC 959, 2428, 3659 and 4217)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from attrs import evolve

from inventory_sources.connectors._ftp_control import refusal
from inventory_sources.connectors._ftp_listing import joined, read_list_line, read_mlsd_line, read_moment
from inventory_sources.connectors._ftp_server import FtpSecurity, FtpServer
from inventory_sources.connectors._ftp_session import FtpSession
from inventory_sources.errors import (
    FetchError,
    InputTooLarge,
    InventorySourcesError,
    Recovery,
    ServerFailed,
    SourceMissing,
    Truncated,
)
from inventory_sources.netguard import Resolver, system_resolver
from inventory_sources.protocols.remote_files import RemoteEntry, RemoteKind

if TYPE_CHECKING:
    from inventory_sources.protocols.connector import FetchContext

__all__ = ["FtpFiles", "FtpSecurity", "FtpServer"]

_MAX_LINE_BYTES = 8192
#: Lines of a listing that are about no entry: the folder itself, the one above, and a total.
_OTHER_LINES = 3
_UNKNOWN_COMMAND = {500, 502, 504}
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')


class FtpFiles:
    """The files of an FTP or FTPS server.

    A context manager: it connects and logs in on entering. A session that failed, or whose transfer was left before
    its end, is hung up, and the next call begins a new one, from TLS to ``PROT P``; a call during an unfinished
    :meth:`read` opens a second one.

    Of a path that it answers with 550, FTP does not say whether it is missing or forbidden: both are
    :class:`~inventory_sources.errors.SourceMissing`. Times come from MLSD, MLST and MDTM, never from LIST, which names
    no zone. A server without MLST tells that a path is a link when it is listed, not when it is looked at.

    :param resolver: finds the addresses of the host, each of which is judged.
    """

    def __init__(self, server: FtpServer, context: FetchContext, resolver: Resolver = system_resolver) -> None:
        self._server = server
        self._context = context
        self._resolver = resolver
        self._idle: FtpSession | None = None

    def __enter__(self) -> Self:
        with self._session():
            return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        session, self._idle = self._idle, None
        if session:
            with closing(session), suppress(InventorySourcesError):
                session.command("QUIT")

    def entries(self, folder: str) -> Iterator[RemoteEntry]:
        """The names in a folder, in the server's order; ``""`` is the folder that a session starts in.

        The whole listing has arrived, and the server has confirmed it, before the first is given.

        :raises InputTooLarge: when there are more than ``max_entries``.
        :raises Truncated: when the listing was cut.
        :raises FetchError: also for a line of it that cannot be read; it is named by its number.
        """
        with self._session() as session:
            return iter(self._listing(session, folder))

    def look(self, path: str) -> RemoteEntry:
        """What the server says of one path now: by MLST, else by SIZE and MDTM, else by its line in a listing."""
        with self._session() as session:
            return self._look(session, path)

    def read(self, path: str, offset: int = 0) -> Iterator[bytes]:
        """A file's bytes from ``offset``, as they are (``TYPE I``).

        :raises Truncated: when fewer bytes arrive than the server declares (SIZE), when it does not confirm that it
            has sent all, and when more arrive, unless the file has grown to just that size.
        """
        with self._session() as session:
            declared = self._size(session, path)
            if declared is not None and declared < offset:
                raise Truncated(f"{path!r} at {self._server.shown} is shorter than what was read of it before")
            received = offset
            with closing(session.transfer(f"RETR {path}", path, offset=offset, declared=declared)) as chunks:
                for chunk in chunks:
                    received += len(chunk)
                    yield chunk
            if declared is not None and received > declared and self._size(session, path) != received:
                raise Truncated(f"{path!r} at {self._server.shown} has another size than its server declares")

    def put_away(self, path: str, to: str | None) -> None:
        """Renames a file to another path on the server; ``None`` deletes it.

        FTP knows no rename that spares what is there, so ``to`` is looked at first; what another client puts there
        between that look and the rename is lost on servers that overwrite.

        :raises FetchError: when something is at ``to``.
        """
        with self._session() as session:
            if to is None:
                session.command(f"DELE {path}", 200, 250, about=path)
                return
            if self._is_taken(session, to):
                raise FetchError(
                    f"{path!r} was not renamed to {to!r} at {self._server.shown}, where something is already",
                    recovery=Recovery.STOP,
                    guidance="Move what is there away, or choose another place for files that were read.",
                )
            session.command(f"RNFR {path}", 350, about=path)
            session.command(f"RNTO {to}", 200, 250, about=to)

    def _wait(self) -> float:
        self._context.checkpoint()
        return min(self._server.timeout, self._context.remaining())

    @contextmanager
    def _session(self) -> Iterator[FtpSession]:
        session, self._idle = self._idle or FtpSession(self._server, self._wait, self._resolver), None
        try:
            yield session
        finally:
            if session.in_step and self._idle is None:
                self._idle = session
            else:
                session.close()

    def _look(self, session: FtpSession, path: str) -> RemoteEntry:
        folder, slash, name = path.rpartition("/")
        if "MLST" in session.features:
            return self._described(session, path, name)
        try:
            size = self._size(session, path)
        except SourceMissing:  # to SIZE, a folder is none that has one
            with self._inside(session, path):
                return RemoteEntry(path, name, RemoteKind.FOLDER)
        if size is None:
            return self._listed(session, path, folder or slash, name)
        reply = session.command(f"MDTM {path}")
        modified = read_moment(reply.lines[0][4:].strip()) if reply.code == 213 else None
        return RemoteEntry(path, name, RemoteKind.FILE, size, modified)

    def _described(self, session: FtpSession, path: str, name: str) -> RemoteEntry:
        reply = session.command(f"MLST {path}", 250, about=path)
        with suppress(ValueError, IndexError):
            found = read_mlsd_line(reply.lines[1].lstrip(" "))
            return evolve(found, path=path, name=name) if found else RemoteEntry(path, name, RemoteKind.FOLDER)
        raise ServerFailed(f"{self._server.shown} does not say what {path!r} is")

    def _listed(self, session: FtpSession, path: str, folder: str, name: str) -> RemoteEntry:
        for entry in self._listing(session, folder):
            if entry.name == name:
                return evolve(entry, path=path)
        raise refusal(550, self._server.shown, path)

    def _is_taken(self, session: FtpSession, path: str) -> bool:
        try:
            self._look(session, path)
        except SourceMissing:
            return False
        return True

    def _size(self, session: FtpSession, path: str) -> int | None:
        reply = session.command(f"SIZE {path}")
        if reply.code in _UNKNOWN_COMMAND:
            return None
        if reply.code != 213:
            raise refusal(reply.code, self._server.shown, path)
        text = reply.lines[0][4:].strip()
        if not re.fullmatch(r"[0-9]{1,19}", text):
            raise ServerFailed(f"{self._server.shown} gives no readable size of {path!r}")
        return int(text)

    def _listing(self, session: FtpSession, folder: str) -> list[RemoteEntry]:
        if "MLST" in session.features:
            return self._parsed(session, f"MLSD {folder}" if folder else "MLSD", folder, read_mlsd_line)
        # To LIST, a folder that is not there is an empty one on many servers, and one named "-a" is an option.
        with self._inside(session, folder):
            return self._parsed(session, "LIST", folder, read_list_line)

    @contextmanager
    def _inside(self, session: FtpSession, folder: str) -> Iterator[None]:
        home = _QUOTED.search(session.command("PWD", 257).lines[0])
        if home is None:
            raise ServerFailed(f"{self._server.shown} does not say which folder it is in")
        if folder:
            session.command(f"CWD {folder}", 200, 250, about=folder)
        try:
            yield
            session.command("CWD " + home[1].replace('""', '"'), 200, 250)
        except BaseException:
            session.close()
            raise

    def _parsed(
        self, session: FtpSession, line: str, folder: str, read: Callable[[str], RemoteEntry | None]
    ) -> list[RemoteEntry]:
        found: list[RemoteEntry] = []
        cap = self._server.max_entries
        with closing(session.transfer(line, folder)) as chunks:
            for number, data in enumerate(self._lines(chunks), 1):
                entry = self._entry(data, number, read)
                if entry:
                    found.append(evolve(entry, path=joined(folder, entry.name)))
                if len(found) > cap or number > cap + _OTHER_LINES:
                    raise InputTooLarge(f"{folder!r} at {self._server.shown} has more than {cap} names")
        return found

    def _lines(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        rest = b""
        for chunk in chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines
            if len(rest) > _MAX_LINE_BYTES:
                raise ServerFailed(f"{self._server.shown} sends a line of a listing without end")
        if rest:
            yield rest

    def _entry(self, data: bytes, number: int, read: Callable[[str], RemoteEntry | None]) -> RemoteEntry | None:
        # Left to end before ours is raised: what a decoder raises holds the whole line.
        with suppress(ValueError):
            return read(data.removesuffix(b"\r").decode(self._server.encoding))
        raise FetchError(
            f"line {number} of a listing at {self._server.shown} cannot be read",
            recovery=Recovery.STOP,
            guidance="Declare the encoding of the server's names; MLSD, and LIST as on Unix or IIS, are understood.",
        )
