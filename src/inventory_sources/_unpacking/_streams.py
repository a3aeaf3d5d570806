"""gzip, bz2 and zstd streams, unpacked a bounded piece at a time: a few hundred bytes can stand for gigabytes."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Protocol

from attrs import define, field

from inventory_sources._unpacking._packing import ZSTD_FRAME, Compression, begins, check_packing
from inventory_sources.errors import InputTooLarge, InventorySourcesError, MissingExtra, StructureInvalid
from inventory_sources.payload import Proof

__all__ = ["Streams"]

_PIECE = 64 * 1024
#: A small file may be as repetitive as it likes.
_FREE_BYTES = 8 << 20
#: RFC 8878, section 3.1.1.1.2, recommends to support windows of 8 MiB; one may ask for terabytes.
_ZSTD_WINDOW_LOG = 23
#: Every stream is longer than the bytes that tell what it is.
_HEAD_BYTES = 5
#: RFC 8878, section 3.1.1.1.1: the byte behind the magic number, and the bit for a checksum at the end.
_ZSTD_DESCRIPTOR = 4
_ZSTD_CHECKSUM = 1 << 2


class _Engine(Protocol):
    """One stream, as `bz2.BZ2Decompressor` unpacks it."""

    @property
    def eof(self) -> bool:
        """Whether it has ended."""

    @property
    def needs_input(self) -> bool:
        """Whether all that it was given is unpacked."""

    @property
    def unused_data(self) -> bytes:
        """What it was given behind its end."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """The next bytes."""


class _Gzip:
    def __init__(self) -> None:
        self._engine = zlib.decompressobj(31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._engine.eof

    @property
    def unused_data(self) -> bytes:
        return self._engine.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        piece = self._engine.decompress(self._engine.unconsumed_tail + data, max_length)
        self.needs_input = not self._engine.unconsumed_tail
        return piece


def _maker(compression: Compression) -> tuple[Callable[[], _Engine], tuple[type[Exception], ...]]:
    """What makes an engine, and what that raises for a damaged stream."""
    if compression is Compression.GZIP:
        return _Gzip, (zlib.error,)
    if compression is Compression.BZ2:
        import bz2

        return bz2.BZ2Decompressor, (OSError, ValueError)
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError:
        raise MissingExtra("Unpacking zstd", "zstd") from None
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
    return partial(zstd.ZstdDecompressor, options=options), (zstd.ZstdError,)


@define
class Streams:
    """The streams of one file, one behind the other.

    :param origin: the file's name in errors.
    :ivar proof: what shows, after the last piece, that nothing was cut off. Several streams prove nothing: one that
        followed them would not be missed.
    """

    compression: Compression
    origin: str
    max_bytes: int
    max_ratio: float
    max_streams: int
    proof: Proof | None = field(default=None, init=False)
    _count: int = field(default=0, init=False)
    _taken: int = field(default=0, init=False)
    _given: int = field(default=0, init=False)

    def pieces(self, chunks: Iterable[bytes], unended: Callable[[], InventorySourcesError]) -> Iterator[bytes]:
        """The unpacked bytes.

        :param unended: makes the error for a stream without an end.
        :raises StructureInvalid: when it is another file than the declared one, is damaged, or goes on behind its end.
        :raises InputTooLarge: when it passes a cap.
        :raises MissingExtra: when zstd needs a package that is not installed.
        """
        make, faults = _maker(self.compression)
        engine: _Engine | None = None
        held = b""
        for chunk in chunks:
            self._taken += len(chunk)
            held += chunk
            while held:
                if engine is None or engine.eof:
                    if len(held) < _HEAD_BYTES:
                        break
                    self._begin(held)
                    engine = make()
                yield from self._unpack(engine, held, faults)
                held = engine.unused_data if engine.eof else b""
        if held or engine is None:
            self._check(held)
            raise unended()
        if not engine.eof:
            raise unended()

    def _begin(self, head: bytes) -> None:
        """Takes note of another stream, and of what its end will prove."""
        self._check(head)
        self._count += 1
        if self._count > self.max_streams:
            raise InputTooLarge(f"{self.origin} is made of more than {self.max_streams} streams")
        self.proof = None if self._count > 1 else self._proof(head)

    def _check(self, head: bytes) -> None:
        if not self._count:
            check_packing(head, self.compression, self.origin)
        elif begins(head, self.compression) is False:
            raise StructureInvalid(f"{self.origin} has other bytes behind its end")

    def _proof(self, head: bytes) -> Proof | None:
        if self.compression is not Compression.ZSTD:
            return Proof.CHECKSUM
        if not head.startswith(ZSTD_FRAME):  # one to be skipped, before what counts
            return None
        return Proof.CHECKSUM if head[_ZSTD_DESCRIPTOR] & _ZSTD_CHECKSUM else Proof.TRAILER

    def _unpack(self, engine: _Engine, data: bytes, faults: tuple[type[Exception], ...]) -> Iterator[bytes]:
        while True:
            try:
                piece = engine.decompress(data, _PIECE)
            except faults:
                raise self._damaged() from None
            data = b""
            self._given += len(piece)
            if self._given > self.max_bytes:
                raise InputTooLarge(f"{self.origin} unpacks to more than {self.max_bytes} bytes")
            if self._given > max(_FREE_BYTES, self.max_ratio * self._taken):
                raise InputTooLarge(f"{self.origin} unpacks to more than {self.max_ratio:g} times its size")
            if piece:
                yield piece
            if engine.eof or engine.needs_input:
                return

    def _damaged(self) -> StructureInvalid:
        if self.compression is Compression.ZSTD:
            return StructureInvalid(
                f"{self.origin} is damaged, or unpacking it needs a dictionary or a window of more than 8 MiB",
                guidance="Have it packed with zstd's usual settings: without --ultra, --long and -D.",
            )
        return StructureInvalid(f"{self.origin} is damaged", guidance="Have it sent again.")
