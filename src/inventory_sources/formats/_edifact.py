"""UN/EDIFACT INVRPT, the inventory report message, of directories D.96A and later (EANCOM's subset included).

Syntax and envelopes are those of ISO 9735 versions 1 to 4, segments and groups those of INVRPT: LIN and PIA, and per
quantity a group of QTY, INV, LOC, DTM and NAD. Code list 6063 tells the kinds of quantity (17 on hand, 66 committed,
83 back order, 145 actual stock; its 33 is a maximum delivery batch, not X12's 33), 1225 the function (BGM).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain
from typing import BinaryIO, Literal

from attrs import Attribute, define, field, frozen, validators

from inventory_sources.batch import RawBatch
from inventory_sources.errors import EncodingInvalid, StructureInvalid
from inventory_sources.formats._edi import Envelope, Interchange, decode_events, inspect_events
from inventory_sources.formats._edi_items import Cells, Event, Item, Quantity, add, keep_agreed, read_number
from inventory_sources.formats._segments import Limits, Marks, ended, segments, split_released, texts
from inventory_sources.formats._text import check_encoding
from inventory_sources.payload import Payload
from inventory_sources.protocols.decoder import DecodeContext, Inspection

__all__ = ["EdifactInventoryDecoder"]

_UNA_CHARS = 9
_UNOA_SERVICE = ":+.? '"
_HEAD_BYTES = 4096
_ENCODINGS = {
    "UNOA": "ascii",
    "UNOB": "ascii",
    "UNOC": "iso8859-1",
    "UNOD": "iso8859-2",
    "UNOE": "iso8859-5",
    "UNOF": "iso8859-7",
    "UNOG": "iso8859-3",
    "UNOH": "iso8859-4",
    "UNOI": "iso8859-6",
    "UNOJ": "iso8859-8",
    "UNOK": "iso8859-9",
    "UNOL": "iso8859-15",
    "UNOW": "utf-8",
}
_FULL = ("5", "7", "9")
_WITHDRAWN = {"1": "cancellation", "3": "deletion"}
_DIRECTIONS = {"1": "out", "2": "in"}
_SUGGESTED = ("utf-8", "cp1252")


def _check_encoding(instance: object, attribute: Attribute[str], value: str | None) -> None:
    if value is not None:
        check_encoding(instance, attribute, value)


@frozen
class EdifactInventoryDecoder:
    """Reads the inventory reports (INVRPT) of one EDIFACT interchange.

    A row is an item (``LIN``), or an item at a location where its quantities name one (``LOC`` or ``NAD`` behind
    ``QTY``). Columns are named by segment and qualifier: ``LIN.EN``, ``LIN.SRV``, ``PIA.SA``, ``QTY.145``,
    ``QTY.145.unit``, ``LOC.18``, ``LOC.18.name``, ``LOC.18.related``, ``NAD.GY``, ``DTM.137``; and by word:
    ``UNB.reference``, ``UNH.reference``, ``BGM.code``, ``BGM.number``, ``BGM.function``, ``LIN.line``, ``LIN.action``.
    What ``INV`` marks as a movement or a class of stock is no plain level and has columns of its own: ``QTY.145.in``,
    ``QTY.145.out``, ``QTY.145.type2``. Cells are as sent, without release characters. Numbers of rows count segments,
    without UNA.

    Service characters are read from UNA, or are those of UNOA. Counts and references of UNT, UNE and UNZ, the line
    items (CNT+2) and the sum of quantities (CNT+1) are checked; where they agree they prove the input complete, unless
    a BGM's function is other than 9 (original), 5 (replace) or 7 (duplicate): then absent items mean nothing. A
    cancellation or deletion is refused. Where a total and its quantities by location are both there, they must add
    up; an item where they do not is damaged (``splits_differ``).

    :param rows: ``location`` splits items that have locations (and leaves out their totals); ``item`` gives totals.
    :param totals: ``warn`` reads an input whose counts or references differ, reports each as a damaged row
        (``totals_differ``), and takes back whatever proved the input complete.
    :param encoding: a Python codec; ``None`` takes the one that UNB's syntax identifier names (UNOA to UNOL, UNOW).
    :param max_segments: more are refused.
    :param max_segment_chars: the longest segment to read.
    :param unit: the only unit to take; a quantity in another, or in none, is damaged (``unit_differs``). Without it,
        one in another unit than the first is.
    """

    rows: Literal["location", "item"] = field(default="location", validator=validators.in_(("location", "item")))
    totals: Literal["fail", "warn"] = field(default="fail", validator=validators.in_(("fail", "warn")))
    encoding: str | None = field(default=None, validator=_check_encoding)
    max_segments: int = field(default=50_000_000, validator=validators.ge(1))
    max_segment_chars: int = field(default=16_384, validator=validators.ge(1))
    unit: str | None = field(default=None, kw_only=True)

    def decode(self, payload: Payload, context: DecodeContext) -> Iterator[RawBatch]:
        """Yields the rows; see the protocol.

        :raises EncodingInvalid: for bytes that are not text in the encoding, with their offset, and for a syntax
            identifier that stands for none.
        :raises StructureInvalid: for what is no EDIFACT interchange with an INVRPT, naming the segment, and for one
            without an item that can be read.
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
        begin, marks, encoding = _service(stream.read(_HEAD_BYTES), context)
        stream.seek(0)
        pieces = texts(stream, self.encoding or encoding or _unknown())
        head = next(pieces)[begin:]
        reading = _Reader(self, marks, found)
        limits = Limits(self.max_segments, self.max_segment_chars)
        for number, text, closed in segments(chain([head], pieces), marks, limits, context.checkpoint):
            parts = reading.parts(text)
            if not closed and (parts[0], *parts[2:]) != (["UNZ"], [reading.interchange.control]):
                raise ended(context, f"in segment {number}")
            yield from reading.take(number, parts)
        if not reading.over:
            raise ended(context, f"after segment {reading.number}")
        if not reading.messages:
            raise StructureInvalid("the interchange holds no INVRPT message")


