"""Receiving: from a request at a source's endpoint to a delivery in the inbox, and the answer to its sender."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from math import ceil
from typing import Any

from attrs import Factory, define, evolve, field, frozen

from inventory_sources.engine._inbox_writer import InboxWriter
from inventory_sources.engine._sources import SourceBook
from inventory_sources.errors import ConfigurationError, SourceNotFound, StoreError
from inventory_sources.protocols.clock import Clock
from inventory_sources.protocols.inbox import InboxEntry, Receipt
from inventory_sources.protocols.observer import DeliveryVerdict
from inventory_sources.protocols.store import AuditEntry, StateChange, StateStore, Transaction
from inventory_sources.protocols.webhook import Admitted, Answer, Delivery, ReceiveLimits, Receiver

__all__ = ["Received", "Receiving", "Refusal", "entry_of"]

#: For so long (seconds) a source is taken to be as it was looked up: an edit elsewhere shows after it.
_FRESH = 1.0
_REMEMBERED = 50
#: What is kept of any delivery; other headers may hold a secret.
_OF_THE_BODY = ("content-type", "content-encoding")

_NOT_FOUND = Answer(404)
_BUSY = Answer(503, (("retry-after", "5"),))
#: Of the answers to deliveries that are not taken; any other refuses the sender.
_VERDICTS = {
    404: DeliveryVerdict.UNKNOWN,
    409: DeliveryVerdict.CONFLICT,
    413: DeliveryVerdict.TOO_LARGE,
    429: DeliveryVerdict.LIMITED,
    503: DeliveryVerdict.UNAVAILABLE,
}


@frozen
class Received:
    """What a delivery came to.

    :param apply: whether what was kept is to be applied before the sender is answered.
    """

    answer: Answer
    verdict: DeliveryVerdict
    apply: bool = False


@frozen
class Refusal:
    """A delivery that was not taken, as this process remembers it."""

    at: datetime
    status: int
    reason: str


@define
class _Bucket:
    """Allows ``burst`` at once and ``rate`` a second over time."""

    tokens: float
    at: float

    def take(self, limits: ReceiveLimits, now: float) -> float:
        """Takes one; else gives the seconds until there is one."""
        rate = limits.rate or 0.0
        self.tokens = min(float(limits.burst), self.tokens + (now - self.at) * rate)
        self.at = now
        if self.tokens >= 1:
            self.tokens -= 1
            return 0.0
        return (1 - self.tokens) / rate


@frozen
class _Known:
    """A source as it was looked up."""

    receiver: Receiver | None
    until: float


@define
class Receiving:
    """Takes deliveries for all sources; safe to share between threads."""

    store: StateStore
    sources: SourceBook
    clock: Clock
    logger: Any
    _writer: InboxWriter = field(init=False, default=Factory(lambda self: InboxWriter(self.store), takes_self=True))
    _known: dict[str, _Known] = field(factory=dict, init=False)
    _buckets: dict[str, _Bucket] = field(factory=dict, init=False)
    _refused: dict[str, deque[Refusal]] = field(factory=dict, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def receive(self, name: str, delivery: Delivery) -> Received:
        """Judges a delivery and keeps it if it is good; a 2xx is durable, and nothing is ever raised."""
        try:
            receiver = self.receiver(name)
            if receiver is None:
                return self._refuse(name, _NOT_FOUND, "the source takes no deliveries")
            return self._judge(name, receiver, delivery)
        except SourceNotFound:
            return Received(_NOT_FOUND, DeliveryVerdict.UNKNOWN)
        except (StoreError, ConfigurationError) as error:
            self.logger.warning("delivery_not_kept", source=name, code=error.code, message=error.message)
        except Exception as error:  # noqa: BLE001 - a host's part may raise anything, and its text may hold a secret
            self.logger.error("delivery_crashed", source=name, error=type(error).__name__)  # noqa: TRY400
        return Received(_BUSY, DeliveryVerdict.UNAVAILABLE)

    def receiver(self, name: str) -> Receiver | None:
        """What receives for a source; ``None`` where its connector is not pushed to.

        :raises SourceNotFound: when there is none.
        :raises ConfigurationError: when this process cannot build it.
        """
        now = self.clock.monotonic()
        known = self._known.get(name)
        return known.receiver if known is not None and known.until > now else self._look_up(name, now)

    def _look_up(self, name: str, now: float) -> Receiver | None:
        """Looks a source up; one thread does, while the others go on with what was known."""
        with self._lock:
            known = self._known.get(name)
            if known is not None:
                if known.until > now:
                    return known.receiver
                self._known[name] = evolve(known, until=now + _FRESH)
        try:
            connector = self.sources.built(self.store.get(name)).connector
        except BaseException:
            self.forget(name)
            raise
        receiver = connector if isinstance(connector, Receiver) else None
        self._known[name] = _Known(receiver, now + _FRESH)
        return receiver

    def forget(self, name: str) -> None:
        """Has a source looked up again."""
        self._known.pop(name, None)

    def refusals(self, name: str) -> Sequence[Refusal]:
        """The last deliveries that this process did not take, the newest first."""
        with self._lock:
            return tuple(reversed(self._refused.get(name, ())))

    def _judge(self, name: str, receiver: Receiver, delivery: Delivery) -> Received:
        if len(delivery.body) > receiver.limits.max_body:
            return self._refuse(name, Answer(413), f"the body has more than {receiver.limits.max_body} bytes")
        admitted = receiver.admit(delivery, delivery.received_at)
        if isinstance(admitted, Answer) and admitted.status < 400:
            return Received(admitted, DeliveryVerdict.ANSWERED)
        if delivery.method != "POST":
            return self._refuse(name, Answer(405, (("allow", "POST"),)), "the method is not POST")
        if isinstance(admitted, Answer):
            return self._refuse(name, admitted, _words(admitted))
        wait = self._wait(name, receiver.limits)
        if wait:
            answer = Answer(429, (("retry-after", str(ceil(wait))),))
            return self._refuse(name, answer, "more deliveries than the source takes")
        return self._keep(name, receiver, admitted, delivery)

    def _wait(self, name: str, limits: ReceiveLimits) -> float:
        if limits.rate is None:
            return 0.0
        now = self.clock.monotonic()
        with self._lock:
            bucket = self._buckets.setdefault(name, _Bucket(float(limits.burst), now))
            return bucket.take(limits, now)

    def _keep(self, name: str, receiver: Receiver, admitted: Admitted, delivery: Delivery) -> Received:
        entry = entry_of(name, admitted, delivery)
        receipt = self._writer.put(entry, receiver.limits.group_for)
        if receipt is Receipt.GONE:
            self.forget(name)
            return Received(_NOT_FOUND, DeliveryVerdict.UNKNOWN)
        if receipt is Receipt.CONFLICT:
            self._record_conflict(name, entry)
            return self._refuse(name, Answer(409), f"another body came with the id {entry.key}")
        if receipt is Receipt.REPEATED:
            self.logger.info("delivery_repeated", source=name, key=entry.key)
            return Received(receiver.accepted, DeliveryVerdict.REPEATED)
        return Received(receiver.accepted, DeliveryVerdict.KEPT, apply=receiver.at_once)

    def _record_conflict(self, name: str, entry: InboxEntry) -> None:
        detail = f"a delivery with the id {entry.key} and another body ({entry.digest[:16]}) was refused"

        def write(tx: Transaction) -> None:
            entries = (AuditEntry(name, "delivery_conflict", "sender", tx.now, detail),)
            tx.write(StateChange(tx.source.state, audit=entries))

        self.store.transact(name, write)

    def _refuse(self, name: str, answer: Answer, reason: str) -> Received:
        self.logger.warning("delivery_refused", source=name, status=answer.status, reason=reason)
        with self._lock:
            known = self._refused.setdefault(name, deque(maxlen=_REMEMBERED))
            known.append(Refusal(self.clock.now(), answer.status, reason))
        return Received(answer, _VERDICTS.get(answer.status, DeliveryVerdict.REFUSED))


def entry_of(name: str, admitted: Admitted, delivery: Delivery) -> InboxEntry:
    """A delivery as the inbox keeps it, without the headers that nobody needs."""
    unique, kept = uuid.uuid4().hex, {*_OF_THE_BODY, *admitted.headers}
    return InboxEntry(
        id=unique,
        source=name,
        key=admitted.key or f"delivery:{unique}",
        received_at=delivery.received_at.astimezone(UTC),
        headers={key: value for key, value in delivery.headers if key in kept},
        body=delivery.body,
        digest=delivery.digest,
        sequence=admitted.sequence,
        sequence_of=admitted.sequence_of,
    )


def _words(answer: Answer) -> str:
    return answer.reason or answer.body.decode(errors="replace").strip()
