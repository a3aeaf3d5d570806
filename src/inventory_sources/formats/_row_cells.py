"""The complete cells of a row of text, which were not kept: read again from the input when somebody asks."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

from attrs import define, field

from inventory_sources.formats._text import Block, Codec
from inventory_sources.payload import Payload

__all__ = ["RowCells"]


@define
class RowCells:
    """Gives the cells of the row that begins on a line.

    :param read: the cells of the row with which these lines begin.
    :param spans: first line, byte offset and length of each block that the rows begin in.
    """

    read: Callable[[Iterator[str]], dict[str, str | None]]
    payload: Payload
    codec: Codec
    spans: list[tuple[int, int, int]]
    _starts: dict[int, Sequence[int]] = field(factory=dict)

    def __call__(self, number: int) -> dict[str, str | None]:
        with self.payload.open() as stream:
            stream.seek(self._offset(number, stream))
            with io.TextIOWrapper(stream, self.codec.name, newline="") as lines:
                return self.read(lines)

    def _offset(self, number: int, stream: BinaryIO) -> int:
        first, start, size = max(span for span in self.spans if span[0] <= number)
        if first not in self._starts:
            stream.seek(start)
            self._starts[first] = Block(start, stream.read(size), self.codec).line_starts()
        return self._starts[first][number - first]
