"""What an XLSX workbook would take to open, and which of its cells hold errors: read from its parts beforehand.

The library that reads the sheet lays out its whole rectangle, copies a shared text into each cell that refers to it,
and gives an error as an empty cell.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from itertools import pairwise
from posixpath import join, normpath
from xml.etree.ElementTree import fromstring

from attrs import define, field

from inventory_sources._zip import ZipArchive
from inventory_sources.errors import InputTooLarge, StructureInvalid

__all__ = ["check_xlsx", "column_number", "error_cells"]

_MOST_TEXT_BYTES = 1 << 20
_MOST_SMALL_PART = 8 << 20
#: Cells that any sheet may lay out, and how many for each that is filled.
_FREE_CELLS = 1_000_000
_CELLS_PER_VALUE = 16

_REFERENCE = re.compile(rb"\br\s*=\s*[\"']([A-Za-z]*)([0-9]+)")
_ERROR = re.compile(rb"<(?:[\w.-]+:)?c\b[^<>]*?\bt\s*=\s*[\"']e[\"'][^<>]*>")
_TEXT_START = re.compile(rb"<(?:[\w.-]+:)?si\b")
_VALUE = re.compile(rb"<(?:[\w.-]+:)?v\b[^<>]*>\s*([0-9]{1,9})\s*<")


def column_number(letters: str) -> int:
    """``A`` is 1, ``AA`` 27."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number


def _whole_tags(parts: ZipArchive, name: str) -> Iterator[bytes]:
    """A part in pieces that end between tags.

    :raises StructureInvalid: for a document type declaration, or another encoding than UTF-8.
    :raises InputTooLarge: for a tag or text that is too long.
    """
    rest = b""
    for piece in parts.pieces(name):
        data = rest + piece
        cut = data.rfind(b"<")
        cut = len(data) if cut < 0 else cut
        if len(data) - cut > _MOST_TEXT_BYTES:
            raise InputTooLarge(f"the workbook's part {name!r} has a text or tag of over {_MOST_TEXT_BYTES} bytes")
        if b"\0" in data or b"<!DOCTYPE" in data or b"<!ENTITY" in data:
            raise StructureInvalid(f"the workbook's part {name!r} declares a document type or is not UTF-8 text")
        yield data[:cut]
        rest = data[cut:]
    yield rest


@define
class _Extent:
    """The rectangle that a sheet's cells span, or a little more, and how many of them are filled."""

    width: int = 1
    height: int = 1
    values: int = 0

    def take(self, data: bytes) -> None:
        """Takes in the cells that stand in this piece of a sheet."""
        self.values += data.count(b"</") // 2  # a filled cell has two end tags at least
        plain = data.count(b"=") == data.count(b'="') and b' ="' not in data
        if plain and (beyond := self._beyond(data)) and not beyond.search(data):
            return
        found = set(_REFERENCE.findall(data))
        letters = {letters for letters, _ in found}
        if any(len(text) > 3 for text in letters) or any(len(digits) > 7 for _, digits in found):
            raise InputTooLarge("the sheet has a cell beyond what a spreadsheet can have")
        self.width = max(self.width, *(column_number(text.decode()) for text in letters), 1)
        self.height = max(self.height, *(int(digits) for _, digits in found), 1)

    def _beyond(self, data: bytes) -> re.Pattern[bytes] | None:
        """What would be a reference to a cell outside of what the last row of this piece leads to expect."""
        row = re.match(rb'<row r="([0-9]{1,7})"', data[data.rfind(b"<row ") :])
        if row is None or self.width >= 26:
            return None
        first, more = row[1][0] - 48, len(row[1]) - 1
        self.height = max(self.height, (first + 1) * 10**more - 1)
        higher = f"[{first + 1}-9][0-9]{{{more}}}|" if first < 9 else ""
        letter = chr(65 + self.width)
        return re.compile(f'r="(?:[{letter}-Z]|[a-z]|[A-Z][A-Z]|[A-Z]?(?:{higher}[0-9]{{{more + 2}}}))'.encode())

    def check(self, most: int) -> None:
        """Refuses a rectangle that is too large, or very large for what it holds."""
        cells = self.width * self.height
        if cells > min(most, _FREE_CELLS + _CELLS_PER_VALUE * self.values):
            raise InputTooLarge(f"a sheet spans about {cells} cells, of which {self.values} are filled")


