"""StateStore: what is remembered of every source, in transactions on one clock.

Everything that changes a source goes through :meth:`Transitions.transact`: the store opens one transaction, locks the
source's row, shows the decision function what is there and what time it is, and commits what the function wrote, all of
it or nothing. Decisions are pure functions of the engine, so a store holds no rules. The other protocols read, or keep
what is not part of a transition. One class may serve them all; :class:`StateStore` names the whole.

Memory and SQL stores ship with the library; a store of one's own passes
:class:`inventory_sources.testing.StateStoreContract`. What is pushed has protocols of its own:
:mod:`inventory_sources.protocols.inbox` and :mod:`inventory_sources.protocols.endpoints`; where all sources stand, too:
:mod:`inventory_sources.protocols.standings`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol, TypeVar

from attrs import define, field, frozen

from inventory_sources.batch import Rejection, RejectionKind
from inventory_sources.ledger import LedgerChange
from inventory_sources.protocols.audit import AuditEntry
from inventory_sources.protocols.endpoints import Endpoint, Endpoints
from inventory_sources.protocols.inbox import (
    Deliveries,
    Inbox,
    InboxEntry,
    InboxSettlement,
    InboxStatus,
    Receipt,
)
from inventory_sources.protocols.notifier import Notification
from inventory_sources.protocols.standings import Standing, Standings
from inventory_sources.run import SyncRun
from inventory_sources.status import SourceState

__all__ = [
    "AuditEntry",
    "Deliveries",
    "Endpoint",
    "Endpoints",
    "HeldPlan",
    "History",
    "Inbox",
    "InboxEntry",
    "InboxSettlement",
    "InboxStatus",
    "Knowledge",
    "LedgerChange",
    "Outbox",
    "OutboxEntry",
    "Receipt",
    "Retention",
    "Sources",
    "Standing",
    "Standings",
    "StateChange",
    "StateStore",
    "StoredRejection",
    "StoredSource",
    "Transaction",
    "Transitions",
    "UnmappedSku",
    "Verdicts",
]

T = TypeVar("T")


@frozen
class StoredSource:
    """A source as stored: its specification as a JSON document without secrets, and its state.

    :param pushed_at: when deliveries that were put have the source looked at.
    """

    name: str
    spec: Mapping[str, object]
    state: SourceState
    pushed_at: datetime | None = None


@frozen
class UnmappedSku:
    """An identifier that no product answers to, kept across runs.

    :param last_quantity: as last read, where it could be read.
    """

    sku: str
    first_seen: datetime
    last_seen: datetime
    last_quantity: Decimal | None = None
    place: str = ""


@frozen
class HeldPlan:
    """A plan that waits for a person.

    :param figures: what the guards said, in words.
    :param batch: the mapped input, opaque, so that an approval applies exactly what was looked at.
    """

    digest: str
    run_id: str
    held_at: datetime
    figures: tuple[str, ...]
    batch: bytes = field(repr=False)


@define
class StateChange:
    """Everything that one transition writes, atomically.

    :param runs: inserted, or replaced by id.
    :param rejections: of the run ``rejections_of``.
    :param unmapped: inserted, or updated but for ``first_seen``; an identifier of more than 255 characters, or with NUL
        or half a surrogate pair, is left out and shows in the rejections only.
    :param resolved: identifiers to drop from the unmapped ledger.
    :param held: the plan now held; ``drop_held`` removes the one that was.
    :param spec: the new specification, for an edit.
    :param settled: what became of deliveries of this source; those that neither wait nor are parked stay as they are.
    :param pushed_at: when to look at the source for its deliveries; of this and the stored one the earlier counts.
    :param clear_pushed: drops the stored one first.
    """

    state: SourceState
    runs: tuple[SyncRun, ...] = ()
    rejections_of: str | None = None
    rejections: Sequence[Rejection] = ()
    ledger: LedgerChange | None = None
    unmapped: Sequence[UnmappedSku] = ()
    resolved: Sequence[str] = ()
    held: HeldPlan | None = None
    drop_held: bool = False
    notifications: tuple[Notification, ...] = ()
    audit: tuple[AuditEntry, ...] = ()
    spec: Mapping[str, object] | None = None
    settled: Sequence[InboxSettlement] = ()
    pushed_at: datetime | None = None
    clear_pushed: bool = False


class Transaction(Protocol):
    """One open transaction on one source's row."""

    @property
    def now(self) -> datetime:
        """The store's time (UTC), the same throughout the transaction."""

    @property
    def source(self) -> StoredSource:
        """The source as locked."""

    @property
    def connection(self) -> object | None:
        """The open SQLAlchemy connection, for a sink of the shared-transaction level; ``None`` for other stores."""

    def run(self, run_id: str) -> SyncRun | None:
        """One run, read inside the transaction."""

    def write(self, change: StateChange) -> None:
        """Adds a change to the transaction; at most one."""


