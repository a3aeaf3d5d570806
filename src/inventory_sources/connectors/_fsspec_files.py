"""An fsspec filesystem as :class:`~inventory_sources.protocols.remote_files.RemoteFiles`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from attrs import field, frozen

from inventory_sources.connectors._ftp_listing import joined
from inventory_sources.connectors._looks import CHUNK_BYTES, failure, not_a_file, taken
from inventory_sources.errors import ConnectFailed, InputTooLarge, SourceMissing, Truncated
from inventory_sources.protocols.remote_files import RemoteEntry, RemoteKind

__all__ = ["FsspecFiles"]

T = TypeVar("T")

_KINDS = {"file": RemoteKind.FILE, "directory": RemoteKind.FOLDER, "link": RemoteKind.LINK}
#: As S3, Azure, Google and Hadoop's filesystems call the time of the last change in what they list.
_TIMES = ("LastModified", "last_modified", "updated", "mtime")
_TAGS = ("ETag", "etag", "md5Hash", "ino")


@frozen
class FsspecFiles:
    """Files of an open fsspec filesystem, whose caches are dropped before each listing and look.

    Names are taken as they are, never as patterns. An object store has no empty folders: one whose last file went is
    missing. Nothing here follows a link, but :meth:`look` can tell one only where the filesystem does.

    :param filesystem: this run's own; see ``open_filesystem``.
    :param protocol: what to call it in messages.
    :param max_entries: names in one folder; fsspec has them all in memory before they are counted.
    """

    filesystem: Any = field(repr=False)
    protocol: str
    max_entries: int = 100_000

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    def entries(self, folder: str) -> Iterator[RemoteEntry]:
        """The names in a folder, in the filesystem's order; a list without any is believed if it says what it is of.

        :raises InputTooLarge: when there are more than ``max_entries``.
        """
        found = self._asked(folder, self._listed, folder)
        if len(found) > self.max_entries:
            raise InputTooLarge(f"{self._called(folder)} has more than {self.max_entries} names")
        for info in found:
            name = _name(info)
            path = joined(folder, name)
            yield self._asked(path, self._entry, path, name, info)

    def look(self, path: str) -> RemoteEntry:
        """What the filesystem says of one path now."""
        info = self._asked(path, self._info, path)
        return self._asked(path, self._entry, path, path.rpartition("/")[2], info)

    def read(self, path: str, offset: int = 0) -> Iterator[bytes]:
        """A file's bytes from ``offset``.

        :raises Truncated: when it ends before the size that was told for it.
        """
        declared = self._file(path).size or 0
        if declared < offset:
            raise Truncated(f"{self._called(path)} has {declared} bytes, fewer than the {offset} read before")
        position, failed = offset, None
        try:
            with self.filesystem.open(path, "rb") as file:
                file.seek(offset)
                while chunk := file.read(CHUNK_BYTES):
                    position += len(chunk)
                    yield chunk
        except Exception as error:  # noqa: BLE001 - each backend raises its own
            failed = failure(self._called(path), error)
        if failed:
            raise failed
        if position < declared:
            raise Truncated(f"{self._called(path)} ended at {position} of {declared} bytes")

    def put_away(self, path: str, to: str | None) -> None:
        """Copies a file to a path where nothing is and then deletes it; ``None`` only deletes it.

        Object stores have no rename, and no filesystem's ``mv`` is asked, which takes names for patterns. What another
        writer puts at ``to`` between the look and the copy is lost.

        :raises FetchError: when there is something under the new path already.
        """
        size = self._file(path).size
        if to is not None:
            self._must_be_free(to)
            self._asked(to, self.filesystem.cp_file, path, to)
            if self._file(to).size != size:
                raise ConnectFailed(f"{self._called(to)} is not a whole copy of {self._called(path)}, which was kept")
        self._asked(path, self.filesystem.rm_file, path)

    def _file(self, path: str) -> RemoteEntry:
        entry = self.look(path)
        if entry.kind is not RemoteKind.FILE:
            raise not_a_file(self._called(path))
        return entry

    def _must_be_free(self, path: str) -> None:
        # `exists` is not asked: it takes every failure for a no.
        try:
            self.look(path)
        except SourceMissing:
            return
        raise taken(self._called(path))

    def _listed(self, folder: str) -> list[Mapping[str, Any]]:
        self.filesystem.invalidate_cache()
        asked = self.filesystem._strip_protocol(folder).strip("/")  # noqa: SLF001 - what backends themselves ask
        found = self.filesystem.ls(folder, detail=True)
        if not found and self.filesystem.info(folder)["type"] != "directory":
            raise NotADirectoryError
        # A file is listed as itself, and so is the mark that some object stores keep for a folder.
        itself = [info for info in found if info["name"].strip("/") == asked]
        if any(info["type"] != "directory" and not info["name"].endswith("/") for info in itself):
            raise NotADirectoryError
        return [info for info in found if info["name"].strip("/") != asked]

    def _info(self, path: str) -> Mapping[str, Any]:
        self.filesystem.invalidate_cache()
        return self.filesystem.info(path)  # type: ignore[no-any-return]

    def _entry(self, path: str, name: str, info: Mapping[str, Any]) -> RemoteEntry:
        kind = RemoteKind.LINK if info.get("islink") else _KINDS.get(info["type"], RemoteKind.OTHER)
        size = info.get("size")
        tag = next((info[key] for key in _TAGS if info.get(key)), None)
        return RemoteEntry(
            path,
            name,
            kind,
            size if isinstance(size, int) else None,
            self._modified(info) if kind is RemoteKind.FILE else None,
            None if tag is None else str(tag),
        )

    def _modified(self, info: Mapping[str, Any]) -> datetime | None:
        """From what is known already, else asked for."""
        for key in _TIMES:
            if (moment := _moment(info.get(key))) is not None:
                return moment
        try:
            return _moment(self.filesystem.modified(info["name"]))
        except (NotImplementedError, KeyError):
            return None

    def _asked(self, path: str, call: Callable[..., T], *arguments: object) -> T:
        try:
            return call(*arguments)
        except Exception as error:  # noqa: BLE001 - each backend raises its own
            failed = failure(self._called(path), error)
        raise failed

    def _called(self, path: str) -> str:
        return f"{self.protocol}://{path}"


def _name(info: Mapping[str, Any]) -> str:
    return str(info["name"]).rstrip("/").rpartition("/")[2]


def _moment(value: object) -> datetime | None:
    """In UTC, which fsspec's filesystems that give no zone mean."""
    if isinstance(value, (int, float)):
        return datetime.fromtimestamp(value, UTC)
    if not isinstance(value, datetime):
        return None
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
