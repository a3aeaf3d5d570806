"""Writes an input to the run's spool folder on its way in, counted, capped and hashed."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from inventory_sources.errors import FetchError, InputTooLarge

if TYPE_CHECKING:
    from io import FileIO

    from inventory_sources.protocols.connector import FetchContext

__all__ = ["HEAD_BYTES", "Spooled", "read_head", "spool"]

#: How much of an input a connector's ``check`` shows.
HEAD_BYTES = 64 * 1024


@frozen
class Spooled:
    """A file in the spool folder.

    :param size: in bytes.
    :param sha256: of its bytes, in hex.
    """

    path: Path
    size: int
    sha256: str


def spool(chunks: Iterable[bytes], context: FetchContext, *, origin: str, max_bytes: int) -> Spooled:
    """Writes ``chunks`` to a new file that only this user can read; nothing is left of it after an error.

    :param origin: names the input in errors.
    :raises InputTooLarge: when there are more than ``max_bytes``.
    :raises FetchError: when the spool folder cannot be written.
    :raises SyncCancelled: when the sync was asked to stop.
    :raises FetchTimeout: when the sync's deadline has passed.
    """
    context.checkpoint()
    try:
        handle, name = tempfile.mkstemp(prefix="input-", dir=context.spool)
    except OSError as error:
        raise _unwritable(error) from None
    path = Path(name)
    try:
        with os.fdopen(handle, "wb", buffering=0) as file:
            size, sha256 = _write(file, chunks, context, origin=origin, max_bytes=max_bytes)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Spooled(path, size, sha256)


def _write(
    file: FileIO, chunks: Iterable[bytes], context: FetchContext, *, origin: str, max_bytes: int
) -> tuple[int, str]:
    digest = hashlib.sha256()
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise InputTooLarge(f"{origin} has more than {max_bytes} bytes")
        try:
            _write_whole(file.fileno(), chunk)
        except OSError as error:
            raise _unwritable(error) from None
        digest.update(chunk)
        context.progress("fetch", "bytes", size)
        context.checkpoint()
    return size, digest.hexdigest()


def _write_whole(handle: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(handle, rest) :]


def _unwritable(error: OSError) -> FetchError:
    return FetchError(
        f"the spool folder cannot be written: {error.strerror}",
        guidance="Make room on this machine or give the engine another spool folder.",
    )


def read_head(chunks: Iterable[bytes]) -> tuple[bytes, bool]:
    """The first :data:`HEAD_BYTES` and whether they are all."""
    head = bytearray()
    for chunk in chunks:
        head += chunk
        if len(head) > HEAD_BYTES:
            return bytes(head[:HEAD_BYTES]), False
    return bytes(head), True
