"""The folder that files are picked up from, in one session."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from attrs import frozen

from inventory_sources.connectors._looks import FileAtRest, Look, not_a_file
from inventory_sources.errors import FetchError, Recovery, SourceMissing
from inventory_sources.protocols.remote_files import RemoteEntry, RemoteFiles, RemoteKind

if TYPE_CHECKING:
    from inventory_sources.protocols.connector import FetchContext

__all__ = ["FileOnServer", "Inbox", "shown"]


@frozen
class FileOnServer:
    """A file as it is copied."""

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
        return Look(entry.size, entry.modified, entry.mark)

    def chunks(self) -> Iterator[bytes]:
        """Its bytes."""
        return self.files.read(self.path)


@frozen
class Inbox:
    """The folder that files are picked up from, in one session.

    :param folder: in the server's own terms; ``""`` is the one that a session starts in.
    :param name: of the one file, or the pattern.
    :param opener: gives the file at a path.
    :param vanishes: whether the folder is there only while something is in it, as in object stores.
    """

    files: RemoteFiles
    folder: str
    name: str
    opener: Callable[[RemoteFiles, str], FileAtRest]
    vanishes: bool = False

    @classmethod
    def at(
        cls, path: str, files: RemoteFiles, opener: Callable[[RemoteFiles, str], FileAtRest], *, vanishes: bool
    ) -> Inbox:
        """The folder of a path whose last part is a file's name or a pattern."""
        folder, slash, name = path.rpartition("/")
        return cls(files, folder or slash, name, opener, vanishes)

    def path(self, *names: str) -> str:
        """Of something in the folder or below."""
        inside = "/".join(names)
        return f"{self.folder}{'' if self.folder in {'', '/'} else '/'}{inside}"

    def file(self, name: str) -> FileAtRest:
        """The file of this name."""
        return self.opener(self.files, self.path(name))

    @property
    def origin(self) -> str:
        """What to call the file, or the pattern in its folder."""
        return self.file(self.name).origin

    def entries(self) -> Iterator[RemoteEntry]:
        """What the folder holds."""
        try:
            yield from self.files.entries(self.folder)
        except SourceMissing:
            if not self.vanishes:
                raise

    def sha256(self, path: str, context: FetchContext) -> str:
        """Of the bytes of a file, which are read for it."""
        digest = hashlib.sha256()
        for chunk in self.opener(self.files, path).chunks():
            context.checkpoint()
            digest.update(chunk)
        return digest.hexdigest()


def shown(name: str) -> str:
    """A name as a server spells it, for a message."""
    return repr(name[:100])
