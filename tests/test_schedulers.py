from __future__ import annotations

from datetime import UTC, datetime

import structlog

from inventory_sources.schedulers import CallableScheduler, NoScheduler
from inventory_sources.testing import SchedulerContract

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def fail(source: str, moment: datetime) -> None:
    raise ConnectionError("redis://:hunter2@queue/0 is gone")


class TestCallableScheduler(SchedulerContract):
    def make(self):
        return CallableScheduler(lambda source, moment: None)

    def make_broken(self):
        return CallableScheduler(fail, structlog.testing.CapturingLogger())


class TestNoScheduler(SchedulerContract):
    def make(self):
        return NoScheduler()

    def make_broken(self):
        return NoScheduler()


def test_a_hint_reaches_the_function():
    hints = []
    CallableScheduler(lambda source, moment: hints.append((source, moment))).wake_at("erp", NOON)
    assert hints == [("erp", NOON)]


def test_a_lost_hint_is_logged_by_the_error_s_type_alone():
    log = structlog.testing.CapturingLogger()
    CallableScheduler(fail, log).wake_at("erp", NOON)
    (call,) = log.calls
    assert (call.method_name, call.args) == ("warning", ("wake_hint_lost",))
    assert call.kwargs == {"source": "erp", "moment": "2026-01-02T12:00:00+00:00", "error": "ConnectionError"}
