"""How each database says what the sink needs: exact comparison of keys, locks, and writing many rows at once.

A statement refers to the values of a row by :class:`Refs`: where a statement runs once a row these are the driver's
placeholders, on PostgreSQL they are columns of one ``unnest``, on MariaDB of one ``UNION ALL``, so that many rows go in
one statement without a temporary table and through any pooler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import repeat
from typing import TYPE_CHECKING, Any, ClassVar

from inventory_sources.errors import ConfigurationError
from inventory_sources.sinks._stock_table import KeyColumn, StockTable

if TYPE_CHECKING:
    import polars as pl
    import sqlalchemy as sa

__all__ = ["Dialect", "Refs", "dialect_of"]

# What a row to be written may carry, in the order in which PostgreSQL is given them.
_FIELDS = {
    "sku": "text",
    "location": "text",
    "place": "text",
    "old": "text",
    "new": "text",
    "as_of": "text",
    "epoch": "bigint",
}

# Text types that an index serves only when the other side is of the same type.
_POSTGRES_KEYS = {"CHAR": "bpchar", "CITEXT": "citext"}


class Refs:
    """References to values in a statement, in the order in which they stand there.

    :param written: gives the reference to the value of a name.
    """

    def __init__(self, written: Callable[[str], str]) -> None:
        self._written = written
        self.names: list[str] = []

    def __call__(self, name: str) -> str:
        """A reference to the value of this name."""
        self.names.append(name)
        return self._written(name)


class Dialect:
    """MariaDB and MySQL, and what the others have in common with them."""

    batch_rows: ClassVar[int] = 5_000
    same: ClassVar[str] = "<=>"
    lock: ClassVar[str] = " FOR UPDATE"
    isolation: ClassVar[str | None] = "REPEATABLE READ"
    #: An aggregate that makes one text of a column, each value ended by a line feed; empty where there is none.
    joined: ClassVar[str] = ""

    def __init__(self, dialect: sa.Dialect) -> None:
        self.placeholder = "?" if dialect.paramstyle == "qmark" else "%s"

    @contextmanager
    def transaction(self, connection: sa.Connection) -> Iterator[None]:
        """A transaction of its own, whatever the engine's isolation level says."""
        try:
            connection.execution_options(isolation_level=self.isolation)
        except connection.dialect.loaded_dbapi.Error:
            # The server hung up on idle connections, and SQLAlchemy does not look at errors of SET ISOLATION LEVEL.
            connection.invalidate()
            connection.engine.dispose()
            connection.execution_options(isolation_level=self.isolation)
        with connection.begin():
            yield

    def reading(self, connection: sa.Connection) -> AbstractContextManager[None]:
        """A transaction to read in."""
        return self.transaction(connection)

    def settle(self, connection: sa.Connection) -> None:
        """Sets, for this transaction, what the texts of values depend on."""

    def schema_mark(self, connection: sa.Connection) -> int | None:
        """A number that changes with every change of the schema, where the database keeps one."""
        return None

    def text(self, key: KeyColumn) -> str:
        """The key as canonical text, "" for null."""
        text = self._cast_text(f"t.{key.name}") if key.integer else self._plain_text(key)
        return f"coalesce({text}, '')" if key.nullable else text

    def _cast_text(self, expression: str) -> str:
        return f"cast({expression} AS char)"

    def _plain_text(self, key: KeyColumn) -> str:
        return f"t.{key.name}"

    def matches(self, key: KeyColumn, name: str, refs: Refs) -> str:
        """That the key is exactly this text; first in a way that an index serves, where one can."""
        served = "" if _may_be_null(key, name) else f"t.{key.name} = {self.as_key(key, refs(name))} AND "
        return served + self._exactly(self.text(key), refs(name))

    def among(self, key: KeyColumn, names: Sequence[str], refs: Refs) -> str:
        """That the key is one of these values, as its column's collation has it; an index serves it."""
        refs.names += names
        return f"t.{key.name} IN ({', '.join([self.placeholder] * len(names))})"

    def as_key(self, key: KeyColumn, ref: str) -> str:
        """A text value as one of the key's type."""
        return ref

    def _exactly(self, text: str, ref: str) -> str:
        return f"cast(convert({text} USING utf8mb4) AS binary) = cast(convert({ref} USING utf8mb4) AS binary)"

    def number(self, ref: str) -> str:
        """A quantity, to compare with."""
        return f"cast({ref} AS decimal(38, 9))"

    def moment(self, ref: str, *, zoned: bool) -> str:
        """A time of observation, to compare with."""
        return f"cast({ref} AS datetime(6))"

    def not_newer(self, column: str, ref: str, *, zoned: bool) -> str:
        """That a row's time is no later; may miss a row that is written unusually, never the other way."""
        return f"{column} <= {self.moment(ref, zoned=zoned)}"

    def quantity_text(self, table: StockTable) -> str:
        """The level as decimal text."""
        return f"cast(t.{table.quantity.name} AS char)"

    def time_text(self, column: str, *, zoned: bool) -> str:
        """The time of observation in UTC as text."""
        return self._cast_text(column)

    def columns(self, table: StockTable) -> dict[str, str]:
        """The columns that the table has, each as text."""
        found = {"quantity": self.quantity_text(table), "sku": self.text(table.sku)}
        if table.location:
            found["location"] = self.text(table.location)
        if table.as_of:
            found["as_of"] = self.time_text(f"t.{table.as_of.name}", zoned=table.as_of.zoned)
        return found

    def fixed(self, table: StockTable, refs: Refs) -> Iterator[str]:
        """The conditions that the fixed columns have their values."""
        for name, value, _ in table.fixed:
            yield f"t.{name} IS NULL" if value is None else f"t.{name} = {refs(name)}"

    def refs(self) -> Refs:
        """References for a statement that is given one value a name."""
        return Refs(lambda name: self.placeholder)

    def row_refs(self, table: StockTable) -> Refs:
        """References for a statement that is run for many rows."""
        return self.refs()

    def ask(
        self, connection: sa.Connection, statement: str, refs: Refs, values: Mapping[str, object]
    ) -> sa.CursorResult[Any]:
        """Runs a query."""
        return connection.exec_driver_sql(statement, tuple([values[name] for name in refs.names]))

    def run(self, connection: sa.Connection, statement: str, refs: Refs, rows: pl.DataFrame, table: StockTable) -> int:
        """Runs a statement for all rows and counts the rows of the table that it touched."""
        fixed = {name: value for name, value, _ in table.fixed}
        columns = [repeat(fixed[name]) if name in fixed else rows[name].to_list() for name in refs.names]
        return connection.exec_driver_sql(statement, list(zip(*columns, strict=False))).rowcount

    def update(self, table: str, sets: str, where: str) -> str:
        """An update of the rows that ``where`` finds."""
        return f"UPDATE {table} AS t SET {sets} WHERE {where}"  # noqa: S608  only quoted names and references

    def insert(self, table: str, columns: str, values: str) -> str:
        """An insert of one row."""
        return f"INSERT INTO {table} ({columns}) VALUES ({values})"  # noqa: S608

    def given(self, name: str, ref: str, table: StockTable) -> str:
        """A value as an insert or an assignment takes it."""
        return ref


