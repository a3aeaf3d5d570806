"""The host's stock table as it is found: that it has what was declared, and which exact values fit into it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

import sqlalchemy as sa
from attrs import frozen
from sqlalchemy import exc

from inventory_sources.batch import DECIMAL_PLACES
from inventory_sources.errors import SinkSchemaInvalid

if TYPE_CHECKING:
    from sqlalchemy.engine import Inspector

__all__ = ["Declaration", "KeyColumn", "QuantityColumn", "StockTable", "TimeColumn", "reflect"]

_Found: TypeAlias = "dict[str, dict[str, Any]]"

_BITS = {"TINYINT": 8, "SMALLINT": 16, "MEDIUMINT": 24, "INTEGER": 32, "BIGINT": 64}

# SQLite keeps NUMERIC values as 64-bit binary floats, and those keep every decimal of 15 digits.
_SQLITE_DIGITS = 15
_SQLITE_PLACES = 6
_MICROSECONDS = 6

#: Integers as a database writes them, as far as all of 64 bits.
_CANONICAL = re.compile(r"(0|-?[1-9][0-9]{0,17})\Z")


@frozen
class Declaration:
    """What the host says its table has: columns by the part they play."""

    table: str
    schema: str | None
    needed: Mapping[str, str]
    optional: Mapping[str, str | None]
    where: Mapping[str, object]
    inserts: bool

    def columns(self) -> dict[str, str]:
        """The columns that were declared, by their part."""
        return {**self.needed, **{part: name for part, name in self.optional.items() if name is not None}}


@frozen
class KeyColumn:
    """A column of the key; ``name`` is quoted, ``kind`` is the upper-case name of its type."""

    name: str
    kind: str
    integer: bool
    nullable: bool

    def may_be(self, text: str) -> bool:
        """Whether a text can stand in it at all: `00123` is no integer's text."""
        return not self.integer or bool(_CANONICAL.match(text)) or (self.nullable and not text)


@frozen
class QuantityColumn:
    """The column of levels, and which levels fit: from ``low`` to ``high``, with ``places`` decimals."""

    name: str
    places: int
    low: Decimal
    high: Decimal
    whole: bool = False


@frozen
class TimeColumn:
    """The column of observation times; ``zoned`` where the database keeps a moment rather than a reading."""

    name: str
    zoned: bool


@frozen
class StockTable:
    """A stock table that can be read and written; all names are quoted.

    :param fixed: columns with one value: name, the value as the driver takes it, and the column's type.
    :param unique: whether the database itself keeps keys apart.
    """

    name: str
    sku: KeyColumn
    location: KeyColumn | None
    quantity: QuantityColumn
    as_of: TimeColumn | None
    epoch: str | None
    fixed: tuple[tuple[str, object, str], ...]
    unique: bool
    inserts: bool

    @property
    def fenced(self) -> bool:
        """Whether rows keep both the time of observation and the epoch."""
        return self.as_of is not None and self.epoch is not None


def reflect(connection: sa.Connection, declared: Declaration) -> StockTable:
    """The table as it is.

    :raises SinkSchemaInvalid: when it, or a declared column, is missing or of an unusable type.
    """
    inspector = sa.inspect(connection)
    found = _columns(inspector, declared)
    names = declared.columns()
    _check_inserts(found, declared)
    dialect = connection.dialect
    quote = dialect.identifier_preparer.quote
    table = quote(declared.table) if declared.schema is None else f"{quote(declared.schema)}.{quote(declared.table)}"
    return StockTable(
        table,
        _key(found[names["sku"]], dialect),
        _key(found[names["location"]], dialect) if "location" in names else None,
        _quantity(found[names["quantity"]], dialect),
        _time(found[names["as_of"]], dialect) if "as_of" in names else None,
        _epoch(found[names["epoch"]], dialect) if "epoch" in names else None,
        tuple(_fixed(found[name], value, dialect) for name, value in declared.where.items()),
        _unique(inspector, found, declared),
        declared.inserts,
    )


def _columns(inspector: Inspector, declared: Declaration) -> _Found:
    try:
        found = {column["name"]: dict(column) for column in inspector.get_columns(declared.table, declared.schema)}
    except exc.NoSuchTableError:
        found = {}
    if not found:
        there = _listed(inspector.get_table_names(declared.schema))
        raise SinkSchemaInvalid(f"there is no stock table {declared.table!r}; the database has {there}")
    for name in (*declared.columns().values(), *declared.where):
        if name not in found:
            there = _listed(found)
            raise SinkSchemaInvalid(f"the stock table {declared.table!r} has no column {name!r}; it has {there}")
    return found


def _listed(names: Iterable[str], most: int = 20) -> str:
    ordered = list(names)
    more = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return (", ".join(ordered[:most]) or "none") + more


def _check_inserts(found: _Found, declared: Declaration) -> None:
    given = {*declared.columns().values(), *declared.where}
    needed = [name for name, column in found.items() if name not in given and _must_be_given(column)]
    if declared.inserts and needed:
        raise SinkSchemaInvalid(
            f"rows cannot be inserted into {declared.table!r}: {_listed(needed)} may not be null and has no default",
            guidance="Give the column a default or a fixed value in `where`, or leave insert_missing out.",
        )


