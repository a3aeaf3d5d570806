"""Gets one file from an SFTP, FTPS or FTP server."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from attrs import field, frozen

from inventory_sources.connectors._copying import FileTime, copy_file, file_time, head_of
from inventory_sources.connectors._ftp import FtpFiles
from inventory_sources.connectors._ftp_server import FtpServer
from inventory_sources.connectors._looks import Look, not_a_file
from inventory_sources.connectors._sftp import SftpFiles, SftpServer
from inventory_sources.errors import ConfigurationError, FetchError, Recovery
from inventory_sources.netguard import Resolver, system_resolver
from inventory_sources.protocols.remote_files import RemoteFiles, RemoteKind

if TYPE_CHECKING:
    from inventory_sources.payload import Payload
    from inventory_sources.protocols.connector import FetchContext, Fetched, Head

__all__ = ["FtpConnector", "SftpConnector"]


@frozen
class _FileOnServer:
    """A file as :func:`copy_file` wants it."""

    files: RemoteFiles
    path: str
    origin: str

    def look(self) -> Look:
        """How the server describes it now."""
        entry = self.files.look(self.path)
        if entry.kind is not RemoteKind.FILE:
            raise not_a_file(self.origin)
        if entry.size is None:
            raise FetchError(
                f"the server does not tell the size of {self.origin}",
                recovery=Recovery.STOP,
                guidance="Without it a cut transfer cannot be told from a whole one; use another server or protocol.",
            )
        return Look(entry.size, entry.modified)

    def chunks(self) -> Iterator[bytes]:
        """Its bytes."""
        return self.files.read(self.path)


def _valid_path(instance: object, attribute: object, path: str) -> None:
    if not path or path.endswith("/") or any(character in path for character in "\r\n\0"):
        raise ConfigurationError("the path must name one file on the server")


def _positive(instance: object, attribute: object, value: int) -> None:
    if value < 1:
        raise ConfigurationError("max_bytes must be more than 0")


@frozen(kw_only=True)
class _RemoteConnector(ABC):
    path: str = field(kw_only=False, validator=_valid_path)
    max_bytes: int = field(default=1024**3, validator=_positive)
    as_of: FileTime = field(default=FileTime.MODIFIED, converter=file_time)

    def fetch(self, context: FetchContext) -> Iterator[Fetched]:
        """Yields what :meth:`payloads` makes of the file.

        :raises InputIncomplete: when it changed while it was read; it is read again shortly.
        :raises FetchError: when it cannot be read; see :mod:`inventory_sources.errors`.
        """
        with self.session(context) as files:
            file = self._file(files, context)
            payload = copy_file(file, context, max_bytes=self.max_bytes, as_of=self.as_of)
        yield from self.payloads(payload, context)

    def check(self, context: FetchContext) -> Head:
        """The head of the file.

        :raises FetchError: as :meth:`fetch` would.
        """
        with self.session(context) as files:
            return head_of(self._file(files, context))

    def locate(self, files: RemoteFiles, context: FetchContext) -> str:
        """The path for this sync; override to choose among ``files.entries(folder)``."""
        return self.path

    def payloads(self, payload: Payload, context: FetchContext) -> Iterable[Fetched]:
        """What of the file is the input; override to unpack it or to yield records."""
        return (payload,)

    def resolve(self) -> Resolver:
        """What finds the addresses of the server's name, each of which is judged."""
        return system_resolver

    @abstractmethod
    def session(self, context: FetchContext) -> AbstractContextManager[RemoteFiles]:
        """A session with the server, for one sync."""

    @abstractmethod
    def origin(self, path: str) -> str:
        """What to call a file in messages."""

    def _file(self, files: RemoteFiles, context: FetchContext) -> _FileOnServer:
        path = self.locate(files, context)
        return _FileOnServer(files, path, self.origin(path))


@frozen(kw_only=True)
class SftpConnector(_RemoteConnector):
    """Copies one file from an SFTP server, and refuses it when it changes meanwhile.

    Size and time of change are looked at before and after the copy. That both agree is weak evidence: a writer may
    only have paused. So it proves a file to be ``stable``, never to be whole; have the sender upload under another
    name and rename, or use a format that proves its own end.

    To adapt it, subclass and override :meth:`locate` (a name that depends on the day, or the newest of a folder) or
    :meth:`payloads` (what to make of the file).

    :param path: of one file on the server, taken as it is, without patterns.
    :param max_bytes: a larger file is refused.
    :param as_of: which time stands for the observation: the file's own (``modified``) or that of the ``fetch``.
    :raises ConfigurationError: when one of these cannot be used.
    """

    server: SftpServer

    def session(self, context: FetchContext) -> AbstractContextManager[RemoteFiles]:
        """A session with the server, for one sync."""
        return SftpFiles.open(self.server, context, resolver=self.resolve())

    def origin(self, path: str) -> str:
        """The file's URL, without the user."""
        return f"sftp://{self.server.host}/{path.removeprefix('/')}"


@frozen(kw_only=True)
class FtpConnector(_RemoteConnector):
    """Copies one file from an FTPS or FTP server, and refuses it when it changes meanwhile.

    See :class:`SftpConnector` for what that proves, for the parameters and for how to adapt it. Over plain FTP, which
    the server's ``security="none"`` must say, everyone on the way reads the password and may change the file.
    """

    server: FtpServer

    def session(self, context: FetchContext) -> AbstractContextManager[RemoteFiles]:
        """A session with the server, for one sync."""
        return FtpFiles(self.server, context, self.resolve())

    def origin(self, path: str) -> str:
        """The file's URL, without the user."""
        return f"ftp://{self.server.host}/{path.removeprefix('/')}"
