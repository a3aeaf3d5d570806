"""One sync at a time: leases, fencing by edits and deletes, cancelling, rescue of lost workers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from inventory_sources import SyncStatus
from inventory_sources.errors import IllegalTransition, LeaseLost, SourceNotFound
from inventory_sources.payload import Payload
from inventory_sources.run import RunResult, SyncRun
from inventory_sources.status import Reason

from .conftest import Shop

GOOD = b"sku,quantity\nA,5\n"


class Gate:
    """A connector that waits inside its fetch until the test lets it go on."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def fetch(self, context: Any) -> Iterator[Payload]:
        """Waits, then yields a good feed."""
        self.entered.set()
        assert self.open.wait(30)
        context.checkpoint()
        yield Payload("feed.csv", GOOD)


class Background:
    """A call in a thread of its own, with its outcome."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.result: Any = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(call,))
        self._thread.start()

    def _run(self, call: Callable[[], Any]) -> None:
        try:
            self.result = call()
        except BaseException as error:
            self.error = error

    def outcome(self) -> Any:
        """What the call gave or raised."""
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.error or self.result


@pytest.fixture
def gate(shop: Shop) -> Gate:
    """A registered source that syncs until the gate is opened."""
    shop.stock(A=1)
    gate = Gate()
    shop.engine.add_source(shop.source(gate, frequency="5min"))
    return gate


@pytest.fixture
def syncing(shop: Shop, gate: Gate) -> Iterator[Background]:
    """That source's sync, under way in another thread."""
    call = Background(lambda: shop.engine.sync("erp"))
    assert gate.entered.wait(30)
    yield call
    gate.open.set()
    call.outcome()


def test_sync_now_while_syncing_returns_that_run(shop: Shop, gate: Gate, syncing: Background) -> None:
    other = shop.new_engine()
    other.add_source(shop.source(gate, frequency="5min"), exist_ok=True)
    running = other.sync("erp")
    assert (running.result, shop.engine.status("erp").status) == (RunResult.RUNNING, SyncStatus.SYNCING)
    gate.open.set()
    assert syncing.outcome().id == running.id
    assert len(shop.engine.history("erp")) == 1


def test_cancelling_stops_at_the_next_checkpoint_and_is_no_failure(shop: Shop, gate: Gate, syncing: Background) -> None:
    shop.engine.cancel("erp", actor="ana")
    gate.open.set()
    assert syncing.outcome().result is RunResult.CANCELLED
    status = shop.engine.status("erp")
    assert (status.status, status.reason, status.failures) == (SyncStatus.PENDING, Reason.CANCELLED, 0)
    assert status.next_run_at is not None
    assert shop.levels == {"A": 1}


def test_only_a_running_sync_can_be_cancelled(shop: Shop, gate: Gate) -> None:
    with pytest.raises(IllegalTransition):
        shop.engine.cancel("erp")


@pytest.mark.parametrize("local", [True, False], ids=["same engine", "other engine"])
def test_an_edit_fences_out_the_running_sync(shop: Shop, gate: Gate, syncing: Background, *, local: bool) -> None:
    editor = shop.engine if local else shop.new_engine()
    editor.update_source(shop.source(gate))
    gate.open.set()
    assert isinstance(syncing.outcome(), LeaseLost)
    assert shop.levels == {"A": 1}
    (run,) = shop.engine.history("erp")
    assert run.result is RunResult.CANCELLED
    assert shop.engine.status("erp").status is SyncStatus.PENDING


def test_a_delete_fences_out_the_running_sync(shop: Shop, gate: Gate, syncing: Background) -> None:
    shop.new_engine().delete_source("erp", actor="ana")
    gate.open.set()
    assert isinstance(syncing.outcome(), (LeaseLost, SourceNotFound))
    assert shop.levels == {"A": 1}
    assert shop.engine.sources() == []
    assert [entry.action for entry in shop.store.audit("erp")][:1] == ["delete_source"]


def test_a_dead_worker_is_rescued_after_its_lease_and_costs_an_attempt(
    shop: Shop, gate: Gate, syncing: Background
) -> None:
    rescuer = shop.new_engine(worker="second")
    assert rescuer.run_due() == []
    shop.clock.advance(timedelta(seconds=61))
    gate.open.set()
    outcome = syncing.outcome()
    assert isinstance(outcome, LeaseLost), "a worker that outlived its lease writes nothing"
    assert shop.levels == {"A": 1}
    (run,) = shop.engine.run_due()
    assert (run.result, run.attempt) == (RunResult.COMPLETED, 1)
    assert shop.levels == {"A": 5}
    assert [entry.result for entry in shop.engine.history("erp")] == [RunResult.COMPLETED, RunResult.LOST]
    lost = shop.engine.history("erp")[1]
    assert lost.failure is not None
    assert lost.failure.code == "worker_lost"


def test_stopping_gives_the_source_back_without_spending_an_attempt(
    shop: Shop, gate: Gate, syncing: Background
) -> None:
    shop.engine.stop()
    gate.open.set()
    assert syncing.outcome().result is RunResult.CANCELLED
    status = shop.engine.status("erp")
    assert (status.status, status.reason, status.failures) == (SyncStatus.PENDING, Reason.REQUESTED, 0)
    restarted = shop.new_engine()
    restarted.add_source(shop.source(gate, frequency="5min"), exist_ok=True)
    (run,) = restarted.run_due()
    assert run.result is RunResult.COMPLETED


def test_many_threads_claim_each_source_once(shop: Shop) -> None:
    shop.stock(A=1)
    for number in range(6):
        shop.add("sku,quantity\nA,5\n", name=f"s{number}")
        shop.engine.request_sync(f"s{number}")
    workers = [shop.new_engine(worker=f"w{number}") for number in range(3)]
    # A live source's objects are known to the engine that was given them.
    for worker in workers:
        for number in range(6):
            worker.add_source(shop.source(shop_connector(shop, f"s{number}"), name=f"s{number}"), exist_ok=True)
    calls = [Background(worker.run_due) for worker in workers]
    runs: list[SyncRun] = [run for call in calls for run in call.outcome()]
    assert sorted(run.source for run in runs) == [f"s{number}" for number in range(6)]
    assert all(len(shop.engine.history(f"s{number}")) == 1 for number in range(6))


def shop_connector(shop: Shop, name: str) -> Any:
    """A connector of the kind the source was registered with."""
    from .conftest import Scripted

    return Scripted("sku,quantity\nA,5\n")
