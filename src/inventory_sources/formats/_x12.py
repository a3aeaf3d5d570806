"""ANSI ASC X12 transaction set 846, Inventory Inquiry/Advice, of versions 003010 to 008xxx.

Envelopes and service characters are those of X12.5 and X12.6 (ISA of 106 characters), segments and loops those of the
846 of 004010 and 005010: LIN with QTY, and within QTY the splits by SCH or the LS loop. Element 673 tells the kinds of
quantity (17 on hand, 33 available for sale), element 353 the purpose (BIA01).
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import chain
from typing import BinaryIO, Literal

from attrs import define, field, frozen, validators

from inventory_sources.batch import RawBatch
from inventory_sources.errors import StructureInvalid
from inventory_sources.formats._edi import Envelope, Interchange, decode_events, inspect_events
from inventory_sources.formats._edi_items import Cells, Event, Item, Quantity, add, keep_agreed, read_number
from inventory_sources.formats._segments import Limits, Marks, ended, segments, texts
from inventory_sources.formats._text import check_encoding
from inventory_sources.payload import Payload
from inventory_sources.protocols.decoder import DecodeContext, Inspection

__all__ = ["X12InventoryDecoder"]

_ISA_LENGTHS = (3, 2, 10, 2, 10, 2, 15, 2, 15, 6, 4, 1, 5, 9, 1, 1, 1)
_ISA_CHARS = sum(_ISA_LENGTHS) + len(_ISA_LENGTHS)
_ISA_NOTE = "An X12 interchange begins with an ISA of 106 characters, its terminator included."
_FIRST_WITH_REPETITION = "00402"
_HASH_SIZE = 10**10
_FULL = ("00", "05")
_WITHDRAWN = {"01": "cancellation", "03": "deletion"}
_SUGGESTED = ("utf-8", "cp1252")


@frozen
class X12InventoryDecoder:
    """Reads the Inventory Inquiry/Advice transaction sets (846) of one X12 interchange.

    A row is an item (``LIN``), or an item at a location where the file splits quantities: by ``SCH`` that names one
    (``SCH.quantity``, ``SCH.unit``, ``SCH.kind``, ``SCH.location``, ``SCH.DTM.097``), or by an ``LS`` loop behind
    ``QTY`` (``REF.<qualifier>``, ``N1.<code>``). Columns are named by segment and qualifier: ``LIN.VP``, ``LIN.UP``,
    ``QTY.33``, ``QTY.33.unit``, ``DTM.097``, ``N1.WH`` (its code), ``N1.WH.name``, ``REF.<qualifier>``; and by element:
    ``ISA13``, ``GS06``, ``ST02``, ``BIA01`` to ``BIA05``, ``LIN01``. Cells are as sent. Numbers of rows count segments.

    Service characters are read from the ISA. Counts and control numbers of SE, GE and IEA, the line items (CTT01) and
    the hash total of QTY02 (CTT02) are checked; where they agree they prove the input complete, unless a BIA01 is other
    than 00 (original) or 05 (replace): then absent items mean nothing. A cancellation or deletion is refused. Where a
    total and its splits are both there, they must add up; an item where they do not is damaged (``splits_differ``).

    :param rows: ``location`` splits items that have locations (and leaves out their totals); ``item`` gives totals.
    :param splits_of: the QTY qualifier whose SCH are read; needed where an item splits more than one.
    :param totals: ``warn`` reads an input whose counts or control numbers differ, reports each as a damaged row
        (``totals_differ``), and takes back whatever proved the input complete.
    :param encoding: a Python codec. X12's basic character set is ASCII.
    :param max_segments: more are refused.
    :param max_segment_chars: the longest segment to read.
    :param unit: the only unit to take; a quantity in another, or in none, is damaged (``unit_differs``). Without it,
        one in another unit than the first is.
    """

    rows: Literal["location", "item"] = field(default="location", validator=validators.in_(("location", "item")))
    splits_of: str | None = None
    totals: Literal["fail", "warn"] = field(default="fail", validator=validators.in_(("fail", "warn")))
    encoding: str = field(default="ascii", validator=check_encoding)
    max_segments: int = field(default=50_000_000, validator=validators.ge(1))
    max_segment_chars: int = field(default=16_384, validator=validators.ge(1))
    unit: str | None = field(default=None, kw_only=True)

    def decode(self, payload: Payload, context: DecodeContext) -> Iterator[RawBatch]:
        """Yields the rows; see the protocol.

        :raises EncodingInvalid: for bytes that are not text in the declared encoding, with their offset.
        :raises StructureInvalid: for what is no X12 interchange with an 846, naming the segment, and for one without
            an item that can be read.
        :raises InputIncomplete: for an interchange that is not closed, where nothing proves the end.
        :raises Truncated: for one that is not closed although all of it came, and for counts that differ.
        :raises InputTooLarge: for too many or too long segments, or too many rows.
        :raises HeadingInvalid: when a needed column is in no item.
        """
        yield from decode_events(self._read, self.totals, self.unit, payload, context)

    def inspect(self, head: bytes, *, complete: bool) -> Inspection:
        """Looks at the first bytes; lists the columns found and suggests ``encoding``."""
        return inspect_events(self._read, head, _SUGGESTED, unit=self.unit, complete=complete)

    def _read(self, stream: BinaryIO, context: DecodeContext, found: Interchange) -> Iterator[Event]:
        pieces = texts(stream, self.encoding)
        head = ""
        while len(head) < _ISA_CHARS and (piece := next(pieces, "")):
            head += piece
        marks = _marks(head, context)
        limits = Limits(self.max_segments, self.max_segment_chars)
        reading = _Reader(self, marks, found)
        for number, text, closed in segments(chain([head], pieces), marks, limits, context.checkpoint):
            parts = text.split(marks.element)
            if not closed and (parts[0], *parts[2:]) != ("IEA", reading.interchange.control):
                raise ended(context, f"in segment {number}")
            yield from reading.take(number, parts)
        if not reading.over:
            raise ended(context, f"after segment {reading.number}")
        if not reading.messages:
            raise StructureInvalid("the interchange holds no transaction set 846")


def _marks(head: str, context: DecodeContext) -> Marks:
    """The service characters that the ISA declares, which has a fixed length."""
    if not head.strip():
        raise StructureInvalid("the input is empty", guidance="Check the system that sends it.")
    if len(head) < _ISA_CHARS and "ISA".startswith(head[:3]):
        raise ended(context, "in its ISA")
    if not head.startswith("ISA"):
        raise StructureInvalid("the input does not begin with ISA", guidance=_ISA_NOTE)
    parts = head[: _ISA_CHARS - 1].split(head[3])
    if tuple(map(len, parts)) != _ISA_LENGTHS:
        wrong = next(
            (at for at, pair in enumerate(zip(parts, _ISA_LENGTHS, strict=False)) if len(pair[0]) != pair[1]), 16
        )
        raise StructureInvalid(f"segment 1 (ISA), element {wrong} does not have its fixed length", guidance=_ISA_NOTE)
    repetition = parts[11] if parts[12] >= _FIRST_WITH_REPETITION and not parts[11].isalnum() else ""
    return Marks(head[3], parts[16], head[_ISA_CHARS - 1], repetition=repetition.strip(" "))


@define
class _Message:
    """An open 846: what holds for all of its items, its figures, and the item at hand."""

    cells: Cells
    purpose: str | None = None
    items: int = 0
    hashed: int = 0
    summed: Decimal | None = Decimal(0)
    totals: tuple[int, str | None, str | None] | None = None
    item: Item | None = None
    quantity: Quantity | None = None
    looped: bool = False


@define
class _Reader:
    """Takes an interchange's segments one after the other."""

    decoder: X12InventoryDecoder
    marks: Marks
    found: Interchange
    number: int = 0
    messages: int = 0
    over: bool = False
    interchange: Envelope = field(factory=Envelope)
    group: Envelope | None = None
    set: Envelope | None = None
    message: _Message | None = None

    def take(self, number: int, parts: list[str]) -> Iterator[Event]:
        """One segment; yields the rows that it completes."""
        self.number, tag = number, parts[0]
        if tag in _ENVELOPES:
            if self.over or (self.group is not None, self.set is not None, number == 1) != _ENVELOPES[tag]:
                raise self._misplaced(tag)
            yield from getattr(self, f"_take_{tag.lower()}")(parts)
            yield from self.found.take_damages()
        elif self.set is not None:
            self.set.parts += 1
            if self.message is not None:
                yield from self._take_detail(self.message, tag, parts)
        elif self.over or tag not in _BETWEEN:
            raise self._misplaced(tag)

    def _misplaced(self, tag: str) -> StructureInvalid:
        return StructureInvalid(
            f"segment {self.number} ({tag[:3]}) does not belong where it stands",
            guidance="A file holds one interchange: ISA, then GS, ST, SE, GE as often as needed, then IEA.",
        )

    def _take_isa(self, parts: list[str]) -> Iterator[Event]:
        self.interchange = Envelope(parts[13])
        yield from ()

    def _take_gs(self, parts: list[str]) -> Iterator[Event]:
        self.interchange.parts += 1
        self.group = Envelope(_element(parts, 6) or "")
        yield from ()

    def _take_st(self, parts: list[str]) -> Iterator[Event]:
        group = self.group or Envelope()
        group.parts += 1
        self.set = Envelope(_element(parts, 2) or "", 1)
        if _element(parts, 1) == "846":
            self.messages += 1
            controls = {"ISA13": self.interchange.control, "GS06": group.control, "ST02": self.set.control}
            self.message = _Message({name: value or None for name, value in controls.items()})
        yield from ()

    def _take_se(self, parts: list[str]) -> Iterator[Event]:
        closing, self.set = self.set or Envelope(), None
        closing.parts += 1
        if self.message is not None:
            yield from self._close_item(self.message)
            self._close_message(self.message)
            self.message = None
        self._compare(parts, closing, "segments of the transaction set")

    def _take_ge(self, parts: list[str]) -> Iterator[Event]:
        closing, self.group = self.group or Envelope(), None
        self._compare(parts, closing, "transaction sets of the group")
        yield from ()

    def _take_iea(self, parts: list[str]) -> Iterator[Event]:
        self.over = True
        self._compare(parts, self.interchange, "groups of the interchange")
        yield from ()

    def _compare(self, parts: list[str], closing: Envelope, what: str) -> None:
        self.found.compare(self.number, (parts[0], _element(parts, 1), _element(parts, 2)), closing, what)

    def _close_item(self, message: _Message) -> Iterator[Event]:
        if message.item is not None:
            yield from message.item.events(message.cells, self.decoder.rows)
        message.item, message.quantity, message.looped = None, None, False

    def _close_message(self, message: _Message) -> None:
        if message.purpose is None and "BIA01" not in message.cells:
            raise StructureInvalid(f"segment {self.number} (SE): the transaction set has no BIA")
        self.found.whole = self.found.whole and message.purpose in _FULL
        if message.totals is None:
            return
        number, items, hashed = message.totals
        if items is not None and read_number(items) != message.items:
            self.found.differs(number, f"CTT01 counts {items} line items, but {message.items} came", short=True)
        if hashed is not None and read_number(hashed) not in (message.hashed % _HASH_SIZE, message.summed):
            self.found.differs(number, f"CTT02 is {hashed}, but QTY02 add up to {message.summed}", short=True)

    def _take_detail(self, message: _Message, tag: str, parts: list[str]) -> Iterator[Event]:
        if tag == "LIN":
            yield from self._close_item(message)
            self._take_lin(message, parts)
        elif tag == "CTT":
            yield from self._close_item(message)
            message.totals = (self.number, _element(parts, 1), _element(parts, 2))
        elif tag == "BIA":
            self._take_bia(message, parts)
        elif tag in ("LS", "LE"):
            message.looped = tag == "LS" and message.quantity is not None
        elif tag in _NAMED:
            for name, value in _named(parts):
                self._put(message, tag, name, value)
        elif message.item is not None and tag == "QTY":
            self._take_qty(message, message.item, parts)
        elif message.item is not None and tag == "SCH":
            self._take_sch(message, message.item, parts)

    def _take_bia(self, message: _Message, parts: list[str]) -> None:
        message.purpose = _element(parts, 1)
        message.cells.update({f"BIA0{at}": _element(parts, at) for at in range(1, 6)})
        if word := _WITHDRAWN.get(message.purpose or ""):
            raise StructureInvalid(
                f"segment {self.number} (BIA), element 1: {message.purpose} marks a {word}, not stock levels"
            )

    def _take_lin(self, message: _Message, parts: list[str]) -> None:
        message.items += 1
        message.item = item = Item(self.number)
        item.put(item.cells, "LIN01", _element(parts, 1), self.number)
        for at in range(2, len(parts), 2):
            qualifier, value = parts[at], self._plain(item, parts, at + 1)
            if value is not None and not qualifier:
                self._missing(item, "LIN", at)
            elif qualifier:
                item.put(item.cells, f"LIN.{qualifier}", value, self.number)

    def _take_qty(self, message: _Message, item: Item, parts: list[str]) -> None:
        qualifier, value = _element(parts, 1), self._plain(item, parts, 2)
        unit = (_element(parts, 3) or "").split(self.marks.component)[0] or None
        message.hashed += int("".join(filter(str.isdecimal, value or "")) or 0) if (value or "").isascii() else 0
        message.summed = add(message.summed, value or "0")
        if qualifier is None:
            self._missing(item, "QTY", 1)
        kind = f"QTY.{qualifier}"
        message.quantity, message.looped = Quantity(self.number, kind, kind, value, unit), False
        item.quantities.append(message.quantity)

    def _take_sch(self, message: _Message, item: Item, parts: list[str]) -> None:
        kind = message.quantity.kind if message.quantity is not None else "QTY"
        if self.decoder.splits_of is not None and kind != f"QTY.{self.decoder.splits_of}":
            return
        value, unit, location = self._plain(item, parts, 1), _element(parts, 2), self._plain(item, parts, 4)
        place: Cells = {"SCH.kind": _element(parts, 3), "SCH.location": location}
        for at in (5, 8):
            if (qualifier := _element(parts, at)) is not None:
                place[f"SCH.DTM.{qualifier}"] = _joined(parts, at + 1)
        item.split(Quantity(self.number, kind, "SCH.quantity", value, unit, place), located=location is not None)

    def _put(self, message: _Message, tag: str, name: str, value: str | None) -> None:
        """A date, name or reference, where it belongs: to the message, the item, or the quantity's location."""
        item, quantity = message.item, message.quantity
        if item is None:
            keep_agreed(message.cells, name, value)
        elif quantity is not None and message.looped and tag != "DTM":
            item.put(quantity.place, name, value, self.number)
        elif quantity is not None and tag == "DTM":
            keep_agreed(quantity.cells, name, value)
        elif tag == "N1":
            item.put(item.cells, name, value, self.number)
        else:
            keep_agreed(item.cells, name, value)

    def _plain(self, item: Item, parts: list[str], at: int) -> str | None:
        """An element that is one value; with components or repetitions in it, it is damaged."""
        value = _element(parts, at)
        if value is not None and any(mark in value for mark in self.marks.component + self.marks.repetition):
            item.spoil(
                "element_composite",
                f"segment {self.number} ({parts[0]}), element {at} holds several values: {value[:80]!r}",
                "Have the sender choose service characters that its data does not hold.",
            )
        return value

    def _missing(self, item: Item, tag: str, at: int) -> None:
        item.spoil(
            "element_missing",
            f"segment {self.number} ({tag}), element {at} is empty, so that nobody can tell what its value is",
            "Have each value sent with its qualifier.",
        )


