"""How long one fetch may go on waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from inventory_sources.errors import FetchTimeout

if TYPE_CHECKING:
    from inventory_sources._http._messages import HttpLimits
    from inventory_sources.protocols.clock import Clock
    from inventory_sources.protocols.connector import FetchContext

__all__ = ["Patience", "patience"]


@frozen
class Patience:
    """The time that is left, within the limits and, for a fetch, its own deadline; called, that of the next step.

    :param end: on ``clock.monotonic()``.
    :param what: is said not to have arrived, once no time is left.
    """

    limits: HttpLimits
    clock: Clock
    context: FetchContext | None
    what: str
    end: float

    def __call__(self) -> float:
        """Seconds that the next step may take.

        :raises FetchTimeout: when no time is left.
        :raises SyncCancelled: when the sync was asked to stop.
        """
        return min(self.limits.timeout, self.left())

    def left(self) -> float:
        """Seconds until all must be done.

        :raises FetchTimeout: when there are none.
        :raises SyncCancelled: when the sync was asked to stop.
        """
        left = self.end - self.clock.monotonic()
        if self.context is not None:
            self.context.checkpoint()
            left = min(left, self.context.remaining())
        if left <= 0:
            raise FetchTimeout(f"{self.what} did not arrive whole within {self.limits.deadline:g} s")
        return left


def patience(
    limits: HttpLimits, clock: Clock, context: FetchContext | None = None, *, what: str = "the answer"
) -> Patience:
    """How long each step may take from now on.

    :param what: is said not to have arrived, once no time is left.
    """
    return Patience(limits, clock, context, what, clock.monotonic() + limits.deadline)
