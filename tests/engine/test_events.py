"""What a host hears: events in its own logging, hints to its scheduler, and nothing where it does not listen."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator, MutableMapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from inventory_sources import SyncStatus
from inventory_sources.notifiers import LogNotifier
from inventory_sources.payload import Payload
from inventory_sources.run import RunResult
from inventory_sources.schedulers import CallableScheduler

from .conftest import PASSING, START, Shop

GOOD = "sku,quantity\nA,5\n"
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _structlog_as_found() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


@pytest.fixture
def heard() -> list[MutableMapping[str, Any]]:
    """The events of a host that has configured structlog."""
    capture = structlog.testing.LogCapture()
    structlog.configure(processors=[capture], cache_logger_on_first_use=False)
    return capture.entries


@pytest.fixture
def shop_unheard(tmp_path: Path) -> Iterator[Shop]:
    """A shop whose engine is made before anything is configured."""
    made = Shop(tmp_path)
    yield made
    made.engine.close()
    made.database.dispose()


class Hints:
    """A scheduler that keeps its hints."""

    def __init__(self) -> None:
        self.given: list[tuple[str, datetime]] = []

    def wake_at(self, source: str, moment: datetime) -> None:
        self.given.append((source, moment))


class Broken:
    """A scheduler or notifier of a host whose queue is gone."""

    def wake_at(self, source: str, moment: datetime) -> None:
        raise ConnectionError("redis://:hunter2@queue/0 is gone")

    def notify(self, notification: object) -> None:
        raise ConnectionError("redis://:hunter2@queue/0 is gone")


def named(events: list[MutableMapping[str, Any]], name: str) -> MutableMapping[str, Any]:
    (event,) = [event for event in events if event["event"] == name]
    return event


def test_a_sync_tells_its_start_and_end_bound_to_source_and_run(
    heard: list[MutableMapping[str, Any]], shop: Shop
) -> None:
    shop.stock(A=1)
    shop.add(GOOD)
    run = shop.engine.sync("erp")
    assert [event["event"] for event in heard] == ["sync_started", "sync_ended"]
    for event in heard:
        assert (event["source"], event["run"], event["trigger"]) == ("erp", run.id, "manual")
        assert event["log_level"] == "info"
    ended = named(heard, "sync_ended")
    assert (ended["result"], ended["rows"], ended["updated"]) == ("completed", 1, 1)


def test_a_failed_sync_tells_its_code_as_a_warning(heard: list[MutableMapping[str, Any]], shop: Shop) -> None:
    shop.add(PASSING)
    run = shop.engine.sync("erp")
    failed = named(heard, "sync_failed")
    assert (failed["source"], failed["run"], failed["code"]) == ("erp", run.id, "connect_failed")
    assert (failed["log_level"], failed["message"]) == ("warning", PASSING.message)
    assert named(heard, "sync_ended")["result"] == "failed"


def test_a_connector_s_own_events_are_bound_to_source_and_run(
    heard: list[MutableMapping[str, Any]], shop: Shop
) -> None:
    class Talking:
        def fetch(self, context: Any) -> Iterator[Payload]:
            context.logger.info("page_read", page=1)
            yield Payload("feed.csv", GOOD.encode())

    shop.stock(A=1)
    shop.engine.add_source(shop.source(Talking()))
    run = shop.engine.sync("erp")
    page = named(heard, "page_read")
    assert (page["source"], page["run"], page["page"]) == ("erp", run.id, 1)


def test_a_source_that_is_passed_over_is_told_with_its_reason(
    heard: list[MutableMapping[str, Any]], shop: Shop
) -> None:
    shop.add(GOOD)
    shop.engine.request_sync("erp")
    other = shop.new_engine()
    assert other.run_due() == []
    passed = named(heard, "source_passed_over")
    assert (passed["source"], passed["code"], passed["log_level"]) == ("erp", "not_portable", "warning")


def test_without_structlog_events_go_to_the_standard_logger(
    shop_unheard: Shop, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    shop_unheard.stock(A=1)
    shop_unheard.add(GOOD)
    run = shop_unheard.engine.sync("erp")
    told = [record for record in caplog.records if record.name == "inventory_sources"]
    assert [record.getMessage().split()[0] for record in told] == ["event='sync_started'", "event='sync_ended'"]
    assert all(f"run='{run.id}'" in record.getMessage() and "source='erp'" in record.getMessage() for record in told)
    assert capfd.readouterr() == ("", "")


def test_a_notification_in_the_log_goes_to_the_standard_logger_too(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], shop_unheard: Shop
) -> None:
    engine = shop_unheard.engine
    engine._notifier = LogNotifier()
    engine._wakes.scheduler = CallableScheduler(Broken().wake_at)
    shop_unheard.add(PASSING, frequency="5min")
    fail_until_error(shop_unheard)
    told = [record.getMessage() for record in caplog.records if record.name == "inventory_sources"]
    assert any("inventory_notification" in message for message in told)
    assert any("wake_hint_lost" in message for message in told)
    assert "hunter2" not in caplog.text
    assert capfd.readouterr() == ("", "")


SILENT = """
import logging, sys, warnings
from pathlib import Path
from inventory_sources import MemorySink, MemoryStateStore, SyncEngine, Columns, CsvDecoder, Feed, FileConnector, Source
from inventory_sources.notifiers import LogNotifier
from inventory_sources.protocols.sink import CurrentLevel
from inventory_sources.schedulers import CallableScheduler

