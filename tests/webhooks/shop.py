"""A shop that is pushed to: stock in memory, an engine on a clock that the test holds, a sender that signs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from inventory_sources import Columns, Feed, JsonDecoder, MemorySink, MemoryStateStore, Secret, Source, SyncEngine
from inventory_sources.protocols.notifier import Notification
from inventory_sources.protocols.webhook import Answer, Delivery
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
        body = levels if isinstance(levels, bytes) else json.dumps({"items": rows(levels)}).encode()
        message = message or f"msg-{next(NEW_IDS)}"
        now = self.clock.now()
        return self.engine.receive("wms", Delivery(signed(body, at or now, message), body, now))

    def levels(self) -> dict[str, int]:
        """What the shop has, but for the nines it began with."""
        return {level.sku: int(level.quantity) for level in self.sink.levels(None) if level.quantity != 9}

    def passes(self, **time: float) -> None:
        """Time goes by."""
        self.clock.advance(timedelta(**time))


def rows(levels: dict[str, int]) -> list[dict[str, Any]]:
    """Items of a delivery."""
    return [{"sku": sku, "qty": quantity} for sku, quantity in levels.items()]


def pushed_source(sink: Any, *, feed: Feed | None = None, **webhook: Any) -> Source:
    """A source that is pushed to."""
    return Source(
        name="wms",
        connector=Webhook(signature=StandardWebhooks(secrets=SECRET), **webhook),
        decoder=JsonDecoder(records="items"),
        mapper=Columns(sku="sku", quantity="qty"),
        feed=feed or Feed.partial(),
        guards=(),
        sink=sink,
    )
