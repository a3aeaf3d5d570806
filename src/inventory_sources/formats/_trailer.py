"""The last record of a file that ends with totals: what it says of the rows before it, compared with what came."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from attrs import Attribute, define, field, frozen, validators

from inventory_sources.errors import ConfigurationError, InputIncomplete, StructureInvalid
from inventory_sources.formats._tally import Tally
from inventory_sources.payload import Proof

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Ending", "Trailer", "check_starts"]

# At most as many digits as can be added up 10^11 times in a decimal of 38 digits.
_NUMBER = r"-?[0-9]{1,18}(?:\.[0-9]{1,9})?"


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
        must be a plain number, such as ``-12.50``.
    """

    starts: str = field(validator=check_starts)
    count: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    sum: tuple[str, int] | None = field(default=None, validator=_check_sum)


@define
class Ending:
    """What was read of the rows and of the declared last record, while a file is on its way.

    :param column: of which the record holds the sum, as its heading is written.
    :param line: of the record, once it was read.
    """

    trailer: Trailer
    column: str | None = None
    line: int | None = None
    _count: int | None = None
    _sum: Decimal | None = None
    _added: Decimal = Decimal(0)
    _doubted: bool = False

    def takes(self, line: int, row: Sequence[str], *, after_blanks: bool = False) -> bool:
        """Whether this is the record, which is then read.

        :param after_blanks: whether blank lines stand before it: they may have been rows, and only a count can tell.
        :raises StructureInvalid: for a count or sum that is no plain number, and for a record after the last.
        """
        self._refuse_more(line)
        trailer = self.trailer
        if not row[0].startswith(trailer.starts):
            return False
        self.line, self._doubted = line, after_blanks and trailer.count is None
        if trailer.count is not None:
            self._count = int(_plain(row, trailer.count, r"[0-9]{1,18}", f"line {line}: the count"))
        if trailer.sum is not None:
            self._sum = Decimal(_plain(row, trailer.sum[1], _NUMBER, f"line {line}: the sum"))
        return True

    def _refuse_more(self, line: int) -> None:
        if self.line is not None:
            raise StructureInvalid(
                f"line {line} follows line {self.line}, which begins with {self.trailer.starts!r} and must be the last",
                guidance="Check the system that writes it, and that no row begins with this text.",
            )

    def add(self, frame: pl.DataFrame, numbers: pl.Series) -> None:
        """Adds up the column of which the record holds the sum, if there is one.

        :raises StructureInvalid: for a cell that is no plain number, with its line.
        """
        import polars as pl

        if self.column is None:
            return
        cells = frame[self.column].str.strip_chars(" \t")
        wrong = (cells != "") & ~cells.str.contains(f"^(?:{_NUMBER})$")
        if wrong.any():
            number, text = numbers.filter(wrong)[0], cells.filter(wrong)[0]
            raise StructureInvalid(
                f"line {number}: {text!r} is no plain number, so that the sum of the column cannot be checked",
                guidance="Correct the cell where it is written, or do not declare the sum.",
            )
        self._added += Decimal(cells.filter(cells != "").cast(pl.Decimal(38, 9)).sum() or 0)

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
        tally.finish(self._count)
        if self._sum is not None and self._sum != self._added:
            raise StructureInvalid(
                f"line {self.line}: the sum is declared as {self._sum}, but the rows add up to "
                f"{self._added.normalize():f}",
                guidance="Rows are missing or changed: have the file written again.",
            )
        if not self._doubted:
            tally.context.prove(Proof.TRAILER)


def _plain(row: Sequence[str], place: int, pattern: str, what: str) -> str:
    text = row[place - 1].strip(" \t") if place <= len(row) else ""
    if not re.fullmatch(pattern, text):
        raise StructureInvalid(
            f"{what}, {text!r}, is no plain number",
            guidance="Declare the place that holds it; digits can be read, with a point before decimals.",
        )
    return text
