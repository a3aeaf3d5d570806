"""Handing notifications over, at least once, from the outbox."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from inventory_sources.protocols.notifier import Notifier
from inventory_sources.protocols.store import Outbox

__all__ = ["dispatch"]

_BATCH = 100
_LEASE = timedelta(minutes=2)
_DELAYS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))


def dispatch(outbox: Outbox, notifier: Notifier, logger: Any) -> int:
    """Sends what is due; a notification that cannot be handed over stays and is tried again, hourly in the end."""
    sent = 0
    for entry in outbox.take(_BATCH, _LEASE):
        try:
            notifier.notify(entry.notification)
        except Exception as error:  # noqa: BLE001 - a host's part may raise anything
            delay = _DELAYS[min(entry.attempts, len(_DELAYS) - 1)]
            logger.warning("notification_failed", notification=entry.notification.id, error=type(error).__name__)
            outbox.settle(entry.notification.id, retry_in=delay)
        else:
            outbox.settle(entry.notification.id)
            sent += 1
    return sent
