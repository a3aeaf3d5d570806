"""Rows of which a line end in an unquoted first or last cell split a part off.

What is left has the right width, and half a SKU or quantity. The part is a record of one cell right above or below it,
which nothing tells from a remark; so the row beside such a record is not to be trusted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from attrs import define

from inventory_sources.formats._csv_doubts import Doubt
from inventory_sources.formats._csv_padded import BLANKS

if TYPE_CHECKING:
    from inventory_sources.formats._csv import CsvDecoder

__all__ = ["Splits"]


@define
class Splits:
    """Follows the records of one table as they are read.

    :param apart: what the records begin with that are declared to be no rows.
    :param first: whether the first column is read, so that half of its cell would be.
    :param last: the same of the last column.
    :param part: the line of the last record that may be a part.
    :param above: the row right above and its line, if its last cell may lack a part.
    """

    decoder: CsvDecoder
    apart: tuple[str, ...]
    first: bool
    last: bool
    part: int = -1
    above: tuple[int, list[str]] | None = None

    @classmethod
    def over(cls, decoder: CsvDecoder, width: int, wanted: Collection[int]) -> Splits:
        """For the rows of this width, of which the columns at these places are read."""
        trailer = (decoder.trailer.starts,) if decoder.trailer else ()
        several = width > 1
        return cls(
            decoder, (*decoder.skip_rows_starting, *trailer), several and 0 in wanted, several and width - 1 in wanted
        )

    def is_part(self, row: Sequence[str], text: Sequence[str]) -> bool:
        """Whether a record may be a part of a row: of one cell that is neither blank nor quoted nor declared.

        :param text: its physical lines.
        """
        return len(row) == 1 and bool(row[0].strip()) and not (row[0].startswith(self.apart) or self._quoted(text, 0))

    def note(self, begin: int, row: list[str], text: Sequence[str]) -> None:
        """Remembers the row that was read last."""
        self.above = (begin, row) if self.last and not self._quoted(text, -1) else None

    def below(self, begin: int, text: Sequence[str]) -> Doubt | None:
        """Why the row that begins on this line is not to be trusted: the record above it may be a part of it."""
        torn = self.first and self.part == begin - 1 and not self._quoted(text, 0)
        return self.doubt(begin, self.part) if torn else None

    def may_go_on(self, line: str) -> bool:
        """Whether the record that begins with this line may be a part of a row above it."""
        return self.last and self.decoder.delimiter not in line

    def doubt(self, row: int, part: int) -> Doubt:
        """Reason, message and guidance for a row and the part, by the lines on which they begin."""
        end = "last" if row < part else "first"
        return (
            "row_split",
            f"line {part} holds one cell alone, which may be a part of the {end} cell of the row of line {row}",
            "Quote cells that hold a line end; declare the beginning of remarks as skip_rows_starting.",
        )

    def _quoted(self, text: Sequence[str], end: int) -> bool:
        """Whether the record begins (``end`` 0) or ends (-1) with a quote, so that the cell there is whole."""
        blanks = BLANKS if self.decoder.padded else ""
        return bool(self.decoder.quote) and text[end].strip(f"\r\n{blanks}")[end:][:1] == self.decoder.quote
