"""A spreadsheet's cells as text, by the rules of the decoder."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from attrs import frozen

__all__ = [
    "CELL_ERROR",
    "Refused",
    "SheetRow",
    "cell_name",
    "column_texts",
    "identifier_text",
    "repaired",
    "shown",
    "value_text",
]

#: A row's number and its cells, from the sheet's first column read on.
SheetRow = tuple[int, list[Any]]

#: What a cell holds that shows an error such as ``#N/A``.
CELL_ERROR = object()

#: Whole numbers from here on have more digits than a spreadsheet keeps.
_EXACT = 10**15
_SHORTENED = re.compile(r"[0-9](?:[.,][0-9]+)?[eE]\+[0-9]{2,}")
_SUSPECT = re.compile(r"#|Err:|[eE]\+")
_ERROR_TEXT = re.compile(r"#(?:N/A|DIV/0!|REF!|VALUE!|NAME\?|NUM!|NULL!|SPILL!|CALC!)|Err:[0-9]{3}")


@frozen
class Refused:
    """Why a cell is not taken."""

    reason: str
    fault: str
    guidance: str = "Correct the cell, or what writes it."


_ERROR = Refused("cell_error", "holds an error", "Correct the formula, or what it refers to.")


def _other(value: object) -> str | Refused:
    if value is CELL_ERROR:
        return _ERROR
    kind = "a truth value" if isinstance(value, bool) else "a duration or something else that is no value"
    return Refused("cell_type", f"holds {kind}")


def _text(value: str) -> str | Refused:
    if value.startswith(("#", "Err:")) and _ERROR_TEXT.fullmatch(value):
        return _ERROR
    return value


def _number(value: float) -> str | Refused:
    if -_EXACT < value < _EXACT:
        whole = int(value)
        if whole == value:
            return str(whole)
        exact = Decimal(repr(value))
        if len(exact.as_tuple().digits) <= 15 and exact.adjusted() > -30:
            return format(exact, "f")
    return Refused(
        "number_inexact",
        f"holds a number that is not exact ({value!r})",
        "Round it in the sheet; a spreadsheet keeps 15 digits.",
    )


def _moment(value: date | datetime | time) -> str:
    return value.isoformat()


_BY_TYPE: dict[type, Callable[[Any], str | Refused]] = {
    str: _text,
    int: _number,
    float: _number,
    date: _moment,
    datetime: _moment,
    time: _moment,
}


def value_text(value: object) -> str | Refused:
    """A cell of a column that identifies nothing."""
    return _BY_TYPE.get(type(value), _other)(value)


def identifier_text(value: object) -> str | Refused:
    """A cell of a column that must hold text."""
    if isinstance(value, str):
        if _SHORTENED.fullmatch(value):
            return Refused("identifier_number", f"holds {value!r}, a number that a spreadsheet has shortened")
        return _text(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Refused(
            "identifier_number",
            f"holds the number {_as_shown(value)}, which may have lost zeros or digits",
            "Format the column as text and enter it again, or declare a repair.",
        )
    if isinstance(value, date | time):
        return Refused("identifier_date", f"holds the date {value}, which may have been typed as something else")
    return _other(value)


def _as_shown(value: float) -> str:
    """A number as its cell shows it: 1001, where the workbook keeps 1001.0."""
    text = _number(value)
    return text if isinstance(text, str) else repr(value)


def column_texts(column: list[Any], read: Callable[[object], str | Refused]) -> list[Any]:
    """Each cell of a column as ``read`` gives it; columns of plain text and of whole numbers at once."""
    types = set(map(type, column))
    if types == {str} and not _SUSPECT.search("\n".join(column)):
        return column
    if read is value_text and types <= {int, float} and column and min(column) > -_EXACT and max(column) < _EXACT:
        with suppress(ValueError):  # not a number
            whole = list(map(int, column))
            if whole == column:
                return list(map(str, whole))
    return list(map(read, column))


def repaired(rule: str) -> Callable[[object], str | Refused]:
    """How a cell of an identifier's column becomes text by a rule."""
    width = int(rule.partition(":")[2] or 1)

    def repair(value: object) -> str | Refused:
        refused = identifier_text(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _EXACT:
            return refused
        digits = str(int(value)).zfill(width)
        fits = int(value) == value and (rule == "plain" or len(digits) == width)
        return digits if fits else refused

    return repair


def shown(value: object) -> str | None:
    """Any cell, for a person to read."""
    text = value_text(value)
    if isinstance(text, Refused):
        return "(error)" if value is CELL_ERROR else str(value)
    return text


def cell_name(row: int, column: int) -> str:
    """The cell of a row and column, from 1 on, as spreadsheets name it."""
    letters = ""
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return f"{letters}{row}"
