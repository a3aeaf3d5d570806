"""Delimited text: comma, semicolon, tab or another character between the cells, one record a line.

The format is RFC 4180 as Python's ``csv`` module reads it with ``strict=True``: quotes only around whole cells, a
quote inside them doubled, and line ends of LF, CRLF or CR.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any, Literal

from attrs import Attribute, converters, field, frozen, validators

from inventory_sources.batch import RawBatch
from inventory_sources.errors import ConfigurationError, DecodeError
from inventory_sources.formats._csv_padded import PaddedRows
from inventory_sources.formats._headings import check_headings, texts
from inventory_sources.formats._text import check_encoding
from inventory_sources.formats._trailer import Trailer, check_starts
from inventory_sources.headings import fold
from inventory_sources.payload import Payload
from inventory_sources.protocols.decoder import DecodeContext, Inspection

__all__ = ["CsvDecoder"]


def _check_mark(_instance: object, attribute: Attribute[Any], value: str | None) -> None:
    if value is None and attribute.name == "quote":
        return
    if not isinstance(value, str) or len(value) != 1 or value.isalnum() or value in "\r\n\0":
        raise ConfigurationError(f"the {attribute.name} {value!r} is not one character that can stand between cells")


def _check_heading_row(_instance: object, _attribute: Attribute[Any], value: object) -> None:
    if value != "find" and (type(value) is not int or value < 1):
        raise ConfigurationError(f"the heading row {value!r} is neither a line's number from 1 on nor 'find'")


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
    :param padded: whether cells, quoted ones too, stand between spaces and tabs that are no part of them.
    :param heading_row: the line of the headings; what stands above it is passed over, whatever it is. ``find`` takes
        the one record among those of the first 100 lines (of a mebibyte at most) that has the columns needed.
    :param repeated_headings: what becomes of a row equal to the heading row, as after a page break: ``refuse`` damages
        it (``heading_repeated``), ``skip`` passes over it.
    :param skip_rows_starting: texts; a record whose first cell begins with one, such as a subtotal, is passed over.
    :param fill_down: columns whose blank cells mean the value of the row above. After a damaged row they stay blank,
        since its value is not known.
    :param trailer: the last record, if it is one of totals; without it the file counts as unfinished.
    """

    delimiter: str = field(default=",", validator=_check_mark)
    encoding: str = field(default="utf-8-sig", validator=check_encoding)
    quote: str | None = field(default='"', validator=_check_mark)
    headings: tuple[str, ...] | None = field(default=None, converter=converters.optional(texts))
    final_newline: Literal["required", "optional"] = field(
        default="required", validator=validators.in_(("required", "optional"))
    )
    max_record_chars: int = field(default=1 << 20, validator=validators.ge(1))
    padded: bool = field(default=False, kw_only=True)
    heading_row: int | Literal["find"] = field(default=1, validator=_check_heading_row, kw_only=True)
    repeated_headings: Literal["refuse", "skip"] = field(
        default="refuse", validator=validators.in_(("refuse", "skip")), kw_only=True
    )
    skip_rows_starting: tuple[str, ...] = field(
        default=(), converter=texts, validator=validators.deep_iterable(check_starts), kw_only=True
    )
    fill_down: tuple[str, ...] = field(default=(), converter=texts, kw_only=True)
    trailer: Trailer | None = field(
        default=None, validator=validators.optional(validators.instance_of(Trailer)), kw_only=True
    )

    def __attrs_post_init__(self) -> None:
        if self.delimiter == self.quote:
            raise ConfigurationError("the delimiter and the quote are the same character")
        if self.trailer and self.trailer.sum and fold(self.trailer.sum[0]) in map(fold, self.fill_down):
            raise ConfigurationError(f"the column {self.trailer.sum[0]!r} is added up, so it cannot be filled down")
        if self.headings is not None and self.heading_row != 1:
            raise ConfigurationError("a file has a heading row or declared headings, not both")
        if self.headings is not None:
            try:
                check_headings(self.headings)
            except DecodeError as error:
                raise ConfigurationError(error.message) from None

    def rows(self, lines: Iterator[str]) -> Iterator[list[str]]:
        """The records in these lines (with their line ends), by the declared delimiter and quote.

        :raises csv.Error: where the quotes are wrong.
        """
        if self.padded:
            return PaddedRows(lines, self.delimiter, self.quote)
        if self.quote is None:
            return csv.reader(lines, delimiter=self.delimiter, quoting=csv.QUOTE_NONE, strict=True)
        return csv.reader(lines, delimiter=self.delimiter, quotechar=self.quote, strict=True)

    def decode(self, payload: Payload, context: DecodeContext) -> Iterator[RawBatch]:
        """Yields the rows; see the protocol.

        :raises EncodingInvalid: for bytes that are not text in the declared encoding, with their offset and line.
        :raises HeadingInvalid: for headings that are missing, empty or alike, and where they are not found.
        :raises StructureInvalid: for an empty input, for a quote left open or closed before the end of its cell, since
            nothing after it can be trusted, and for a trailer that is wrong or not the last.
        :raises InputIncomplete: for a last record without line end, where nothing proves the end, and for a declared
            trailer that is missing.
        :raises InputTooLarge: for a record that is too long, or too many rows.
        :raises Truncated: for another number of rows than declared.
        """
        from inventory_sources.formats._csv_reading import CsvReading

        with payload.open() as stream:
            yield from CsvReading(self, payload, context).batches(stream)

    def inspect(self, head: bytes, *, complete: bool) -> Inspection:
        """Looks at the first bytes; suggests the options ``delimiter``, ``encoding``, ``padded``, ``heading_row``."""
        from inventory_sources.formats._csv_inspection import inspect_csv

        return inspect_csv(self, head, complete=complete)
