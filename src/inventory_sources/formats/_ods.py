"""ODS sheets, read from the document itself: its libraries give some errors as 0 and lay out every repetition."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any
from xml.parsers import expat

from attrs import define, field

from inventory_sources._zip import ZipArchive
from inventory_sources.errors import InputTooLarge, StructureInvalid
from inventory_sources.formats._cells import CELL_ERROR, SheetRow
from inventory_sources.formats._ods_plain import PlainRows

__all__ = ["OdsSheet"]

_NAMESPACES = "urn:oasis:names:tc:opendocument:xmlns:"
_TABLE, _OFFICE, _TEXT = (f"{_NAMESPACES}{name}:1.0 " for name in ("table", "office", "text"))
_PLAIN: dict[str | None, str] = {None: "utf-8", "table": _TABLE[:-1], "office": _OFFICE[:-1], "text": _TEXT[:-1]}
_CELLS = (f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell")
_ROW, _SHEET, _PARAGRAPH = f"{_TABLE}table-row", f"{_TABLE}table", f"{_TEXT}p"
_NUMBERS = ("float", "percentage", "currency")
_ERRORS = ("#", "Err:")
_MOST_ROWS, _MOST_COLUMNS, _MOST_CHARS, _MOST_DEPTH = 1_048_576, 16_384, 1 << 16, 64


@define
class OdsSheet:
    """The rows of one sheet of an ODS workbook; those that are empty are passed over."""

    parts: ZipArchive
    sheet: str | int
    names: list[str] = field(factory=list)
    _rows: list[SheetRow] = field(factory=list)
    _inside: bool = False
    _depth: int = 0
    _number: int = 0
    _row: list[Any] = field(factory=list)
    _gap: int = 0
    _times: int = 1
    _cell: dict[str, str] | None = None
    _text: list[str] = field(factory=list)
    _chars: int = 0
    _skipped: int = 0
    _plain: PlainRows = field(factory=lambda: PlainRows(_PLAIN))

    def rows(self) -> Iterator[SheetRow]:
        """Each row that is not empty, with its number.

        :raises StructureInvalid: when the document is damaged or has no such sheet.
        :raises InputTooLarge: for a row, column or text beyond what a spreadsheet can have.
        """
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._take_text
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.XmlDeclHandler = self._take_encoding
        parser.StartNamespaceDeclHandler = self._take_namespace
        parser.ProcessingInstructionHandler = self._take_plain
        self._plain.declared[None] = "utf-8"
        fed = 0
        try:
            for piece in self._plain.taken_from(self.parts.pieces("content.xml")):
                for at in range(0, len(piece), 1 << 16):
                    data = piece[at : at + (1 << 16)]
                    fed += len(data)
                    parser.Parse(data, False)  # noqa: FBT003 - expat takes no keywords
                    if fed - parser.CurrentByteIndex > 1 << 20:
                        raise InputTooLarge("the workbook's content has a tag of over 1 MiB")
                    yield from self._taken()
            parser.Parse(b"", True)  # noqa: FBT003
        except (expat.ExpatError, LookupError, ValueError):
            raise StructureInvalid("the workbook's content is not XML") from None
        yield from self._taken()

    def _taken(self) -> Iterator[SheetRow]:
        rows, self._rows = self._rows, []
        yield from rows

    def _refuse_doctype(self, *_: object) -> None:
        raise StructureInvalid("the workbook's content declares a document type")

    def _take_encoding(self, _version: str, encoding: str | None, _standalone: int) -> None:
        self._plain.declared[None] = (encoding or "utf-8").lower()

    def _take_namespace(self, prefix: str | None, uri: str | None) -> None:
        # Below the root element a prefix may mean another thing, and only there.
        self._plain.declared[prefix or ""] = "" if self._depth else uri or ""

    def _take_plain(self, *_: str) -> None:
        """Takes in the rows that stood where this instruction is, if it is one of ours."""
        for row in self._plain.runs.popleft() if self._plain.runs else ():
            if not self._inside:
                return
            if self._cell is not None:
                raise StructureInvalid("the workbook's content has a table in a cell")
            self._number += 1
            while row and row[-1] == "":
                row.pop()
            if len(row) > _MOST_COLUMNS or (row and self._number > _MOST_ROWS):
                raise InputTooLarge(f"row {self._number} has more columns, or stands further, than a spreadsheet's can")
            if row:
                self._rows.append((self._number, row))

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise InputTooLarge(f"the workbook's content is nested more than {_MOST_DEPTH} deep")
        if name == _SHEET and not self._inside:
            self._begin_sheet(attributes.get(f"{_TABLE}name", ""))
        elif not self._inside:
            return
        elif name == _ROW:
            self._row, self._gap, self._times = [], 0, _repeated(attributes, "rows")
        elif name in _CELLS:
            self._cell, self._text, self._chars = attributes, [], 0
        elif self._cell is not None:
            self._start_in_cell(name, attributes)

    def _begin_sheet(self, name: str) -> None:
        self.names.append(name)
        self._inside = self.sheet in (name, len(self.names))
        if self._inside and self._number:
            raise StructureInvalid(f"the workbook has two sheets called {name!r}")

    def _start_in_cell(self, name: str, attributes: dict[str, str]) -> None:
        if name == f"{_OFFICE}annotation" or self._skipped:
            self._skipped += 1
        elif name == _PARAGRAPH and self._text:
            self._take_text("\n")
        elif name == f"{_TEXT}s":
            self._take_text(" " * min(_count(attributes.get(f"{_TEXT}c", "1")), _MOST_CHARS + 1))
        elif name == f"{_TEXT}tab":
            self._take_text("\t")
        elif name == f"{_TEXT}line-break":
            self._take_text("\n")
        elif name == _PARAGRAPH:
            self._text.append("")

    def _take_text(self, text: str) -> None:
        if self._cell is not None and self._text and not self._skipped:
            self._text.append(text)
            self._chars += len(text)
            if self._chars > _MOST_CHARS:
                raise InputTooLarge(f"a cell is longer than {_MOST_CHARS} characters")

    def _end(self, name: str) -> None:
        self._depth -= 1
        if not self._inside:
            return
        if self._skipped:
            self._skipped -= 1
        elif name in _CELLS and self._cell is not None:
            self._take_cell(self._cell)
            self._cell = None
        elif name == _ROW:
            self._take_row()
        elif name == _SHEET:
            self._inside = False

    def _take_cell(self, attributes: dict[str, str]) -> None:
        value = _value(attributes, "".join(self._text))
        times = _repeated(attributes, "columns")
        if value == "":
            self._gap += times
            return
        if len(self._row) + self._gap + times > _MOST_COLUMNS:
            raise InputTooLarge(f"row {self._number + 1} has more than {_MOST_COLUMNS} columns")
        self._row += [""] * self._gap + [value] * times
        self._gap = 0

    def _take_row(self) -> None:
        first, self._number = self._number + 1, self._number + self._times
        if not self._row:
            return
        if self._number > _MOST_ROWS or self._times * len(self._row) > _MOST_ROWS:
            raise InputTooLarge(f"row {first} stands {self._times} times, or beyond what a spreadsheet can have")
        self._rows.extend((number, self._row) for number in range(first, self._number + 1))


def _count(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 1 << 30


def _repeated(attributes: dict[str, str], what: str) -> int:
    return max(1, _count(attributes.get(f"{_TABLE}number-{what}-repeated", "1")))


def _value(attributes: dict[str, str], text: str) -> Any:
    """A cell's value as Python has it; its shown text decides where the value would hide an error."""
    kind = attributes.get(f"{_OFFICE}value-type")
    own = next((value for name, value in attributes.items() if name.endswith(" value-type") and value == "error"), None)
    if own or (
        kind is not None and text.startswith(_ERRORS) and (kind != "string" or f"{_TABLE}formula" in attributes)
    ):
        return CELL_ERROR
    try:
        if kind in _NUMBERS:
            return float(attributes[f"{_OFFICE}value"])
        if kind == "date":
            day = attributes[f"{_OFFICE}date-value"]
            return datetime.fromisoformat(day) if "T" in day else date.fromisoformat(day)
    except (KeyError, ValueError):
        return CELL_ERROR
    if kind == "boolean":
        return True
    if kind == "time":
        return attributes.get(f"{_OFFICE}time-value", text)
    return attributes.get(f"{_OFFICE}string-value", text) if kind == "string" else text
