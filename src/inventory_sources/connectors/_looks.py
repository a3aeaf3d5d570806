"""What a file looks like before and after it is read, and how a failure to read it is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

from attrs import frozen

from inventory_sources.errors import (
    AccessRefused,
    ConnectFailed,
    FetchError,
    InventorySourcesError,
    Recovery,
    SourceMissing,
)

__all__ = ["CHUNK_BYTES", "FileAtRest", "Look", "failure", "not_a_file", "taken"]

CHUNK_BYTES = 256 * 1024


@frozen
class Look:
    """One look at a file; two that are equal mean that it did not change in between.

    :param modified: aware, where the filesystem tells.
    :param mark: whatever else of it changes with the content: an inode, an entity tag.
    """

    size: int
    modified: datetime | None
    mark: str | None = None

    @property
    def tells_change(self) -> bool:
        """Whether a change that keeps the size would show."""
        return self.modified is not None or self.mark is not None


class FileAtRest(Protocol):
    """A file on some filesystem."""

    @property
    def origin(self) -> str:
        """What to call it."""

    def look(self) -> Look:
        """How it looks now, never from a cache."""

    def chunks(self) -> Iterator[bytes]:
        """Its bytes."""


def not_a_file(origin: str) -> FetchError:
    """The error for a folder, device or pipe."""
    return FetchError(
        f"{origin} is not a regular file", recovery=Recovery.STOP, guidance="Name one file, not a folder or device."
    )


def taken(origin: str) -> FetchError:
    """The error for a new name that something has already."""
    return FetchError(
        f"nothing can be renamed to {origin}: it is there already",
        recovery=Recovery.STOP,
        guidance="Move that file away, or choose names that do not repeat.",
    )


def failure(origin: str, error: Exception) -> InventorySourcesError:
    """Our error for what a filesystem raised, without its text, which may hold credentials.

    It is to be raised outside of the ``except``, so that the foreign one does not hang on it.
    """
    if isinstance(error, InventorySourcesError):
        return error
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return SourceMissing(f"there is no file {origin}")
    if isinstance(error, PermissionError):
        return AccessRefused(f"{origin} may not be read")
    if isinstance(error, IsADirectoryError):
        return not_a_file(origin)
    reason = (isinstance(error, OSError) and error.errno and error.strerror) or type(error).__name__
    return ConnectFailed(f"{origin} cannot be read: {reason}")
