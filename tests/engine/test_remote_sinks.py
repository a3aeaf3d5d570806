"""A sync into a shop behind an API: sales in between, lost answers, and a worker killed between two batches."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from inventory_sources import Secret, SyncEngine, SyncStatus
from inventory_sources.run import RunResult
from inventory_sources.sinks.http import WooCommerceSink
from inventory_sources.status import Reason
from inventory_sources.testing import ManualClock, ScriptedHttpServer
from inventory_sources.testing.servers import Response
from tests.sinks.shopify_server import HERE, Item, ShopifyServer, lost
from tests.sinks.woocommerce_server import KEY, SECRET, Product, WooServer

from .conftest import Shop
from .killed_remote import START, worker

ROOT = Path(__file__).parents[2]
FEED = "sku,quantity\nA,9\nB,8\nC,7\nD,6\nE,5\n"
OLD = {"A": 1, "B": 2, "C": 3, "D": 6, "E": 5}
NEW = {"A": 9, "B": 8, "C": 7, "D": 6, "E": 5}


class Remote:
    """A shop at Shopify, a feed and an engine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock(START)
        items = [Item(f"gid://shopify/InventoryItem/{sku}", sku, {HERE: at}) for sku, at in OLD.items()]
        self.api = ShopifyServer(items)
        self.server = ScriptedHttpServer(self.api, keep_alive=True)
        (folder / "feed.csv").write_text(FEED, "utf-8")

    @property
    def levels(self) -> dict[str, int]:
        return {item.sku: item.levels[HERE] for item in self.api.items}

    def engine(self, as_of: str = "fetch") -> SyncEngine:
        return worker(self.folder, self.server.url, self.clock, as_of)

    def sold(self, sku: str) -> None:
        self.api.item(sku).levels[HERE] -= 1


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Remote]:
    made = Remote(tmp_path)
    with made.server:
        yield made


def test_the_first_sync_writes_what_differs_and_the_second_nothing(remote: Remote) -> None:
    engine = remote.engine()
    run = engine.sync("erp")
    assert (run.result, run.counts.changed, run.counts.unchanged) == (RunResult.COMPLETED, 3, 2)
    assert remote.levels == NEW
    assert remote.api.groups == [["A=9", "B=8"], ["C=7"]]
    assert engine.sync("erp").counts.changed == 0
    assert len(remote.api.groups) == 2


def test_a_sale_while_it_writes_is_seen_and_planned_again(remote: Remote) -> None:
    remote.api.before.append(lambda: remote.sold("B"))
    run = remote.engine().sync("erp")
    assert (run.result, run.counts.changed, run.counts.failed) == (RunResult.COMPLETED, 3, 0)
    assert remote.api.groups == [["A=9"], ["C=7"], ["B=8"]]
    assert remote.levels == NEW


def test_an_item_that_keeps_moving_is_left_alone_and_counted(remote: Remote) -> None:
    remote.api.before += [lambda: remote.sold("B")] * 10
    run = remote.engine().sync("erp")
    assert (run.counts.changed, run.counts.failed) == (2, 1)
    assert "B=8" not in [change for group in remote.api.groups for change in group]


def test_a_sync_that_breaks_off_is_retried_and_writes_only_what_is_left(remote: Remote) -> None:
    remote.api.faults += [lambda _: None, *[lost] * 4]
    engine = remote.engine()
    run = engine.sync("erp")
    assert run.result is RunResult.FAILED
    assert run.failure is not None
    assert run.failure.code == "sink_unavailable"
    assert engine.status("erp").status is SyncStatus.PENDING
    remote.sold("C")
    remote.clock.advance(timedelta(minutes=5))
    engine.run_due()
    assert remote.levels == NEW
    assert engine.status("erp").status is SyncStatus.COMPLETED


THROTTLED = json.dumps(
    {
        "errors": [{"extensions": {"code": "THROTTLED"}}],
        "extensions": {
            "cost": {
                "requestedQueryCost": 200,
                "throttleStatus": {"currentlyAvailable": 20, "restoreRate": 1.5},
            }
        },
    }
).encode()


@pytest.mark.parametrize("answer", [Response(status=429, headers={"Retry-After": "120"}), Response(THROTTLED)])
def test_a_rate_limit_waits_as_told_burns_no_retry_and_keeps_what_was_written(remote: Remote, answer: Response) -> None:
    remote.api.turned_away += [None, answer]
    engine = remote.engine()
    run = engine.sync("erp")
    assert (run.result, run.failure and run.failure.code) == (RunResult.FAILED, "sink_rate_limited")
    assert (run.counts.changed, run.counts.unchanged, run.counts.failed, run.products_updated) == (2, 2, 1, 2)
    assert run.counts.add_up
    assert engine.rejections(run) == []
    state = engine.status("erp")
    assert (state.status, state.reason, state.failures) == (SyncStatus.PENDING, Reason.WAITING, 0)
    assert state.next_run_at == START + timedelta(seconds=120)
    remote.clock.advance(timedelta(seconds=119))
    assert engine.run_due() == []
    remote.clock.advance(timedelta(seconds=1))
    (again,) = engine.run_due()
    assert (again.result, again.counts.changed, again.counts.unchanged) == (RunResult.COMPLETED, 1, 4)
    assert remote.api.groups == [["A=9", "B=8"], ["C=7"]]
    assert engine.status("erp").failures == 0


