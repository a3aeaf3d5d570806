"""What else than headings and rows the head of a delimited text seems to have: titles, padding, a last line of totals.

For a person to read, never applied by itself.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from inventory_sources.formats._csv_heading import likely_rows
from inventory_sources.formats._csv_padded import BLANKS
from inventory_sources.formats._trailer import Trailer

if TYPE_CHECKING:
    from inventory_sources.formats._csv import CsvDecoder

__all__ = ["likely_heading", "likely_trailer", "looks_padded"]

_LINES = 100
_NUMBER = re.compile(r"[+-]?[0-9.,]+")
_LAST_WORDS = ("total", "grand total", "summe", "gesamt", "trailer", "end of", "eof")


def likely_heading(decoder: CsvDecoder, lines: Sequence[str]) -> int:
    """The line of the first record that is as wide as most and has a name in every cell; 1 where there is none.

    A title is one cell, with empty ones behind it where a spreadsheet wrote the file. Where the heading row is declared
    to be found, anything may stand above it.
    """
    rows = list(likely_rows(decoder, lines[:_LINES]))
    widths = Counter(len(row) for _, row in rows if len(row) > 1)
    if not widths or (decoder.heading_row != "find" and sum(map(bool, rows[0][1])) > 1):
        return 1
    usual, _ = widths.most_common(1)[0]
    return next((line for line, row in rows if len(row) == usual == len(set(row)) and all(map(_is_name, row))), 1)


def _is_name(cell: str) -> bool:
    return bool(cell) and not _NUMBER.fullmatch(cell)


def looks_padded(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the heading row and most cells of these rows have blanks around them."""
    cells = [cell for row in rows if len(row) > 1 for cell in row]
    padded = sum(cell != cell.strip(BLANKS) for cell in cells)
    return bool(rows) and any(cell != cell.strip(BLANKS) for cell in rows[0]) and 2 * padded > len(cells)


def likely_trailer(decoder: CsvDecoder, lines: Sequence[str]) -> Trailer | None:
    """What the last record looks like, if it is one of totals; its count only where it is right."""
    rows: list[list[str]] = []
    with suppress(csv.Error):
        rows = [row for row in decoder.rows(iter(lines)) if row]
    if len(rows) < 2 or not rows[-1][0].strip().casefold().startswith(_LAST_WORDS):
        return None
    before = str(len(rows) - 1 - (decoder.headings is None))
    count = next((place for place, cell in enumerate(rows[-1], 1) if cell.strip(BLANKS) == before), None)
    return Trailer(rows[-1][0].strip().split()[0], count)
