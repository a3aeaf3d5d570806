"""Requests signed by a key that both sides know, in the way that each API has of its own."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64encode
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from string import Formatter
from typing import TYPE_CHECKING, Literal

from attrs import field, frozen

from inventory_sources._http import HttpRequest, check_header_names
from inventory_sources._url import WebAddress
from inventory_sources.errors import ConfigurationError
from inventory_sources.rest._auth import with_headers
from inventory_sources.secrets import Secret

if TYPE_CHECKING:
    from inventory_sources.rest._session import RestSession

__all__ = ["HmacSigning"]

_ALGORITHMS = ("sha256", "sha512", "sha1")
_PARTS = frozenset("method url host path query body body_sha256 timestamp milliseconds date iso nonce".split())


def _valid_algorithm(instance: object, attribute: object, name: str) -> None:
    if name not in _ALGORITHMS:
        raise ConfigurationError(f"algorithm must be one of {', '.join(_ALGORITHMS)}")


def _valid_encoding(instance: object, attribute: object, name: str) -> None:
    if name not in ("hex", "base64"):
        raise ConfigurationError("encoding must be hex or base64")


def _check(template: str, known: frozenset[str]) -> None:
    try:
        found = list(Formatter().parse(template))
    except ValueError:
        raise ConfigurationError("a template has a brace without its other; write {{ and }} for plain ones") from None
    for _, name, spec, conversion in found:
        if name is not None and (name not in known or spec or conversion):
            raise ConfigurationError(
                f"a template has the unknown place {name!r}", guidance=f"Use {', '.join(sorted(known))}."
            )


@frozen(kw_only=True)
class HmacSigning:
    r"""A signature of each request by HMAC (RFC 2104).

    Templates have these places: ``method``, ``url``, ``host`` (with a port where it is not the usual one), ``path``,
    ``query`` (as sent), ``body``, ``body_sha256`` (hex), ``timestamp`` (seconds since 1970), ``milliseconds`` (as
    well), ``date`` (as HTTP writes it), ``iso`` (``2026-01-31T12:00:00Z``) and ``nonce``; headers ``signature``, too.
    Each is the same wherever it stands in one request.

    :param signs: the template of what is signed, such as ``"{method}\n{path}\n{timestamp}\n{body_sha256}"``.
    :param headers: templates by name, such as ``{"X-Signature": "{signature}", "X-Timestamp": "{timestamp}"}``.
    :raises ConfigurationError: when one of these cannot be used.
    """

    key: Secret
    signs: str
    headers: Mapping[str, str]
    algorithm: Literal["sha256", "sha512", "sha1"] = field(default="sha256", validator=_valid_algorithm)
    encoding: Literal["hex", "base64"] = field(default="hex", validator=_valid_encoding)

    def __attrs_post_init__(self) -> None:
        check_header_names(self.headers)
        _check(self.signs, _PARTS)
        for template in self.headers.values():
            _check(template, _PARTS | {"signature"})
        if not any("{signature}" in template for template in self.headers.values()):
            raise ConfigurationError("no header has the place {signature}, so nothing would be signed")

    @property
    def sends_secrets(self) -> bool:
        """It does not: a signature is good for one request."""
        return False

    def nonce(self) -> str:
        """A text that is used once; override to give one's own."""
        return secrets.token_hex(16)

    def sign(self, request: HttpRequest, session: RestSession) -> HttpRequest:
        """The request with its signature."""
        parts = {**_parts(request, session.context.clock.now()), "nonce": self.nonce().encode()}
        found = hmac.digest(self.key.reveal().encode(), _filled(self.signs, parts), self.algorithm)
        parts["signature"] = found.hex().encode() if self.encoding == "hex" else b64encode(found)
        headers = {name: _filled(template, parts).decode("latin-1") for name, template in self.headers.items()}
        return with_headers(request, headers)

    def renew(self, refused: HttpRequest, session: RestSession) -> bool:
        """Never: the next signature would be by the same key."""
        return False


def _parts(request: HttpRequest, now: datetime) -> dict[str, bytes]:
    url, body = WebAddress.parse(request.url), request.content or b""
    utc = now.astimezone(UTC).replace(microsecond=0)
    texts = {
        "method": request.method,
        "url": request.url,
        "host": url.authority,
        "path": url.path,
        "query": url.query,
        "body_sha256": hashlib.sha256(body).hexdigest(),
        "timestamp": str(int(utc.timestamp())),
        "milliseconds": str(int(now.timestamp() * 1000)),
        "date": format_datetime(utc, usegmt=True),
        "iso": f"{utc:%Y-%m-%dT%H:%M:%SZ}",
    }
    return {"body": body, **{name: text.encode() for name, text in texts.items()}}


def _filled(template: str, parts: Mapping[str, bytes]) -> bytes:
    """As bytes, since a body need not be text."""
    return b"".join(_pieces(template, parts))


def _pieces(template: str, parts: Mapping[str, bytes]) -> Iterator[bytes]:
    for literal, name, _, _ in Formatter().parse(template):
        yield literal.encode()
        if name is not None:
            yield parts[name]
