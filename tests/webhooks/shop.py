"""A shop that is pushed to: stock in memory, an engine on a clock that the test holds, a sender that signs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from inventory_sources import Columns, Feed, JsonDecoder, MemorySink, MemoryStateStore, Secret, Source, SyncEngine
from inventory_sources.payload import Evidence, Payload, Proof
from inventory_sources.protocols.connector import FetchContext
from inventory_sources.protocols.notifier import Notification
from inventory_sources.protocols.webhook import Answer, Delivery
from inventory_sources.run import SyncRun
from inventory_sources.status import SourceState
from inventory_sources.testing import ManualClock
from inventory_sources.webhooks import EventFacts, StandardWebhooks, Webhook

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
KEY = b"a key of thirty-two bytes length"
SECRET = Secret("whsec_" + base64.b64encode(KEY).decode())
BY_ID = EventFacts(id="id", time="at")
NEW_IDS = itertools.count(1)


def signed(body: bytes, at: datetime, message: str) -> dict[str, str]:
    """Headers as the Standard Webhooks specification describes them: HMAC-SHA256 over id, unix time and body."""
    stamp = str(int(at.timestamp()))
    digest = hmac.new(KEY, f"{message}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": message,
        "webhook-timestamp": stamp,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
        "content-type": "application/json",
    }


class Mailbox:
    """A notifier that keeps what it was handed."""

    def __init__(self) -> None:
        self.received: list[Notification] = []

    def notify(self, notification: Notification) -> None:
        """Keeps it."""
        self.received.append(notification)

    @property
    def kinds(self) -> list[str]:
        """What was told, in order."""
        return [notification.kind.value for notification in self.received]


class Pulled:
    """A connector that gives the levels it was last given, and counts how often it was asked."""

    def __init__(self, levels: dict[str, int], as_of: datetime | None = None) -> None:
        self.levels = levels
        self.as_of = as_of
        self.fetches = 0
        self.meanwhile: Callable[[], object] = lambda: None
        self.error: Exception | None = None

    def fetch(self, context: FetchContext) -> Iterator[Payload]:
        """All of it."""
        self.fetches += 1
        self.meanwhile()
        if self.error is not None:
            raise self.error
        body = json.dumps({"items": rows(self.levels)}).encode()
        proven = Evidence(frozenset({Proof.LENGTH}))
        sha256 = hashlib.sha256(body).hexdigest()
        yield Payload("pulled", body, as_of=self.as_of, size=len(body), evidence=proven, sha256=sha256)


class PushedShop:
    """The host."""

    def __init__(self, store: Any = None, sink: Any = None, **source: Any) -> None:
        self.clock = ManualClock(START)
        self.store = store or MemoryStateStore(clock=self.clock)
        self.sink = sink or MemorySink({f"A{number}": Decimal(9) for number in range(10)})
        self.mailbox = Mailbox()
        self.engine = SyncEngine(self.store, clock=self.clock, notifier=self.mailbox)
        self.source = pushed_source(self.sink, **source)
        self.engine.add_source(self.source)

    def deliver(self, levels: Any, *, message: str | None = None, at: datetime | None = None) -> Answer:
        """Signs and hands in one delivery."""
        return self.engine.receive("wms", self.signed_delivery(levels, message=message, at=at))

    def signed_delivery(
        self,
        levels: Any,
        *,
        message: str | None = None,
        at: datetime | None = None,
        received_at: datetime | None = None,
    ) -> Delivery:
        """A delivery as its sender signs it; received now unless said otherwise."""
        body = levels if isinstance(levels, bytes) else json.dumps({"items": rows(levels)}).encode()
        now = received_at or self.clock.now()
        return Delivery(signed(body, at or now, message or f"msg-{next(NEW_IDS)}"), body, now)

    def deliver_with(self, facts: dict[str, Any], levels: dict[str, int], **more: Any) -> Answer:
        """One delivery that says something beside its items."""
        return self.deliver(json.dumps({**facts, "items": rows(levels)}).encode(), **more)

    def run(self) -> list[SyncRun]:
        """What is due, until nothing is; a source that never comes to rest is a fault."""
        done: list[SyncRun] = []
        for _ in range(30):
            runs = self.engine.run_due()
            if not runs:
                return done
            done += runs
        raise AssertionError("the source runs again and again")

    def state(self) -> SourceState:
        """Where the source stands."""
        return self.engine.status("wms")

    def statuses(self) -> list[str]:
        """Of the deliveries, the first received first."""
        return [entry.status.value for entry in reversed(self.engine.webhooks.deliveries("wms", 1000))]

    def levels(self) -> dict[str, int]:
        """What the shop has, but for the nines it began with."""
        return {level.sku: int(level.quantity) for level in self.sink.levels(None) if level.quantity != 9}

    def passes(self, **time: float) -> None:
        """Time goes by."""
        self.clock.advance(timedelta(**time))


def rows(levels: dict[str, int]) -> list[dict[str, Any]]:
    """Items of a delivery."""
    return [{"sku": sku, "qty": quantity} for sku, quantity in levels.items()]


def pushed_source(
    sink: Any, *, feed: Feed | None = None, guards: Any = (), frequency: str = "manual", **webhook: Any
) -> Source:
    """A source that is pushed to."""
    return Source(
        name="wms",
        connector=Webhook(signature=StandardWebhooks(secrets=SECRET), **webhook),
        decoder=JsonDecoder(records="items"),
        mapper=Columns(sku="sku", quantity="qty"),
        feed=feed or Feed.partial(),
        guards=guards,
        frequency=frequency,
        sink=sink,
    )
