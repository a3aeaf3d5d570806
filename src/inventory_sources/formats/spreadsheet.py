"""Spreadsheets: XLSX (Office Open XML, ECMA-376), XLS (BIFF8, [MS-XLS]) and ODS (OpenDocument 1.2), one sheet as rows.

Needs the extra ``excel`` (python-calamine).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import Attribute, field, frozen, validators

from inventory_sources.batch import RawBatch
from inventory_sources.errors import ConfigurationError
from inventory_sources.formats._headings import fold
from inventory_sources.payload import Payload
from inventory_sources.protocols.decoder import DecodeContext, Inspection

__all__ = ["SpreadsheetDecoder"]

_RULE = re.compile(r"plain|digits:([1-9]|1[0-5])")


def _names(value: Sequence[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        raise ConfigurationError(f"identifiers are several names, not the one text {value!r}")
    return tuple(value)


def _check_sheet(_instance: object, _attribute: Attribute[Any], value: object) -> None:
    named = isinstance(value, str) and value
    if not named and (type(value) is not int or value < 1):
        raise ConfigurationError(f"the sheet {value!r} is neither a name nor a number from 1 on")


def _check_repair(instance: Any, _attribute: Attribute[Any], value: Mapping[str, str]) -> None:
    known = {fold(name) for name in instance.identifiers}
    for name, rule in value.items():
        if not isinstance(rule, str) or not _RULE.fullmatch(rule):
            raise ConfigurationError(
                f"{rule!r} is no rule to repair {name!r} by", guidance="Use 'plain' or 'digits:8', at most 'digits:15'."
            )
        if fold(name) not in known:
            raise ConfigurationError(f"{name!r} is to be repaired but is not among the identifiers")


@frozen(kw_only=True)
class SpreadsheetDecoder:
    """Reads one sheet of an XLSX, XLS or ODS workbook.

    A spreadsheet keeps numbers, not their spelling: an article number ``00123`` typed into it may have become 123. So a
    column that identifies something must hold text; there a number (``identifier_number``) or a date
    (``identifier_date``) damages its row, unless a rule repairs it.

    Elsewhere a whole number is its digits, another number its shortest decimal spelling if that has at most 15
    significant digits (``number_inexact`` otherwise), a date or time its ISO 8601 text, an empty cell the empty text,
    and a formula the result that was stored with it. Errors such as ``#N/A`` (``cell_error``), booleans and durations
    (``cell_type``) damage their row if the column is needed. A row with cells right of the headings (``row_width``) is
    damaged, and so is an empty row between others (``row_blank``). Hidden rows, columns and sheets are read like
    others. Rows are numbered as in the sheet.

    :param sheet: its name, or its number from 1 on, hidden ones counted.
    :param identifiers: headings of the columns that must hold text: SKU, GTIN, location. An empty tuple says that the
        sheet's numbers are true identifiers as they stand.
    :param repair: for such a column, what a whole number of at most 15 digits becomes: ``plain`` its digits,
        ``digits:8`` its digits with zeros in front up to eight.
    :param heading_row: the sheet's row that holds the headings; what stands above it is passed over.
    :param max_decoded_bytes: of the unpacked workbook; more is refused.
    :param max_ratio: of unpacked to packed size; more is refused.
    :param max_cells: of the sheet's rectangle, empty ones counted; more is refused.
    """

    sheet: str | int = field(default=1, validator=_check_sheet)
    identifiers: tuple[str, ...] = field(converter=_names)
    repair: Mapping[str, str] = field(factory=dict, validator=_check_repair)
    heading_row: int = field(default=1, validator=validators.ge(1))
    max_decoded_bytes: int = field(default=512 << 20, validator=validators.ge(1))
    max_ratio: int = field(default=200, validator=validators.ge(1))
    max_cells: int = field(default=50_000_000, validator=validators.ge(1))

    def decode(self, payload: Payload, context: DecodeContext) -> Iterator[RawBatch]:
        """Yields the rows; see the protocol.

        :raises MissingExtra: without python-calamine.
        :raises StructureInvalid: for what is no workbook, is encrypted or damaged, and when there is no such sheet.
        :raises InputIncomplete: for a workbook without its end, where nothing else proves the end.
        :raises InputTooLarge: when a cap is passed, before the workbook is opened.
        :raises HeadingInvalid: for headings that are missing, empty or alike, and identifiers that are none of them.
        :raises Truncated: for another number of rows than declared.
        """
        from inventory_sources.formats._sheet_reading import SheetReading

        yield from SheetReading(self, payload, context).batches()

    def inspect(self, head: bytes, *, complete: bool) -> Inspection:
        """Looks at the workbook, which must be complete for that; suggests ``sheet``."""
        from inventory_sources.formats._sheet_reading import inspect_workbook

        return inspect_workbook(self, head, complete=complete)
