"""The machine's own files as :class:`~inventory_sources.protocols.remote_files.RemoteFiles`."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from attrs import frozen

from inventory_sources.connectors._ftp_listing import joined
from inventory_sources.connectors._local import modified, open_without_waiting, version
from inventory_sources.connectors._looks import CHUNK_BYTES, failure, not_a_file, taken
from inventory_sources.errors import (
    ConfigurationError,
    FetchError,
    InputTooLarge,
    InventorySourcesError,
    Recovery,
    Truncated,
)
from inventory_sources.protocols.remote_files import RemoteEntry, RemoteKind

__all__ = ["LocalFiles"]

_KINDS = {stat.S_IFREG: RemoteKind.FILE, stat.S_IFDIR: RemoteKind.FOLDER, stat.S_IFLNK: RemoteKind.LINK}
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)  # Windows has none; there the look before the read finds a link.


@frozen
class LocalFiles:
    """Files of this machine, by their paths; a relative one starts at the working directory.

    The folder that is listed may be a link itself. A folder of a share that is not mounted cannot be told from an
    empty one: give a folder inside of the share, which is missing then.

    :param max_entries: names in one folder.
    """

    max_entries: int = 100_000

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    def entries(self, folder: str) -> Iterator[RemoteEntry]:
        """The names in a folder, in the filesystem's order; ``""`` is the working directory.

        :raises InputTooLarge: when there are more than ``max_entries``.
        """
        found = 0
        try:
            with os.scandir(folder or ".") as names:
                for listed in names:
                    found += 1
                    if found > self.max_entries:
                        raise InputTooLarge(f"{folder} has more than {self.max_entries} names")
                    path = joined(folder, listed.name)
                    with suppress(FileNotFoundError):  # it went between the listing and this look
                        yield _entry(path, os.lstat(path))
        except (OSError, ValueError) as error:
            raise _told(folder, error) from None

    def look(self, path: str) -> RemoteEntry:
        """What is at a path now."""
        try:
            return _entry(path, os.lstat(path))
        except (OSError, ValueError) as error:
            raise _told(path, error) from None

    def read(self, path: str, offset: int = 0) -> Iterator[bytes]:
        """A file's bytes from ``offset``.

        :raises Truncated: when it ends before the size that it had when it was opened.
        """
        if self.look(path).kind is not RemoteKind.FILE:
            raise not_a_file(path)
        try:
            with open(path, "rb", buffering=0, opener=_open) as file:
                opened = os.fstat(file.fileno())
                if not stat.S_ISREG(opened.st_mode):
                    raise not_a_file(path)
                position = file.seek(offset)
                while chunk := file.read(CHUNK_BYTES):
                    position += len(chunk)
                    yield chunk
        except OSError as error:
            raise _told(path, error) from None
        if position < opened.st_size or offset > opened.st_size:
            raise Truncated(f"{path} ended at {min(position, opened.st_size)} of {max(offset, opened.st_size)} bytes")

    def put_away(self, path: str, to: str | None) -> None:
        """Renames a file within its filesystem, never over one that is there; ``None`` deletes it.

        :raises FetchError: when there is something under the new path already, or it is on another filesystem.
        """
        if self.look(path).kind is not RemoteKind.FILE:
            raise not_a_file(path)
        try:
            if to is None:
                Path(path).unlink()
            else:
                _rename(path, to)
        except (OSError, ValueError) as error:
            raise _told(path, error) from None


def _rename(path: str, to: str) -> None:
    # No portable call renames only to a free name. Hard links do, but many shares have none, and Linux refuses them for
    # files of other users. So the name is taken with an empty file, as only one can, which is then replaced at once.
    try:
        os.close(os.open(to, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        raise taken(to) from None
    except (OSError, ValueError) as error:
        raise _told(to, error) from None
    try:
        Path(path).replace(to)
    except OSError as error:
        Path(to).unlink()
        if error.errno != errno.EXDEV:
            raise
        raise FetchError(
            f"{path} cannot be renamed to {to}, which is on another filesystem",
            recovery=Recovery.STOP,
            guidance="Choose a folder on the filesystem of the file.",
        ) from None


def _open(path: str, flags: int) -> int:
    return open_without_waiting(path, flags | _NO_FOLLOW)


def _entry(path: str, found: os.stat_result) -> RemoteEntry:
    kind = _KINDS.get(stat.S_IFMT(found.st_mode), RemoteKind.OTHER)
    return RemoteEntry(path, Path(path).name, kind, found.st_size, modified(found), version(found))


def _told(path: str, error: Exception) -> InventorySourcesError:
    if isinstance(error, ValueError):  # a NUL, or half of a surrogate pair
        return ConfigurationError(f"{path!r} cannot be a path")
    if isinstance(error, OSError) and error.errno == errno.ELOOP:  # a link took the file's place
        return not_a_file(path)
    return failure(path, error)
