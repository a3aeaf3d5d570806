"""Connector: gets a source's input onto this machine.

A connector is any object with ``fetch(context)`` that yields payloads, plain bytes, or plain records::

    class Erp:
        def fetch(self, context):
            for item in erp_client.stock():
                yield {"sku": item.code, "quantity": item.available}

``fetch`` is called once a sync, in the thread that runs it. It must finish, raise one of the library's
:class:`~inventory_sources.errors.FetchError` classes (or any exception, which counts as ``fetch_failed`` and is named
by its type alone, because foreign messages may hold secrets), look at ``context.cancelled`` or call
``context.checkpoint()`` between pieces of work, and bound its own waiting by ``context.remaining()``. Nothing is
mapped or written before ``fetch`` has ended without an error.

``check`` is optional: it proves that the source can be reached and returns the head of what ``fetch`` would give.

``gives_changes`` is optional, too: where it is true, a fetch may give only what changed since the last one, and a
source with a snapshot feed is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

from attrs import define, field, frozen

from inventory_sources.errors import FetchTimeout, InventorySourcesError, SyncCancelled
from inventory_sources.payload import Evidence, Payload, Proof
from inventory_sources.protocols.clock import Clock
from inventory_sources.protocols.inbox import SourceInbox
from inventory_sources.run import Trigger

__all__ = ["CheckableConnector", "Connector", "FetchContext", "FetchOutcome", "Fetched", "Head", "Progress", "Pushed"]

#: What a connector may yield.
Fetched: TypeAlias = "Payload | bytes | Mapping[str, object]"

#: Called with a stage's name and what has been done so far in ``bytes``, ``rows`` or ``items``.
Progress: TypeAlias = Callable[[str, str, int], None]


def _no_progress(stage: str, unit: str, done: int) -> None:
    return None


@define
class Pushed:
    """How a fetch dealt with the inbox.

    :param drained: whether the input is deliveries: a partial feed, in which the newest observation of a level counts,
        unless ``whole`` says that a delivery carries all levels.
    :param unreadable: deliveries that cannot be made an input of, with why.
    :param covered: deliveries that the input stands for although it does not carry them.
    :param beside: whether something is pulled beside them.
    :param wait: whether more are there already, to be dealt with by a run of its own right after this one.
    """

    drained: bool = False
    beside: bool = False
    whole: bool = False
    unreadable: dict[str, InventorySourcesError] = field(factory=dict)
    covered: tuple[str, ...] = ()
    wait: bool = False


@define
class FetchOutcome:
    """What a fetch tells beside the input; filled in by the methods of :class:`FetchContext`.

    :param memo: kept for the next fetch, however this run ends.
    :param nothing_new: why there is no input, for a fetch that found nothing to read.
    :param more: there is more to fetch already; the next run begins at once.
    :param after_commit: to be done once the run's levels are applied and recorded.
    :param after_refusal: to be done once a run is recorded as failed that could not use its input.
    :param pushed: how deliveries were dealt with.
    """

    memo: str | None = None
    nothing_new: str | None = None
    more: bool = False
    warnings: list[str] = field(factory=list)
    after_commit: list[Callable[[FetchContext], None]] = field(factory=list)
    after_refusal: list[Callable[[FetchContext], None]] = field(factory=list)
    pushed: Pushed = field(factory=Pushed)


@define
class FetchContext:
    """What a connector is given for one sync.

    :param clock: the only clock to use.
    :param started_at: the moment before the fetch (UTC); it stands for inputs that carry no time of their own.
    :param deadline: on ``clock.monotonic()``; everything must have arrived by then.
    :param spool: an empty folder of this run; it is removed after the run.
    :param cursor: what an earlier run left by ``next_cursor``, once all of that run's levels were applied.
    :param memo: what the last fetch left by :meth:`note`, however its run ended.
    :param logger: a structlog logger bound to the source and run.
    :param cancelled: whether the sync was asked to stop or has lost its lease.
    :param trigger: what started the sync.
    :param inbox: what was pushed for the source; ``None`` where there is no inbox.
    :param evidence: for connectors that yield plain records: what proves that they yielded all of them.
    """

    clock: Clock
    started_at: datetime
    deadline: float
    spool: Path
    logger: Any
    cursor: str | None = None
    next_cursor: str | None = None
    memo: str | None = None
    cancelled: Callable[[], bool] = field(default=lambda: False)
    progress: Progress = field(default=_no_progress)
    trigger: Trigger = Trigger.SCHEDULED
    inbox: SourceInbox | None = None
    evidence: Evidence = field(factory=Evidence)
    outcome: FetchOutcome = field(factory=FetchOutcome)

    def note(self, memo: str) -> None:
        """Keeps a text for the next fetch, however this run ends; an edit of the source drops it."""
        self.outcome.memo = memo

    def nothing_new(self, reason: str) -> None:
        """Says that there is nothing to read since the last applied run; ``fetch`` then yields nothing.

        The run is recorded as completed with ``reason`` and without rows; stock levels stay as they are.
        """
        self.outcome.nothing_new = reason

    def more_waits(self) -> None:
        """Says that more input is there already, to be fetched by a run of its own right after this one."""
        self.outcome.more = True

    def warn(self, message: str) -> None:
        """Adds a warning to the run's record; free of secrets."""
        self.outcome.warnings.append(message)

    def after_commit(self, action: Callable[[FetchContext], None]) -> None:
        """Has ``action`` called once the run's levels are applied and recorded, or were so before (unchanged input).

        It is given a fresh context. It may fail or never be called (the process may end): then the next fetch must
        find the same input again and register it again. A held plan does not call it, nor do the first runs that leave
        items which the sink refused.
        """
        self.outcome.after_commit.append(action)

    def after_refusal(self, action: Callable[[FetchContext], None]) -> None:
        """Has ``action`` called once the run is recorded as failed because the input itself cannot be used."""
        self.outcome.after_refusal.append(action)

    def prove(self, proof: Proof) -> None:
        """Records that all records were yielded, such as ``Proof.LAST_PAGE`` after the last page."""
        self.evidence = self.evidence.with_proof(proof)

    def remaining(self) -> float:
        """Seconds left until the deadline.

        :raises FetchTimeout: when there are none.
        """
        left = self.deadline - self.clock.monotonic()
        if left <= 0:
            raise FetchTimeout("the input did not arrive before the sync's deadline")
        return left

    def checkpoint(self) -> None:
        """Stops here if the sync was cancelled or is out of time.

        :raises SyncCancelled: when it was asked to stop.
        :raises FetchTimeout: when the deadline has passed.
        """
        if self.cancelled():
            raise SyncCancelled("the sync was asked to stop while it fetched")
        self.remaining()


class Connector(Protocol):
    """Gets a source's input onto this machine; see the module for the contract.

    One that asks a server may say which by an attribute ``host``, a text: a worker has a few syncs at most at one host
    at once. ``None`` is for no limit.
    """

    def fetch(self, context: FetchContext) -> Iterable[Fetched]:
        """Yields the whole input: payloads (each decoded by the source's decoder) or plain records."""


@frozen
class Head:
    """The first bytes of an input, for a person to look at.

    :param complete: whether ``data`` is all of it.
    :param lists: for a connector that yields the records of a document, where that has lists of them, by path with how
        many; empty where there is one at the declared path, ``None`` for input that goes to a decoder.
    """

    origin: str
    data: bytes = field(repr=False)
    complete: bool
    media_type: str | None = None
    size: int | None = None
    lists: Mapping[str, int] | None = None


@runtime_checkable
class CheckableConnector(Connector, Protocol):
    """A connector that can also prove that it reaches its source."""

    def check(self, context: FetchContext) -> Head:
        """Connects, reads the head (64 KiB are plenty) and leaves nothing behind.

        :raises FetchError: as ``fetch`` would.
        """