def _unknown() -> str:
    raise EncodingInvalid(
        "the UNB's syntax identifier stands for no encoding that is known",
        guidance="Declare the encoding that the sender uses.",
    )


def _service(data: bytes, context: DecodeContext) -> tuple[int, Marks, str | None]:
    """Where the UNB begins, the service characters, and the encoding that the syntax identifier stands for."""
    head = data.removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    if not head.strip():
        raise StructureInvalid("the input is empty", guidance="Check the system that sends it.")
    begin = _UNA_CHARS if head.startswith("UNA") else 0
    service = head[3:begin] if begin else _UNOA_SERVICE
    if len(service) < len(_UNOA_SERVICE) or len(head) < len("UNA"):
        raise ended(context, "before its UNB")
    component, element, _, release, repetition, terminator = tuple(service)
    first = head[begin:].lstrip("\r\n")
    syntax = re.match(rf"UNB{re.escape(element)}([A-Z]{{4}}){re.escape(component)}([0-9])", first)
    if syntax is None:
        if len(first) < len("UNB+UNOA:3") and f"UNB{element}UNO".startswith(first[:7]):
            raise ended(context, "in its UNB")
        raise StructureInvalid(
            "the input does not begin with UNA and UNB", guidance="EDIFACT begins with UNB+UNOA:3 or alike."
        )
    if syntax[2] < "4":
        repetition = ""
    elif not begin:
        repetition = "*"
    marks = Marks(element, component, terminator, release.strip(" "), repetition.strip(" "))
    return begin, marks, _ENCODINGS.get(syntax[1])


@define
class _Message:
    """An open INVRPT: what holds for all of its items, its figures, and the item at hand."""

    cells: Cells
    function: str | None = None
    items: int = 0
    summed: Decimal | None = Decimal(0)
    totals: list[tuple[int, str | None, str | None]] = field(factory=list)
    item: Item | None = None
    quantity: Quantity | None = None


