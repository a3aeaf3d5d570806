"""Writing a :class:`~inventory_sources.protocols.store.StateChange` into the tables: only what it holds, in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, frozen
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from inventory_sources.protocols.inbox import InboxSettlement, InboxStatus
from inventory_sources.protocols.notifier import Notification
from inventory_sources.protocols.store import AuditEntry, HeldPlan, LedgerChange, StateChange, StoredSource, UnmappedSku
from inventory_sources.run import SyncRun
from inventory_sources.status import SourceState
from inventory_sources.stores._chunks import ChunkKind, Chunks
from inventory_sources.stores._codec import dump, to_text
from inventory_sources.stores._dialect import Dialect
from inventory_sources.stores._pushes import Pushes
from inventory_sources.stores._tables import Tables
from inventory_sources.stores._transaction import OpenTransaction, fits, in_order_of_place, keepable

if TYPE_CHECKING:
    from sqlalchemy.sql import Executable

__all__ = ["ChangeWriter", "Seen", "state_columns"]

_BATCH = 500
_OPEN = (InboxStatus.WAITING.value, InboxStatus.PARKED.value)


@frozen
class Seen:
    """What the unmapped ledger keeps beside its columns."""

    last_quantity: Decimal | None = None
    place: str = ""


def state_columns(state: SourceState) -> dict[str, Any]:
    """A source's state as columns."""
    return {
        "state": dump(state),
        "status": state.status.value,
        "epoch": state.epoch,
        "wake_at": state.wake_at,
        "takes_pushes": state.takes_pushes,
    }


