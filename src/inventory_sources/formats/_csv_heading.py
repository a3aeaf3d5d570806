"""Where the heading row of a delimited text stands that begins with title lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from inventory_sources.errors import HeadingInvalid
from inventory_sources.formats._tally import selected
from inventory_sources.formats._text import Block
from inventory_sources.protocols.decoder import DecodeContext

if TYPE_CHECKING:
    from inventory_sources.formats._csv import CsvDecoder

__all__ = ["LOOKED_AT", "find_heading", "likely_rows"]

_LINES = 100
#: Bytes at most, of a file whose lines are long.
LOOKED_AT = 1 << 20


def find_heading(decoder: CsvDecoder, head: Block, context: DecodeContext) -> int:
    """The number of the line on which the heading row begins.

    :param head: the beginning of the input.
    :raises EncodingInvalid: for what is no text.
    :raises HeadingInvalid: when no record of the first lines has the columns needed, or more than one.
    """
    lines = list(io.StringIO(head.text(1), newline=""))[:_LINES]
    found: dict[tuple[str, ...], int] = {}
    widest, missing = 0, "they are all blank"
    for line, row in likely_rows(decoder, lines):
        try:
            selected(context, row)
        except HeadingInvalid as error:
            if len(row) > widest:
                widest, missing = len(row), error.message
        else:
            found.setdefault(row, line)
    if not found:
        raise HeadingInvalid(
            f"none of the first {len(lines)} lines is a heading row with the columns needed: {missing}",
            guidance="Correct the mapping, or declare the line of the headings as heading_row.",
        )
    if len(found) > 1:
        first, second = list(found.values())[:2]
        raise HeadingInvalid(
            f"line {first} and line {second} could both be the heading row", guidance="Declare its line as heading_row."
        )
    return next(iter(found.values()))


def likely_rows(decoder: CsvDecoder, lines: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The record that begins on each of these lines, if one can: a title may hold any quotes."""
    for line in range(len(lines)):
        try:
            row = next(decoder.rows(iter(lines[line:])))
        except csv.Error:
            continue
        if row:
            yield line + 1, tuple(cell.strip() for cell in row)