class _MariaDb(Dialect):
    """Writes by a join with the rows given: an update a row takes ten times as long."""

    #: More rows in a statement take no less time a row.
    _rows_at_once: ClassVar[int] = 1_000
    _rows: ClassVar[str] = "/*rows*/"

    def matches(self, key: KeyColumn, name: str, refs: Refs) -> str:
        served = "" if _may_be_null(key, name) else f"t.{key.name} = {refs(f'{name}_key')} AND "
        return served + self._exactly(self.text(key), refs(name))

    def row_refs(self, table: StockTable) -> Refs:
        fixed = {name for name, _, _ in table.fixed}
        return Refs(lambda name: self.placeholder if name in fixed else f"c.{_given(name)}")

    def run(self, connection: sa.Connection, statement: str, refs: Refs, rows: pl.DataFrame, table: StockTable) -> int:
        fixed = {name: value for name, value, _ in table.fixed}
        names = [name for name in dict.fromkeys(refs.names) if name not in fixed]
        others = [fixed[name] for name in refs.names if name in fixed]
        columns = rows.select(rows[name.removesuffix("_key")].alias(name) for name in names)
        touched = 0
        for part in columns.iter_slices(self._rows_at_once):
            joined = statement.replace(self._rows, self._rows_of(names, part.height, table), 1)
            values = [value for row in part.iter_rows() for value in row]
            # An insert names what is fixed before the rows, an update after them.
            ordered = (*others, *values) if statement.startswith("INSERT") else (*values, *others)
            touched += connection.exec_driver_sql(joined, ordered).rowcount
        return touched

    def _rows_of(self, names: Sequence[str], height: int, table: StockTable) -> str:
        """The rows as a table, in which each key is of the type and collation of its column: else no index serves."""
        keys = {"sku_key": table.sku, "location_key": table.location}
        types = [f"{f'k.{key.name}' if (key := keys.get(name)) else 'NULL'} AS {_given(name)}" for name in names]
        row = f" UNION ALL SELECT {', '.join([self.placeholder] * len(names))}"
        return f"(SELECT {', '.join(types)} FROM {table.name} AS k WHERE FALSE{row * height})"  # noqa: S608

    def update(self, table: str, sets: str, where: str) -> str:
        # Joined in this order: the table may be large, and what the database knows of its size is a guess.
        return f"UPDATE {self._rows} AS c STRAIGHT_JOIN {table} AS t SET {sets} WHERE {where}"  # noqa: S608

    def insert(self, table: str, columns: str, values: str) -> str:
        return f"INSERT INTO {table} ({columns}) SELECT {values} FROM {self._rows} AS c"  # noqa: S608


