"""Spans and metrics by a real SDK: what is told, what is not, and what it costs where it is not wanted."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from inventory_sources.errors import LeaseLost, StoreError, StoreUnavailable
from inventory_sources.guards import MassZero
from inventory_sources.integrations.opentelemetry import instrument
from inventory_sources.protocols.observer import Observer
from inventory_sources.protocols.standings import Standing
from inventory_sources.run import SyncRun, Trigger
from inventory_sources.status import SyncStatus
from inventory_sources.testing import ObserverContract
from inventory_sources.worker import Worker
from tests.engine.conftest import PASSING, START, Scripted, Shop
from tests.webhooks.shop import PushedShop

ROOT = Path(__file__).parents[2]
GOOD = "sku,quantity\nA,5\nB,0\nX,1\nB,many\n"


class Telemetry:
    """A host's SDK that keeps what it is given."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])

    def instrument(self, engine: Any, **options: Any) -> Observer:
        return instrument(engine, tracer_provider=self.tracers, meter_provider=self.meters, **options)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()

    def span(self, name: str) -> ReadableSpan:
        (found,) = (span for span in self.spans if span.name == f"inventory_sources.{name}")
        return found

    def metrics(self) -> Mapping[str, list[tuple[dict[str, Any], Any]]]:
        """Each metric's values by their attributes, without the library's prefix."""
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        return {
            short(metric.name): [
                ({short(key): value for key, value in point.attributes.items()}, point)
                for point in metric.data.data_points
            ]
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def values(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """The numbers of a metric, in order of their attributes."""
        points = [(attributes, point.value) for attributes, point in self.metrics().get(name, [])]
        return sorted(points, key=lambda point: sorted(point[0].items()))

    def close(self) -> None:
        self.tracers.shutdown()
        self.meters.shutdown()


def short(name: str) -> str:
    return name.removeprefix("inventory_sources.")


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    made = Telemetry()
    yield made
    made.close()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path)
    made.stock(A=1, B=2)
    yield made
    made.engine.close()
    made.database.dispose()


class TestContract(ObserverContract):
    @pytest.fixture(autouse=True)
    def _host(self, telemetry: Telemetry, tmp_path: Path) -> Iterator[None]:
        self.telemetry, self.shop = telemetry, Shop(tmp_path)
        yield
        self.shop.engine.close()
        self.shop.database.dispose()

    def make(self) -> Observer:
        return self.telemetry.instrument(self.shop.engine)

    def seen(self) -> str:
        data = self.telemetry.reader.get_metrics_data()
        return "".join([*(span.to_json() for span in self.telemetry.spans), data.to_json() if data else ""])


def test_a_run_is_a_span_with_one_for_each_stage(shop: Shop, telemetry: Telemetry) -> None:
    telemetry.instrument(shop.engine)
    shop.add(GOOD)
    run = shop.engine.sync("erp")
    whole = telemetry.span("sync")
    assert whole.parent is None
    assert whole.status.status_code is StatusCode.UNSET
    assert {short(key): value for key, value in (whole.attributes or {}).items()} == {
        "source": "erp",
        "run.id": run.id,
        "trigger": "manual",
        "attempt": 0,
        "outcome": "completed",
        "rows": 4,
        "changed": 1,
        "unmapped": 1,
        "invalid": 1,
        "duplicate": 1,
        "failed": 0,
    }
    parents = {short(span.name): span.parent and span.parent.span_id for span in telemetry.spans}
    ids = {short(span.name): span.context.span_id for span in telemetry.spans}
    assert list(parents) == ["fetch", "read", "guard", "plan", "apply", "finish", "sync"]
    assert {parents[name] for name in ("fetch", "read", "plan", "apply", "finish")} == {ids["sync"]}
    assert parents["guard"] == ids["plan"]
    assert (telemetry.span("read").attributes or {})["inventory_sources.rows"] == 4
    assert (telemetry.span("apply").attributes or {})["inventory_sources.changed"] == 1


def test_the_host_s_span_is_the_parent_of_a_sync_now(shop: Shop, telemetry: Telemetry) -> None:
    telemetry.instrument(shop.engine)
    shop.add(GOOD)
    with telemetry.tracers.get_tracer("host").start_as_current_span("POST /sync") as request:
        shop.engine.sync("erp")
    parent = telemetry.span("sync").parent
    assert parent is not None
    assert parent.span_id == request.get_span_context().span_id


def test_a_failure_shows_by_its_code_alone(shop: Shop, telemetry: Telemetry) -> None:
    telemetry.instrument(shop.engine)
    shop.add(PASSING)
    shop.engine.sync("erp")
    for name in ("fetch", "sync"):
        span = telemetry.span(name)
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "connect_failed")
        assert (span.attributes or {})["error.type"] == "connect_failed"
        assert span.events == ()
    assert telemetry.span("finish").status.status_code is StatusCode.UNSET
    assert telemetry.values("runs") == [
        ({"source": "erp", "outcome": "failed", "trigger": "manual", "error.type": "connect_failed"}, 1)
    ]


