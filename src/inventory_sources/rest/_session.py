"""The requests of one fetch: signed, within the source's manners, and judged by their status."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from attrs import frozen

from inventory_sources import _json
from inventory_sources._http import HttpAnswer, HttpClient, HttpRequest, refusal
from inventory_sources.errors import AccessRefused, FetchError, Recovery, StructureInvalid

if TYPE_CHECKING:
    from inventory_sources.protocols.connector import FetchContext
    from inventory_sources.rest._auth import Auth

__all__ = ["RestSession"]

_DEEPEST = 64


@frozen
class RestSession:
    """Sends requests for one fetch; may be used from several threads.

    :param auth: signs them; ``None`` sends them as they are.
    """

    client: HttpClient
    context: FetchContext
    auth: Auth | None = None

    def send(self, request: HttpRequest) -> HttpAnswer:
        """The whole answer to a signed request.

        :raises FetchError: when it cannot be had, or its status is none of 200, 203 and 204.
        """
        if self.auth is None:
            return self.plain(request)
        signed = self.auth.sign(request, self)
        try:
            return self.plain(signed)
        except AccessRefused:
            if not self.auth.renew(signed, self):
                raise
        return self.plain(self.auth.sign(request, self))

    def plain(self, request: HttpRequest) -> HttpAnswer:
        """As :meth:`send`, but not signed: for the endpoints that give tokens."""
        answer = self.client.send(request)
        refused = refusal(answer.status, answer.headers, answer.origin, self.context.clock.now())
        if refused:
            raise refused
        return answer

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
        raise FetchError(
            f"{answer.origin} answered with {kind}, not JSON",
            recovery=Recovery.STOP,
            guidance="A login or error page looks like this; check the URL and the credentials.",
        )
    try:
        return _json.parse(answer.body.decode("utf-8-sig"), _DEEPEST)
    except UnicodeDecodeError as error:
        raise StructureInvalid(f"{answer.origin}: the byte at offset {error.start} is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise StructureInvalid(
            f"{answer.origin}, line {error.lineno}, column {error.colno}: this is not JSON ({error.msg})"
        ) from None
