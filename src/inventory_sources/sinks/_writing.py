"""Changes written in bulk, and the few rows looked at one by one that the bulk did not reach.

Each batch is one guarded update. Where it touched as many rows as it was given, all of them changed. Where it did not,
or the database refused it, the batch is taken back, its rows are read under lock, and each is judged by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from sqlalchemy import exc

from inventory_sources.batch import DECIMAL_PLACES
from inventory_sources.errors import LeaseLost, SinkError
from inventory_sources.plan import Outcome
from inventory_sources.protocols.sink import ItemOutcome
from inventory_sources.sinks._failures import is_refusal
from inventory_sources.sinks._reading import current_rows

if TYPE_CHECKING:
    import sqlalchemy as sa

    from inventory_sources.protocols.sink import ApplyContext
    from inventory_sources.sinks._dialects import Dialect, Refs
    from inventory_sources.sinks._stock_table import KeyColumn, StockTable

__all__ = ["Writer"]

_OUTCOMES = {
    "row_gone": Outcome.FAILED,
    "moved_on": Outcome.FAILED,
    "refused": Outcome.FAILED,
    "newer_as_of": Outcome.STALE,
    "already_there": Outcome.UNCHANGED,
}


class Writer:
    """Writes one change set within the transaction it is given."""

    def __init__(self, connection: sa.Connection, dialect: Dialect, table: StockTable, context: ApplyContext) -> None:
        self._connection = connection
        self._dialect = dialect
        self._table = table
        self._context = context
        self._exceptions: list[ItemOutcome] = []

    def write(self, changes: pl.DataFrame) -> tuple[ItemOutcome, ...]:
        """All changes; returns how those ended that were not written.

        :raises LeaseLost: when a row was written under a higher epoch, or ``renew`` says so.
        """
        done = 0
        # In the order of the key, neighbours in the table and its index are written together: half the time on disk.
        for batch in changes.sort("sku", "location").iter_slices(self._dialect.batch_rows):
            self._context.renew()
            self._write_batch(self._fitting(batch))
            done += batch.height
            self._context.progress(done)
        return tuple(self._exceptions)

    def _fitting(self, batch: pl.DataFrame) -> pl.DataFrame:
        quantity = self._table.quantity
        kept = pl.col("new").cast(pl.Decimal(38, quantity.places)).cast(pl.Decimal(38, DECIMAL_PLACES))
        keeps = pl.col("new") == kept
        within = pl.col("new").is_between(pl.lit(quantity.low), pl.lit(quantity.high))
        keyed = _as_key(self._table.sku, "sku")
        if self._table.location:
            keyed &= _as_key(self._table.location, "location")
        else:
            keyed &= pl.col("location") == ""
        reason = pl.when(~keyed).then(pl.lit("row_gone")).when(~(keeps & within)).then(pl.lit("refused"))
        judged = batch.with_columns(reason.otherwise(None).alias("reason"))
        self._except(judged.filter(pl.col("reason").is_not_null()))
        return judged.filter(pl.col("reason").is_null())

    def _write_batch(self, batch: pl.DataFrame) -> None:
        unknown = pl.col("old").is_null() & self._table.inserts
        known = batch.filter(~unknown)
        if known.height and self._tried(known, self._update(guarded=True)) != known.height:
            self._judge(known)
        if known.height < batch.height:
            self._judge(batch.filter(unknown))

    def _tried(self, rows: pl.DataFrame, statement: tuple[str, Refs]) -> int | None:
        """How many rows a statement touched; unless it touched all, it is taken back. ``None`` if it was refused."""
        savepoint = self._connection.begin_nested()
        try:
            reached = self._run(*statement, rows)
        except exc.DBAPIError as error:
            if not is_refusal(error):
                raise
            reached = None
        if reached == rows.height:
            savepoint.commit()
        else:
            savepoint.rollback()
        return reached

    def _judge(self, rows: pl.DataFrame) -> None:
        skus = rows["sku"].to_list()
        current = current_rows(self._connection, self._dialect, self._table, skus, lock=True)
        current = current.rename({"quantity": "now", "as_of": "now_as_of", "epoch": "now_epoch"})
        judged = rows.drop("reason").join(current.with_columns(found=True), on=["sku", "location"], how="left")
        if judged.height != rows.height:
            raise SinkError("two rows of the stock table have the same key", guidance="Keep one row for each key.")
        newer = judged.filter(pl.col("now_epoch") > self._context.epoch)
        if newer.height:
            raise LeaseLost(f"SKU {newer['sku'][0]!r} was written under a newer lease")
        judged = judged.with_columns(reason=self._reason())
        self._except(judged.filter(pl.col("reason").is_in(list(_OUTCOMES))))
        self._put(judged.filter(pl.col("reason").is_in(self._written())), self._update(guarded=False))
        self._put(judged.filter(pl.col("reason") == "insert"), self._insert())

    def _reason(self) -> pl.Expr:
        absent = pl.col("found").is_null()
        moved = ~pl.col("now").eq_missing(pl.col("old")) if not self._table.fenced else pl.lit(value=False)
        return (
            pl.when(absent & pl.col("old").is_null() & self._table.inserts)
            .then(pl.lit("insert"))
            .when(absent)
            .then(pl.lit("row_gone"))
            .when(pl.col("now_as_of") > pl.col("as_of"))
            .then(pl.lit("newer_as_of"))
            .when(pl.col("now") == pl.col("new"))
            .then(pl.lit("already_there"))
            .when(moved)
            .then(pl.lit("moved_on"))
            .otherwise(pl.lit("update"))
        )

    def _written(self) -> list[str]:
        # A row that stands at the new level already still learns that it was seen again.
        return ["update", "already_there"] if self._table.as_of or self._table.epoch else ["update"]

    def _put(self, rows: pl.DataFrame, statement: tuple[str, Refs]) -> None:
        """Writes rows that may be written; halves what the database refuses until it is single items."""
        if not rows.height:
            return
        reached = self._tried(rows, statement)
        if reached == rows.height:
            return
        if reached is not None:
            raise SinkError(f"{rows.height} rows were to be written, and the stock table took {reached}")
        if rows.height == 1:
            self._except(rows.with_columns(reason=pl.lit("refused")))
            return
        half = rows.height // 2
        self._put(rows.head(half), statement)
        self._put(rows.tail(rows.height - half), statement)

    def _run(self, statement: str, refs: Refs, rows: pl.DataFrame) -> int:
        texts = rows.select(
            "sku",
            "location",
            _decimal_text("old"),
            _decimal_text("new"),
            pl.col("as_of").dt.strftime("%Y-%m-%d %H:%M:%S%.6f"),
            pl.when(pl.col("location") != "").then("location").alias("place"),
            epoch=pl.lit(self._context.epoch),
        )
        if self._table.location and not self._table.location.nullable:
            texts = texts.with_columns(place="location")
        return self._dialect.run(self._connection, statement, refs, texts, self._table)

    def _except(self, rows: pl.DataFrame) -> None:
        for sku, location, reason in rows.select("sku", "location", "reason").iter_rows():
            self._exceptions.append(ItemOutcome(sku, location, _OUTCOMES[reason], reason))

    def _update(self, *, guarded: bool) -> tuple[str, Refs]:
        table, dialect, refs = self._table, self._dialect, self._dialect.row_refs(self._table)
        sets = ", ".join(f"{column} = {dialect.given(name, refs(name), table)}" for column, name in self._values())
        where = [dialect.matches(table.sku, "sku", refs)]
        if table.location:
            where.append(dialect.matches(table.location, "location", refs))
        where += dialect.fixed(table, refs)
        if guarded:
            where += self._guards(refs)
        return dialect.update(table.name, sets, " AND ".join(where)), refs

    def _values(self) -> list[tuple[str, str]]:
        table = self._table
        named = [(table.quantity.name, "new")]
        if table.as_of:
            named.append((table.as_of.name, "as_of"))
        return [*named, (table.epoch, "epoch")] if table.epoch else named

    def _guards(self, refs: Refs) -> list[str]:
        table, dialect = self._table, self._dialect
        guards = []
        if table.as_of:
            column = f"t.{table.as_of.name}"
            guards.append(f"({column} IS NULL OR {dialect.not_newer(column, refs('as_of'), zoned=table.as_of.zoned)})")
        if table.epoch:
            guards.append(f"(t.{table.epoch} IS NULL OR t.{table.epoch} <= {refs('epoch')})")
        asked, negated = ("new", "NOT ") if table.fenced else ("old", "")
        return [*guards, f"{negated}(t.{table.quantity.name} {dialect.same} {dialect.number(refs(asked))})"]

    def _insert(self) -> tuple[str, Refs]:
        table, dialect, refs = self._table, self._dialect, self._dialect.row_refs(self._table)
        named = [(table.sku.name, "sku"), *self._values()]
        if table.location:
            named.append((table.location.name, "place"))
        columns = [column for column, _ in named]
        values = [dialect.given(name, refs(name), table) for _, name in named]
        for name, _, _ in table.fixed:
            columns.append(name)
            values.append(refs(name))
        return dialect.insert(table.name, ", ".join(columns), ", ".join(values)), refs


def _as_key(key: KeyColumn, name: str) -> pl.Expr:
    if not key.integer:
        return pl.lit(value=True)
    return pl.col(name).map_elements(key.may_be, return_dtype=pl.Boolean)


def _decimal_text(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".").alias(name)
