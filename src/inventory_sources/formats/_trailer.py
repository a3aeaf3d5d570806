"""The last record of a file that ends with totals: what it says of the rows before it, compared with what came."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

from attrs import Attribute, define, field, frozen, validators

from inventory_sources.errors import ConfigurationError, InputIncomplete, StructureInvalid
from inventory_sources.formats._tally import Tally
from inventory_sources.payload import Proof
from inventory_sources.quantities import QuantityFormat, Refusal, read_quantity

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Ending", "Trailer", "check_starts", "named_format"]

_BLANKS = " \t"
_EXACT = Context(prec=60)


def named_format(value: QuantityFormat | str) -> QuantityFormat:
    """A quantity format, or the one of this name (an attrs converter)."""
    return QuantityFormat.of(value) if isinstance(value, str) else value


def check_starts(_instance: object, attribute: Attribute[Any], value: object) -> None:
    """Refuses a text that every line begins with (an attrs validator)."""
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(f"{attribute.name} {value!r} is not a text that tells a line from the rows")


def _check_sum(_instance: object, _attribute: Attribute[Any], value: object) -> None:
    match value:
        case None:
            return
        case (str(), int(number)) if number > 0:
            return
    raise ConfigurationError(f"{value!r} is not a column and the number of a cell", guidance="Such as ('qty', 3).")


@frozen
class Trailer:
    """The last record of a file, which says what came before it; only blank lines may follow.

    :param starts: the text that its first cell begins with, and that of no row.
    :param count: the cell that holds the number of rows before it, from 1 on; it must be right, and proves the end.
    :param sum: a column, by its heading, and the cell that holds the sum of it. Blank cells add nothing; anything else
        must be a number.
    :param quantity_format: how these numbers are written, or the name of a locale, as the mapper has it.
    """

    starts: str = field(validator=check_starts)
    count: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    sum: tuple[str, int] | None = field(default=None, validator=_check_sum)
    quantity_format: QuantityFormat = field(factory=QuantityFormat, converter=named_format, kw_only=True)


@define
class Ending:
    """What was read of the rows and of the declared last record, while a file is on its way.

    :param column: of which the record holds the sum, as its heading is written.
    :param line: of the record, once it was read.
    """

    trailer: Trailer
    column: str | None = None
    line: int | None = None
    _count: Decimal | None = None
    _sum: Decimal | None = None
    _added: Decimal = Decimal(0)
    _doubted: bool = False

    def takes(self, line: int, row: Sequence[str], *, after_blanks: bool = False) -> bool:
        """Whether this is the record, which is then read.

        :param after_blanks: whether blank lines stand before it: they may have been rows, and only a count can tell.
        :raises StructureInvalid: for a count or sum that is no number, and for a record after the last.
        """
        self._refuse_more(line)
        trailer = self.trailer
        if not row[0].startswith(trailer.starts):
            return False
        self.line, self._doubted = line, after_blanks and trailer.count is None
        if trailer.count is not None:
            self._count = self._number(row, trailer.count, "count")
        if trailer.sum is not None:
            self._sum = self._number(row, trailer.sum[1], "sum")
        return True

    def _number(self, row: Sequence[str], place: int, what: str) -> Decimal:
        text = row[place - 1].strip(_BLANKS) if place <= len(row) else ""
        found = read_quantity(text, self.trailer.quantity_format)
        if isinstance(found, Refusal) or (what == "count" and found % 1):
            raise StructureInvalid(
                f"line {self.line}: the {what}, {text!r}, is no number as declared",
                guidance="Declare the place that holds it, and how numbers are written as quantity_format.",
            )
        return found

    def _refuse_more(self, line: int) -> None:
        if self.line is not None:
            raise StructureInvalid(
                f"line {line} follows line {self.line}, which begins with {self.trailer.starts!r} and must be the last",
                guidance="Check the system that writes it, and that no row begins with this text.",
            )

    def add(self, frame: pl.DataFrame, numbers: pl.Series) -> None:
        """Adds up the column of which the record holds the sum, if there is one.

        :raises StructureInvalid: for a cell that is no number in the declared format, with its line.
        """
        if self.column is None:
            return
        cells = frame[self.column].str.strip_chars(_BLANKS)
        refused: dict[str, Refusal] = {}
        for text, times in cells.filter(cells != "").value_counts().iter_rows():
            found = read_quantity(text, self.trailer.quantity_format)
            if isinstance(found, Refusal):
                refused[text] = found
            else:
                self._added = _EXACT.fma(found, times, self._added)
        if refused:
            at = cells.is_in(list(refused)).arg_max() or 0
            raise StructureInvalid(
                f"line {numbers[at]}: {refused[cells[at]].message}, so that the sum of the column cannot be checked",
                guidance="Declare the trailer's quantity_format as the mapper has it, correct the cell where it is "
                "written, or do not declare the sum.",
            )

    def finish(self, tally: Tally) -> None:
        """Compares what was declared with what came, when all of it was read.

        :raises InputIncomplete: when there was no such record.
        :raises Truncated: for another number of rows.
        :raises StructureInvalid: for another sum.
        """
        if self.line is None:
            raise InputIncomplete(f"no record begins with {self.trailer.starts!r}, as the last one must")
        if self._doubted:
            tally.doubt_end()
        tally.finish(None if self._count is None else int(self._count))
        if self._sum is not None and self._sum != self._added:
            raise StructureInvalid(
                f"line {self.line}: the sum is declared as {self._sum}, but the rows add up to "
                f"{self._added.normalize():f}",
                guidance="Rows are missing or changed: have the file written again.",
            )
        if not self._doubted:
            tally.context.prove(Proof.TRAILER)
