"""Observer: is told of each run, of its stages and of each delivery, while they go on.

For tracing and metrics. Each method gives a context manager, which is entered before and left after what it is about,
in the same thread, properly nested: stages in their run, a guard's in the plan's. Entering it gives a function that is
called once, right before it is left, with how it ended. It is left without the exception, if there was one: the text
of a host's exception may hold a secret, and the class or the code of it is told instead.

Nothing that an observer raises can break a run: it is logged, once for an engine, and dropped. It is called in whatever
thread the run is in, so it must be safe to share between threads. What it is told holds no secrets, but a run's
``failure`` and ``inputs`` may quote what a feed said.

An observer of one's own passes :class:`inventory_sources.testing.ObserverContract`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from enum import Enum
from typing import Protocol

from attrs import Factory, frozen

from inventory_sources.run import SyncRun

__all__ = ["DeliveryVerdict", "Observed", "Observer", "Stage"]


class Stage(Enum):
    """A part of a run.

    ``READ`` decodes and maps, a batch of rows after the other. ``GUARD`` is within ``PLAN``, and ``APPLY`` within
    ``FINISH`` where the sink joins the transaction of the state; that may be repeated if the database asks for it.
    """

    FETCH = "fetch"
    READ = "read"
    PLAN = "plan"
    GUARD = "guard"
    APPLY = "apply"
    FINISH = "finish"


class DeliveryVerdict(Enum):
    """What became of a request to a source's endpoint.

    ``ANSWERED`` is a handshake, ``REFUSED`` a sender that is not proven or a request that is no delivery, ``UNKNOWN`` a
    source that there is not or that takes no deliveries, ``UNAVAILABLE`` a delivery that could not be kept.
    """

    KEPT = "kept"
    REPEATED = "repeated"
    ANSWERED = "answered"
    CONFLICT = "conflict"
    LIMITED = "limited"
    REFUSED = "refused"
    TOO_LARGE = "too_large"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"


@frozen
class Observed:
    """How a run, a stage or a delivery ended.

    :param result: of a run a :class:`~inventory_sources.run.RunResult` or, where this worker could not record its end,
        ``unrecorded``; of a stage ``done`` or ``failed``; of a delivery a :class:`DeliveryVerdict`.
    :param error: the code of the error, or the name of the class of an exception that is not of this library.
    :param counts: of a stage, by what was counted.
    :param run: of a run as it was recorded.
    """

    result: str
    error: str | None = None
    counts: Mapping[str, int] = Factory(dict)
    run: SyncRun | None = None


Tell = Callable[[Observed], None]


class Observer(Protocol):
    """Is told what goes on; see the module for the contract."""

    def run(self, started: SyncRun) -> AbstractContextManager[Tell]:
        """A run that this process has claimed."""

    def stage(self, run: SyncRun, stage: Stage) -> AbstractContextManager[Tell]:
        """A part of a run."""

    def delivery(self, source: str) -> AbstractContextManager[Tell]:
        """A request to the endpoint of a source; whether there is such a source is not known yet."""
