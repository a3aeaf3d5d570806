"""Reading a GS1 XML inventory report: its items as rows, one for each place that their quantities name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias
from xml.parsers import expat

from attrs import define, field

from inventory_sources.batch import RawBatch
from inventory_sources.errors import InputTooLarge, InventorySourcesError, StructureInvalid
from inventory_sources.formats._edi_items import Cells, keep_agreed
from inventory_sources.formats._json_rows import batch
from inventory_sources.formats._tally import Damage, Tally, selected
from inventory_sources.formats._units import Units
from inventory_sources.formats._xml_guard import GuardedParser
from inventory_sources.payload import Payload, Proof
from inventory_sources.protocols.decoder import DecodeContext, Inspection

if TYPE_CHECKING:
    from inventory_sources.formats._gs1 import Gs1InventoryDecoder

__all__ = ["inspect_reports", "read_reports"]

_NAMESPACE = "urn:gs1:ecom:inventory_report:xsd:3"
_ROOT = "inventoryReportMessage"
_REPORT = (_ROOT, "inventoryReport")
_ITEM = (*_REPORT, "inventoryItemLocationInformation")
_LINE = ("inventoryStatusLineItem",)
_QUANTITY = (*_LINE, "inventoryStatusQuantitySpecification")
_STOCK = "INVENTORY_STATUS"
#: Cells of a report, by the path below it.
_OF_REPORT = {
    ("inventoryReportIdentification", "entityIdentification"): "report",
    ("creationDateTime",): "created",
    ("documentActionCode",): "action",
    ("inventoryReportTypeCode",): "type",
}
#: Cells of an item, by the path below it: the column, and the attribute that names its type.
_OF_ITEM = {
    ("transactionalTradeItem", "gtin"): ("gtin", None),
    ("transactionalTradeItem", "additionalTradeItemIdentification"): (
        "id",
        "additionalTradeItemIdentificationTypeCode",
    ),
    ("transactionalTradeItem", "tradeItemDescription"): ("name", None),
    ("inventoryLocation", "gln"): ("location", None),
    ("inventoryLocation", "additionalPartyIdentification"): ("location", "additionalPartyIdentificationTypeCode"),
}
#: Cells that tell one place in a location from another.
_OF_PLACE = {
    (*_LINE, "inventorySubLocation", "gln"): "sub_location",
    (*_LINE, "inventorySubLocation", "glnExtension"): "sub_location.extension",
    (*_LINE, "inventoryStatusOwner", "gln"): "owner",
}
_MOST_HEADINGS = 16_384
_BATCH_ROWS = 50_000
_SAMPLE_ROWS = 10

_Path: TypeAlias = tuple[str, ...]
_Fault: TypeAlias = tuple[str, str, str]


@define
class _Row:
    """One row while it is put together.

    :param faults: by column, why it must not be used; those of ``""`` concern the whole row.
    """

    number: int
    line: int
    cells: Cells = field(factory=dict)
    faults: dict[str, _Fault] = field(factory=dict)

    def put(self, column: str, text: str | None) -> None:
        """Takes in a cell, which may stand once and must be a text."""
        if text is None:
            self.faults[column] = ("cell_type", f"{column!r} holds elements", "Have it sent as a text.")
        elif column in self.cells:
            self.faults[column] = (
                "field_repeated",
                f"{column!r} stands more than once",
                "Have each identifier sent once an item.",
            )
        self.cells[column] = text

    def put_quantity(self, cells: Cells) -> None:
        """Takes in a quantity, which must say of which kind it is."""
        column = f"quantity.{cells.get('status') or ''}"
        if not cells.get("status") or "value" not in cells:
            self.faults[""] = (
                "element_missing",
                "a quantity lacks its inventoryStatusType or its number: nobody can tell what it is",
                "Have each quantity sent with both.",
            )
        elif column in self.cells:
            self.faults[column] = (
                "quantity_doubled",
                f"{column!r} is given a second time for the same place",
                "Have each kind of quantity sent once for an item and place, as the total of batches and pallets.",
            )
        else:
            self.cells |= {column: cells["value"], f"{column}.unit": cells.get("unit")}

    def damage(self, wanted: Iterable[str], units: Units) -> Damage | None:
        """Why the row must not be used for these columns."""
        faults = (self.faults.get(column) for column in ("", *wanted))
        fault = next(filter(None, faults), None) or units.fault(self.cells)
        if fault is None:
            return None
        reason, message, guidance = fault
        return Damage(self.number, reason, f"record {self.number} (line {self.line}): {message}", guidance, self.cells)


@define
class _Item:
    """One ``inventoryItemLocationInformation`` while its elements come in."""

    shared: _Row
    rows: dict[tuple[tuple[str, str | None], ...], _Row] = field(factory=dict)
    lines: int = 0
    place: Cells = field(factory=dict)
    quantity: Cells = field(factory=dict)
    quantities: list[Cells] = field(factory=list)

    def take(self, below: _Path, text: str | None, attributes: dict[str, str]) -> None:
        """An element of the item that has ended."""
        if below in _OF_ITEM:
            column, kind = _OF_ITEM[below]
            self.shared.put(f"{column}.{attributes.get(kind, '')}".rstrip(".") if kind else column, text)
        elif below in _OF_PLACE:
            keep_agreed(self.place, _OF_PLACE[below], text)
        elif below == (*_QUANTITY, "inventoryStatusType"):
            keep_agreed(self.quantity, "status", (text or "").strip())
        elif below == (*_QUANTITY, "quantityOfUnits"):
            if "value" in self.quantity:
                self.quantities.append(self.quantity.copy())
            self.quantity |= {"value": text, "unit": attributes.get("measurementUnitCode")}
        elif below == _QUANTITY:
            self.quantities.append(self.quantity)
            self.quantity = {}
        elif below == _LINE:
            self._end_line()

    def _end_line(self) -> None:
        key = tuple(sorted(self.place.items()))
        row = self.rows.setdefault(key, _Row(self.shared.number + self.lines, self.shared.line, self.place))
        for quantity in self.quantities:
            row.put_quantity(quantity)
        self.lines += 1
        self.place, self.quantities = {}, []

    def finished(self, report: Cells) -> Iterator[_Row]:
        """The item's rows, each with what it shares with the others."""
        shared = self.shared
        if not self.rows:
            shared.faults[""] = ("status_missing", "the item has no status line", "Have its stock sent, be it 0.")
        for row in self.rows.values() or (shared,):
            row.cells = {**report, **shared.cells, **row.cells}
            row.faults = {**shared.faults, **row.faults}
            yield row


