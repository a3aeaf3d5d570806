"""What earlier runs have left, in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, delete, select

from inventory_sources.errors import SourceNotFound
from inventory_sources.protocols.store import AuditEntry, HeldPlan, UnmappedSku
from inventory_sources.stores._changes import ChangeWriter, Seen
from inventory_sources.stores._chunks import ChunkKind, load_chunks
from inventory_sources.stores._codec import load
from inventory_sources.stores._database import Database
from inventory_sources.stores._transaction import check_name

__all__ = ["SqlKnowledge"]


class SqlKnowledge:
    """:class:`~inventory_sources.protocols.store.Knowledge` in SQL."""

    _database: Database
    _writer: ChangeWriter

    def ledger(self, source: str) -> Sequence[bytes]:
        """Segments of the ledger of observations, oldest first."""
        chunks = self._database.tables.chunks
        read = self._database.read(lambda connection: load_chunks(connection, chunks, source, ChunkKind.LEDGER))
        return list(read.values())

    def unmapped(self, source: str, after: str = "", limit: int = 1000) -> Sequence[UnmappedSku]:
        """Unmapped identifiers in order, a page at a time."""
        table = self._database.tables.unmapped
        query = select(table).where(table.c.source == source, table.c.sku > after).order_by(table.c.sku).limit(limit)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        seen = (load(Seen, row.document, "unmapped", (source, row.sku)) for row in rows)
        return [
            UnmappedSku(row.sku, row.first_seen, row.last_seen, kept.last_quantity, kept.place)
            for row, kept in zip(rows, seen, strict=True)
        ]

    def held(self, source: str) -> HeldPlan | None:
        """The plan that waits for a person."""
        table, chunks = self._database.tables.held, self._database.tables.chunks

        def query(connection: Connection) -> HeldPlan | None:
            row = connection.execute(select(table).where(table.c.source == source)).first()
            if row is None:
                return None
            batch = load_chunks(connection, chunks, source, ChunkKind.HELD).get(0, b"")
            figures = load(tuple[str, ...], row.document, "held", source)
            return HeldPlan(row.digest, row.run_id, row.held_at, figures, batch)

        return self._database.read(query)

    def overrides(self, source: str) -> Mapping[str, str]:
        """External identifiers that a person mapped by hand, to the platform's SKUs."""
        table = self._database.tables.overrides
        query = select(table.c.external_sku, table.c.sku).where(table.c.source == source)
        rows = self._database.read(lambda connection: connection.execute(query).all())
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
