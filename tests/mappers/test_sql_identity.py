"""Identifiers translated by a table of the host, read from a real SQLite file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import column, create_engine, event, text

from inventory_sources.batch import RawBatch
from inventory_sources.errors import MappingError
from inventory_sources.mappers import Columns
from inventory_sources.mappers.sql import SqlIdentity
from inventory_sources.protocols.mapper import MapContext

NOW = MapContext(datetime(2026, 11, 23, 10, tzinfo=UTC))


@pytest.fixture
def engine(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE mapping (supplier TEXT, ext TEXT, product TEXT)"))
        rows = [("erp", "E1", "P1"), ("erp", "E2", "P2"), ("wms", "E1", "P9"), ("erp", None, "P3"), ("erp", "E4", None)]
        for row in rows:
            connection.exec_driver_sql("INSERT INTO mapping VALUES (?, ?, ?)", row)
    yield engine
    engine.dispose()


@pytest.fixture
def queries(engine):
    seen = []
    event.listen(engine, "before_cursor_execute", lambda *given: seen.append(given[2]))
    return seen


def test_rows_are_mapped_by_the_table(engine) -> None:
    mapper = Columns(
        "sku", "qty", identity=SqlIdentity(engine, "mapping", "ext", "product", column("supplier") == "erp")
    )
    rows = [{"sku": sku, "qty": "1"} for sku in ("E1", "E2", "E4", "E5")]
    batch = mapper.map(RawBatch.from_records(rows, "feed"), NOW)
    assert batch.frame["sku"].to_list() == ["P1", "P2"]
    assert [rejection.sku for rejection in batch.rejections.kept] == ["E4", "E5"]


def test_the_table_is_read_once_a_sync(engine, queries) -> None:
    identity = SqlIdentity(engine, "mapping", "ext", "product", column("supplier") == "erp")
    for _ in range(3):
        identity.translate(["E1"], NOW)
    assert len(queries) == 1
    with engine.begin() as connection:
        connection.execute(text("UPDATE mapping SET product = 'P7' WHERE ext = 'E1' AND supplier = 'erp'"))
    later = MapContext(NOW.now + timedelta(minutes=5))
    assert identity.translate(["E1"], later)["E1"] == "P7"


def test_two_rows_for_one_identifier_are_refused(engine) -> None:
    with pytest.raises(MappingError, match="'E1' more than once"):
        SqlIdentity(engine, "mapping", "ext", "product").translate(["E2"], NOW)


def test_a_table_that_cannot_be_read_is_an_error_of_ours_without_the_address(engine) -> None:
    with pytest.raises(MappingError) as caught:
        SqlIdentity(engine, "no_such_table", "ext", "product").translate(["E1"], NOW)
    assert caught.value.may_pass
    assert "shop.db" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
