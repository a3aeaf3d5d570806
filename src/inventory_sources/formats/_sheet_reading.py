"""Reading a sheet: the workbook is looked over before it is opened, then its rows become text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

import polars as pl
from attrs import define, field

from inventory_sources._zip import ZIP_MAGIC, ZipArchive, find_directory
from inventory_sources.batch import RawBatch
from inventory_sources.errors import (
    HeadingInvalid,
    InputIncomplete,
    InventorySourcesError,
    MissingExtra,
    StructureInvalid,
)
from inventory_sources.formats._cells import (
    CELL_ERROR,
    Refused,
    SheetRow,
    cell_name,
    column_texts,
    identifier_text,
    repaired,
    shown,
    value_text,
)
from inventory_sources.formats._headings import check_headings, fold
from inventory_sources.formats._ods import OdsSheet
from inventory_sources.formats._tally import Damage, Tally, selected
from inventory_sources.formats._xls_records import check_xls
from inventory_sources.formats._xlsx_parts import check_xlsx, error_cells
from inventory_sources.payload import Payload, Proof
from inventory_sources.protocols.decoder import DecodeContext, Inspection

if TYPE_CHECKING:
    from inventory_sources.formats.spreadsheet import SpreadsheetDecoder

__all__ = ["SheetReading", "inspect_workbook"]

_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MOST_PARTS = 4096
_BATCH_ROWS = 20_000
_SAMPLE_ROWS = 10


def _no_workbook() -> StructureInvalid:
    return StructureInvalid(
        "the input is no XLSX, XLS or ODS workbook", guidance="Open it to see what it is: often it is CSV or HTML."
    )


@define
class _Sheet:
    """One sheet of an open workbook.

    :param left: columns that stand empty before the first one read.
    :param rows: those that are not empty.
    """

    left: int
    rows: Iterator[SheetRow]


def _open(decoder: SpreadsheetDecoder, stream: BinaryIO, *, proven: bool) -> _Sheet:
    """The declared sheet.

    :param proven: whether something else proves the input whole, so that an end that is missing is damage.
    """
    head = stream.read(8)
    if head and _COMPOUND.startswith(head):
        errors = check_xls(stream, decoder, proven=proven)
        return _calamine_sheet(decoder, stream, errors)
    if not head:
        raise StructureInvalid("the file is empty", guidance="Check the system that writes it.")
    if not ZIP_MAGIC.startswith(head[: len(ZIP_MAGIC)]):
        raise _no_workbook()
    directory = find_directory(stream, "the workbook")
    if directory is None:
        if proven:
            raise StructureInvalid("the workbook is damaged: its directory of parts is not at its end")
        raise InputIncomplete("the workbook does not end where it should, and may still be growing")
    parts = ZipArchive(stream, directory, "the workbook", _MOST_PARTS, decoder.max_decoded_bytes, decoder.max_ratio)
    parts.check(parts.members.values())
    if "xl/workbook.xml" in parts.members:
        check_xlsx(parts, decoder.max_cells)
        return _calamine_sheet(decoder, stream, partial(error_cells, parts))
    if "content.xml" not in parts.members:
        raise _no_workbook()
    return _ods_sheet(decoder, parts)


def _ods_sheet(decoder: SpreadsheetDecoder, parts: ZipArchive) -> _Sheet:
    sheet = OdsSheet(parts, decoder.sheet)

    def rows() -> Iterator[SheetRow]:
        yield from sheet.rows()
        if decoder.sheet not in sheet.names and decoder.sheet not in range(1, len(sheet.names) + 1):
            raise _no_sheet(decoder.sheet, sheet.names)

    return _Sheet(0, rows())


def _no_sheet(sheet: str | int, names: Sequence[str]) -> StructureInvalid:
    return StructureInvalid(
        f"the workbook has no sheet {sheet!r}; it has {', '.join(map(repr, names[:20])) or 'none'}",
        guidance="Declare the sheet by one of its names, or by its number.",
    )


@contextmanager
def _calamine_faults() -> Iterator[None]:
    from python_calamine import CalamineError, PasswordError

    try:
        yield
    except PasswordError:
        raise StructureInvalid("the workbook is encrypted", guidance="Have it sent without a password.") from None
    except (CalamineError, OSError, ValueError, OverflowError):
        raise StructureInvalid("the workbook is damaged") from None
    except BaseException as error:
        # What Rust calls a panic is no Exception, and its class cannot be imported.
        if type(error).__name__ != "PanicException":
            raise
        raise StructureInvalid("the workbook is damaged") from None


def _calamine_sheet(
    decoder: SpreadsheetDecoder, stream: BinaryIO, errors_of: Callable[[str], set[tuple[int, int]]]
) -> _Sheet:
    try:
        from python_calamine import CalamineWorkbook
    except ImportError:
        raise MissingExtra("Reading spreadsheets", "excel") from None
    stream.seek(0)
    with _calamine_faults():
        book = CalamineWorkbook.from_filelike(stream)
        names, wanted = book.sheet_names, decoder.sheet
        name = wanted if isinstance(wanted, str) else names[wanted - 1] if wanted <= len(names) else None
        if name is None or name not in names:
            raise _no_sheet(wanted, names)
        sheet = book.get_sheet_by_name(name)
    left = sheet.start[1] if sheet.start else 0
    return _Sheet(left, _filled(sheet, left, errors_of(name)))


def _filled(sheet: Any, left: int, errors: set[tuple[int, int]]) -> Iterator[SheetRow]:
    by_row: dict[int, list[int]] = {}
    for row, column in errors:
        by_row.setdefault(row, []).append(column - 1 - left)
    rows = iter(sheet.iter_rows())
    number = 0
    while True:
        with _calamine_faults():
            block = list(islice(rows, 1000))
        if not block:
            return
        numbered = list(enumerate(block, number + 1))
        number += len(block)
        for at, cells in numbered if by_row else ():
            for column in by_row.get(at, ()):
                cells[column] = CELL_ERROR
        yield from [row for row in numbered if row[1][0] != "" or row[1].count("") != len(row[1])]


def _heading_texts(decoder: SpreadsheetDecoder, row: Sequence[object]) -> tuple[str, ...]:
    found = [value_text(cell) for cell in row]
    for column, cell in enumerate(found, 1):
        if isinstance(cell, Refused):
            raise HeadingInvalid(f"in the heading row, column {column} {cell.fault}")
    texts = [cell for cell in found if isinstance(cell, str)]
    while texts and not texts[-1].strip():
        texts.pop()
    return check_headings(texts)


@define
class SheetReading:
    """One payload on its way through a decoder."""

    decoder: SpreadsheetDecoder
    payload: Payload
    context: DecodeContext
    _tally: Tally = field(init=False)
    _headings: tuple[str, ...] = ()
    _left: int = 0
    _wanted: dict[str, tuple[int, Callable[[object], str | Refused]]] = field(factory=dict)
    _last: int = 0

    def batches(self) -> Iterator[RawBatch]:
        """The rows, some thousand at a time."""
        self._tally = Tally(self.payload, self.context, "row")
        with self.payload.open() as stream:
            sheet = _open(self.decoder, stream, proven=self.context.evidence.proves_end)
            self._left = sheet.left
            self._take_headings(sheet)
            self._last = self.decoder.heading_row
            while rows := list(islice(sheet.rows, _BATCH_ROWS)):
                yield self._batch(rows)
        self.context.prove(Proof.TRAILER)
        self._tally.finish()

    def _take_headings(self, sheet: _Sheet) -> None:
        found = next((row for row in sheet.rows if row[0] >= self.decoder.heading_row), None)
        if found is None or found[0] != self.decoder.heading_row:
            raise HeadingInvalid(
                f"the heading row, {self.decoder.heading_row}, is blank", guidance="Declare heading_row, or the sheet."
            )
        self._headings = _heading_texts(self.decoder, found[1])
        known = {fold(heading): heading for heading in self._headings}
        if missing := [name for name in self.decoder.identifiers if fold(name) not in known]:
            raise HeadingInvalid(
                f"there is no column {', '.join(map(repr, missing))}, declared to hold identifiers, "
                f"among {', '.join(self._headings)}"
            )
        self._wanted = {
            name: (self._headings.index(name), self._reader(name)) for name in selected(self.context, self._headings)
        }

    def _reader(self, heading: str) -> Callable[[object], str | Refused]:
        rules = {fold(name): rule for name, rule in self.decoder.repair.items()}
        if fold(heading) in rules:
            return repaired(rules[fold(heading)])
        return identifier_text if fold(heading) in map(fold, self.decoder.identifiers) else value_text

    def _batch(self, rows: list[SheetRow]) -> RawBatch:
        good = self._of_right_width(rows)
        columns = {name: column_texts(_column(good, at), read) for name, (at, read) in self._wanted.items()}
        refused = self._refuse(good, columns)
        kept = [at for at in range(len(good)) if at not in refused] if refused else range(len(good))
        frame = pl.DataFrame(
            [
                pl.Series(name, [column[at] for at in kept] if refused else column, dtype=pl.String)
                for name, column in columns.items()
            ]
        )
        numbers = pl.Series([good[at][0] for at in kept], dtype=pl.Int64)
        return self._tally.batch(frame, numbers, partial(self._cells, dict(good)))

    def _of_right_width(self, rows: list[SheetRow]) -> list[SheetRow]:
        """The rows without those that go on beyond the headings; notes empty rows between them."""
        good, width = [], len(self._headings)
        if rows[-1][0] == self._last + len(rows) and max(len(cells) for _, cells in rows) <= width:
            self._last = rows[-1][0]
            return rows
        for row in rows:
            number, cells = row
            if number != self._last + 1:
                for blank in range(self._last + 1, number):
                    self._tally.reject(_blank(blank) if self._tally.keeps_more else None)
            self._last = number
            if len(cells) > width and cells[width:].count("") != len(cells) - width:
                self._tally.reject(self._too_wide(number, cells) if self._tally.keeps_more else None)
            else:
                good.append(row)
        return good

    def _refuse(self, rows: list[SheetRow], columns: Mapping[str, list[str | Refused]]) -> set[int]:
        """Counts rows with a cell that is not taken as damaged, by the first such cell."""
        found: dict[int, tuple[str, Refused]] = {}
        for name, column in columns.items():
            if set(map(type, column)) - {str}:
                for at, cell in enumerate(column):
                    if isinstance(cell, Refused):
                        found.setdefault(at, (name, cell))
        for at, (name, cell) in sorted(found.items()):
            self._tally.reject(self._damage(rows[at], name, cell) if self._tally.keeps_more else None)
        return set(found)

    def _damage(self, row: SheetRow, heading: str, cell: Refused) -> Damage:
        number, cells = row
        place = cell_name(number, self._left + self._wanted[heading][0] + 1)
        return Damage(number, cell.reason, f"{place} ({heading}) {cell.fault}", cell.guidance, self._named(cells))

    def _too_wide(self, number: int, cells: Sequence[object]) -> Damage:
        width = len(self._headings)
        at = next(at for at, cell in enumerate(cells[width:], width) if cell != "")
        message = f"{cell_name(number, self._left + at + 1)} is filled, right of the last heading"
        return Damage(number, "row_width", message, "Give the column a heading or clear the cell.", self._named(cells))

    def _named(self, cells: Sequence[object]) -> dict[str, str | None]:
        rest = (f"cell {number}" for number in range(len(self._headings) + 1, len(cells) + 1))
        return {name: shown(cell) for name, cell in zip((*self._headings, *rest), cells, strict=False)}

    def _cells(self, rows: Mapping[int, Sequence[object]], number: int) -> dict[str, str | None]:
        return self._named(rows[number][: len(self._headings)])


def _column(rows: Sequence[SheetRow], at: int) -> list[Any]:
    """The cells of a column; a row may be shorter."""
    try:
        return [cells[at] for _, cells in rows]
    except IndexError:
        return [cells[at] if at < len(cells) else "" for _, cells in rows]


def _blank(number: int) -> Damage:
    return Damage(number, "row_blank", f"row {number} is empty", "Remove the empty row.")


def inspect_workbook(decoder: SpreadsheetDecoder, head: bytes, *, complete: bool) -> Inspection:
    """Headings, sample and problems; never raises for bad input."""
    if not complete:
        return Inspection((), problems=("a workbook can be looked at only when it is whole",))
    context = DecodeContext()
    reading = SheetReading(decoder, Payload("workbook", head), context)
    try:
        first = next(reading.batches(), None)
    except MissingExtra:
        raise
    except InventorySourcesError as error:
        return Inspection(reading._headings, problems=(error.message,))  # noqa: SLF001
    rows = first.frame.head(_SAMPLE_ROWS).rows() if first else []
    return Inspection(reading._headings, tuple(rows), {}, ())  # noqa: SLF001
