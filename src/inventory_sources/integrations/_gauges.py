"""Where the sources stand, as gauges that are read when somebody collects them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from attrs import define, field

from inventory_sources.engine import SyncEngine
from inventory_sources.protocols.standings import Standing
from inventory_sources.status import SyncStatus

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter

__all__ = ["Gauges"]

_SECOND = timedelta(seconds=1)

Measured = tuple[float, str | None]


@define(eq=False)
class Gauges:
    """Lag, what is due and runs, and deliveries that wait, of all sources in an engine's store.

    :param fresh: seconds for which is believed what the store said last, also when it did not answer.
    """

    engine: SyncEngine
    per_source: bool
    fresh: float
    _read_at: float | None = field(default=None, init=False)
    _standings: Sequence[Standing] | None = field(default=None, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def register(self, meter: Meter) -> None:
        """Makes the instruments."""
        for name, unit, description, measure in (
            ("lag", "s", "Time since the last successful run", self._lag),
            ("sources.due", "{source}", "Sources that wait for a worker", self._due),
            ("sources.running", "{source}", "Sources that are syncing", self._running),
            ("deliveries.waiting", "{delivery}", "Deliveries that are not applied yet", self._waiting),
        ):
            callback: Any = self._collected(measure)
            meter.create_observable_gauge(f"inventory_sources.{name}", [callback], unit, description)

    def _collected(self, measure: Callable[[Sequence[Standing]], Iterable[Measured]]) -> Callable[[object], Any]:
        def collect(options: object) -> Iterator[Any]:
            from opentelemetry.metrics import Observation

            standings = self._read()
            for value, source in () if standings is None else measure(standings):
                yield Observation(value, {} if source is None else {"inventory_sources.source": source})

        return collect

    def _lag(self, standings: Sequence[Standing]) -> Iterable[Measured]:
        now = self.engine.clock.now()
        lags = [
            (max(0.0, (now - each.last_success_at) / _SECOND), each.source)
            for each in standings
            if each.last_success_at is not None
        ]
        if self.per_source:
            return lags
        return [(max(lags)[0], None)] if lags else []

    def _due(self, standings: Sequence[Standing]) -> Iterable[Measured]:
        return [(sum(each.due for each in standings), None)]

    def _running(self, standings: Sequence[Standing]) -> Iterable[Measured]:
        return [(sum(each.status is SyncStatus.SYNCING for each in standings), None)]

    def _waiting(self, standings: Sequence[Standing]) -> Iterable[Measured]:
        if self.per_source:
            return [(each.waiting, each.source) for each in standings]
        return [(sum(each.waiting for each in standings), None)]

    def _read(self) -> Sequence[Standing] | None:
        """One look at the store for all gauges; ``None`` where it did not answer."""
        with self._lock:
            now = self.engine.clock.monotonic()
            if self._read_at is None or now - self._read_at >= self.fresh:
                self._read_at, self._standings = now, None
                try:
                    self._standings = list(_all(self.engine))
                except Exception:  # noqa: BLE001 - a monitor sees a gap; workers say in the log what is wrong
                    return None
            return self._standings


def _all(engine: SyncEngine) -> Iterator[Standing]:
    after = ""
    while page := engine.standings(after):
        yield from page
        after = page[-1].source
