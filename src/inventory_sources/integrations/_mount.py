"""What the endpoints of all frameworks have in common.

The URL of a source is ``<mount>/<token>``. The token is looked up before a byte of the body is read, so that only who
knows one can make us read. Nothing here logs a path, a header or a body.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from attrs import field, frozen

from inventory_sources._log import event_logger
from inventory_sources._url import WebAddress
from inventory_sources.clock import SystemClock
from inventory_sources.errors import ConfigurationError
from inventory_sources.protocols.clock import Clock
from inventory_sources.protocols.webhook import Answer, Delivery

__all__ = ["MAX_BODY", "Endpoints", "Mount", "Refusal", "Tokens", "declared_length", "fields"]

#: Bytes of a body. What a source takes is its own, lower limit, which the engine keeps.
MAX_BODY = 10 * 1024**2

_TOKEN = re.compile(r"[A-Za-z0-9._~-]{1,200}")
_LENGTH = re.compile(r"[0-9]{1,18}")
_RETRY_AFTER = "5"

T = TypeVar("T")


class Tokens(Protocol):
    """Whose endpoint a token is."""

    def source_of(self, token: str) -> str | None:
        """The source that a token is of; ``None`` for one that is unknown or retired."""


class Endpoints(Protocol):
    """What a mount needs of a :class:`inventory_sources.SyncEngine`."""

    @property
    def webhooks(self) -> Tokens:
        """The endpoints of the sources."""

    def receive(self, name: str, delivery: Delivery, /) -> Answer:
        """Keeps a delivery and says what to answer; never raises."""


class Refusal(Exception):
    """Ends a request whose body was not, or not wholly, read: nothing else may follow on its connection."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.answer = Answer(status, (("retry-after", _RETRY_AFTER),) if status == 503 else ())


def _public(url: str | None) -> str:
    if url is None:
        return ""
    if WebAddress.parse(url).query:
        raise ConfigurationError("the public URL of a mount has a query", guidance="End it where the token follows.")
    return url.rstrip("/")


def _running(clock: Clock | None) -> Clock:
    return clock or SystemClock()


def _positive(instance: object, attribute: Any, value: Any) -> None:
    if value <= 0:
        raise ConfigurationError(f"the limits of a mount must be above 0, not {value}")


@frozen
class Mount:
    """The road of a request from its path to the engine, whatever the framework."""

    engine: Endpoints
    public_url: str = field(converter=_public)
    max_body: int = field(validator=_positive)
    body_timeout: float = field(validator=_positive)
    clock: Clock = field(converter=_running)

    def route(self, path: str) -> tuple[str, str]:
        """Token and source of a path, whose last part is the token however a framework shows it.

        :raises Refusal: 404 where no source has the token; 503 where that cannot be told.
        """
        token = path.rstrip("/").rpartition("/")[2]
        source = self._asked(lambda: self.engine.webhooks.source_of(token)) if _TOKEN.fullmatch(token) else None
        if source is None:
            raise Refusal(404)
        return token, source

    def url(self, token: str, path: str, query: str) -> str:
        """What the sender called: below the public URL where that is declared, else path and query alone."""
        called = f"{self.public_url}/{token}" if self.public_url else path
        return f"{called}?{query}" if query else called

    def receive(self, source: str, delivery: Delivery) -> Answer:
        """The engine's answer.

        :raises Refusal: 503 where the engine broke its promise never to raise: the sender comes again.
        """
        return self._asked(lambda: self.engine.receive(source, delivery))

    def judge_length(self, declared: int | None) -> None:
        """Looks at a declared length before anything is read.

        :raises Refusal: 413 when it is above the limit.
        """
        if declared is not None and declared > self.max_body:
            raise Refusal(413)

    def _asked(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except Exception as error:  # noqa: BLE001 - a fault of ours must not lose a delivery, nor print what was sent
            event_logger().warning("receiving_failed", error=type(error).__name__)
            raise Refusal(503) from None


def declared_length(text: str | None) -> int | None:
    """What a Content-Length says; ``None`` where there is none.

    :raises Refusal: 400 where it is no number, or several.
    """
    if not text:
        return None
    if not _LENGTH.fullmatch(text):
        raise Refusal(400)
    return int(text)


def fields(answer: Answer) -> Iterable[tuple[str, str]]:
    """The header fields of an answer, in lower case and with the length and the type of its body."""
    given = [(name.lower(), value.encode("latin-1", "replace").decode("latin-1")) for name, value in answer.headers]
    names = {name for name, _ in given}
    yield from ((name, value) for name, value in given if name != "content-length")
    if answer.status not in {204, 304}:
        if "content-type" not in names:
            yield "content-type", "text/plain; charset=utf-8"
        yield "content-length", str(len(answer.body))
