"""Auth: how a request shows who asks. A declaration; what is won at run time (a token) it keeps to itself."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote_plus, urlencode

from attrs import evolve, field, frozen

from inventory_sources._http import HttpRequest, check_header_names, check_header_values
from inventory_sources.errors import ConfigurationError
from inventory_sources.secrets import Secret

if TYPE_CHECKING:
    from inventory_sources.rest._session import RestSession

__all__ = [
    "ApiKey",
    "Auth",
    "Basic",
    "Bearer",
    "Both",
    "basic",
    "valid_header",
    "valid_scheme",
    "with_headers",
    "with_query",
    "without_query",
]


class Auth(Protocol):
    """Signs requests; safe to use from several threads."""

    @property
    def sends_secrets(self) -> bool:
        """Whether a signed request shows a secret to whoever can read it, so that it must be sent over ``https``."""

    def sign(self, request: HttpRequest, session: RestSession) -> HttpRequest:
        """The request with what shows who asks; may send requests of its own by ``session.credentials``.

        :raises FetchError: when a token cannot be had.
        """

    def renew(self, refused: HttpRequest, session: RestSession) -> bool:
        """Told that a signed request was refused: gives whether another signature may be taken, which is tried once."""


def valid_header(instance: object, attribute: object, name: str | None) -> None:
    """Validates a header's name, if there is one."""
    check_header_names([] if name is None else [name])


def valid_scheme(instance: object, attribute: object, scheme: str) -> None:
    """Validates the word before a credential; an empty one stands for none."""
    if scheme:
        check_header_values({"Authorization": scheme})


def with_headers(request: HttpRequest, headers: Mapping[str, str]) -> HttpRequest:
    """The request with these headers in place of its own of the same names."""
    given = {name.lower() for name in headers}
    kept = {name: value for name, value in request.headers.items() if name.lower() not in given}
    return evolve(request, headers={**kept, **headers})


def with_query(request: HttpRequest, parameters: Mapping[str, str] | Sequence[tuple[str, str]]) -> HttpRequest:
    """The request with these parameters in place of its own of the same names: a next link may repeat a key.

    :param parameters: as pairs where one name may stand for several values.
    """
    bare = without_query(request, dict(parameters))
    return evolve(bare, url=f"{bare.url}{'&' if '?' in bare.url else '?'}{urlencode(parameters)}")


def without_query(request: HttpRequest, names: Container[str]) -> HttpRequest:
    """The request without the parameters of these names."""
    url, _, query = request.url.partition("?")
    kept = [part for part in query.split("&") if part and unquote_plus(part.partition("=")[0]) not in names]
    return evolve(request, url=f"{url}?{'&'.join(kept)}" if kept else url)


@frozen
class _Unchanging:
    """A secret that is sent as it is, and the only one."""

    @property
    def sends_secrets(self) -> bool:
        """It does."""
        return True

    def renew(self, refused: HttpRequest, session: RestSession) -> bool:
        """Never: there is no other."""
        return False


@frozen
class Bearer(_Unchanging):
    """A token in the ``Authorization`` header (RFC 6750, section 2.1).

    :param scheme: the word before the token, where an API wants another one than ``Bearer``; empty for none.
    """

    token: Secret
    scheme: str = field(default="Bearer", validator=valid_scheme)

    def sign(self, request: HttpRequest, session: RestSession) -> HttpRequest:
        """The request with the token."""
        return with_headers(request, {"Authorization": f"{self.scheme} {self.token.reveal()}".lstrip()})


def _valid_username(instance: object, attribute: object, name: str) -> None:
    if ":" in name or not name.isprintable():
        raise ConfigurationError("a user name for Basic has a colon or control characters, which it cannot send")


@frozen
class Basic(_Unchanging):
    """User name and password in the ``Authorization`` header, in UTF-8 (RFC 7617).

    :param username: without a colon.
    """

    username: str = field(validator=_valid_username)
    password: Secret

    def sign(self, request: HttpRequest, session: RestSession) -> HttpRequest:
        """The request with both."""
        return with_headers(request, {"Authorization": basic(self.username, self.password.reveal())})


def basic(username: str, password: str) -> str:
    """The value of a Basic ``Authorization`` header."""
    return f"Basic {b64encode(f'{username}:{password}'.encode()).decode()}"


@frozen
class ApiKey(_Unchanging):
    """A key in a header or in a parameter of the query; :class:`Both` sends two.

    :param header: its name, such as ``X-Api-Key``.
    :param query: the parameter's name, where the key does not go into a header. It then stands in the server's log.
    """

    key: Secret
    header: str | None = field(default=None, validator=valid_header)
    query: str | None = None

    def __attrs_post_init__(self) -> None:
        if bool(self.header) == bool(self.query):
            raise ConfigurationError("an API key goes either into a header or into the query: name one of them")

    def sign(self, request: HttpRequest, session: RestSession) -> HttpRequest:
        """The request with the key."""
        if self.header:
            return with_headers(request, {self.header: self.key.reveal()})
        return with_query(request, {str(self.query): self.key.reveal()})


@frozen
class Both:
    """Two credentials on each request: two keys, or a token and the key of a gateway in front."""

    first: Auth
    second: Auth

    @property
    def sends_secrets(self) -> bool:
        """Whether one of them does."""
        return self.first.sends_secrets or self.second.sends_secrets

    def sign(self, request: HttpRequest, session: RestSession) -> HttpRequest:
        """The request with both; the second signs what the first made of it."""
        return self.second.sign(self.first.sign(request, session), session)

    def renew(self, refused: HttpRequest, session: RestSession) -> bool:
        """Whether one of them can."""
        renewed = [auth.renew(refused, session) for auth in (self.first, self.second)]
        return any(renewed)
