"""Columns whose blank cells mean the value of the row above."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from attrs import define

from inventory_sources.formats._csv_padded import BLANKS

if TYPE_CHECKING:
    import polars as pl

__all__ = ["FillDown"]


@define
class FillDown:
    """Fills the blank cells of some columns, batch after batch.

    :param last: for each column, by its place in a row, what a blank cell means now; the empty text for nothing.
    """

    last: dict[int, str]

    @classmethod
    def over(cls, places: Iterable[int]) -> FillDown:
        """For these columns, at the beginning of a file."""
        return cls(dict.fromkeys(places, ""))

    def forget(self) -> None:
        """After a row that could not be read: what it held is not known, so it is not filled in either."""
        self.last = dict.fromkeys(self.last, "")

    def fill_row(self, cells: list[str]) -> None:
        """Fills the row in place."""
        for place, last in self.last.items():
            if cells[place].strip(BLANKS):
                self.last[place] = cells[place]
            elif last:
                cells[place] = last

    def fill_frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows, none damaged between them, filled."""
        import polars as pl

        for place, last in self.last.items():
            cells = frame.to_series(place)
            blank = cells.str.strip_chars(BLANKS) == ""
            held = pl.select(pl.when(blank).then(None).otherwise(cells)).to_series().fill_null(strategy="forward")
            # A blank cell above which nothing stands keeps what it has.
            filled = held.fill_null(last) if last else held.zip_with(held.is_not_null(), cells)
            frame = frame.with_columns(filled.alias(cells.name))
            self.last[place] = held[-1] or last
        return frame
