"""Gets files of this machine and of fsspec filesystems."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from attrs import field, frozen

from inventory_sources.connectors._copying import FileTime
from inventory_sources.connectors._fsspec import open_filesystem
from inventory_sources.connectors._fsspec_files import FsspecFiles
from inventory_sources.connectors._local import LocalFile
from inventory_sources.connectors._local_files import LocalFiles
from inventory_sources.connectors._pick_up_connector import PickUpConnector
from inventory_sources.errors import ConfigurationError
from inventory_sources.secrets import Secret

if TYPE_CHECKING:
    from inventory_sources.connectors._looks import FileAtRest
    from inventory_sources.protocols.connector import FetchContext
    from inventory_sources.protocols.remote_files import RemoteFiles

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
    return path if isinstance(path, str) else Path(path).as_posix()


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


@frozen(kw_only=True)
class FileConnector(PickUpConnector):
    """Copies files of this machine or of an fsspec filesystem, and refuses one when it changes meanwhile.

    Size and time of change are looked at before and after the copy. That both agree is weak evidence: a writer may
    only have paused. So it proves a file to be ``stable``, never to be whole; see :class:`PickUp` for better ways.

    To adapt it, subclass and override :meth:`locate` (a path that depends on the day) or :meth:`payloads` (what to
    make of a file).

    :param path: of one file, taken as it is; a relative one starts at the working directory. Its last part is a pattern
        where ``pick_up`` takes several.
    :param filesystem: ``file`` for this machine, or the name of an fsspec filesystem such as ``s3``.
    :param storage_options: keyword arguments of that filesystem: plain values. Those that name an address
        (``endpoint_url``) are dialled without being judged, so they are for an operator to set.
    :param secrets: more of its keyword arguments, such as ``key`` and ``secret``.
    :param max_bytes: a larger file is refused.
    :param as_of: which time stands for the observation: that in the file's ``name``, the file's own (``modified``) or
        that of the ``fetch``. Unless given, ``name`` where ``pick_up`` has a template that tells the day.
    :param unpack: what the file is packed with, for one that is to be unpacked.
    :param pick_up: which files are taken, how each is known to be whole, and what becomes of it. An object store
        renames by copying and deleting; what is uploaded under the same name in between is lost.
    :raises ConfigurationError: when one of these cannot be used.
    """

    path: str = field(kw_only=False, converter=_text_path, validator=_valid_path)
    filesystem: str = field(default="file", validator=_valid_filesystem)
    storage_options: Mapping[str, Plain] = field(factory=dict, repr=False, validator=_valid_options)
    secrets: Mapping[str, Secret] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        if self.filesystem in _LOCAL and (self.storage_options or self.secrets):
            raise ConfigurationError("this machine's own filesystem takes no storage options")
        twice = set(self.storage_options) & set(self.secrets)
        if twice or set(self.secrets) & _WRAPPING_OPTIONS:
            raise ConfigurationError("a storage option is given twice, or a secret would open another filesystem")

    def session(self, context: FetchContext) -> AbstractContextManager[RemoteFiles]:
        """A filesystem of this sync's own."""
        if self.filesystem in _LOCAL:
            return LocalFiles()
        revealed = {name: secret.reveal() for name, secret in self.secrets.items()}
        filesystem = open_filesystem(self.filesystem, {**self.storage_options, **revealed})
        return FsspecFiles(filesystem, self.filesystem)

    def origin(self, path: str) -> str:
        """The path, with the filesystem's name where it is not this machine's."""
        return path if self.filesystem in _LOCAL else f"{self.filesystem}://{path}"

    @property
    def folders_vanish(self) -> bool:
        """Those of object stores do, and fsspec does not tell which filesystems these are."""
        return self.filesystem not in _LOCAL

    def file(self, files: RemoteFiles, path: str) -> FileAtRest:
        """The file at a path; where it is the only one that is named, a link to it does as well."""
        if self.filesystem in _LOCAL and self.pick_up.take == "one" and not self.pick_up.puts_away:
            return LocalFile(Path(path))
        return super().file(files, path)
