"""Inbox: deliveries that were pushed to us, kept before they are acknowledged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol

from attrs import field, frozen

__all__ = ["Deliveries", "Inbox", "InboxEntry", "InboxSettlement", "InboxStatus", "Receipt", "SourceInbox"]


class InboxStatus(Enum):
    """What became of a delivery."""

    WAITING = "waiting"
    APPLIED = "applied"
    PARKED = "parked"
    DISMISSED = "dismissed"


class Receipt(Enum):
    """What putting a delivery came to: all but ``GONE`` and ``CONFLICT`` may be acknowledged."""

    KEPT = "kept"
    REPEATED = "repeated"
    CONFLICT = "conflict"
    GONE = "gone"


@frozen
class InboxEntry:
    """A delivery as kept.

    :param key: by which a repetition is recognised within the source for as long as deliveries are retained.
    :param digest: SHA-256 of the body in hexadecimal digits; the same key with another digest is a conflict.
    :param sequence: the sender's own number of it within ``sequence_of``.
    :param attempts: how often it was read in vain.
    :param next_attempt_at: not to be read before this.
    :param run_id: of the run that settled it last.
    :param reason: why it could not be read, free of secrets.
    """

    id: str
    source: str
    key: str
    received_at: datetime
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    digest: str
    sequence: int | None = None
    sequence_of: str = ""
    status: InboxStatus = InboxStatus.WAITING
    attempts: int = 0
    next_attempt_at: datetime | None = None
    run_id: str | None = None
    reason: str = ""


@frozen
class InboxSettlement:
    """What a run, or a person, did with a delivery; ``attempts`` and the rest as in :class:`InboxEntry`.

    :param status: ``WAITING`` with ``next_attempt_at`` for another attempt.
    """

    id: str
    status: InboxStatus
    attempts: int = 0
    next_attempt_at: datetime | None = None
    run_id: str | None = None
    reason: str = ""


class Inbox(Protocol):
    """Deliveries on their way in."""

    def put(self, entries: Sequence[InboxEntry], wake_in: timedelta = timedelta(0)) -> Sequence[Receipt]:
        """Keeps deliveries durably, all in one transaction, and has their sources looked at after ``wake_in``.

        Entries may be of several sources. One receipt each, in order: ``KEPT`` and durable; ``REPEATED`` when the
        source has one with this key and digest (also earlier in ``entries``); ``CONFLICT`` when it has the key with
        another digest; ``GONE`` when there is no such source.

        :raises StoreUnavailable: when nothing was kept for a reason that may pass.
        """

    def waiting(self, source: str, limit: int = 500, max_bytes: int | None = None) -> Sequence[InboxEntry]:
        """Deliveries that wait and whose time has come, in the order received.

        :param max_bytes: ends with the one whose body takes all of them together beyond this.
        """

    def sequences(self, source: str, sequence_of: str, after: int, limit: int = 1) -> Sequence[tuple[int, datetime]]:
        """Sequence numbers above ``after`` with the times of their receipt, lowest first, of whatever status."""


class SourceInbox(Protocol):
    """The inbox of one source, as its connector sees it."""

    def waiting(self, limit: int = 500) -> Sequence[InboxEntry]:
        """Deliveries that wait and whose time has come, in the order received."""

    def sequences(self, sequence_of: str, after: int, limit: int = 1) -> Sequence[tuple[int, datetime]]:
        """As :meth:`Inbox.sequences`."""


class Deliveries(Protocol):
    """What became of deliveries."""

    def deliveries(
        self, source: str, limit: int = 50, before: str | None = None, status: InboxStatus | None = None
    ) -> Sequence[InboxEntry]:
        """Deliveries of a source, the last received first, a page at a time: those that came before ``before``."""

    def set_aside(self, source: str, limit: int = 1000) -> Sequence[InboxEntry]:
        """Those that were read in vain and are not settled, the next to be tried first and parked ones last.

        Bodies and headers are left empty.
        """
