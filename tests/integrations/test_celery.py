"""Celery with Redis and RabbitMQ: pokes, "sync now", hints and the beat, in real workers of each pool."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from inventory_sources import SyncEngine
from inventory_sources.errors import ConfigurationError, SourceNotFound
from inventory_sources.integrations.celery import POKE, SYNC_NOW, CeleryScheduler, InventoryTasks
from inventory_sources.status import Reason
from inventory_sources.testing import ManualClock
from inventory_sources.testing.schedulers import SchedulerContract
from tests.integrations.celery_running import PATIENCE, Process, Side, beat, hosting, worker

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NOWHERE = "redis://127.0.0.1:1/0"
BROKERS = ["redis", "rabbitmq"]


@pytest.fixture(params=BROKERS)
def idle(request, tmp_path, broker_url) -> Iterator[Side]:
    """A host without a worker: what is sent stays in the queue."""
    with hosting(broker_url(request.param), tmp_path) as side:
        yield side


@pytest.fixture(
    scope="module",
    params=[("redis", "prefork"), ("redis", "solo"), ("rabbitmq", "prefork"), ("rabbitmq", "threads")],
    ids="-".join,
)
def working(request, tmp_path_factory, broker_url) -> Iterator[tuple[Side, Process]]:
    """A host with one worker, without a beat."""
    kind, pool = request.param
    with hosting(broker_url(kind), tmp_path_factory.mktemp(kind), options={"task_acks_late": pool == "solo"}) as side:
        side.engine.sources()
        with worker(side.host, pool) as process:
            yield side, process


def waiting(side: Side) -> list[tuple[str, datetime | None]]:
    """Takes the messages out of the queue: their tasks, and when they are to be run."""
    with side.app.connection_for_read() as connection:
        channel = connection.default_channel
        side.app.amqp.queues[side.host.queue](channel).declare()
        found = []
        while (message := channel.basic_get(side.host.queue, no_ack=True)) is not None:
            eta = message.headers["eta"]
            found.append((message.headers["task"], datetime.fromisoformat(eta) if eta else None))
    return found


def test_sync_now_tells_what_was_updated(working):
    side, _ = working
    side.add("now")
    told = side.tasks.sync_now.delay("now", actor="anna").get(timeout=PATIENCE)
    (run,) = side.engine.history("now")
    assert told == {
        "source": "now",
        "run": run.id,
        "result": "completed",
        "rows": 1,
        "products_updated": 1,
        "failure": None,
    }
    assert side.host.level("now") == 7
    assert [entry.actor for entry in side.engine.audit("now")][:1] == ["anna"]


def test_a_request_pokes_a_worker_at_once(working):
    side, process = working
    side.add("asked")
    side.tasks._engines.here().request_sync("asked")
    process.says("sync_ended", "source='asked'", "completed")
    assert side.results("asked") == ["completed"]


def ended(side, name) -> str:
    """How a source's run ended; it may be going on still in another process, so this asks again until it is not."""
    while True:
        told = side.tasks.sync_now.apply_async((name,), {"requested": True}).get(timeout=PATIENCE)
        if told["result"] != "running":
            return told["result"]


def test_pokes_that_are_doubled_and_out_of_order_run_each_source_once(working):
    side, _ = working
    names = [f"doubled{number}" for number in range(4)]
    side.add(*names)
    for name in names:
        side.engine.request_sync(name)
    pokes = [
        side.tasks.poke.apply_async(countdown=wait, ignore_result=False, task_id=twice)
        for wait in (0.5, None, 0.2, None)
        for twice in ("p-1", None, None)
    ]
    for poke in pokes:
        poke.get(timeout=PATIENCE)
    assert [ended(side, name) for name in names] == ["completed"] * 4
    assert {name: side.results(name) for name in names} == {name: ["completed"] for name in names}


def test_a_doubled_sync_now_runs_once_and_both_tell_of_that_run(working):
    side, _ = working
    side.add("again")
    first = side.tasks.sync_now.delay("again").get(timeout=PATIENCE)
    second = side.app.send_task(SYNC_NOW, ("again",), {"requested": True}).get(timeout=PATIENCE)
    assert second == first
    assert side.results("again") == ["completed"]


def test_sync_now_sent_by_its_name_makes_the_request_itself(working):
    side, _ = working
    side.add("named")
    assert side.app.send_task(SYNC_NOW, ("named",)).get(timeout=PATIENCE)["products_updated"] == 1
    assert side.tasks.sync_now.delay("named").get(timeout=PATIENCE)["products_updated"] == 0
    assert side.results("named") == ["completed"] * 2


def test_sync_now_of_an_unknown_source_is_refused_where_it_is_asked_for(idle):
    with pytest.raises(SourceNotFound):
        idle.tasks.sync_now.delay("nobody")
    assert waiting(idle) == []