def _given(name: str) -> str:
    """A name that no column of the host's has."""
    return f"inventory_given_{name}"


class _Sqlite(Dialect):
    same = "IS"
    lock = ""
    isolation = None
    joined = "cast(group_concat(coalesce({0}, ''), char(10)) || char(10) AS blob)"

    @contextmanager
    def transaction(self, connection: sa.Connection) -> Iterator[None]:
        with connection.begin():
            # A deferred transaction that reads before it writes can fail for a lock that no waiting resolves.
            if not getattr(connection.connection.driver_connection, "in_transaction", False):
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield

    @contextmanager
    def reading(self, connection: sa.Connection) -> Iterator[None]:
        with connection.begin():
            yield

    def schema_mark(self, connection: sa.Connection) -> int | None:
        mark: int = connection.exec_driver_sql("PRAGMA main.schema_version").scalar_one()
        return mark

    def _cast_text(self, expression: str) -> str:
        return f"cast({expression} AS text)"

    def _exactly(self, text: str, ref: str) -> str:
        return f"{text} = {ref} COLLATE BINARY"

    def number(self, ref: str) -> str:
        return ref

    def moment(self, ref: str, *, zoned: bool) -> str:
        return ref

    def not_newer(self, column: str, ref: str, *, zoned: bool) -> str:
        digits = "[0-9]" * 6
        return f"({column} <= {ref} AND {column} GLOB '????-??-?? ??:??:??.{digits}')"

    def quantity_text(self, table: StockTable) -> str:
        column, places = f"t.{table.quantity.name}", table.quantity.places
        # '!' is no number: the reader names that row. Beyond `high` a binary float proves no decimal.
        real = f"CASE WHEN abs({column}) <= {table.quantity.high} THEN printf('%.{places}f', {column}) ELSE '!' END"
        kinds = f"WHEN 'integer' THEN {column} WHEN 'null' THEN NULL"
        if not table.quantity.whole:
            kinds += f" WHEN 'real' THEN {real}"
        return f"CASE typeof({column}) {kinds} ELSE '!' END"


