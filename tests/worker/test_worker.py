"""The loop, in this process: the test holds the clock, and no pause takes time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from inventory_sources import Columns, Feed, MemorySink, MemoryStateStore, Source, SqlStateStore, SyncEngine, SyncStatus
from inventory_sources.engine._runs import Runs
from inventory_sources.errors import ConfigurationError, SinkError, StoreUnavailable
from inventory_sources.protocols.store import Retention
from inventory_sources.run import RunResult
from inventory_sources.source import Part, SourceSpec
from inventory_sources.status import Reason
from inventory_sources.testing import ManualClock
from inventory_sources.worker import Waiting, Worker
from tests.webhooks.shop import PushedShop

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PATIENCE = 60.0


class OnTheClock(Waiting):
    """Lets the test's time pass instead of waiting, unless a thread is at work: then it waits for that.

    :param until: after so many seconds the worker is asked to stop.
    """

    def __init__(self, clock: ManualClock, until: float = 0.0) -> None:
        super().__init__()
        self.clock, self.until = clock, until
        self.worker: Worker
        self.turns = threading.Semaphore(0)

    def wait(self, seconds: float) -> None:
        self.turns.release()
        if self.worker.busy or self.worker._house is not None:
            super().wait(0.02)
            return
        self.clock.advance(seconds)
        if self.clock.monotonic() >= self.until:
            self.worker.stop()


class Feeding:
    """A connector that tells who is there at once.

    :param meet: how many must be there before any goes on.
    """

    def __init__(self, host: str | None = None, meet: int = 1) -> None:
        self.host = host
        self.here, self.most, self.fetches = 0, 0, 0
        self.lock = threading.Lock()
        self.meeting = threading.Barrier(meet)

    def fetch(self, context: Any) -> Iterator[dict[str, object]]:
        with self.lock:
            self.fetches += 1
            self.here += 1
            self.most = max(self.most, self.here)
        self.meeting.wait(PATIENCE)
        with self.lock:
            self.here -= 1
        yield {"sku": "A", "quantity": 1}


class Gated(Feeding):
    """One that stays where it is until the gate opens, and looks at no checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived, self.gate = threading.Event(), threading.Event()

    def fetch(self, context: Any) -> Iterator[dict[str, object]]:
        self.arrived.set()
        assert self.gate.wait(PATIENCE)
        yield from super().fetch(context)


class Host:
    """An engine on a store in memory."""

    def __init__(self, store: Any = None, **options: Any) -> None:
        self.clock = ManualClock(START)
        self.store = store or MemoryStateStore(clock=self.clock)
        self.engine = SyncEngine(self.store, clock=self.clock, **options)

    def add(self, name: str, connector: Any, **changes: Any) -> None:
        """Registers a source; it is due at once unless it has a frequency."""
        fields: dict[str, Any] = {
            "mapper": Columns(),
            "feed": Feed.partial(),
            "sink": MemorySink({"A": 9}),
            "guards": (),
        }
        self.engine.add_source(Source(name=name, connector=connector, **{**fields, **changes}))
        if "frequency" not in changes:
            self.engine.request_sync(name)

    def worker(self, until: float = 0.0, **options: Any) -> Worker:
        """A worker whose pauses take no time."""
        waiting = OnTheClock(self.clock, until)
        waiting.worker = Worker(self.engine, waiting=waiting, **options)
        return waiting.worker

    def results(self, name: str) -> list[str]:
        """Of a source's runs, oldest first."""
        return [run.result.value for run in reversed(self.engine.history(name))]


@pytest.fixture
def host() -> Host:
    return Host()


@contextmanager
def working(worker: Worker) -> Iterator[None]:
    """The worker in a thread, as a host may have it; it is asked to stop in the end."""
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(worker.run()))
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(PATIENCE)
    assert codes == [0]


def turning(worker: Worker, until: Callable[[], object]) -> None:
    """Lets a worker that is busy turn until that is so."""
    assert isinstance(worker.waiting, OnTheClock)
    while not until():
        assert worker.waiting.turns.acquire(timeout=PATIENCE)


def waited(event: threading.Event) -> bool:
    return event.wait(PATIENCE)


