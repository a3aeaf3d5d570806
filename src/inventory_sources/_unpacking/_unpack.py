"""Compressed files, unpacked into the run's spool with caps.

``gzip`` is RFC 1952, ``zstd`` RFC 8878, ``zip`` PKWARE's APPNOTE 6.3; ``bz2`` is what bzip2 writes. What a file is
packed with is declared and never guessed, and what comes out is not unpacked again.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from attrs import Attribute, evolve, field, frozen

from inventory_sources._unpacking._packing import Compression, archive_kind, check_packing
from inventory_sources._unpacking._streams import Streams
from inventory_sources._zip import ZipArchive, find_directory, shown_name
from inventory_sources.errors import ConfigurationError, InputIncomplete, StructureInvalid, Truncated
from inventory_sources.payload import Payload, Proof
from inventory_sources.protocols.connector import Head
from inventory_sources.spool import Spooled, read_head, spool

if TYPE_CHECKING:
    from inventory_sources.protocols.connector import FetchContext

__all__ = ["Unpack", "unpacked", "unpacked_head"]

_CHUNK_BYTES = 64 * 1024
_SHOWN_NAMES = 5


def _compression(value: Compression | str) -> Compression:
    try:
        return Compression(value)
    except ValueError:
        raise ConfigurationError("compression must be gzip, bz2, zstd or zip") from None


def _positive(instance: Unpack, attribute: Attribute[Any], value: float) -> None:
    if not value > 0:
        raise ConfigurationError(f"{attribute.name} must be more than 0")


@frozen(kw_only=True)
class Unpack:
    """How a file is packed, and how far it may be unpacked.

    :param compression: ``gzip``, ``bz2``, ``zstd`` (extra ``zstd`` before Python 3.14) or ``zip``.
    :param members: which files of a zip file are the input: a pattern for the whole name with folders, with ``*``,
        ``?`` and ``[…]``, where case matters and ``*`` matches ``/`` too. Each is a payload, in the order of names.
    :param max_bytes: of all that is unpacked together.
    :param max_ratio: of unpacked to packed bytes; 8 MiB may stand for as few bytes as they like.
    :param max_members: files in a zip file, or streams one behind the other in the others.
    :raises ConfigurationError: when one of these cannot be used.
    """

    compression: Compression = field(kw_only=False, converter=_compression)
    members: str = "*"
    max_bytes: int = field(default=1024**3, validator=_positive)
    max_ratio: float = field(default=200.0, validator=_positive)
    max_members: int = field(default=1000, validator=_positive)

    def __attrs_post_init__(self) -> None:
        if not self.members or (self.members != "*" and self.compression is not Compression.ZIP):
            raise ConfigurationError("members is a pattern for the names in a zip file")


def unpacked(payload: Payload, unpack: Unpack | None, context: FetchContext) -> Generator[Payload, None, None]:
    """The payload as it is without ``unpack``, else what is in it, each in the spool.

    The origin of a file in a zip file is ``stock.zip!/name``. A stream or zip file that proved its end adds to the
    evidence.

    :raises InputIncomplete: when its end is not there, and nothing proves that it has arrived whole.
    :raises Truncated: when its end is not there although it has.
    :raises StructureInvalid: when it is packed otherwise, damaged, or holds another archive.
    :raises InputTooLarge: when it passes a cap.
    """
    if unpack is None:
        yield payload
    elif unpack.compression is Compression.ZIP:
        yield from _members(payload, unpack, context)
    else:
        yield _stream(payload, unpack, context)


def unpacked_head(payload: Payload, unpack: Unpack, context: FetchContext) -> Head:
    """The head of the first thing in a payload; leaves nothing of either in the spool.

    :raises InventorySourcesError: as :func:`unpacked`.
    """
    try:
        with closing(unpacked(payload, unpack, context)) as found:
            first = next(found)
    finally:
        _drop(payload)
    with first.open() as stream:
        data, complete = read_head(_chunks(stream))
    _drop(first)
    return Head(first.origin, data, complete, None, first.size)


def _stream(payload: Payload, unpack: Unpack, context: FetchContext) -> Payload:
    streams = Streams(unpack.compression, payload.origin, unpack.max_bytes, unpack.max_ratio, unpack.max_members)
    with payload.open() as stream:
        pieces = streams.pieces(_chunks(stream), partial(_unended, payload))
        spooled = spool(pieces, context, origin=payload.origin, max_bytes=unpack.max_bytes)
    return _result(payload, payload.origin, spooled, streams.proof)


def _members(payload: Payload, unpack: Unpack, context: FetchContext) -> Iterator[Payload]:
    with payload.open() as stream:
        archive = _archive(stream, payload, unpack)
        files = [member for member in archive.members.values() if not member.is_folder]
        chosen = sorted(member.name for member in files if fnmatchcase(member.name, unpack.members))
        if not chosen:
            names = ", ".join(repr(shown_name(member.name)) for member in files[:_SHOWN_NAMES])
            raise StructureInvalid(
                f"{payload.origin} has no file {unpack.members!r}; it has {names or 'none'}"
                + ", …" * (len(files) > _SHOWN_NAMES),
                guidance="Declare a pattern that matches the names of the stock files, folders and case included.",
            )
        archive.check(archive.members[name] for name in chosen)
        for name in chosen:
            origin = f"{payload.origin}!/{shown_name(name)}"
            spooled = spool(archive.pieces(name), context, origin=origin, max_bytes=unpack.max_bytes)
            yield _result(payload, origin, spooled, Proof.CHECKSUM)


def _archive(stream: BinaryIO, payload: Payload, unpack: Unpack) -> ZipArchive:
    head = stream.read(_CHUNK_BYTES)
    if not check_packing(head, Compression.ZIP, payload.origin):
        raise _unended(payload)
    directory = find_directory(stream, payload.origin)
    if directory is None:
        raise _unended(payload)
    return ZipArchive(stream, directory, payload.origin, unpack.max_members, unpack.max_bytes, unpack.max_ratio)


def _unended(payload: Payload) -> InputIncomplete | Truncated:
    """What is wrong with a packed file without an end."""
    if payload.evidence.proves_end:
        return Truncated(f"{payload.origin} has arrived whole, but the end of what is packed in it is missing")
    return InputIncomplete(f"{payload.origin} does not end where it should, and may still be growing")


def _result(packed: Payload, origin: str, spooled: Spooled, proof: Proof | None) -> Payload:
    """What came out of a payload, unless it is packed again."""
    result = evolve(
        packed, origin=origin, body=spooled.path, media_type=None, size=spooled.size, sha256=spooled.sha256,
        evidence=packed.evidence.with_proof(proof) if proof else packed.evidence,
    )  # fmt: skip
    with result.open() as stream:
        kind = archive_kind(stream.read(_CHUNK_BYTES))
    if kind:
        _drop(result)
        raise StructureInvalid(
            f"what is packed in {origin} is packed again: it looks like {kind}",
            guidance="Have it packed once; nothing is unpacked twice.",
        )
    return result


def _drop(payload: Payload) -> None:
    if not isinstance(payload.body, bytes):
        payload.body.unlink(missing_ok=True)


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK_BYTES):
        yield chunk
