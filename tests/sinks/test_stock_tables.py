"""Stock tables as hosts have them: odd types and values, tenants, constraints, locks, and what is refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from inventory_sources.errors import ConfigurationError, LeaseLost, SinkError, SinkSchemaInvalid, SinkUnavailable
from inventory_sources.protocols.sink import ApplyContext, SinkLevel
from inventory_sources.sinks._dialects import Dialect
from inventory_sources.sinks.sql import SqlStockSink
from inventory_sources.testing.sinks import NOON, change, changes_of, levels_of
from tests.servers import engine_of, fresh_table

KINDS = ["sqlite", "postgresql", "mysql"]


class Shop:
    """A database and tables in it."""

    def __init__(self, kind: str, engine: sa.Engine, stack: ExitStack) -> None:
        self.kind, self.engine, self._stack = kind, engine, stack

    def table(self, columns: str, *rows: str, options: str = "") -> str:
        name = self._stack.enter_context(fresh_table(self.engine, columns, options))
        self.run(*(f"INSERT INTO {name} VALUES ({row})" for row in rows))
        return name

    def run(self, *statements: str) -> None:
        with self.engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def rows(self, query: str) -> list[tuple]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query)]

    def sink(self, table: str, **declared) -> SqlStockSink:
        return SqlStockSink(self.engine, table, **{"sku": "sku", "quantity": "qty", **declared})


@pytest.fixture(params=KINDS)
def shop(request: pytest.FixtureRequest, tmp_path) -> Iterator[Shop]:
    with ExitStack() as stack:
        yield Shop(request.param, stack.enter_context(engine_of(request.param, tmp_path)), stack)


@pytest.fixture
def sqlite(tmp_path) -> Iterator[Shop]:
    with ExitStack() as stack:
        yield Shop("sqlite", stack.enter_context(engine_of("sqlite", tmp_path)), stack)


@pytest.fixture
def postgres(tmp_path) -> Iterator[Shop]:
    with ExitStack() as stack:
        yield Shop("postgresql", stack.enter_context(engine_of("postgresql", tmp_path)), stack)


def apply(sink: SqlStockSink, *items, epoch: int = 1) -> dict[str, str]:
    result = sink.apply(changes_of(items), ApplyContext("erp", "run", epoch))
    return {item.sku: item.reason for item in result.exceptions}


class TestWhatIsRefused:
    def test_a_missing_table_names_those_that_are_there(self, shop):
        table = shop.table("sku VARCHAR(9), qty INTEGER")
        with pytest.raises(SinkSchemaInvalid, match=rf"'nope'.*{table}"):
            shop.sink("nope").describe()

    @pytest.mark.parametrize(
        "declared", [{"sku": "code"}, {"quantity": "level"}, {"location": "bin"}, {"where": {"tenant": 1}}]
    )
    def test_a_missing_column_names_those_that_are_there(self, shop, declared):
        table = shop.table("sku VARCHAR(9), qty INTEGER, other INTEGER")
        with pytest.raises(SinkSchemaInvalid, match="sku, qty, other"):
            shop.sink(table, **declared).describe()

    @pytest.mark.parametrize("kind", ["REAL", "FLOAT", "DOUBLE PRECISION", "VARCHAR(9)"])
    def test_a_quantity_column_that_keeps_no_exact_number(self, shop, kind):
        with pytest.raises(SinkSchemaInvalid, match=r"qty.*NUMERIC"):
            shop.sink(shop.table(f"sku VARCHAR(9), qty {kind}")).describe()

    def test_a_time_column_that_drops_microseconds(self, shop):
        kind = {"sqlite": "INTEGER", "postgresql": "TIMESTAMPTZ(0)", "mysql": "DATETIME"}[shop.kind]
        with pytest.raises(SinkSchemaInvalid, match="seen"):
            shop.sink(shop.table(f"sku VARCHAR(9), qty INTEGER, seen {kind}"), as_of="seen").describe()

    def test_inserting_where_another_column_must_be_given(self, shop):
        table = shop.table("sku VARCHAR(9), qty INTEGER, title VARCHAR(9) NOT NULL")
        with pytest.raises(SinkSchemaInvalid, match="title"):
            shop.sink(table, insert_missing=True).describe()

    def test_two_rows_with_one_key(self, shop):
        table = shop.table("sku VARCHAR(9), qty INTEGER", "'A', 1", "'B', 1", "'A', 2")
        with pytest.raises(SinkSchemaInvalid, match="'A'"):
            shop.sink(table).levels(None)

    def test_another_kind_of_database(self):
        engine = sa.create_mock_engine("mssql+pyodbc://", executor=lambda sql: None)
        with pytest.raises(ConfigurationError, match="mssql"):
            SqlStockSink(engine, "stock", sku="sku", quantity="qty")

    @pytest.mark.parametrize("value", ["1.5", "'many'", "x'31'"])
    def test_a_cell_of_sqlite_that_is_no_whole_number(self, sqlite, value):
        table = sqlite.table("sku TEXT UNIQUE, qty INTEGER", "'A', 1", f"'B', {value}")
        with pytest.raises(SinkError, match="'B'"):
            sqlite.sink(table).levels(None)

    def test_a_numeric_cell_of_sqlite_beyond_what_binary_floats_keep(self, sqlite):
        table = sqlite.table("sku TEXT UNIQUE, qty NUMERIC(20, 3)", "'A', 999999999999.999", "'B', 1000000000000.5")
        with pytest.raises(SinkError, match="'B'"):
            sqlite.sink(table).levels(None)


class TestValues:
    def test_integer_keys_answer_to_their_canonical_text_only(self, shop):
        table = shop.table("sku BIGINT PRIMARY KEY, qty INTEGER", "123, 5", "-7, 5")
        sink = shop.sink(table, insert_missing=True)
        assert levels_of(sink) == {("123", ""): 5, ("-7", ""): 5}
        assert levels_of(sink, ["00123", "-7", "x"]) == {("-7", ""): 5}
        items = [change("00123", None, 9), change("x", None, 9), change("+7", 5, 9), change("-7", 5, 6)]
        assert set(apply(sink, *items, change("8", None, 3))) == {"00123", "x", "+7"}
        assert levels_of(sink) == {("123", ""): 5, ("-7", ""): 6, ("8", ""): 3}

    def test_integer_locations(self, shop):
        table = shop.table("sku VARCHAR(9), bin INTEGER, qty INTEGER, UNIQUE (sku, bin)", "'A', 1, 5", "'A', NULL, 5")
        sink = shop.sink(table, location="bin", insert_missing=True)
        items = [change("A", 5, 6, location="1"), change("A", 5, 7), change("A", None, 9, location="01")]
        assert apply(sink, *items, change("N", None, 1), change("N", None, 2, location="3")) == {"A": "row_gone"}
        expected = {("A", "1"): 6, ("A", ""): 7, ("N", ""): 1, ("N", "3"): 2}
        assert levels_of(sink) == expected
        assert shop.rows(f"SELECT qty FROM {table} WHERE bin IS NULL ORDER BY qty") == [(1,), (7,)]

    def test_padding_is_no_part_of_a_key(self, shop):
        table = shop.table("sku CHAR(8) UNIQUE, qty INTEGER", "'A', 5")
        sink = shop.sink(table)
        assert levels_of(sink, ["A"]) == {("A", ""): 5}
        assert apply(sink, change("A", 5, 6), change("A ", 5, 7)) == {"A ": "row_gone"}
        assert levels_of(sink) == {("A", ""): 6}

    @pytest.mark.parametrize("odd", ["a\nb", "a\x1fb", "a\r", "\ufeffa", "a\tb", "a\\nb", '"', " a ", "", "a%sb"])
    def test_odd_skus_survive_whatever_stands_beside_them(self, shop, odd):
        table = shop.table("sku VARCHAR(9) UNIQUE, qty INTEGER", "'z', 1")
        parameter = sa.text(f"INSERT INTO {table} VALUES (:sku, 2)")
        with shop.engine.begin() as connection:
            connection.execute(parameter, {"sku": odd})
        sink = shop.sink(table)
        assert levels_of(sink) == {("z", ""): 1, (odd, ""): 2}
        assert apply(sink, change(odd, 2, 3)) == {}
        assert levels_of(sink, [odd]) == {(odd, ""): 3}

    def test_columns_with_names_that_need_quotes(self, shop):
        quote = shop.engine.dialect.identifier_preparer.quote
        names = ["stock code", "select", "50% off"]
        with shop.engine.begin() as connection:
            columns = sa.MetaData(), sa.Column(names[0], sa.String(9)), sa.Column(names[1], sa.Integer)
            odd = sa.Table("odd table", *columns, sa.Column(names[2], sa.Integer))
            odd.create(connection)
            connection.execute(odd.insert().values({names[0]: "A", names[1]: 5, names[2]: 1}))
        try:
            sink = shop.sink("odd table", sku=names[0], quantity=names[1], where={names[2]: 1}, insert_missing=True)
            assert apply(sink, change("A", 5, 6), change("B", None, 1)) == {}
            assert levels_of(sink) == {("A", ""): 6, ("B", ""): 1}
        finally:
            shop.run(f"DROP TABLE {quote('odd table')}")

    @pytest.mark.parametrize("text", ["0.1", "-0.3", "1234567.89", "99999999999.99", "0.07", "1"])
    def test_decimals_are_exact(self, shop, text):
        table = shop.table("sku VARCHAR(9) UNIQUE, qty NUMERIC(13, 2)", "'A', 0")
        sink = shop.sink(table)
        assert apply(sink, change("A", 0, text)) == {}
        assert levels_of(sink) == {("A", ""): Decimal(text)}
        assert apply(sink, change("A", text, 2)) == {}
        assert shop.rows(f"SELECT qty FROM {table}") == [(2,)]

    def test_the_noise_of_sqlites_sums_is_no_other_level(self, sqlite):
        table = sqlite.table("sku TEXT UNIQUE, qty NUMERIC(9, 2)", "'A', 0.1")
        sqlite.run(f"UPDATE {table} SET qty = qty + 0.2")
        assert sqlite.rows(f"SELECT qty FROM {table}") != [(0.3,)]
        sink = sqlite.sink(table)
        assert levels_of(sink) == {("A", ""): Decimal("0.3")}
        assert apply(sink, change("A", "0.3", "0.5")) == {}

    @pytest.mark.parametrize(("kind", "most"), [("SMALLINT", 2**15 - 1), ("BIGINT", 2**63 - 1), ("NUMERIC(5)", 99999)])
    def test_a_level_that_does_not_fit_is_refused_by_itself(self, postgres, kind, most):
        table = postgres.table(f"sku VARCHAR(9) UNIQUE, qty {kind}", "'A', 1", "'B', 1")
        found = apply(postgres.sink(table), change("A", 1, most + 1), change("B", 1, most))
        assert found == {"A": "refused"}
        assert postgres.rows(f"SELECT qty FROM {table} ORDER BY sku") == [(1,), (most,)]

    def test_an_integer_of_sqlite_never_becomes_a_float(self, sqlite):
        table = sqlite.table("sku TEXT UNIQUE, qty INTEGER", "'A', 1", "'B', 1")
        assert apply(sqlite.sink(table), change("A", 1, 2**63), change("B", 1, 2**63 - 1)) == {"A": "refused"}
        assert sqlite.rows(f"SELECT qty FROM {table} ORDER BY sku") == [(1,), (2**63 - 1,)]


class TestTenants:
    def test_only_the_tenants_rows_are_read_written_and_inserted(self, shop):
        columns = "tenant VARCHAR(9), sku VARCHAR(9), qty INTEGER, UNIQUE (tenant, sku)"
        table = shop.table(columns, "'us', 'A', 1", "'them', 'A', 1", "'them', 'B', 1")
        sink = shop.sink(table, where={"tenant": "us"}, insert_missing=True)
        assert levels_of(sink) == {("A", ""): 1}
        assert apply(sink, change("A", 1, 2), change("B", None, 3), change("C", None, 4)) == {}
        theirs = shop.rows(f"SELECT sku, qty FROM {table} WHERE tenant = 'them' ORDER BY sku")
        assert theirs == [("A", 1), ("B", 1)]
        assert levels_of(sink) == {("A", ""): 2, ("B", ""): 3, ("C", ""): 4}


class TestTimes:
    def test_moments_are_kept_to_the_microsecond(self, shop):
        kind = {"sqlite": "TEXT", "postgresql": "TIMESTAMP", "mysql": "DATETIME(6)"}[shop.kind]
        table = shop.table(f"sku VARCHAR(9) UNIQUE, qty INTEGER, seen {kind}, epoch BIGINT", "'A', 1, NULL, NULL")
        sink = shop.sink(table, as_of="seen", epoch="epoch")
        for moment in (NOON, NOON.replace(microsecond=500_000), NOON.replace(microsecond=999_999)):
            apply(sink, change("A", 1, moment.microsecond, as_of=moment))
            assert sink.levels(None)["as_of"].to_list() == [moment]

    @pytest.mark.parametrize(
        ("written", "moment"),
        [
            ("2026-01-31T12:00:00.250002Z", NOON + timedelta(microseconds=1)),
            ("2026-01-31T14:00:00.250002+02:00", NOON + timedelta(microseconds=1)),
            ("2026-01-31 11:00:00.000000-02:00", NOON.replace(hour=13, microsecond=0)),
            ("2026-01-31 12:00:00.250001", NOON),
            ("2026-01-31 12:00:00", NOON.replace(microsecond=0)),
            ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ],
    )
    def test_times_that_the_host_wrote_in_its_own_way_are_compared_as_moments(self, sqlite, written, moment):
        table = sqlite.table("sku TEXT UNIQUE, qty INTEGER, seen TEXT, epoch INTEGER", f"'A', 1, '{written}', 1")
        sink = sqlite.sink(table, as_of="seen", epoch="epoch")
        assert sink.levels(None)["as_of"].to_list() == [moment]
        assert apply(sink, change("A", 1, 2)) == ({"A": "newer_as_of"} if moment > NOON else {})

    def test_a_time_that_is_none_is_named(self, sqlite):
        table = sqlite.table("sku TEXT UNIQUE, qty INTEGER, seen TEXT", "'A', 1, 'last week'")
        with pytest.raises(SinkError, match="last week"):
            sqlite.sink(table, as_of="seen").levels(None)

    def test_a_time_column_alone_still_compares(self, shop):
        kind = {"sqlite": "DATETIME", "postgresql": "TIMESTAMPTZ", "mysql": "DATETIME(6)"}[shop.kind]
        table = shop.table(f"sku VARCHAR(9) UNIQUE, qty INTEGER, seen {kind}", "'A', 1, NULL", "'B', 1, NULL")
        sink = shop.sink(table, as_of="seen")
        assert sink.describe().level is SinkLevel.COMPARE_AND_SET
        assert apply(sink, change("A", 1, 2), change("B", 9, 2)) == {"B": "moved_on"}
        older = NOON - timedelta(hours=1)
        assert apply(sink, change("A", 2, 3, as_of=older), change("B", 1, 3, as_of=older)) == {"A": "newer_as_of"}


class TestFailures:
    def test_what_a_constraint_refuses_fails_alone(self, shop, monkeypatch):
        monkeypatch.setattr(Dialect, "batch_rows", 4)
        levels = [f"'S{number}', 1" for number in range(10)]
        table = shop.table("sku VARCHAR(9) UNIQUE, qty INTEGER CHECK (qty <> 13)", *levels)
        wanted = {f"S{number}": 13 if number in {3, 7} else 2 for number in range(10)}
        sink = shop.sink(table, insert_missing=True)
        found = apply(sink, *(change(sku, 1, new) for sku, new in wanted.items()), change("N", None, 13))
        assert found == {"S3": "refused", "S7": "refused", "N": "refused"}
        assert levels_of(sink) == {(sku, ""): 1 if new == 13 else 2 for sku, new in wanted.items()}

    def test_a_locked_database_is_unavailable_and_nothing_is_written(self, tmp_path):
        path = tmp_path / "secret-name.db"
        engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 0})
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE stock (sku TEXT UNIQUE, qty INTEGER)")
            connection.exec_driver_sql("INSERT INTO stock VALUES ('A', 1)")
        sink = SqlStockSink(engine, "stock", sku="sku", quantity="qty")
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(SinkUnavailable) as caught:
            apply(sink, change("A", 1, 2))
        holder.execute("ROLLBACK")
        holder.close()
        assert "secret-name" not in str(caught.value)
        assert levels_of(sink) == {("A", ""): 1}
        assert apply(sink, change("A", 1, 2)) == {}
        engine.dispose()

    @pytest.mark.parametrize(
        "url", ["postgresql+psycopg://me:hunter2@127.0.0.1:1/x", "mysql+pymysql://me:hunter2@127.0.0.1:1/x"]
    )
    def test_a_database_that_is_gone_is_named_without_its_password(self, url):
        sink = SqlStockSink(sa.create_engine(url), "stock", sku="sku", quantity="qty")
        with pytest.raises(SinkUnavailable) as caught:
            sink.describe()
        assert "hunter2" not in f"{caught.value} {caught.value!r} {caught.value.__cause__} {sink!r}"
        assert caught.value.__suppress_context__

    def test_a_database_that_goes_in_the_middle_leaves_nothing_half_written(self, shop, monkeypatch):
        for dialect in (Dialect, *Dialect.__subclasses__()):
            monkeypatch.setattr(dialect, "batch_rows", 2)
        table = shop.table("sku VARCHAR(9) UNIQUE, qty INTEGER", *(f"'S{number}', 1" for number in range(6)))
        sink = shop.sink(table)
        batches: list[int] = []

        @sa.event.listens_for(shop.engine, "before_cursor_execute")
        def pull_the_plug(connection, cursor, statement, parameters, context, executemany):
            if statement.startswith("UPDATE") and len(batches) == 2:
                connection.connection.driver_connection.close()

        context = ApplyContext("erp", "run", 1, renew=lambda: batches.append(1))
        with pytest.raises(SinkError):
            sink.apply(changes_of(change(f"S{number}", 1, 2) for number in range(6)), context)
        sa.event.remove(shop.engine, "before_cursor_execute", pull_the_plug)
        assert len(batches) == 2
        assert set(levels_of(sink).values()) == {1}

    def test_an_engine_that_commits_each_statement_still_writes_all_or_nothing(self, shop, monkeypatch):
        for dialect in (Dialect, *Dialect.__subclasses__()):
            monkeypatch.setattr(dialect, "batch_rows", 2)
        table = shop.table("sku VARCHAR(9) UNIQUE, qty INTEGER", *(f"'S{number}', 1" for number in range(4)))
        engine = shop.engine.execution_options(isolation_level="AUTOCOMMIT")
        sink = SqlStockSink(engine, table, sku="sku", quantity="qty")
        calls: list[int] = []

        def renew() -> None:
            calls.append(1)
            if len(calls) == 2:
                raise LeaseLost("another worker owns the source")

        items = [change(f"S{number}", 1, 2) for number in range(4)]
        with pytest.raises(LeaseLost):
            sink.apply(changes_of(items), ApplyContext("erp", "run", 1, renew))
        assert set(levels_of(sink).values()) == {1}
        assert apply(sink, *items) == {}
        assert set(levels_of(sink).values()) == {2}

    def test_sharing_needs_the_stores_open_connection(self, sqlite):
        sink = sqlite.sink(sqlite.table("sku TEXT UNIQUE, qty INTEGER", "'A', 1"), shared=True)
        with pytest.raises(SinkError, match="shared"):
            apply(sink, change("A", 1, 2))

    def test_sharing_commits_nothing_by_itself(self, shop):
        sink = shop.sink(shop.table("sku VARCHAR(9) UNIQUE, qty INTEGER", "'A', 1"), shared=True)
        with shop.engine.connect() as connection, connection.begin() as transaction:
            if shop.kind == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            sink.apply(changes_of([change("A", 1, 2)]), ApplyContext("erp", "run", 1, connection=connection))
            transaction.rollback()
        assert levels_of(sink) == {("A", ""): 1}
