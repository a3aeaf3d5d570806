"""Notifier: hands a notification to people.

Notifications are written to the outbox in the transaction that changed the source's state and are sent from there, at
least once and with a constant ``id`` by which a receiver can drop a repetition. One opens an incident, one resolves it;
a matter of security, such as a changed host key, is told by one of its own besides.
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
    SECURITY = "security"


@frozen
class Notification:
    """One message about one incident.

    :param id: constant over repeated deliveries.
    :param incident: the same for all messages about one incident.
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
