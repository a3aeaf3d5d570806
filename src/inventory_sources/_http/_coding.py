"""Compressed bodies, decoded a bounded piece at a time: 377 bytes can stand for 128 MiB.

``gzip`` is RFC 1952, ``deflate`` RFC 1950 (and, as some servers send it, bare RFC 1951); RFC 9110, section 8.4.1.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from inventory_sources.errors import FetchError, InputTooLarge, Recovery, Truncated

__all__ = ["ACCEPTED", "capped", "decoded"]

#: What to put into ``Accept-Encoding``.
ACCEPTED = "gzip, deflate"

_PIECE = 64 * 1024
_RATIO_FLOOR = 1024 * 1024
_GZIP, _ZLIB, _BARE = 31, 15, -15


def capped(chunks: Iterator[bytes], max_bytes: int, origin: str) -> Iterator[bytes]:
    """The same chunks.

    :raises InputTooLarge: when they are more than ``max_bytes`` together.
    """
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise InputTooLarge(f"{origin} sends more than {max_bytes} bytes")
        yield chunk


def decoded(chunks: Iterator[bytes], coding: str, *, max_ratio: float, origin: str) -> Iterator[bytes]:
    """The bytes that ``chunks`` stand for, in pieces of at most 64 KiB where they are compressed.

    :param coding: the response's ``Content-Encoding``.
    :param max_ratio: decoded bytes for each byte received, looked at from 1 MiB decoded on.
    :raises InputTooLarge: when the ratio is passed.
    :raises Truncated: when the compressed stream has no end.
    :raises FetchError: for a coding that was not asked for, and for damaged data.
    """
    name = coding.strip().lower()
    if name in ("", "identity"):
        return chunks
    if name not in ("gzip", "x-gzip", "deflate"):
        raise FetchError(
            f"{origin} is sent in a coding that was not asked for",
            recovery=Recovery.STOP,
            guidance="Have the server send it plain or as gzip.",
        )
    return _inflated(chunks, _Inflater(gzip=name != "deflate"), max_ratio=max_ratio, origin=origin)


def _inflated(chunks: Iterator[bytes], stream: _Inflater, *, max_ratio: float, origin: str) -> Iterator[bytes]:
    received = produced = 0
    try:
        for chunk in chunks:
            received += len(chunk)
            for piece in stream.feed(chunk):
                produced += len(piece)
                if produced > max(_RATIO_FLOOR, received * max_ratio):
                    raise InputTooLarge(f"{origin} decodes to more than {max_ratio:g} times its size")
                yield piece
    except zlib.error:
        raise FetchError(f"the compressed body of {origin} is damaged") from None
    if received and not stream.at_end:
        raise Truncated(f"the compressed body of {origin} ended early")


class _Inflater:
    """zlib in bounded pieces, over as many gzip members as there are."""

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._bits = _GZIP if gzip else None
        self._engine: zlib._Decompress | None = None

    @property
    def at_end(self) -> bool:
        return self._engine is not None and self._engine.eof

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            engine = self._engine_for(data)
            piece = engine.decompress(data, _PIECE)
            # A full piece may leave more inside although all input is taken in. At the end both tails hold what
            # follows, and an engine that is fed on keeps it twice.
            while piece:
                yield piece
                piece = b"" if engine.eof else engine.decompress(engine.unconsumed_tail, _PIECE)
            data = engine.unused_data if engine.eof else engine.unconsumed_tail

    def _engine_for(self, data: bytes) -> zlib._Decompress:
        if self._bits is None:
            # RFC 1950 begins with a byte whose low half is 8; a bare stream of stock text practically never does.
            self._bits = _ZLIB if data[0] & 0x0F == 8 else _BARE
        if self._engine is None or (self._engine.eof and self._gzip):
            self._engine = zlib.decompressobj(self._bits)
        elif self._engine.eof:
            raise zlib.error("bytes behind the end")
        return self._engine
