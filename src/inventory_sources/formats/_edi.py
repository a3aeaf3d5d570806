"""What decoders of electronic documents (EDI) do alike: read twice, first for the columns, then for the rows."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from typing import BinaryIO, Literal, TypeAlias

from attrs import define, field

from inventory_sources.batch import RawBatch
from inventory_sources.errors import (
    EncodingInvalid,
    InputIncomplete,
    InputTooLarge,
    InventorySourcesError,
    StructureInvalid,
    Truncated,
)
from inventory_sources.formats._edi_items import Event, Row, read_number
from inventory_sources.formats._tally import Damage, Tally, selected
from inventory_sources.formats._units import Units
from inventory_sources.payload import Payload, Proof
from inventory_sources.protocols.decoder import DecodeContext, Inspection

__all__ = ["Envelope", "Interchange", "Totals", "decode_events", "inspect_events"]

Totals: TypeAlias = Literal["fail", "warn"]
_BATCH_ROWS = 50_000
_SAMPLE_ROWS = 10
_MOST_HEADINGS = 16_384


@define
class Envelope:
    """An open envelope: its control number, and how many parts it has so far."""

    control: str = ""
    parts: int = 0


@define
class Interchange:
    """What one reading of an interchange has found out.

    :param totals: what a count, sum or control number that differs does.
    :param whole: whether the messages state everything, and every count agreed.
    """

    totals: Totals
    whole: bool = True
    damages: list[Damage] = field(factory=list)

    def differs(self, number: int, message: str, *, short: bool) -> None:
        """A count (``short``) or control number is not the one that the envelope says.

        :raises Truncated: for a count, unless totals only warn.
        :raises StructureInvalid: for a control number, unless totals only warn.
        """
        message = f"segment {number}: {message}"
        if self.totals == "fail":
            raise (Truncated if short else StructureInvalid)(message, guidance="Have the file sent again, whole.")
        self.whole = False
        self.damages.append(Damage(number, "totals_differ", message, "Have the sender correct the counts."))

    def compare(self, number: int, trailer: tuple[str, str | None, str | None], opened: Envelope, what: str) -> None:
        """A trailer's (tag, count, control number) with the envelope that it closes."""
        tag, count, control = trailer
        if read_number(count) != opened.parts:
            self.differs(number, f"{tag} counts {count or 'no'} {what}, but {opened.parts} came", short=True)
        if _bare(control or "") != _bare(opened.control):
            message = f"{tag} closes {control or ''!r}, but {opened.control!r} was opened"
            self.differs(number, message, short=False)

    def take_damages(self) -> Iterator[Event]:
        """The differences since the last call, as damaged rows."""
        yield from self.damages
        self.damages.clear()


def _bare(control: str) -> str:
    """A control number as it is compared: zeros before it say nothing."""
    return control.lstrip("0") if control.isdecimal() else control


Read: TypeAlias = Callable[[BinaryIO, DecodeContext, Interchange], Iterator[Event]]


def decode_events(
    read: Read, totals: Totals, unit: str | None, payload: Payload, context: DecodeContext
) -> Iterator[RawBatch]:
    """A payload's rows in batches, and what the envelope proves.

    :param unit: the only one to take; ``None`` takes the first.
    """
    from inventory_sources.formats._json_rows import batch

    tally, headings = Tally(payload, context, "segment"), dict[str, None]()
    found, kept, count, first = Interchange(totals), list[Event](), 0, None
    with payload.open() as stream:
        for count, event in enumerate(read(stream, context, found), 1):
            if isinstance(event, Row):
                headings.update(dict.fromkeys(event.cells))
            else:
                first = first or event
            if len(headings) > _MOST_HEADINGS:
                raise InputTooLarge(f"there are more than {_MOST_HEADINGS} different columns")
            if count <= _BATCH_ROWS:
                kept.append(event)
    if not headings:
        raise _no_item(first)
    columns = {heading: (heading,) for heading in selected(context, tuple(headings))}
    units = Units.among(columns, unit)
    with payload.open() as stream:
        # What fits in one batch is at hand already; anything longer is read again, so that memory stays bounded.
        events = iter(kept) if count <= _BATCH_ROWS else read(stream, context, Interchange(totals))
        kept = []
        while some := list(islice(events, _BATCH_ROWS)):
            checked = [_in_unit(event, units) for event in some]
            rows = [event for event in checked if isinstance(event, Row)]
            for event in checked:
                if isinstance(event, Damage):
                    tally.reject(event)
            yield batch(tally, columns, [row.number for row in rows], [row.cells for row in rows])
    if found.whole:
        context.prove(Proof.TRAILER)
        context.prove(Proof.COUNT)
    else:
        tally.doubt_end()
    tally.finish()


def _no_item(damage: Damage | None) -> StructureInvalid:
    if damage is None:
        return StructureInvalid("the message holds no item", guidance="Check the system that sends it.")
    return StructureInvalid(f"no item can be read: {damage.message}", guidance=damage.guidance)


def _in_unit(event: Event, units: Units) -> Event:
    """The row itself, or why it is damaged."""
    if isinstance(event, Damage) or not (fault := units.fault(event.cells)):
        return event
    reason, message, guidance = fault
    return Damage(event.number, reason, f"segment {event.number}: {message}", guidance, event.cells)


def inspect_events(
    read: Read, head: bytes, encodings: tuple[str, ...], *, unit: str | None, complete: bool
) -> Inspection:
    """Columns, sample and problems of the first bytes.

    :param encodings: what to suggest for bytes that are no text as declared.
    """
    rows: list[Row] = []
    problems: tuple[str, ...] = ()
    suggestions: dict[str, str] = {}
    damages: list[str] = []
    try:
        for event in read(io.BytesIO(head), DecodeContext(), Interchange("warn")):
            if isinstance(event, Row):
                rows.append(event)
            else:
                damages.append(event.message)
    except InputIncomplete as error:
        problems = (error.message,) if complete else ()
    except EncodingInvalid as error:
        problems = (error.message,)
        suggestions = _suggested(head, encodings)
    except InventorySourcesError as error:
        problems = (error.message,)
    headings = tuple(dict.fromkeys(name for row in rows for name in row.cells))
    units = Units.among(headings, unit)
    damages += [found.message for row in rows if isinstance(found := _in_unit(row, units), Damage)]
    sample = tuple(tuple(map(row.cells.get, headings)) for row in rows[:_SAMPLE_ROWS])
    return Inspection(headings, sample, suggestions, (*problems, *damages[:_SAMPLE_ROWS]))


def _suggested(head: bytes, encodings: tuple[str, ...]) -> dict[str, str]:
    for encoding in encodings:
        with suppress(UnicodeDecodeError):
            head.decode(encoding)
            return {"encoding": encoding}
    return {}
