"""Bytes as text in a declared encoding: byte order marks, blocks that end with a line, and what is wrong where."""

from __future__ import annotations

import codecs
import io
from array import array
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, BinaryIO

from attrs import Attribute, frozen

from inventory_sources.errors import ConfigurationError, EncodingInvalid, InputTooLarge

__all__ = ["BLOCK_BYTES", "Block", "Codec", "blocks", "check_encoding", "resolve", "without_cut_character"]

#: Read at a time. Larger blocks cost memory and, with polars, no longer gain speed.
BLOCK_BYTES = 8 << 20

# UTF-32 LE begins like UTF-16 LE, so it is asked first.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_STATEFUL = ("iso2022", "hz", "utf-7")


@frozen
class Codec:
    """How the bytes of one input are text.

    :param name: of a Python codec that knows no byte order mark.
    :param mark: length of the byte order mark at the front, in bytes.
    """

    name: str
    mark: int = 0

    @property
    def unit(self) -> int:
        """Bytes of a line end's code unit."""
        return {"utf-16": 2, "utf-32": 4}.get(self.name[:6], 1)

    @property
    def bytewise(self) -> bool:
        """Whether every ASCII byte is that character wherever it stands."""
        return self.name in ("utf-8", "ascii") or self.name.startswith(("cp125", "iso8859"))


@frozen
class Block:
    """Whole lines of an input, from byte ``start`` on; only the input's last line may lack its end."""

    start: int
    data: bytes
    codec: Codec

    @property
    def ends_line(self) -> bool:
        """Whether the last line has its line end."""
        return self.data.endswith(tuple(end.encode(self.codec.name) for end in "\r\n"))

    @property
    def first_line(self) -> str:
        """With its line end, and with U+FFFD for what is no text."""
        text = io.TextIOWrapper(io.BytesIO(self.data), self.codec.name, errors="replace", newline="")
        return text.readline()

    def text(self, line: int) -> str:
        """The block as text; ``line`` is the number of its first line.

        :raises EncodingInvalid: with the byte offset and line of what is no text.
        """
        try:
            text = self.data.decode(self.codec.name)
        except UnicodeDecodeError as error:
            raise EncodingInvalid(f"{self._place(error.start, line)} is not {self.codec.name.upper()} text") from None
        if "\0" in text:
            at = len(text[: text.index("\0")].encode(self.codec.name))
            raise EncodingInvalid(
                f"{self._place(at, line)} is a NUL, which no text holds",
                guidance="The input looks like UTF-16, or is no text at all; `engine.check` suggests an encoding.",
            )
        return text

    def line_of(self, at: int, line: int) -> int:
        """The number of the line that holds byte ``at`` of the block, whose first line has the number ``line``."""
        before = self.data[:at].decode(self.codec.name, errors="ignore")
        return line + before.count("\n") + before.replace("\r\n", "").count("\r")

    def _place(self, at: int, line: int) -> str:
        return f"the byte at offset {self.start + at} (line {self.line_of(at, line)})"

    def line_starts(self) -> array[int]:
        """The byte offset in the input of each line, and of the block's end."""
        starts, at = array("Q", [self.start]), self.start
        for line in io.TextIOWrapper(io.BytesIO(self.data), self.codec.name, newline=""):
            at += len(line.encode(self.codec.name))
            starts.append(at)
        return starts


def check_encoding(_instance: object, _attribute: Attribute[str], value: str) -> None:
    """Refuses what is no text encoding, or one whose lines cannot be read on their own (an attrs validator)."""
    try:
        info: Any = codecs.lookup(value)
        ends = "\n".encode(value).replace(b"\0", b"").endswith(b"\n") and not info.name.startswith(_STATEFUL)
    except (LookupError, TypeError, UnicodeError):
        ends = False
    if not ends:
        raise ConfigurationError(f"{value!r} is not an encoding that can be read", guidance="Such as utf-8 or cp1252.")


def resolve(declared: str, head: bytes) -> Codec:
    """The codec of an input that begins with ``head``, by its declared encoding and its byte order mark.

    :raises EncodingInvalid: when the mark is another encoding's, or is missing where the byte order rests on it.
    """
    name = codecs.lookup(declared).name.removesuffix("-sig")
    mark, found = next(((mark, found) for mark, found in _MARKS if head.startswith(mark)), (b"", ""))
    if name in ("utf-16", "utf-32") and not found.startswith(name):
        raise EncodingInvalid(
            f"the input is declared {declared} but does not begin with its byte order mark",
            guidance=f"Declare {name}-le or {name}-be, or the encoding it really has.",
        )
    if found and not found.startswith(name):
        raise EncodingInvalid(
            f"the input begins with the byte order mark of {found.upper()} but is declared {declared}",
            guidance=f"Declare the encoding {found.removesuffix('-le').removesuffix('-be')!r}.",
        )
    return Codec(found or name, len(mark))


def without_cut_character(data: bytes, codec: Codec) -> bytes:
    """The same without the last character if only some of its bytes are there, as where an input is cut."""
    decoder = codecs.getincrementaldecoder(codec.name)()
    with suppress(UnicodeDecodeError):
        decoder.decode(data)
        return data[: len(data) - len(decoder.getstate()[0])]
    return data


def blocks(stream: BinaryIO, codec: Codec, size: int = BLOCK_BYTES, *, heading: int = 1) -> Iterator[Block]:
    """The input in blocks of whole lines; each up to that of the heading is one of its own where possible.

    :param stream: at the first byte after the mark.
    :param size: of a block in bytes, about.
    :param heading: the number of the line that may be a heading.
    :raises InputTooLarge: when a line is longer than that.
    """
    start, rest = codec.mark, b""
    for _ in range(heading if codec.unit == 1 else 0):
        rest = stream.readline(size)
        if not rest.endswith(b"\n"):
            break
        yield Block(start, rest, codec)
        start, rest = start + len(rest), b""
    while piece := stream.read(size):
        rest += piece
        if cut := _cut(rest, codec):
            yield Block(start, rest[:cut], codec)
            start, rest = start + cut, rest[cut:]
        if len(rest) > size:
            raise InputTooLarge(f"there is no line end in the {len(rest)} bytes from offset {start} on")
    if rest:
        yield Block(start, rest, codec)


def _cut(data: bytes, codec: Codec) -> int:
    """Where the last whole line of ``data`` ends; 0 if none does."""
    # A CR at the very end may be the first half of a CRLF.
    for end, limit in (("\n", len(data)), ("\r", len(data) - codec.unit)):
        sought = end.encode(codec.name)
        at = data.rfind(sought, 0, limit)
        while at > 0 and at % codec.unit:
            at = data.rfind(sought, 0, at + len(sought) - 1)
        if at >= 0:
            return at + codec.unit
    return 0