#: Which of (a group is open, a transaction set is open, it is the first segment) each envelope segment needs.
_ENVELOPES = {
    "ISA": (False, False, True),
    "GS": (False, False, False),
    "ST": (True, False, False),
    "SE": (True, True, False),
    "GE": (True, False, False),
    "IEA": (False, False, False),
}
_BETWEEN = ("TA1", "ISB", "ISE")
_NAMED = ("DTM", "N1", "REF")


def _element(parts: list[str], at: int) -> str | None:
    return parts[at] or None if at < len(parts) else None


def _joined(parts: list[str], at: int) -> str | None:
    """A date, with the time behind it if there is one."""
    return " ".join(filter(None, (_element(parts, at), _element(parts, at + 1)))) or None


def _named(parts: list[str]) -> Iterator[tuple[str, str | None]]:
    """The cells of a segment that its first element names: a date and time, a party, a reference."""
    tag, qualifier = parts[0], _element(parts, 1)
    if qualifier is None:
        return
    if tag == "DTM":
        yield f"DTM.{qualifier}", _joined(parts, 2)
    elif tag == "N1":
        yield f"N1.{qualifier}", _element(parts, 4)
        yield f"N1.{qualifier}.name", _element(parts, 2)
    else:
        yield f"REF.{qualifier}", _element(parts, 2)
