"""Segments of an electronic document (EDI): bytes as text, text as segments, and what is wrong where.

Shared by X12 and EDIFACT, which differ in their service characters and envelopes, not in how segments follow.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import BinaryIO

from attrs import field, frozen

from inventory_sources.errors import EncodingInvalid, InputIncomplete, InputTooLarge, StructureInvalid, Truncated
from inventory_sources.formats._text import resolve
from inventory_sources.protocols.decoder import DecodeContext

__all__ = ["Limits", "Marks", "ended", "segments", "split_released", "texts"]

_BLOCK_BYTES = 1 << 20
_ENCODING_ADVICE = "Declare the encoding that the sender uses, such as 'iso-8859-1', 'cp1252' or 'utf-8'."


@frozen
class Limits:
    """How much of an input is read at most."""

    segments: int
    chars: int


@frozen(slots=False)
class Marks:
    """The service characters of one interchange.

    :param release: takes the next character's meaning away; empty where there is none.
    :param repetition: between repetitions of an element; empty where there is none.
    """

    element: str
    component: str
    terminator: str
    release: str = ""
    repetition: str = ""
    _all: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        every = self.element + self.component + self.terminator + self.release + self.repetition
        object.__setattr__(self, "_all", every)
        if len(set(every)) < len(every) or any(mark.isalnum() or mark == " " for mark in every):
            raise StructureInvalid(
                f"the service characters {every!r} cannot be told apart from each other or from text"
            )

    @cached_property
    def unprintable(self) -> re.Pattern[str]:
        """A control character that is no service character: no EDI character set has one within text."""
        codes = (*range(32), *range(127, 160))
        return re.compile("[" + "".join(re.escape(chr(code)) for code in codes if chr(code) not in self._all) + "]")


def texts(stream: BinaryIO, encoding: str) -> Iterator[str]:
    """The stream's text, in pieces.

    :raises EncodingInvalid: with the offset of the byte that is no text.
    """
    codec = resolve(encoding, stream.read(4))
    stream.seek(codec.mark)
    decoder = codecs.getincrementaldecoder(codec.name)()
    offset, data = codec.mark, b"begin"
    while data:
        data = stream.read(_BLOCK_BYTES)
        pending = len(decoder.getstate()[0])
        try:
            text = decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            at = offset - pending + error.start
            message = f"the byte at offset {at} is not {codec.name.upper()} text"
            raise EncodingInvalid(message, guidance=_ENCODING_ADVICE) from None
        offset += len(data)
        yield text


def split_released(text: str, mark: str, release: str) -> list[str]:
    """``text`` at each ``mark`` that no ``release`` stands before; the releases stay in the pieces."""
    pieces = text.split(mark)
    if not release or release not in text:
        return pieces
    whole, held = [], ""
    for piece in pieces:
        joined = held + piece
        if (len(joined) - len(joined.rstrip(release))) % 2:
            held = joined + mark
        else:
            whole.append(joined)
            held = ""
    # What is held ends with the mark that was taken for text: the rest of it is not there.
    return [*whole, held.removesuffix(mark)] if held else whole


def segments(
    pieces: Iterator[str], marks: Marks, limits: Limits, checkpoint: Callable[[], None]
) -> Iterator[tuple[int, str, bool]]:
    """Each segment's number (from 1), its text, and whether its terminator is there (the last one's may not be).

    Line ends behind a terminator are passed over.

    :raises InputTooLarge: for a segment that is too long, or too many of them.
    :raises StructureInvalid: for a control character within a segment.
    """
    number, rest = 0, ""
    for piece in pieces:
        checkpoint()
        *whole, rest = split_released(rest + piece, marks.terminator, marks.release)
        for text in whole:
            segment = text.lstrip("\r\n")
            if segment:
                number += 1
                _check(number, segment, marks, limits)
                yield number, segment, True
        if len(rest) > limits.chars + 2:
            raise InputTooLarge(f"segment {number + 1} is longer than {limits.chars} characters")
    if segment := rest.strip("\r\n"):
        _check(number + 1, segment, marks, limits)
        yield number + 1, segment, False


def _check(number: int, segment: str, marks: Marks, limits: Limits) -> None:
    if number > limits.segments:
        raise InputTooLarge(f"there are more than {limits.segments} segments")
    if len(segment) > limits.chars:
        raise InputTooLarge(f"segment {number} is longer than {limits.chars} characters")
    if found := marks.unprintable.search(segment):
        tag, *before = segment[: found.start()].split(marks.element)
        raise StructureInvalid(
            f"segment {number} ({tag[:3]}), element {len(before)} holds the control character U+{ord(found[0]):04X}",
            guidance="Have it sent without line breaks inside segments; if it is text, declare its encoding.",
        )


def ended(context: DecodeContext, where: str) -> Exception:
    """The error for an input that stops before its envelope is closed."""
    if context.evidence.proves_end:
        return Truncated(f"the interchange is not closed: it ends {where}")
    return InputIncomplete(f"the interchange ends {where}, and may still be growing")