def test_a_request_stands_before_its_message_and_sends_no_other(idle):
    idle.add("durable")
    idle.tasks.sync_now.delay("durable")
    assert idle.engine.status("durable").reason is Reason.REQUESTED
    assert waiting(idle) == [(SYNC_NOW, None)]


def test_a_broker_that_is_gone_is_told_and_the_request_stands(tmp_path, broker_url):
    with hosting(broker_url("redis"), tmp_path) as side:
        side.add("durable")
        away = Celery("away", broker=NOWHERE, set_as_current=False)
        tasks = InventoryTasks(away, side.host.engine(CeleryScheduler(away)))
        with pytest.raises(OperationalError):
            tasks.sync_now.delay("durable")
        assert side.engine.status("durable").reason is Reason.REQUESTED
        tasks._engines.here().close()
        assert [run.result.value for run in side.engine.run_due()] == ["completed"]


@pytest.mark.parametrize(
    ("seconds", "countdown"),
    [(-3600, None), (0, None), (10, 11), (299.5, 300), (300, 300), (301, "none"), (1e7, "none")],
)
def test_a_hint_waits_in_the_broker_for_5_minutes_at_most(idle, seconds, countdown):
    scheduler = CeleryScheduler(idle.app, clock=ManualClock(NOON))
    before = datetime.now(UTC)
    scheduler.wake_at("erp", NOON + timedelta(seconds=seconds))
    after = datetime.now(UTC)
    if countdown == "none":
        assert waiting(idle) == []
        return
    ((task, eta),) = waiting(idle)
    assert task == POKE
    if countdown is None:
        assert eta is None
    else:
        wait = timedelta(seconds=countdown)
        assert before + wait <= eta <= after + wait


class TestCeleryScheduler(SchedulerContract):
    @pytest.fixture(autouse=True)
    def _host(self, tmp_path, broker_url):
        with hosting(broker_url("redis"), tmp_path) as self.side:
            yield

    def make(self):
        return CeleryScheduler(self.side.app)

    def make_broken(self):
        return CeleryScheduler(Celery("away", broker=NOWHERE, set_as_current=False))


def test_one_app_takes_the_tasks_of_one_engine(idle):
    with pytest.raises(ConfigurationError, match="already"):
        InventoryTasks(idle.app, idle.engine)


def test_a_poke_must_run_something(idle):
    with pytest.raises(ConfigurationError):
        InventoryTasks(Celery("other", set_as_current=False), idle.engine, limit=0)


def test_the_tasks_enter_no_other_app(idle):
    other = Celery("other", set_as_current=False)
    assert idle.app.tasks[POKE].app is idle.app
    assert not {POKE, SYNC_NOW} & set(other.tasks)


def test_an_app_that_works_at_once_syncs_in_the_caller(tmp_path, broker_url):
    with hosting(broker_url("redis"), tmp_path, options={"task_always_eager": True}) as side:
        side.add("eager")
        assert side.tasks.sync_now.delay("eager").get()["products_updated"] == 1


def test_only_the_named_source_is_run(idle):
    idle.add("one", "other")
    for name in ("one", "other"):
        idle.engine.request_sync(name)
    assert [run.source for run in idle.engine.run_due(source="other")] == ["other"]
    assert idle.engine.run_due(source="other") == []
    assert idle.results("one") == []


@pytest.mark.parametrize("kind", BROKERS)
def test_two_beats_cover_a_message_that_was_lost(kind, tmp_path, broker_url):
    with hosting(broker_url(kind), tmp_path) as side:
        names = [f"lost{number}" for number in range(3)]
        side.add(*names)
        for name in names:
            side.tasks.sync_now.delay(name)
        assert [task for task, _ in waiting(side)] == [SYNC_NOW] * 3, "taken out: no worker will get them"
        with worker(side.host, "threads") as process, beat(side.host) as first, beat(side.host) as second:
            for _ in names:
                process.says("sync_ended", "completed")
            first.says("Sending due task")
            second.says("Sending due task")
        assert {name: side.results(name) for name in names} == {name: ["completed"] for name in names}
        assert [side.host.level(name) for name in names] == [7] * 3


def test_an_engine_is_made_once_in_a_process_and_closed_with_the_tasks(tmp_path):
    made = []

    def make() -> SyncEngine:
        made.append(SyncEngine(tmp_path / "state.db"))
        return made[-1]

    tasks = InventoryTasks(Celery("shop", set_as_current=False), make)
    assert (tasks.poke(), tasks.poke(), len(made)) == (0, 0, 1)
    tasks.close()
    tasks.close()
    assert (tasks.poke(), len(made)) == (0, 2)
    tasks.close()
