"""One file of the machine's own filesystem."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from attrs import frozen

from inventory_sources.connectors._looks import CHUNK_BYTES, Look, failure, not_a_file

__all__ = ["LocalFile", "modified", "open_without_waiting", "version"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def open_without_waiting(path: str, flags: int) -> int:
    """An opener; to open a pipe would otherwise wait for its writer."""
    # Windows has neither the flag nor such pipes.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def modified(found: os.stat_result) -> datetime:
    """Time of the last change, without the rounding of a float."""
    return _EPOCH + timedelta(microseconds=found.st_mtime_ns // 1000)


def version(found: os.stat_result) -> str:
    """Which file it is, and when it was changed to the nanosecond."""
    return f"{found.st_dev}:{found.st_ino}:{found.st_mtime_ns}"


@frozen
class LocalFile:
    """A regular file, by its path; links to one are followed."""

    path: Path

    @property
    def origin(self) -> str:
        """The path."""
        return str(self.path)

    def look(self) -> Look:
        """Size, time of the last change and which file it is."""
        try:
            return self._look_at(self.path.stat())
        except OSError as error:
            raise failure(self.origin, error) from None

    def chunks(self) -> Iterator[bytes]:
        """Its bytes, unless something else has taken its place."""
        try:
            with open(self.path, "rb", buffering=0, opener=open_without_waiting) as file:
                self._look_at(os.fstat(file.fileno()))
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        except OSError as error:
            raise failure(self.origin, error) from None

    def _look_at(self, found: os.stat_result) -> Look:
        if not stat.S_ISREG(found.st_mode):
            raise not_a_file(self.origin)
        return Look(found.st_size, modified(found), version(found))
