"""RemoteFiles: one session with a file server, whatever protocol it speaks.

A transport is opened for one sync and closed after it. Names that a server gives are opaque text: they are compared and
handed back, and never become a path on this machine. A link is listed as such and never followed. A dead connection is
an error, never an empty listing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from typing import Protocol

from attrs import frozen

__all__ = ["RemoteEntry", "RemoteFiles", "RemoteKind"]


class RemoteKind(Enum):
    """What a name on a server stands for."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    OTHER = "other"


@frozen
class RemoteEntry:
    """One name in a folder, as the server describes it.

    :param path: to hand back to the same transport: the folder as asked for, a slash and the name.
    :param name: the last part alone, as the server spells it.
    :param size: in bytes; ``None`` where the server does not say.
    :param modified: time of the last change (UTC); ``None`` where the server does not say or names no zone.
    :param mark: whatever else changes with the content, such as an inode or an entity tag; compared and never read.
        ``None`` over SFTP and FTP, which tell none.
    """

    path: str
    name: str
    kind: RemoteKind
    size: int | None = None
    modified: datetime | None = None
    mark: str | None = None


class RemoteFiles(Protocol):
    """One session with a file server; see the module for the contract.

    Every method raises :class:`~inventory_sources.errors.SourceMissing` for a path that is not there,
    :class:`~inventory_sources.errors.AccessRefused` for one that may not be used, and
    :class:`~inventory_sources.errors.ConnectFailed` or :class:`~inventory_sources.errors.FetchTimeout` when the
    session is gone.
    """

    def entries(self, folder: str) -> Iterator[RemoteEntry]:
        """The names in a folder, without ``.`` and ``..``, in the server's order.

        :raises InputTooLarge: when there are more than the transport's cap.
        """

    def look(self, path: str) -> RemoteEntry:
        """What the server says of one path now, without following a link."""

    def read(self, path: str, offset: int = 0) -> Iterator[bytes]:
        """A file's bytes from ``offset``; ends at the end of the file as it is when it gets there.

        :raises Truncated: when the server ends the transfer before the size that it declared for it.
        """

    def put_away(self, path: str, to: str | None) -> None:
        """Renames a file to another path on the server, never over one that is there; ``None`` deletes it."""
