"""Where a delivery says its id, its time and its number."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Literal

from attrs import field, frozen

from inventory_sources import _json
from inventory_sources.errors import ConfigurationError, DeliveryRefused, StructureInvalid
from inventory_sources.protocols.inbox import InboxEntry
from inventory_sources.protocols.webhook import Delivery

__all__ = ["EventFacts", "FoundFacts"]

_HEADER = "header:"
_NUMBER = re.compile(r"[0-9]{1,18}")
_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|z|[+-][0-9]{2}:?[0-9]{2})"
)
_UNIX = {"unix": timedelta(seconds=1), "unix_ms": timedelta(milliseconds=1)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@frozen
class FoundFacts:
    """What a delivery said."""

    id: str | None = None
    sequence: int | None = None
    sequence_of: str = ""


def _check_place(instance: object, attribute: object, place: str | None) -> None:
    if place is not None and (not place or place == _HEADER):
        raise ConfigurationError("a fact's place is a path in the body or 'header:' and a header's name")


_place = field(default=None, validator=_check_place)


@frozen(kw_only=True)
class EventFacts:
    """Where a delivery says its id, its time and its number.

    A place is a path in the JSON body (``event.id``, or a JSON Pointer ``/event/id``), or ``header:`` and a name. A
    header is proven only where the signature covers it, so ids and times are better read from the body.

    :param id: of the event: a delivery that comes again with it is recognised, and with another body refused; that
        only if the id is in the body or signed, as another body under any other is another delivery.
    :param time: when the levels were observed; the time of receipt stands for it otherwise.
    :param time_format: ``iso`` (ISO 8601 with an offset), ``unix`` (seconds) or ``unix_ms``.
    :param sequence: the sender's number of the event, which rises by one. It orders deliveries where there is no
        time, and tells when one is missing.
    :param sequence_of: what the numbers count within, such as an item's id; everything of the source otherwise.
    """

    id: str | None = _place
    time: str | None = _place
    time_format: Literal["iso", "unix", "unix_ms"] = "iso"
    sequence: str | None = _place
    sequence_of: str | None = _place

    def __attrs_post_init__(self) -> None:
        if self.sequence_of is not None and self.sequence is None:
            raise ConfigurationError("sequence_of says what sequence counts within, and there is no sequence")

    @property
    def reads_body(self) -> bool:
        """Whether any of it is in the body."""
        places = (self.id, self.time, self.sequence, self.sequence_of)
        return any(place is not None and not place.startswith(_HEADER) for place in places)

    @property
    def id_in_body(self) -> bool:
        """Whether the id is in the body, which every signature covers."""
        return self.id is not None and not self.id.startswith(_HEADER)

    @property
    def later_headers(self) -> tuple[str, ...]:
        """Names of the headers that are read again once the delivery is kept."""
        at = self.time or ""
        return (at.removeprefix(_HEADER).lower(),) if at.startswith(_HEADER) else ()

    def read(self, delivery: Delivery, document: object) -> FoundFacts:
        """What is declared of a delivery, and a proof that its time can be read.

        :raises DeliveryRefused: naming what is not there or cannot be read.
        """

        def at(place: str) -> str:
            if place.startswith(_HEADER):
                return _text(delivery.header(place[len(_HEADER) :]), place)
            return _text(_at(document, place), place)

        if self.time is not None:
            self._moment(at(self.time))
        return FoundFacts(
            None if self.id is None else at(self.id),
            None if self.sequence is None else _number(at(self.sequence), self.sequence),
            "" if self.sequence_of is None else at(self.sequence_of),
        )

    def observed_at(self, entry: InboxEntry, body: bytes) -> datetime | None:
        """The event's own time (UTC), where one is declared."""
        if self.time is None:
            return None
        if self.time.startswith(_HEADER):
            return self._moment(_text(entry.headers.get(self.time[len(_HEADER) :].lower()), self.time))
        return self._moment(_text(_at(_json.parse(body.decode()), self.time), self.time))

    def _moment(self, text: str) -> datetime:
        try:
            if self.time_format == "iso":
                if _ISO.fullmatch(text):
                    return datetime.fromisoformat(text).astimezone(UTC)
            elif _NUMBER.fullmatch(text):
                return _EPOCH + int(text) * _UNIX[self.time_format]
        except (ValueError, OverflowError):
            pass
        wanted = {"iso": "ISO 8601 with an offset", "unix": "unix seconds", "unix_ms": "unix milliseconds"}
        raise DeliveryRefused(f"the time at {self.time} is {text[:40]!r}, not {wanted[self.time_format]}")


def _at(document: object, place: str) -> object:
    try:
        return _json.follow(document, place)
    except StructureInvalid as error:
        raise DeliveryRefused(error.message) from None


def _text(value: object, place: str) -> str:
    if not isinstance(value, str) or not value:
        raise DeliveryRefused(f"there is no text or number at {place}")
    return value


def _number(text: str, place: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise DeliveryRefused(f"the sequence number at {place} is {text[:40]!r}, not a whole number")
    return int(text)
