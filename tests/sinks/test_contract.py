"""Every sink of ours keeps the contract, on every database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import ClassVar

import pytest
import sqlalchemy as sa

from inventory_sources.protocols.sink import ApplyContext, CurrentLevel, SinkLevel, StockSink
from inventory_sources.sinks import MemorySink
from inventory_sources.sinks._dialects import Dialect
from inventory_sources.sinks.sql import SqlStockSink
from inventory_sources.testing.sinks import StockSinkContract
from tests.servers import engine_of, fresh_table

DATETIME = {"sqlite": "DATETIME", "postgresql": "TIMESTAMPTZ", "mysql": "DATETIME(6)"}
TEXT = {"sqlite": "TEXT COLLATE NOCASE", "postgresql": "VARCHAR(64)", "mysql": "VARCHAR(64)"}
# A collation that takes case, accents and trailing spaces for nothing: the sink must not.
OPTIONS = {"sqlite": "", "postgresql": "", "mysql": "CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"}


class TestMemorySink(StockSinkContract):
    def make_sink(self, levels: Sequence[CurrentLevel], *, locations: bool, inserts: bool) -> StockSink:
        return MemorySink(levels, locations=locations, inserts=inserts)


class TestMemorySinkWithPlaces(TestMemorySink):
    places = 3

    def make_sink(self, levels: Sequence[CurrentLevel], *, locations: bool, inserts: bool) -> StockSink:
        return MemorySink(levels, places=3, locations=locations, inserts=inserts)


class OnDatabases(StockSinkContract):
    guards: ClassVar[dict[str, str]] = {}
    many = 250
    quantity = "INTEGER"

    @pytest.fixture(autouse=True, params=["sqlite", "postgresql", "mysql"])
    def database(self, request: pytest.FixtureRequest, tmp_path, monkeypatch) -> Iterator[None]:
        self.kind = request.param
        for dialect in (Dialect, *Dialect.__subclasses__()):
            monkeypatch.setattr(dialect, "batch_rows", 100)
        with ExitStack() as self.stack:
            self.engine = self.stack.enter_context(engine_of(self.kind, tmp_path))
            yield

    def make_sink(self, levels: Sequence[CurrentLevel], *, locations: bool, inserts: bool) -> StockSink:
        columns = ["id", f"sku_code {TEXT[self.kind]} NOT NULL", f"on_hand {self.quantity}"]
        columns[0] = {"sqlite": "id INTEGER PRIMARY KEY", "postgresql": "id SERIAL PRIMARY KEY"}.get(
            self.kind, "id INTEGER PRIMARY KEY AUTO_INCREMENT"
        )
        declared = dict(self.guards)
        if "as_of" in self.guards:
            columns.append(f"seen_at {DATETIME[self.kind]}")
        if "epoch" in self.guards:
            columns.append("written_by BIGINT")
        if locations:
            columns.append(f"warehouse {TEXT[self.kind]}")
            declared["location"] = "warehouse"
        key = "sku_code, warehouse" if locations else "sku_code"
        columns.append(f"UNIQUE ({key})")
        table = self.stack.enter_context(fresh_table(self.engine, ", ".join(columns), OPTIONS[self.kind]))
        self._fill(table, levels, locations=locations)
        return self.sink(table, declared, inserts=inserts)

    def sink(self, table: str, declared: dict[str, str], *, inserts: bool) -> StockSink:
        return SqlStockSink(self.engine, table, sku="sku_code", quantity="on_hand", insert_missing=inserts, **declared)

    def _fill(self, table: str, levels: Sequence[CurrentLevel], *, locations: bool) -> None:
        names = ["sku_code", "on_hand"] + ["warehouse"] * locations
        rows = [
            {"sku_code": level.sku, "on_hand": None if level.quantity is None else str(level.quantity)}
            | ({"warehouse": level.location or None} if locations else {})
            for level in levels
        ]
        values = ", ".join(f":{name}" for name in names)
        if self.kind == "postgresql":
            values = values.replace(":on_hand", "CAST(CAST(:on_hand AS TEXT) AS NUMERIC)")
        with self.engine.begin() as connection:
            connection.execute(sa.text(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values})"), rows)


class TestComparing(OnDatabases):
    def test_it_declares_that_it_compares(self):
        assert self._sink(CurrentLevel("A", None))[1].level is SinkLevel.COMPARE_AND_SET


class TestFenced(OnDatabases):
    guards: ClassVar[dict[str, str]] = {"as_of": "seen_at", "epoch": "written_by"}

    def test_it_declares_that_it_is_fenced(self):
        assert self._sink(CurrentLevel("A", None))[1].level is SinkLevel.FENCED


class TestFencedWithPlaces(TestFenced):
    quantity = "NUMERIC(14, 3)"
    places = 3


class TestComparingWithPlaces(TestComparing):
    quantity = "NUMERIC(14, 2)"
    places = 2


class TestInTheStoresTransaction(OnDatabases):
    guards: ClassVar[dict[str, str]] = {"as_of": "seen_at", "epoch": "written_by"}

    def sink(self, table: str, declared: dict[str, str], *, inserts: bool) -> StockSink:
        sink = SqlStockSink(
            self.engine, table, sku="sku_code", quantity="on_hand", insert_missing=inserts, shared=True, **declared
        )
        return CommitsLikeTheEngine(sink, self.engine)

    def test_it_declares_that_it_shares(self):
        assert self._sink(CurrentLevel("A", None))[1].level is SinkLevel.SHARED_TRANSACTION


class CommitsLikeTheEngine:
    """Runs `apply` inside a transaction that it commits itself, as a state store does."""

    def __init__(self, sink: SqlStockSink, engine: sa.Engine) -> None:
        self._sink, self._engine = sink, engine
        self.describe, self.levels = sink.describe, sink.levels

    def apply(self, changes, context: ApplyContext):
        with self._engine.begin() as connection:
            if self._engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            given = ApplyContext(context.source, context.run_id, context.epoch, context.renew, connection=connection)
            return self._sink.apply(changes, given)
