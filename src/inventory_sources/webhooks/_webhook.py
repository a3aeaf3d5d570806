"""Webhook: a connector that is pushed to, and that may pull beside it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from attrs import field, frozen

from inventory_sources import _json
from inventory_sources._http._coding import capped, decoded
from inventory_sources.errors import (
    ConfigurationError,
    DeliveryRefused,
    InventorySourcesError,
    SecretNotFound,
    SignatureInvalid,
    SourceMissing,
)
from inventory_sources.payload import Evidence, Payload, Proof
from inventory_sources.protocols.connector import CheckableConnector, Connector, FetchContext, Fetched, Head
from inventory_sources.protocols.inbox import InboxEntry
from inventory_sources.protocols.webhook import Admitted, Answer, Delivery, ReceiveLimits, SignatureScheme
from inventory_sources.run import Trigger
from inventory_sources.webhooks._event_facts import EventFacts
from inventory_sources.webhooks._numbers import Numbers

__all__ = ["TargetedConnector", "Webhook"]

_PLAIN_KEY = re.compile(r"[!-~]{1,200}")
#: Seconds in which a missing secret may be provided.
_MEND_IN = "60"
_MOST_THIN = 10_000
_MAX_RATIO = 100.0
#: A decoded body may have this many times the bytes that an encoded one may have.
_LARGEST = 8


@runtime_checkable
class TargetedConnector(Connector, Protocol):
    """A connector that can fetch some items instead of everything."""

    def fetch_items(self, context: FetchContext, items: Sequence[str]) -> Iterable[Fetched]:
        """As ``fetch``, for the items whose identifiers an event gave."""


@frozen(kw_only=True)
class Webhook:
    """Deliveries that an external system pushes to an endpoint of the host's.

    It is a connector and a :class:`~inventory_sources.protocols.webhook.Receiver`: the engine keeps what it admits in
    the inbox, and a sync reads the inbox. What is pushed counts as a partial feed, whatever the source's feed is, as a
    delivery tells of some items: those it leaves out keep their levels.

    With ``pull``, a connector beside it, scheduled syncs and "sync now" pull, and deliveries are applied in between.

    :param signature: proves who sent a delivery.
    :param pull: fetches the levels themselves, for syncs that no delivery started.
    :param facts: where a delivery says its id, its time and its number.
    :param thin: a delivery only says that something changed: it starts a pull, however many there are. With a path
        to the item's identifier and a :class:`TargetedConnector`, only the items named are fetched.
    :param snapshot: each delivery carries the levels of all items.
    :param json: whether bodies are JSON; those that are not are answered with 400.
    :param max_depth: of a JSON body's nesting.
    :param encodings: content encodings that are taken, of ``gzip`` and ``deflate``; the signature is of the encoded
        bytes.
    :param reply: the body of the answer to a delivery that was kept; JSON where it begins with a brace.
    :param at_once: applies what was kept before the sender is answered, where no other sync is running; workers do it
        otherwise. Senders wait a few seconds at most, so this is for small feeds and quick sinks.
    :param limits: what the source takes.
    """

    signature: SignatureScheme
    pull: Connector | None = None
    facts: EventFacts = field(factory=EventFacts)
    thin: bool | str = False
    snapshot: bool = False
    json: bool = True
    max_depth: int = 64
    encodings: tuple[str, ...] = field(default=(), converter=tuple)
    reply: str = ""
    at_once: bool = False
    limits: ReceiveLimits = field(factory=ReceiveLimits)

    def __attrs_post_init__(self) -> None:
        if self.thin and self.pull is None:
            raise ConfigurationError(
                "deliveries that only say that something changed need a connector to fetch it",
                guidance="Give pull=, the connector that reads the levels, or thin=False.",
            )
        if self.thin and self.snapshot:
            raise ConfigurationError("a delivery cannot be thin and a snapshot")
        unknown = set(self.encodings) - {"gzip", "deflate"}
        if unknown:
            raise ConfigurationError(
                f"deliveries cannot be taken in {', '.join(sorted(map(repr, unknown)))}",
                guidance="Use 'gzip' or 'deflate'.",
            )
        if (isinstance(self.thin, str) or self.facts.reads_body) and not self.json:
            raise ConfigurationError("facts can only be read from JSON bodies", guidance="Name headers instead.")

    @property
    def gives_changes(self) -> bool:
        """Whether a fetch may give less than everything; what is pushed beside a pull is told run by run."""
        if self.pull is None:
            return not self.snapshot
        return getattr(self.pull, "gives_changes", False) is True

    @property
    def host(self) -> str | None:
        """The server that ``pull`` asks; see :class:`~inventory_sources.protocols.connector.Connector`."""
        return getattr(self.pull, "host", None)

    @property
    def accepted(self) -> Answer:
        """What the sender of a kept delivery is answered."""
        kind = "application/json" if self.reply.startswith("{") else "text/plain; charset=utf-8"
        return Answer(200, (("content-type", kind),), self.reply.encode())

    def admit(self, delivery: Delivery, now: datetime) -> Admitted | Answer:
        """What to keep a delivery as, or the answer that ends it."""
        handshake = self.signature.handshake(delivery)
        if handshake is not None:
            return handshake
        try:
            verified = self.signature.verify(delivery, now)
        except SignatureInvalid as error:
            return Answer(401, reason=error.message)
        except SecretNotFound as error:  # the sender may be right, and is to come again
            return Answer(503, (("retry-after", _MEND_IN),), reason=error.message)
        if (delivery.header("content-encoding") or "identity").lower() not in ("identity", *self.encodings):
            return _refusal(415, "this content encoding is not taken")
        try:
            found = self.facts.read(delivery, self._document(delivery))
        except InventorySourcesError as error:
            return _refusal(400, error.message)
        signed = verified.id if verified.id_signed else None
        key = found.id or verified.id
        proven = key is not None and (key == signed or (key == found.id and self.facts.id_in_body))
        if key and not proven:  # or a captured body under an id that is still to come would keep that delivery out
            key = f"{key} {delivery.digest}"
        of = _storable(found.sequence_of) or ""
        return Admitted(_storable(key), proven, found.sequence, of, self.facts.later_headers)

    def fetch(self, context: FetchContext) -> Iterator[Fetched]:
        """Reads the inbox, or pulls."""
        if self.pull is None or (context.trigger is Trigger.WEBHOOK and not self.thin):
            yield from self._drained(context)
        else:
            yield from self._pulled(context, self.pull)

    def check(self, context: FetchContext) -> Head:
        """The head of what ``pull`` gives, or else the oldest delivery that waits.

        :raises SourceMissing: when nothing was pushed yet.
        """
        if isinstance(self.pull, CheckableConnector):
            return self.pull.check(context)
        waiting = context.inbox.waiting(1) if context.inbox else ()
        if not waiting:
            raise SourceMissing(
                "no delivery waits to be looked at",
                guidance="Have the sender push once, or send a test delivery, and check again.",
            )
        body = self._plain(waiting[0])
        return Head(_origin(waiting[0]), body, complete=True, media_type=_media_type(waiting[0]), size=len(body))

    def _document(self, delivery: Delivery) -> object:
        if not self.json:
            return None
        body = self._decoded(delivery.body, delivery.header("content-encoding"))
        try:
            return _json.parse(body.decode(), self.max_depth)
        except UnicodeDecodeError as error:
            raise DeliveryRefused(f"the body is not UTF-8: byte {error.start}") from None
        except ValueError as error:
            raise DeliveryRefused(f"the body is not JSON: {error}") from None

    def _decoded(self, body: bytes, encoding: str | None) -> bytes:
        coding = (encoding or "identity").lower()
        if coding == "identity":
            return body
        chunks = decoded(iter((body,)), coding, max_ratio=_MAX_RATIO, origin="the body")
        return b"".join(capped(chunks, _LARGEST * self.limits.max_body, "the body"))

    def _plain(self, entry: InboxEntry) -> bytes:
        return self._decoded(entry.body, entry.headers.get("content-encoding"))

    def _drained(self, context: FetchContext) -> Iterator[Payload]:
        most = 1 if self.snapshot else self.limits.group_size
        waiting = list(context.inbox.waiting(most + 1)) if context.inbox else []
        pushed = context.outcome.pushed
        pushed.drained, pushed.whole, pushed.wait = True, self.snapshot, len(waiting) > most
        pushed.beside = self.pull is not None
        if context.inbox is None or not waiting:
            context.nothing_new("nothing was pushed since the last sync")
            return
        numbers = Numbers.of(context.inbox, waiting)
        for entry in waiting[:most]:
            context.checkpoint()
            self._look_for_gap(entry, numbers, context)
            try:
                payload = self._payload(entry, numbers)
            except InventorySourcesError as error:
                pushed.unreadable[entry.id] = error
            else:
                yield payload

    def _payload(self, entry: InboxEntry, numbers: Numbers) -> Payload:
        body = self._plain(entry)
        return Payload(
            _origin(entry),
            body,
            as_of=self.facts.observed_at(entry, body) or numbers.received_at(entry),
            evidence=Evidence(frozenset({Proof.LENGTH})),
            media_type=_media_type(entry),
            size=len(body),
            delivery=entry.id,
        )

    def _look_for_gap(self, entry: InboxEntry, numbers: Numbers, context: FetchContext) -> None:
        missing = None if entry.attempts else numbers.missing_before(entry)
        if missing is None:
            return
        of = f" of {entry.sequence_of}" if entry.sequence_of else ""
        context.warn(f"number {missing}{of} is missing before {_origin(entry)}")
        if self.pull is not None:
            context.more_waits()

    def _pulled(self, context: FetchContext, pull: Connector) -> Iterator[Fetched]:
        waiting = list(context.inbox.waiting(_MOST_THIN if self.thin else 1)) if context.inbox else []
        pushed = context.outcome.pushed
        if not self.thin:
            pushed.wait = bool(waiting)
            yield from pull.fetch(context)
            return
        pushed.wait, pushed.covered = len(waiting) == _MOST_THIN, tuple(entry.id for entry in waiting)
        items = self._items(waiting) if context.trigger is Trigger.WEBHOOK else None
        if items and isinstance(pull, TargetedConnector):
            pushed.drained = True
            yield from pull.fetch_items(context, items)
        else:
            yield from pull.fetch(context)

    def _items(self, waiting: Sequence[InboxEntry]) -> list[str] | None:
        """The items that the events name, each once; ``None`` where one of them names none."""
        if not isinstance(self.thin, str):
            return None
        items: dict[str, None] = {}
        for entry in waiting:
            try:
                item = _json.follow(_json.parse(self._plain(entry).decode(), self.max_depth), self.thin)
            except (InventorySourcesError, ValueError):
                return None
            if not isinstance(item, str) or not item:
                return None
            items[item] = None
        return list(items)


def _refusal(status: int, reason: str) -> Answer:
    return Answer(status, (("content-type", "text/plain; charset=utf-8"),), f"{reason}\n".encode())


def _storable(key: str | None) -> str | None:
    if not key or _PLAIN_KEY.fullmatch(key):
        return key
    return f"sha256:{hashlib.sha256(key.encode(errors='surrogatepass')).hexdigest()}"


def _origin(entry: InboxEntry) -> str:
    return f"delivery {entry.id}"


def _media_type(entry: InboxEntry) -> str | None:
    return entry.headers.get("content-type")
