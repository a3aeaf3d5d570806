"""Each written row is found by the index of its key, also where the database lets the key be null."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from inventory_sources.protocols.sink import ApplyContext
from inventory_sources.sinks.sql import SqlStockSink
from inventory_sources.testing.sinks import change, changes_of


@pytest.mark.parametrize("sku", ["sku TEXT PRIMARY KEY", "sku TEXT UNIQUE", "sku TEXT NOT NULL PRIMARY KEY"])
def test_sqlite_searches_for_the_row(tmp_path, sku):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    written: list[tuple[str, object]] = []

    @sa.event.listens_for(engine, "before_cursor_execute")
    def note(connection, cursor, statement, parameters, context, many):
        if statement.startswith("UPDATE"):
            written.append((statement, parameters[0] if many else parameters))

    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE stock ({sku}, qty INTEGER NOT NULL)")
        connection.exec_driver_sql("INSERT INTO stock VALUES ('A1', 5), ('B2', 3)")
    sink = SqlStockSink(engine, "stock", sku="sku", quantity="qty")
    sink.apply(changes_of([change("A1", 5, 7)]), ApplyContext("erp", "run", 1))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT qty FROM stock WHERE sku = 'A1'").scalar_one() == 7
        ((statement, parameters),) = written
        (plan,) = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).scalars("detail")
    assert plan.startswith("SEARCH")
