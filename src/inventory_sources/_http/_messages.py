"""What is asked for over HTTP, what is answered, and how much of it is taken."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import Attribute, field, frozen

from inventory_sources._url import WebAddress
from inventory_sources.errors import ConfigurationError
from inventory_sources.payload import Evidence

__all__ = ["HttpAnswer", "HttpLimits", "HttpRequest", "check_header_names", "check_header_values", "shown_url"]

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[!-~](?:[ \t!-~]*[!-~])?")
_OURS = frozenset(
    "accept-encoding connection content-length expect host keep-alive proxy-connection te trailer transfer-encoding "
    "upgrade".split()
)
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_METHODS = _REPEATABLE | {"POST", "PATCH"}


def shown_url(url: str) -> str:
    """A URL in a ``repr``: without its query, which may hold a key."""
    try:
        return repr(WebAddress.parse(url).origin)
    except ConfigurationError:
        return "<not a URL>"


def _positive(instance: object, attribute: Attribute[Any], value: float) -> None:
    if not value > 0:
        raise ConfigurationError(f"{attribute.name} must be more than 0")


def _redirects(instance: object, attribute: object, value: int) -> None:
    if not 0 <= value <= 3:
        raise ConfigurationError("max_redirects must be from 0 to 3")


@frozen(kw_only=True)
class HttpLimits:
    """How long to wait and how much to take.

    :param timeout: seconds for each step: to resolve, to connect, and for each piece to arrive.
    :param deadline: seconds for all of it, every request of a fetch; the sync's own deadline counts too.
    :param max_bytes: of each body as sent.
    :param max_decoded_bytes: of all bodies of a fetch together, after decompression.
    :param max_answer_bytes: of each body that is read into memory, such as a page of JSON, after decompression.
    :param max_ratio: decoded bytes for each byte sent, looked at from 1 MiB decoded on.
    :param max_redirects: to follow, at most 3. Each is judged like the first address, and to another origin nothing
        is carried along: no header, no body, no key.
    """

    timeout: float = field(default=30.0, validator=_positive)
    deadline: float = field(default=900.0, validator=_positive)
    max_bytes: int = field(default=256 * 1024**2, validator=_positive)
    max_decoded_bytes: int = field(default=1024**3, validator=_positive)
    max_answer_bytes: int = field(default=32 * 1024**2, validator=_positive)
    max_ratio: float = field(default=200.0, validator=_positive)
    max_redirects: int = field(default=0, validator=_redirects)


def _method(instance: object, attribute: object, value: str) -> None:
    if value not in _METHODS:
        raise ConfigurationError(f"{value[:20]!r} is not one of the methods {', '.join(sorted(_METHODS))}")


@frozen
class HttpRequest:
    """What is asked for.

    :param url: ``https://host/path?query``, with the query that is really sent; shown without it.
    :param headers: all but those that HTTP itself needs; their values are never shown.
    :param content: the body; ``None`` sends none.
    :param repeatable: whether it may be sent again where its method alone does not say so: a POST that only asks.
    :raises ConfigurationError: for another method than those of RFC 9110 and RFC 5789 that have an answer.
    """

    url: str = field(repr=shown_url)
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    method: str = field(default="GET", validator=_method)
    content: bytes | None = field(default=None, repr=False)
    repeatable: bool = False

    @property
    def may_repeat(self) -> bool:
        """Whether sending it twice is the same as sending it once (RFC 9110, section 9.2.2)."""
        return self.repeatable or self.method in _REPEATABLE


@frozen
class HttpAnswer:
    """An answer that arrived whole.

    :param headers: by name in lower case; values of repeated ones are joined by commas.
    :param body: decompressed; empty where it was spooled instead.
    :param origin: what may be shown of where it came from.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    origin: str
    evidence: Evidence

    @property
    def media_type(self) -> str:
        """Of the body, in lower case and without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def check_header_names(names: Iterable[str]) -> None:
    """Raises :class:`ConfigurationError` for a name that cannot be sent or is HTTP's own affair."""
    for name in names:
        if not _NAME.fullmatch(name) or name.lower() in _OURS:
            raise ConfigurationError(f"a header cannot be named {name[:40]!r}")


def check_header_values(headers: Mapping[str, str]) -> None:
    """Raises :class:`ConfigurationError`, naming the header, for a value that cannot be sent."""
    for name, value in headers.items():
        if not _VALUE.fullmatch(value):
            raise ConfigurationError(f"the value of header {name!r} is empty, not ASCII, or has control characters")
