"""Where a redirect leads, and what may go along (RFC 9110, section 15.4)."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from attrs import evolve

from inventory_sources._http._messages import HttpRequest
from inventory_sources._http._statuses import redirected
from inventory_sources._url import WebAddress
from inventory_sources.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["onwards"]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: A whole URL, a host, a path or a query. Clients disagree on all other spellings: some take "///" and "https:x" for
#: another host, and tabs and backslashes for nothing.
_LOCATION = re.compile(r"(?:(?:https?:)?//(?!/)|/(?!/)|(?![A-Za-z0-9+.-]*:|/))[!-~]*")
#: What may go along to another origin.
_HARMLESS = frozenset({"accept"})


def onwards(request: HttpRequest, status: int, headers: Mapping[str, str], origin: str) -> HttpRequest | None:
    """The request that a redirect asks for; ``None`` for an answer that is none.

    To another origin (scheme, host or port) nothing goes along: no header but ``Accept``, no body, no key.

    :raises FetchError: when it may not be followed: a body would have to go to another origin, ``https`` would end, or
        the address is none that is taken elsewhere.
    """
    if status not in _REDIRECTS:
        return None
    location = headers.get("location", "").partition("#")[0]
    now = WebAddress.parse(request.url)
    with suppress(ConfigurationError, ValueError):
        if location and _LOCATION.fullmatch(location):
            then = WebAddress.parse(urljoin(request.url, location))
            if then.scheme == "https" or now.scheme == "http":
                followed = _followed(request, status, then, same=now.server == then.server)
                if followed is not None:
                    return followed
    raise redirected(status, headers, origin)


def _followed(request: HttpRequest, status: int, then: WebAddress, *, same: bool) -> HttpRequest | None:
    url = f"{then.scheme}://{then.authority}{then.target}"
    kept = request.headers if same else {n: v for n, v in request.headers.items() if n.lower() in _HARMLESS}
    if status in {307, 308} and same:
        return evolve(request, url=url, headers=kept)
    reads = request.method in {"GET", "HEAD"}
    if status != 303 and not (reads and request.content is None):
        return None
    bodiless = {name: value for name, value in kept.items() if not name.lower().startswith("content-")}
    return HttpRequest(url, bodiless, request.method if reads else "GET")
