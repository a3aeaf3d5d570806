"""Stock levels as columns, a million rows at a time.

SQLite and PostgreSQL make one text of each column, which polars splits; that takes a third of the time of one tuple a
row. Such a text is used only where it provably splits into the values that went in.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

import polars as pl
from sqlalchemy import exc

from inventory_sources.batch import DECIMAL_PLACES
from inventory_sources.errors import SinkError, SinkSchemaInvalid

if TYPE_CHECKING:
    import sqlalchemy as sa

    from inventory_sources.sinks._dialects import Dialect, Refs
    from inventory_sources.sinks._stock_table import StockTable

__all__ = ["current_rows", "read_all", "read_some"]

_CHUNK = 20_000
_ASKED = 1_000
# A line of polars' ends at its separator, and a return before the line feed is lost.
_MISREAD = (b"\x1f", b"\r")
_TOO_FINE = pl.col("quantity").str.contains(rf"\.[0-9]{{{DECIMAL_PLACES}}}[0-9]*[1-9]")


def read_all(
    connection: sa.Connection, dialect: Dialect, table: StockTable, skus: Sequence[str] | None = None
) -> pl.DataFrame:
    """The levels of all rows that have a SKU, or of those with one of many SKUs."""
    joined = _read_joined(connection, dialect, table) if dialect.joined else None
    levels = _checked(_typed(_read_rows(connection, dialect, table) if joined is None else joined, table), table)
    return levels if skus is None else _of(levels, skus)


def _of(levels: pl.DataFrame, skus: Sequence[str]) -> pl.DataFrame:
    return levels.join(pl.DataFrame({"sku": skus}, schema={"sku": pl.String}), on="sku", how="semi")


def read_some(connection: sa.Connection, dialect: Dialect, table: StockTable, skus: Sequence[str]) -> pl.DataFrame:
    """The levels of these SKUs."""
    return _checked(current_rows(connection, dialect, table, skus), table)


def current_rows(
    connection: sa.Connection, dialect: Dialect, table: StockTable, skus: Sequence[str], *, lock: bool = False
) -> pl.DataFrame:
    """The rows of these SKUs; with ``lock`` with their ``epoch``, and locked where the database locks rows."""
    columns = dialect.columns(table)
    if lock:
        columns["epoch"] = f"t.{table.epoch}" if table.epoch else "NULL"
    at, rows = list(columns).index("sku"), []
    for asked in _portions(filter(table.sku.may_be, skus) if table.sku.integer else skus):
        refs = dialect.refs()
        names = {f"key{number}": sku for number, sku in enumerate(asked)}
        where = " AND ".join([dialect.among(table.sku, list(names), refs), *dialect.fixed(table, refs)])
        query = f"SELECT {', '.join(columns.values())} FROM {table.name} AS t WHERE {where}"  # noqa: S608
        found = dialect.ask(connection, query + (dialect.lock if lock else ""), refs, {**names, **_fixed(table)}).all()
        # The database may have compared by a collation that takes other keys for equal.
        rows += [row for row in found if row[at] in asked]
    texts = _texts(list(columns), rows)
    levels = _typed(texts, table)
    return levels.hstack([texts["epoch"].cast(pl.Int64)]) if lock else levels


def _portions(skus: Iterable[str]) -> Iterator[dict[str, None]]:
    distinct = iter(dict.fromkeys(skus))
    while portion := dict.fromkeys(islice(distinct, _ASKED)):
        yield portion


def _texts(names: Sequence[str], rows: Sequence[Sequence[object]]) -> pl.DataFrame:
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pl.DataFrame([_text(name, values) for name, values in zip(names, columns, strict=True)])


def _text(name: str, values: Sequence[object]) -> pl.Series:
    try:
        return pl.Series(name, values, pl.String)
    except (TypeError, ValueError):  # a driver gives numbers and times as such
        return pl.Series(name, [None if value is None else str(value) for value in values], pl.String)


def _every_row(dialect: Dialect, table: StockTable, refs: Refs) -> str:
    where = " AND ".join([f"t.{table.sku.name} IS NOT NULL", *dialect.fixed(table, refs)])
    return f"FROM {table.name} AS t WHERE {where}"


def _read_joined(connection: sa.Connection, dialect: Dialect, table: StockTable) -> pl.DataFrame | None:
    columns = dialect.columns(table)
    joined = ", ".join(map(dialect.joined.format, columns.values()))
    refs = dialect.refs()
    query = f"SELECT count(*), {joined} {_every_row(dialect, table, refs)}"
    try:
        with connection.begin_nested():
            height, *found = tuple(dialect.ask(connection, query, refs, _fixed(table)).one())
    except (exc.DataError, exc.OperationalError):
        return None  # longer than the database lets one text be; if it is something else, the next query tells
    split = {}
    for name in columns:
        column = _split(found.pop(0), height)  # taken out, so that no text outlives its column
        if column is None:
            return None
        split[name] = column
    return pl.DataFrame(split)


def _split(joined: str | bytes | None, height: int) -> pl.Series | None:
    """The values of a column, or ``None`` where polars would not give back exactly those that were joined."""
    data = joined.encode() if isinstance(joined, str) else joined or b""
    if height == 0:
        return pl.Series([], dtype=pl.String)
    if data.count(b"\n") != height or any(mark in data for mark in _MISREAD) or data.startswith(BOM_UTF8):
        return None
    try:
        frame = pl.read_csv(data, separator="\x1f", has_header=False, quote_char=None, infer_schema=False)
    except pl.exceptions.PolarsError:
        return None
    return frame.to_series().fill_null("")


def _read_rows(connection: sa.Connection, dialect: Dialect, table: StockTable) -> pl.DataFrame:
    refs, columns = dialect.refs(), dialect.columns(table)
    query = f"SELECT {', '.join(columns.values())} {_every_row(dialect, table, refs)}"
    streamed = connection.execution_options(stream_results=True)
    found = dialect.ask(streamed, query, refs, _fixed(table)).partitions(_CHUNK)
    return pl.concat([_texts(list(columns), []), *(_texts(list(columns), rows) for rows in found)])


def _fixed(table: StockTable) -> dict[str, object]:
    return {name: value for name, value, _ in table.fixed}


def _typed(texts: pl.DataFrame, table: StockTable) -> pl.DataFrame:
    """Text columns as levels; "" or null is no value."""
    written = texts["quantity"]
    number = written.cast(pl.Int64, strict=False) if table.quantity.whole else written
    quantity = number.cast(pl.Decimal(38, DECIMAL_PLACES), strict=False)
    if quantity.null_count() or not table.quantity.whole:
        blank = pl.col("quantity").is_null() | (pl.col("quantity") == "")
        _refuse(texts.filter(~blank & (quantity.is_null() | _TOO_FINE)), table)
    location = texts["location"] if table.location else pl.Series("location", [""]).new_from_index(0, texts.height)
    as_of = texts["as_of"] if table.as_of else pl.Series("as_of", [None], pl.String).new_from_index(0, texts.height)
    return pl.DataFrame([texts["sku"], location, quantity, _moments(as_of)])


def _refuse(wrong: pl.DataFrame, table: StockTable) -> None:
    if wrong.height:
        raise SinkError(
            f"the stock table's quantity of SKU {wrong['sku'][0]!r} is no exact number of at most "
            f"{table.quantity.places} places ({wrong.height} such rows)",
            guidance="Correct these rows in the stock table.",
        )


def _moments(texts: pl.Series) -> pl.Series:
    if texts.null_count() == texts.len():
        return texts.cast(pl.Datetime("us", "UTC"))
    usual = texts.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", time_zone="UTC", strict=False)
    odd = usual.is_null() & texts.is_not_null() & (texts != "")
    if not odd.any():
        return usual
    read = {text: _moment(text) for text in texts.filter(odd).unique()}
    parsed = pl.Series([read.get(text) for text in texts], dtype=pl.Datetime("us", "UTC"))
    return usual.zip_with(~odd, parsed)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SinkError(
            f"the stock table's time of observation {text[:40]!r} is no ISO 8601 time",
            guidance="Correct these rows in the stock table, or set them to null.",
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _checked(levels: pl.DataFrame, table: StockTable) -> pl.DataFrame:
    """The same, with every key once."""
    if table.unique:
        return levels
    key = pl.struct("sku", "location") if table.location else pl.col("sku")
    twice = levels.filter(key.is_duplicated())
    if twice.height:
        sku, location = twice.row(0)[:2]
        raise SinkSchemaInvalid(
            f"{twice.height} rows of the stock table share their key; one is SKU {sku!r} at location {location!r}",
            guidance="Keep one row for each key (a unique index helps), or declare the location or fixed column.",
        )
    return levels