def test_each_tick_is_run_once_over_an_hour(host: Host) -> None:
    feeding = Feeding()
    host.add("erp", feeding, frequency="5min")
    assert host.worker(until=3600).run() == 0
    started = [run.started_at for run in reversed(host.engine.history("erp"))]
    assert len(started) == feeding.fetches == 12
    assert all(
        timedelta(minutes=4, seconds=45) < b - a < timedelta(minutes=5, seconds=15) for a, b in pairwise(started)
    )


def test_at_most_so_many_syncs_at_once(host: Host) -> None:
    gated = Gated()
    for number in range(8):
        host.add(f"s{number}", gated)
    seen: list[int] = []

    class Watching(OnTheClock):
        def wait(self, seconds: float) -> None:
            assert waited(gated.arrived)
            seen.append(len(self.worker.busy))
            if len(seen) == 3:
                gated.gate.set()
            super().wait(seconds)

    worker = host.worker(threads=4)
    worker.waiting = Watching(host.clock)
    worker.waiting.worker = worker
    assert worker.run_once() == 0
    assert (gated.fetches, max(seen)) == (8, 4)


def test_at_most_so_many_syncs_at_one_host_and_the_others_are_not_kept_waiting(host: Host) -> None:
    shared, free = Feeding("erp.example.com", meet=2), Gated()
    for number in range(6):
        host.add(f"a{number}", shared)
    host.add("z", free)
    worker = host.worker(threads=4, per_host=2)
    with working(worker):
        assert waited(free.arrived)
        turning(worker, lambda: all(host.results(f"a{number}") == ["completed"] for number in range(6)))
        free.gate.set()
        turning(worker, lambda: host.results("z") == ["completed"])
    assert shared.fetches == 6
    assert shared.most == 2
    assert host.results("z") == ["completed"]


def test_a_host_that_is_busy_does_not_hide_the_sources_behind_its_own(host: Host) -> None:
    stuck, quick = Gated(), Feeding()
    stuck.host = "erp.example.com"
    for number in range(70):
        host.add(f"a{number:02}", stuck)
    host.clock.advance(1)
    host.add("z", quick)
    worker = host.worker(threads=2, per_host=1)
    with working(worker):
        assert waited(stuck.arrived)
        turning(worker, lambda: host.results("z") == ["completed"])
        assert stuck.fetches == 0
        stuck.gate.set()
    assert quick.fetches == 1


def test_a_sync_that_hangs_leaves_the_others_alone(host: Host) -> None:
    stuck, quick = Gated(), Feeding()
    host.add("a", stuck)
    worker = host.worker(threads=2)
    with working(worker):
        assert waited(stuck.arrived)
        for number in range(5):
            host.add(f"s{number}", quick)
        turning(worker, lambda: quick.fetches == 5)
        stuck.gate.set()


def test_what_hangs_beyond_the_grace_is_left_to_its_lease(host: Host) -> None:
    stuck = Gated()
    host.add("a", stuck)
    worker = host.worker(grace=timedelta(seconds=30), interval=timedelta(seconds=10), jitter=0)

    class Passing(OnTheClock):
        def wait(self, seconds: float) -> None:
            assert waited(stuck.arrived)
            self.clock.advance(seconds)
            self.worker.stop()

    worker.waiting = Passing(host.clock)
    worker.waiting.worker = worker
    before = host.clock.monotonic()
    assert worker.run() == 3
    assert worker.busy == ("a",)
    assert host.clock.monotonic() - before == 40, "one pause, and the grace"
    assert host.engine.status("a").status is SyncStatus.SYNCING
    stuck.gate.set()


def test_a_sync_is_given_back_at_its_next_checkpoint_and_no_attempt_is_spent(host: Host) -> None:
    arrived = threading.Event()

    class Attentive:
        def fetch(self, context: Any) -> Iterator[dict[str, object]]:
            arrived.set()
            while True:
                context.checkpoint()
                yield {"sku": "A", "quantity": 1}

    host.add("a", Attentive())
    with working(host.worker()):
        assert waited(arrived)
    state = host.engine.status("a")
    assert (state.status, state.reason, state.failures) == (SyncStatus.PENDING, Reason.REQUESTED, 0)
    assert host.results("a") == ["cancelled"]
    assert host.engine.due() == ["a"]


class Broken:
    """A sink that a person must mend."""

    def __getattr__(self, name: str) -> Any:
        raise SinkError("the stock table is gone")


