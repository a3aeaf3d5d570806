"""Copies a file at rest into the spool, and refuses it when it changes meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING

from inventory_sources.errors import ConfigurationError, FetchError, InputIncomplete, InputTooLarge, Recovery, Truncated
from inventory_sources.payload import Evidence, Payload, Proof
from inventory_sources.protocols.connector import Head
from inventory_sources.spool import read_head, spool

if TYPE_CHECKING:
    from datetime import datetime

    from inventory_sources.connectors._looks import FileAtRest, Look
    from inventory_sources.protocols.connector import FetchContext

__all__ = ["FileTime", "copy_file", "file_time", "head_of", "observed"]


class FileTime(Enum):
    """Which time stands for the moment at which a file's stock was observed.

    ``NAME`` is the time in its name, ``MODIFIED`` its own time of change; ``FETCH`` is the moment before it was read.
    """

    NAME = "name"
    MODIFIED = "modified"
    FETCH = "fetch"


def file_time(value: FileTime | str | None) -> FileTime | None:
    """A converter for connectors' ``as_of``."""
    try:
        return None if value is None else FileTime(value)
    except ValueError:
        raise ConfigurationError("as_of must be name, modified or fetch") from None


def copy_file(
    file: FileAtRest, before: Look, context: FetchContext, *, max_bytes: int, observed: datetime | None
) -> Payload:
    """The file in the spool.

    :param before: a look at it just now.
    :param observed: the moment that its stock is of, where it is not that of the fetch.
    :raises InputIncomplete: when it changed while it was read.
    :raises FetchError: when it cannot be read.
    """
    if before.size > max_bytes:
        raise InputTooLarge(f"{file.origin} has {before.size} bytes, more than {max_bytes}")
    spooled = spool(_unchanged(file, before), context, origin=file.origin, max_bytes=max_bytes)
    evidence = Evidence(frozenset({Proof.STABLE} if before.tells_change else ()))
    return Payload(file.origin, spooled.path, observed, evidence, None, spooled.size, spooled.sha256)


def head_of(file: FileAtRest) -> Head:
    """The first bytes of the file."""
    size = file.look().size
    data, complete = read_head(file.chunks())
    return Head(file.origin, data, complete, None, size)


def observed(as_of: FileTime, look: Look, named: datetime | None, origin: str) -> datetime | None:
    """The moment that a file's stock is of; ``None`` is that of the fetch.

    :param named: the time in its name.
    :raises FetchError: when nothing tells it.
    """
    if as_of is FileTime.FETCH:
        return None
    if as_of is FileTime.NAME:
        if named is None:
            raise FetchError(
                f"the name of {origin} does not match the template of pick_up.order, which tells its time",
                recovery=Recovery.STOP,
                guidance="Correct the template or the path, or declare as_of='modified'.",
            )
        return named
    if look.modified is None:
        raise FetchError(
            f"nothing tells when {origin} was changed",
            recovery=Recovery.STOP,
            guidance="Declare as_of='fetch', or a template of the names that tells the time as pick_up.order.",
        )
    return look.modified


def _unchanged(file: FileAtRest, before: Look) -> Iterator[bytes]:
    size = 0
    try:
        for chunk in file.chunks():
            size += len(chunk)
            yield chunk
    except Truncated:
        if file.look() == before:
            raise
    if size != before.size or file.look() != before:
        raise InputIncomplete(f"{file.origin} changed while it was read")