def test_a_held_plan_is_no_error(shop: Shop, telemetry: Telemetry) -> None:
    telemetry.instrument(shop.engine)
    shop.add("sku,quantity\nA,0\nB,0\n", guards=(MassZero(),))
    shop.engine.sync("erp")
    span = telemetry.span("sync")
    assert span.status.status_code is StatusCode.UNSET
    assert (span.attributes or {})["inventory_sources.outcome"] == "held"


def test_a_run_that_lost_its_source_is_an_error(shop: Shop, telemetry: Telemetry) -> None:
    telemetry.instrument(shop.engine)

    class Deleted(Scripted):
        def fetch(self, context: Any) -> Any:
            shop.engine.delete_source("erp")
            return super().fetch(context)

    shop.engine.add_source(shop.source(Deleted(GOOD)))
    with pytest.raises((LeaseLost, StoreError)):
        shop.engine.sync("erp")
    assert telemetry.span("sync").status.status_code is StatusCode.ERROR
    ((attributes, count),) = telemetry.values("runs")
    assert (attributes["outcome"], count) == ("unrecorded", 1)


def test_what_runs_did_is_counted(shop: Shop, telemetry: Telemetry) -> None:
    telemetry.instrument(shop.engine)
    shop.add(GOOD, "sku,quantity\nA,7\nB,1\nX,1\n", frequency="5min")
    shop.engine.sync("erp")
    shop.clock.advance(timedelta(minutes=10))
    shop.engine.run_due()
    erp = {"source": "erp"}
    assert telemetry.values("runs") == [
        ({**erp, "outcome": "completed", "trigger": "manual"}, 1),
        ({**erp, "outcome": "completed", "trigger": "scheduled"}, 1),
    ]
    assert telemetry.values("rows") == [(erp, 7)]
    assert telemetry.values("changed") == [(erp, 3)]
    assert telemetry.values("rejected") == [
        ({**erp, "rejection": "duplicate"}, 1),
        ({**erp, "rejection": "invalid"}, 1),
        ({**erp, "rejection": "unmapped"}, 2),
    ]
    ((attributes, histogram),) = telemetry.metrics()["run.duration"]
    assert (attributes, histogram.count) == ({**erp, "outcome": "completed"}, 2)
    assert histogram.explicit_bounds[-1] == 3600


def test_durations_are_seconds_of_the_engine_s_clock(shop: Shop, telemetry: Telemetry) -> None:
    telemetry.instrument(shop.engine)

    class Slow(Scripted):
        def fetch(self, context: Any) -> Any:
            shop.clock.advance(timedelta(seconds=20))
            return super().fetch(context)

    shop.engine.add_source(shop.source(Slow(GOOD)))
    shop.engine.sync("erp")
    ((_, histogram),) = telemetry.metrics()["run.duration"]
    assert histogram.sum == 20


def test_gauges_tell_where_the_sources_stand(shop: Shop, telemetry: Telemetry) -> None:
    telemetry.instrument(shop.engine)
    shop.add(GOOD, name="erp", frequency="5min")
    shop.add(GOOD, name="new", frequency="manual")
    shop.engine.sync("erp")
    shop.clock.advance(timedelta(minutes=7))
    assert telemetry.values("lag") == [({"source": "erp"}, 420)]
    assert telemetry.values("sources.due") == [({}, 1)]
    assert telemetry.values("sources.running") == [({}, 0)]
    assert telemetry.values("deliveries.waiting") == [({"source": "erp"}, 0), ({"source": "new"}, 0)]


