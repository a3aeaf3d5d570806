"""Receiver: what a connector adds to be pushed to, and the words of a delivery.

A host hands each request to its endpoint to :meth:`inventory_sources.SyncEngine.receive` as a :class:`Delivery` and
sends back the :class:`Answer`. The engine asks the source's receiver whether the sender is who it says; only then is
the delivery kept in the inbox, and only once it is kept is the answer a 2xx.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import cached_property
from math import inf
from typing import Protocol, runtime_checkable

from attrs import Attribute, define, field, frozen

from inventory_sources.errors import ConfigurationError

__all__ = ["Admitted", "Answer", "Delivery", "ReceiveLimits", "Receiver", "SignatureScheme", "Verified"]

_HeaderPairs = Mapping[str, str] | Iterable[tuple[str, str]]


def _pairs(headers: _HeaderPairs) -> tuple[tuple[str, str], ...]:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return tuple((name.lower(), value) for name, value in pairs)


def _aware(instance: object, attribute: object, moment: datetime) -> None:
    if moment.tzinfo is None:
        raise ConfigurationError("received_at needs a time zone", guidance="Use datetime.now(UTC).")


@define(frozen=True, slots=False)
class Delivery:
    """One request to a source's endpoint, as it came.

    :param headers: as pairs or a mapping; names are kept in lower case, repeated ones one after the other.
    :param body: the raw bytes, exactly as signed.
    :param received_at: when it came (UTC).
    :param url: the URL that the sender called, for schemes that sign it and for handshakes in the query; a host behind
        a proxy gives the public one.
    :param client: the peer's address, as far as the host trusts it, for allow-lists.
    :param certificate: the subject of a client certificate that the host's TLS has verified.
    """

    headers: tuple[tuple[str, str], ...] = field(converter=_pairs, repr=False)
    body: bytes = field(repr=False)
    received_at: datetime = field(validator=_aware)
    url: str = field(default="", repr=False)
    method: str = "POST"
    client: str | None = None
    certificate: str | None = None

    def header(self, name: str) -> str | None:
        """The one value of a header; ``None`` where it is missing or repeated, which no sender of ours does."""
        values = [value for key, value in self.headers if key == name.lower()]
        return values[0] if len(values) == 1 else None

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the body, in hexadecimal digits."""
        return hashlib.sha256(self.body).hexdigest()


@frozen
class Answer:
    """What goes back to the sender; the body is plain text unless a header says otherwise.

    :param reason: why a delivery is refused, in words for the host alone: the sender does not get them.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    reason: str = ""


@frozen
class Verified:
    """What a good signature proves.

    :param id: of the message, as the sender numbers it; ``None`` where the scheme has none.
    :param id_signed: whether the signature covers the id, so that nobody else could have chosen it.
    :param sent_at: when the sender says that it signed, where the signature covers that.
    """

    id: str | None = None
    id_signed: bool = False
    sent_at: datetime | None = None


class SignatureScheme(Protocol):
    """Proves who sent a delivery."""

    def verify(self, delivery: Delivery, now: datetime) -> Verified:
        """Looks at headers, URL and raw body alone; parses nothing.

        :raises SignatureInvalid: for whatever is missing, malformed, wrong, expired or from the future.
        :raises SecretNotFound: when nobody can be proven now, since no secret can be looked up; any other exception
            would be a fault of the scheme.
        """

    def handshake(self, delivery: Delivery) -> Answer | None:
        """The answer to a request by which a sender proves the endpoint before it sends; ``None`` for a delivery."""


@frozen
class Admitted:
    """A delivery that is to be kept.

    :param key: by which a repetition is recognised; ``None`` where nothing in it tells repetitions from new facts.
    :param key_proven: whether the key is the sender's own word, so that another body under it is a conflict.
    :param sequence: the sender's number of it, rising within ``sequence_of`` (an item, or everything where empty).
    :param headers: names in lower case of those to keep with it, beside what they say of the body: no others are kept,
        as any may hold a secret.
    """

    key: str | None = None
    key_proven: bool = False
    sequence: int | None = None
    sequence_of: str = ""
    headers: tuple[str, ...] = ()


def _at_least_one(instance: object, attribute: Attribute[int], number: int) -> None:
    if number < 1:
        raise ConfigurationError(f"{attribute.name} is 1 or more, not {number}")


@frozen
class ReceiveLimits:
    """What a source takes.

    :param max_body: bytes of a body.
    :param rate: deliveries a second over time; ``None`` for no limit.
    :param burst: how many may come at once before ``rate`` counts.
    :param group_for: how long deliveries may gather before they are applied together.
    :param group_size: the most deliveries that one run applies.
    """

    max_body: int = field(default=1024**2, validator=_at_least_one)
    rate: float | None = None
    burst: int = field(default=100, validator=_at_least_one)
    group_for: timedelta = timedelta(0)
    group_size: int = field(default=500, validator=_at_least_one)

    def __attrs_post_init__(self) -> None:
        if self.rate is not None and not 0 < self.rate < inf:
            raise ConfigurationError("rate is a number of deliveries a second, more than 0, or None for no limit")
        if not timedelta(0) <= self.group_for <= timedelta(days=1):
            raise ConfigurationError("group_for is at least 0 and at most a day")


@runtime_checkable
class Receiver(Protocol):
    """A connector that is pushed to."""

    @property
    def limits(self) -> ReceiveLimits:
        """What the source takes."""

    @property
    def accepted(self) -> Answer:
        """What the sender of a kept delivery is answered, a 2xx."""

    @property
    def at_once(self) -> bool:
        """Whether what was kept is applied before the sender is answered, where no other sync is running."""

    def admit(self, delivery: Delivery, now: datetime) -> Admitted | Answer:
        """What to keep a delivery as, or the answer that ends it: a handshake's, a 400, a 401, a 503.

        The body is within ``limits.max_body``. Nothing of it is parsed before its signature is good. ``now`` is the
        time of receipt. Never raises.
        """
