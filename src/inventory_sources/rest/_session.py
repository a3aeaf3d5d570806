"""The requests of one fetch: signed, within the source's manners, and judged by their status."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import evolve, field, frozen

from inventory_sources import _json
from inventory_sources._http import HttpAnswer, HttpClient, HttpRequest, Incoming, refusal
from inventory_sources.errors import (
    AccessRefused,
    ConnectFailed,
    FetchError,
    RateLimited,
    Recovery,
    StructureInvalid,
    Truncated,
)
from inventory_sources.rest._manners import Manners
from inventory_sources.rest._pace import Pace

if TYPE_CHECKING:
    from inventory_sources.payload import Payload
    from inventory_sources.protocols.connector import FetchContext
    from inventory_sources.rest._auth import Auth

__all__ = ["RestSession"]

T = TypeVar("T")

_DEEPEST = 64
_SHOWN_KINDS = frozenset({"application/octet-stream", "application/xml", "text/csv", "text/html", "text/xml"})
#: What may be gone at the next try.
_PASSING = (ConnectFailed, Truncated, RateLimited)
_PASSING_STATUSES = frozenset({408, 429, 500, 502, 503, 504})


@frozen
class RestSession:
    """Sends requests for one fetch; may be used from several threads.

    :param auth: signs them; ``None`` sends them as they are.
    :param manners: how fast they go, and which are sent again.
    """

    client: HttpClient
    context: FetchContext
    auth: Auth | None = None
    manners: Manners = field(factory=Manners)
    pace: Pace = field(repr=False)

    @pace.default
    def _own_pace(self) -> Pace:
        return Pace(self.manners, self.context.clock, self.client.left)

    def send(self, request: HttpRequest, *, also: frozenset[int] = frozenset()) -> HttpAnswer:
        """The whole answer to a signed request, in memory.

        :param also: statuses that are an answer, too, such as 202 for a job that was begun.
        :raises FetchError: when it cannot be had, or its status is none of 200, 203, 204 and ``also``.
        """
        return self._tried(request, lambda signed: self._once(signed, self._read, also), self.auth)

    def credentials(self, request: HttpRequest, judge: Callable[[HttpAnswer], T]) -> T:
        """What an endpoint gives that tells who asks: not signed, and within the manners like any other request.

        It is sent again as one that only asks: what voids a credential is asked for with the same one at the next
        sync anyway.

        :param judge: what to make of an answer, whatever its status.
        :raises FetchError: when there is none, or ``judge`` finds it to be of no use.
        """
        return self._tried(evolve(request, repeatable=True), lambda plain: self._judged(plain, judge))

    def download(
        self, request: HttpRequest, *, signed: bool = True, also: frozenset[int] = frozenset()
    ) -> tuple[HttpAnswer, Payload]:
        """The answer to a request, without its body, and the body in the run's spool.

        :param signed: ``False`` for another origin, where no credentials may go.
        :param also: statuses that are an answer, too, such as 304 to a request with a condition.
        :raises FetchError: as :meth:`send` does.
        """
        return self._tried(request, lambda ready: self._once(ready, self._spooled, also), self.auth if signed else None)

    def _tried(self, request: HttpRequest, send: Callable[[HttpRequest], T], auth: Auth | None = None) -> T:
        tried, renewed = 0, False
        while True:
            signed = self._in_turn(request, auth)
            tried += 1
            try:
                return send(signed)
            except AccessRefused:
                if auth is None or renewed or not auth.renew(signed, self):
                    raise
                renewed = True
            except FetchError as error:
                if not (request.may_repeat and tried < self.manners.tries and self._paused(error, tried)):
                    raise

    def _in_turn(self, request: HttpRequest, auth: Auth | None) -> HttpRequest:
        """The signed request, once it may be sent; each try is signed anew: a server takes a nonce once."""
        if auth is None:
            self.pace.turn()
            return request
        # Before the turn: to sign may take a request for a token, which has a turn of its own.
        signed = auth.sign(request, self)
        # A token or a time that is signed may be over after a wait.
        return auth.sign(request, self) if self.pace.turn() else signed

    def _once(self, request: HttpRequest, take: Callable[[Incoming], T], also: frozenset[int] = frozenset()) -> T:
        with self.client.open(request) as incoming:
            refused = self._refusal(incoming)
            if refused is None or incoming.status in also:
                return take(incoming)
        # Outside of the with: the connection of a request that was refused is as good as any.
        raise refused

    def _refusal(self, incoming: Incoming) -> FetchError | None:
        now = self.context.clock.now()
        if self.manners.budget:
            self.pace.hold(self.manners.budget.pause(incoming.headers, now))
        return refusal(incoming.status, self.manners.told(incoming.headers), incoming.origin, now)

    def _judged(self, request: HttpRequest, judge: Callable[[HttpAnswer], T]) -> T:
        with self.client.open(request) as incoming:
            refused = self._refusal(incoming)
            # Its body is of no use then, and may be anything.
            if refused is None or refused.status not in _PASSING_STATUSES:
                return judge(self.client.read(incoming))
        raise refused

    def _paused(self, error: FetchError, tried: int) -> bool:
        """Waits before a request is sent again; ``False`` when it must not be, or only after too long a pause."""
        told = error.retry_after if isinstance(error, RateLimited) else None
        if not isinstance(error, _PASSING) and error.status not in _PASSING_STATUSES:
            return False
        wait = max(self.pace.backoff(tried), told / timedelta(seconds=1) if told else 0.0)
        if wait > self.manners.max_pause or wait >= self.client.left():
            return False
        if told:
            self.pace.hold(wait)
        else:
            self.pace.rest(wait)
        return True

    def _read(self, incoming: Incoming) -> HttpAnswer:
        answer = self.client.read(incoming)
        if self.manners.cost and answer.status == 200:
            throttled, wait = self.manners.cost.judge(json_of(answer))
            self.pace.hold(wait)
            if throttled:
                raise RateLimited(f"{answer.origin} has no points left", retry_after=timedelta(seconds=wait))
        return answer

    def _spooled(self, incoming: Incoming) -> tuple[HttpAnswer, Payload]:
        payload = self.client.download(incoming, self.context)
        return incoming.whole(), payload

    def json(self, request: HttpRequest) -> Any:
        """The document that answers a signed request; see :func:`json_of`."""
        return json_of(self.send(request))


def json_of(answer: HttpAnswer) -> Any:
    """The answer's JSON document, numbers as their text.

    :raises FetchError: for a body that is declared to be something else: a login page, for one.
    :raises StructureInvalid: for one that is not JSON, or has doubled keys, NaN or Infinity.
    :raises InputTooLarge: for one that is nested too deeply.
    """
    kind = answer.media_type
    if kind and not (kind.endswith(("/json", "+json")) or kind == "text/plain"):
        # Any other word may quote what was sent.
        shown = kind if kind in _SHOWN_KINDS else "another media type"
        raise FetchError(
            f"{answer.origin} answered with {shown}, not JSON",
            recovery=Recovery.STOP,
            guidance="A login or error page looks like this; check the URL and the credentials.",
        )
    try:
        return _json.parse(answer.body.decode("utf-8-sig"), _DEEPEST)
    except UnicodeDecodeError as error:
        fault = f": the byte at offset {error.start} is not UTF-8 text"
    except json.JSONDecodeError as error:
        fault = f", line {error.lineno}, column {error.colno}: this is not JSON ({error.msg})"
    # Outside of the except, as what was caught holds the whole body, which may have a secret.
    raise StructureInvalid(f"{answer.origin}{fault}")