def test_a_running_source_shows_while_it_runs(shop: Shop, telemetry: Telemetry) -> None:
    telemetry.instrument(shop.engine)
    seen: list[Any] = []

    class Looking(Scripted):
        def fetch(self, context: Any) -> Any:
            seen.append(telemetry.values("sources.running"))
            return super().fetch(context)

    shop.engine.add_source(shop.source(Looking(GOOD)))
    shop.engine.sync("erp")
    assert seen == [[({}, 1)]]


def test_series_do_not_grow_with_the_sources_where_that_is_not_wanted(shop: Shop, telemetry: Telemetry) -> None:
    telemetry.instrument(shop.engine, per_source=False)
    for name in ("one", "two", "three"):
        shop.add(GOOD, name=name)
        shop.engine.sync(name)
        shop.clock.advance(timedelta(minutes=1))
    assert telemetry.values("lag") == [({}, 180)]
    assert telemetry.values("deliveries.waiting") == [({}, 0)]
    points = [attributes for points in telemetry.metrics().values() for attributes, _ in points]
    assert len(points) == 11
    assert not [attributes for attributes in points if "source" in attributes]
    assert {(span.attributes or {})["inventory_sources.source"] for span in telemetry.spans} == {"one", "two", "three"}


class Standings:
    """An engine of which only the standings are asked."""

    def __init__(self, shop: Shop) -> None:
        self.clock = shop.clock
        self.asked = 0
        self.error: Exception | None = None

    def standings(self, after: str = "") -> Sequence[Standing]:
        self.asked += 1
        if self.error:
            raise self.error
        success = START - timedelta(seconds=1)
        page = [f"source-{number:04}" for number in range(2500)]
        rest = [name for name in page if name > after][:1000]
        return [Standing(name, SyncStatus.COMPLETED, due=True, last_success_at=success, waiting=2) for name in rest]

    def observe(self, observer: Observer) -> None:
        """Nothing runs."""


def test_the_store_is_asked_once_for_all_gauges_and_not_again_for_some_seconds(
    shop: Shop, telemetry: Telemetry
) -> None:
    engine = Standings(shop)
    telemetry.instrument(engine, per_source=False, fresh=10.0)
    assert telemetry.values("sources.due") == [({}, 2500)]
    assert telemetry.values("deliveries.waiting") == [({}, 5000)]
    assert engine.asked == 4
    shop.clock.advance(timedelta(seconds=9))
    assert telemetry.values("lag") == [({}, 10)]
    assert engine.asked == 4
    shop.clock.advance(timedelta(seconds=1))
    telemetry.metrics()
    assert engine.asked == 8


