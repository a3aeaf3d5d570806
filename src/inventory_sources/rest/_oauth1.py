"""OAuth 1.0a: each request is signed, no secret is sent (RFC 5849)."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qsl, quote

from attrs import field, frozen

from inventory_sources._http import HttpRequest
from inventory_sources._url import WebAddress
from inventory_sources.errors import ConfigurationError
from inventory_sources.rest._auth import with_headers, with_query, without_query
from inventory_sources.secrets import Secret

if TYPE_CHECKING:
    from inventory_sources.rest._session import RestSession

__all__ = ["OAuth1"]

_HASHES = {"HMAC-SHA256": hashlib.sha256, "HMAC-SHA1": hashlib.sha1}
_FORM = "application/x-www-form-urlencoded"


def _valid_method(instance: object, attribute: object, name: str) -> None:
    if name not in _HASHES:
        raise ConfigurationError(f"signature must be one of {', '.join(_HASHES)}")


def _valid_realm(instance: object, attribute: object, realm: str | None) -> None:
    if realm is not None and not (realm.isascii() and realm.isprintable() and not set(realm) & set('"\\')):
        raise ConfigurationError("the realm has characters that a header cannot quote")


def _valid_place(instance: object, attribute: object, place: str) -> None:
    if place not in ("header", "query"):
        raise ConfigurationError("place must be header or query")


@frozen(kw_only=True)
class OAuth1:
    """A signature of each request by the consumer's and the token's secret (RFC 5849).

    NetSuite's token-based access wants it, and WooCommerce over ``http``. The time is that of this machine: a
    server refuses one that is some minutes wrong, which looks like a wrong secret.

    :param token: with ``token_secret``; ``None`` where the consumer signs for itself.
    :param realm: NetSuite's account, such as ``1234567_SB1``; goes into the header.
    :param signature: NetSuite takes ``HMAC-SHA256`` alone; ``HMAC-SHA1`` is what RFC 5849 itself defines.
    :param place: where the signature goes.
    :raises ConfigurationError: when one of these cannot be used.
    """

    consumer_key: Secret
    consumer_secret: Secret
    token: Secret | None = None
    token_secret: Secret | None = None
    realm: str | None = field(default=None, validator=_valid_realm)
    signature: Literal["HMAC-SHA256", "HMAC-SHA1"] = field(default="HMAC-SHA256", validator=_valid_method)
    place: Literal["header", "query"] = field(default="header", validator=_valid_place)

    def __attrs_post_init__(self) -> None:
        if (self.token is None) != (self.token_secret is None):
            raise ConfigurationError("an OAuth 1 token and its secret go together")

    @property
    def sends_secrets(self) -> bool:
        """It does not: a signature is good for one request."""
        return False

    def nonce(self) -> str:
        """A text that is used once; override to give one's own."""
        return secrets.token_hex(16)

    def sign(self, request: HttpRequest, session: RestSession) -> HttpRequest:
        """The request with its signature."""
        oauth = self._parameters(int(session.context.clock.now().timestamp()))
        if self.place == "query":
            # A link to the next page may repeat those of the page before.
            request = without_query(request, {*oauth, "oauth_signature"})
        oauth["oauth_signature"] = self._signature(_signed_text(request, oauth))
        if self.place == "query":
            return with_query(request, oauth)
        quoted = [f'{name}="{_escaped(value)}"' for name, value in oauth.items()]
        realm = [] if self.realm is None else [f'realm="{self.realm}"']
        return with_headers(request, {"Authorization": f"OAuth {', '.join([*realm, *quoted])}"})

    def renew(self, refused: HttpRequest, session: RestSession) -> bool:
        """Never: the next signature would be by the same secrets."""
        return False

    def _parameters(self, timestamp: int) -> dict[str, str]:
        token = {} if self.token is None else {"oauth_token": self.token.reveal()}
        return {
            "oauth_consumer_key": self.consumer_key.reveal(),
            **token,
            "oauth_signature_method": self.signature,
            "oauth_timestamp": str(timestamp),
            "oauth_nonce": self.nonce(),
            "oauth_version": "1.0",
        }

    def _signature(self, text: str) -> str:
        texts = [secret.reveal() if secret else "" for secret in (self.consumer_secret, self.token_secret)]
        key = "&".join(map(_escaped, texts))
        return b64encode(hmac.digest(key.encode(), text.encode(), _HASHES[self.signature])).decode()


def _signed_text(request: HttpRequest, oauth: Mapping[str, str]) -> str:
    """What is signed: method, address and all parameters in one order (RFC 5849, section 3.4.1)."""
    url = WebAddress.parse(request.url)
    content_type = next((value for name, value in request.headers.items() if name.lower() == "content-type"), "")
    is_form = content_type.partition(";")[0].strip().lower() == _FORM
    sources = [url.query, (request.content or b"").decode() if is_form else ""]
    given = [pair for text in sources for pair in parse_qsl(text, keep_blank_values=True)]
    pairs = sorted((_escaped(name), _escaped(value)) for name, value in (*given, *oauth.items()))
    address = f"{url.scheme}://{url.authority.lower()}{url.path}"
    return "&".join([request.method.upper(), _escaped(address), _escaped("&".join(f"{n}={v}" for n, v in pairs))])


def _escaped(text: str) -> str:
    """Section 3.6: everything but letters, digits and ``-._~``, in UTF-8."""
    return quote(text, safe="~")
