"""Many rows in one statement on MariaDB: whatever collation a key has, exact keys are hit, and by the index."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal

import pytest
import sqlalchemy as sa

from inventory_sources.protocols.sink import ApplyContext
from inventory_sources.sinks.sql import SqlStockSink
from inventory_sources.testing.sinks import change, changes_of, levels_of
from tests.servers import engine_of, fresh_table

COLLATIONS = [
    "utf8mb4_general_ci",
    "utf8mb4_bin",
    "utf8mb4_unicode_ci",
    "utf8mb3_general_ci",
    "latin1_swedish_ci",
    "ascii_bin",
]
MANY = 2_500


class Shop:
    def __init__(self, engine: sa.Engine, table: str, charset: str) -> None:
        self.engine, self.table, self.charset = engine, table, charset
        self.sink = SqlStockSink(
            engine, table, sku="sku", quantity="qty", location="place", as_of="seen", epoch="epoch", insert_missing=True
        )

    def fill(self, *keys: tuple[str, str]) -> None:
        with self.engine.begin() as connection:
            rows = [{"sku": sku, "place": place} for sku, place in keys]
            connection.execute(sa.text(f"INSERT INTO {self.table} VALUES (:sku, :place, 5, NULL, NULL)"), rows)

    def apply(self, *items, epoch: int = 1) -> dict[str, str]:
        result = self.sink.apply(changes_of(items), ApplyContext("erp", "run", epoch))
        return {item.sku: item.reason for item in result.exceptions}

    def rows_read(self) -> int:
        """How many rows were read by going through a table rather than by an index, on all connections so far."""
        with self.engine.connect() as connection:
            status = connection.exec_driver_sql("SHOW GLOBAL STATUS LIKE 'Handler_read_rnd_next'")
            return int(status.one()[1])


@pytest.fixture(params=COLLATIONS)
def shop(request: pytest.FixtureRequest, tmp_path) -> Iterator[Shop]:
    columns = "sku VARCHAR(40) NOT NULL, place VARCHAR(9) NOT NULL, qty INTEGER, seen DATETIME(6), epoch BIGINT"
    charset = request.param.split("_")[0]
    options = f"CHARACTER SET {charset} COLLATE {request.param}"
    with ExitStack() as stack:
        engine = stack.enter_context(engine_of("mysql", tmp_path))
        table = stack.enter_context(fresh_table(engine, f"{columns}, PRIMARY KEY (sku, place)", options))
        yield Shop(engine, table, charset)


def test_exact_keys_are_hit_and_no_others(shop):
    there = ["abc", "a b", "a%sb", "50%", "a'b", 'a"b', "a\\b", "/*rows*/"]
    there += [] if shop.charset == "ascii" else ["\xe9t\xe9"]
    absent = ["ABC", "abc ", "ete", "x" * 41]
    # What a column's character set does not have is another matter: the database does not compare with it at all.
    absent += ["\u65e5\u672c", "\U0001f4e6"] if shop.charset == "utf8mb4" else []
    shop.fill(*((sku, "WH") for sku in there))
    for other in absent:  # alone, as among others the count of rows would tell
        assert shop.apply(change(other, 5, 9, location="WH")) == {other: "row_gone"}
    asked = [change(sku, 5, 7, location="WH") for sku in (*there, *absent)]
    assert shop.apply(*asked) == dict.fromkeys(absent, "row_gone")
    assert levels_of(shop.sink) == {(sku, "WH"): Decimal(7) for sku in there}


def test_many_rows_go_by_the_index(shop):
    shop.fill(*((f"S{number:05}", f"W{number % 3}") for number in range(MANY)))
    items = [change(f"S{number:05}", 5, 6, location=f"W{number % 3}") for number in range(MANY)]
    shop.sink.describe()
    before = shop.rows_read()
    assert shop.apply(*items) == {}
    # Each row that is given is read a few times; going through the table for each would be millions.
    assert shop.rows_read() - before < 20 * MANY
    assert set(levels_of(shop.sink).values()) == {Decimal(6)}


def test_the_fence_holds_for_each_row_of_many(shop):
    shop.fill(*((f"S{number}", "W") for number in range(30)))
    later = change("S7", 5, 9, location="W").as_of.replace(hour=23)
    assert shop.apply(change("S7", 5, 9, location="W", as_of=later), epoch=1) == {}
    items = [change(f"S{number}", 5, 6, location="W") for number in range(30)]
    assert shop.apply(*items, epoch=2) == {"S7": "newer_as_of"}
    assert levels_of(shop.sink)["S7", "W"] == 9
    assert levels_of(shop.sink)["S8", "W"] == 6
