"""Queues without an integration of their own bring the call of `run_due()` just as well."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import redis
import rq

from tests.integrations.celery_host import Host

ROOT = Path(__file__).parents[2]


def tick(folder: str) -> list[str]:
    engine = Host(folder, "", "").engine()
    try:
        return [run.source for run in engine.run_due()]
    finally:
        engine.close()


def test_a_job_of_rq_runs_what_is_due_in_the_child_of_a_worker_that_forks(tmp_path, broker_url):
    host = Host(str(tmp_path), "", "")
    engine = host.engine()
    engine.add_source(host.spec("erp"))
    engine.request_sync("erp")
    url = broker_url("redis")
    with redis.Redis.from_url(url) as connection:
        queue = rq.Queue(f"inventory-{uuid4().hex}", connection=connection)
        jobs = [queue.enqueue(tick, str(tmp_path), result_ttl=60) for _ in range(2)]
        command = [sys.executable, "-m", "rq.cli", "worker", "--burst", "--url", url, queue.name]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert [job.return_value(refresh=True) for job in jobs] == [["erp"], []]
        queue.delete()
    assert [run.result.value for run in engine.history("erp")] == ["completed"]
    engine.close()
    assert host.level("erp") == 7
