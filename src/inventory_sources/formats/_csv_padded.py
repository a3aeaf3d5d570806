"""Records of delimited text whose cells stand between blanks, as in ``a , "b, c" ,d``.

Apart from the blanks the reading is that of the ``csv`` module with ``strict=True``, its errors included.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

from attrs import define, field

__all__ = ["BLANKS", "PaddedRows"]

BLANKS = " \t"


@define
class PaddedRows:
    """The records of these lines (with their line ends), every cell without the blanks around it.

    :raises csv.Error: for wrong quotes and a cell that is too long.
    """

    lines: Iterator[str]
    delimiter: str
    quote: str | None
    _blanks: str = field(init=False)
    _padding: re.Pattern[str] = field(init=False)
    _bare: re.Pattern[str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._blanks = BLANKS.replace(self.delimiter, "")
        self._padding = re.compile(f"[{self._blanks}]*")
        self._bare = re.compile(f"[^{re.escape(self.delimiter)}\r\n]*")

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        line = next(self.lines)
        if self.quote is not None and self.quote in line:
            row = self._quoted_row(line, self.quote)
        else:
            row = [cell.strip(self._blanks) for cell in line.rstrip("\r\n").split(self.delimiter)]
            row = [] if row == [""] else row
        if max(map(len, row), default=0) > csv.field_size_limit():
            raise csv.Error("field larger than field limit")
        return row

    def _quoted_row(self, line: str, quote: str) -> list[str]:
        row: list[str] = []
        at = 0
        while True:
            at = self._after(self._padding, line, at)
            if line.startswith(quote, at):
                cell, line, at = self._quoted_cell(line, at + 1, quote)
                at = self._after(self._padding, line, at)
                if line[at : at + 1] not in (self.delimiter, "\r", "\n", ""):
                    raise csv.Error(f"{self.delimiter!r} expected after {quote!r}")
            else:
                begin, at = at, self._after(self._bare, line, at)
                cell = line[begin:at].rstrip(self._blanks)
            row.append(cell)
            if line[at : at + 1] != self.delimiter:
                return row
            at += 1

    def _quoted_cell(self, line: str, at: int, quote: str) -> tuple[str, str, int]:
        """The cell whose quote opened before ``at``, the line on which it ends, and where on it."""
        parts = []
        while True:
            end = line.find(quote, at)
            if end < 0:
                parts.append(line[at:])
                line, at = self._next_line(), 0
                continue
            parts.append(line[at:end])
            if not line.startswith(quote, end + 1):
                return "".join(parts), line, end + 1
            parts.append(quote)
            at = end + 2

    def _next_line(self) -> str:
        line = next(self.lines, None)
        if line is None:
            raise csv.Error("unexpected end of data")
        return line

    @staticmethod
    def _after(pattern: re.Pattern[str], line: str, at: int) -> int:
        found = pattern.match(line, at)
        return found.end() if found else at