@define
class _Reports:
    """Takes bytes of a message and gives the rows of its reports.

    :param rows: those finished since they were last taken.
    """

    rows: list[_Row] = field(factory=list)
    count: int = 0
    parser: GuardedParser = field(init=False)
    _path: list[str] = field(factory=list)
    _attributes: list[dict[str, str]] = field(factory=list)
    _report: Cells = field(factory=dict)
    _item: _Item | None = None

    def __attrs_post_init__(self) -> None:
        self.parser = GuardedParser(self._begin, self._finish)

    def take_rows(self) -> list[_Row]:
        """The rows since the last call."""
        rows, self.rows = self.rows, []
        return rows

    def _begin(self, uri: str, local: str, attributes: dict[str, str]) -> None:
        if not self._path and (uri, local) != (_NAMESPACE, _ROOT):
            raise StructureInvalid(
                f"the root element is {local!r} of {uri or 'no namespace'}",
                guidance=f"An inventory report of GS1 XML 3 begins with {_ROOT!r} of {_NAMESPACE}.",
            )
        self._path.append(local)
        self._attributes.append(attributes)
        path = tuple(self._path)
        if path == _REPORT:
            self._report = {}
        elif path == _ITEM:
            self._check_report()
            self._item = _Item(_Row(self.count + 1, self.parser.line))

    def _finish(self, text: str | None) -> None:
        path, attributes = tuple(self._path), self._attributes.pop()
        self._path.pop()
        if path == _REPORT:
            self._check_report()
        elif path == _ITEM and self._item is not None:
            self.count += max(1, self._item.lines)
            report = {name: cell for name, cell in self._report.items() if name != "type"}
            self.rows.extend(self._item.finished(report))
            self._item = None
        elif self._item is not None:
            self._item.take(path[len(_ITEM) :], text, attributes)
        elif path[:2] == _REPORT and (name := _OF_REPORT.get(path[2:])):
            if name in self._report:
                raise StructureInvalid(f"line {self.parser.line}: the report gives {path[-1]} twice")
            self._report[name] = text

    def _check_report(self) -> None:
        kind, action = ((self._report.get(name) or "").strip() for name in ("type", "action"))
        if kind != _STOCK:
            raise StructureInvalid(
                f"line {self.parser.line}: its inventoryReportTypeCode is {kind!r}, which tells no stock levels",
                guidance=f"Have reports of type {_STOCK} sent.",
            )
        if action == "DELETE":
            raise StructureInvalid(f"line {self.parser.line}: the report deletes another and tells no stock levels")


