"""Which blocks of delimited text polars reads exactly as the ``csv`` module does.

polars reads several times faster but otherwise: it fills short rows with null, skips empty lines, joins lines at a
stray quote and knows no line numbers. So it is only given blocks whose *shape* (all that the text has of delimiters,
line ends, quotes and NULs) is one and the same line over and over: there the two cannot differ.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl
from attrs import frozen

from inventory_sources.formats._csv_padded import BLANKS
from inventory_sources.formats._text import Block

if TYPE_CHECKING:
    from inventory_sources.formats._csv import CsvDecoder

__all__ = ["Shape"]


@frozen
class Shape:
    """Tells the blocks that polars and ``csv`` read alike.

    :param delimiters: what is left of a line of the right width, without its line end.
    :param ignored: the bytes that have no part in the shape.
    :param longest: bytes of a line that cannot pass a cap on records or cells.
    :param apart: what a line begins with that may be no row.
    :param blanks: what does not belong to the cells around which it stands.
    """

    delimiters: bytes
    ignored: bytes
    longest: int
    apart: tuple[bytes, ...] = ()
    blanks: str = ""

    @classmethod
    def of(cls, decoder: CsvDecoder, width: int) -> Shape | None:
        """The shape of rows of this width; ``None`` where it cannot tell: an empty line has that of a single cell."""
        marks = decoder.delimiter + (decoder.quote or "")
        if width == 1 or not marks.isascii():
            return None
        ignored = bytes(sorted(set(range(256)) - set(f"{marks}\r\n\0".encode())))
        longest = min(decoder.max_record_chars, csv.field_size_limit())
        trailer = (decoder.trailer.starts,) if decoder.trailer else ()
        apart = tuple(text.encode() for text in (*trailer, *decoder.skip_rows_starting))
        blanks = BLANKS.replace(decoder.delimiter, "") if decoder.padded else ""
        return cls(decoder.delimiter.encode() * (width - 1), ignored, longest, apart, blanks)

    def proven(self, block: Block) -> tuple[bytes, int] | None:
        """The block in UTF-8, with every line ended, and its number of rows, if both readers read it alike."""
        data = _utf8(block)
        if data is None or self._has_long_line(data):
            return None
        end = b"\r\n" if b"\r" in data else b"\n"
        data = data if data.endswith(b"\n") else data + end
        left, line = data.translate(None, self.ignored), self.delimiters + end
        rows = len(left) // len(line)
        return (data, rows) if left == line * rows and not self._has_line_apart(data) else None

    def _has_line_apart(self, data: bytes) -> bool:
        # Behind blanks a line's beginning costs more to find than it is worth.
        return any(
            text in data if self.blanks else data.startswith(text) or b"\n" + text in data for text in self.apart
        )

    def _has_long_line(self, data: bytes) -> bool:
        at = 0
        while len(data) - at > self.longest:
            # Any line end within reach will do, the farthest saves steps.
            at = data.rfind(b"\n", at, at + self.longest) + 1
            if not at:
                return True
        return False

    def read(self, data: bytes, columns: Sequence[int]) -> pl.DataFrame:
        """These columns of a proven block, named by their index."""
        # polars strips a byte order mark and unpacks what begins like zlib, so no data may stand first.
        data = b"-" + self.delimiters + b"\n" + data
        schema = {str(index): pl.String() for index in range(len(self.delimiters) + 1)}
        separator = self.delimiters[:1].decode()
        frame = pl.read_csv(
            data, has_header=False, separator=separator, quote_char=None, schema=schema, columns=sorted(columns)
        )
        # Every cell is there, so null is what polars calls an empty one.
        frame = frame[1:]
        if any(column.null_count() for column in frame):
            frame = frame.with_columns(pl.all().fill_null(""))
        return frame.with_columns(pl.all().str.strip_chars(self.blanks)) if self.blanks else frame


def _utf8(block: Block) -> bytes | None:
    if block.codec.bytewise and block.data.isascii():
        return block.data
    try:
        text = block.data.decode(block.codec.name)
    except UnicodeDecodeError:
        return None
    return block.data if block.codec.name == "utf-8" else text.encode()