class _Postgres(Dialect):
    batch_rows = 10_000
    same = "IS NOT DISTINCT FROM"
    isolation = "READ COMMITTED"
    joined = "string_agg(coalesce({0}, ''), chr(10)) || chr(10)"

    def settle(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("SET LOCAL datestyle = 'ISO'")

    def among(self, key: KeyColumn, names: Sequence[str], refs: Refs) -> str:
        return f"t.{key.name} IN ({', '.join([self.as_key(key, refs(name)) for name in names])})"

    def _cast_text(self, expression: str) -> str:
        return f"{expression}::text"

    def _plain_text(self, key: KeyColumn) -> str:
        return self._cast_text(f"t.{key.name}")

    def as_key(self, key: KeyColumn, ref: str) -> str:
        if key.integer:
            return f"{ref}::bigint"
        return f"{ref}::" + _POSTGRES_KEYS.get(key.kind, "text")

    def _exactly(self, text: str, ref: str) -> str:
        return f'({text}) COLLATE "C" = {ref}'

    def number(self, ref: str) -> str:
        return f"{ref}::numeric"

    def moment(self, ref: str, *, zoned: bool) -> str:
        return f"({ref} || '+00')::timestamptz" if zoned else f"{ref}::timestamp"

    def quantity_text(self, table: StockTable) -> str:
        return f"t.{table.quantity.name}::text"

    def time_text(self, column: str, *, zoned: bool) -> str:
        return self._cast_text(f"({column} AT TIME ZONE 'UTC')" if zoned else column)

    def refs(self) -> Refs:
        return Refs(lambda name: f"%({name})s")

    def row_refs(self, table: StockTable) -> Refs:
        types = {name: kind for name, _, kind in table.fixed}
        return Refs(lambda name: f"cast(%({name})s AS {types[name]})" if name in types else f"c.{name}")

    def ask(
        self, connection: sa.Connection, statement: str, refs: Refs, values: Mapping[str, object]
    ) -> sa.CursorResult[Any]:
        return connection.exec_driver_sql(statement, dict(values))

    def run(self, connection: sa.Connection, statement: str, refs: Refs, rows: pl.DataFrame, table: StockTable) -> int:
        values: dict[str, object] = {f"{name}_values": rows[name].to_list() for name in _FIELDS}
        values.update((name, value) for name, value, _ in table.fixed)
        return connection.exec_driver_sql(statement, values).rowcount

    def given(self, name: str, ref: str, table: StockTable) -> str:
        if name == "new":
            return self.number(ref)
        if name == "as_of" and table.as_of:
            return self.moment(ref, zoned=table.as_of.zoned)
        key = {"sku": table.sku, "place": table.location}.get(name)
        return self.as_key(key, ref) if key else ref

    def _rows(self) -> str:
        arrays = ", ".join(f"%({name}_values)s::{kind}[]" for name, kind in _FIELDS.items())
        return f"unnest({arrays}) AS c({', '.join(_FIELDS)})"

    def update(self, table: str, sets: str, where: str) -> str:
        return f"UPDATE {table} AS t SET {sets} FROM {self._rows()} WHERE {where}"  # noqa: S608

    def insert(self, table: str, columns: str, values: str) -> str:
        return f"INSERT INTO {table} ({columns}) SELECT {values} FROM {self._rows()}"  # noqa: S608


def _may_be_null(key: KeyColumn, name: str) -> bool:
    """Whether a value may stand as null in its column: no location does, but a SKU is never none."""
    return key.nullable and name != "sku"


def dialect_of(dialect: sa.Dialect) -> Dialect:
    """The one for an engine.

    :raises ConfigurationError: when the engine speaks to another kind of database.
    """
    kinds = {"sqlite": _Sqlite, "postgresql": _Postgres, "mysql": _MariaDb, "mariadb": _MariaDb}
    if dialect.name not in kinds:
        raise ConfigurationError(
            f"a stock table in a {dialect.name} database cannot be written",
            guidance="Use SQLite, PostgreSQL, MariaDB or MySQL, or write a sink of your own.",
        )
    return kinds[dialect.name](dialect)