@define(slots=False)
class ChangeWriter:
    """Statements are built once: a sync's own time is mostly spent here."""

    tables: Tables
    chunks: Chunks
    pushes: Pushes
    dialect: Dialect

    def write(self, connection: Connection, transaction: OpenTransaction) -> None:
        """Writes what the decision function wrote."""
        change, source = transaction.change, transaction.source
        if change is None:
            return
        if change.state != source.state:
            connection.execute(self._update_state, {"of": source.name, **state_columns(change.state)})
        if change.spec is not None:
            connection.execute(self._update_spec, {"of": source.name, "spec": to_text(change.spec)})
        self._runs(connection, change.runs)
        self._rejections(connection, change)
        self._knowledge(connection, source.name, change)
        self._notifications(connection, change.notifications, transaction.now)
        self.audit(connection, change.audit)
        self._pushed(connection, source, change)
        self.settle(connection, source.name, change.settled, transaction.now)

    def audit(self, connection: Connection, entries: Sequence[AuditEntry]) -> None:
        """Adds audit entries."""
        rows = [{"source": entry.source, "recorded_at": entry.at, "document": dump(entry)} for entry in entries]
        _many(connection, insert(self.tables.audit), rows)

    def settle(self, connection: Connection, source: str, settlements: Sequence[InboxSettlement], now: datetime) -> int:
        """Settles deliveries that wait or are parked; gives how many."""
        alike: dict[InboxSettlement, list[str]] = {}
        for each in settlements:
            alike.setdefault(evolve(each, id=""), []).append(each.id)
        return sum(self._settle(connection, source, each, ids, now) for each, ids in alike.items())

    def _settle(
        self, connection: Connection, source: str, to: InboxSettlement, ids: Sequence[str], now: datetime
    ) -> int:
        table = self.tables.inbox
        these = update(table).where(table.c.source == source, table.c.status.in_(_OPEN))
        these = these.values(
            status=to.status.value,
            attempts=to.attempts,
            next_attempt_at=to.next_attempt_at,
            run_id=to.run_id,
            reason=to_text(to.reason),
            settled_at=None if to.status.value in _OPEN else now,
        )
        batches = (ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH))
        return sum(connection.execute(these.where(table.c.id.in_(batch))).rowcount for batch in batches)

    def _pushed(self, connection: Connection, source: StoredSource, change: StateChange) -> None:
        """Before deliveries are settled: who puts one holds this row before the delivery's, too."""
        if change.clear_pushed and source.pushed_at is not None:
            self.pushes.replace(connection, source.name, change.pushed_at)
        elif change.pushed_at is not None:
            self.pushes.wake(connection, [source.name], change.pushed_at)

    @cached_property
    def _update_state(self) -> Executable:
        sources = self.tables.sources
        columns = ("state", "status", "epoch", "wake_at", "takes_pushes")
        return (
            update(sources)
            .where(sources.c.name == bindparam("of"))
            .values({name: bindparam(name, type_=sources.c[name].type) for name in columns})
        )

    @cached_property
    def _update_spec(self) -> Executable:
        sources = self.tables.sources
        return update(sources).where(sources.c.name == bindparam("of")).values(spec=bindparam("spec"))

    @cached_property
    def _upsert_run(self) -> Executable:
        return self.dialect.upsert(self.tables.runs, ("result", "document"))

    def _runs(self, connection: Connection, runs: Sequence[SyncRun]) -> None:
        rows = [
            {
                "id": run.id,
                "source": run.source,
                "started_at": run.started_at,
                "epoch": run.epoch,
                "result": run.result.value,
                "document": dump(run),
            }
            for run in runs
        ]
        _many(connection, self._upsert_run, rows)

    def _rejections(self, connection: Connection, change: StateChange) -> None:
        rows = [
            {"run_id": change.rejections_of, "kind": rejection.kind.value, "document": dump(rejection)}
            for rejection in in_order_of_place(change.rejections)
        ]
        _many(connection, insert(self.tables.rejections), rows)

    def _knowledge(self, connection: Connection, source: str, change: StateChange) -> None:
        if change.ledger is not None:
            self._ledger(connection, source, change.ledger)
        if change.unmapped:
            self._unmapped(connection, source, change.unmapped)
        if change.resolved:
            self._resolved(connection, source, change.resolved)
        if change.drop_held or change.held is not None:
            self._held(connection, source, change.held)

    def _ledger(self, connection: Connection, source: str, change: LedgerChange) -> None:
        number = 1
        if change.replaces:
            self.chunks.drop(connection, source, ChunkKind.LEDGER)
        else:
            number += self.chunks.last_number(connection, source, ChunkKind.LEDGER)
        self.chunks.save(connection, source, ChunkKind.LEDGER, number, change.segment)

    def _unmapped(self, connection: Connection, source: str, entries: Sequence[UnmappedSku]) -> None:
        rows = [
            {
                "source": source,
                "sku": entry.sku,
                "first_seen": entry.first_seen,
                "last_seen": entry.last_seen,
                "document": dump(Seen(entry.last_quantity, entry.place)),
            }
            for entry in keepable(entries)
        ]
        _many(connection, self.dialect.upsert(self.tables.unmapped, ("last_seen", "document")), rows)

    def _resolved(self, connection: Connection, source: str, skus: Sequence[str]) -> None:
        table = self.tables.unmapped
        chosen = [sku for sku in skus if fits(sku)]
        for start in range(0, len(chosen), _BATCH):
            batch = table.c.sku.in_(chosen[start : start + _BATCH])
            connection.execute(delete(table).where(table.c.source == source, batch))

    def _held(self, connection: Connection, source: str, held: HeldPlan | None) -> None:
        table = self.tables.held
        connection.execute(delete(table).where(table.c.source == source))
        self.chunks.drop(connection, source, ChunkKind.HELD)
        if held is None:
            return
        columns = {"digest": held.digest, "run_id": held.run_id, "held_at": held.held_at}
        connection.execute(insert(table), {"source": source, **columns, "document": to_text(held.figures)})
        self.chunks.save(connection, source, ChunkKind.HELD, 0, held.batch)

    def _notifications(self, connection: Connection, entries: Sequence[Notification], now: datetime) -> None:
        """One that is there already is left as it is: the same transition may come again after a lost COMMIT."""
        table = self.tables.outbox
        for entry in entries:
            if connection.execute(select(table.c.id).where(table.c.id == entry.id)).first() is None:
                row = {"id": entry.id, "source": entry.source, "document": dump(entry)}
                connection.execute(insert(table), {**row, "attempts": 0, "next_attempt_at": now})


def _many(connection: Connection, statement: Executable, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        connection.execute(statement, rows if len(rows) > 1 else rows[0])