class Transitions(Protocol):
    """Changing sources, one at a time."""

    def transact(self, name: str, decide: Callable[[Transaction], T]) -> T:
        """Runs ``decide`` in one transaction that holds the source's row, and commits what it wrote.

        Whatever ``decide`` raises rolls everything back and comes out as it is. ``decide`` may be run again when the
        database asks for a repetition (deadlock, serialization), so it must have no other effects.

        :raises SourceNotFound: when there is no such source.
        :raises StoreUnavailable: when nothing was committed for a reason that may pass.
        """

    def due(self, limit: int) -> Sequence[str]:
        """Names of sources whose time has come, longest overdue first; as fast with many sources as with few.

        A source's time is its state's ``wake_at``, or ``pushed_at`` if that is earlier and the state ``takes_pushes``.
        """

    def now(self) -> datetime:
        """The store's time (UTC)."""


class Sources(Protocol):
    """The registered sources."""

    def add(self, source: StoredSource, audit: AuditEntry) -> None:
        """Registers a source.

        :raises SourceExists: when the name is taken.
        """

    def get(self, name: str) -> StoredSource:
        """One source.

        :raises SourceNotFound: when there is none.
        """

    def names(self, after: str = "", limit: int = 1000) -> Sequence[str]:
        """Names in order, a page at a time: those that sort after ``after``."""

    def remove(self, name: str, audit: AuditEntry) -> None:
        """Deletes a source with all that is kept of it but its audit entries; a running sync finds itself fenced out.

        :raises SourceNotFound: when there is none.
        """


@frozen
class StoredRejection:
    """A rejection in the history; ``id`` names it for resolving."""

    id: int
    run_id: str
    rejection: Rejection
    resolved_at: datetime | None = None


class History(Protocol):
    """What happened."""

    def run(self, run_id: str) -> SyncRun | None:
        """One run, or ``None``."""

    def runs(self, source: str, limit: int = 50, before: datetime | None = None) -> Sequence[SyncRun]:
        """Runs of a source, newest first."""

    def rejections(
        self, run_id: str, kind: RejectionKind | None = None, after: int = 0, limit: int = 1000
    ) -> Sequence[StoredRejection]:
        """Rejected rows of a run in order of place, a page at a time: those with a higher id than ``after``."""

    def audit(self, source: str, limit: int = 100) -> Sequence[AuditEntry]:
        """Audit entries of a source, newest first."""


class Knowledge(Protocol):
    """What earlier runs of a source have left."""

    def ledger(self, source: str) -> Sequence[bytes]:
        """Segments of the ledger of observations, oldest first."""

    def unmapped(self, source: str, after: str = "", limit: int = 1000) -> Sequence[UnmappedSku]:
        """Unmapped identifiers in order, a page at a time."""

    def held(self, source: str) -> HeldPlan | None:
        """The plan that waits for a person."""

    def overrides(self, source: str) -> Mapping[str, str]:
        """External identifiers that a person mapped by hand, to the platform's SKUs."""


@frozen
class OutboxEntry:
    """A notification that is not handed over yet.

    :param attempts: how often it was taken before; 0 the first time.
    :param next_attempt_at: when others may take it, unless it is settled before.
    """

    notification: Notification
    attempts: int
    next_attempt_at: datetime


class Outbox(Protocol):
    """Notifications on their way."""

    def take(self, limit: int, lease: timedelta) -> Sequence[OutboxEntry]:
        """Up to ``limit`` due notifications; nobody else is given them until ``lease`` has passed."""

    def settle(self, notification_id: str, *, retry_in: timedelta | None = None) -> None:
        """Records that one was handed over, or that it is to be tried again in ``retry_in``."""


@frozen
class Retention:
    """How long what is finished is kept; what is open (held, unsent, waiting, current) is never purged."""

    runs: timedelta = timedelta(days=90)
    rejections: timedelta = timedelta(days=30)
    unmapped: timedelta = timedelta(days=90)
    notifications: timedelta = timedelta(days=30)
    deliveries: timedelta = timedelta(days=7)
    audit: timedelta = timedelta(days=365)


class Verdicts(Protocol):
    """What persons decide outside of a transition."""

    def override(self, source: str, external: str, sku: str | None, audit: AuditEntry) -> None:
        """Maps an external identifier by hand; ``None`` takes the mapping back."""

    def resolve_rejections(self, ids: Iterable[int]) -> int:
        """Marks rejected rows as resolved; gives how many were open."""

    def settle_deliveries(
        self, source: str, settlements: Sequence[InboxSettlement], audit: AuditEntry, *, wake: bool
    ) -> int:
        """Settles deliveries of a source that wait or are parked; gives how many.

        :param audit: kept where any was settled.
        :param wake: whether to look at the source now, where any was settled.
        :raises SourceNotFound: when there is no such source.
        """


class StateStore(
    Transitions, Sources, Standings, History, Knowledge, Outbox, Inbox, Deliveries, Endpoints, Verdicts, Protocol
):
    """All of the narrow protocols, and what spans them."""

    def purge(self, retention: Retention) -> Mapping[str, int]:
        """Deletes what is older than ``retention`` allows; gives the number for each field of it."""

    def close(self) -> None:
        """Frees what the store opened itself."""
