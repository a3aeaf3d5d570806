"""Every run ends in the history: what a part raises, when it raises it, and who notices."""

from __future__ import annotations

import logging
from datetime import timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from inventory_sources import SyncStatus
from inventory_sources.errors import LeaseLost, NotPortable, SourceNotFound
from inventory_sources.plan import Outcome
from inventory_sources.protocols.sink import ApplyResult, CurrentLevel, ItemOutcome, SinkLevel, SinkTraits
from inventory_sources.registry import Registry
from inventory_sources.run import RunResult
from inventory_sources.sinks import MemorySink
from inventory_sources.status import Reason

from .conftest import Scripted, Shop
from .test_ownership import Background, Gate

GOOD = "sku,quantity\nA,5\n"
LEAK = "https://user:hunter2@erp.example/stock"


class Raising:
    """A part that raises what it is told, wherever it is called."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __call__(self, *_: object, **__: object) -> Any:
        """Raises it."""
        raise self.error

    fetch = known = judge = describe = levels = select = map = decode = inspect = __call__


@pytest.mark.parametrize("part", ["connector", "decoder", "mapper", "sink", "catalog", "guards"])
def test_no_word_of_a_foreign_error_reaches_history_notification_or_log(
    shop: Shop, part: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shop.stock(A=1)
    leaky = Raising(RuntimeError(LEAK))
    parts: dict[str, Any] = {"connector": Scripted(GOOD), part: (leaky,) if part == "guards" else leaky}
    shop.engine.add_source(shop.source(**parts))
    if part == "catalog":
        inserting = MemorySink({"B": 1}, inserts=True)
        shop.engine.update_source(shop.source(Scripted(GOOD), sink=inserting, catalog=leaky))
    run = shop.engine.sync("erp")
    assert run.failure is not None
    assert "Raising raised RuntimeError" in run.failure.message
    assert "hunter2" not in repr((run, shop.engine.status("erp"), shop.mailbox.received))
    assert caplog.text
    assert "hunter2" not in caplog.text
    assert "hunter2" not in str(shop.engine.check("erp"))


@pytest.mark.parametrize("error", [LeaseLost("a row has a newer epoch"), SourceNotFound("no such feed")])
def test_a_part_that_says_the_lease_or_source_is_gone_while_it_is_not_fails_the_run(shop: Shop, error: Any) -> None:
    shop.engine.add_source(shop.source(Raising(error)))
    run = shop.engine.sync("erp")
    assert (run.result, shop.engine.status("erp").status) == (RunResult.FAILED, SyncStatus.ERROR)
    assert shop.engine.history("erp")[0].result is RunResult.FAILED


def test_a_source_deleted_and_added_again_writes_to_rows_that_remember_its_epochs(shop: Shop) -> None:
    sink = MemorySink({"A": 1})
    source = shop.source(Scripted(GOOD, "sku,quantity\nA,6\n"), sink=sink)
    shop.engine.add_source(source)
    for _ in range(3):
        shop.clock.advance(60)
        shop.engine.sync("erp")
    source.connector.inputs = ["sku,quantity\nA,7\n"]
    shop.clock.advance(60)
    assert shop.engine.sync("erp").products_updated == 1
    shop.engine.delete_source("erp")
    shop.clock.advance(60)
    shop.engine.add_source(shop.source(Scripted("sku,quantity\nA,9\n"), sink=sink))
    assert shop.engine.sync("erp").result is RunResult.COMPLETED
    assert sink.quantity("A") == 9


class Panic(BaseException):
    """What polars raises when its own code panics: not an Exception."""


def test_one_source_s_crash_does_not_keep_run_due_from_the_others(shop: Shop) -> None:
    shop.stock(A=1)
    crashing = shop.source(Raising(MemoryError()), name="first", frequency="5min")
    shop.engine.add_source(crashing)
    shop.add(GOOD, name="second", frequency="5min")
    shop.clock.advance(timedelta(hours=1))
    results = {run.source: run.result for run in shop.engine.run_due()}
    assert results == {"first": RunResult.FAILED, "second": RunResult.COMPLETED}


def test_an_error_of_the_engine_itself_does_not_keep_run_due_from_the_others(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shop.stock(A=1)
    shop.add(GOOD, name="first", frequency="5min")
    shop.add(GOOD, name="second", frequency="5min")
    shop.clock.advance(timedelta(hours=1))
    run = shop.engine._run

    def broken(claimed: Any, progress: Any) -> Any:
        if claimed.run.source == "first":
            raise OSError(LEAK)
        return run(claimed, progress)

    monkeypatch.setattr(shop.engine, "_run", broken)
    assert [run.source for run in shop.engine.run_due()] == ["second"]
    assert "hunter2" not in caplog.text


def test_an_edit_between_looking_and_claiming_that_makes_it_unbuildable_leaves_nothing_syncing(shop: Shop) -> None:
    shop.stock(A=1)
    registry = Registry()
    registry.register("sink", "shop", shop.sink)
    worker = shop.new_engine(registry=registry)
    connector = shop.add(GOOD, frequency="5min")
    worker.add_source(shop.source(connector, frequency="5min"), exist_ok=True)
    shop.clock.advance(timedelta(hours=1))
    claim = worker._runs.claim

    def late(name: str, **how: Any) -> Any:
        shop.engine.update_source(shop.source(Raising(RuntimeError()), frequency="5min", timeout=timedelta(minutes=1)))
        shop.clock.advance(timedelta(hours=1))
        return claim(name, **how)

    worker._runs = _Claiming(worker._runs, late)
    assert worker.run_due() == []
    state = shop.engine.status("erp")
    assert (state.status, state.failures) == (SyncStatus.PENDING, 0)
    assert state.is_due(shop.clock.now())


class _Claiming:
    """Runs, with another claim."""

    def __init__(self, runs: Any, claim: Any) -> None:
        self._runs = runs
        self.claim = claim

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runs, name)


def test_sync_now_while_syncing_returns_that_run_where_the_source_cannot_be_built(shop: Shop) -> None:
    shop.stock(A=1)
    gate = Gate()
    shop.engine.add_source(shop.source(gate))
    stranger = shop.new_engine()
    with pytest.raises(NotPortable):
        stranger.sync("erp")
    call = Background(lambda: shop.engine.sync("erp"))
    assert gate.entered.wait(30)
    try:
        running = stranger.sync("erp")
    finally:
        gate.open.set()
    assert (running.result, running.id) == (RunResult.RUNNING, call.outcome().id)
    with pytest.raises(NotPortable):
        stranger.sync("erp")


def test_an_interrupt_comes_through_although_the_source_was_taken_away(shop: Shop) -> None:
    class Interrupted:
        def fetch(self, context: object) -> Any:
            shop.engine.delete_source("erp")
            raise KeyboardInterrupt

    shop.engine.add_source(shop.source(Interrupted()))
    with pytest.raises(KeyboardInterrupt):
        shop.engine.sync("erp")


def test_an_interrupt_gives_the_source_back(shop: Shop) -> None:
    shop.engine.add_source(shop.source(Raising(KeyboardInterrupt())))
    with pytest.raises(KeyboardInterrupt):
        shop.engine.sync("erp")
    state = shop.engine.status("erp")
    assert (state.status, state.reason, state.failures) == (SyncStatus.PENDING, Reason.REQUESTED, 0)


def test_a_panic_of_a_compiled_part_is_a_failed_attempt(shop: Shop) -> None:
    shop.engine.add_source(shop.source(Raising(Panic(LEAK))))
    shop.engine.add_source(shop.source(Scripted(GOOD), name="second"))
    with pytest.raises(Panic):
        shop.engine.sync("erp")
    state = shop.engine.status("erp")
    assert (state.status, state.reason, state.failures) == (SyncStatus.PENDING, Reason.RETRY, 1)
    assert "hunter2" not in repr(shop.engine.history("erp"))


def test_a_panic_in_polars_does_not_keep_run_due_from_the_others(shop: Shop) -> None:
    shop.stock(A=1)
    rust = type("PanicException", (BaseException,), {"__module__": pl.exceptions.PanicException.__module__})
    shop.engine.add_source(shop.source(Raising(rust(LEAK)), name="first", frequency="5min"))
    shop.add(GOOD, name="second", frequency="5min")
    shop.clock.advance(timedelta(hours=1))
    results = {run.source: run.result for run in shop.engine.run_due()}
    assert results == {"first": RunResult.FAILED, "second": RunResult.COMPLETED}


class Moving:
    """A sink that compares and sets; between the plan and the write, others may move a level."""

    def __init__(self, levels: list[CurrentLevel], later: list[CurrentLevel]) -> None:
        self.now = {level.sku: level for level in levels}
        self.later = later

    def describe(self) -> SinkTraits:
        """Compare and set, whole units."""
        return SinkTraits(SinkLevel.COMPARE_AND_SET, 0, locations=False)

    def levels(self, skus: Any) -> list[CurrentLevel]:
        """All of them."""
        return list(self.now.values())

    def apply(self, changes: Any, context: Any) -> ApplyResult:
        """Writes what still stands as expected."""
        self.now.update({level.sku: level for level in self.later})
        self.later = []
        moved = []
        for item in changes:
            if self.now[item.sku].quantity != item.old:
                moved.append(ItemOutcome(item.sku, item.location, Outcome.FAILED, "moved_on"))
            else:
                self.now[item.sku] = CurrentLevel(item.sku, item.new, as_of=item.as_of)
        return ApplyResult(tuple(moved))


def test_a_level_that_a_newer_observation_moved_is_not_put_back_when_planned_again(shop: Shop) -> None:
    later = shop.clock.now() + timedelta(minutes=1)
    sink = Moving(
        [CurrentLevel(sku, Decimal(1)) for sku in "ABC"],
        [CurrentLevel("A", Decimal(3), as_of=later), CurrentLevel("B", Decimal(4))],
    )
    shop.engine.add_source(shop.source(Scripted("sku,quantity\nA,5\nB,5\nC,5\n"), sink=sink))
    run = shop.engine.sync("erp")
    assert {sku: level.quantity for sku, level in sink.now.items()} == {"A": 3, "B": 5, "C": 5}
    assert (run.counts.stale, run.counts.changed, run.products_updated) == (1, 2, 2)
    assert run.counts.add_up


def test_a_shared_transaction_outlives_the_local_trust_because_the_row_is_locked(shop: Shop) -> None:
    class Shared(Moving):
        def describe(self) -> SinkTraits:
            return SinkTraits(SinkLevel.SHARED_TRANSACTION, 0, locations=False)

        def apply(self, changes: Any, context: Any) -> ApplyResult:
            assert context.connection is not None
            shop.clock.advance(timedelta(minutes=2))
            context.renew()
            return super().apply(changes, context)

    sink = Shared([CurrentLevel("A", Decimal(1))], [])
    shop.engine.add_source(shop.source(Scripted(GOOD), sink=sink))
    assert shop.engine.sync("erp").result is RunResult.COMPLETED
    assert sink.now["A"].quantity == 5


def test_an_edit_does_not_fence_out_a_run_that_began_right_after_it(shop: Shop) -> None:
    shop.stock(A=1)
    gate = Gate()
    shop.engine.add_source(shop.source(gate))
    edit = shop.engine._runs.edit
    calls: list[Background] = []

    def then_sync(*given: Any) -> Any:
        state = edit(*given)
        calls.append(Background(lambda: shop.engine.sync("erp")))
        assert gate.entered.wait(30)
        return state

    shop.engine._runs = _Editing(shop.engine._runs, then_sync)
    try:
        shop.engine.update_source(shop.source(gate))
    finally:
        gate.open.set()
    assert calls[0].outcome().result is RunResult.COMPLETED


class _Editing(_Claiming):
    """Runs, with another edit."""

    def __init__(self, runs: Any, edit: Any) -> None:
        self._runs = runs
        self.edit = edit
