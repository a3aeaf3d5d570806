"""Endpoints in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from inventory_sources.errors import Recovery, SourceNotFound, StoreError
from inventory_sources.protocols.endpoints import Endpoint
from inventory_sources.protocols.store import AuditEntry
from inventory_sources.stores._changes import ChangeWriter
from inventory_sources.stores._database import Database
from inventory_sources.stores._transaction import check_name

__all__ = ["SqlEndpoints"]


class SqlEndpoints:
    """:class:`~inventory_sources.protocols.endpoints.Endpoints` in SQL."""

    _database: Database
    _writer: ChangeWriter

    def add_endpoint(self, source: str, token_hash: str, audit: AuditEntry, retire_others_in: timedelta) -> None:
        """Adds an address; the source's others expire in ``retire_others_in``, or when they would have before."""
        check_name(token_hash, "the digest of a token")
        table = self._database.tables.endpoints

        def work(connection: Connection) -> None:
            if not self._database.pushes.hold(connection, [source], shared=False)[0]:
                raise SourceNotFound(f"no source {source[:80]!r} is in the state store")
            now = self._database.now(connection)
            connection.execute(delete(table).where(table.c.source == source, table.c.expires_at <= now))
            until = now + retire_others_in
            others = update(table).where(table.c.source == source, self._open_after(until))
            connection.execute(others.values(expires_at=until))
            try:
                connection.execute(insert(table), {"token_hash": token_hash, "source": source, "created_at": now})
            except IntegrityError:
                raise StoreError("another endpoint has this token", recovery=Recovery.STOP) from None
            self._writer.audit(connection, (audit,))

        self._database.write(work)

    def endpoint(self, token_hash: str) -> str | None:
        """Name of the source that a token leads to; ``None`` for one that is not known, or has expired."""
        table = self._database.tables.endpoints
        query = select(table.c.source, table.c.expires_at).where(table.c.token_hash == token_hash)

        def read(connection: Connection) -> str | None:
            row: Any = connection.execute(query).first()
            if row is None or (row.expires_at is not None and row.expires_at <= self._database.now(connection)):
                return None
            return str(row.source)

        return self._database.read(read)

    def endpoints(self, source: str) -> Sequence[Endpoint]:
        """Addresses of a source that have not expired, oldest first."""
        table = self._database.tables.endpoints

        def read(connection: Connection) -> Sequence[Endpoint]:
            of_source = table.c.source == source, self._open_after(self._database.now(connection))
            query = select(table.c.created_at, table.c.expires_at).where(*of_source)
            rows = connection.execute(query.order_by(table.c.number))
            return [Endpoint(row.created_at, row.expires_at) for row in rows]

        return self._database.read(read)

    def _open_after(self, moment: datetime) -> ColumnElement[bool]:
        expires_at = self._database.tables.endpoints.c.expires_at
        return or_(expires_at.is_(None), expires_at > moment)
