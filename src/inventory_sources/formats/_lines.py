"""The physical lines of an input, block by block, with their numbers."""

from __future__ import annotations

import io
from collections.abc import Iterator

from attrs import define, field

from inventory_sources.errors import InputTooLarge
from inventory_sources.formats._text import Block

__all__ = ["Lines"]


@define
class Lines:
    """The physical lines of the blocks as they are asked for, block by block.

    :param number: of the line given last.
    :param record: the lines given since the last record ended.
    :param record_chars: in them.
    :param touched: first line and block of those whose lines were given since it was emptied.
    """

    blocks: Iterator[Block]
    longest: int
    block: Block | None = None
    number: int = 0
    record: list[str] = field(factory=list)
    record_chars: int = 0
    touched: list[tuple[int, Block]] = field(factory=list)
    _ahead: str = ""
    _text: Iterator[str] = field(factory=lambda: iter(()))

    @property
    def ahead(self) -> str:
        """The line of the block that comes next, if any does."""
        return self._ahead

    @property
    def drained(self) -> bool:
        """Whether every line of the block was given."""
        return not self._ahead

    def next_block(self) -> Block | None:
        """Goes on to the next block, without a look into it."""
        self.block, self._ahead = next(self.blocks, None), ""
        return self.block

    def open_block(self, block: Block) -> None:
        """Makes the lines of the block those to be given."""
        block.text(self.number + 1)  # raises for what is no text; the lines are decoded piecemeal, in less memory
        self.touched.append((self.number + 1, block))
        self._text = iter(io.TextIOWrapper(io.BytesIO(block.data), block.codec.name, newline=""))
        self._ahead = next(self._text, "")

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if not self._ahead:
            if (block := self.next_block()) is None:
                raise StopIteration
            self.open_block(block)
        line, self._ahead = self._ahead, next(self._text, "")
        self.number += 1
        self.record.append(line)
        self.record_chars += len(line)
        if self.record_chars > self.longest:
            raise InputTooLarge(f"line {self.number}: the record is longer than {self.longest} characters")
        return line
