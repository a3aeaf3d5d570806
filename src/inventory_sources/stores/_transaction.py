"""What both stores share: the open transaction, and how entries are prepared before they are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from attrs import define

from inventory_sources.batch import Rejection
from inventory_sources.errors import ConfigurationError, Recovery, StoreError
from inventory_sources.protocols.clock import Clock
from inventory_sources.protocols.inbox import InboxEntry
from inventory_sources.protocols.store import Retention, StateChange, StoredSource, UnmappedSku
from inventory_sources.run import SyncRun

__all__ = [
    "NAME_LENGTH",
    "OpenTransaction",
    "check_entries",
    "check_name",
    "cutoffs",
    "earliest",
    "fits",
    "fitting",
    "in_order_of_place",
    "keepable",
    "time_of",
]

#: Longest name or identifier, in characters, that a store keeps.
NAME_LENGTH = 255
_NUMBERS = 2**63


@define
class OpenTransaction:
    """A :class:`~inventory_sources.protocols.store.Transaction` that holds what was written until the commit."""

    now: datetime
    source: StoredSource
    find_run: Callable[[str], SyncRun | None]
    connection: object | None = None
    change: StateChange | None = None

    def run(self, run_id: str) -> SyncRun | None:
        """One run, read inside the transaction."""
        return self.find_run(run_id)

    def write(self, change: StateChange) -> None:
        """Takes the one change of this transaction."""
        if self.change is not None:
            raise StoreError("a transaction takes one change, and it has one already", recovery=Recovery.STOP)
        self.change = change


def check_name(name: str, what: str) -> None:
    """Refuses a name that not every database can keep exactly.

    :raises ConfigurationError: when it is empty, too long, or holds NUL or half a surrogate pair.
    """
    if not name or not fits(name):
        raise ConfigurationError(
            f"{what} {name[:40]!r} cannot be stored",
            guidance=f"Use 1 to {NAME_LENGTH} characters of Unicode text without NUL.",
        )


def check_entries(entries: Sequence[InboxEntry]) -> None:
    """Refuses deliveries that not every database can keep exactly.

    :raises ConfigurationError: when one has an id, key or ``sequence_of`` like that, or a number beyond 64 bits.
    """
    for entry in entries:
        check_name(entry.id, "the delivery's id")
        check_name(entry.key, "the delivery's key")
        if entry.sequence_of:
            check_name(entry.sequence_of, "what the delivery is numbered within,")
        if entry.sequence is not None and not -_NUMBERS <= entry.sequence < _NUMBERS:
            raise ConfigurationError(f"the number of the delivery {entry.id!r} has more than 64 bits")


def fitting(sizes: Iterable[int], max_bytes: int | None) -> int:
    """How many of these to take, up to the one that goes beyond ``max_bytes`` together with those before it."""
    count = total = 0
    for size in sizes:
        count, total = count + 1, total + size
        if max_bytes is not None and total > max_bytes:
            break
    return count


def earliest(*moments: datetime | None) -> datetime | None:
    """The first of those that are given."""
    return min((moment for moment in moments if moment is not None), default=None)


def keepable(entries: Iterable[UnmappedSku]) -> list[UnmappedSku]:
    """The entries that every database can keep exactly; the others show in the run's rejections only."""
    return [entry for entry in entries if fits(entry.sku)]


def fits(text: str) -> bool:
    """Whether every database can keep it exactly."""
    if len(text) > NAME_LENGTH or "\0" in text:
        return False
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def in_order_of_place(rejections: Sequence[Rejection]) -> list[Rejection]:
    """Sorted by place: inputs in the order of their first rejection, then by number."""
    inputs: dict[str, int] = {}
    for rejection in rejections:
        inputs.setdefault(rejection.place.origin, len(inputs))
    return sorted(rejections, key=lambda rejection: (inputs[rejection.place.origin], rejection.place.number))


def cutoffs(retention: Retention, now: datetime) -> dict[str, datetime]:
    """For each kind of entry, the moment before which it has been kept long enough."""
    return {
        "runs": now - retention.runs,
        "rejections": now - retention.rejections,
        "unmapped": now - retention.unmapped,
        "notifications": now - retention.notifications,
        "deliveries": now - retention.deliveries,
        "audit": now - retention.audit,
    }


def time_of(clock: Clock | None) -> datetime:
    """The clock's time, or the system's."""
    return datetime.now(UTC) if clock is None else clock.now()
