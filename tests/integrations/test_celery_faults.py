"""Celery's workers killed, stopped, forked late and handed a message twice: nothing is lost, and nothing runs twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from inventory_sources.errors import ConfigurationError
from inventory_sources.status import Reason
from tests.integrations.celery_host import Host
from tests.integrations.celery_running import PATIENCE, Gate, Side, beat, hosting, worker

BROKERS = ["redis", "rabbitmq"]
LATE = {"task_acks_late": True, "task_reject_on_worker_lost": True}
AFTER_THE_LEASE = "61"


@pytest.fixture
def gate() -> Iterator[Gate]:
    opened = Gate()
    yield opened
    opened.close()


def ahead(side: Side) -> None:
    (Path(side.host.folder) / "ahead").write_text(AFTER_THE_LEASE)


@pytest.mark.parametrize("kind", BROKERS)
def test_a_child_that_is_killed_in_a_sync_is_rescued_by_a_poke_after_the_lease(kind, tmp_path, gate, broker_url):
    with hosting(broker_url(kind), tmp_path, options=LATE) as side:
        side.add("erp", port=gate.port)
        with worker(side.host, "prefork") as process:
            told = side.tasks.sync_now.delay("erp")
            child, connection = gate.arrival()
            os.kill(child, signal.SIGKILL)
            connection.close()
            # Rejected and received again, while the lease of the dead child still holds.
            assert told.get(timeout=PATIENCE)["result"] == "running"
            assert side.tasks.poke.apply_async(ignore_result=False).get(timeout=PATIENCE) == 0
            assert gate.nobody_waits()
            ahead(side)
            side.tasks.poke.delay()
            gate.arrival()[1].close()
            process.says("sync_ended", "completed")
        assert side.results("erp") == ["lost", "completed"]
        assert side.host.level("erp") == 7


@pytest.mark.parametrize("kind", BROKERS)
def test_a_worker_that_is_killed_in_a_sync_is_rescued_by_another_and_the_beat(kind, tmp_path, gate, broker_url):
    with hosting(broker_url(kind), tmp_path) as side:
        side.add("erp", port=gate.port)
        with worker(side.host, "solo") as process:
            side.tasks.sync_now.delay("erp")
            _, connection = gate.arrival()
            process.kill()
            connection.close()
        ahead(side)
        with worker(side.host, "prefork") as process, beat(side.host):
            _, connection = gate.arrival()
            connection.close()
            process.says("sync_ended", "completed")
        assert side.results("erp") == ["lost", "completed"]
        assert side.host.level("erp") == 7


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_message_that_redis_hands_out_again_during_the_sync_runs_nothing(pool, tmp_path, gate, broker_url):
    # Redis is looked at every second, not every 100, for messages that were taken 2 seconds ago and not acknowledged.
    redis = {"visibility_timeout": 2, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}
    with hosting(broker_url("redis"), tmp_path, options={**LATE, "broker_transport_options": redis}) as side:
        side.add("erp", port=gate.port)
        with worker(side.host, pool) as process:
            told = side.tasks.sync_now.delay("erp")
            _, connection = gate.arrival()
            process.says("received", told.id)
            process.says("received", told.id)
            process.says("succeeded", "'result': 'running'")
            assert gate.nobody_waits()
            connection.close()
            process.says("succeeded", "'products_updated': 1")
        assert side.results("erp") == ["completed"]


@pytest.mark.parametrize("shares_engine", [False, True], ids=["factory", "engine"])
def test_a_child_forked_from_a_process_that_had_synced_says_so_at_once(shares_engine, tmp_path, broker_url):
    with hosting(broker_url("redis"), tmp_path) as side:
        side.add("first", "erp")
        host = Host(str(tmp_path), side.host.broker, side.host.queue, shares_engine=shares_engine, syncs_first="first")
        with worker(host, "prefork") as process:
            told = side.tasks.sync_now.delay("erp")
            with pytest.raises(ConfigurationError, match="forked from one that had synced"):
                told.get(timeout=PATIENCE)
            side.tasks.poke.delay()
            process.says("ConfigurationError", "forked from one that had synced")
        assert side.engine.status("erp").reason is Reason.REQUESTED, "no attempt was spent"
        with worker(side.host, "prefork"):
            assert side.tasks.poke.apply_async(ignore_result=False).get(timeout=PATIENCE) == 1
        assert side.results("erp") == ["completed"]


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_a_process_that_had_synced_goes_on_where_nothing_forks(pool, tmp_path, broker_url):
    with hosting(broker_url("redis"), tmp_path) as side:
        side.add("first", "erp")
        host = Host(str(tmp_path), side.host.broker, side.host.queue, shares_engine=True, syncs_first="first")
        with worker(host, pool):
            assert side.tasks.sync_now.delay("erp").get(timeout=PATIENCE)["products_updated"] == 1


def test_an_engine_made_before_the_fork_serves_in_the_children(tmp_path, broker_url):
    with hosting(broker_url("redis"), tmp_path) as side:
        side.add("a", "b")
        host = Host(str(tmp_path), side.host.broker, side.host.queue, shares_engine=True)
        with worker(host, "prefork"):
            told = [side.tasks.sync_now.delay(name) for name in ("a", "b")]
            assert [result.get(timeout=PATIENCE)["products_updated"] for result in told] == [1, 1]


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_a_worker_that_is_asked_to_end_gives_the_source_back_and_spends_no_attempt(pool, tmp_path, gate, broker_url):
    with hosting(broker_url("redis"), tmp_path) as side:
        side.add("erp", port=gate.port)
        with worker(side.host, pool) as process:
            side.tasks.sync_now.delay("erp")
            _, connection = gate.arrival()
            process.terminate()
            process.says("Warm shutdown")
            connection.close()
            process.says("sync_ended", "cancelled")
            process.wait()
        assert side.results("erp") == ["cancelled"]
        state = side.engine.status("erp")
        assert (state.failures, state.is_due(side.engine._store.now())) == (0, True)
        with worker(side.host, pool) as process:
            side.tasks.poke.delay()
            gate.arrival()[1].close()
            process.says("sync_ended", "completed")
        assert side.host.level("erp") == 7
