"""Scheduler: a hint to the host's job system that a source will be due.

The truth stays in the state store: ``engine.run_due()`` finds what is due by itself. A scheduler only shortens the
latency, so a lost, late or doubled call changes nothing else. It must return at once and may drop any hint.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

__all__ = ["Scheduler"]


class Scheduler(Protocol):
    """A hint that a source will be due; see the module for the contract."""

    def wake_at(self, source: str, moment: datetime) -> None:
        """Asks for a call of ``engine.run_due()`` at or soon after ``moment`` (UTC)."""
