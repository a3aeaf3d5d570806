"""Bytes of any size, cut into rows that fit every server's packet limit (16 MiB by default on MariaDB)."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import cached_property
from itertools import groupby
from typing import Any

from attrs import define
from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Insert,
    ScalarSelect,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
)

__all__ = ["ChunkKind", "Chunks"]

#: MariaDB's driver sends bytes escaped, at worst twice as long, which still fits.
_CHUNK = 4 * 1024 * 1024


class ChunkKind(Enum):
    """Whose bytes they are."""

    LEDGER = "ledger"
    HELD = "held"
    DELIVERY = "delivery"


@define(slots=False)
class Chunks:
    """The bytes in a table; its statements are built once."""

    table: Table

    def save(self, connection: Connection, source: str, kind: ChunkKind, number: int, data: bytes) -> None:
        """Keeps ``data`` under ``number``; empty bytes take a row, too."""
        for part, start in enumerate(range(0, len(data) or 1, _CHUNK)):
            row = {"source": source, "kind": kind.value, "number": number, "part": part}
            connection.execute(self._insert, {**row, "data": data[start : start + _CHUNK]})

    def load(
        self, connection: Connection, source: str, kind: ChunkKind, numbers: Sequence[int] | None = None
    ) -> dict[int, bytes]:
        """Everything of a kind, or under ``numbers``, in the order of the numbers."""
        query = self._select if numbers is None else self._select.where(self.table.c.number.in_(numbers))
        found = connection.execute(query, {"of": source, "what": kind.value})
        parts = groupby(found, key=lambda row: int(row.number))
        return {number: b"".join(row.data for row in rows) for number, rows in parts}

    def size(self, source: ColumnElement[str], number: ColumnElement[int]) -> ScalarSelect[int]:
        """The length in bytes of a delivery's body, as part of a query."""
        columns = self.table.c
        of_it = (columns.source == source, columns.kind == ChunkKind.DELIVERY.value, columns.number == number)
        return select(func.coalesce(func.sum(func.length(columns.data)), 0)).where(*of_it).scalar_subquery()

    def drop(self, connection: Connection, source: str, kind: ChunkKind, numbers: Sequence[int] | None = None) -> None:
        """Deletes everything of a kind, or what is under ``numbers``."""
        statement = self._delete if numbers is None else self._delete.where(self.table.c.number.in_(numbers))
        connection.execute(statement, {"of": source, "what": kind.value})

    def last_number(self, connection: Connection, source: str, kind: ChunkKind) -> int:
        """The highest number in use; 0 when there is none."""
        return connection.execute(self._last, {"of": source, "what": kind.value}).scalar() or 0

    def _chosen(self) -> ColumnElement[bool]:
        columns = self.table.c
        return and_(columns.source == bindparam("of"), columns.kind == bindparam("what"))

    @cached_property
    def _insert(self) -> Insert:
        return insert(self.table)

    @cached_property
    def _select(self) -> Select[Any]:
        columns = self.table.c
        chosen = select(columns.number, columns.data).where(self._chosen())
        return chosen.order_by(columns.number, columns.part)

    @cached_property
    def _delete(self) -> Delete:
        return delete(self.table).where(self._chosen())

    @cached_property
    def _last(self) -> Select[Any]:
        return select(func.max(self.table.c.number)).where(self._chosen())
