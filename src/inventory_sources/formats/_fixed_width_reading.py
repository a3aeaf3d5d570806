"""Reading text of fixed width, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

import polars as pl
from attrs import define, field

from inventory_sources.batch import RawBatch
from inventory_sources.errors import HeadingInvalid, InputIncomplete, StructureInvalid
from inventory_sources.formats._encoding_hint import read_head
from inventory_sources.formats._lines import Lines
from inventory_sources.formats._mojibake import mojibake
from inventory_sources.formats._row_cells import RowCells
from inventory_sources.formats._tally import Damage, Tally, selected
from inventory_sources.formats._text import BLOCK_BYTES, Block, Codec, blocks, resolve
from inventory_sources.formats._trailer import Ending, Trailer
from inventory_sources.headings import find
from inventory_sources.payload import Payload
from inventory_sources.protocols.decoder import DecodeContext, Inspection

if TYPE_CHECKING:
    from inventory_sources.formats._fixed_width import FixedWidthDecoder

__all__ = ["FixedWidthReading", "inspect_fixed_width"]

_BATCH_ROWS = 50_000
_SAMPLE_ROWS = 10
_WRONG_PLACES = "Correct the line where it is written, or the declared places; `engine.check` shows what they cut out."


@define
class _Cutter:
    """Cuts the needed cells out of lines.

    :param codec: of the bytes that places count; the empty text where they count characters.
    :param width: of a line.
    :param places: begin and end of each cell, from 0 on.
    :param edges: where a needed column begins or ends with no declared one beside it.
    """

    codec: str
    width: int
    places: Sequence[tuple[int, int]]
    edges: Sequence[int]
    stripped: bool

    @classmethod
    def of(cls, decoder: FixedWidthDecoder, codec: Codec, names: Sequence[str]) -> _Cutter:
        """For these columns."""
        every = {name: (start - 1, start - 1 + width) for name, (start, width) in decoder.columns.items()}
        begins, ends = {begin for begin, _ in every.values()}, {end for _, end in every.values()}
        places = [every[name] for name in names]
        edges = {begin for begin, _ in places} - ends | {end for _, end in places} - begins
        counted = codec.name if decoder.unit == "bytes" else ""
        return cls(counted, decoder.line_width or max(ends), places, sorted(edges - {0}), decoder.stripped)

    def between(self, line: str, begin: int, end: int) -> str:
        """What stands there, without the spaces around it.

        :raises UnicodeDecodeError: when that cuts a character in two.
        """
        text = line.encode(self.codec)[begin:end].decode(self.codec) if self.codec else line[begin:end]
        return text.strip(" ")

    def fault(self, line: str) -> tuple[str, str] | None:
        """Why the line is no row: a reason, and in words what it has."""
        if "\t" in line:
            return "row_tab", "has a tab, so that nobody knows where its columns stand"
        units = line.encode(self.codec) if self.codec else line
        length, used = len(units), len(units.rstrip())
        if used > self.width:
            return "row_width", f"is {used} long where {self.width} are expected"
        if not self.stripped and any(begin < length < end for begin, end in self.places):
            return "row_width", f"is {length} long where {self.width} are expected, and ends inside of a column"
        for edge in self.edges:
            if edge < used and units[edge - 1 : edge].strip() and units[edge : edge + 1].strip():
                return "row_place", f"goes on across the edge of a column between {edge} and {edge + 1}"
        return None

    def cells(self, line: str) -> list[str] | tuple[str, str]:
        """The cells, or why the line is no row."""
        if fault := self.fault(line):
            return fault
        try:
            return [self.between(line, begin, end) for begin, end in self.places]
        except UnicodeDecodeError:
            return "row_character", "has a character of several bytes where a column begins or ends"


@define
class FixedWidthReading:
    """One payload on its way through a decoder."""

    decoder: FixedWidthDecoder
    payload: Payload
    context: DecodeContext
    _tally: Tally = field(init=False)
    _codec: Codec = field(init=False)
    _lines: Lines = field(init=False)
    _cutter: _Cutter = field(init=False)
    _wanted: tuple[str, ...] = ()
    _columns: tuple[str, ...] = ()
    _ending: Ending | None = None
    _blank_from: int | None = None
    _warned: bool = False

    def batches(self, stream: BinaryIO) -> Iterator[RawBatch]:
        """The rows, block by block."""
        self._tally = Tally(self.payload, self.context, "line")
        self._codec = resolve(self.decoder.encoding, stream.read(4))
        stream.seek(self._codec.mark)
        self._lines = Lines(self._blocks(stream), self.decoder.max_record_chars)
        self._choose_columns()
        self._pass_titles()
        while not self._lines.drained or self._lines.next_block():
            yield self._batch()
        if self._ending is not None:
            self._ending.finish(self._tally)
            return
        if self._blank_from is not None:
            self._tally.doubt_end()
        self._tally.finish()

    def _blocks(self, stream: BinaryIO) -> Iterator[Block]:
        block = None
        for block in blocks(stream, self._codec, BLOCK_BYTES):
            required = self.decoder.final_newline == "required" and not self.context.evidence.proves_end
            if required and not block.ends_line:
                raise InputIncomplete(
                    "the last line has no line end, and nothing else proves that this is the end of the file"
                )
            if not self._warned and (doubt := mojibake(block, self._lines.number + 1)):
                self.context.warn(f"{self.payload.origin}: {doubt}")
                self._warned = True
            yield block
        if block is None:
            raise StructureInvalid("the file is empty", guidance="Check the system that writes it.")

    def _choose_columns(self) -> None:
        headings, trailer = tuple(self.decoder.columns), self.decoder.trailer
        self._wanted = self._columns = selected(self.context, headings)
        if trailer is not None:
            added = find(trailer.sum[0], headings) if trailer.sum else None
            # The cells of the line are put side by side for it.
            known = Trailer(
                trailer.starts,
                2 if trailer.count else None,
                (added, 3) if added else None,
                quantity_format=trailer.quantity_format,
            )
            self._ending = Ending(known, added)
            self._columns += (added,) if added and added not in self._wanted else ()
        self._cutter = _Cutter.of(self.decoder, self._codec, self._columns)

    def _pass_titles(self) -> None:
        for _ in range(self.decoder.title_lines):
            if self._next() is None:
                raise HeadingInvalid(
                    f"the file has {self._lines.number} lines, fewer than the {self.decoder.title_lines} title lines"
                )

    def _next(self) -> str | None:
        line = next(self._lines, None)
        self._lines.record_chars = 0
        self._lines.record.clear()
        return line

    def _batch(self) -> RawBatch:
        lines = self._lines
        if lines.drained and lines.block:
            lines.open_block(lines.block)
        del lines.touched[:-1]
        rows: list[list[str]] = []
        numbers: list[int] = []
        while (line := self._next()) is not None:
            if (cells := self._row(line.rstrip("\r\n"))) is not None:
                rows.append(cells)
                numbers.append(lines.number)
            if lines.drained or len(rows) >= _BATCH_ROWS:
                break
        columns = zip(self._columns, zip(*rows, strict=True) if rows else ((),) * len(self._columns), strict=True)
        frame = pl.DataFrame([pl.Series(name, cells, dtype=pl.String) for name, cells in columns])
        places = pl.Series(numbers, dtype=pl.Int64)
        if self._ending is not None:
            self._ending.add(frame, places)
        return self._tally.batch(frame.select(self._wanted), places, self._cells())

    def _row(self, line: str) -> list[str] | None:
        """The cells of a row; a line that is none is accounted for here."""
        number = self._lines.number
        if not line.strip(" "):
            self._blank_from = self._blank_from or number
            return None
        if self._ending is not None and self._ends(number, line):
            self._blank_from = None
            return None
        for blank in range(self._blank_from or number, number):
            self._tally.reject(Damage(blank, "row_blank", f"line {blank} is empty", "Remove the empty line."))
        self._blank_from = None
        if line.startswith(self.decoder.skip_rows_starting):
            return None
        cells = self._cutter.cells(line)
        if isinstance(cells, tuple):
            reason, fault = cells
            self._tally.reject(
                Damage(number, reason, f"line {number} {fault}", _WRONG_PLACES, {"line": line})
                if self._tally.keeps_more
                else None
            )
            return None
        return cells

    def _ends(self, number: int, line: str) -> bool:
        trailer, ending = self.decoder.trailer, self._ending
        if trailer is None or ending is None:
            return False
        row = [line]
        if line.startswith(trailer.starts):
            row += [self._part(line, trailer.count), self._part(line, trailer.sum[1:] if trailer.sum else None)]
        return ending.takes(number, row, after_blanks=self._blank_from is not None)

    def _part(self, line: str, place: tuple[int, int] | None) -> str:
        try:
            return self._cutter.between(line, place[0] - 1, sum(place) - 1) if place else ""
        except UnicodeDecodeError:
            return "?"

    def _cells(self) -> RowCells:
        cutter = _Cutter.of(self.decoder, self._codec, tuple(self.decoder.columns))
        spans = [(first, block.start, len(block.data)) for first, block in self._lines.touched]

        def cells(lines: Iterator[str]) -> dict[str, str | None]:
            found = cutter.cells(next(lines).rstrip("\r\n"))
            return dict(zip(self.decoder.columns, found, strict=True)) if isinstance(found, list) else {}

        return RowCells(cells, self.payload, self._codec, spans)


def inspect_fixed_width(decoder: FixedWidthDecoder, head: bytes, *, complete: bool) -> Inspection:
    """Columns, sample, suggestions and problems; never raises for bad input."""
    read = read_head(head, decoder.encoding)
    problems = list(read.problems)
    lines = read.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if not complete and len(lines) > 1:
        lines.pop()
    cutter = _Cutter.of(decoder, Codec(read.suggestions.get("encoding", decoder.encoding)), tuple(decoder.columns))
    sample: list[tuple[str, ...]] = []
    for number, line in enumerate(lines, 1):
        apart = (*decoder.skip_rows_starting, *((decoder.trailer.starts,) if decoder.trailer else ()))
        if number <= decoder.title_lines or not line.strip(" ") or line.startswith(apart):
            continue
        cells = cutter.cells(line)
        if isinstance(cells, list):
            sample.append(tuple(cells))
        else:
            problems.append(f"line {number} {cells[1]}")
        if len(sample) + len(problems) >= _SAMPLE_ROWS:
            break
    return Inspection(tuple(decoder.columns), tuple(sample), dict(read.suggestions), tuple(problems))
