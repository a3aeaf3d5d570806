"""What a sender is answered, what is kept of a delivery, and how many are kept at once."""

from __future__ import annotations

import gzip
import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from attrs import evolve
from structlog.testing import capture_logs

from inventory_sources import MemorySink, MemoryStateStore, Secret
from inventory_sources.errors import ConfigurationError, Recovery, StoreError, StoreUnavailable
from inventory_sources.protocols.endpoints import Endpoint
from inventory_sources.protocols.webhook import Delivery, ReceiveLimits
from inventory_sources.secrets import EnvironmentSecrets, SecretResolvers
from inventory_sources.stores.sql import SqlStateStore
from inventory_sources.testing import ManualClock
from inventory_sources.webhooks import BearerToken, BusinessCentral, EventFacts, Webhook
from tests.webhooks.shop import PushedShop, pushed_source, signed

CANARY = "canary-of-thirty-two-characters!"


def test_where_nothing_can_be_delivered() -> None:
    shop = PushedShop()
    one = shop.signed_delivery({"A1": 5})
    assert shop.engine.receive("nowhere", one).status == 404
    from inventory_sources import SyncEngine

    elsewhere = SyncEngine(shop.store, clock=shop.clock)
    answer = elsewhere.receive("wms", one)
    assert (answer.status, dict(answer.headers)["retry-after"].isdigit()) == (503, True)


def test_a_source_that_is_not_pushed_to_takes_nothing() -> None:
    from tests.webhooks.shop import Pulled

    shop = PushedShop()
    shop.engine.update_source(evolve(shop.source, connector=Pulled({})))
    assert shop.deliver({"A1": 5}).status == 404


def test_the_host_is_told_why_a_sender_is_not_proven_and_the_sender_is_not() -> None:
    with capture_logs() as logs:
        shop = PushedShop()
        good = shop.signed_delivery({"A1": 5})
        old = shop.signed_delivery({"A1": 5}, at=shop.clock.now() - timedelta(minutes=6))
        for one in (evolve(good, headers={}), old, evolve(good, body=good.body + b" ")):
            answer = shop.engine.receive("wms", one)
            assert (answer.status, answer.headers, answer.body) == (401, (), b"")
    reasons = [refusal.reason for refusal in reversed(shop.engine.webhooks.refusals("wms"))]
    assert [log["reason"] for log in logs if log["event"] == "delivery_refused"] == reasons
    for reason, words in zip(reasons, ("is missing", "from now", "none of the signatures"), strict=True):
        assert words in reason


def test_a_sender_comes_again_where_the_secret_cannot_be_found() -> None:
    environment: dict[str, str] = {}
    secret = Secret.reference("env:HOOK", SecretResolvers(EnvironmentSecrets(environment)))
    shop = PushedShop()
    shop.engine.update_source(evolve(shop.source, connector=Webhook(signature=BearerToken(secrets=secret))))
    one = Delivery({"authorization": f"Bearer {CANARY}"}, b"{}", shop.clock.now())
    answer = shop.engine.receive("wms", one)
    assert (answer.status, answer.body, dict(answer.headers)) == (503, b"", {"retry-after": "60"})
    (refusal,) = shop.engine.webhooks.refusals("wms")
    assert "no secret can be used" in refusal.reason
    environment["HOOK"] = CANARY
    assert shop.engine.receive("wms", one).status == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("forged", [False, True])
def test_only_posts_are_deliveries(method: str, forged: bool) -> None:
    shop = PushedShop()
    one = evolve(shop.signed_delivery({"A1": 5}), method=method)
    answer = shop.engine.receive("wms", evolve(one, headers={}) if forged else one)
    assert (answer.status, dict(answer.headers)) == (405, {"allow": "POST"})


def test_a_handshake_is_answered_and_nothing_is_kept() -> None:
    shop = PushedShop()
    connector = Webhook(signature=BusinessCentral(secrets=Secret(CANARY)))
    shop.engine.update_source(evolve(shop.source, connector=connector))
    url = "https://shop.example/hooks/wms?validationToken=abc%20def"
    answer = shop.engine.receive("wms", Delivery({}, b"", shop.clock.now(), url=url))
    assert (answer.status, answer.body) == (200, b"abc def")
    assert shop.statuses() == []


def test_the_cap_is_on_the_bytes_of_the_body() -> None:
    shop = PushedShop(limits=ReceiveLimits(max_body=30))
    assert shop.deliver(b'{"items": []}'.ljust(30)).status == 200
    assert shop.deliver(b'{"items": []}'.ljust(31)).status == 413


