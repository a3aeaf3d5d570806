"""What an observer is told of runs, stages and deliveries, and that nothing it does can break a run."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from inventory_sources import MemorySink, SqlStateStore, SqlStockSink, SyncEngine
from inventory_sources.errors import LeaseLost, StoreError
from inventory_sources.guards import MassZero
from inventory_sources.protocols.observer import Observed, Observer, Stage
from inventory_sources.run import RunResult, SyncRun
from inventory_sources.testing import ObserverContract
from tests.engine.conftest import PASSING, Scripted, Shop

GOOD = "sku,quantity\nA,5\nB,0\nX,1\n"


class Diary:
    """An observer that writes down what it is told, with how deep it was in what."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, str, Observed]] = []
        self.depth = threading.local()

    @contextmanager
    def _during(self, name: str) -> Iterator[Any]:
        depth = getattr(self.depth, "value", 0)
        self.depth.value = depth + 1
        told: list[Observed] = []
        try:
            yield told.append
        finally:
            self.depth.value = depth
            (observed,) = told
            self.entries.append((depth, name, observed))

    def run(self, started: SyncRun) -> Any:
        assert started.result is RunResult.RUNNING
        return self._during(f"run {started.source}")

    def stage(self, run: SyncRun, stage: Stage) -> Any:
        return self._during(stage.value)

    def delivery(self, source: str) -> Any:
        return self._during(f"delivery {source}")

    @property
    def ends(self) -> list[tuple[int, str, str, str | None]]:
        return [(depth, name, told.result, told.error) for depth, name, told in self.entries]


class TestDiary(ObserverContract):
    @pytest.fixture(autouse=True)
    def _diary(self) -> None:
        self.diary = Diary()

    def make(self) -> Observer:
        return self.diary

    def seen(self) -> str:
        return str([(depth, name, told.result, told.error) for depth, name, told in self.diary.entries])


@pytest.fixture
def diary(shop: Shop) -> Diary:
    made = Diary()
    shop.engine.observe(made)
    return made


def test_a_run_is_told_with_its_stages_in_order_and_nested(shop: Shop, diary: Diary) -> None:
    shop.stock(A=1, B=2)
    shop.add(GOOD)
    run = shop.engine.sync("erp")
    assert [(depth, name, told.counts) for depth, name, told in diary.entries] == [
        (1, "fetch", {"inputs": 1}),
        (1, "read", {"rows": 3}),
        (2, "guard", {"guards": 0, "verdicts": 0}),
        (1, "plan", {"items": 2}),
        (1, "apply", {"changed": 2, "failed": 0}),
        (1, "finish", {}),
        (0, "run erp", {}),
    ]
    assert {told.result for _, name, told in diary.entries if "run" not in name} == {"done"}
    last = diary.entries[-1][2]
    assert (last.result, last.error, last.run) == ("completed", None, run)


def test_a_sink_in_the_state_s_transaction_is_applied_within_the_finish(shop: Shop, diary: Diary) -> None:
    shop.stock(A=1, B=2)
    sink = SqlStockSink(shop.database, "stock", sku="sku", quantity="quantity", shared=True)
    engine = SyncEngine(SqlStateStore(shop.database, clock=shop.clock), clock=shop.clock)
    engine.observe(diary)
    engine.add_source(shop.source(Scripted(GOOD), sink=sink))
    engine.sync("erp")
    assert [(depth, name) for depth, name, _ in diary.entries][-3:] == [(2, "apply"), (1, "finish"), (0, "run erp")]


def test_a_failed_stage_and_run_are_told_with_their_code(shop: Shop, diary: Diary) -> None:
    shop.stock(A=1)
    shop.add(PASSING)
    shop.engine.sync("erp")
    assert diary.ends == [
        (1, "fetch", "failed", "connect_failed"),
        (1, "finish", "done", None),
        (0, "run erp", "failed", "connect_failed"),
    ]


