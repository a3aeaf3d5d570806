"""Rows of the right width that are not what they seem.

The width is the first test of a row. Three kinds of damage pass it and would be read wrong without an error: another
table's heading, whose rows would be read by this table's columns; rows that two stray quotes swallowed into one cell;
and half a pair of quotes, which the ``csv`` module takes for a part of the cell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

import polars as pl
from attrs import define, field

from inventory_sources.errors import StructureInvalid
from inventory_sources.formats._headings import fold
from inventory_sources.quantities import show_cell

if TYPE_CHECKING:
    from inventory_sources.formats._csv import CsvDecoder

__all__ = ["Doubt", "Doubts"]

#: Reason, message and guidance of a row that is not to be trusted.
Doubt = tuple[str, str, str]

_LINE_END = re.compile("\r\n|\r|\n")
_DIGIT = re.compile("[0-9]")
_SIGNS = bytes(code for code in range(0x80) if not chr(code).isalpha())
#: The same as ``_LETTER`` to polars, or more.
_LETTERS = r"[\p{L}\p{N}--\p{Nd}]"
_LETTER = re.compile(r"[^\W\d_]")
_LEAST_ROWS, _LEAST_COLUMNS = 3, 4


@define
class Doubts:
    """Looks at the rows of one table as they are read.

    :param wanted: the columns that are read, with their index.
    :param rows_above: the first few rows of the table that begin above a line.
    :param number: place of a column wanted that had no letter in the row before: such a row is no heading.
    :param gap: whether what stood right above was an empty line or a row of another width.
    """

    decoder: CsvDecoder
    wanted: Mapping[str, int]
    rows_above: Callable[[int], list[list[str]]]
    number: int = 0
    gap: bool = False
    _names: tuple[str, ...] = field(init=False)
    _quote: str = field(init=False)
    _pick: Callable[[Sequence[str]], Iterable[str]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._names = tuple(map(fold, self.wanted))
        self._quote = self.decoder.quote or ""
        self._pick = itemgetter(*self.wanted.values())

    def may_concern(self, frame: pl.DataFrame) -> bool:
        """Whether a row of these plain columns could be a heading; none of the other doubts has plain text."""
        if frame.is_empty() or frame.width == 1:
            return False
        first = frame.row(0, named=True)
        for name in sorted(first, key=lambda name: bool(_LETTER.search(first[name]))):  # of numbers settles it at once
            if not frame[name].cast(pl.UInt32, strict=False).null_count():  # all plain numbers: the cheapest proof
                return False
            if not str(frame[name].str.join("").item()).encode().translate(None, _SIGNS):
                return False
            frame = frame.filter(pl.col(name).str.contains(_LETTERS))
        return not frame.is_empty()

    def of(self, begin: int, row: Sequence[str], text: Sequence[str]) -> Doubt | None:
        """Why a row of the right width is not to be trusted.

        :param begin: the line on which it begins.
        :param text: its physical lines.
        :raises StructureInvalid: when it is the heading of another table.
        """
        if len(self._names) > 1 and not row[self.number].isdecimal():
            self._refuse_heading(begin, row)
        if len(text) > 1 and (doubt := self._swallowed(begin, row)):
            return doubt
        if self._quote and self._quote in "".join(self._pick(row)):
            return self._half_quoted(begin, row, "".join(text))
        return None

    def _refuse_heading(self, begin: int, row: Sequence[str]) -> None:
        cells = [row[place] for place in self.wanted.values()]
        for place, cell in zip(self.wanted.values(), cells, strict=True):
            if not _LETTER.search(cell):
                self.number = place
                return
        names = tuple(map(fold, cells))
        if names == self._names:
            return  # the same table goes on
        if not set(names).isdisjoint(self._names) or self._is_unlike_the_rows(begin, row):
            raise StructureInvalid(
                f"line {begin} looks like the heading row of another table: {', '.join(map(show_cell, cells))}",
                guidance="Export one table a file. If it is a row, correct it: its cells equal headings, or all are "
                "words where the rows above have numbers.",
            )

    def _is_unlike_the_rows(self, begin: int, row: Sequence[str]) -> bool:
        """Whether the row has only names, and that where numbers are wont to stand or a new table would begin."""
        if _DIGIT.search("".join(row)) or not all(row) or len(set(map(fold, row))) < len(row):
            return False
        if self.gap:
            return True
        above = self.rows_above(begin)
        numbers = sum(all(map(_DIGIT.search, column)) for column in zip(*above, strict=True))
        return len(above) >= _LEAST_ROWS and numbers >= _LEAST_COLUMNS

    def _swallowed(self, begin: int, row: Sequence[str]) -> Doubt | None:
        for column, cell in enumerate(row):
            if column in self.wanted.values():
                continue  # no SKU or quantity has several lines, so the mapper refuses the row
            pieces = _LINE_END.split(cell)
            if len(pieces) > 1 and self._are_rows(
                [piece.split(self.decoder.delimiter) for piece in pieces], column, row
            ):
                last = begin + len(pieces) - 1
                return (
                    "row_swallowed",
                    f"a quoted cell of the row of line {begin} holds what looks like the rows down to line {last}",
                    "Remove or double the quotes that stand alone in two rows; write a cell that is right on one line.",
                )
        return None

    def _are_rows(self, pieces: Sequence[Sequence[str]], column: int, row: Sequence[str]) -> bool:
        """Whether the lines of a cell are the rest of a row, whole rows, and the first cells of a row.

        Only then would the row around a swallowing cell have the right width.
        """
        width, (first, *inner, last) = len(row), pieces
        if len(first) != width - column or len(last) != column + 1 or any(len(piece) != width for piece in inner):
            return False
        pairs = [
            (row[index], cells[index - shift])
            for index in self.wanted.values()
            for cells, shift, there in ((first, column, index > column), (last, 0, index < column))
            if there
        ]
        if any(piece[:1] == " " != own[:1] for own, piece in pairs):
            return False  # prose has blanks behind its commas
        digits = [(bool(_DIGIT.search(own)), bool(_DIGIT.search(piece))) for own, piece in pairs]
        return (True, True) in digits or (bool(digits) and all(own == piece for own, piece in digits))

    def _half_quoted(self, begin: int, row: Sequence[str], text: str) -> Doubt | None:
        sign = self._quote
        for name, place in self.wanted.items():
            cell, bare = row[place], row[place].strip()
            outside = bare.startswith(sign) or bare.endswith(sign)
            if outside and sign + cell.replace(sign, sign * 2) + sign not in text:
                return (
                    "quote_stray",
                    f"line {begin}: the cell {name!r} begins or ends with a quote but is not quoted",
                    "Quote the cell and double the quotes inside; declare quote=None if quotes have no meaning.",
                )
        return None
