"""The figures that every decoder keeps while it reads: rows, damaged rows, and whether the declared number came."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from inventory_sources.batch import Place, RawBatch, Rejection, RejectionKind, RejectionLog
from inventory_sources.errors import HeadingInvalid, InputIncomplete, InputTooLarge, Truncated
from inventory_sources.payload import Evidence, Payload, Proof
from inventory_sources.protocols.decoder import DecodeContext

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Damage", "Tally", "selected"]

#: Blanks, line ends, byte order marks, and what an upload may reserve its space with.
_NO_CONTENT = b" \t\r\n\0\xef\xbb\xbf\xff\xfe"
_PIECE_BYTES = 1 << 16


@frozen
class Damage:
    """Why a row could not be read as one."""

    number: int
    reason: str
    message: str
    guidance: str
    cells: Mapping[str, str | None] = field(factory=dict)


@define
class Tally:
    """Counts one payload's rows and gives each batch its form.

    :param unit: what the rows' numbers count.
    :raises InputIncomplete: for an input without content, where nothing proves the end: an upload may have just begun.
    """

    payload: Payload
    context: DecodeContext
    unit: str
    rows: int = 0
    _kept: int = 0
    _damaged: int = 0
    _damages: list[Damage] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        known, own = self.context.evidence, self.payload.evidence
        declared = known.declared_records if known.declared_records is not None else own.declared_records
        self.context.evidence = Evidence(known.proofs | own.proofs, declared)
        if not self.context.evidence.proves_end and _is_blank(self.payload):
            raise InputIncomplete("the input is empty; it may still be uploaded")

    @property
    def keeps_more(self) -> bool:
        """Whether another damaged row would be kept in full; what is not kept need not be worded."""
        return self._kept + len(self._damages) < self.context.keep_damaged

    def reject(self, damage: Damage | None) -> None:
        """Counts a damaged row into the batch that comes next; ``None`` when nothing more is kept of it."""
        self._damaged += 1
        if damage is not None and self.keeps_more:
            self._damages.append(damage)

    def _take_log(self) -> RejectionLog:
        log = RejectionLog(limit=len(self._damages))
        log.add(RejectionKind.INVALID, self._damaged, map(self._rejection, self._damages))
        self._kept += len(self._damages)
        self._damaged, self._damages = 0, []
        return log

    def _rejection(self, damage: Damage) -> Rejection:
        place = Place(self.payload.origin, damage.number, self.unit)
        return Rejection(RejectionKind.INVALID, damage.reason, damage.message, damage.guidance, place, damage.cells)

    def batch(
        self, frame: pl.DataFrame, numbers: pl.Series, cells: Callable[[int], Mapping[str, str | None]] | None
    ) -> RawBatch:
        """These rows, with the damaged ones since the last batch.

        :raises InputTooLarge: when the rows so far are more than allowed.
        """
        batch = RawBatch(self.payload.origin, frame, numbers, self.unit, self._take_log(), cells)
        self.rows += batch.rows
        if self.rows > self.context.max_rows:
            raise InputTooLarge(f"there are more than {self.context.max_rows} rows")
        self.context.checkpoint()
        return batch

    def doubt_end(self) -> None:
        """Takes back what proved the end, for an input with empty lines where rows may have been; a count stays."""
        self.context.evidence = Evidence(declared_records=self.context.evidence.declared_records)

    def finish(self, declared: int | None = None) -> None:
        """Compares the rows read with the numbers that the document (``declared``) or its carrier gave, if any.

        :raises Truncated: when it is another.
        """
        numbers = {declared, self.context.evidence.declared_records} - {None}
        if wrong := numbers - {self.rows}:
            raise Truncated(f"{wrong.pop()} records were declared, but {self.rows} came")
        if numbers:
            self.context.prove(Proof.COUNT)


def _is_blank(payload: Payload) -> bool:
    with payload.open() as stream:
        return not any(piece.strip(_NO_CONTENT) for piece in iter(lambda: stream.read(_PIECE_BYTES), b""))


def selected(context: DecodeContext, headings: tuple[str, ...]) -> tuple[str, ...]:
    """The headings to keep, each once.

    :raises HeadingInvalid: when one that is needed is missing.
    """
    wanted = tuple(dict.fromkeys(context.select(headings)))
    if not wanted:
        raise HeadingInvalid(f"none of the columns {', '.join(headings)} is needed")
    if missing := [name for name in wanted if name not in headings]:
        raise HeadingInvalid(f"there is no column {', '.join(map(repr, missing))} among {', '.join(headings)}")
    return wanted
