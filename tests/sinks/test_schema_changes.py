"""A stock table may be altered while the host runs: the next look sees it."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from inventory_sources.errors import SinkSchemaInvalid
from inventory_sources.sinks.sql import SqlStockSink


def test_an_altered_table_is_looked_at_again(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    _run(engine, "CREATE TABLE stock (sku TEXT PRIMARY KEY, quantity INTEGER NOT NULL)")
    sink = SqlStockSink(engine, "stock", sku="sku", quantity="quantity")
    assert sink.describe().places == 0
    assert sink.describe().places == 0
    _run(engine, "DROP TABLE stock")
    _run(engine, "CREATE TABLE stock (sku TEXT PRIMARY KEY, quantity NUMERIC(12, 3) NOT NULL)")
    assert sink.describe().places == 3
    _run(engine, "ALTER TABLE stock RENAME COLUMN quantity TO level")
    with pytest.raises(SinkSchemaInvalid, match="level"):
        sink.describe()
    engine.dispose()


def _run(engine: sa.Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text(statement))