def test_an_exception_of_the_host_s_is_told_by_its_class_only(shop: Shop, diary: Diary) -> None:
    class Ending:
        def fetch(self, context: Any) -> Any:
            raise KeyboardInterrupt("hunter2")

    shop.stock(A=1)
    shop.engine.add_source(shop.source(Ending()))
    with pytest.raises(KeyboardInterrupt):
        shop.engine.sync("erp")
    assert diary.ends == [
        (1, "fetch", "failed", "KeyboardInterrupt"),
        (1, "finish", "done", None),
        (0, "run erp", "unrecorded", "KeyboardInterrupt"),
    ]


def test_a_held_plan_is_told_with_what_the_guards_said(shop: Shop, diary: Diary) -> None:
    shop.stock(A=1, B=2)
    shop.add("sku,quantity\nA,0\nB,0\n", guards=(MassZero(),))
    shop.engine.sync("erp")
    guarded = next(told for _, name, told in diary.entries if name == "guard")
    assert guarded.counts == {"guards": 1, "verdicts": 1}
    assert diary.ends[-1] == (0, "run erp", "held", None)


def test_a_run_whose_end_cannot_be_recorded_is_told_as_such(shop: Shop, diary: Diary) -> None:
    shop.stock(A=1)
    connector = shop.add(GOOD)
    fetch = connector.fetch

    def deleting(context: Any) -> Any:
        shop.engine.delete_source("erp")
        return fetch(context)

    connector.fetch = deleting
    with pytest.raises((LeaseLost, StoreError)):
        shop.engine.sync("erp")
    assert diary.ends[-1][1:3] == ("run erp", "unrecorded")


class Failing:
    """An observer that raises at one of the four moments, in everything that it is asked."""

    def __init__(self, moment: str) -> None:
        self.moment = moment
        self.calls = 0

    def _at(self, moment: str) -> None:
        if moment == self.moment:
            self.calls += 1
            raise RuntimeError("hunter2")

    def run(self, started: SyncRun) -> Any:
        self._at("make")
        return self

    def stage(self, run: SyncRun, stage: Stage) -> Any:
        return self.run(run)

    def delivery(self, source: str) -> Any:
        self._at("make")
        return self

    def __enter__(self) -> Any:
        self._at("enter")
        return self if self.moment == "tell" else None if self.moment == "nothing" else lambda told: None

    def __call__(self, told: Observed) -> None:
        self._at("tell")

    def __exit__(self, *error: object) -> bool:
        assert error == (None, None, None)
        self._at("exit")
        return True


@pytest.mark.parametrize("moment", ["make", "enter", "tell", "exit"])
def test_an_observer_that_raises_breaks_nothing_and_is_complained_of_once(
    shop: Shop, moment: str, caplog: pytest.LogCaptureFixture
) -> None:
    shop.stock(A=1, B=2)
    shop.add(GOOD)
    observer = Failing(moment)
    shop.engine.observe(observer)
    with caplog.at_level(logging.WARNING, "inventory_sources"):
        assert shop.engine.sync("erp").result is RunResult.COMPLETED
        assert shop.engine.sync("erp").result is RunResult.COMPLETED
    assert shop.levels == {"A": 5, "B": 0}
    assert observer.calls == 14
    assert caplog.text.count("observer_failed") == 1
    assert "RuntimeError" in caplog.text
    assert "hunter2" not in caplog.text


def test_an_observer_that_would_swallow_an_exception_does_not(shop: Shop) -> None:
    shop.stock(A=1)
    shop.add(PASSING)
    shop.engine.observe(Failing("nothing"))
    assert shop.engine.sync("erp").result is RunResult.FAILED


def test_where_nobody_observes_a_sync_makes_few_more_calls(shop: Shop) -> None:
    shop.stock(A=1, B=2)
    shop.add(GOOD)
    shop.engine.sync("erp")
    calls = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        if event == "call" and frame.f_code.co_filename.endswith(("_watching.py", "observer.py")):
            calls += 1

    sys.setprofile(count)
    try:
        shop.engine.sync("erp")
    finally:
        sys.setprofile(None)
    assert calls <= 14


def test_an_observer_can_be_taken_off(shop: Shop, diary: Diary) -> None:
    shop.engine.observe(None)
    shop.engine.add_source(shop.source(sink=MemorySink({"A": 1})))
    shop.feed(GOOD)
    shop.engine.sync("erp")
    assert diary.entries == []
