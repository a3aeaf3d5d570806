"""One file of an fsspec filesystem, built from typed fields and never from a URL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import field, frozen

from inventory_sources.connectors._looks import CHUNK_BYTES, Look, failure, not_a_file
from inventory_sources.errors import ConfigurationError, ConnectFailed

__all__ = ["RemoteFile", "open_filesystem"]


@frozen
class RemoteFile:
    """A file by its path; the path is taken as it is, without patterns."""

    filesystem: Any = field(repr=False)
    path: str
    origin: str

    def look(self) -> Look:
        """Size, and time and entity tag where the filesystem has them."""
        try:
            return self._look()
        except Exception as error:  # noqa: BLE001 - each backend raises its own
            failed = failure(self.origin, error)
        raise failed

    def chunks(self) -> Iterator[bytes]:
        """Its bytes."""
        failed = None
        try:
            with self.filesystem.open(self.path, "rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        except Exception as error:  # noqa: BLE001 - each backend raises its own
            failed = failure(self.origin, error)
        if failed:
            raise failed

    def _look(self) -> Look:
        self.filesystem.invalidate_cache()
        found = self.filesystem.info(self.path)
        if found.get("type") != "file":
            raise not_a_file(self.origin)
        if not isinstance(found.get("size"), int):
            raise ConnectFailed(f"{self.origin} has no size that its filesystem tells")
        tag = found.get("ETag") or found.get("etag") or found.get("md5Hash")
        return Look(found["size"], self._modified(), str(tag) if tag else None)

    def _modified(self) -> datetime | None:
        try:
            moment = self.filesystem.modified(self.path)
        except (NotImplementedError, KeyError):
            return None
        if not isinstance(moment, datetime):
            return None
        # fsspec's own filesystems give UTC; those that give no zone mean it.
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def open_filesystem(protocol: str, options: Mapping[str, object]) -> Any:
    """A filesystem of this run's own: fsspec would share one, and its dead connection, between all sources.

    :raises ConfigurationError: when fsspec does not know it, lacks a package for it, or refuses the options.
    """
    import fsspec

    problem = f"filesystem {protocol!r} cannot be opened with these options"
    guidance = None
    try:
        return fsspec.filesystem(protocol, skip_instance_cache=True, **options)
    except ImportError:
        problem = f"filesystem {protocol!r} needs a package that is not installed"
        guidance = f"Install the fsspec package for {protocol!r}."
    except ValueError:
        problem = f"filesystem {protocol!r} is not known, or refuses these options"
    except Exception as error:  # noqa: BLE001 - each backend raises its own
        problem = f"{problem} ({type(error).__name__})"
    raise ConfigurationError(problem, guidance=guidance)
