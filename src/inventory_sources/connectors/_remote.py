"""Gets files from an SFTP, FTPS or FTP server."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from attrs import frozen

from inventory_sources.connectors._ftp import FtpFiles
from inventory_sources.connectors._ftp_server import FtpServer
from inventory_sources.connectors._pick_up_connector import PickUpConnector
from inventory_sources.connectors._sftp import SftpFiles, SftpServer
from inventory_sources.netguard import Resolver, system_resolver

if TYPE_CHECKING:
    from inventory_sources.protocols.connector import FetchContext
    from inventory_sources.protocols.remote_files import RemoteFiles

__all__ = ["FtpConnector", "SftpConnector"]


@frozen(kw_only=True)
class SftpConnector(PickUpConnector):
    """Copies files from an SFTP server, and refuses one when it changes meanwhile.

    Size and time of change are looked at before and after the copy. That both agree is weak evidence: a writer may
    only have paused. So it proves a file to be ``stable``, never to be whole; see :class:`PickUp` for better ways.

    To adapt it, subclass and override :meth:`locate` (a folder that depends on the day) or :meth:`payloads` (what to
    make of a file).

    :param path: of one file on the server, taken as it is; its last part is a pattern where ``pick_up`` takes several.
    :param max_bytes: a larger file is refused.
    :param as_of: which time stands for the observation: that in the file's ``name``, the file's own (``modified``) or
        that of the ``fetch``. Unless given, ``name`` where ``pick_up`` has a template that tells the day.
    :param unpack: what the file is packed with, for one that is to be unpacked.
    :param pick_up: which files are taken, how each is known to be whole, and what becomes of it.
    :raises ConfigurationError: when one of these cannot be used.
    """

    server: SftpServer

    @property
    def host(self) -> str:
        """The server's name, by which a worker counts the syncs that it has there at once."""
        return self.server.host.lower()

    def resolve(self) -> Resolver:
        """What finds the addresses of the server's name, each of which is judged."""
        return system_resolver

    def session(self, context: FetchContext) -> AbstractContextManager[RemoteFiles]:
        """A session with the server, for one sync."""
        return SftpFiles.open(self.server, context, resolver=self.resolve())

    def origin(self, path: str) -> str:
        """The file's URL, without the user."""
        return f"sftp://{self.server.host}/{path.removeprefix('/')}"


@frozen(kw_only=True)
class FtpConnector(PickUpConnector):
    """Copies files from an FTPS or FTP server, and refuses one when it changes meanwhile.

    See :class:`SftpConnector` for what that proves, for the parameters and for how to adapt it. Over plain FTP, which
    the server's ``security="none"`` must say, everyone on the way reads the password and may change the file.
    """

    server: FtpServer

    @property
    def host(self) -> str:
        """The server's name, by which a worker counts the syncs that it has there at once."""
        return self.server.host.lower()

    def resolve(self) -> Resolver:
        """What finds the addresses of the server's name, each of which is judged."""
        return system_resolver

    def session(self, context: FetchContext) -> AbstractContextManager[RemoteFiles]:
        """A session with the server, for one sync."""
        return FtpFiles(self.server, context, self.resolve())

    def origin(self, path: str) -> str:
        """The file's URL, without the user."""
        return f"ftp://{self.server.host}/{path.removeprefix('/')}"
