"""What the head of a delimited text looks like."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import TYPE_CHECKING

from attrs import evolve

from inventory_sources.errors import InventorySourcesError
from inventory_sources.formats._csv_layout_hint import likely_heading, likely_trailer, looks_padded
from inventory_sources.formats._encoding_hint import read_head
from inventory_sources.formats._headings import check_headings, likely_delimiter
from inventory_sources.protocols.decoder import Inspection

if TYPE_CHECKING:
    from inventory_sources.formats._csv import CsvDecoder

__all__ = ["inspect_csv"]

_SAMPLE_ROWS = 10


def inspect_csv(decoder: CsvDecoder, head: bytes, *, complete: bool) -> Inspection:
    """Headings, sample, suggestions and problems; never raises for bad input."""
    read = read_head(head, decoder.encoding)
    problems = list(read.problems)
    suggestions: dict[str, object] = dict(read.suggestions)
    lines = list(io.StringIO(read.text, newline=""))
    if not complete and len(lines) > 1:
        lines.pop()
    lines = _from_heading(decoder, lines, suggestions, problems)
    rows = _rows(decoder, lines, problems)
    if not decoder.padded and looks_padded(rows):
        suggestions["padded"] = True
        decoder = evolve(decoder, padded=True)
        rows = _rows(decoder, lines, [])
    if complete and decoder.trailer is None and (trailer := likely_trailer(decoder, lines)):
        suggestions["trailer"] = trailer
    likely = _likely(decoder, lines) if rows and len(rows[0]) == 1 else None
    if likely:
        suggestions["delimiter"] = likely
        problems.append(f"with the delimiter {decoder.delimiter!r} there is only one column")
        rows = _rows(evolve(decoder, delimiter=likely), lines, [])
    headings = decoder.headings or _headings(rows.pop(0) if rows else (), problems)
    sample = (tuple(row[: len(headings)]) + (None,) * (len(headings) - len(row)) for row in rows if row)
    return Inspection(headings, tuple(sample), suggestions, tuple(problems))


def _from_heading(
    decoder: CsvDecoder, lines: list[str], suggestions: dict[str, object], problems: list[str]
) -> list[str]:
    """The lines without those above the heading row."""
    if decoder.headings is not None:
        return lines
    if isinstance(decoder.heading_row, int) and decoder.heading_row > 1:
        return lines[decoder.heading_row - 1 :]
    line = likely_heading(decoder, lines)
    if line > 1 and decoder.heading_row == 1:
        suggestions["heading_row"] = line
        problems.append(f"the heading row seems to be line {line}, below a title")
    return lines[line - 1 :]


def _likely(decoder: CsvDecoder, lines: list[str]) -> str | None:
    declared = decoder.delimiter
    return likely_delimiter(lines[: _SAMPLE_ROWS + 1], declared) or likely_delimiter(lines[:1], declared)


def _rows(decoder: CsvDecoder, lines: list[str], problems: list[str]) -> list[list[str]]:
    rows: list[list[str]] = []
    most = _SAMPLE_ROWS + (decoder.headings is None)
    try:
        for row in decoder.rows(iter(lines)):
            rows.append(row)
            if len(rows) == most:
                break
    except csv.Error as error:
        problems.append(f"the quotes are wrong after row {len(rows)} ({error})")
    return rows


def _headings(row: Iterable[str], problems: list[str]) -> tuple[str, ...]:
    names = tuple(row)
    try:
        return check_headings(names)
    except InventorySourcesError as error:
        problems.append(error.message if names else "there is no heading row")
        return tuple(name.strip() for name in names)