def read_reports(decoder: Gs1InventoryDecoder, payload: Payload, context: DecodeContext) -> Iterator[RawBatch]:
    """A payload's rows in batches."""
    tally, headings = Tally(payload, context, "record"), dict[str, None]()
    kept, count, first, usable = list[_Row](), 0, None, False
    for count, row in enumerate(_rows(payload, context), 1):
        first, usable = first or row, usable or "" not in row.faults
        headings.update(dict.fromkeys(row.cells))
        if len(headings) > _MOST_HEADINGS:
            raise InputTooLarge(f"there are more than {_MOST_HEADINGS} different columns")
        if count <= _BATCH_ROWS:
            kept.append(row)
    if first is None:
        raise StructureInvalid("the message holds no item", guidance="Check the system that sends it.")
    if not usable and (damage := first.damage((), Units({}, None))):
        raise StructureInvalid(f"no item can be read: {damage.message}", guidance=damage.guidance)
    wanted = selected(context, tuple(headings))
    columns, units = {heading: (heading,) for heading in wanted}, Units.among(wanted, decoder.unit)
    # What fits in one batch is at hand already; anything longer is read again, so that memory stays bounded.
    rows = iter(kept) if count <= _BATCH_ROWS else _rows(payload, context)
    kept = []
    while some := list(islice(rows, _BATCH_ROWS)):
        damages = [row.damage(wanted, units) for row in some]
        for damage in filter(None, damages):
            tally.reject(damage)
        good = [row for row, damage in zip(some, damages, strict=True) if damage is None]
        yield batch(tally, columns, [row.number for row in good], [row.cells for row in good])
    context.prove(Proof.TRAILER)
    tally.finish()


def _rows(payload: Payload, context: DecodeContext) -> Iterator[_Row]:
    reports = _Reports()
    for _ in reports.parser.read(payload, context):
        yield from reports.take_rows()
    yield from reports.take_rows()


def inspect_reports(decoder: Gs1InventoryDecoder, head: bytes, *, complete: bool) -> Inspection:
    """Headings, sample and problems; never raises for bad input."""
    reports, problems = _Reports(), list[str]()
    try:
        reports.parser.feed(head, last=complete)
    except expat.ExpatError as error:
        where = f"line {error.lineno}, column {error.offset + 1}"
        problems.append(f"{where}: this is not XML ({expat.ErrorString(error.code)})")
    except InventorySourcesError as error:
        problems.append(error.message)
    rows = reports.take_rows()
    if not rows and not problems:
        problems.append("there is no item in what was read")
    headings = tuple(dict.fromkeys(name for row in rows for name in row.cells))
    units = Units.among(headings, decoder.unit)
    damages = [damage.message for row in rows if (damage := row.damage(headings, units))]
    sample = tuple(tuple(map(row.cells.get, headings)) for row in rows[:_SAMPLE_ROWS])
    return Inspection(headings, sample, problems=(*problems, *damages[:_SAMPLE_ROWS]))