@define
class _Reader:
    """Takes an interchange's segments one after the other."""

    decoder: EdifactInventoryDecoder
    marks: Marks
    found: Interchange
    number: int = 0
    messages: int = 0
    over: bool = False
    interchange: Envelope = field(factory=Envelope)
    group: Envelope | None = None
    set: Envelope | None = None
    message: _Message | None = None

    def parts(self, text: str) -> list[list[str]]:
        """A segment's elements, each as its components, without release characters."""
        marks = self.marks
        if not marks.release or marks.release not in text:
            return [element.split(marks.component) for element in text.split(marks.element)]
        return [
            [self._bare(component) for component in split_released(element, marks.component, marks.release)]
            for element in split_released(text, marks.element, marks.release)
        ]

    def _bare(self, text: str) -> str:
        release = self.marks.release
        return re.sub(rf"{re.escape(release)}(.)", r"\1", text) if release in text else text

    def take(self, number: int, parts: list[list[str]]) -> Iterator[Event]:
        """One segment; yields the rows that it completes."""
        self.number, tag = number, parts[0][0]
        if tag in _ENVELOPES:
            grouped, opened, first = _ENVELOPES[tag]
            fits = grouped in (None, self.group is not None) and opened == (self.set is not None)
            if self.over or not fits or first != (number == 1):
                raise self._misplaced(tag)
            yield from getattr(self, f"_take_{tag.lower()}")(parts)
            yield from self.found.take_damages()
        elif self.set is None:
            raise self._misplaced(tag)
        else:
            self.set.parts += 1
            if self.message is not None:
                yield from self._take_detail(self.message, tag, parts)

    def _misplaced(self, tag: str) -> StructureInvalid:
        return StructureInvalid(
            f"segment {self.number} ({tag[:3]}) does not belong where it stands",
            guidance="A file holds one interchange: UNB, then UNH and UNT as often as needed, then UNZ.",
        )

    def _take_unb(self, parts: list[list[str]]) -> Iterator[Event]:
        self.interchange = Envelope(_component(parts, 5) or "")
        yield from ()

    def _take_ung(self, parts: list[list[str]]) -> Iterator[Event]:
        self.interchange.parts += 1
        self.group = Envelope(_component(parts, 5) or "")
        yield from ()

    def _take_unh(self, parts: list[list[str]]) -> Iterator[Event]:
        (self.group or self.interchange).parts += 1
        self.set = Envelope(_component(parts, 1) or "", 1)
        if _component(parts, 2) == "INVRPT":
            self.messages += 1
            references = {"UNB.reference": self.interchange.control, "UNH.reference": self.set.control}
            self.message = _Message({name: value or None for name, value in references.items()})
        yield from ()

    def _take_unt(self, parts: list[list[str]]) -> Iterator[Event]:
        closing, self.set = self.set or Envelope(), None
        closing.parts += 1
        if self.message is not None:
            yield from self._close_item(self.message)
            self._close_message(self.message)
            self.message = None
        self._compare(parts, closing, "segments of the message")

    def _take_une(self, parts: list[list[str]]) -> Iterator[Event]:
        closing, self.group = self.group or Envelope(), None
        self._compare(parts, closing, "messages of the group")
        yield from ()

    def _take_unz(self, parts: list[list[str]]) -> Iterator[Event]:
        self.over = True
        self._compare(parts, self.interchange, "messages or groups of the interchange")
        yield from ()

    def _compare(self, parts: list[list[str]], closing: Envelope, what: str) -> None:
        self.found.compare(self.number, (parts[0][0], _component(parts, 1), _component(parts, 2)), closing, what)

    def _close_item(self, message: _Message) -> Iterator[Event]:
        if message.item is not None:
            yield from message.item.events(message.cells, self.decoder.rows)
        message.item, message.quantity = None, None

    def _close_message(self, message: _Message) -> None:
        if "BGM.code" not in message.cells:
            raise StructureInvalid(f"segment {self.number} (UNT): the message has no BGM")
        self.found.whole = self.found.whole and message.function in _FULL
        counted = {"1": ("the quantities", message.summed), "2": ("the line items", Decimal(message.items))}
        for number, kind, stated in message.totals:
            what, came = counted.get(kind or "", ("", None))
            if what and (came is None or read_number(stated) != came):
                self.found.differs(number, f"CNT gives {stated} for {what}, but {came} came", short=True)

    def _take_detail(self, message: _Message, tag: str, parts: list[list[str]]) -> Iterator[Event]:
        if tag == "LIN":
            yield from self._close_item(message)
            self._take_lin(message, parts)
        elif tag == "CNT":
            yield from self._close_item(message)
            message.totals.append((self.number, _component(parts, 1), _component(parts, 1, 1)))
        elif tag == "BGM":
            self._take_bgm(message, parts)
        elif tag in ("DTM", "LOC", "NAD"):
            for name, value in _named(parts):
                self._put(message, tag, name, value)
        elif message.item is not None and tag == "PIA":
            self._take_pia(message.item, parts)
        elif message.item is not None and tag == "QTY":
            self._take_qty(message, message.item, parts)
        elif message.quantity is not None and tag == "INV":
            _mark_inventory(message.quantity, parts)

    def _take_bgm(self, message: _Message, parts: list[list[str]]) -> None:
        message.function = _component(parts, 3)
        message.cells["BGM.code"] = _component(parts, 1)
        message.cells["BGM.number"] = _component(parts, 2)
        message.cells["BGM.function"] = message.function
        if word := _WITHDRAWN.get(message.function or ""):
            raise StructureInvalid(
                f"segment {self.number} (BGM), element 3: {message.function} marks a {word}, not stock levels"
            )

    def _take_lin(self, message: _Message, parts: list[list[str]]) -> None:
        message.items += 1
        message.item = item = Item(self.number)
        item.put(item.cells, "LIN.line", _component(parts, 1), self.number)
        item.put(item.cells, "LIN.action", _component(parts, 2), self.number)
        self._identify(item, parts, 3, "LIN")

    def _take_pia(self, item: Item, parts: list[list[str]]) -> None:
        # 5 is product identification, 1 additional identification; any other names another product.
        function = _component(parts, 1)
        prefix = "PIA" if function in ("1", "5") else f"PIA.{function}"
        for at in range(2, len(parts)):
            self._identify(item, parts, at, prefix)

    def _identify(self, item: Item, parts: list[list[str]], at: int, prefix: str) -> None:
        value, kind = self._plain(item, parts, at, 0), _component(parts, at, 1)
        if kind is not None:
            item.put(item.cells, f"{prefix}.{kind}", value, self.number)
        elif value is not None:
            self._missing(item, parts, at)

    def _take_qty(self, message: _Message, item: Item, parts: list[list[str]]) -> None:
        qualifier, value = _component(parts, 1), self._plain(item, parts, 1, 1)
        message.summed = add(message.summed, value or "0")
        if qualifier is None:
            self._missing(item, parts, 1)
        kind = f"QTY.{qualifier}"
        message.quantity = Quantity(self.number, kind, kind, value, _component(parts, 1, 2))
        item.quantities.append(message.quantity)

    def _put(self, message: _Message, tag: str, name: str, value: str | None) -> None:
        """A date, place or party, where it belongs: to the message, the item or the quantity."""
        item, quantity = message.item, message.quantity
        if item is None:
            keep_agreed(message.cells, name, value)
        elif quantity is None:
            item.put(item.cells, name, value, self.number)
        elif tag == "DTM":
            keep_agreed(quantity.cells, name, value)
        else:
            item.put(quantity.place, name, value, self.number)

    def _plain(self, item: Item, parts: list[list[str]], at: int, component: int) -> str | None:
        """A component that is one value; with a repetition in it, it is damaged."""
        value = _component(parts, at, component)
        if value is not None and self.marks.repetition and self.marks.repetition in value:
            item.spoil(
                "element_composite",
                f"segment {self.number} ({parts[0][0]}), element {at} holds several values: {value[:80]!r}",
                "Have the sender release the characters of its data that are service characters.",
            )
        return value

    def _missing(self, item: Item, parts: list[list[str]], at: int) -> None:
        item.spoil(
            "element_missing",
            f"segment {self.number} ({parts[0][0]}), element {at} lacks its qualifier: nobody can tell what it is",
            "Have each value sent with its qualifier.",
        )