@pytest.mark.parametrize("error", [StoreUnavailable("locked"), RuntimeError("hunter2")])
def test_a_store_that_does_not_answer_is_a_gap_and_no_error(
    shop: Shop, telemetry: Telemetry, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Standings(shop)
    telemetry.instrument(engine)
    engine.error = error
    assert {"lag", "sources.due", "deliveries.waiting"}.isdisjoint(telemetry.metrics())
    assert engine.asked == 1
    engine.error = None
    shop.clock.advance(timedelta(seconds=11))
    assert telemetry.values("sources.due") == [({}, 2500)]
    assert caplog.text == ""


def test_a_delivery_is_a_span_and_counted_by_its_verdict(telemetry: Telemetry) -> None:
    shop = PushedShop()
    telemetry.instrument(shop.engine)
    one = shop.signed_delivery({"A1": 5})
    shop.engine.receive("wms", one)
    shop.engine.receive("wms", one)
    for number in range(3):
        shop.engine.receive(f"guessed-{number}", one)
    assert telemetry.values("deliveries") == [
        ({"source": "wms", "verdict": "kept"}, 1),
        ({"source": "wms", "verdict": "repeated"}, 1),
        ({"verdict": "unknown"}, 3),
    ]
    assert {span.name for span in telemetry.spans} == {"inventory_sources.receive"}
    assert "guessed" not in str([span.attributes for span in telemetry.spans])
    assert telemetry.values("deliveries.waiting") == [({"source": "wms"}, 1)]
    shop.run()
    shop.clock.advance(timedelta(seconds=11))
    assert telemetry.values("deliveries.waiting") == [({"source": "wms"}, 0)]
    assert (telemetry.span("sync").attributes or {})["inventory_sources.trigger"] == "webhook"


def test_no_secret_no_quantity_and_no_cell_is_in_a_span_or_a_metric(shop: Shop, telemetry: Telemetry) -> None:
    telemetry.instrument(shop.engine)

    class Leaking:
        def fetch(self, context: Any) -> Any:
            raise RuntimeError("password=canary-hunter2")

    feed = "sku,quantity\nA,48151623\nB,canary-cell\ncanary-sku,5\n"
    shop.add(feed)
    shop.add("sku,canary-heading\nA,1\n", name="broken")
    shop.engine.add_source(shop.source(Leaking(), name="leaking"))
    for name in ("erp", "broken", "leaking"):
        shop.engine.sync(name)
    data = telemetry.reader.get_metrics_data()
    assert data is not None
    shown = "".join([*(span.to_json() for span in telemetry.spans), data.to_json()])
    assert "leaking" in shown
    assert re.findall("canary|hunter2|48151623", shown) == []


def test_spans_of_several_threads_of_a_worker_do_not_mix(shop: Shop, telemetry: Telemetry) -> None:
    telemetry.instrument(shop.engine)
    together = threading.Barrier(3)

    class Waiting(Scripted):
        def fetch(self, context: Any) -> Any:
            together.wait(60)
            yield from super().fetch(context)
            together.wait(60)

    names = ("one", "two", "three")
    for name in names:
        shop.engine.add_source(shop.source(Waiting(GOOD), name=name, frequency="5min"))
    shop.clock.advance(timedelta(minutes=10))
    assert Worker(shop.engine, threads=3).run_once() == 0
    traces: dict[int, set[Any]] = {}
    for span in telemetry.spans:
        traces.setdefault(span.context.trace_id, set()).add((span.attributes or {})["inventory_sources.source"])
    assert sorted(map(sorted, traces.values())) == [["one"], ["three"], ["two"]]
    wholes = [span for span in telemetry.spans if span.name == "inventory_sources.sync"]
    assert [span.parent for span in wholes] == [None] * 3


def test_a_name_that_no_exporter_could_encode_is_made_one(shop: Shop, telemetry: Telemetry) -> None:
    observer = telemetry.instrument(shop.engine)
    run = SyncRun("r-1", "half \ud800 a pair" + "!" * 300, Trigger.MANUAL, START, epoch=1, config_version=1)
    with observer.run(run):
        pass
    name = str((telemetry.span("sync").attributes or {})["inventory_sources.source"])
    assert name.encode().startswith(b"half ? a pair")
    assert len(name) == 255


SYNC = """
import sys
from inventory_sources import Columns, CsvDecoder, Feed, FileConnector, MemorySink, Source, SyncEngine
engine = SyncEngine(":memory:")
engine.add_source(Source(name="erp", connector=FileConnector("feed.csv"), decoder=CsvDecoder(), mapper=Columns(),
                         feed=Feed.snapshot(), sink=MemorySink({"A": 1})))
print(engine.sync("erp").result.value)
"""


def run_python(script: str, folder: Path) -> str:
    (folder / "feed.csv").write_text("sku,quantity\nA,2\n")
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_engine_that_is_not_instrumented_loads_nothing_of_it(tmp_path: Path) -> None:
    script = f"{SYNC}\nprint([name for name in sys.modules if 'opentelemetry' in name or 'otel' in name])"
    assert run_python(script, tmp_path).splitlines() == ["completed", "[]"]


def test_without_the_extra_the_error_names_the_command(tmp_path: Path) -> None:
    script = f"""
import sys
sys.modules["opentelemetry"] = None
{SYNC}
from inventory_sources.errors import MissingExtra
from inventory_sources.integrations.opentelemetry import instrument
try:
    instrument(engine)
except MissingExtra as error:
    print(error.guidance)
print(engine.sync("erp").result.value)
"""
    assert run_python(script, tmp_path).splitlines() == [
        "completed",
        "pip install 'inventory-sources[otel]'",
        "completed",
    ]


def test_where_the_host_has_set_up_no_sdk_nothing_happens(tmp_path: Path) -> None:
    script = f"{SYNC}\nfrom inventory_sources.integrations.opentelemetry import instrument\ninstrument(engine)\n"
    assert run_python(f"{script}\nprint(engine.sync('erp').result.value)", tmp_path).split() == ["completed"] * 2
