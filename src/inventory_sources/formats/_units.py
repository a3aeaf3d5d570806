"""Units of quantities: those of one input are in one unit, because a number of dozens is no number of pieces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import define, field

__all__ = ["Units", "unit_column"]


def unit_column(column: str) -> str:
    """The column of a quantity's unit: ``QTY.33.unit`` for ``QTY.33``, ``SCH.unit`` for ``SCH.quantity``."""
    return f"{column.removesuffix('.quantity')}.unit"


@define
class Units:
    """Takes an input's rows one after the other and finds those whose quantity is in another unit.

    :param columns: the columns of quantities, each with that of its unit.
    :param declared: the unit that each must name; without one it is the first that was named, and a quantity that
        names none is taken to be in it.
    """

    columns: Mapping[str, str]
    declared: str | None
    _first: dict[str, str] = field(factory=dict)

    @classmethod
    def among(cls, columns: Iterable[str], declared: str | None) -> Units:
        """For columns that are named as :func:`unit_column` says."""
        return cls({column: unit_column(column) for column in columns}, declared)

    def fault(self, cells: Mapping[str, str | None]) -> tuple[str, str, str] | None:
        """Why the row must not be used, if so: a reason, what is wrong and what to do."""
        for column, of_unit in self.columns.items():
            if cells.get(column) is None or of_unit not in cells:
                continue
            found = cells[of_unit]
            if self.declared is not None and found != self.declared:
                told = f"is in the unit {found!r}, not {self.declared!r}" if found else "names no unit"
                return "unit_differs", f"{column!r} {told}", "Have it sent in the declared unit, or declare another."
            if found and found != (first := self._first.setdefault(column, found)):
                told = f"{column!r} is in the unit {found!r}, but rows before it are in {first!r}"
                return "unit_differs", told, f"Have all sent in one unit, or declare the one to take: unit={first!r}."
        return None
