"""Putting deliveries into the inbox, against bare inserts of the same rows by the database's driver."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from inventory_sources import SqlStateStore
from inventory_sources.protocols.inbox import InboxEntry, Receipt
from inventory_sources.protocols.store import AuditEntry, StoredSource
from inventory_sources.status import SourceState
from inventory_sources.stores._inbox import _row
from inventory_sources.stores._tables import build_tables
from tests import servers

if TYPE_CHECKING:
    import sqlalchemy as sa

GROUPS = {1: 200, 100: 20}
RUNS = 7
BODY = 2048
_AT = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
_HEADERS = {"content-type": "application/json", "webhook-id": "msg_0123456789", "webhook-signature": "v1," + "x" * 44}
_OURS, _BARE = "bench_ours_", "bench_bare_"


def table(folder: Path) -> Iterator[tuple[str, str, str, str]]:
    """A row for each database and size of group."""
    urls = {"SQLite": str(folder / "state.db"), "PostgreSQL": servers.postgres_url(), "MariaDB": servers.mysql_url()}
    for name, url in urls.items():
        if url is None:
            yield f"inbox, {name}", "not run", "no server answers", ""
            continue
        for size, ours, bare in compare(url):
            yield (
                f"inbox, {name}, groups of {size}",
                f"{size / ours:,.0f} a second",
                f"bare {size / bare:,.0f} a second",
                f"{bare / ours:.2f}x; at least 0.7x",
            )


def compare(url: str) -> Iterator[tuple[int, float, float]]:
    """Median seconds to put a group, and to insert it bare, in turn."""
    store = SqlStateStore(url, prefix=_OURS)
    store.add(StoredSource("erp", {}, SourceState()), AuditEntry("erp", "add_source", "bench", _AT))
    engine = store._database._base
    bare = _Bare(engine)
    numbers = count()
    try:
        for size, groups in GROUPS.items():
            times: tuple[list[float], list[float]] = ([], [])
            for _ in range(RUNS):
                for put, taken in zip((_put_into(store), bare.put), times, strict=True):
                    entries = [[_entry(next(numbers)) for _ in range(size)] for _ in range(groups)]
                    taken.append(_seconds(put, entries) / groups)
            yield size, median(times[0]), median(times[1])
    finally:
        build_tables(_OURS).metadata.drop_all(engine)
        build_tables(_BARE).metadata.drop_all(engine)
        store.close()


class _Bare:
    """The driver's own executemany into a table of the same columns and indexes."""

    def __init__(self, engine: sa.Engine) -> None:
        inbox = build_tables(_BARE).inbox
        inbox.create(engine)
        self._engine = engine
        self._columns = [column for column in inbox.c if column.name in _row(_entry(0))]
        names = ", ".join(column.name for column in self._columns)
        mark = "?" if engine.dialect.name == "sqlite" else "%s"
        self._sql = f"INSERT INTO {inbox.name} ({names}) VALUES ({', '.join([mark] * len(self._columns))})"

    def put(self, entries: Sequence[InboxEntry]) -> None:
        rows = [self._values(entry) for entry in entries]
        connection: Any = self._engine.raw_connection()
        cursor = connection.cursor()
        if self._engine.dialect.name == "sqlite":
            cursor.execute("BEGIN IMMEDIATE")
        cursor.executemany(self._sql, rows)
        connection.commit()
        cursor.close()
        connection.close()

    @staticmethod
    def _values(entry: InboxEntry) -> tuple[object, ...]:
        return tuple(
            int(value.timestamp() * 1_000_000) if isinstance(value, datetime) else value
            for value in _row(entry).values()
        )


def _put_into(store: SqlStateStore) -> Callable[[Sequence[InboxEntry]], None]:
    def put(entries: Sequence[InboxEntry]) -> None:
        receipts = store.put(entries)
        if list(receipts) != [Receipt.KEPT] * len(entries):
            raise AssertionError("not kept")

    return put


def _seconds(put: Callable[[Sequence[InboxEntry]], None], groups: Sequence[Sequence[InboxEntry]]) -> float:
    started = time.perf_counter()
    for group in groups:
        put(group)
    return time.perf_counter() - started


def _entry(number: int) -> InboxEntry:
    body = f'{{"n":{number},"pad":"'.encode().ljust(BODY, b"x")
    digest = sha256(body).hexdigest()
    received_at = _AT + timedelta(microseconds=number)
    return InboxEntry(f"{number:032}", "erp", f"msg_{number:027}", received_at, _HEADERS, body, digest)
