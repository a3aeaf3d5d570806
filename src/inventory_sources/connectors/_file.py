"""Gets one file."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from attrs import field, frozen

from inventory_sources.connectors._copying import FileTime, copy_file, file_time, head_of
from inventory_sources.connectors._fsspec import RemoteFile, open_filesystem
from inventory_sources.connectors._local import LocalFile
from inventory_sources.errors import ConfigurationError
from inventory_sources.payload import Payload
from inventory_sources.protocols.connector import Head
from inventory_sources.secrets import Secret

if TYPE_CHECKING:
    from inventory_sources.connectors._looks import FileAtRest
    from inventory_sources.protocols.connector import FetchContext, Fetched

__all__ = ["FileConnector", "FileTime"]

Plain: TypeAlias = str | int | float | bool | None

_LOCAL = frozenset({"file", "local"})

# fsspec's SFTP adds unknown host keys by itself, its FTP ignores certificates, and none of these lets us judge the
# address that is dialled.
_UNJUDGED = frozenset({"ftp", "sftp", "ssh", "http", "https", "webdav", "webhdfs", "smb", "jupyter", "jlab", "github"})
# These open a second filesystem, of any protocol, that an option or the path names.
_WRAPPERS = frozenset(
    "arrow_hdfs async_wrapper asyncwrapper asynclocal blockcache cached data dask dir filecache generic gist git "
    "libarchive reference simplecache tar zip".split()
)
_WRAPPING_OPTIONS = frozenset({"fo", "fs", "target_protocol", "target_options", "remote_protocol", "remote_options"})


def _text_path(path: str | os.PathLike[str]) -> str:
    return os.fspath(path)


def _valid_path(instance: FileConnector, attribute: object, path: str) -> None:
    if not path or any(unicodedata.category(character) in ("Cc", "Cs") for character in path):
        raise ConfigurationError("the path is empty or has control characters")
    if "::" in path or "://" in path:
        raise ConfigurationError(
            "the path holds a protocol or a chain of them",
            guidance="Name the protocol in `filesystem` and give the path alone.",
        )


def _valid_filesystem(instance: FileConnector, attribute: object, protocol: str) -> None:
    if protocol in _UNJUDGED:
        raise ConfigurationError(
            f"filesystem {protocol!r} is not opened through fsspec, which would not verify whom it talks to",
            guidance="Use the connector made for it: HttpConnector for http and https.",
        )
    if protocol in _WRAPPERS or not protocol.replace("-", "").replace("_", "").isalnum():
        raise ConfigurationError(
            f"filesystem {protocol[:40]!r} is not one that holds files itself",
            guidance="Name the filesystem that holds the file, such as 'file' or 's3'.",
        )


def _valid_options(instance: FileConnector, attribute: object, options: Mapping[str, Plain]) -> None:
    for name, value in options.items():
        if name in _WRAPPING_OPTIONS:
            raise ConfigurationError(f"storage option {name!r} would open another filesystem")
        if not isinstance(value, (str, int, float, bool, type(None))):
            raise ConfigurationError(f"storage option {name!r} is not a text, number, true, false or null")


def _positive(instance: FileConnector, attribute: object, value: int) -> None:
    if value < 1:
        raise ConfigurationError("max_bytes must be more than 0")


@frozen(kw_only=True)
class FileConnector:
    """Copies one file, and refuses it when it changes meanwhile.

    Size and time of change are looked at before and after the copy. That both agree is weak evidence: a writer may
    only have paused. So it proves a file to be ``stable``, never to be whole.

    To adapt it, subclass and override :meth:`locate` (a path that depends on the day) or :meth:`payloads` (what to
    make of the file).

    :param path: of one file, taken as it is, without patterns; a relative one starts at the working directory.
    :param filesystem: ``file`` for this machine, or the name of an fsspec filesystem such as ``s3``.
    :param storage_options: keyword arguments of that filesystem: plain values. Those that name an address
        (``endpoint_url``) are dialled without being judged, so they are for an operator to set.
    :param secrets: more of its keyword arguments, such as ``key`` and ``secret``.
    :param max_bytes: a larger file is refused.
    :param as_of: which time stands for the observation.
    :raises ConfigurationError: when one of these cannot be used.
    """

    path: str = field(kw_only=False, converter=_text_path, validator=_valid_path)
    filesystem: str = field(default="file", validator=_valid_filesystem)
    storage_options: Mapping[str, Plain] = field(factory=dict, repr=False, validator=_valid_options)
    secrets: Mapping[str, Secret] = field(factory=dict)
    max_bytes: int = field(default=1024**3, validator=_positive)
    as_of: FileTime = field(default=FileTime.MODIFIED, converter=file_time)

    def __attrs_post_init__(self) -> None:
        if self.filesystem in _LOCAL and (self.storage_options or self.secrets):
            raise ConfigurationError("this machine's own filesystem takes no storage options")
        twice = set(self.storage_options) & set(self.secrets)
        if twice or set(self.secrets) & _WRAPPING_OPTIONS:
            raise ConfigurationError("a storage option is given twice, or a secret would open another filesystem")

    def fetch(self, context: FetchContext) -> Iterator[Fetched]:
        """Yields what :meth:`payloads` makes of the file.

        :raises InputIncomplete: when it changed while it was read; it is read again shortly.
        :raises FetchError: when it cannot be read; see :mod:`inventory_sources.errors`.
        """
        yield from self.payloads(self.copy(self.locate(context), context), context)

    def check(self, context: FetchContext) -> Head:
        """The head of the file.

        :raises FetchError: as :meth:`fetch` would.
        """
        return head_of(self._file(self.locate(context)))

    def locate(self, context: FetchContext) -> str:
        """The path for this sync; override for names with a date in them."""
        return self.path

    def payloads(self, payload: Payload, context: FetchContext) -> Iterable[Fetched]:
        """What of the file is the input; override to unpack it or to yield records."""
        return (payload,)

    def copy(self, path: str, context: FetchContext) -> Payload:
        """The file as it is now, in the spool.

        :raises InputIncomplete: when it changed while it was read.
        :raises FetchError: when it cannot be read.
        """
        return copy_file(self._file(path), context, max_bytes=self.max_bytes, as_of=self.as_of)

    def _file(self, path: str) -> FileAtRest:
        if path != self.path:
            _valid_path(self, None, path)
        if self.filesystem in _LOCAL:
            return LocalFile(Path(path))
        revealed = {name: secret.reveal() for name, secret in self.secrets.items()}
        filesystem = open_filesystem(self.filesystem, {**self.storage_options, **revealed})
        return RemoteFile(filesystem, path, f"{self.filesystem}://{path}")
