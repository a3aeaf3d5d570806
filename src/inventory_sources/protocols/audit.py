"""AuditEntry: who did what to a source."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

__all__ = ["AuditEntry"]


@frozen
class AuditEntry:
    """Who did what to a source."""

    source: str
    action: str
    actor: str
    at: datetime
    detail: str = ""
