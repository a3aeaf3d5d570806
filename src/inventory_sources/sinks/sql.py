"""`SqlStockSink`: stock levels in a table of the host's own, on SQLite, PostgreSQL, MariaDB or MySQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import sqlalchemy as sa
from attrs import define, field

from inventory_sources.errors import SinkError
from inventory_sources.protocols.sink import ApplyContext, ApplyResult, Changes, SinkLevel, SinkTraits
from inventory_sources.sinks._dialects import Dialect, dialect_of
from inventory_sources.sinks._failures import in_our_words
from inventory_sources.sinks._reading import read_all, read_some
from inventory_sources.sinks._stock_table import Declaration, StockTable, reflect
from inventory_sources.sinks._writing import Writer

if TYPE_CHECKING:
    import polars as pl

__all__ = ["SqlStockSink"]

# From so many SKUs on, reading the whole table at once is faster than asking for each.
_ASK_AT_MOST = 20_000


def _declared(mapping: Mapping[str, object]) -> dict[str, object]:
    return dict(mapping)


@define(eq=False)
class SqlStockSink:
    """Stock levels in the host's own table, by the names of its columns.

    Keys (``sku``, ``location``) are text or integer columns and compare exactly, whatever the column's collation:
    ``abc`` is not ``ABC``, ``00123`` is not ``123``. Quantities are INTEGER, BIGINT, SMALLINT or NUMERIC columns; a
    column of binary floats is refused. On SQLite a NUMERIC column is exact to 15 significant digits (that is all it
    stores) and one without a scale counts as having six places. The table should have a unique key over its SKU (and
    location, and fixed columns): without one, duplicates are looked for at each reading.

    With ``as_of`` and ``epoch`` the sink is *fenced*: a row keeps when its level was observed and the fencing token of
    the run that wrote it, and refuses older ones. Epochs are counted for each source, so an ``epoch`` column is for
    rows that only one source feeds. Without both it *compares and sets*: a row whose quantity is not the planned old
    one any more is left alone and reported as ``moved_on``. With ``shared`` it writes in the state store's own
    transaction, so the table must be in the store's database; on SQLite this is the way to keep both in one file.

    :param table: its name, without the schema.
    :param as_of: column for the time of observation in UTC: TIMESTAMP or TIMESTAMPTZ with microseconds (PostgreSQL),
        DATETIME(6) (MariaDB), DATETIME, TIMESTAMP or TEXT (SQLite, written as ``2026-01-31 09:30:00.000000``).
    :param epoch: a BIGINT column for the fencing token.
    :param where: columns with one fixed value, such as the tenant's: only these rows are read and written, and rows
        inserted have these values.
    :param insert_missing: whether a known product without a row gets one.
    :param shared: whether to write through ``ApplyContext.connection``.
    :raises ConfigurationError: when the engine speaks to another kind of database.
    """

    _engine: sa.Engine = field(repr=False)
    table: str
    sku: str = field(kw_only=True)
    quantity: str = field(kw_only=True)
    location: str | None = field(default=None, kw_only=True)
    as_of: str | None = field(default=None, kw_only=True)
    epoch: str | None = field(default=None, kw_only=True)
    schema: str | None = field(default=None, kw_only=True)
    where: Mapping[str, object] = field(factory=dict, converter=_declared, kw_only=True, repr=False)
    insert_missing: bool = field(default=False, kw_only=True)
    shared: bool = field(default=False, kw_only=True)
    _dialect: Dialect = field(init=False, repr=False)
    _reflected: StockTable | None = field(default=None, init=False, repr=False)
    _schema_mark: int | None = field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._dialect = dialect_of(self._engine.dialect)

    @property
    def named_locations(self) -> frozenset[str] | None:
        """That there are none, unless there is a column of them."""
        return None if self.location is not None else frozenset({""})

    def describe(self) -> SinkTraits:
        """Looks at the table and says what follows from its columns.

        :raises SinkSchemaInvalid: when the table or a column is missing or of an unusable type.
        :raises SinkUnavailable: when the database cannot be reached.
        """
        table = self._reflected = self._reflect()
        return SinkTraits(
            self._level(table),
            table.quantity.places,
            table.location is not None,
            self.insert_missing,
            f"columns {self.as_of} and {self.epoch}" if table.fenced else "the quantity, compared when it is written",
        )

    def levels(self, skus: Sequence[str] | None) -> pl.DataFrame:
        """The levels of these SKUs, or all, as ``sku``, ``location``, ``quantity`` and ``as_of``.

        :raises SinkSchemaInvalid: when two rows have the same key.
        :raises SinkUnavailable: when it cannot be read.
        :raises SinkError: when a quantity or time in the table is none.
        """
        table = self._reflected or self._reflect()
        reading = f"read the levels of {self.table}"
        with in_our_words(reading), self._engine.connect() as connection, self._dialect.reading(connection):
            self._dialect.settle(connection)
            if skus is not None and len(skus) <= _ASK_AT_MOST:
                return read_some(connection, self._dialect, table, skus)
            return read_all(connection, self._dialect, table, skus)

    def apply(self, changes: Changes, context: ApplyContext) -> ApplyResult:
        """Writes the changes in one transaction, all or, on an error, none.

        :raises SinkUnavailable: when the database is locked or gone.
        :raises LeaseLost: when a row was written under a higher epoch.
        """
        table = self._reflected or self._reflect()
        if not len(changes):
            return ApplyResult()
        with in_our_words(f"write to {self.table}"), self._transaction(context) as connection:
            self._dialect.settle(connection)
            return ApplyResult(Writer(connection, self._dialect, table, context).write(changes.frame))

    def _level(self, table: StockTable) -> SinkLevel:
        if self.shared:
            return SinkLevel.SHARED_TRANSACTION
        return SinkLevel.FENCED if table.fenced else SinkLevel.COMPARE_AND_SET

    def _reflect(self) -> StockTable:
        declared = Declaration(
            self.table,
            self.schema,
            {"sku": self.sku, "quantity": self.quantity},
            {"location": self.location, "as_of": self.as_of, "epoch": self.epoch},
            self.where,
            self.insert_missing,
        )
        with in_our_words(f"look at {self.table}"), self._engine.connect() as connection:
            mark = None if self.schema else self._dialect.schema_mark(connection)
            if self._reflected is not None and mark is not None and mark == self._schema_mark:
                return self._reflected
            self._schema_mark = mark
            return reflect(connection, declared)

    @contextmanager
    def _transaction(self, context: ApplyContext) -> Iterator[sa.Connection]:
        if not self.shared:
            with self._engine.connect() as connection, self._dialect.transaction(connection):
                yield connection
        elif isinstance(context.connection, sa.Connection) and context.connection.in_transaction():
            yield context.connection
        else:
            raise SinkError(
                "a sink with shared=True was given no open connection of the state store",
                guidance="Use a state store on SQLAlchemy in the same database, or leave shared out.",
            )