def _must_be_given(column: dict[str, Any]) -> bool:
    generated = column.get("identity") or column.get("computed") or column.get("autoincrement") is True
    row_number = column.get("primary_key") and isinstance(column["type"], sa.Integer)
    return not (column["nullable"] or column.get("default") is not None or generated or row_number)


def _kind(column: dict[str, Any]) -> str:
    return str(column["type"].__visit_name__).upper()


def _unusable(column: dict[str, Any], dialect: sa.Dialect, wanted: str) -> SinkSchemaInvalid:
    kind = column["type"].compile(dialect=dialect) if _kind(column) != "NULL" else "of no known type"
    return SinkSchemaInvalid(f"column {column['name']!r} is {kind}; it must be {wanted}")


def _key(column: dict[str, Any], dialect: sa.Dialect) -> KeyColumn:
    integer = isinstance(column["type"], sa.Integer)
    if not integer and (not isinstance(column["type"], sa.String) or isinstance(column["type"], sa.Enum)):
        raise _unusable(column, dialect, "text or an integer")
    name = dialect.identifier_preparer.quote(column["name"])
    return KeyColumn(name, _kind(column), integer, bool(column["nullable"]))


def _quantity(column: dict[str, Any], dialect: sa.Dialect) -> QuantityColumn:
    name, kind = dialect.identifier_preparer.quote(column["name"]), column["type"]
    if isinstance(kind, sa.Integer):
        return _whole(name, column, sqlite=dialect.name == "sqlite")
    if isinstance(kind, sa.Float) or not isinstance(kind, sa.Numeric):
        raise _unusable(column, dialect, "INTEGER, BIGINT, SMALLINT or NUMERIC(p, s), which keep decimals exactly")
    if dialect.name == "sqlite":
        places = _SQLITE_PLACES if kind.scale is None else min(kind.scale, DECIMAL_PLACES)
        high = (Decimal(10) ** _SQLITE_DIGITS - 1).scaleb(-places)
    else:
        places = DECIMAL_PLACES if kind.scale is None else min(kind.scale, DECIMAL_PLACES)
        whole = 38 - DECIMAL_PLACES if kind.precision is None else kind.precision - (kind.scale or 0)
        high = Decimal(10) ** whole - Decimal(1).scaleb(-places)
    return QuantityColumn(name, places, Decimal(0) if getattr(kind, "unsigned", False) else -high, high)


def _whole(name: str, column: dict[str, Any], *, sqlite: bool) -> QuantityColumn:
    bits = 64 if sqlite else _BITS.get(_kind(column), 32)
    if getattr(column["type"], "unsigned", False):
        return QuantityColumn(name, 0, Decimal(0), Decimal(2 ** min(bits, 63) - 1), whole=True)
    return QuantityColumn(name, 0, Decimal(-(2 ** (bits - 1))), Decimal(2 ** (bits - 1) - 1), whole=True)


def _time(column: dict[str, Any], dialect: sa.Dialect) -> TimeColumn:
    kind, name = column["type"], dialect.identifier_preparer.quote(column["name"])
    if dialect.name == "sqlite":
        if not isinstance(kind, sa.DateTime | sa.String):
            raise _unusable(column, dialect, "DATETIME, TIMESTAMP or TEXT")
        return TimeColumn(name, zoned=False)
    if dialect.name == "postgresql":
        if not isinstance(kind, sa.DateTime) or getattr(kind, "precision", None) not in (None, _MICROSECONDS):
            raise _unusable(column, dialect, "TIMESTAMP or TIMESTAMPTZ with microseconds")
        return TimeColumn(name, zoned=kind.timezone)
    # A TIMESTAMP there follows the session's time zone.
    if _kind(column) != "DATETIME" or getattr(kind, "fsp", None) != _MICROSECONDS:
        raise _unusable(column, dialect, "DATETIME(6)")
    return TimeColumn(name, zoned=False)


def _epoch(column: dict[str, Any], dialect: sa.Dialect) -> str:
    if not isinstance(column["type"], sa.Integer):
        raise _unusable(column, dialect, "an integer")
    return str(dialect.identifier_preparer.quote(column["name"]))


def _fixed(column: dict[str, Any], value: object, dialect: sa.Dialect) -> tuple[str, object, str]:
    process = column["type"].dialect_impl(dialect).bind_processor(dialect)
    bound = value if process is None or value is None else process(value)
    kind = "" if _kind(column) == "NULL" else column["type"].compile(dialect=dialect)
    return dialect.identifier_preparer.quote(column["name"]), bound, kind


def _unique(inspector: Inspector, found: _Found, declared: Declaration) -> bool:
    names = declared.columns()
    parts = [names["sku"], *([names["location"]] if "location" in names else [])]
    if any(found[name]["nullable"] for name in parts[1:]):
        return False
    key = {*parts, *declared.where}
    place = (declared.table, declared.schema)
    constraints: list[Any] = [inspector.get_pk_constraint(*place)["constrained_columns"]]
    constraints += [constraint["column_names"] for constraint in inspector.get_unique_constraints(*place)]
    constraints += [index["column_names"] for index in inspector.get_indexes(*place) if _whole_index(index)]
    return any(columns and key.issuperset(columns) for columns in constraints)


def _whole_index(index: Any) -> bool:
    options = index.get("dialect_options") or {}
    partial = any(name.endswith("_where") for name in options)
    return bool(index["unique"]) and not partial and None not in index["column_names"]
