"""What the head of a delimited text looks like."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import TYPE_CHECKING

from attrs import evolve

from inventory_sources.errors import InventorySourcesError
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
    problems, suggestions = list(read.problems), dict(read.suggestions)
    lines = list(io.StringIO(read.text, newline=""))
    if not complete and len(lines) > 1:
        lines.pop()
    rows = _rows(decoder, lines, problems)
    likely = _likely(decoder, lines) if rows and len(rows[0]) == 1 else None
    if likely:
        suggestions["delimiter"] = likely
        problems.append(f"with the delimiter {decoder.delimiter!r} there is only one column")
        rows = _rows(evolve(decoder, delimiter=likely), lines, [])
    headings = decoder.headings or _headings(rows.pop(0) if rows else (), problems)
    sample = (tuple(row[: len(headings)]) + (None,) * (len(headings) - len(row)) for row in rows if row)
    return Inspection(headings, tuple(sample), suggestions, tuple(problems))


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
