"""OAuth 2.0 without a person at hand: the client's own credentials, or a refresh token (RFC 6749)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote_plus, urlencode

from attrs import field, frozen

from inventory_sources._http import HttpRequest, query_of, refuse_plain_secrets, refuse_plaintext, shown_url
from inventory_sources._url import WebAddress
from inventory_sources.errors import ConfigurationError, StructureInvalid
from inventory_sources.rest._auth import basic, valid_header, valid_scheme
from inventory_sources.rest._secret_parts import revealed
from inventory_sources.rest._tokens import Token, TokenAuth, header_value, judged, names
from inventory_sources.secrets import Secret

if TYPE_CHECKING:
    from inventory_sources.rest._session import RestSession

__all__ = ["ClientCredentials", "RefreshToken"]

_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]+)?")


def _valid_client_auth(instance: object, attribute: object, place: str) -> None:
    if place not in ("basic", "body"):
        raise ConfigurationError("client_auth must be basic or body")


@frozen(kw_only=True)
class _OAuth2(TokenAuth):
    token_url: str = field(repr=shown_url)
    client_id: str
    client_secret: Secret | None
    scope: str = ""
    parameters: Mapping[str, str | Secret] = field(factory=dict, repr=False)
    not_secret: tuple[str, ...] = field(default=(), converter=names)
    client_auth: Literal["basic", "body"] = field(default="basic", validator=_valid_client_auth)
    header: str = field(default="Authorization", validator=valid_header)
    scheme: str = field(default="Bearer", validator=valid_scheme)
    allow_plaintext: bool = False

    def __attrs_post_init__(self) -> None:
        refuse_plaintext(self.token_url, allowed=self.allow_plaintext)
        given = [*query_of(self.token_url), *self.parameters.items()]
        refuse_plain_secrets(given, "parameter", "Give a Secret as its value in parameters.", self.not_secret)

    def _header(self) -> str:
        return self.header

    def _answer(self, grant: Mapping[str, str], session: RestSession) -> Mapping[str, Any]:
        return session.credentials(self._request(grant), lambda answer: judged(answer, session))

    def _token(self, document: Mapping[str, Any]) -> Token:
        """The token of an answer (RFC 6749, section 5.1)."""
        origin = WebAddress.parse(self.token_url).origin
        if str(document.get("token_type") or "bearer").lower() != "bearer":
            raise StructureInvalid(f"{origin} gives a token of another type than bearer")
        value = header_value(self.scheme, document.get("access_token"), origin)
        return Token(value, _lifetime(document.get("expires_in"), origin))

    def _request(self, grant: Mapping[str, str]) -> HttpRequest:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        form = {**revealed(self.parameters), **({"scope": self.scope} if self.scope else {}), **grant}
        secret = self.client_secret.reveal() if self.client_secret else None
        if secret is not None and self.client_auth == "basic":
            # Section 2.3.1 has both encoded as in a form first.
            headers["Authorization"] = basic(quote_plus(self.client_id), quote_plus(secret))
        else:
            form |= {"client_id": self.client_id, **({} if secret is None else {"client_secret": secret})}
        return HttpRequest(self.token_url, headers, "POST", urlencode(form).encode())


def _lifetime(found: object, origin: str) -> float | None:
    """Of a token in seconds; some servers send a text, and 0 for one without an end."""
    if found is None:
        return None
    if not isinstance(found, str) or not _SECONDS.fullmatch(found):
        raise StructureInvalid(f"{origin} gives a token whose expires_in is no number of seconds")
    return float(found) or None


@frozen(kw_only=True)
class ClientCredentials(_OAuth2):
    """A token for the client itself (RFC 6749, section 4.4), asked for when there is none and shortly before it ends.

    A refused token is replaced once. What the server says against the client, such as ``invalid_client``, is
    :class:`~inventory_sources.errors.AccessRefused` and waits for an edit.

    :param token_url: ``https://host/path``, reached within the connector's limits and judged like its URL.
    :param scope: as the API names it; several are separated by spaces.
    :param parameters: others that the server wants in its form, such as ``audience``; a value may be a ``Secret``.
    :param not_secret: names of these that sound like a secret's, and may be plain text.
    :param client_auth: whether id and secret go into a Basic header or into the form.
    :param header: where the token goes on a request.
    :param scheme: the word before the token there; empty for none.
    :param allow_plaintext: whether the secret may be sent over ``http://``.
    :raises ConfigurationError: when one of these cannot be used.
    """

    client_secret: Secret

    def _ask(self, session: RestSession) -> Token:
        return self._token(self._answer({"grant_type": "client_credentials"}, session))


@frozen(kw_only=True)
class RefreshToken(_OAuth2):
    """A token by a refresh token that a person once obtained (RFC 6749, section 6).

    The other parameters are those of :class:`ClientCredentials`. Many servers give another refresh token each time and
    void the one before. The new one is kept by the secret's resolver, if that is a
    :class:`~inventory_sources.secrets.WritableSecretResolver`. Else it lives in this object alone, and the run has a
    warning: after a restart the account must be connected again. For the same reason one refresh token serves one
    source.

    :param client_secret: ``None`` for a public client, which sends its id alone.
    """

    client_secret: Secret | None = None
    refresh_token: Secret
    #: From the stored refresh token to the newest, where that could not be stored.
    _newest: dict[str, str] = field(factory=dict, init=False, repr=False, eq=False)

    def _ask(self, session: RestSession) -> Token:
        stored = self.refresh_token.reveal()
        sent = self._newest.get(stored, stored)
        document = self._answer({"grant_type": "refresh_token", "refresh_token": sent}, session)
        given = document.get("refresh_token")
        # First of all, as the one that was sent may be void by now.
        if isinstance(given, str) and given and given != sent:
            self._keep(stored, given, session)
        return self._token(document)

    def _keep(self, stored: str, newest: str, session: RestSession) -> None:
        self._newest[stored] = newest
        try:
            kept = self.refresh_token.replace(newest)
        except Exception:  # noqa: BLE001 - a resolver is the host's, and its error may quote the token
            kept = False
        if not kept:
            session.context.warn(
                "the server gave another refresh token, which could not be kept: after a restart the account must be "
                "connected again; give the refresh token by a resolver that can store"
            )
