"""Further requests of a fetch: beside the connector's own URL, with values in them that cannot lead elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote

from attrs import field, frozen

from inventory_sources._http import HttpAnswer, HttpRequest, named_texts, refuse_plain_secrets
from inventory_sources._url import WebAddress
from inventory_sources.errors import ConfigurationError, StructureInvalid
from inventory_sources.rest._session import json_of

if TYPE_CHECKING:
    from inventory_sources.rest._session import RestSession

__all__ = ["Call", "Further"]

#: Neither an object of JSON nor, with white space behind its brace, a selection of GraphQL.
_PLACE = re.compile(r'\{([^\s{}":,]+)\}')
_INSTEAD = "Give it to the connector as auth, which signs this request, too."
_SEPARATORS = re.compile(r"[/\\]")


@frozen
class Call:
    """A request beside the connector's own, with its headers and its credentials.

    What stands in braces is replaced: in the URL by the percent-encoded value, in ``params`` and in the texts of
    ``body`` by the value itself. In GraphQL, write ``{ id }`` for what is to stay as it is.

    :param url: a path such as ``/reports/{id}``, or a whole URL of the connector's own origin.
    :param params: added to the query.
    :param body: sent as JSON.
    :param not_secret: names of parameters and fields that sound like a secret's, and may be plain text.
    """

    url: str = field(repr=False)
    method: str = field(default="GET", kw_only=True)
    params: Mapping[str, str] = field(factory=dict, kw_only=True, repr=False)
    body: object = field(default=None, kw_only=True, repr=False)
    not_secret: tuple[str, ...] = field(default=(), kw_only=True)

    def __attrs_post_init__(self) -> None:
        named = [*parse_qsl(self.url.partition("?")[2]), *self.params.items(), *named_texts(self.body)]
        given = [(name, text) for name, text in named if isinstance(text, str) and not _PLACE.search(text)]
        refuse_plain_secrets(given, "parameter or field", _INSTEAD, self.not_secret)

    @property
    def places(self) -> frozenset[str]:
        """The names in braces."""
        texts = [self.url, *self.params.values(), *_texts(self.body)]
        return frozenset(name for text in texts for name in _PLACE.findall(text))

    def request(self, base: HttpRequest, values: Mapping[str, str | None], where: str) -> HttpRequest:
        """What is sent.

        :param base: the connector's own request.
        :param values: by the names in braces.
        :param where: says in errors where the values came from.
        :raises StructureInvalid: when a value is not there, or would lead out of the path.
        :raises ConfigurationError: when the URL is none of the connector's origin.
        """
        here = WebAddress.parse(base.url)
        path = _PLACE.sub(lambda place: quote(_value(place[1], values, where), safe=""), self.url)
        url = WebAddress.parse(f"{here.scheme}://{here.authority}{path}" if path.startswith("/") else path)
        if url.server != here.server:
            raise ConfigurationError(
                f"{url.scheme}://{url.authority} is another origin than the connector's",
                guidance="Its credentials go nowhere else; name a path, or a URL of the same origin.",
            )
        if {".", ".."} & set(url.path.split("/")):
            raise ConfigurationError("the URL of a further request has . or .. in its path")
        more = {name: _filled(text, values, where) for name, text in self.params.items()}
        url = url.with_query(more)
        return self._sent(f"{url.scheme}://{url.authority}{url.target}", base, values, where)

    def check(self, base: str) -> None:
        """Sees at the declaration whether requests can be made.

        :param base: the connector's URL.
        :raises ConfigurationError: when they cannot.
        """
        self.request(HttpRequest(base), dict.fromkeys(self.places, "x"), "it")

    def _sent(self, url: str, base: HttpRequest, values: Mapping[str, str | None], where: str) -> HttpRequest:
        headers = {name: value for name, value in base.headers.items() if not name.lower().startswith("content-")}
        if not any(name.lower() == "accept" for name in headers):
            headers["Accept"] = "application/json"
        if self.body is None:
            return HttpRequest(url, headers, self.method)
        content = json.dumps(_replaced(self.body, values, where)).encode()
        return HttpRequest(url, {**headers, "Content-Type": "application/json"}, self.method, content)


@frozen(kw_only=True)
class Further:
    """What further requests of a fetch need.

    :param base: the request for the list, without what pager and auth add.
    :param whole: whether the list is meant to be all there is: what then is wrong with each record is declared wrong.
        Of the few that changed since the last fetch each may well lack something.
    :param concurrency: so many at once.
    """

    session: RestSession
    base: HttpRequest
    whole: bool = True
    concurrency: int = 1
    max_pages: int = 100_000
    max_records: int = 20_000_000

    def ask(self, request: HttpRequest) -> tuple[HttpAnswer, Any]:
        """The answer with its JSON document."""
        self.session.context.checkpoint()
        answer = self.session.send(request)
        return answer, json_of(answer)


def _value(name: str, values: Mapping[str, str | None], where: str) -> str:
    """A value that a URL can hold as one step.

    Some servers decode ``%2F`` before they look for dots, so that these are refused on either side of one.
    """
    value = values.get(name)
    if not value:
        raise StructureInvalid(f"{where} has no {name!r}, which the URL of a further request needs")
    if not value.isprintable() or {".", ".."} & set(_SEPARATORS.split(value)):
        raise StructureInvalid(f"{where}: its {name!r} would lead out of the path of a further request")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise StructureInvalid(f"{where}: its {name!r} is no text") from None
    return value


def _filled(text: str, values: Mapping[str, str | None], where: str) -> str:
    return _PLACE.sub(lambda place: _value(place[1], values, where), text)


def _replaced(value: object, values: Mapping[str, str | None], where: str) -> object:
    if isinstance(value, str):
        return _filled(value, values, where)
    if isinstance(value, Mapping):
        return {key: _replaced(inner, values, where) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(inner, values, where) for inner in value]
    return value


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