class Postbox:
    """A notifier that can be out of order, or hang."""

    def __init__(self) -> None:
        self.received: list[str] = []
        self.broken = False
        self.called, self.gate = threading.Event(), threading.Event()
        self.gate.set()

    def notify(self, notification: Any) -> None:
        self.called.set()
        assert self.gate.wait(PATIENCE)
        if self.broken:
            raise ConnectionError
        self.received.append(notification.kind.value)


class Refusing:
    def fetch(self, context: Any) -> Iterator[dict[str, object]]:
        raise ConfigurationError("no such thing")
        yield {}


def test_notifications_are_handed_over_also_when_nothing_is_due() -> None:
    postbox = Postbox()
    host = Host(notifier=postbox)
    host.add("a", Refusing())
    postbox.broken = True
    assert host.worker().run_once() == 0
    assert postbox.received == []
    postbox.broken = False
    assert host.worker(until=120).run() == 0
    assert postbox.received == ["failed"]
    assert host.results("a") == ["failed"]


def test_a_notifier_that_hangs_leaves_the_syncs_alone() -> None:
    postbox = Postbox()
    host = Host(notifier=postbox)
    postbox.gate.clear()
    host.add("a", Refusing())
    quick = Feeding()
    worker = host.worker()
    with working(worker):
        assert waited(postbox.called)
        host.add("b", quick)
        turning(worker, lambda: host.results("b") == ["completed"])
        postbox.gate.set()
    assert postbox.received == ["failed"]


def test_it_purges_at_the_start_and_then_once_a_day(host: Host) -> None:
    times: list[float] = []
    purge = host.engine.purge
    host.engine.purge = lambda retention: (times.append(host.clock.monotonic()), purge(retention))[1]  # type: ignore[method-assign]
    host.worker(until=49 * 3600, interval=timedelta(minutes=30), jitter=0, retention=Retention()).run()
    assert times == [0, 86400, 172800]
    times.clear()
    host.worker(until=60 * 3600, interval=timedelta(minutes=30)).run()
    assert times == []


def test_sync_now_in_this_process_ends_the_pause(host: Host) -> None:
    feeding = Gated()
    host.add("a", feeding, frequency="manual")
    with working(Worker(host.engine, interval=timedelta(hours=1))):
        host.engine.request_sync("a")
        assert waited(feeding.arrived)
        feeding.gate.set()


def test_a_delivery_kept_in_this_process_ends_the_pause() -> None:
    shop = PushedShop()
    turned, applied = threading.Event(), threading.Event()

    class Telling(Waiting):
        def wait(self, seconds: float) -> None:
            turned.set()
            super().wait(seconds)
            if shop.engine.history("wms"):
                applied.set()

    with working(Worker(shop.engine, interval=timedelta(hours=1), waiting=Telling())):
        assert waited(turned)
        assert shop.deliver({"A1": 4}).status == 200
        assert waited(applied)


