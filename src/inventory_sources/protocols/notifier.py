"""Notifier: hands a notification to people.

Notifications are written to the outbox in the transaction that changed the source's state and are sent from there, at
least once and with a constant ``id`` by which a receiver can drop a repetition. One opens an incident, one resolves it.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Protocol

from attrs import frozen

from inventory_sources.run import Failure

__all__ = ["Notification", "NotificationKind", "Notifier"]


class NotificationKind(Enum):
    """What a notification tells."""

    FAILED = "failed"
    HELD = "held"
    RESOLVED = "resolved"


@frozen
class Notification:
    """One message about one incident.

    :param id: constant over repeated deliveries.
    :param incident: the same for the message that opens an incident and the one that resolves it.
    :param summary: one line of text, free of secrets.
    """

    id: str
    source: str
    kind: NotificationKind
    incident: str
    summary: str
    at: datetime
    run_id: str | None = None
    failure: Failure | None = None


class Notifier(Protocol):
    """Hands a notification to people; see the module for the contract."""

    def notify(self, notification: Notification) -> None:
        """Returns when the message was handed over.

        :raises Exception: when it was not; it stays in the outbox and is tried again.
        """
