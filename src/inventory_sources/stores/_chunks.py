"""Bytes of any size, cut into rows that fit every server's packet limit (16 MiB by default on MariaDB)."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from itertools import groupby

from sqlalchemy import Connection, Table, delete, func, insert, select

__all__ = ["ChunkKind", "drop_chunks", "last_number", "load_chunks", "save_chunks"]

#: MariaDB's driver sends bytes escaped, at worst twice as long, which still fits.
_CHUNK = 4 * 1024 * 1024


class ChunkKind(Enum):
    """Whose bytes they are."""

    LEDGER = "ledger"
    HELD = "held"
    DELIVERY = "delivery"


def save_chunks(connection: Connection, table: Table, source: str, kind: ChunkKind, number: int, data: bytes) -> None:
    """Keeps ``data`` under ``number``; empty bytes take a row, too."""
    for part, start in enumerate(range(0, len(data) or 1, _CHUNK)):
        row = {"source": source, "kind": kind.value, "number": number, "part": part}
        connection.execute(insert(table), {**row, "data": data[start : start + _CHUNK]})


def load_chunks(
    connection: Connection, table: Table, source: str, kind: ChunkKind, numbers: Sequence[int] | None = None
) -> dict[int, bytes]:
    """Everything of a kind, or under ``numbers``, in the order of the numbers."""
    query = (
        select(table.c.number, table.c.data)
        .where(table.c.source == source, table.c.kind == kind.value)
        .order_by(table.c.number, table.c.part)
    )
    if numbers is not None:
        query = query.where(table.c.number.in_(numbers))
    parts = groupby(connection.execute(query), key=lambda row: int(row.number))
    return {number: b"".join(row.data for row in rows) for number, rows in parts}


def drop_chunks(
    connection: Connection, table: Table, source: str, kind: ChunkKind, numbers: Sequence[int] | None = None
) -> None:
    """Deletes everything of a kind, or what is under ``numbers``."""
    statement = delete(table).where(table.c.source == source, table.c.kind == kind.value)
    connection.execute(statement if numbers is None else statement.where(table.c.number.in_(numbers)))


def last_number(connection: Connection, table: Table, source: str, kind: ChunkKind) -> int:
    """The highest number in use; 0 when there is none."""
    query = select(func.max(table.c.number)).where(table.c.source == source, table.c.kind == kind.value)
    return connection.execute(query).scalar() or 0