def encoded(shop: PushedShop, body: bytes) -> Delivery:
    packed = gzip.compress(body)
    headers = signed(packed, shop.clock.now(), "packed") | {"content-encoding": "gzip"}
    return Delivery(headers, packed, shop.clock.now())


def test_an_encoded_body_is_taken_where_that_was_asked_for() -> None:
    shop = PushedShop()
    assert shop.engine.receive("wms", encoded(shop, b'{"items": [{"sku": "A1", "qty": 5}]}')).status == 415
    shop = PushedShop(encodings=["gzip"], facts=EventFacts(id="id"))
    assert shop.engine.receive("wms", encoded(shop, b'{"id": 7, "items": [{"sku": "A1", "qty": 5}]}')).status == 200
    shop.run()
    assert shop.levels() == {"A1": 5}


def test_an_encoded_body_that_grows_without_end_is_refused() -> None:
    shop = PushedShop(encodings=["gzip"])
    assert shop.engine.receive("wms", encoded(shop, b" " * 20_000_000)).status == 400
    assert shop.statuses() == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "line 1 column 2"),
        (b'{"id": 1, "items": [], "id": 2}', "'id' stands twice"),
        (b'{"id": 1, "items": NaN}', "NaN"),
        (b'{"id": "\xff"}', "byte 8"),
        (b'{"items": []}', "'id'"),
        (b'{"id": {}, "items": []}', "no text or number at id"),
        (b'{"id": ' + b"[" * 65 + b"]" * 65 + b"}", "66 levels"),
    ],
)
def test_what_is_wrong_with_a_body_is_said_with_its_place(body: bytes, words: str) -> None:
    shop = PushedShop(facts=EventFacts(id="id"))
    answer = shop.deliver(body)
    assert answer.status == 400
    assert words in answer.body.decode()
    assert shop.statuses() == []


def test_more_than_the_source_takes_is_asked_to_come_later() -> None:
    shop = PushedShop(limits=ReceiveLimits(rate=0.1, burst=2))
    assert [shop.deliver({}).status for _ in range(3)] == [200, 200, 429]
    shop.passes(seconds=4)
    answer = shop.deliver({})
    assert (answer.status, dict(answer.headers)) == (429, {"retry-after": "6"})
    shop.passes(seconds=6)
    assert [shop.deliver({}).status for _ in range(2)] == [200, 429]


@pytest.mark.parametrize(
    "wrong", [{"max_body": 0}, {"rate": 0}, {"burst": 0}, {"group_size": 0}, {"group_for": timedelta(seconds=-1)}]
)
def test_limits_that_nothing_could_pass_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        ReceiveLimits(**wrong)


def test_an_edit_takes_effect_at_once() -> None:
    shop = PushedShop()
    assert shop.deliver({}).status == 200
    token = BearerToken(secrets=Secret(CANARY))
    shop.engine.update_source(evolve(shop.source, connector=Webhook(signature=token)))
    assert shop.deliver({}).status == 401
    shop.engine.delete_source("wms")
    assert shop.deliver({}).status == 404
    shop.engine.add_source(pushed_source(shop.sink))
    assert shop.deliver({}).status == 200


def test_a_locked_database_is_a_503_and_nothing_is_kept(tmp_path: Path) -> None:
    clock = ManualClock(PushedShop().clock.now())
    store = SqlStateStore(str(tmp_path / "state.db"), clock=clock, lock_timeout=timedelta(milliseconds=50))
    shop = PushedShop(store=store)
    with sqlite3.connect(tmp_path / "state.db", isolation_level=None) as other:
        other.execute("begin immediate")
        answer = shop.deliver({"A1": 5}, message="one")
        other.execute("rollback")
    assert (answer.status, dict(answer.headers)) == (503, {"retry-after": "5"})
    assert shop.statuses() == []
    assert shop.deliver({"A1": 5}, message="one").status == 200
    assert shop.statuses() == ["waiting"]


class Gated(MemoryStateStore):
    """Holds the first group back until it is let go, and counts groups."""

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self.groups: list[int] = []
        self.entered, self.gate = threading.Event(), threading.Event()
        self.error: StoreError | None = None
        self.bad: set[bytes] = set()

    def put(self, entries: Sequence[Any], wake_in: timedelta = timedelta(0)) -> Any:
        """All or none."""
        self.groups.append(len(entries))
        self.entered.set()
        assert self.gate.wait(30)
        if self.error is not None and len(self.groups) > 1:
            raise self.error
        if any(entry.body in self.bad for entry in entries):
            raise StoreError("it cannot be stored", recovery=Recovery.STOP)
        return super().put(entries, wake_in)


