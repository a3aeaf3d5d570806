"""Reading delimited text: the ``csv`` module decides what it says, polars reads whatever it provably reads alike."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
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
from inventory_sources.formats._csv_shape import Shape
from inventory_sources.formats._headings import check_headings, likely_delimiter
from inventory_sources.formats._lines import Lines
from inventory_sources.formats._tally import Damage, Tally, selected
from inventory_sources.formats._text import BLOCK_BYTES, Block, Codec, blocks, resolve
from inventory_sources.payload import Payload
from inventory_sources.protocols.decoder import DecodeContext

if TYPE_CHECKING:
    from inventory_sources.formats._csv import CsvDecoder

__all__ = ["CsvReading"]

#: Rows of a batch that ``csv`` reads, to bound the memory that Python's own texts take.
_BATCH_ROWS = 50_000


@define
class _Cells:
    """Gives the complete cells of a row, which were not kept, by reading the row again.

    :param spans: first line, byte offset and length of each block that the rows begin in.
    """

    decoder: CsvDecoder
    payload: Payload
    codec: Codec
    headings: tuple[str, ...]
    spans: list[tuple[int, int, int]]
    _starts: dict[int, Sequence[int]] = field(factory=dict)

    def __call__(self, number: int) -> dict[str, str | None]:
        with self.payload.open() as stream:
            stream.seek(self._offset(number, stream))
            lines = io.TextIOWrapper(stream, self.codec.name, newline="")
            return _named(self.headings, next(self.decoder.rows(lines)))

    def _offset(self, number: int, stream: BinaryIO) -> int:
        first, start, size = max(span for span in self.spans if span[0] <= number)
        if first not in self._starts:
            stream.seek(start)
            self._starts[first] = Block(start, stream.read(size), self.codec).line_starts()
        return self._starts[first][number - first]


def _named(headings: Sequence[str], row: Sequence[str]) -> dict[str, str | None]:
    extra = (f"cell {number}" for number in range(len(headings) + 1, len(row) + 1))
    return dict(zip((*headings, *extra), row, strict=False))


@define
class CsvReading:
    """One payload on its way through a decoder."""

    decoder: CsvDecoder
    payload: Payload
    context: DecodeContext
    _tally: Tally = field(init=False)
    _codec: Codec = field(init=False)
    _lines: Lines = field(init=False)
    _records: Iterator[tuple[int, list[str]]] = field(init=False)
    _headings: tuple[str, ...] = ()
    _wanted: dict[str, int] = field(factory=dict)
    _blank_from: int | None = None

    def batches(self, stream: BinaryIO) -> Iterator[RawBatch]:
        """The rows, block by block."""
        self._tally = Tally(self.payload, self.context, "line")
        self._codec = resolve(self.decoder.encoding, stream.read(4))
        stream.seek(self._codec.mark)
        self._lines = Lines(self._blocks(stream), self.decoder.max_record_chars)
        self._records = self._read_records()
        self._take_headings()
        shape = Shape.of(self.decoder, len(self._headings))
        while not self._lines.drained or self._lines.next_block():
            yield (self._fast_batch(shape) if shape and self._lines.drained else None) or self._slow_batch()
        if self._blank_from is not None:
            self._tally.doubt_end()
        self._tally.finish()

    def _blocks(self, stream: BinaryIO) -> Iterator[Block]:
        block = None
        for block in blocks(stream, self._codec, BLOCK_BYTES):
            if not block.ends_line:
                self._require_end("the last record has no line end")
            yield block
        if block is None:
            raise StructureInvalid("the file is empty", guidance="Check the system that writes it.")

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

    def _take_headings(self) -> None:
        if self.decoder.headings is None:
            self._headings = check_headings(next(self._records)[1])
        else:
            self._headings = self.decoder.headings
        try:
            wanted = selected(self.context, self._headings)
        except HeadingInvalid as error:
            raise self._with_hint(error) from None
        self._wanted = {name: self._headings.index(name) for name in wanted}

    def _with_hint(self, error: HeadingInvalid) -> HeadingInvalid:
        likely = likely_delimiter(self._headings, self.decoder.delimiter) if len(self._headings) == 1 else None
        if likely is None:
            return error
        return HeadingInvalid(
            f"{error.message}; the heading row looks delimited by {likely!r}", guidance=f"Declare delimiter={likely!r}."
        )

    def _fast_batch(self, shape: Shape) -> RawBatch | None:
        block = self._lines.block
        proven = shape.proven(block) if block else None
        if block is None or proven is None:
            return None
        data, rows = proven
        frame = shape.read(data, list(self._wanted.values()))
        if frame.height != rows:
            return None
        first = self._lines.number + 1
        self._end_blanks(first)
        self._lines.number += rows
        frame = pl.DataFrame([frame[str(index)].alias(name) for name, index in self._wanted.items()])
        numbers = pl.int_range(first, first + rows, dtype=pl.Int64, eager=True)
        return self._tally.batch(frame, numbers, self._cells([(first, block)]))

    def _slow_batch(self) -> RawBatch:
        lines, width, wanted = self._lines, len(self._headings), tuple(self._wanted.values())
        if lines.drained and lines.block:
            lines.open_block(lines.block)
        del lines.touched[:-1]
        rows: list[list[str]] = []
        numbers: list[int] = []
        for begin, row in self._records:
            if len(row) == width:
                rows.append([row[index] for index in wanted])
                numbers.append(begin)
            if not row:
                self._blank_from = self._blank_from or begin
            elif self._blank_from or len(row) != width:
                self._reject(begin, row)
            if lines.drained or len(rows) >= _BATCH_ROWS:
                break
        columns = zip(self._wanted, zip(*rows, strict=True) if rows else ((),) * len(wanted), strict=True)
        frame = pl.DataFrame([pl.Series(name, cells, dtype=pl.String) for name, cells in columns])
        return self._tally.batch(frame, pl.Series(numbers, dtype=pl.Int64), self._cells(lines.touched))

    def _reject(self, begin: int, row: list[str]) -> None:
        self._end_blanks(begin)
        if len(row) != len(self._headings):
            self._tally.reject(self._ragged(begin, row) if self._tally.keeps_more else None)

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
            self._tally.reject(Damage(number, "row_blank", f"line {number} is empty", "Remove the empty line."))
        self._blank_from = None

    def _cells(self, touched: Sequence[tuple[int, Block]]) -> _Cells:
        spans = [(first, block.start, len(block.data)) for first, block in touched]
        return _Cells(self.decoder, self.payload, self._codec, self._headings, spans)
