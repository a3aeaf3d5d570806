"""Putting deliveries into the inbox, in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any

from attrs import evolve, frozen
from sqlalchemy import Connection, select

from inventory_sources.errors import Recovery, StoreError, StoreUnavailable
from inventory_sources.protocols.inbox import InboxEntry, Receipt
from inventory_sources.stores._chunks import ChunkKind
from inventory_sources.stores._codec import to_text
from inventory_sources.stores._database import Database
from inventory_sources.stores._prepared import Prepared
from inventory_sources.stores._transaction import check_entries

__all__ = ["SqlInbox"]

_BATCH = 500
_TURNS = 8
#: What a new delivery's row is given.
_COLUMNS = (
    "id source dedup_key digest received_at sequence sequence_of status attempts next_attempt_at run_id reason headers "
    "body"
).split()
#: Bodies up to this stay in their row; larger ones are cut into chunks, to fit every server's packet limit.
_INLINE = 1024 * 1024

_Key = tuple[str, str]


@frozen
class _Way:
    """How a transaction goes about it: at first as if all were new and their sources woken already, which most are.

    :param shared: holds the rows of pushes together with others that put.
    :param looks: looks up which keys are known.
    """

    shared: bool
    looks: bool = False


class _Again(Exception):
    """The transaction is to be run once more from the start, in another way or because others were in between."""

    def __init__(self, way: _Way) -> None:
        super().__init__()
        self.way = way


class SqlInbox:
    """:meth:`inventory_sources.protocols.inbox.Inbox.put` in SQL."""

    _database: Database

    def put(self, entries: Sequence[InboxEntry], wake_in: timedelta = timedelta(0)) -> Sequence[Receipt]:
        """Keeps deliveries durably, all in one transaction, and has their sources looked at after ``wake_in``."""
        check_entries(entries)
        if not entries:
            return []
        way = _Way(self._database.dialect.shares_rows)
        for _ in range(_TURNS):
            try:
                return self._database.write(partial(self._put, entries=entries, wake_in=wake_in, way=way))
            except _Again as again:
                way = again.way
        raise StoreUnavailable("other workers put and purged the same deliveries again and again")

    def _put(
        self, connection: Connection, *, entries: Sequence[InboxEntry], wake_in: timedelta, way: _Way
    ) -> Sequence[Receipt]:
        held, now = self._hold(connection, {entry.source for entry in entries}, shared=way.shared)
        moment = now + wake_in
        asleep = {name for name, pushed_at in held.items() if pushed_at is None or pushed_at > moment}
        if asleep and way.shared:
            raise _Again(evolve(way, shared=False))
        digests = self._known(connection, entries) if way.looks else {}
        receipts, kept = [], []
        for entry in entries:
            receipt = _receipt(entry, held, digests)
            receipts.append(receipt)
            if receipt is Receipt.KEPT:
                kept.append(entry)
                digests[entry.source, entry.key] = entry.digest
        if not self._insert(connection, kept):
            if way.looks:
                self._check_ids(connection, kept)
            raise _Again(evolve(way, looks=True))
        if woken := asleep & {entry.source for entry in kept}:
            self._database.pushes.wake(connection, woken, moment)
        return receipts

    def _hold(
        self, connection: Connection, names: set[str], *, shared: bool
    ) -> tuple[dict[str, datetime | None], datetime]:
        """When each source is looked at next, and the time; both in one statement, which every delivery waits for."""
        held, now = self._database.pushes.hold(connection, names, shared=shared)
        return held, now or self._database.now(connection)

    def _known(self, connection: Connection, entries: Sequence[InboxEntry]) -> dict[_Key, str]:
        """The digests of what is there already under the keys; those of another source's key may be among them."""
        table, digests = self._database.tables.inbox, {}
        for start in range(0, len(entries), _BATCH):
            batch = entries[start : start + _BATCH]
            rows = connection.execute(
                select(table.c.source, table.c.dedup_key, table.c.digest).where(
                    table.c.source.in_({entry.source for entry in batch}),
                    table.c.dedup_key.in_([entry.key for entry in batch]),
                )
            )
            digests.update({(row.source, row.dedup_key): row.digest for row in rows})
        return digests

    @cached_property
    def _insert_missing(self) -> Prepared:
        insert = self._database.dialect.insert_missing(self._database.tables.inbox)
        return self._database.prepared(insert, _COLUMNS)

    def _insert(self, connection: Connection, entries: Sequence[InboxEntry]) -> bool:
        """Whether all of them were new."""
        if not entries:
            return True
        if self._insert_missing.count(connection, [_row(entry) for entry in entries]) != len(entries):
            return False
        if large := [entry for entry in entries if len(entry.body) > _INLINE]:
            self._save_bodies(connection, large)
        return True

    def _check_ids(self, connection: Connection, entries: Sequence[InboxEntry]) -> None:
        """Whether it was the id that is taken; else others have kept the same in between."""
        table = self._database.tables.inbox
        keys: dict[str, _Key] = {}
        for entry in entries:
            if keys.setdefault(entry.id, (entry.source, entry.key)) != (entry.source, entry.key):
                raise _id_taken(entry.id)
        for start in range(0, len(entries), _BATCH):
            ids = [entry.id for entry in entries[start : start + _BATCH]]
            rows = connection.execute(select(table.c.id, table.c.source, table.c.dedup_key).where(table.c.id.in_(ids)))
            for row in rows:
                if keys[row.id] != (row.source, row.dedup_key):
                    raise _id_taken(row.id)

    def _save_bodies(self, connection: Connection, entries: Sequence[InboxEntry]) -> None:
        table, chunks = self._database.tables.inbox, self._database.chunks
        for entry in entries:
            number = connection.execute(select(table.c.number).where(table.c.id == entry.id)).scalar_one()
            chunks.save(connection, entry.source, ChunkKind.DELIVERY, number, entry.body)


def _receipt(entry: InboxEntry, held: Mapping[str, object], digests: Mapping[_Key, str]) -> Receipt:
    if entry.source not in held:
        return Receipt.GONE
    digest = digests.get((entry.source, entry.key), None)
    if digest is None:
        return Receipt.KEPT
    return Receipt.REPEATED if digest == entry.digest else Receipt.CONFLICT


def _id_taken(name: str) -> StoreError:
    return StoreError(f"another delivery has the id {name!r}", recovery=Recovery.STOP)


def _row(entry: InboxEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "source": entry.source,
        "dedup_key": entry.key,
        "digest": entry.digest,
        "received_at": entry.received_at,
        "sequence": entry.sequence,
        "sequence_of": entry.sequence_of,
        "status": entry.status.value,
        "attempts": entry.attempts,
        "next_attempt_at": entry.next_attempt_at,
        "run_id": entry.run_id,
        "reason": to_text(entry.reason),
        "headers": to_text(dict(entry.headers)),
        "body": entry.body if len(entry.body) <= _INLINE else None,
    }
