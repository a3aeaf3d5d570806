"""Tokens that end: asked for when needed, kept in memory, asked for once more when one is refused."""

from __future__ import annotations

import copy
import math
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from inventory_sources._http import HttpAnswer, HttpRequest, refusal
from inventory_sources._url import WebAddress
from inventory_sources.errors import (
    AccessRefused,
    ConfigurationError,
    FetchError,
    FetchTimeout,
    InventorySourcesError,
    ServerFailed,
    StructureInvalid,
)
from inventory_sources.rest._auth import with_headers
from inventory_sources.rest._session import json_of

if TYPE_CHECKING:
    from inventory_sources.rest._session import RestSession

__all__ = ["Token", "TokenAuth", "TokenCell", "header_value", "judged", "names"]

_LEEWAY = 60.0
_SENDABLE = re.compile(r"[!-~]+")
_PASSING = frozenset({"server_error", "temporarily_unavailable"})
#: Of RFC 6749, sections 4.1.2.1 and 5.2, and RFC 8707. Only these are shown: any other may quote what was sent.
_REFUSED = frozenset(
    "access_denied invalid_client invalid_grant invalid_request invalid_scope invalid_target unauthorized_client "
    "unsupported_grant_type".split()
)
_GUIDANCE = {
    "invalid_grant": "What the token is given for has ended or was withdrawn: have the account connected again."
}


@frozen
class Token:
    """A token as it goes into a header.

    :param lifetime: in seconds; ``None`` when it is good until it is refused.
    :param server: scheme and authority of the server that it is for; ``None`` for the one that is declared.
    """

    value: str = field(repr=False)
    lifetime: float | None = None
    server: str | None = None


class TokenCell:
    """The token of one declaration, for all threads that use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._until = math.inf
        self._failures = 0
        self._failure: InventorySourcesError | None = None

    def __deepcopy__(self, memo: object) -> TokenCell:
        return TokenCell()

    def get(self, session: RestSession, ask: Callable[[RestSession], Token]) -> Token:
        """The token, asked for where there is none that lasts; who waits meanwhile gets the same or the same error."""
        failures = self._failures
        if not self._lock.acquire(timeout=session.client.left()):
            raise FetchTimeout("the token that another request asks for did not arrive in time")
        try:
            if self._token and session.context.clock.monotonic() < self._until:
                return self._token
            if self._failure and self._failures != failures:
                raise self._failure
            return self._ask(session, ask)
        finally:
            self._lock.release()

    def drop(self, value: str | None) -> None:
        """Forgets a token that was refused, unless another has taken its place."""
        with self._lock:
            if self._token and self._token.value == value:
                self._token = None

    def _ask(self, session: RestSession, ask: Callable[[RestSession], Token]) -> Token:
        self._token = self._failure = None
        before = session.context.clock.monotonic()
        try:
            self._token = ask(session)
        except (FetchError, StructureInvalid) as error:
            # A copy, as an error holds on to all that led to it.
            self._failure, self._failures = copy.copy(error), self._failures + 1
            raise
        lifetime = self._token.lifetime or math.inf
        # A short-lived token is not to be over before it is used.
        self._until = before + lifetime - min(_LEEWAY, lifetime / 10)
        return self._token


@frozen(kw_only=True)
class TokenAuth(ABC):
    """What every way to a token has in common.

    The token lives in this object alone: it is not shown, compared, stored or copied.
    """

    _cell: TokenCell = field(factory=TokenCell, init=False, repr=False, eq=False)

    @property
    def sends_secrets(self) -> bool:
        """It does."""
        return True

    def sign(self, request: HttpRequest, session: RestSession) -> HttpRequest:
        """The request with the token, which is asked for where there is none.

        :raises FetchError: when it cannot be had; :class:`AccessRefused` when the credentials are wrong.
        """
        token = self._cell.get(session, self._ask)
        signed = with_headers(request, {self._header(): token.value})
        if token.server is None:
            return signed
        return evolve(signed, url=f"{token.server}{WebAddress.parse(request.url).target}")

    def renew(self, refused: HttpRequest, session: RestSession) -> bool:
        """Always: the refused token is forgotten and another asked for."""
        self._cell.drop(refused.headers.get(self._header()))
        return True

    @abstractmethod
    def _header(self) -> str:
        """Where the token goes."""

    @abstractmethod
    def _ask(self, session: RestSession) -> Token:
        """Another token."""


def names(values: Iterable[str]) -> tuple[str, ...]:
    """As `tuple`, which would take a text for a list of its letters."""
    if isinstance(values, str):
        raise ConfigurationError("a list of texts is needed, not one text")
    return tuple(values)


def judged(answer: HttpAnswer, session: RestSession) -> Mapping[str, Any]:
    """The object that answers a request for a token; nothing of it is ever shown but a known error code.

    :raises AccessRefused: when the credentials are not good for one, naming the code of OAuth 2.0 (RFC 6749, 5.2).
    :raises FetchError: when the server fails or refuses.
    :raises StructureInvalid: when it is no JSON object.
    """
    document = _document(answer)
    code = str(document.get("error")) if document else ""
    if code in _REFUSED and answer.status < 429:
        raise AccessRefused(f"{answer.origin} gives no token: {code}", guidance=_GUIDANCE.get(code))
    if code in _PASSING:
        raise ServerFailed(f"{answer.origin} gives no token: {code}")
    headers = session.manners.told(answer.headers)
    refused = refusal(answer.status, headers, answer.origin, session.context.clock.now())
    if refused:
        raise refused
    if document is None:
        raise StructureInvalid(
            f"{answer.origin} gives no token: its answer is no JSON object with each key once",
            guidance="A login or error page looks like this; check the token's URL.",
        )
    return document


def _document(answer: HttpAnswer) -> dict[str, Any] | None:
    try:
        document = json_of(answer)
    except InventorySourcesError:
        return None
    return document if isinstance(document, dict) else None


def header_value(scheme: str, token: object, origin: str) -> str:
    """A token as a header holds it.

    :raises StructureInvalid: when HTTP cannot send it.
    """
    if not isinstance(token, str) or not _SENDABLE.fullmatch(token):
        raise StructureInvalid(
            f"{origin} gives no token that a header can hold", guidance="Check the token's URL and what it answers."
        )
    return f"{scheme} {token}".lstrip()
