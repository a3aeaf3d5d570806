"""One sync, as the history keeps it."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum

from attrs import Factory, frozen

from inventory_sources.errors import InputTooLarge, InventorySourcesError, Phase

__all__ = ["Failure", "RunCounts", "RunResult", "SyncRun", "Trigger"]


class Trigger(Enum):
    """What started a sync."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"
    RETRY = "retry"
    WEBHOOK = "webhook"


class RunResult(Enum):
    """How a sync ended, or that it is still going."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    HELD = "held"
    CANCELLED = "cancelled"
    LOST = "lost"


@frozen
class Failure:
    """Why a sync failed: safe to store, log and send, never with a secret.

    :param alarm: what makes it a matter of security, such as the key that a server showed.
    """

    code: str
    phase: Phase
    message: str
    guidance: str
    at: datetime
    alarm: str | None = None

    @classmethod
    def of(cls, error: InventorySourcesError, at: datetime) -> Failure:
        """The storable parts of an error of ours."""
        return cls(error.code, error.phase, error.message, error.guidance, at, error.alarm)

    @property
    def of_the_input(self) -> bool:
        """Whether the input itself could not be used, so that only another input mends it."""
        return self.phase in (Phase.DECODE, Phase.MAP) or self.code == InputTooLarge.code


@frozen
class RunCounts:
    """Two sums that add up: rows read, and items planned.

    ``rows = mapped + unmapped + invalid + duplicate`` and
    ``items = changed + unchanged + stale + held + failed``. ``products_updated`` counts the distinct SKUs whose stored
    quantity changed.
    """

    rows: int = 0
    mapped: int = 0
    unmapped: int = 0
    invalid: int = 0
    duplicate: int = 0
    items: int = 0
    changed: int = 0
    unchanged: int = 0
    stale: int = 0
    held: int = 0
    failed: int = 0
    products_updated: int = 0

    @property
    def add_up(self) -> bool:
        """Whether both sums hold."""
        rows = self.mapped + self.unmapped + self.invalid + self.duplicate
        items = self.changed + self.unchanged + self.stale + self.held + self.failed
        return self.rows == rows and self.items == items


@frozen
class SyncRun:
    """One sync of one source.

    :param attempt: 0 for a first try, n for the n-th retry.
    :param as_of: when the input was observed (UTC), where it is one time for all of it.
    :param inputs: each input's origin, free of credentials, in the order read.
    :param evidence: what proved the input complete, or why it counts as unproven.
    :param warnings: what a person should know although the sync went on.
    :param skipped: why nothing was read and compared: the input is the one applied before, or there was none.
    """

    id: str
    source: str
    trigger: Trigger
    started_at: datetime
    epoch: int
    config_version: int
    attempt: int = 0
    worker: str = ""
    result: RunResult = RunResult.RUNNING
    finished_at: datetime | None = None
    counts: RunCounts = Factory(RunCounts)
    failure: Failure | None = None
    as_of: datetime | None = None
    inputs: tuple[str, ...] = ()
    evidence: str = ""
    warnings: tuple[str, ...] = ()
    digest: str | None = None
    skipped: str = ""

    def __str__(self) -> str:
        counts = self.counts
        if self.skipped:
            return f"{self.source}: {self.result.value}, 0 products updated; {self.skipped}"
        text = (
            f"{self.source}: {self.result.value}, {counts.products_updated} products updated; "
            f"rows read {counts.rows} (unmapped {counts.unmapped}, invalid {counts.invalid}, "
            f"duplicate {counts.duplicate})"
        )
        return f"{text}; {self.failure.message}" if self.failure else text

    @property
    def duration(self) -> timedelta | None:
        """How long it took, on the store's clock; ``None`` while it runs."""
        return self.finished_at - self.started_at if self.finished_at else None

    @property
    def products_updated(self) -> int:
        """Distinct SKUs whose stored quantity changed."""
        return self.counts.products_updated
