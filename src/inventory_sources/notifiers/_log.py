"""Notifications to the host's log."""

from __future__ import annotations

from typing import Any

from inventory_sources._log import event_logger
from inventory_sources.notifiers._document import document
from inventory_sources.protocols.notifier import Notification, NotificationKind

__all__ = ["LogNotifier"]

_LEVELS = {NotificationKind.RESOLVED: "info", NotificationKind.SECURITY: "error"}


class LogNotifier:
    """Writes one structured event a notification: a warning, an error for a matter of security, an info for an end.

    :param logger: a structlog logger; by default the host's structlog where it is configured, else the standard logger
        ``inventory_sources``. Neither is configured here.
    """

    def __init__(self, logger: Any = None) -> None:
        self._logger = logger

    def notify(self, notification: Notification) -> None:
        """Writes the event ``inventory_notification`` with the notification's parts."""
        logger = self._logger or event_logger()
        log = getattr(logger, _LEVELS.get(notification.kind, "warning"))
        log("inventory_notification", **document(notification))