def gated() -> tuple[PushedShop, Gated]:
    store = Gated(PushedShop().clock)
    return PushedShop(store=store), store


def statuses_of_many(shop: PushedShop, store: Gated, bodies: Sequence[dict[str, int]]) -> list[int]:
    """Of the first, which is held back, and of the others that come meanwhile."""
    deliveries = [shop.signed_delivery(body, message=f"m{number}") for number, body in enumerate(bodies)]
    with ThreadPoolExecutor(16) as threads:
        first = threads.submit(shop.engine.receive, "wms", deliveries[0])
        assert store.entered.wait(30)
        others = [threads.submit(shop.engine.receive, "wms", each) for each in deliveries[1:]]
        while len(shop.engine._receiving._writer._queue) < len(deliveries) - 1:
            threading.Event().wait(0.001)
        store.gate.set()
        return [first.result().status, *(each.result().status for each in others)]


def test_what_comes_at_once_is_kept_in_groups() -> None:
    shop, store = gated()
    assert statuses_of_many(shop, store, [{"A1": number} for number in range(16)]) == [200] * 16
    assert store.groups == [1, 15]
    assert shop.statuses() == ["waiting"] * 16


def test_a_group_that_fails_keeps_none_and_says_so_to_all() -> None:
    shop, store = gated()
    store.error = StoreUnavailable("the database is away")
    assert statuses_of_many(shop, store, [{"A1": number} for number in range(16)]) == [200, *[503] * 15]
    assert (store.groups, shop.statuses()) == ([1, 15], ["waiting"])


def test_a_delivery_at_fault_does_not_fail_its_group() -> None:
    shop, store = gated()
    store.bad = {shop.signed_delivery({"A1": 7}).body}
    statuses = statuses_of_many(shop, store, [{"A1": number} for number in range(16)])
    assert statuses == [503 if number == 7 else 200 for number in range(16)]
    assert shop.statuses() == ["waiting"] * 15


def test_sixteen_threads_keep_each_delivery_once(tmp_path: Path) -> None:
    clock = PushedShop().clock
    shop = PushedShop(store=SqlStateStore(str(tmp_path / "state.db"), clock=clock))
    deliveries = [shop.signed_delivery({"A1": number}, message=f"m{number}") for number in range(60)] * 3
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda each: shop.engine.receive("wms", each).status, deliveries))
    assert answers == [200] * 180
    assert len(shop.statuses()) == 60


def test_no_secret_is_kept_or_logged() -> None:
    shop = PushedShop()
    token = BearerToken(secrets=Secret(CANARY), header="X-Shop-Pass")
    shop.engine.update_source(evolve(shop.source, connector=Webhook(signature=token)))
    headers = {"x-shop-pass": CANARY, "cookie": CANARY, "authorization": f"Bearer {CANARY}", "content-type": "a/b"}
    now = shop.clock.now()
    with capture_logs() as logs:
        good = Delivery(headers, b'{"items": []}', now, url=f"https://shop.example/{CANARY}")
        assert shop.engine.receive("wms", good).status == 200
        assert shop.engine.receive("wms", evolve(good, body=b"{")).status == 400
        assert shop.engine.receive("wms", evolve(good, headers={"x-shop-pass": CANARY[1:]})).status == 401
        shop.run()
    structlog.reset_defaults()
    (kept,) = shop.engine.webhooks.deliveries("wms")
    assert CANARY not in repr((kept.headers, kept, logs, shop.engine.webhooks.refusals("wms")))
    assert CANARY[1:] not in repr((logs, shop.engine.webhooks.refusals("wms")))
    assert kept.headers["content-type"] == "a/b"