#: Whether each envelope segment needs an open group (None: either), an open message, and to be the first segment.
_ENVELOPES: dict[str, tuple[bool | None, bool, bool]] = {
    "UNB": (False, False, True),
    "UNG": (False, False, False),
    "UNH": (None, False, False),
    "UNT": (None, True, False),
    "UNE": (True, False, False),
    "UNZ": (False, False, False),
}


def _component(parts: list[list[str]], at: int, component: int = 0) -> str | None:
    if at >= len(parts) or component >= len(parts[at]):
        return None
    return parts[at][component] or None


def _named(parts: list[list[str]]) -> Iterator[tuple[str, str | None]]:
    """The cells of a segment that its first component names: a date, a place, a party."""
    tag, qualifier = parts[0][0], _component(parts, 1)
    if qualifier is None:
        return
    name = f"{tag}.{qualifier}"
    if tag == "DTM":
        yield name, _component(parts, 1, 1)
        yield f"{name}.format", _component(parts, 1, 2)
        return
    yield name, _component(parts, 2)
    if tag == "LOC":
        yield f"{name}.name", _component(parts, 2, 3)
        yield f"{name}.related", _component(parts, 3)


def _mark_inventory(quantity: Quantity, parts: list[list[str]]) -> None:
    """A movement or a class of stock is another kind of quantity than the level that its QTY would be without it."""
    if (direction := _component(parts, 1)) is not None:
        quantity.kind += f".{_DIRECTIONS.get(direction, 'direction' + direction)}"
    if (stock := _component(parts, 2)) is not None:
        quantity.kind += f".type{stock}"
    quantity.column = quantity.kind
