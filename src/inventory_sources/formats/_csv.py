"""Delimited text: comma, semicolon, tab or another character between the cells, one record a line.

The format is RFC 4180 as Python's ``csv`` module reads it with ``strict=True``: quotes only around whole cells, a
quote inside them doubled, and line ends of LF, CRLF or CR.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from attrs import Attribute, field, frozen, validators

from inventory_sources.batch import RawBatch
from inventory_sources.errors import ConfigurationError, DecodeError
from inventory_sources.formats._headings import check_headings
from inventory_sources.formats._text import check_encoding
from inventory_sources.payload import Payload
from inventory_sources.protocols.decoder import DecodeContext, Inspection

__all__ = ["CsvDecoder"]


def _check_mark(_instance: object, attribute: Attribute[Any], value: str | None) -> None:
    if value is None and attribute.name == "quote":
        return
    if not isinstance(value, str) or len(value) != 1 or value.isalnum() or value in "\r\n\0":
        raise ConfigurationError(f"the {attribute.name} {value!r} is not one character that can stand between cells")


def _names(value: Sequence[str] | None) -> tuple[str, ...] | None:
    if isinstance(value, str):
        raise ConfigurationError(f"headings are several names, not the one text {value!r}")
    return None if value is None else tuple(value)


@frozen
class CsvDecoder:
    """Reads delimited text (CSV, TSV).

    Cells are given as they stand, neither stripped nor taken for null: an empty cell is the empty text. A row with more
    or fewer cells than the heading is damaged (``row_width``), and so is an empty line (``row_blank``) but for those at
    the end: those only leave it unproven that the input is whole, since rows may have been blanked there. Rows are
    numbered by the physical line on which they begin; the heading is line 1.

    :param delimiter: one character.
    :param encoding: a Python codec; a byte order mark of it is honoured, one of another encoding refused.
    :param quote: around cells that hold a delimiter, quote or line end; ``None`` if quotes have no meaning.
    :param headings: the columns' names, for a file without a heading row; ``None`` takes the first row for it.
    :param final_newline: ``required`` refuses a last record without line end, unless something else proves the end of
        the input; ``optional`` takes it as it is, and with it the risk of a number cut short.
    :param max_record_chars: the longest record to read; more is refused. A single cell is bounded by
        ``csv.field_size_limit()`` of the process as well.
    """

    delimiter: str = field(default=",", validator=_check_mark)
    encoding: str = field(default="utf-8-sig", validator=check_encoding)
    quote: str | None = field(default='"', validator=_check_mark)
    headings: tuple[str, ...] | None = field(default=None, converter=_names)
    final_newline: Literal["required", "optional"] = field(
        default="required", validator=validators.in_(("required", "optional"))
    )
    max_record_chars: int = field(default=1 << 20, validator=validators.ge(1))

    def __attrs_post_init__(self) -> None:
        if self.delimiter == self.quote:
            raise ConfigurationError("the delimiter and the quote are the same character")
        if self.headings is not None:
            try:
                check_headings(self.headings)
            except DecodeError as error:
                raise ConfigurationError(error.message) from None

    def rows(self, lines: Iterator[str]) -> Iterator[list[str]]:
        """The records in these lines (with their line ends), by the declared delimiter and quote."""
        if self.quote is None:
            return csv.reader(lines, delimiter=self.delimiter, quoting=csv.QUOTE_NONE, strict=True)
        return csv.reader(lines, delimiter=self.delimiter, quotechar=self.quote, strict=True)

    def decode(self, payload: Payload, context: DecodeContext) -> Iterator[RawBatch]:
        """Yields the rows; see the protocol.

        :raises EncodingInvalid: for bytes that are not text in the declared encoding, with their offset and line.
        :raises HeadingInvalid: for headings that are missing, empty or alike.
        :raises StructureInvalid: for an empty input, and for a quote left open or closed before the end of its cell:
            nothing after it can be trusted.
        :raises InputIncomplete: for a last record without line end, where nothing proves the end.
        :raises InputTooLarge: for a record that is too long, or too many rows.
        :raises Truncated: for another number of rows than declared.
        """
        from inventory_sources.formats._csv_reading import CsvReading

        with payload.open() as stream:
            yield from CsvReading(self, payload, context).batches(stream)

    def inspect(self, head: bytes, *, complete: bool) -> Inspection:
        """Looks at the first bytes; suggests ``delimiter`` and ``encoding``."""
        from inventory_sources.formats._csv_inspection import inspect_csv

        return inspect_csv(self, head, complete=complete)
