"""The head of an input as text, and which encoding it seems to have: for a person to read, never applied by itself."""

from __future__ import annotations

import codecs
from contextlib import suppress

from attrs import Factory, frozen

from inventory_sources.errors import EncodingInvalid
from inventory_sources.formats._text import Block, resolve, without_cut_character

__all__ = ["HeadText", "read_head"]


@frozen
class HeadText:
    """The head as far as it is text, what was wrong with it as declared, and what to declare instead."""

    text: str
    problems: tuple[str, ...] = ()
    suggestions: dict[str, str] = Factory(dict)


def read_head(head: bytes, declared: str) -> HeadText:
    """The head in the declared encoding or, failing that, in the one suggested; never raises."""
    try:
        return HeadText(_text(head, declared))
    except EncodingInvalid as error:
        problems = (error.message,)
    encoding = _suggested(head)
    try:
        return HeadText(_text(head, encoding), problems, {"encoding": encoding})
    except EncodingInvalid:
        return HeadText("", problems)


def _text(head: bytes, encoding: str) -> str:
    codec = resolve(encoding, head)
    return Block(codec.mark, without_cut_character(head[codec.mark :], codec), codec).text(1)


def _suggested(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-32" if head.startswith(codecs.BOM_UTF32_LE) else "utf-16"
    if b"\0" in head:
        # Most stock files are mostly ASCII, whose UTF-16 has a NUL at every other place.
        return "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"
    for encoding in ("utf-8", "cp1252"):
        with suppress(EncodingInvalid):
            _text(head, encoding)
            return encoding
    return "latin-1"
