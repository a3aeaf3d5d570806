"""Text of fixed width: every column at its own place in the line, as mainframes and printed reports write it."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Literal

from attrs import Attribute, field, frozen, validators

from inventory_sources.batch import RawBatch
from inventory_sources.errors import ConfigurationError, DecodeError
from inventory_sources.formats._headings import check_headings, texts
from inventory_sources.formats._text import Codec, check_encoding
from inventory_sources.formats._trailer import check_starts, named_format
from inventory_sources.payload import Payload
from inventory_sources.protocols.decoder import DecodeContext, Inspection
from inventory_sources.quantities import QuantityFormat

__all__ = ["FixedWidthDecoder", "FixedWidthTrailer"]


def _check_place(what: str, place: object) -> None:
    match place:
        case (int(start), int(width)) if start > 0 and width > 0:
            return
    raise ConfigurationError(
        f"{what}: {place!r} is not a place in a line", guidance="Give the start, from 1 on, and the width."
    )


def _check_columns(_instance: object, _attribute: Attribute[Any], value: Mapping[str, tuple[int, int]]) -> None:
    for name, place in value.items():
        _check_place(f"column {name!r}", place)
    try:
        check_headings(tuple(value))
    except DecodeError as error:
        raise ConfigurationError(error.message) from None
    ordered = sorted(value, key=lambda name: value[name])
    for left, right in pairwise(ordered):
        if sum(value[left]) > value[right][0]:
            raise ConfigurationError(f"the columns {left!r} and {right!r} overlap")


def _check_count(_instance: object, _attribute: Attribute[Any], value: object) -> None:
    if value is not None:
        _check_place("count", value)


def _check_sum(_instance: object, _attribute: Attribute[Any], value: object) -> None:
    match value:
        case None:
            return
        case (str(), start, width):
            _check_place("sum", (start, width))
        case _:
            raise ConfigurationError(f"sum {value!r} is not a column with a place", guidance="Such as ('qty', 20, 12).")


@frozen
class FixedWidthTrailer:
    """The last line of a file, which says what came before it; only blank lines may follow.

    :param starts: the text that it begins with, and that no row begins with.
    :param count: start and width of the number of rows before it; it must be right, and proves the end.
    :param sum: a column, with start and width of the sum of it. Blank cells add nothing; anything else must be a
        number.
    :param quantity_format: how these numbers are written, or the name of a locale, as the mapper has it.
    """

    starts: str = field(validator=check_starts)
    count: tuple[int, int] | None = field(default=None, validator=_check_count)
    sum: tuple[str, int, int] | None = field(default=None, validator=_check_sum)
    quantity_format: QuantityFormat = field(factory=QuantityFormat, converter=named_format, kw_only=True)


@frozen
class FixedWidthDecoder:
    """Reads lines whose columns stand at fixed places.

    Cells are given without the spaces around them and otherwise as they stand, zeros in front included. Half a number
    looks like one, so a line that ends inside of a needed column is damaged (``row_width``), and so is one where text
    goes on across the edge of such a column that no other declared one adjoins (``row_place``). Damaged are also lines
    with anything behind their declared width, with a tab, whose width nobody knows (``row_tab``), or with a character
    of several bytes that a place cuts in two (``row_character``), and empty lines (``row_blank``) but for those at the
    end: those only leave it unproven that the input is whole. Rows are numbered by line.

    :param columns: for each column its start, from 1 on, and its width.
    :param encoding: a Python codec; a byte order mark of it is honoured, one of another encoding refused.
    :param unit: what places and widths count: ``characters`` (code points), or ``bytes`` of the encoding.
    :param title_lines: lines at the top that are passed over, whatever they are.
    :param line_width: of all of the line, where it goes on behind the declared columns.
    :param stripped: whether the writer leaves out the spaces at the end of lines, so that a line may end inside of a
        column. With it goes the risk of a line cut short.
    :param skip_rows_starting: texts; a line that begins with one is passed over.
    :param trailer: the last line, if it is one of totals; without it the file counts as unfinished.
    :param final_newline: ``required`` refuses a last line without line end, unless something else proves the end of
        the input; ``optional`` takes it as it is.
    :param max_record_chars: the longest line to read; more is refused.
    """

    columns: Mapping[str, tuple[int, int]] = field(validator=_check_columns)
    encoding: str = field(default="utf-8-sig", validator=check_encoding, kw_only=True)
    unit: Literal["characters", "bytes"] = field(
        default="characters", validator=validators.in_(("characters", "bytes")), kw_only=True
    )
    title_lines: int = field(default=0, validator=validators.ge(0), kw_only=True)
    line_width: int | None = field(default=None, validator=validators.optional(validators.ge(1)), kw_only=True)
    stripped: bool = field(default=False, kw_only=True)
    skip_rows_starting: tuple[str, ...] = field(
        default=(), converter=texts, validator=validators.deep_iterable(check_starts), kw_only=True
    )
    trailer: FixedWidthTrailer | None = field(
        default=None, validator=validators.optional(validators.instance_of(FixedWidthTrailer)), kw_only=True
    )
    final_newline: Literal["required", "optional"] = field(
        default="required", validator=validators.in_(("required", "optional")), kw_only=True
    )
    max_record_chars: int = field(default=1 << 20, validator=validators.ge(1), kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.unit == "bytes" and Codec(codecs.lookup(self.encoding).name).unit > 1:
            raise ConfigurationError(f"places in {self.encoding} text count characters, not bytes")
        end = max(start + width - 1 for start, width in self.columns.values())
        if self.line_width is not None and self.line_width < end:
            raise ConfigurationError(f"the columns end at {end}, behind the line's width of {self.line_width}")

    def decode(self, payload: Payload, context: DecodeContext) -> Iterator[RawBatch]:
        """Yields the rows; see the protocol.

        :raises EncodingInvalid: for bytes that are not text in the declared encoding, with their offset and line.
        :raises HeadingInvalid: when a column that is needed is not declared.
        :raises StructureInvalid: for an empty input, and for a trailer that is wrong or not the last.
        :raises InputIncomplete: for a last line without line end, where nothing proves the end, and for a declared
            trailer that is missing.
        :raises InputTooLarge: for a line that is too long, or too many rows.
        :raises Truncated: for another number of rows than declared.
        """
        from inventory_sources.formats._fixed_width_reading import FixedWidthReading

        with payload.open() as stream:
            yield from FixedWidthReading(self, payload, context).batches(stream)

    def inspect(self, head: bytes, *, complete: bool) -> Inspection:
        """Looks at the first bytes; suggests ``encoding``."""
        from inventory_sources.formats._fixed_width_reading import inspect_fixed_width

        return inspect_fixed_width(self, head, complete=complete)
