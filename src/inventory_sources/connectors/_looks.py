"""What a file looks like before and after it is read, and how a failure to read it is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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

__all__ = ["CHUNK_BYTES", "FileAtRest", "Look", "not_a_file", "told"]

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


@contextmanager
def told(origin: str) -> Iterator[None]:
    """Turns what filesystems raise into our errors, without their texts, which may hold credentials."""
    try:
        yield
    except InventorySourcesError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise SourceMissing(f"there is no file {origin}") from None
    except PermissionError:
        raise AccessRefused(f"{origin} may not be read") from None
    except IsADirectoryError:
        raise not_a_file(origin) from None
    except Exception as error:
        reason = (isinstance(error, OSError) and error.errno and error.strerror) or type(error).__name__
        raise ConnectFailed(f"{origin} cannot be read: {reason}") from None
