"""Finding and claiming ten due sources among a thousand and among a million registered ones, on every database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from statistics import median

import sqlalchemy as sa

from inventory_sources import Feed, MemorySink, Registry, SqlStateStore, SyncEngine
from inventory_sources.engine._runs import Claimed
from inventory_sources.protocols.store import AuditEntry, StoredSource
from inventory_sources.source import Part, SourceSpec
from inventory_sources.status import SourceState
from inventory_sources.stores._tables import build_tables
from tests import servers

DUE = 10
FEW, MANY = 1_000, 1_000_000
RUNS = 15
_AT = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
_FIRST = "s"
_DIGITS = " UNION ALL ".join(f"SELECT {digit} AS d" for digit in range(10))


def table(folder: Path) -> Iterator[tuple[str, str, str, str]]:
    """A row for each database."""
    urls = {"SQLite": str(folder / "state.db"), "PostgreSQL": servers.postgres_url(), "MariaDB": servers.mysql_url()}
    for name, url in urls.items():
        if url is None:
            yield f"claims, {name}", "not run", "no server answers", ""
            continue
        few, many = compare(url)
        yield (
            f"claim of {DUE} due of {MANY:,}, {name}",
            f"{many * 1000:.1f} ms",
            f"of {FEW:,}: {few * 1000:.1f} ms",
            f"{many / few:.2f}x; at most 2x",
        )


def compare(url: str) -> tuple[float, float]:
    """Median seconds to find and claim the due among few and among many, in turn."""
    shops: list[_Shop] = []
    try:
        shops += [_Shop(url, "bench_few_", FEW), _Shop(url, "bench_many_", MANY)]
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(RUNS):
            for shop, taken in zip(shops, times, strict=True):
                taken.append(shop.claim())
        return median(times[0]), median(times[1])
    finally:
        for shop in shops:
            shop.remove()


class _Shop:
    def __init__(self, url: str, prefix: str, sources: int) -> None:
        registry = Registry()
        registry.register("connector", "nothing", object())
        registry.register("sink", "memory", MemorySink({"A": 1}))
        self._store = SqlStateStore(url, prefix=prefix)
        self._base = self._store._database._base
        self._tables = build_tables(prefix)
        self._tables.metadata.drop_all(self._base)
        self._engine = SyncEngine(self._store, registry=registry, lease=timedelta(hours=6))
        self._numbers = count(1)
        self._fill(registry, sources)

    def claim(self) -> float:
        """Seconds to find and claim the ten that are due."""
        names = [f"{_FIRST}{next(self._numbers) * 6:06}" for _ in range(DUE)]
        for name in names:
            self._engine.request_sync(name)
        started = time.perf_counter()
        due = self._engine.due(DUE)
        claimed = [self._engine._runs.claim(name, manual=False) for name in due]
        taken = time.perf_counter() - started
        if sorted(due) != names or not all(isinstance(each, Claimed) for each in claimed):
            raise AssertionError(f"not the ten that are due: {due}")
        return taken

    def remove(self) -> None:
        """Drops the tables."""
        self._tables.metadata.drop_all(self._base)
        self._store.close()

    def _fill(self, registry: Registry, sources: int) -> None:
        """Registers one source, and in the tables as many copies of it as there are to be, all due next year."""
        spec = SourceSpec(
            name=_FIRST,
            connector=Part("nothing"),
            mapper=Part("columns"),
            feed=Feed.partial(),
            sink=Part("memory"),
            guards=(),
        )
        later = SourceState(next_run_at=datetime.now(UTC) + timedelta(days=365))
        document = registry.document(spec)
        self._store.add(StoredSource(_FIRST, document, later), AuditEntry(_FIRST, "add_source", "bench", _AT))
        digits = len(str(sources)) - 1
        kind = self._base.dialect.name
        places = [f"cast(d{number}.d AS {'char' if kind == 'mysql' else 'text'})" for number in range(6)]
        places = ["'0'"] * (6 - digits) + places[:digits]
        joined = " CROSS JOIN ".join(f"({_DIGITS}) AS d{number}" for number in range(digits))
        name = f"concat('{_FIRST}', {', '.join(places)})" if kind == "mysql" else " || ".join((f"'{_FIRST}'", *places))
        with self._base.begin() as connection:
            for filled, key in ((self._tables.sources, "name"), (self._tables.pushes, "source")):
                columns = ", ".join(column.name for column in filled.c if column.name != key)
                connection.exec_driver_sql(
                    f"INSERT INTO {filled.name} ({key}, {columns}) SELECT {name}, {columns} "
                    f"FROM {filled.name} CROSS JOIN {joined} WHERE {key} = '{_FIRST}'"
                )
        self._settle(kind)

    def _settle(self, kind: str) -> None:
        """What a database does by itself in time: it counts its rows, and clears what is left over."""
        with self._base.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for filled in (self._tables.sources, self._tables.pushes):
                if kind == "postgresql":
                    connection.execute(sa.text(f"VACUUM ANALYZE {filled.name}"))
                elif kind == "mysql":
                    connection.execute(sa.text(f"ANALYZE TABLE {filled.name}")).all()
