"""GuardedTransport: httpx under the guards of this library's own HTTP, for code that takes an ``httpx.Client``.

A connector that brings a vendor's SDK hands it a client of which every request is judged::

    def fetch(self, context):
        with httpx.Client(transport=GuardedTransport(context), trust_env=False) as http:
            yield from acme.Client(self.token.reveal(), http_client=http).stock()

Loading this module loads httpx; no other module of the library does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import httpx

from inventory_sources._http import Dialling, HttpClient, HttpLimits, HttpRequest, Incoming, patience, refusal
from inventory_sources._http._coding import capped
from inventory_sources._url import WebAddress
from inventory_sources.errors import ConfigurationError, FetchError, Recovery
from inventory_sources.netguard import Resolver, system_resolver

if TYPE_CHECKING:
    import ssl

    from inventory_sources.protocols.connector import FetchContext

__all__ = ["GuardedTransport", "check_status"]

#: What httpx says of the connection and the body's framing, which are not its own here.
_FRAMING = frozenset({"accept-encoding", "connection", "content-length", "host", "transfer-encoding"})
#: What may go along to another origin.
_HARMLESS = _FRAMING | {"accept", "accept-language", "content-type", "user-agent"}
#: Where a request bears the server that it was first sent to: httpx hands extensions on to the request of a redirect.
_BEGUN_AT = "inventory_sources.begun_at"
#: Between cookies that were joined: a comma before a name, which a comma in a date is not.
_COOKIES = re.compile(r",\s*(?=[!#$%&'*+.^_`|~0-9A-Za-z-]+=)")


class GuardedTransport(httpx.BaseTransport):
    """Runs the requests of an ``httpx.Client`` as the library's own connectors run theirs.

    Each address is judged when it is dialled, that of every redirect too; certificates are verified for the name in
    the URL; bodies, compressed or not, are read in bounded pieces; and nothing goes on beyond the fetch's deadline or
    a request to cancel it. These hold instead of httpx's timeouts, limits and proxies. Connections are used again,
    and closed with the client: use it as a context manager, within one ``fetch``.

    Redirects are only followed where httpx is told to (``follow_redirects=True``), and each goes through here again.
    To another origin httpx would take headers such as ``X-Api-Key`` along: a redirect to one is refused where there
    is a header but ``Accept``, ``Accept-Language``, ``Content-Type`` and ``User-Agent``, or a body.

    httpx logs each URL with its query at the level INFO: put no secret into a URL, or raise the level of its logger.
    Bodies of requests are held in memory, so is each answer unless it is streamed.

    Errors are the library's own and pass through httpx: code that catches ``httpx.HTTPError`` does not see them, and
    the engine knows by them whether to try again. Statuses are not judged: see :func:`check_status`.

    :param context: of the fetch, with its deadline.
    :param limits: as of the library's connectors; ``max_answer_bytes`` is that of each body, as it may be read into
        memory, and ``max_redirects`` means nothing: httpx counts its own.
    :param allow_private: ranges such as ``10.1.0.0/16`` that may be reached although they are not public. For an
        operator to set, never for whoever names the URL.
    :param allow_plaintext: whether requests may go over ``http://``.
    :param resolver: gives the addresses of a name, each of which is judged.
    :param tls: how servers are verified; by the system's certificates unless given.
    """

    def __init__(
        self,
        context: FetchContext,
        *,
        limits: HttpLimits | None = None,
        allow_private: Iterable[str] = (),
        allow_plaintext: bool = False,
        resolver: Resolver = system_resolver,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self._limits = limits or HttpLimits()
        self._allow_plaintext = allow_plaintext
        dialling = Dialling(allow_private=tuple(allow_private), resolver=resolver, tls=tls)
        self._client = HttpClient(self._limits, patience(self._limits, context.clock, context), dialling)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, whatever its status; its body is read by httpx.

        :raises ConfigurationError: when the request cannot be sent, or would go over ``http://``.
        :raises FetchError: when there is no answer, or the request is a redirect's and would take something along to
            another origin.
        """
        url = WebAddress.parse(str(request.url).partition("#")[0])
        self._judge(request, url)
        with ExitStack() as held:
            incoming = held.enter_context(self._client.once(self._translated(request, url)))
            chunks = capped(incoming.chunks, self._limits.max_answer_bytes, incoming.origin)
            return httpx.Response(incoming.status, headers=_headers(incoming), stream=_Body(chunks, held.pop_all()))

    def close(self) -> None:
        """Hangs up."""
        self._client.__exit__(None, None, None)

    def _judge(self, request: httpx.Request, url: WebAddress) -> None:
        if url.scheme == "http" and not self._allow_plaintext:
            raise ConfigurationError(
                "a request would go out in the clear over http://",
                guidance="Use https://, or set allow_plaintext where the network itself is trusted.",
            )
        if request.headers.get("host", url.authority).lower() != url.authority:
            raise ConfigurationError("the header Host names another server than the URL")
        begun_at = request.extensions.get(_BEGUN_AT, url.server)
        # Not in place: a caller may use one mapping for several requests.
        request.extensions = {**request.extensions, _BEGUN_AT: begun_at}
        if begun_at == url.server:
            return
        carried = sorted(name for name in request.headers if name not in _HARMLESS)
        downgraded = begun_at[0] == "https" and url.scheme == "http"
        if carried or downgraded or request.method not in {"GET", "HEAD"}:
            raise FetchError(
                f"a redirect leads to another origin, {url.scheme}://{url.authority}, and would take along what is "
                "meant for the first",
                recovery=Recovery.STOP,
                guidance="Ask the final URL itself, or follow this redirect by a request of your own without "
                f"{', '.join(carried) or 'its body'}.",
            )

    def _translated(self, request: httpx.Request, url: WebAddress) -> HttpRequest:
        headers = {name: value for name, value in request.headers.items() if name not in _FRAMING}
        framed = "content-length" in request.headers or "transfer-encoding" in request.headers
        body = request.read() if framed else None
        return HttpRequest(f"{url.scheme}://{url.authority}{url.target}", headers, request.method, body)


class _Body(httpx.SyncByteStream):
    """The body of an answer, whose connection is given back when it was read to its end and closed."""

    def __init__(self, chunks: Iterator[bytes], held: ExitStack) -> None:
        self._chunks = chunks
        self._held = held

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        """Gives the connection back, or hangs up where there is more to come."""
        self._held.close()


def _headers(incoming: Incoming) -> list[tuple[str, str]]:
    """The answer's headers, each cookie by itself, without those of a body that is decoded already."""
    decoded = {"content-encoding", "content-length"} if "content-encoding" in incoming.headers else set()
    kept = [(name, value) for name, value in incoming.headers.items() if name not in {*decoded, "set-cookie"}]
    cookies = _COOKIES.split(incoming.headers.get("set-cookie", ""))
    return [*kept, *(("set-cookie", cookie) for cookie in cookies if cookie)]


def check_status(response: httpx.Response, context: FetchContext) -> None:
    """Raises for a status that is no answer what the library's own connectors raise, so that retries wait as told.

    ``response.raise_for_status()`` raises httpx's error instead, of which the engine knows nothing.

    :raises FetchError: when the status is none of 200, 203 and 204; :class:`~inventory_sources.errors.RateLimited`
        for 429, with what ``Retry-After`` says, :class:`~inventory_sources.errors.AccessRefused` for 401 and 403.
    """
    origin = WebAddress.parse(str(response.request.url).partition("#")[0]).origin
    headers = {name.lower(): value for name, value in response.headers.items()}
    if refused := refusal(response.status_code, headers, origin, context.clock.now()):
        raise refused
