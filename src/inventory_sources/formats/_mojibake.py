"""Text that was read in another encoding than it was written in: ``Ã¼`` for ``ü``.

It is text all the same, so this only warns: it looks for sequences that hardly any language has.
"""

from __future__ import annotations

import re

from inventory_sources.formats._text import Block

__all__ = ["mojibake"]

_TWICE = (
    "what looks like UTF-8 that was taken for cp1252 before it was written: correct the system that writes the file"
)
_LOST = "the character U+FFFD, which stands for one that was lost: correct the system that writes the file"
_CONTROLS = "control characters, as if cp1252 was taken for latin-1"
_UTF_8 = "what looks like UTF-8: declare encoding='utf-8'"

# Each with a byte that text seldom has, looked for first: where there is none, that takes next to no time.
_IN_UTF_8 = (
    (b"\xef", re.compile(rb"\xef\xbf\xbd"), _LOST),
    (b"\xc2", re.compile(rb"\xc3[\x82\x83]\xc2[\x80-\xbf]"), _TWICE),
    (b"\xe2", re.compile(rb"\xc3(?:\x83\xe2\x80[\x93\x9e]|\xa2\xe2\x82\xac)"), _TWICE),
    (b"\xc2", re.compile(rb"\xc2[\x80-\x9f]"), f"{_CONTROLS}: correct the system that writes the file"),
)
_IN_LATIN = (
    (b"\xc3", re.compile(rb"\xc3[\x80-\xbf]"), _UTF_8),
    (b"\xc2", re.compile(rb"\xc2[\xa0-\xbf]"), _UTF_8),
    (b"\xe2", re.compile(rb"\xe2(?:\x80[\x93-\xa6]|\x82\xac)"), _UTF_8),
)
_LATIN = ("cp1252", "iso8859-1", "iso8859-15")
_C1 = bytes(range(0x80, 0xA0))
#: Bytes of each block that are looked at: what is misread is so all over.
_SAMPLE = 1 << 20


def mojibake(block: Block, line: int) -> str | None:
    """What looks wrong near the beginning of a block, and on which line; ``None`` if nothing does.

    :param line: the number of the block's first line.
    """
    name, data = block.codec.name, block.data[:_SAMPLE]
    if name not in ("utf-8", *_LATIN) or data.isascii():
        return None
    for rare, sequence, what in _IN_UTF_8 if name == "utf-8" else _IN_LATIN:
        if rare in data and (found := sequence.search(data)):
            return f"line {block.line_of(found.start(), line)} holds {what}"
    if name.startswith("iso") and len(data.translate(None, _C1)) < len(data):
        at = next(at for at, byte in enumerate(data) if byte in _C1)
        return f"line {block.line_of(at, line)} holds {_CONTROLS}: declare encoding='cp1252'"
    return None
