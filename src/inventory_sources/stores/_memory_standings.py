"""Where all sources stand, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from inventory_sources.protocols.inbox import InboxStatus
from inventory_sources.protocols.standings import Standing
from inventory_sources.stores._kept import Kept, KeptSources

__all__ = ["MemoryStandings"]


class MemoryStandings(KeptSources):
    """:class:`~inventory_sources.protocols.standings.Standings` in memory."""

    def standings(self, after: str = "", limit: int = 1000) -> Sequence[Standing]:
        """Standings in order of the names, a page at a time."""
        with self._lock:
            names = sorted(name for name in self._sources if name > after)[:limit]
            now = self.now()
            return [_standing(name, self._sources[name], now) for name in names]


def _standing(name: str, kept: Kept, now: datetime) -> Standing:
    due = kept.wake_at is not None and kept.wake_at <= now
    waiting = sum(entry.status is InboxStatus.WAITING for entry in kept.inbox.entries.values())
    return Standing(name, kept.state.status, due, kept.state.last_success_at, waiting)
