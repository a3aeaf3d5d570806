"""The heading row of a table: what it may look like, and what its faults are called."""

from __future__ import annotations

import csv
from collections.abc import Sequence

from inventory_sources.errors import ConfigurationError, HeadingInvalid, InputTooLarge

__all__ = ["DELIMITERS", "check_headings", "fold", "likely_delimiter", "texts"]

#: What a table is delimited by when it is not the declared character, likeliest first.
DELIMITERS = (",", ";", "\t", "|")

_MOST_HEADINGS = 16_384
_FOLDED = str.maketrans("", "", " _-\u00a0")


def texts(value: Sequence[str]) -> tuple[str, ...]:
    """Several texts (an attrs converter); a single one is no list of its letters.

    :raises ConfigurationError: for one.
    """
    if isinstance(value, str):
        raise ConfigurationError(f"several texts are expected, not the one text {value!r}")
    return tuple(value)


def fold(heading: str) -> str:
    """A heading as it is compared: without case, spaces, ``_`` and ``-``."""
    return heading.casefold().translate(_FOLDED)


def check_headings(row: Sequence[str]) -> tuple[str, ...]:
    """The headings of a heading row, without the white space around them.

    :raises HeadingInvalid: naming those that are empty or alike.
    :raises InputTooLarge: when there are more than a spreadsheet holds.
    """
    headings = tuple(cell.strip() for cell in row)
    if len(headings) > _MOST_HEADINGS:
        raise InputTooLarge(f"the heading row has {len(headings)} columns; at most {_MOST_HEADINGS} are read")
    if not any(headings):
        raise HeadingInvalid("the heading row is blank")
    empty = [number for number, heading in enumerate(headings, 1) if not heading]
    if empty == [len(headings)]:
        raise HeadingInvalid(
            f"the heading row ends with a delimiter, so that its last column, {empty[0]}, has no name",
            guidance="Name the column or remove the delimiter.",
        )
    if empty:
        raise HeadingInvalid(f"the heading row has no name in column {', '.join(map(str, empty))}")
    _check_alike(headings)
    return headings


def _check_alike(headings: tuple[str, ...]) -> None:
    groups: dict[str, list[str]] = {}
    for heading in headings:
        groups.setdefault(fold(heading), []).append(heading)
    alike = [" and ".join(map(repr, group)) for group in groups.values() if len(group) > 1]
    if alike:
        raise HeadingInvalid(
            f"the heading row has columns that are named alike: {'; '.join(alike)}",
            guidance="Rename or remove one of them: case, spaces, '_' and '-' do not tell columns apart.",
        )


def likely_delimiter(lines: Sequence[str], declared: str) -> str | None:
    """Another delimiter than the declared one that gives each of these lines the same number, above one, of fields."""
    best, most = None, 1
    for candidate in DELIMITERS:
        widths = {len(row) for row in csv.reader(lines, delimiter=candidate) if row}
        if candidate != declared and len(widths) == 1 and (width := widths.pop()) > most:
            best, most = candidate, width
    return best
