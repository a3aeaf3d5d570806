"""What an observer is told of each delivery."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import evolve

from inventory_sources import SyncEngine
from inventory_sources.protocols.observer import Observed
from inventory_sources.protocols.webhook import ReceiveLimits
from tests.webhooks.shop import PushedShop


class Verdicts:
    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    @contextmanager
    def delivery(self, source: str) -> Iterator[object]:
        yield lambda observed: self.hear(source, observed)

    def hear(self, source: str, observed: Observed) -> None:
        assert (observed.error, observed.counts, observed.run) == (None, {}, None)
        self.told.append((source, observed.result))


def test_an_observer_is_told_the_verdict_of_each_delivery() -> None:
    shop, observer = PushedShop(limits=ReceiveLimits(max_body=200, rate=1.0, burst=4)), Verdicts()
    shop.engine.observe(observer)
    one = shop.signed_delivery({"A1": 5})
    shop.engine.receive("wms", one)
    shop.engine.receive("wms", one)
    shop.engine.receive("wms", evolve(one, headers={}))
    shop.engine.receive("wms", evolve(one, method="GET"))
    shop.engine.receive("wms", evolve(one, body=one.body.ljust(201)))
    shop.engine.receive("nowhere", one)
    for _ in range(3):
        shop.engine.receive("wms", one)
    assert observer.told == [
        ("wms", "kept"),
        ("wms", "repeated"),
        ("wms", "refused"),
        ("wms", "refused"),
        ("wms", "too_large"),
        ("nowhere", "unknown"),
        ("wms", "repeated"),
        ("wms", "repeated"),
        ("wms", "limited"),
    ]


def test_a_delivery_that_this_process_cannot_judge_is_told_as_unavailable() -> None:
    shop, observer = PushedShop(), Verdicts()
    elsewhere = SyncEngine(shop.store, clock=shop.clock)
    elsewhere.observe(observer)
    elsewhere.receive("wms", shop.signed_delivery({"A1": 5}))
    assert observer.told == [("wms", "unavailable")]
