"""Decisions at awkward moments: approvals of plans with unmapped rows, rejections beside failures, late events."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from inventory_sources import Columns, Feed, SyncStatus
from inventory_sources.errors import AccessRefused, RateLimited
from inventory_sources.guards import MassZero
from inventory_sources.payload import Evidence, Payload, Proof
from inventory_sources.run import RunResult
from inventory_sources.status import Reason

from .conftest import Scripted, Shop

SKUS = [f"S{number:02}" for number in range(10)]


def feed(*skus: str) -> str:
    """A feed of these SKUs at 10."""
    return "sku,quantity\n" + "".join(f"{sku},10\n" for sku in skus)


def test_an_approval_applies_the_plan_that_was_held_although_it_left_rows_unmapped(shop: Shop) -> None:
    shop.stock(**dict.fromkeys(SKUS, 10))
    named = Columns(identity={sku: sku for sku in SKUS})
    zeroing = Feed.snapshot("available", absent="zero")
    connector = shop.add(feed(*SKUS, "OLD"), mapper=named, feed=zeroing, guards=(MassZero(),))
    assert shop.engine.sync("erp").result is RunResult.COMPLETED
    connector.inputs = [feed(*SKUS[4:], "OLD")]
    held = shop.engine.sync("erp")
    assert (held.result, held.counts.held) == (RunResult.HELD, 4)
    shop.engine.approve("erp", held.digest or "")
    run = shop.engine.sync("erp")
    assert (run.result, run.products_updated) == (RunResult.COMPLETED, 4)
    assert [shop.levels[sku] for sku in SKUS[:5]] == [0, 0, 0, 0, 10]
    assert run.counts.add_up
    assert [row.rejection.sku for row in shop.engine.rejections(run)] == ["OLD"], "each rejected row is listed"


def test_rejecting_a_plan_does_not_lift_a_block_or_call_a_failure_resolved(shop: Shop) -> None:
    shop.stock(**dict.fromkeys(SKUS, 10))
    connector = shop.add(feed(*SKUS), guards=(MassZero(),), frequency="5min")
    shop.engine.sync("erp")
    connector.inputs = ["sku,quantity\n" + "".join(f"{sku},0\n" for sku in SKUS)]
    held = shop.engine.sync("erp")
    connector.inputs = [AccessRefused("the ERP answered 401")]
    shop.engine.sync("erp")
    assert sorted(shop.mailbox.kinds) == ["failed", "held", "resolved"]
    state = shop.engine.reject("erp", held.digest or "")
    shop.engine.notify()
    assert (state.status, state.reason, state.next_run_at) == (SyncStatus.ERROR, Reason.BLOCKED, None)
    assert (state.held_digest, shop.engine.held("erp")) == (None, None)
    assert sorted(shop.mailbox.kinds) == ["failed", "held", "resolved"], "nothing works again"


def test_a_hand_made_mapping_takes_its_identifier_off_the_unmapped_ledger(shop: Shop) -> None:
    shop.stock(A=5)
    shop.add("sku,quantity\nART-A,8\nART-B,1\n")
    shop.engine.sync("erp")
    assert [entry.sku for entry in shop.store.unmapped("erp")] == ["ART-A", "ART-B"]
    shop.engine.map_sku("erp", "ART-A", "A")
    shop.engine.sync("erp")
    assert [entry.sku for entry in shop.store.unmapped("erp")] == ["ART-B"]


@pytest.mark.parametrize("told", [timedelta(days=999_999_999), timedelta(seconds=-5)], ids=["for ever", "past"])
def test_a_senseless_wait_neither_parks_nor_hammers_nor_breaks(shop: Shop, told: timedelta) -> None:
    shop.add(RateLimited("the ERP answered 429", retry_after=told))
    assert shop.engine.sync("erp").result is RunResult.FAILED
    state = shop.engine.status("erp")
    assert state.reason is Reason.WAITING
    assert state.next_run_at is not None
    assert shop.clock.now() + timedelta(seconds=1) <= state.next_run_at <= shop.clock.now() + timedelta(days=31)


class Slow:
    """A connector whose fetch takes 45 s, and whose input is of 5:30 min and more after its start."""

    def __init__(self, shop: Shop, ahead: timedelta = timedelta(0)) -> None:
        self.shop = shop
        self.ahead = ahead

    def fetch(self, context: Any) -> list[Payload]:
        """Lets the time pass."""
        self.shop.clock.advance(timedelta(seconds=45))
        whole = Evidence(frozenset({Proof.LENGTH}))
        as_of = context.started_at + timedelta(minutes=5, seconds=30) + self.ahead
        return [Payload("feed.csv", b"sku,quantity\nA,5\n", as_of=as_of, evidence=whole)]


def test_what_was_observed_during_a_long_fetch_is_not_from_the_future(shop: Shop) -> None:
    shop.stock(A=1)
    shop.engine.add_source(shop.source(Slow(shop)))
    assert shop.engine.sync("erp").failure is None
    shop.engine.update_source(shop.source(Slow(shop, timedelta(minutes=1))))
    failure = shop.engine.sync("erp").failure
    assert failure is not None
    assert failure.code == "clock_skewed"


def test_a_dry_run_fetches_from_where_the_next_sync_would(shop: Shop) -> None:
    seen: list[str | None] = []

    class Incremental(Scripted):
        def fetch(self, context: Any) -> Any:
            seen.append(context.cursor)
            context.next_cursor = "page 2"
            return super().fetch(context)

    shop.stock(A=1)
    shop.engine.add_source(shop.source(Incremental("sku,quantity\nA,5\n")))
    shop.engine.sync("erp")
    shop.engine.plan("erp")
    assert seen == [None, "page 2"]