def test_endpoints_are_issued_resolved_and_retired() -> None:
    shop = PushedShop()
    webhooks = shop.engine.webhooks
    first = webhooks.issue_endpoint("wms", actor="ann")
    assert (len(first), webhooks.source_of(first), webhooks.source_of(first[:-1])) == (43, "wms", None)
    with pytest.raises(ConfigurationError, match="at least 0"):
        webhooks.issue_endpoint("wms", retire_others_in=timedelta(seconds=-5))
    second = webhooks.issue_endpoint("wms", retire_others_in=timedelta(hours=2))
    start = shop.clock.now()
    assert webhooks.endpoints("wms") == [Endpoint(start, start + timedelta(hours=2)), Endpoint(start)]
    shop.passes(hours=1)
    assert (webhooks.source_of(first), webhooks.source_of(second)) == ("wms", "wms")
    shop.passes(hours=1)
    assert (webhooks.source_of(first), webhooks.source_of(second)) == (None, "wms")
    audited = [(entry.action, entry.actor) for entry in shop.engine.audit("wms")]
    assert audited[:2] == [("issue_endpoint", "host"), ("issue_endpoint", "ann")]
    assert first not in repr(shop.engine.audit("wms"))
    shop.engine.delete_source("wms")
    assert webhooks.source_of(second) is None


def test_a_test_delivery_writes_nothing() -> None:
    shop = PushedShop(sink=MemorySink({"A1": 9}))
    test = shop.engine.webhooks.test("wms", shop.signed_delivery({"A1": 5}))
    assert test.answer.status == 200
    assert test.plan is not None and [(item.sku, int(item.new)) for item in test.plan.items()] == [("A1", 5)]
    bad = shop.engine.webhooks.test("wms", shop.signed_delivery(b"{}"))
    assert bad.problem is not None and "items" in bad.problem.message
    assert shop.engine.webhooks.test("wms", evolve(shop.signed_delivery({}), headers={})).answer.status == 401
    assert (shop.statuses(), shop.levels(), shop.engine.history("wms"), shop.run()) == ([], {}, [], [])


def test_a_captured_body_under_the_next_id_does_not_keep_the_next_delivery_out() -> None:
    """The header is not signed, so that whoever saw one delivery can send its body under any id."""
    shop = PushedShop(facts=EventFacts(id="header:X-Event"))

    def receive(levels: dict[str, int], event: str) -> int:
        one = shop.signed_delivery(levels)
        return shop.engine.receive("wms", evolve(one, headers=(*one.headers, ("X-Event", event)))).status

    assert [receive({"A1": 5}, "1"), receive({"A1": 5}, "2"), receive({"A1": 4}, "2")] == [200, 200, 200]
    assert len(shop.statuses()) == 3
    assert receive({"A1": 4}, "2") == 200
    assert len(shop.statuses()) == 3
    shop.run()
    assert shop.levels() == {"A1": 4}


def test_a_header_that_repeats_the_signed_id_is_proven() -> None:
    shop = PushedShop(facts=EventFacts(id="header:Webhook-Id"))
    assert shop.deliver({"A1": 5}, message="one").status == 200
    assert shop.deliver({"A1": 4}, message="one").status == 409


def test_a_time_in_a_header_is_kept_and_read() -> None:
    shop = PushedShop(facts=EventFacts(time="header:X-At"))
    for at, quantity in (("2026-03-02T11:00:00Z", 5), ("2026-03-02T10:00:00Z", 4)):
        one = shop.signed_delivery({"A1": quantity})
        assert shop.engine.receive("wms", evolve(one, headers=(*one.headers, ("X-At", at)))).status == 200
        shop.run()
    assert shop.levels() == {"A1": 5}


class _SlowLookups(MemoryStateStore):
    """Lets a test wait for a look-up to begin, and for its end."""

    def __init__(self) -> None:
        super().__init__()
        self.slow = False
        self.began, self.go_on = threading.Event(), threading.Event()
        self.error: StoreError | None = None

    def get(self, name: str) -> Any:
        """The source, once the test says so."""
        if self.slow and threading.current_thread() is not threading.main_thread():
            self.began.set()
            assert self.go_on.wait(10)
        if self.error is not None:
            raise self.error
        return super().get(name)


def test_deliveries_do_not_wait_for_the_source_to_be_looked_up_again() -> None:
    store = _SlowLookups()
    shop = PushedShop(store)
    assert shop.deliver({"A1": 5}).status == 200
    shop.clock.advance(timedelta(seconds=2))
    store.slow = True
    first, others = shop.signed_delivery({"A1": 6}), [shop.signed_delivery({"A1": number}) for number in range(7, 9)]
    with ThreadPoolExecutor(1) as threads:
        looking = threads.submit(shop.engine.receive, "wms", first)
        assert store.began.wait(10)
        store.error = StoreUnavailable("the store is away")
        assert [shop.engine.receive("wms", one).status for one in others] == [200, 200]
        store.go_on.set()
        assert looking.result().status == 503
    assert shop.engine.receive("wms", first).status == 503
    store.error = None
    assert shop.engine.receive("wms", first).status == 200
