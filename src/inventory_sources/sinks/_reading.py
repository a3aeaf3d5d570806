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
    return _checked(current_rows(connection, dialect, table, skus).drop("epoch"), table)


def current_rows(
    connection: sa.Connection, dialect: Dialect, table: StockTable, skus: Sequence[str], *, lock: bool = False
) -> pl.DataFrame:
    """The rows of these SKUs with their ``epoch``, locked where the database locks rows."""
    columns = {**dialect.columns(table), "epoch": f"t.{table.epoch}" if table.epoch else "NULL"}
    rows: list[Sequence[object]] = []
    for asked in _portions(filter(table.sku.may_be, skus)):
        refs = dialect.refs()
        names = {f"key{number}": sku for number, sku in enumerate(asked)}
        keys = ", ".join(dialect.as_key(table.sku, refs(name)) for name in names)
        where = " AND ".join([f"t.{table.sku.name} IN ({keys})", *dialect.fixed(table, refs)])
        query = f"SELECT {', '.join(columns.values())} FROM {table.name} AS t WHERE {where}"  # noqa: S608
        rows += dialect.ask(connection, query + (dialect.lock if lock else ""), refs, {**names, **_fixed(table)})
    texts = _texts(list(columns), rows).with_columns(pl.col("epoch").cast(pl.Int64))
    # The database may have compared by a collation that takes other keys for equal.
    return _typed(_of(texts, skus), table)


def _portions(skus: Iterable[str]) -> Iterator[list[str]]:
    distinct = iter(dict.fromkeys(skus))
    while portion := list(islice(distinct, _ASKED)):
        yield portion


def _texts(names: Sequence[str], rows: Sequence[Sequence[object]]) -> pl.DataFrame:
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pl.DataFrame(
        [
            pl.Series(name, [None if value is None else str(value) for value in values], pl.String)
            for name, values in zip(names, columns, strict=True)
        ]
    )


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
    blank = pl.col("quantity").is_null() | (pl.col("quantity") == "")
    number = pl.col("quantity").cast(pl.Int64, strict=False) if table.quantity.whole else pl.col("quantity")
    missing = {"location": "", "as_of": None}
    texts = texts.with_columns(
        pl.lit(value, pl.String).alias(name) for name, value in missing.items() if name not in texts.columns
    )
    levels = texts.with_columns(number.cast(pl.Decimal(38, DECIMAL_PLACES), strict=False), _moments(texts["as_of"]))
    if levels["quantity"].null_count() or not table.quantity.whole:
        _refuse(texts.filter(~blank & (levels["quantity"].is_null() | _TOO_FINE)), table)
    return levels[["sku", "location", "quantity", "as_of", *(["epoch"] if "epoch" in levels.columns else [])]]


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