def crash(*given):
    raise RuntimeError("gone")

folder = Path(sys.argv[1])
(folder / "feed.csv").write_text("sku,quantity\\nA,5\\n")
engine = SyncEngine(MemoryStateStore(), notifier=LogNotifier(), scheduler=CallableScheduler(crash))
class Crashing(Columns):
    map = crash
for name, mapper in (("good", Columns()), ("bad", Columns("no such column")), ("crashing", Crashing())):
    engine.add_source(Source(
        name=name, connector=FileConnector(str(folder / "feed.csv"), as_of="fetch"), decoder=CsvDecoder(),
        mapper=mapper, feed=Feed.snapshot(), guards=(), sink=MemorySink([CurrentLevel("A", 1)]), frequency="5min"))
    engine.sync(name, progress=crash)
    engine.request_sync(name)
engine.run_due()
results = [[run.result.value for run in engine.history(name)] for name in ("good", "bad", "crashing")]
assert results == [["completed"] * 2, ["failed"] * 2, ["failed"] * 2], results
loggers = [logging.root, *(found for found in logging.root.manager.loggerDict.values() if hasattr(found, "handlers"))]
assert not [logger for logger in loggers if logger.handlers and logger.name != "concurrent.futures"], loggers
assert logging.root.level == logging.WARNING and not logging.getLogger("inventory_sources").level
"""


def test_a_host_that_configured_no_logging_sees_nothing_and_keeps_its_loggers(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SILENT, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def fail_until_error(shop: Shop) -> list[timedelta]:
    """Climbs the whole ladder; how long after the start each run was due."""
    waits = []
    shop.engine.sync("erp")
    while shop.engine.status("erp").status is SyncStatus.PENDING:
        due = shop.engine.status("erp").next_run_at
        assert due is not None
        waits.append(due - START)
        shop.clock.advance(due - shop.clock.now())
        assert len(shop.engine.run_due()) == 1
    return waits


def test_the_scheduler_is_told_when_a_source_will_be_due(shop: Shop) -> None:
    hints = Hints()
    shop.engine = shop.new_engine(scheduler=hints)
    shop.stock(A=1)
    connector = shop.add(GOOD, frequency="5min")
    tick = shop.engine.status("erp").next_run_at
    assert hints.given == [("erp", tick)]

    shop.engine.request_sync("erp")
    assert hints.given[1:] == [("erp", START)]
    shop.engine.run_due()
    assert hints.given[2:] == [("erp", shop.engine.status("erp").next_run_at)]

    connector.inputs = [PASSING]
    del hints.given[:]
    shop.engine.sync("erp")
    assert hints.given == [("erp", START + timedelta(minutes=5))], "the first retry"

    shop.engine.pause("erp")
    assert len(hints.given) == 1, "a paused source is not due"
    shop.engine.resume("erp")
    assert len(hints.given) == 2


def test_every_retry_is_hinted(shop: Shop) -> None:
    hints = Hints()
    shop.engine = shop.new_engine(scheduler=hints)
    shop.add(PASSING)
    waits = fail_until_error(shop)
    assert waits == [timedelta(minutes=5), timedelta(minutes=20), timedelta(minutes=80)]
    assert [moment - START for _, moment in hints.given] == waits


def test_a_broken_scheduler_and_notifier_change_nothing_but_the_log(
    heard: list[MutableMapping[str, Any]], shop: Shop
) -> None:
    shop.engine = shop.new_engine(scheduler=Broken())
    shop.engine._notifier = Broken()
    shop.stock(A=1)
    connector = shop.add(PASSING, frequency="5min")
    fail_until_error(shop)
    assert shop.engine.status("erp").status is SyncStatus.ERROR
    connector.inputs = [GOOD]
    shop.engine.request_sync("erp")
    (run,) = shop.engine.run_due()
    assert (run.result, shop.levels) == (RunResult.COMPLETED, {"A": 5})
    assert shop.engine.status("erp").status is SyncStatus.COMPLETED
    lost = [event for event in heard if event["event"] in ("scheduler_failed", "notification_failed")]
    assert {event["event"] for event in lost} == {"scheduler_failed", "notification_failed"}
    assert {event["error"] for event in lost} == {"ConnectionError"}
    assert "hunter2" not in str(heard)

    shop.engine._notifier = shop.mailbox
    shop.clock.advance(timedelta(hours=1))
    shop.engine.run_due()
    assert shop.mailbox.kinds == ["failed", "resolved"], "what could not be handed over was kept"
