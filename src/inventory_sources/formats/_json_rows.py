"""JSON objects as rows: which columns they have, and their cells as text."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

import polars as pl
from attrs import define, field

from inventory_sources.batch import RawBatch
from inventory_sources.errors import HeadingInvalid, InputTooLarge
from inventory_sources.formats._tally import Damage, Tally

__all__ = ["Keys", "batch", "flat"]

_MOST_HEADINGS = 16_384
_CELL_TYPES = {str, type(None)}


@define
class Keys:
    """The keys met so far, as deep as objects go."""

    leaves: dict[str, None] = field(factory=dict)
    branches: dict[str, Keys] = field(factory=dict)

    def take(self, records: Collection[dict[str, Any]]) -> None:
        """Takes in the keys of many objects, at once where none of them holds another."""
        if dict in set(map(type, chain.from_iterable(map(dict.values, records)))):
            for record in records:
                self.add(record)
        else:
            self.leaves.update(dict.fromkeys(chain.from_iterable(records)))

    def add(self, record: Mapping[str, Any]) -> None:
        """Takes in the keys of one more object."""
        for key, value in record.items():
            if type(value) is dict:
                self.branches.setdefault(key, Keys()).add(value)
            elif key not in self.leaves:
                self.leaves[key] = None

    def paths(self) -> dict[str, tuple[str, ...]]:
        """Each heading (a dotted path) with the keys it stands for.

        :raises HeadingInvalid: when a key that holds a dot makes two paths look alike.
        :raises InputTooLarge: when there are more headings than a spreadsheet has columns.
        """
        found: dict[str, tuple[str, ...]] = {}
        for path in self.walk():
            heading = ".".join(path)
            if heading in found:
                raise HeadingInvalid(f"two places of the records are both called {heading!r}")
            found[heading] = path
        if len(found) > _MOST_HEADINGS:
            raise InputTooLarge(f"the records have {len(found)} different keys; at most {_MOST_HEADINGS} are read")
        return found

    def walk(self) -> Iterator[tuple[str, ...]]:
        """The keys that lead to each value."""
        yield from ((leaf,) for leaf in self.leaves)
        for key, branch in self.branches.items():
            yield from ((key, *path) for path in branch.walk())


def flat(record: Mapping[str, Any]) -> dict[str, str | None]:
    """A record's cells by heading, for a person to read: lists and booleans as JSON, shortened."""
    cells: dict[str, str | None] = {}
    for key, value in record.items():
        if isinstance(value, dict):
            cells.update({f"{key}.{inner}": cell for inner, cell in flat(value).items()})
        else:
            cells[key] = value if value is None or isinstance(value, str) else json.dumps(value)[:200]
    return cells


def _column(path: tuple[str, ...], records: Sequence[Mapping[str, Any]]) -> list[Any]:
    *above, last = path
    if not above:
        return [record.get(last) for record in records]
    objects: list[Any] = list(records)
    for key in above:
        objects = [holder.get(key) if type(holder) is dict else None for holder in objects]
    return [holder.get(last) if type(holder) is dict else None for holder in objects]


def batch(
    tally: Tally, columns: Mapping[str, tuple[str, ...]], numbers: Sequence[int], records: Sequence[Mapping[str, Any]]
) -> RawBatch:
    """These records as one batch; one with a cell that is no text, number or null is damaged (``cell_type``).

    :param columns: the headings to keep, each with its keys.
    :param numbers: the records' own, ascending.
    """
    cells = {heading: _column(path, records) for heading, path in columns.items()}
    faults = _faults(cells)
    for row in sorted(faults):
        tally.reject(_damage(numbers[row], faults[row], records[row]) if tally.keeps_more else None)
    good = [row for row in range(len(records)) if row not in faults] if faults else range(len(records))
    frame = pl.DataFrame(
        [
            pl.Series(heading, [column[row] for row in good] if faults else column, dtype=pl.String)
            for heading, column in cells.items()
        ]
    )
    kept = pl.Series([numbers[row] for row in good] if faults else list(numbers), dtype=pl.Int64)
    return tally.batch(frame, kept, partial(_cells, numbers, records))


def _cells(numbers: Sequence[int], records: Sequence[Mapping[str, Any]], number: int) -> dict[str, str | None]:
    return flat(records[bisect_left(numbers, number)])


def _faults(cells: Mapping[str, list[Any]]) -> dict[int, str]:
    """The heading of a cell that cannot be one, by row."""
    faults: dict[int, str] = {}
    for heading, column in cells.items():
        if not set(map(type, column)) <= _CELL_TYPES or not _is_unicode("".join(filter(None, column))):
            faults.update((row, heading) for row, cell in enumerate(column) if not _is_cell(cell))
    return faults


def _is_cell(cell: object) -> bool:
    return cell is None or (isinstance(cell, str) and _is_unicode(cell))


def _is_unicode(text: str) -> bool:
    # JSON can spell half of a surrogate pair, which is no character.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _damage(number: int, heading: str, record: Mapping[str, Any]) -> Damage:
    return Damage(
        number,
        "cell_type",
        f"the value at {heading!r} is not a text, a number or null",
        "Map the key that holds the value itself, or have it sent as a text or number.",
        flat(record),
    )
