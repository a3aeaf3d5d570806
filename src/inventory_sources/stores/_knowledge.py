"""What earlier runs have left, in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, select

from inventory_sources.errors import SourceNotFound
from inventory_sources.protocols.store import AuditEntry, HeldPlan, UnmappedSku
from inventory_sources.stores._changes import ChangeWriter, Seen
from inventory_sources.stores._chunks import ChunkKind
from inventory_sources.stores._codec import load
from inventory_sources.stores._database import Database
from inventory_sources.stores._transaction import check_name

__all__ = ["SqlKnowledge"]


class SqlKnowledge:
    """:class:`~inventory_sources.protocols.store.Knowledge` in SQL."""

    _database: Database
    _writer: ChangeWriter

    @cached_property
    def _select_unmapped(self) -> Select[Any]:
        table = self._database.tables.unmapped
        page = select(table).where(table.c.source == bindparam("of"), table.c.sku > bindparam("after"))
        return page.order_by(table.c.sku).limit(bindparam("most"))

    @cached_property
    def _select_overrides(self) -> Select[Any]:
        table = self._database.tables.overrides
        return select(table.c.external_sku, table.c.sku).where(table.c.source == bindparam("of"))

    def ledger(self, source: str) -> Sequence[bytes]:
        """Segments of the ledger of observations, oldest first."""
        chunks = self._database.chunks
        read = self._database.read(lambda connection: chunks.load(connection, source, ChunkKind.LEDGER))
        return list(read.values())

    def unmapped(self, source: str, after: str = "", limit: int = 1000) -> Sequence[UnmappedSku]:
        """Unmapped identifiers in order, a page at a time."""
        query, values = self._select_unmapped, {"of": source, "after": after, "most": limit}
        rows = self._database.read(lambda connection: connection.execute(query, values).all())
        seen = (load(Seen, row.document, "unmapped", (source, row.sku)) for row in rows)
        return [
            UnmappedSku(row.sku, row.first_seen, row.last_seen, kept.last_quantity, kept.place)
            for row, kept in zip(rows, seen, strict=True)
        ]

    def held(self, source: str) -> HeldPlan | None:
        """The plan that waits for a person."""
        table, chunks = self._database.tables.held, self._database.chunks

        def query(connection: Connection) -> HeldPlan | None:
            row = connection.execute(select(table).where(table.c.source == source)).first()
            if row is None:
                return None
            batch = chunks.load(connection, source, ChunkKind.HELD).get(0, b"")
            figures = load(tuple[str, ...], row.document, "held", source)
            return HeldPlan(row.digest, row.run_id, row.held_at, figures, batch)

        return self._database.read(query)

    def overrides(self, source: str) -> Mapping[str, str]:
        """External identifiers that a person mapped by hand, to the platform's SKUs."""
        query, values = self._select_overrides, {"of": source}
        rows = self._database.read(lambda connection: connection.execute(query, values).all())
        return {row.external_sku: row.sku for row in rows}

    def override(self, source: str, external: str, sku: str | None, audit: AuditEntry) -> None:
        """Maps an external identifier by hand; ``None`` takes the mapping back."""
        check_name(external, "the identifier")
        if sku is not None:
            check_name(sku, "the SKU")
        table, sources = self._database.tables.overrides, self._database.tables.sources
        upsert = self._database.dialect.upsert(table, ("sku",))
        forget = delete(table).where(table.c.source == source, table.c.external_sku == external)

        def work(connection: Connection) -> None:
            if connection.execute(select(sources.c.name).where(sources.c.name == source)).first() is None:
                raise SourceNotFound(f"no source {source[:80]!r} is in the state store")
            if sku is None:
                connection.execute(forget)
            else:
                connection.execute(upsert, {"source": source, "external_sku": external, "sku": sku})
            self._writer.audit(connection, (audit,))

        self._database.write(work)
