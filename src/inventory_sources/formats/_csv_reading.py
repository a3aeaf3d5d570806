"""Reading delimited text: the ``csv`` module decides what it says, polars reads whatever it provably reads alike."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

import polars as pl
from attrs import define, field

from inventory_sources.batch import RawBatch
from inventory_sources.errors import (
    HeadingInvalid,
    InputIncomplete,
    InputTooLarge,
    InventorySourcesError,
    StructureInvalid,
)
from inventory_sources.formats._csv_doubts import Doubt, Doubts
from inventory_sources.formats._csv_heading import LOOKED_AT, find_heading
from inventory_sources.formats._csv_shape import Shape
from inventory_sources.formats._csv_splits import Splits
from inventory_sources.formats._fill_down import FillDown
from inventory_sources.formats._headings import check_headings, likely_delimiter
from inventory_sources.formats._lines import Lines
from inventory_sources.formats._mojibake import mojibake
from inventory_sources.formats._row_cells import RowCells
from inventory_sources.formats._tally import Damage, Tally, selected
from inventory_sources.formats._text import BLOCK_BYTES, Block, Codec, blocks, resolve, without_cut_character
from inventory_sources.formats._trailer import Ending
from inventory_sources.headings import find
from inventory_sources.payload import Payload
from inventory_sources.protocols.decoder import DecodeContext

if TYPE_CHECKING:
    from inventory_sources.formats._csv import CsvDecoder

__all__ = ["CsvReading"]

#: Rows of a batch that ``csv`` reads, to bound the memory that Python's own texts take.
_BATCH_ROWS = 50_000
#: Lines at the front of a file that tell what its columns are like.
_SAMPLE_LINES = 100


def _named(headings: Sequence[str], row: Sequence[str]) -> dict[str, str | None]:
    extra = (f"cell {number}" for number in range(len(headings) + 1, len(row) + 1))
    return dict(zip((*headings, *extra), row, strict=False))


def _rows_above(
    decoder: CsvDecoder, payload: Payload, codec: Codec, heading: tuple[int, Sequence[str]], line: int
) -> list[list[str]]:
    """The first rows of the table, as far as they begin above the line; read again, for they were not kept.

    :param heading: the line on which the heading row begins, and its cells.
    """
    top, names = heading
    rows: list[list[str]] = []
    with payload.open() as stream, suppress(csv.Error):
        stream.seek(codec.mark)
        text = io.TextIOWrapper(stream, codec.name, newline="")
        rows.extend(decoder.rows(islice(text, top - 1, min(line, top + _SAMPLE_LINES) - 1)))
    return [row for row in rows if len(row) == len(names) and row != names and any(row)]


@define
class CsvReading:
    """One payload on its way through a decoder.

    :param columns: those read, with their places: the columns wanted and that of which the trailer holds the sum.
    """

    decoder: CsvDecoder
    payload: Payload
    context: DecodeContext
    _tally: Tally = field(init=False)
    _codec: Codec = field(init=False)
    _lines: Lines = field(init=False)
    _records: Iterator[tuple[int, list[str]]] = field(init=False)
    _top: int = 1
    _headings: tuple[str, ...] = ()
    _heading_record: list[str] = field(factory=list)
    _wanted: tuple[str, ...] = ()
    _columns: dict[str, int] = field(factory=dict)
    _doubts: Doubts = field(init=False)
    _splits: Splits = field(init=False)
    _following: Block | None = None
    _fill: FillDown | None = None
    _ending: Ending | None = None
    _blank_from: int | None = None
    _warned: bool = False

    def batches(self, stream: BinaryIO) -> Iterator[RawBatch]:
        """The rows, block by block."""
        self._tally = Tally(self.payload, self.context, "line")
        self._codec = resolve(self.decoder.encoding, stream.read(4))
        stream.seek(self._codec.mark)
        heading = self._heading_line(stream)
        stream.seek(self._codec.mark)
        self._lines = Lines(self._blocks(stream, heading), self.decoder.max_record_chars)
        self._records = self._read_records()
        self._take_headings(heading)
        self._choose_columns()
        shape = Shape.of(self.decoder, len(self._headings))
        while not self._lines.drained or self._lines.next_block():
            yield (self._fast_batch(shape) if shape and self._lines.drained else None) or self._slow_batch()
        if self._ending is not None:
            self._ending.finish(self._tally)
            return
        if self._blank_from is not None:
            self._tally.doubt_end()
        self._tally.finish()

    def _heading_line(self, stream: BinaryIO) -> int:
        if self.decoder.heading_row != "find":
            return self.decoder.heading_row
        head = stream.read(LOOKED_AT)
        block = Block(self._codec.mark, without_cut_character(head, self._codec), self._codec)
        if head and len(head) < LOOKED_AT:
            self._check_end(block)
        return find_heading(self.decoder, block, self.context) if head else 1

    def _blocks(self, stream: BinaryIO, heading: int) -> Iterator[Block]:
        ahead = blocks(stream, self._codec, BLOCK_BYTES, heading=heading)
        block = next(ahead, None)
        if block is None:
            raise StructureInvalid("the file is empty", guidance="Check the system that writes it.")
        while block is not None:
            self._following = next(ahead, None)
            self._check_end(block)
            if not self._warned and (doubt := mojibake(block, self._lines.number + 1)):
                self.context.warn(f"{self.payload.origin}: {doubt}")
                self._warned = True
            yield block
            block = self._following

    def _check_end(self, block: Block) -> None:
        if not block.ends_line:
            self._require_end("the last record has no line end")

    def _require_end(self, fault: str) -> None:
        if self.decoder.final_newline == "required" and not self.context.evidence.proves_end:
            raise InputIncomplete(f"{fault}, and nothing else proves that this is the end of the file")

    def _read_records(self) -> Iterator[tuple[int, list[str]]]:
        """Each record with the line on which it begins."""
        lines, begin = self._lines, self._lines.number + 1
        try:
            for row in self.decoder.rows(lines):
                yield begin, row
                begin, lines.record_chars = lines.number + 1, 0
                lines.record.clear()
        except csv.Error as error:
            raise self._csv_fault(str(error), begin) from None

    def _csv_fault(self, fault: str, begin: int) -> InventorySourcesError:
        if "field limit" in fault:
            return InputTooLarge(f"line {begin}: a cell is longer than {csv.field_size_limit()} characters")
        if "end of data" in fault:
            self._require_end(f"the quote opened in the record of line {begin} is not closed")
            return StructureInvalid(f"line {begin}: a quote is opened and never closed")
        return StructureInvalid(
            f"line {self._lines.number}, in the record of line {begin}: the quotes are wrong ({fault})",
            guidance="Double the quotes inside of quoted cells; declare quote=None if quotes have no meaning.",
        )

    def _take_headings(self, line: int) -> None:
        self._top = line
        for _ in range(line - 1):
            next(self._lines, None)
            self._lines.record_chars = 0
        if self.decoder.headings is None:
            _, record = next(self._records, (line, None))
            if record is None:
                raise HeadingInvalid(f"the file has {self._lines.number} lines, and no heading row in line {line}")
            self._headings, self._heading_record = check_headings(record), record
        else:
            self._headings, self._heading_record = self.decoder.headings, list(self.decoder.headings)
        try:
            self._wanted = selected(self.context, self._headings)
        except HeadingInvalid as error:
            raise self._with_hint(error) from None

    def _choose_columns(self) -> None:
        decoder, names = self.decoder, self._wanted
        if decoder.trailer is not None:
            added = find(decoder.trailer.sum[0], self._headings) if decoder.trailer.sum else None
            self._ending = Ending(decoder.trailer, added)
            names = (*names, added) if added and added not in names else names
        self._columns = {name: self._headings.index(name) for name in names}
        # Not a method: a reading that refers to itself would keep its files open until the garbage is collected.
        above = partial(_rows_above, decoder, self.payload, self._codec, (self._top, self._heading_record))
        wanted = {name: self._columns[name] for name in self._wanted}
        self._doubts = Doubts(decoder, wanted, above)
        self._splits = Splits.over(decoder, len(self._headings), wanted.values())
        if decoder.fill_down:
            filled = [find(name, self._headings) for name in decoder.fill_down]
            self._fill = FillDown.over(names.index(name) for name in filled if name in names)

    def _with_hint(self, error: HeadingInvalid) -> HeadingInvalid:
        likely = likely_delimiter(self._headings, self.decoder.delimiter) if len(self._headings) == 1 else None
        if likely is None:
            return error
        return HeadingInvalid(
            f"{error.message}; the heading row looks delimited by {likely!r}", guidance=f"Declare delimiter={likely!r}."
        )

    def _fast_batch(self, shape: Shape) -> RawBatch | None:
        block = self._lines.block
        if self._splits.part == self._lines.number or self._part_ahead():
            return None
        proven = shape.proven(block) if block else None
        if block is None or proven is None or (self._ending is not None and self._ending.line is not None):
            return None
        data, rows = proven
        frame = shape.read(data, list(self._columns.values()))
        if frame.height != rows or self._repeats_heading(frame) or self._doubts.may_concern(self._wanted_of(frame)):
            return None
        self._doubts.gap = False
        first = self._lines.number + 1
        self._end_blanks(first)
        self._lines.number += rows
        frame = pl.DataFrame([frame[str(index)].alias(name) for name, index in self._columns.items()])
        numbers = pl.int_range(first, first + rows, dtype=pl.Int64, eager=True)
        return self._batch(self._fill.fill_frame(frame) if self._fill else frame, numbers, [(first, block)])

    def _wanted_of(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select(str(self._columns[name]) for name in self._wanted)

    def _repeats_heading(self, frame: pl.DataFrame) -> bool:
        """Whether a row may be equal to the heading row."""
        place = self._columns[self._wanted[0]]
        return bool((frame[str(place)] == self._heading_record[place]).any())

    def _part_ahead(self) -> bool:
        """Whether what comes next may be a part of the row above it."""
        if not self._lines.drained:
            return self._splits.may_go_on(self._lines.ahead)
        return self._following is not None and self._splits.may_go_on(self._following.first_line)

    def _slow_batch(self) -> RawBatch:
        lines, places, splits = self._lines, tuple(self._columns.values()), self._splits
        if lines.drained and lines.block:
            lines.open_block(lines.block)
        del lines.touched[:-1]
        rows: list[list[str]] = []
        numbers: list[int] = []
        splits.above = None
        for begin, row in self._records:
            if splits.above and splits.is_part(row, lines.record):
                del rows[-1], numbers[-1]
                self._reject_row(*splits.above, splits.doubt(splits.above[0], begin))
            splits.above = None
            if self._is_row(begin, row):
                splits.note(begin, row, lines.record)
                cells = [row[place] for place in places]
                if self._fill:
                    self._fill.fill_row(cells)
                rows.append(cells)
                numbers.append(begin)
            if (lines.drained or len(rows) >= _BATCH_ROWS) and not (splits.above and self._part_ahead()):
                break
        columns = zip(self._columns, zip(*rows, strict=True) if rows else ((),) * len(places), strict=True)
        frame = pl.DataFrame([pl.Series(name, cells, dtype=pl.String) for name, cells in columns])
        return self._batch(frame, pl.Series(numbers, dtype=pl.Int64), lines.touched)

    def _batch(self, frame: pl.DataFrame, numbers: pl.Series, touched: Sequence[tuple[int, Block]]) -> RawBatch:
        if self._ending is not None:
            self._ending.add(frame, numbers)
        return self._tally.batch(frame.select(self._wanted), numbers, self._cells(touched))

    def _is_row(self, begin: int, row: list[str]) -> bool:
        """Whether a record is a row of the table; any other is accounted for here."""
        text = self._lines.record
        if not row:
            self._blank_from = self._blank_from or begin
            self._doubts.gap = True
            return False
        if self._ending is not None and self._ending.takes(begin, row, after_blanks=self._blank_from is not None):
            self._blank_from = None
            return False
        if self._blank_from:
            self._end_blanks(begin)
        if row[0].startswith(self.decoder.skip_rows_starting):
            return False
        if row == self._heading_record:
            if self.decoder.repeated_headings == "refuse":
                self._reject(self._repeated(begin))
            return False
        if len(row) != len(self._headings):
            if self._splits.is_part(row, text):
                self._splits.part = begin
            self._reject(self._ragged(begin, row) if self._tally.keeps_more else None)
            self._doubts.gap = True
            return False
        if doubt := self._doubts.of(begin, row, text) or self._splits.below(begin, text):
            self._reject_row(begin, row, doubt)
            return False
        self._doubts.gap = not any(row)
        return True

    def _reject(self, damage: Damage | None) -> None:
        self._tally.reject(damage)
        if self._fill:
            self._fill.forget()

    def _reject_row(self, begin: int, row: Sequence[str], doubt: Doubt) -> None:
        self._reject(Damage(begin, *doubt, _named(self._headings, row)))

    def _repeated(self, begin: int) -> Damage:
        return Damage(
            begin,
            "heading_repeated",
            f"line {begin} repeats the heading row",
            "Declare repeated_headings='skip' if the headings stand on every page; else two files may have become one.",
            _named(self._headings, self._heading_record),
        )

    def _ragged(self, begin: int, row: list[str]) -> Damage:
        return Damage(
            begin,
            "row_width",
            f"line {begin} has {len(row)} cells where {len(self._headings)} are expected",
            "Correct the row where it is written: a delimiter is missing, or one stands unquoted inside of a cell.",
            _named(self._headings, row),
        )

    def _end_blanks(self, begin: int) -> None:
        """Counts the empty lines before line ``begin`` as damaged, now that they turn out not to be the last."""
        for number in range(self._blank_from or begin, begin):
            self._reject(Damage(number, "row_blank", f"line {number} is empty", "Remove the empty line."))
        self._blank_from = None

    def _cells(self, touched: Sequence[tuple[int, Block]]) -> RowCells:
        decoder, headings = self.decoder, self._headings  # a batch must not hold on to the blocks of this reading
        spans = [(first, block.start, len(block.data)) for first, block in touched]
        return RowCells(lambda lines: _named(headings, next(decoder.rows(lines))), self.payload, self._codec, spans)
