"""One file of the machine's own filesystem."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from attrs import frozen

from inventory_sources.connectors._looks import CHUNK_BYTES, Look, not_a_file, told

__all__ = ["LocalFile"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Opening a pipe would wait for its writer; these are missing on Windows, as are such pipes.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


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
        with told(self.origin):
            return self._look_at(os.stat(self.path))

    def chunks(self) -> Iterator[bytes]:
        """Its bytes, unless something else has taken its place."""
        with told(self.origin):
            handle = os.open(self.path, _FLAGS)
            try:
                self._look_at(os.fstat(handle))
                while chunk := os.read(handle, CHUNK_BYTES):
                    yield chunk
            finally:
                os.close(handle)

    def _look_at(self, found: os.stat_result) -> Look:
        if not stat.S_ISREG(found.st_mode):
            raise not_a_file(self.origin)
        modified = _EPOCH + timedelta(microseconds=found.st_mtime_ns // 1000)
        return Look(found.st_size, modified, f"{found.st_dev}:{found.st_ino}:{found.st_mtime_ns}")
