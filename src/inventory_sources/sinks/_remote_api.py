"""What a remote sink says to its platform: JSON over HTTP, asked again where that changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from attrs import define, field, frozen

from inventory_sources import _json
from inventory_sources._http import HttpClient, HttpRequest, refusal
from inventory_sources.errors import (
    ConnectFailed,
    DecodeError,
    FetchError,
    FetchTimeout,
    RateLimited,
    ServerFailed,
    SinkError,
    SinkRateLimited,
    SinkUnavailable,
    Truncated,
)
from inventory_sources.protocols.clock import Clock

__all__ = ["RemoteAnswer", "RemoteApi", "in_our_words"]

_TRIES = 3
_PASSING = (ConnectFailed, FetchTimeout, ServerFailed, Truncated)
_ANEW = "The next attempt reads the levels anew and finds what was written."


@frozen
class RemoteAnswer:
    """A JSON answer.

    :param document: numbers as their text, everything else as usual.
    :param headers: by name in lower case.
    """

    document: Any = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


@define(eq=False)
class RemoteApi:
    """The platform's API, for one reading or one batch.

    :param root: what paths are added to.
    :param headers: of every request, with the credentials.
    :param max_pause: seconds: the longest pause that is made when the platform asks for one.
    """

    _client: HttpClient
    _clock: Clock
    root: str
    headers: Mapping[str, str] = field(repr=False)
    max_pause: float
    _pause: Callable[[float], None]

    def get(self, path: str) -> RemoteAnswer:
        """The answer to a GET.

        :param path: below the root, with its query.
        :raises FetchError: when there is none.
        """
        return self._call(HttpRequest(self.root + path, self.headers))

    def send(self, path: str, body: object, *, method: str = "POST", repeatable: bool = False) -> RemoteAnswer:
        """The answer to a request with a JSON body.

        :param repeatable: whether it may arrive twice: a question, or a write that the platform tells by its key.
        :raises FetchError: when there is none. What was to be written may have been, or not.
        """
        headers = {**self.headers, "Content-Type": "application/json"}
        content = json.dumps(body, ensure_ascii=True).encode("ascii")
        return self._call(HttpRequest(self.root + path, headers, method, content, repeatable=repeatable), repeatable)

    def rest(self, seconds: float) -> None:
        """Waits because the platform asks for it.

        :raises RateLimited: when that is longer than may be waited.
        """
        if seconds > self.max_pause or seconds >= self._client.left():
            raise RateLimited("the platform's budget of requests is used up", retry_after=timedelta(seconds=seconds))
        self._pause(seconds)

    def _call(self, request: HttpRequest, repeatable: bool = True) -> RemoteAnswer:  # noqa: FBT001, FBT002 - private
        failed = 0
        while True:
            try:
                return self._once(request)
            except RateLimited as limited:
                # A 429 was not carried out, so that anything may be sent again.
                if limited.status != 429 and not repeatable:
                    raise
                self.rest(1.0 if limited.retry_after is None else limited.retry_after.total_seconds())
            except _PASSING:
                failed += 1
                if not repeatable or failed == _TRIES or failed >= self._client.left():
                    raise
                self._pause(min(float(failed), self.max_pause))

    def _once(self, request: HttpRequest) -> RemoteAnswer:
        answer = self._client.send(request)
        refused = (
            None if answer.status == 201 else refusal(answer.status, answer.headers, answer.origin, self._clock.now())
        )
        if refused:
            raise refused
        try:
            return RemoteAnswer(_json.parse(answer.body.decode("utf-8"), 50), answer.headers)
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise ServerFailed(f"{answer.origin} answered with something that is no JSON") from None


@contextmanager
def in_our_words(doing: str) -> Iterator[None]:
    """Raises what goes wrong inside as an error of the sink; ``doing`` completes "could not"."""
    try:
        yield
    except RateLimited as limited:
        raise SinkRateLimited(f"could not {doing}: {limited.message}", retry_after=limited.retry_after) from None
    except FetchError as error:
        kind = SinkUnavailable if error.may_pass else SinkError
        guidance = _ANEW if error.may_pass else error.guidance
        raise kind(f"could not {doing}: {error.message}", guidance=guidance, recovery=error.recovery) from None
    except DecodeError as error:
        raise SinkError(f"could not {doing}: {error.message}", guidance=_ANEW) from None
