"""A login of the API's own: one request with user name and password, whose answer holds a token or sets cookies."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from attrs import field, frozen

from inventory_sources import _json
from inventory_sources._http import (
    HttpAnswer,
    HttpRequest,
    named_texts,
    query_of,
    refuse_plain_secrets,
    refuse_plaintext,
    shown_url,
)
from inventory_sources._url import WebAddress
from inventory_sources.errors import AccessRefused, ConfigurationError, FetchError, Recovery, StructureInvalid
from inventory_sources.rest._auth import valid_header, valid_scheme
from inventory_sources.rest._tokens import Token, TokenAuth, header_value, judged, names
from inventory_sources.secrets import Secret

if TYPE_CHECKING:
    from inventory_sources.rest._session import RestSession

__all__ = ["LoginToken"]

_INSTEAD = "Give it as a Secret, by secrets with its path in the body."


@frozen(kw_only=True)
class LoginToken(TokenAuth):
    """A token, or the cookies of a session, by a POST to the API's own login; refused, it logs in once more.

    :param url: of the login, reached within the connector's limits and judged like its URL.
    :param body: what to post, without its secrets.
    :param secrets: what to put into it, by dotted path: ``{"params.password": Secret(...)}``.
    :param not_secret: names in ``body`` that sound like a secret's, and may be plain text.
    :param form: whether the body is posted as a form, not as JSON.
    :param token: strict path of the token in the answer.
    :param cookies: names of the cookies to send back, where it is these that stand for the session.
    :param granted: strict path of what the answer holds, neither ``null`` nor ``false``, when the login was good; for
        an API that answers a wrong password with status 200.
    :param server: strict path of the address whose server all requests are to go to, for an API that tells it at the
        login; the connector's URL then only says what is asked for there.
    :param within: the domain, such as ``vendor.example``, that this server must be in.
    :param lifetime: of the token in seconds; ``None`` keeps it until it is refused.
    :param header: where the token goes on a request.
    :param scheme: the word before the token there; empty for none.
    :param allow_plaintext: whether the secrets may be sent over ``http://``.
    :raises ConfigurationError: when one of these cannot be used.
    """

    url: str = field(repr=shown_url)
    body: Mapping[str, object] = field(factory=dict, repr=False)
    secrets: Mapping[str, Secret]
    not_secret: tuple[str, ...] = field(default=(), converter=names)
    form: bool = False
    token: str | None = None
    cookies: tuple[str, ...] = field(default=(), converter=names)
    granted: str | None = None
    server: str | None = None
    within: str | None = None
    lifetime: float | None = None
    header: str = field(default="Authorization", validator=valid_header)
    scheme: str = field(default="Bearer", validator=valid_scheme)
    allow_plaintext: bool = False

    def __attrs_post_init__(self) -> None:
        refuse_plaintext(self.url, allowed=self.allow_plaintext)
        refuse_plain_secrets(query_of(self.url), "parameter", _INSTEAD, self.not_secret)
        refuse_plain_secrets(named_texts(self.body), "field of the body", _INSTEAD, self.not_secret)
        if bool(self.token) == bool(self.cookies):
            raise ConfigurationError("a login gives either a token or cookies: name one of them")
        if bool(self.server) != bool(self.within):
            raise ConfigurationError("server and within go together: a login must not lead just anywhere")
        if self.within and WebAddress.parse(f"https://{self.within}").host != self.within:
            raise ConfigurationError("within must be a domain in lower case, such as vendor.example")
        if self.lifetime is not None and not self.lifetime > 0:
            raise ConfigurationError("lifetime must be more than 0")
        self._filled(dict.fromkeys(self.secrets, ""))

    def _header(self) -> str:
        return "Cookie" if self.cookies else self.header

    def _ask(self, session: RestSession) -> Token:
        answer, document = session.credentials(self._request(), lambda answer: (answer, judged(answer, session)))
        if self.granted:
            self._at(document, self.granted, answer.origin)
        if self.cookies:
            value = _cookies(self.cookies, answer)
        else:
            value = header_value(self.scheme, self._at(document, self.token or "", answer.origin), answer.origin)
        return Token(value, self.lifetime, self._server(document, answer.origin))

    def _server(self, document: object, origin: str) -> str | None:
        if self.server is None:
            return None
        told, there = self._at(document, self.server, origin), None
        with suppress(ConfigurationError):
            there = WebAddress.parse(told if isinstance(told, str) else "")
        inside = there is not None and f".{there.host}".endswith(f".{self.within}")
        if there is None or not inside or there.target != "/" or there.scheme != WebAddress.parse(self.url).scheme:
            raise FetchError(
                f"{origin} leads to no server in {self.within}",
                recovery=Recovery.STOP,
                guidance="No credentials go elsewhere; correct within if the vendor's servers are in another domain.",
            )
        return f"{there.scheme}://{there.authority}"

    def _request(self) -> HttpRequest:
        filled = self._filled({path: secret.reveal() for path, secret in self.secrets.items()})
        headers = {"Accept": "application/json"}
        if self.form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            return HttpRequest(self.url, headers, "POST", urlencode(filled).encode())
        headers["Content-Type"] = "application/json"
        return HttpRequest(self.url, headers, "POST", json.dumps(filled, allow_nan=False).encode())

    def _filled(self, secrets: Mapping[str, str]) -> dict[str, Any]:
        """The body with its secrets, which go into objects that are there or made for them."""
        filled: dict[str, Any] = copy.deepcopy(dict(self.body))
        for path, text in secrets.items():
            *above, last = path.split(".")
            place: Any = filled
            for step in above:
                place = place.setdefault(step, {}) if isinstance(place, dict) else None
            if not isinstance(place, dict) or last in place:
                raise ConfigurationError(f"the body of the login has no free place at {path!r}")
            place[last] = text
        return filled

    @staticmethod
    def _at(document: object, path: str, origin: str) -> object:
        found: object = None
        # What follow says names the keys of the answer, which are nobody's to see.
        with suppress(StructureInvalid):
            found = _json.follow(document, path)
        if found is None or found is False:
            raise AccessRefused(
                f"{origin} let nobody in: its answer has nothing at {path!r}",
                guidance="Correct the credentials, or the path if they are right.",
            )
        return found


def _cookies(names: Iterable[str], answer: HttpAnswer) -> str:
    """The answer's cookies of these names as they are sent back (RFC 6265, sections 4.1.1 and 4.2.1).

    :raises AccessRefused: when one of them is not set.
    """
    given = answer.headers.get("set-cookie", "")
    pairs = []
    for name in names:
        found = re.search(rf"(?:^|,\s*){re.escape(name)}=([!#-+\--:<-\[\]-~]+)", given)
        if found is None:
            raise AccessRefused(
                f"{answer.origin} let nobody in: its answer sets no cookie {name!r}",
                guidance="Correct the credentials, or the cookie's name if they are right.",
            )
        pairs.append(f"{name}={found[1]}")
    return "; ".join(pairs)