def test_a_rate_limit_at_the_first_request_waits_too(remote: Remote) -> None:
    remote.api.turned_away.append(Response(status=429, headers={"Retry-After": "120"}))
    engine = remote.engine()
    run = engine.sync("erp")
    assert (run.result, run.failure and run.failure.code) == (RunResult.FAILED, "sink_rate_limited")
    assert engine.status("erp").next_run_at == START + timedelta(seconds=120)
    assert remote.levels == OLD


def test_what_was_written_before_a_run_broke_off_is_known_so_that_a_sale_since_is_not_undone(remote: Remote) -> None:
    remote.api.turned_away += [None, Response(status=429, headers={"Retry-After": "120"})]
    engine = remote.engine(as_of="modified")
    os.utime(remote.folder / "feed.csv", (START.timestamp() - 60, START.timestamp() - 60))
    engine.sync("erp")
    remote.sold("A")
    remote.clock.advance(timedelta(minutes=2))
    engine.run_due()
    assert remote.levels == {**NEW, "A": 8}


def refused_with(code: str) -> Response:
    return Response(json.dumps({"data": {"inventorySetQuantities": {"userErrors": [{"code": code}]}}}).encode())


def forgetful(remote: Remote) -> None:
    """The answer is lost, and the shop does not know the key when it comes again."""
    remote.api.faults.append(lost)
    remote.api.before += [lambda: None, remote.api.keys.clear]


FAULTS: dict[str, Callable[[Remote], None]] = {
    "answer lost": lambda remote: remote.api.faults.append(lost),
    "answer lost for good": lambda remote: remote.api.faults.extend([lost] * 4),
    "answer lost and key forgotten": forgetful,
    "key in use": lambda remote: remote.api.turned_away.append(refused_with("IDEMPOTENCY_CONCURRENT_REQUEST")),
    "key spent": lambda remote: remote.api.turned_away.append(refused_with("IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED")),
    "key of another": lambda remote: remote.api.turned_away.append(refused_with("IDEMPOTENCY_KEY_PARAMETER_MISMATCH")),
    "sale between reading and writing": lambda remote: remote.api.before.append(lambda: remote.sold("C")),
    "server fails after writing": lambda remote: remote.api.faults.append(lambda _: Response(status=502)),
    "server fails before writing": lambda remote: remote.api.turned_away.append(Response(status=502)),
}


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("fault", FAULTS)
def test_it_converges_whatever_breaks_and_sets_only_what_it_compared(remote: Remote, fault: str, at: int) -> None:
    remote.api.faults += [lambda _: None] * at
    remote.api.turned_away += [None] * at
    remote.api.before += [lambda: None] * at
    FAULTS[fault](remote)
    engine = remote.engine()
    runs = [engine.sync("erp")]
    while engine.status("erp").status is SyncStatus.PENDING and len(runs) < 4:
        remote.clock.advance(timedelta(minutes=5))
        runs += engine.run_due()
    assert runs[-1].result is RunResult.COMPLETED
    assert all(run.counts.add_up for run in runs)
    again = engine.sync("erp")
    assert (again.counts.unchanged, again.counts.failed) == (5, 0)
    assert remote.levels == NEW
    written = [change for group in remote.api.groups for change in group]
    assert sorted(written) == ["A=9", "B=8", "C=7"]


def test_a_worker_killed_between_two_batches_is_followed_by_one_that_writes_the_rest(remote: Remote) -> None:
    command = [sys.executable, "-m", "tests.engine.killed_remote", str(remote.folder), remote.server.url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert remote.levels == {**OLD, "A": 9, "B": 8}
    remote.clock.advance(timedelta(seconds=61))
    engine = remote.engine()
    engine.run_due()
    assert engine.status("erp").status is SyncStatus.COMPLETED
    assert remote.levels == NEW
    assert remote.api.groups == [["A=9", "B=8"], ["C=7"]]


def test_an_absolute_set_converges_and_says_that_it_is_degraded(shop: Shop) -> None:
    api = WooServer([Product(1, "A", 1), Product(2, "B", 2), Product(3, "C", None, False)])
    with ScriptedHttpServer(api, keep_alive=True) as server:
        sink = WooCommerceSink(
            server.url,
            key=Secret(KEY),
            secret=Secret(SECRET),
            allow_private=("127.0.0.0/8",),
            allow_plaintext=True,
        )
        shop.add("sku,quantity\nA,9\nB,2\nC,7\n", sink=sink)
        run = shop.engine.sync("erp")
        assert (run.counts.changed, run.counts.unchanged, run.counts.failed) == (1, 1, 1)
        assert any("degraded" in warning for warning in run.warnings)
        assert [product.stock_quantity for product in api.products] == [9, 2, None]
        api.product("B").stock_quantity = 1
        shop.clock.advance(timedelta(minutes=1))
        shop.engine.sync("erp")
        assert [product.stock_quantity for product in api.products] == [9, 2, None]
