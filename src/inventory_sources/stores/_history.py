"""History in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, select, update

from inventory_sources.batch import Rejection, RejectionKind
from inventory_sources.protocols.store import AuditEntry, StoredRejection
from inventory_sources.run import SyncRun
from inventory_sources.stores._codec import load
from inventory_sources.stores._database import Database
from inventory_sources.stores._tables import Tables

__all__ = ["SqlHistory", "find_run"]

_BATCH = 500


def find_run(connection: Connection, tables: Tables, run_id: str) -> SyncRun | None:
    """One run, in the connection's transaction."""
    runs = tables.runs
    document = connection.execute(select(runs.c.document).where(runs.c.id == run_id)).scalar()
    return None if document is None else load(SyncRun, document, "runs", run_id)


class SqlHistory:
    """:class:`~inventory_sources.protocols.store.History` in SQL."""

    _database: Database

    def run(self, run_id: str) -> SyncRun | None:
        """One run, or ``None``."""
        return self._database.read(lambda connection: find_run(connection, self._database.tables, run_id))

    def runs(self, source: str, limit: int = 50, before: datetime | None = None) -> Sequence[SyncRun]:
        """Runs of a source, newest first: those that started before ``before``."""
        runs = self._database.tables.runs
        query = select(runs.c.id, runs.c.document).where(runs.c.source == source)
        if before is not None:
            query = query.where(runs.c.started_at < before)
        query = query.order_by(runs.c.started_at.desc(), runs.c.epoch.desc()).limit(limit)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [load(SyncRun, row.document, "runs", row.id) for row in rows]

    def rejections(
        self, run_id: str, kind: RejectionKind | None = None, after: int = 0, limit: int = 1000
    ) -> Sequence[StoredRejection]:
        """Rejected rows of a run in order of place, a page at a time."""
        table = self._database.tables.rejections
        query = select(table).where(table.c.run_id == run_id, table.c.id > after).order_by(table.c.id).limit(limit)
        if kind is not None:
            query = query.where(table.c.kind == kind.value)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [
            StoredRejection(row.id, run_id, load(Rejection, row.document, "rejections", row.id), row.resolved_at)
            for row in rows
        ]

    def resolve_rejections(self, ids: Iterable[int]) -> int:
        """Marks rejected rows as resolved; gives how many were open."""
        table, chosen = self._database.tables.rejections, list(ids)

        def work(connection: Connection) -> int:
            mark = update(table).values(resolved_at=self._database.now(connection)).where(table.c.resolved_at.is_(None))
            batches = (chosen[start : start + _BATCH] for start in range(0, len(chosen), _BATCH))
            return sum(connection.execute(mark.where(table.c.id.in_(batch))).rowcount for batch in batches)

        return self._database.write(work)

    def audit(self, source: str, limit: int = 100) -> Sequence[AuditEntry]:
        """Audit entries of a source, newest first."""
        table = self._database.tables.audit
        query = select(table.c.id, table.c.document).where(table.c.source == source)
        query = query.order_by(table.c.id.desc()).limit(limit)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [load(AuditEntry, row.document, "audit", row.id) for row in rows]
