"""Notifications to a function of the host."""

from __future__ import annotations

from collections.abc import Callable

from inventory_sources.errors import NotifyError
from inventory_sources.protocols.notifier import Notification

__all__ = ["CallableNotifier"]


class CallableNotifier:
    """Hands each notification to a function; what it raises means that nothing was handed over."""

    def __init__(self, send: Callable[[Notification], object]) -> None:
        self._send = send

    def notify(self, notification: Notification) -> None:
        """Calls the function.

        :raises NotifyError: when it raised; of a foreign exception only the type is told, its text may hold secrets.
        """
        try:
            self._send(notification)
        except NotifyError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the host's function raises
            raise NotifyError(f"the notifier's function raised {type(error).__name__}") from None
