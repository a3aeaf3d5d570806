"""Spans of runs and their stages, and metrics, by the host's OpenTelemetry.

In one line, once for an engine::

    instrument(engine)

The package needs the API of OpenTelemetry only (extra ``otel``); which SDK there is, and where it exports to, is the
host's. Where the host has set up none, nothing is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from attrs import define, field

from inventory_sources.engine import SyncEngine
from inventory_sources.errors import MissingExtra
from inventory_sources.integrations._gauges import Gauges
from inventory_sources.protocols.clock import Clock
from inventory_sources.protocols.observer import DeliveryVerdict, Observed, Stage
from inventory_sources.run import RunResult, SyncRun

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter, MeterProvider
    from opentelemetry.trace import Span, Tracer, TracerProvider

__all__ = ["OpenTelemetryObserver", "instrument"]

_SCOPE = "inventory_sources"
#: Seconds; a sync takes from parts of a second to an hour.
_DURATIONS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_LONGEST_NAME = 255
_BROKEN = frozenset({RunResult.FAILED.value, "unrecorded", DeliveryVerdict.UNAVAILABLE.value})

Tell = Callable[[Observed], None]
Attributes = dict[str, str | int]


def instrument(
    engine: SyncEngine,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    per_source: bool = True,
    fresh: float = 10.0,
) -> OpenTelemetryObserver:
    """Has an engine's runs and deliveries traced and measured, and where its sources stand; call it once for an engine.

    :param tracer_provider: the process's unless given.
    :param meter_provider: the process's unless given.
    :param per_source: whether metrics have the attribute ``inventory_sources.source``, which makes some 40 series of a
        source. Spans have it always.
    :param fresh: seconds for which is believed what the store said last of where the sources stand.
    :raises MissingExtra: when OpenTelemetry's API is not installed.
    """
    try:
        from opentelemetry.metrics import get_meter
        from opentelemetry.trace import get_tracer
    except ImportError:
        raise MissingExtra("OpenTelemetry", "otel") from None
    tracer = get_tracer(_SCOPE, tracer_provider=tracer_provider)
    meter = get_meter(_SCOPE, meter_provider=meter_provider)
    observer = OpenTelemetryObserver(tracer, Measures.made_with(meter, per_source=per_source), engine.clock)
    Gauges(engine, per_source, fresh).register(meter)
    engine.observe(observer)
    return observer


class _Adds(Protocol):
    def add(self, amount: int, attributes: Attributes) -> None: ...


class _Records(Protocol):
    def record(self, amount: float, attributes: Attributes) -> None: ...


@define
class Measures:
    """The instruments that runs and deliveries are counted with."""

    per_source: bool
    runs: _Adds
    duration: _Records
    rows: _Adds
    changed: _Adds
    rejected: _Adds
    deliveries: _Adds

    @classmethod
    def made_with(cls, meter: Meter, *, per_source: bool) -> Measures:
        """Makes them."""
        counter: Callable[..., Any] = meter.create_counter
        duration: Any = meter.create_histogram(
            "inventory_sources.run.duration",
            unit="s",
            description="How long runs took",
            explicit_bucket_boundaries_advisory=_DURATIONS,
        )
        return cls(
            per_source,
            counter("inventory_sources.runs", "{run}", "Runs that ended"),
            duration,
            counter("inventory_sources.rows", "{row}", "Rows read"),
            counter("inventory_sources.changed", "{item}", "Levels written because they had changed"),
            counter("inventory_sources.rejected", "{row}", "Rows that could not be used"),
            counter("inventory_sources.deliveries", "{delivery}", "Requests to the endpoints of sources"),
        )

    def ended(self, started: SyncRun, observed: Observed, seconds: float) -> None:
        """A run has ended."""
        source = self._source(started.source)
        outcome: Attributes = {**source, "inventory_sources.outcome": observed.result}
        self.duration.record(seconds, outcome)
        error: Attributes = {"error.type": observed.error} if observed.error else {}
        self.runs.add(1, {**outcome, "inventory_sources.trigger": started.trigger.value, **error})
        if observed.run is None:
            return
        counts = observed.run.counts
        self.rows.add(counts.rows, source)
        self.changed.add(counts.changed, source)
        for kind in ("unmapped", "invalid", "duplicate"):
            self.rejected.add(getattr(counts, kind), {**source, "inventory_sources.rejection": kind})

    def delivered(self, source: str, verdict: str) -> None:
        """A delivery was answered; the name of a source that there is not may be anything, and would be a series."""
        named = {} if verdict == DeliveryVerdict.UNKNOWN.value else self._source(source)
        self.deliveries.add(1, {**named, "inventory_sources.verdict": verdict})

    def _source(self, name: str) -> Attributes:
        return {"inventory_sources.source": sendable(name)} if self.per_source else {}


@define(eq=False)
class OpenTelemetryObserver:
    """An :class:`~inventory_sources.protocols.observer.Observer` that makes spans and counts.

    A span's status and ``error.type`` are the code of the error, never its message.
    """

    _tracer: Tracer
    _measures: Measures
    _clock: Clock = field()

    @contextmanager
    def run(self, started: SyncRun) -> Iterator[Tell]:
        """A span ``inventory_sources.sync``, a child of the current one if there is any."""
        begun = self._clock.monotonic()
        attributes: Attributes = {
            "inventory_sources.source": sendable(started.source),
            "inventory_sources.run.id": started.id,
            "inventory_sources.trigger": started.trigger.value,
            "inventory_sources.attempt": started.attempt,
        }
        with self._span("sync", attributes) as span:

            def tell(observed: Observed) -> None:
                counts = observed.run.counts if observed.run else None
                for name in ("rows", "changed", "unmapped", "invalid", "duplicate", "failed") if counts else ():
                    span.set_attribute(f"inventory_sources.{name}", getattr(counts, name))
                span.set_attribute("inventory_sources.outcome", observed.result)
                _judge(span, observed)
                self._measures.ended(started, observed, self._clock.monotonic() - begun)

            yield tell

    @contextmanager
    def stage(self, run: SyncRun, stage: Stage) -> Iterator[Tell]:
        """A span within that of the run."""
        with self._span(stage.value, {"inventory_sources.source": sendable(run.source)}) as span:

            def tell(observed: Observed) -> None:
                for name, count in observed.counts.items():
                    span.set_attribute(f"inventory_sources.{name}", count)
                _judge(span, observed)

            yield tell

    @contextmanager
    def delivery(self, source: str) -> Iterator[Tell]:
        """A span ``inventory_sources.receive``, a child of the current one if there is any."""
        with self._span("receive", {}) as span:

            def tell(observed: Observed) -> None:
                if observed.result != DeliveryVerdict.UNKNOWN.value:
                    span.set_attribute("inventory_sources.source", sendable(source))
                span.set_attribute("inventory_sources.verdict", observed.result)
                _judge(span, observed)
                self._measures.delivered(source, observed.result)

            yield tell

    @contextmanager
    def _span(self, name: str, attributes: Attributes) -> Iterator[Span]:
        with self._tracer.start_as_current_span(
            f"inventory_sources.{name}",
            attributes=attributes,
            record_exception=False,  # its text may hold a secret
            set_status_on_exception=False,
        ) as span:
            yield span


def sendable(name: str) -> str:
    """A source's name as every exporter can encode it."""
    return name[:_LONGEST_NAME].encode(errors="replace").decode()


def _judge(span: Span, observed: Observed) -> None:
    from opentelemetry.trace import Status, StatusCode

    if observed.error:
        span.set_attribute("error.type", observed.error)
    if observed.result in _BROKEN:
        span.set_status(Status(StatusCode.ERROR, observed.error))
