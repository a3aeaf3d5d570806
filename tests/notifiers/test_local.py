"""Notifications that stay in the process: a function and a log."""

from __future__ import annotations

import pytest
import structlog
from attrs import evolve

from inventory_sources.errors import NotifyError
from inventory_sources.notifiers import CallableNotifier, LogNotifier
from inventory_sources.protocols.notifier import NotificationKind
from inventory_sources.testing import NotifierContract, sample_notification


def fail(*given: object, **named: object) -> None:
    raise OSError("postgresql://app:hunter2@db/shop is gone")


class TestCallableNotifier(NotifierContract):
    def setup_method(self):
        self.given = []

    def make(self):
        return CallableNotifier(self.given.append)

    def make_broken(self):
        return CallableNotifier(fail)

    def delivered(self):
        return [notification.id for notification in self.given]


class TestLogNotifier(NotifierContract):
    def setup_method(self):
        self.log = structlog.testing.CapturingLogger()

    def make(self):
        return LogNotifier(self.log)

    def make_broken(self):
        return LogNotifier(type("Broken", (), {"warning": fail, "info": fail})())

    def delivered(self):
        return [call.kwargs["id"] for call in self.log.calls]


def test_what_a_function_raises_is_told_by_its_type_alone():
    with pytest.raises(NotifyError, match="OSError") as raised:
        CallableNotifier(fail).notify(sample_notification())
    assert "hunter2" not in f"{raised.value}{raised.value!r}{raised.value.__cause__!r}"


def test_a_function_s_own_notify_error_comes_out_as_it_is():
    own = NotifyError("the pager is full")

    def refuse(notification: object) -> None:
        raise own

    with pytest.raises(NotifyError) as raised:
        CallableNotifier(refuse).notify(sample_notification())
    assert raised.value is own


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        (NotificationKind.FAILED, "warning"),
        (NotificationKind.HELD, "warning"),
        (NotificationKind.RESOLVED, "info"),
        (NotificationKind.SECURITY, "error"),
    ],
)
def test_a_log_event_has_the_level_of_its_kind(kind, level):
    log = structlog.testing.CapturingLogger()
    LogNotifier(log).notify(evolve(sample_notification(), kind=kind))
    (call,) = log.calls
    assert (call.method_name, call.args) == (level, ("inventory_notification",))
    assert call.kwargs["source"] == "erp"
    assert call.kwargs["failure"]["code"] == "access_refused"


def test_without_a_logger_the_host_s_own_is_used_and_left_as_it_is():
    before = structlog.get_config()
    with structlog.testing.capture_logs() as events:
        LogNotifier().notify(sample_notification())
    assert [event["id"] for event in events] == ["n-1"]
    assert structlog.get_config() == before
