"""Standings: where all sources stand, for a dashboard or a monitor that looks at many at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from attrs import frozen

from inventory_sources.status import SyncStatus

__all__ = ["Standing", "Standings"]


@frozen
class Standing:
    """Where one source stands.

    :param due: whether a worker may claim it now, as of the store's clock.
    :param last_success_at: ``None`` where there was none, or where the record of it cannot be read.
    :param waiting: deliveries that are not applied yet, those that wait for another attempt included.
    """

    source: str
    status: SyncStatus
    due: bool
    last_success_at: datetime | None = None
    waiting: int = 0


class Standings(Protocol):
    """The sources at a glance."""

    def standings(self, after: str = "", limit: int = 1000) -> Sequence[Standing]:
        """Standings in order of the names, a page at a time: those that sort after ``after``.

        A page takes a few queries, however many sources there are.
        """
