"""A notification as plain values, the same for every receiver."""

from __future__ import annotations

from inventory_sources.protocols.notifier import Notification

__all__ = ["document"]


def document(notification: Notification) -> dict[str, object]:
    """The notification as JSON values; times in ISO 8601 with their offset, ``None`` where there is nothing."""
    failure = notification.failure
    return {
        "id": notification.id,
        "source": notification.source,
        "kind": notification.kind.value,
        "incident": notification.incident,
        "summary": notification.summary,
        "at": notification.at.isoformat(),
        "run_id": notification.run_id,
        "failure": failure
        and {
            "code": failure.code,
            "phase": failure.phase.value,
            "message": failure.message,
            "guidance": failure.guidance,
            "at": failure.at.isoformat(),
        },
    }