@define
class _Texts:
    """The lengths in bytes of the shared texts."""

    sizes: array[int] = field(factory=lambda: array("L"))

    def take(self, data: bytes) -> None:
        """Takes in the texts that stand in this piece."""
        starts = [match.start() for match in _TEXT_START.finditer(data)]
        if self.sizes:
            self.sizes[-1] += starts[0] if starts else len(data)
        self.sizes.extend(end - start for start, end in pairwise([*starts, len(data)]))


def check_xlsx(parts: ZipArchive, most_cells: int) -> None:
    """Refuses a workbook that would take too much to open.

    :raises InputTooLarge: for sheets or texts that would take too much memory.
    :raises StructureInvalid: for parts that are damaged.
    """
    texts, values, sheets = _Texts(), 0, []
    for name in parts.members:
        if not is_xml(name):
            continue
        extent, kind = _Extent(), b""
        for data in _whole_tags(parts, name):
            kind = kind or next((mark for mark in (b"sheetData", b"sst") if mark in data), b"")
            if kind == b"sst":
                texts.take(data)
            elif kind:
                extent.take(data)
        if kind == b"sheetData":
            extent.check(most_cells)
            sheets.append(name)
            values += extent.values
    if texts.sizes and max(texts.sizes) * values > parts.max_bytes:
        _check_texts(parts, texts.sizes, sheets)


def is_xml(name: str) -> bool:
    """Whether a part is looked into; no other is opened."""
    return name.lower().endswith((".xml", ".rels"))


def _check_texts(parts: ZipArchive, sizes: array[int], sheets: list[str]) -> None:
    """Refuses shared texts that their cells would copy too often."""
    for name in sheets:
        total = 0
        for data in _whole_tags(parts, name):
            total += sum(sizes[at] for at in map(int, _VALUE.findall(data)) if at < len(sizes))
            if total > parts.max_bytes:
                raise InputTooLarge(f"the texts of a sheet come to more than {parts.max_bytes} bytes")


def error_cells(parts: ZipArchive, sheet: str) -> set[tuple[int, int]]:
    """Row and column, from 1 on, of each cell of the sheet of this name that holds an error."""
    found = set()
    for data in _whole_tags(parts, _part_of(parts, sheet)):
        for tag in _ERROR.finditer(data) if b'"e"' in data or b"'e'" in data else ():
            place = _REFERENCE.search(tag[0])
            if place is None or not place[1]:
                raise StructureInvalid("the sheet holds an error value in a cell that does not say where it stands")
            found.add((int(place[2]), column_number(place[1].decode())))
    return found


def _part_of(parts: ZipArchive, sheet: str) -> str:
    """The part that holds the sheet of this name."""
    book = fromstring(parts.read("xl/workbook.xml", _MOST_SMALL_PART))  # noqa: S314 - has no DOCTYPE
    ids = [
        value
        for element in book.iter()
        if element.tag.endswith("}sheet") and element.get("name") == sheet
        for name, value in element.attrib.items()
        if name.endswith("}id")
    ]
    relations = fromstring(parts.read("xl/_rels/workbook.xml.rels", _MOST_SMALL_PART))  # noqa: S314
    for relation in relations:
        if [relation.get("Id")] == ids[:1]:
            name = normpath(join("/xl", relation.get("Target", ""))).lstrip("/")
            if name in parts.members and is_xml(name):
                return name
    raise StructureInvalid(f"the workbook does not say which part holds the sheet {sheet!r}")
