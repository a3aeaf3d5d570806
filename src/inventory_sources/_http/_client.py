"""An HTTP client for one fetch: judged addresses, bounded time and size, connections used again, nothing logged."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from attrs import frozen

from inventory_sources._http._coding import ACCEPTED, capped, decoded
from inventory_sources._http._messages import (
    HttpAnswer,
    HttpLimits,
    HttpRequest,
    check_header_names,
    check_header_values,
)
from inventory_sources._http._redirects import onwards
from inventory_sources._url import WebAddress
from inventory_sources.errors import ConnectFailed, InputTooLarge
from inventory_sources.netguard import Resolver, dial, judge_port, networks, system_resolver
from inventory_sources.payload import Payload
from inventory_sources.spool import spool

if TYPE_CHECKING:
    import ssl

    from inventory_sources._http._patience import Patience
    from inventory_sources._http._wire import Connection, Exchange
    from inventory_sources.protocols.connector import FetchContext

__all__ = ["Dialling", "HttpClient", "Incoming"]

_IDLE_EACH = 16


@frozen(kw_only=True)
class Dialling:
    """How servers are reached.

    :param allow_private: ranges such as ``10.1.0.0/16`` that may be reached although they are not public.
    :param tls: verifies certificates; by default by the system's authorities.
    """

    allow_private: tuple[str, ...] = ()
    resolver: Resolver = system_resolver
    tls: Callable[[], ssl.SSLContext] | None = None


@frozen
class Incoming:
    """An answer whose body is still to be read, once.

    :param chunks: of the body, decompressed, in bounded pieces.
    """

    exchange: Exchange
    origin: str
    chunks: Iterator[bytes]

    @property
    def status(self) -> int:
        """As the server gave it."""
        return self.exchange.status

    @property
    def headers(self) -> Mapping[str, str]:
        """By name in lower case; values of repeated ones are joined by commas."""
        return self.exchange.headers

    def whole(self, body: bytes = b"") -> HttpAnswer:
        """The answer once its body was read to its end."""
        return HttpAnswer(self.status, self.headers, body, self.origin, self.exchange.evidence)


class HttpClient:
    """Sends requests, from as many threads as one likes; a context manager that hangs up at its end.

    Every connection goes to an address that was judged when it was dialled. Proxies and other settings of the
    environment are not used, apart from where the system keeps its certificates. A status is not judged here: see
    :func:`~inventory_sources._http.refusal`.

    :param wait: how long each step may take; see :func:`patience`.
    :ivar left: how many seconds are left for all that is still to be sent; raises when there are none.
    """

    def __init__(self, limits: HttpLimits, wait: Patience, dialling: Dialling | None = None) -> None:
        self._limits = limits
        self._wait = wait
        self.left: Callable[[], float] = wait.left
        self._dialling = dialling or Dialling()
        self._allowed = networks(self._dialling.allow_private)
        self._idle: dict[tuple[str, str, int], list[Connection]] = {}
        self._lock = threading.Lock()
        self._tls: ssl.SSLContext | None = None
        self._decoded = 0
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._lock:
            self._closed = True
            connections = [connection for idle in self._idle.values() for connection in idle]
            self._idle.clear()
        for connection in connections:
            connection.close()

    def send(self, request: HttpRequest) -> HttpAnswer:
        """The whole answer, in memory.

        :raises FetchError: when it cannot be had whole.
        """
        with self.open(request) as incoming:
            return self.read(incoming)

    def read(self, incoming: Incoming) -> HttpAnswer:
        """The whole of an open answer, in memory.

        :raises FetchError: when it cannot be had whole, or is larger than an answer in memory may be.
        """
        body = io.BytesIO()
        for chunk in capped(incoming.chunks, self._limits.max_answer_bytes, incoming.origin):
            body.write(chunk)
        return incoming.whole(body.getvalue())

    def download(self, incoming: Incoming, context: FetchContext) -> Payload:
        """The body of an open answer, in the run's spool.

        :raises FetchError: when it cannot be had whole.
        """
        spooled = spool(incoming.chunks, context, origin=incoming.origin, max_bytes=self._limits.max_decoded_bytes)
        return Payload(
            incoming.origin,
            spooled.path,
            None,
            incoming.exchange.evidence,
            incoming.headers.get("content-type"),
            spooled.size,
            spooled.sha256,
        )

    @contextmanager
    def open(self, request: HttpRequest) -> Iterator[Incoming]:
        """The answer as it comes in, after redirects if any are allowed.

        :raises ConfigurationError: when the request cannot be sent.
        :raises FetchError: when there is no answer, or a redirect leads where none may.
        """
        for _ in range(self._limits.max_redirects):
            with self.once(request) as incoming:
                further = onwards(request, incoming.status, incoming.headers, incoming.origin)
                if further is None:
                    yield incoming
                    return
            request = further
        with self.once(request) as incoming:
            yield incoming

    @contextmanager
    def once(self, request: HttpRequest) -> Iterator[Incoming]:
        """The answer as it comes in, a redirect like any other; what every request goes through.

        :raises FetchError: when there is none.
        """
        url = WebAddress.parse(request.url)
        connection, exchange = self._exchange(request, url)
        done = False
        try:
            yield Incoming(exchange, url.origin, self.chunks(exchange, url))
            done = exchange.finish() and connection.renew()
        finally:
            if not done:
                connection.close()
        self._keep(url, connection)

    def _exchange(self, request: HttpRequest, url: WebAddress) -> tuple[Connection, Exchange]:
        headers = _complete_headers(request, url)
        connection = self._idle_connection(url)
        if connection is not None:
            try:
                return connection, self._begun(connection, request, url, headers)
            except ConnectFailed:
                # A server may hang up on an idle connection at any moment, even while the request is on its way.
                if not request.may_repeat:
                    raise
        connection = self._dial(url)
        return connection, self._begun(connection, request, url, headers)

    def _begun(
        self, connection: Connection, request: HttpRequest, url: WebAddress, headers: Mapping[str, str]
    ) -> Exchange:
        from inventory_sources._http._wire import Exchange

        try:
            return Exchange(connection, url, headers, self._wait, method=request.method, content=request.content or b"")
        except BaseException:
            connection.close()
            raise

    def _idle_connection(self, url: WebAddress) -> Connection | None:
        while True:
            with self._lock:
                idle = self._idle.get(url.server)
                connection = idle.pop() if idle else None
            if connection is None or not connection.stale:
                return connection
            connection.close()

    def _dial(self, url: WebAddress) -> Connection:
        from inventory_sources._http._wire import Connection, undelayed

        judge_port(url.host, url.port)
        socket = undelayed(
            dial(url.host, url.port, self._wait, allowed=self._allowed, resolver=self._dialling.resolver)
        )
        if url.scheme == "http":
            return Connection(socket)
        from inventory_sources._tls import verified

        try:
            return Connection(verified(socket, url.host, self._verification(), self._wait))
        except BaseException:
            socket.close()
            raise

    def _verification(self) -> ssl.SSLContext:
        with self._lock:
            if self._tls is None:
                import ssl

                self._tls = (self._dialling.tls or ssl.create_default_context)()
            return self._tls

    def _keep(self, url: WebAddress, connection: Connection) -> None:
        with self._lock:
            idle = self._idle.setdefault(url.server, [])
            if len(idle) < _IDLE_EACH and not self._closed:
                idle.append(connection)
                return
        connection.close()

    def chunks(self, exchange: Exchange, url: WebAddress) -> Iterator[bytes]:
        """The body of an answer, decompressed, within the limits.

        :raises InputTooLarge: when it is larger.
        """
        limits = self._limits
        if (exchange.declared_size or 0) > limits.max_bytes:
            raise InputTooLarge(f"{url.origin} sends {exchange.declared_size} bytes, more than {limits.max_bytes}")
        sent = capped(exchange.body(), limits.max_bytes, url.origin)
        coding = exchange.headers.get("content-encoding", "")
        for chunk in decoded(sent, coding, max_ratio=limits.max_ratio, origin=url.origin):
            with self._lock:
                self._decoded += len(chunk)
                if self._decoded > limits.max_decoded_bytes:
                    raise InputTooLarge(f"{url.origin} sends more than {limits.max_decoded_bytes} bytes")
            yield chunk


def _complete_headers(request: HttpRequest, url: WebAddress) -> dict[str, str]:
    check_header_names(request.headers)
    check_header_values(request.headers)
    given = {name.lower() for name in request.headers}
    # A stale copy from a cache on the way would pass for the stock of this moment.
    defaults = {"Accept": "*/*", "Cache-Control": "no-cache", "User-Agent": "inventory-sources"}
    ours = {"Host": url.authority, "Accept-Encoding": ACCEPTED}
    if request.content is not None:
        ours["Content-Length"] = str(len(request.content))
    return {**ours, **{n: v for n, v in defaults.items() if n.lower() not in given}, **request.headers}