def test_sources_that_this_process_cannot_build_do_not_hide_the_others(
    host: Host, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inventory_sources.worker._backlog._MOST", 32)
    elsewhere = SyncEngine(host.store, clock=host.clock)
    for number in range(40):
        fields = {"mapper": Columns(), "feed": Feed.partial(), "sink": MemorySink({})}
        elsewhere.add_source(Source(name=f"a{number:02}", connector=Feeding(), **fields))
        elsewhere.request_sync(f"a{number:02}")
    host.clock.advance(1)
    quick = Feeding()
    host.add("z", quick)
    assert host.worker(threads=1, until=30).run() == 0
    assert quick.fetches == 1
    passed = [record for record in caplog.records if "source_passed_over" in record.getMessage()]
    assert len(passed) == 40, "each is told once a minute, not at each look"
    assert host.worker(threads=1).run_once() == 0


def test_a_part_that_raises_anything_ends_neither_thread_nor_worker(host: Host) -> None:
    class Rude:
        def fetch(self, context: Any) -> Iterator[dict[str, object]]:
            raise SystemExit(7)
            yield {}

    quick = Feeding()
    host.add("a", Rude())
    host.add("b", quick)
    assert host.worker(threads=1, until=10).run() == 0
    assert quick.fetches == 1


class Outage:
    """A store that does not answer at first."""

    def __init__(self, store: Any, times: int) -> None:
        self.store, self.times = store, times
        self.seen: Callable[[], object] = lambda: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def due(self, limit: int) -> Any:
        self.seen()
        if self.times:
            self.times -= 1
            raise StoreUnavailable("the state store does not answer")
        return self.store.due(limit)


def test_it_outlasts_a_store_that_does_not_answer_and_is_not_ready_meanwhile() -> None:
    clock = ManualClock(START)
    store = Outage(MemoryStateStore(clock=clock), times=3)
    host = Host(store)
    quick = Feeding()
    host.add("a", quick)
    worker = host.worker(until=60)
    ready: list[tuple[bool, bool]] = []
    store.seen = lambda: ready.append((worker.health.alive, worker.health.ready))
    assert worker.run() == 0
    assert quick.fetches == 1
    assert ready[:4] == [(True, False)] * 4
    assert ready[-1] == (True, True)
    assert not worker.health.ready, "it has stopped"


def test_run_once_tells_of_a_store_that_does_not_answer() -> None:
    host = Host(Outage(MemoryStateStore(), times=9))
    assert host.worker().run_once() == 1


def test_run_once_takes_each_source_once_and_ends(host: Host) -> None:
    class Endless(Feeding):
        def fetch(self, context: Any) -> Iterator[dict[str, object]]:
            context.more_waits()
            yield from super().fetch(context)

    endless = Endless()
    host.add("a", endless)
    assert host.worker().run_once() == 0
    assert endless.fetches == 1
    assert host.engine.due() == ["a"]


def test_health_follows_the_loop(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "alive"
    worker = host.worker(interval=timedelta(seconds=10), health_file=file)
    assert worker.run_once() == 0
    assert file.exists()
    assert (worker.health.alive, worker.health.ready) == (True, True)
    host.clock.advance(30)
    assert worker.health.alive
    host.clock.advance(1)
    assert (worker.health.alive, worker.health.ready) == (False, False)


def test_a_health_file_that_cannot_be_touched_is_told_and_stops_nothing(
    host: Host, tmp_path: Path, caplog: Any
) -> None:
    quick = Feeding()
    host.add("a", quick)
    assert host.worker(health_file=tmp_path / "gone" / "alive").run_once() == 0
    assert quick.fetches == 1
    assert "health_file_not_touched" in caplog.text


def test_workers_that_share_a_store_do_not_all_try_the_same_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[bool] = []
    claim = Runs.claim

    def counted(runs: Runs, name: str, *, manual: bool) -> Any:
        claimed = claim(runs, name, manual=manual)
        tries.append(claimed is not None)
        return claimed

    monkeypatch.setattr(Runs, "claim", counted)
    path = str(tmp_path / "state.db")
    hosts = [Host(SqlStateStore(path)) for _ in range(5)]
    feeding = Feeding()
    hosts[0].engine._sources.registry.register("connector", "feeding", feeding)
    hosts[0].engine._sources.registry.register("sink", "memory", MemorySink({"A": 9}))
    for host in hosts:
        host.engine._sources.registry = hosts[0].engine._sources.registry
    for number in range(80):
        name = f"s{number:03}"
        spec = SourceSpec(
            name=name, connector=Part("feeding"), mapper=Part("columns"), feed=Feed.partial(), sink=Part("memory")
        )
        hosts[0].engine.add_source(spec)
        hosts[0].engine.request_sync(name)
    threads = [threading.Thread(target=Worker(host.engine, threads=2).run_once) for host in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert feeding.fetches == tries.count(True) == 80
    assert tries.count(False) < 160, "callers of run_due() that each try every source waste 320"


@pytest.mark.parametrize(
    "wrong",
    [{"threads": 0}, {"per_host": 0}, {"interval": timedelta(0)}, {"grace": timedelta(seconds=-1)}, {"jitter": 1}],
    ids=str,
)
def test_values_that_cannot_be_are_refused(host: Host, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Worker(host.engine, **wrong)


def test_a_failed_sync_is_retried_on_its_ladder() -> None:
    host = Host()
    attempts: list[float] = []

    class Failing:
        def fetch(self, context: Any) -> Iterator[dict[str, object]]:
            attempts.append(host.clock.monotonic())
            raise ConnectionError
            yield {}

    host.add("a", Failing())
    host.worker(until=5 * 3600, interval=timedelta(minutes=1), jitter=0).run()
    assert attempts == [0, 300, 1200, 4800], "at once, after 5 minutes, 15 minutes, 1 hour"
    assert host.results("a") == [RunResult.FAILED.value] * 4
