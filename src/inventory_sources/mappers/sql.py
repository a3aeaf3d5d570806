"""`SqlIdentity`: external identifiers translated by a table of the host's own database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING, Any

from attrs import define, field

from inventory_sources.errors import MappingError, Recovery
from inventory_sources.mappers._identifiers import LONGEST
from inventory_sources.protocols.mapper import MapContext

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Engine

__all__ = ["SqlIdentity"]


@define
class SqlIdentity:
    """Translates by the pairs of a table, read once a sync.

    :param engine: the host's; it is only read from.
    :param table: its name, with the schema before a dot where there is one.
    :param external: the column of the external identifier, unique among the rows read.
    :param product: the column of the product's SKU; rows where either is null are passed over.
    :param where: restricts the rows, such as ``column("source") == "erp"``.
    """

    engine: Engine
    table: str
    external: str
    product: str
    where: ColumnElement[bool] | None = None
    _lock: Lock = field(factory=Lock, init=False, repr=False, eq=False)
    _read: tuple[datetime, dict[str, str]] | None = field(default=None, init=False, repr=False, eq=False)

    def translate(self, skus: Sequence[str], context: MapContext) -> Mapping[str, str]:
        """The table's pairs as they were when the sync came to its first batch.

        :raises MappingError: when the table cannot be read, or holds two rows for one identifier.
        """
        with self._lock:
            if self._read is None or self._read[0] != context.now:
                self._read = (context.now, self._pairs())
            return self._read[1]

    def _pairs(self) -> dict[str, str]:
        from sqlalchemy import column, select, table
        from sqlalchemy.exc import SQLAlchemyError

        schema, _, name = self.table.rpartition(".")
        external: ColumnElement[Any] = column(self.external)
        product: ColumnElement[Any] = column(self.product)
        query = select(external, product).select_from(table(name, schema=schema or None))
        query = query.where(external.is_not(None), product.is_not(None))
        if self.where is not None:
            query = query.where(self.where)
        try:
            with self.engine.connect() as connection:
                rows = [(str(left), str(right)) for left, right in connection.execute(query)]
        except SQLAlchemyError as error:
            # Its text may hold the connection's address.
            raise MappingError(
                f"the mapping table {self.table!r} could not be read ({type(error).__name__})",
                guidance="Check that the table and its columns are there and that the database answers.",
                recovery=Recovery.RETRY,
            ) from None
        return self._unique(rows)

    def _unique(self, rows: list[tuple[str, str]]) -> dict[str, str]:
        pairs = dict(rows)
        if len(pairs) == len(rows):
            return pairs
        twice = next(left for left, count in Counter(left for left, _ in rows).items() if count > 1)
        raise MappingError(
            f"the mapping table {self.table!r} holds {twice[:LONGEST]!r} more than once in {self.external!r}",
            guidance="Make the identifier unique in the table, or restrict the rows by `where`.",
        )
