"""Queries in the JSON body of a POST that changes nothing: Odoo, SuiteQL and others; the key and the page in it too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from inventory_sources.errors import ConfigurationError
from inventory_sources.rest._connector import RestConnector
from inventory_sources.rest._counting import KeySet
from inventory_sources.rest._pages import Page, value_at, whole_number
from inventory_sources.secrets import Secret

if TYPE_CHECKING:
    from inventory_sources._http import HttpRequest
    from inventory_sources.protocols.connector import FetchContext
    from inventory_sources.rest._session import RestSession

__all__ = ["BodyKey", "BodyKeySet", "PostedQuery", "with_body_part"]


def with_body_part(request: HttpRequest, path: str, value: str | int) -> HttpRequest:
    """With a value at a dotted path of its JSON body, through objects by key and through lists by position.

    :raises ConfigurationError: when the body has no such place.
    """
    body = json.loads(request.content or b"null")
    *above, last = path.split(".")
    try:
        holder: Any = body
        for step in above:
            holder = holder[int(step)] if isinstance(holder, list) else holder[step]
        holder[int(last) if isinstance(holder, list) else last] = value
    except (KeyError, IndexError, TypeError, ValueError):
        raise ConfigurationError(f"the body has no place at {path!r}") from None
    return evolve(request, content=json.dumps(body).encode())


@frozen(kw_only=True)
class PostedQuery(RestConnector):
    """A :class:`RestConnector` whose POST only asks, so that it may be sent again where a GET would be."""

    method: str = "POST"

    def request(self, context: FetchContext) -> HttpRequest:
        """As it is, and repeatable."""
        return evolve(super().request(context), repeatable=True)


@frozen
class BodyKey:
    """A key in the JSON body of each request.

    :param path: its dotted place there; positions in lists are numbers, and the place must be there.
    """

    key: Secret
    path: str

    @property
    def sends_secrets(self) -> bool:
        """It does."""
        return True

    def sign(self, request: HttpRequest, session: RestSession) -> HttpRequest:
        """The request with the key."""
        return with_body_part(request, self.path, self.key.reveal())

    def renew(self, refused: HttpRequest, session: RestSession) -> bool:
        """Never: there is no other."""
        return False


@frozen(kw_only=True)
class BodyKeySet(KeySet):
    """As :class:`KeySet`, with whole numbers as keys, the last of which goes as a number into the JSON body.

    :param param: its dotted place there, which holds the number that stands before all keys.
    """

    def first(self, request: HttpRequest) -> HttpRequest:
        """The request as it is."""
        return request

    def following(self, page: Page) -> HttpRequest | None:
        """The records above the page's last."""
        if not page.records:
            return None
        last = whole_number(value_at(page.records[-1], self.field), self.field)
        return with_body_part(page.request, self.param, last)
