"""HTTP/1.1 requests and their answers, one after the other, over one connection that was judged.

The protocol is read by `h11 <https://h11.readthedocs.io>`_, the parser underneath httpx, and the socket is our own:
httpx knows no total deadline and logs addresses with their query keys, httpcore logs response headers (a ``Location``
repeats the query), and the address that was judged must be the one that is dialled.
Nothing in this module logs. It is loaded at the first request.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

import h11
from attrs import define, field

from inventory_sources.errors import (
    ConfigurationError,
    ConnectFailed,
    FetchError,
    FetchTimeout,
    ServerFailed,
    Truncated,
)
from inventory_sources.payload import Evidence, Proof

if TYPE_CHECKING:
    from inventory_sources._url import WebAddress

__all__ = ["Connection", "Exchange", "undelayed"]

_Event: TypeAlias = h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]

_READ_BYTES = 64 * 1024
_MAX_HEADER_BYTES = 64 * 1024
#: Hanging up costs less than reading on from here.
_LONG_BYTES = 4096


def undelayed(connection: socket.socket) -> socket.socket:
    """The connection, which from now on sends the end of a request without waiting for the rest to be confirmed."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


@define
class Connection:
    """A connection over which one request goes after the other.

    :ivar used: whether a request was answered over it before.
    """

    socket: socket.socket
    http: h11.Connection = field(
        factory=lambda: h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEADER_BYTES), init=False
    )
    used: bool = field(default=False, init=False)

    def renew(self) -> bool:
        """Whether another request may follow; to be asked once an answer was read to its end."""
        if self.http.our_state is not h11.DONE or self.http.their_state is not h11.DONE:
            return False
        self.http.start_next_cycle()
        self.used = True
        return True

    @property
    def stale(self) -> bool:
        """Whether the server has hung up, or sent something that nobody asked for, since the last answer."""
        if self.http.trailing_data[0]:
            return True
        # Read, not only looked at: under TLS 1.3 a socket has bytes to read that are session tickets and no data.
        try:
            self.socket.settimeout(0)
            self.socket.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        """Hangs up."""
        self.socket.close()


class Exchange:
    """Sends a request when made; ``status`` and ``headers`` (names in lower case) are then known.

    :meth:`body` reads on.

    :param content: the request's body; its length is among the headers.
    :param wait: how many seconds the next piece may take; raises when the sync is out of time or was cancelled.
    :ivar at_end: whether the body was read to its end.
    :raises ConfigurationError: when a header cannot be sent.
    :raises FetchError: when there is no answer that can be read.
    """

    def __init__(
        self,
        connection: Connection,
        url: WebAddress,
        headers: Mapping[str, str],
        wait: Callable[[], float],
        *,
        method: str = "GET",
        content: bytes = b"",
    ) -> None:
        self._socket = connection.socket
        self._http = connection.http
        self._origin = url.origin
        self._wait = wait
        self._method = method
        self._ended = self._answered = False
        self.at_end: bool = False
        request = None
        # What is suppressed repeats the header, which may be a token; it must not even hang on our error.
        with suppress(h11.LocalProtocolError, UnicodeEncodeError):
            request = h11.Request(method=method, target=url.target, headers=list(headers.items()))
        if request is None:
            raise ConfigurationError("a header or token has characters that HTTP cannot send")
        self._send(request, content)
        response = self._response()
        self._answered = True
        self.status: int = response.status_code
        self.headers: dict[str, str] = {}
        for name, value in response.headers:
            shown = value.decode("latin-1")
            key = name.decode("ascii")
            self.headers[key] = f"{self.headers[key]}, {shown}" if key in self.headers else shown

    @property
    def declared_size(self) -> int | None:
        """Bytes of the body as the server declares them; ``None`` when it does not."""
        if self._method == "HEAD" or self.status in {204, 304}:
            return 0
        if "transfer-encoding" in self.headers or "content-length" not in self.headers:
            return None
        # h11 has checked the header; several equal values are allowed.
        return int(self.headers["content-length"].split(",")[0])

    @property
    def evidence(self) -> Evidence:
        """What a body that was read to its end proves: nothing, where only the closed connection ends it."""
        if "transfer-encoding" in self.headers and self.declared_size is None:
            return Evidence(frozenset({Proof.CHUNKED_END}))
        return Evidence(frozenset() if self.declared_size is None else frozenset({Proof.LENGTH}))

    def body(self) -> Iterator[bytes]:
        """The body as sent, still compressed where it is.

        :raises Truncated: when the connection ends before the body does.
        """
        while not self.at_end:
            event = self._next_event()
            self.at_end = isinstance(event, h11.EndOfMessage)
            if isinstance(event, h11.Data):
                yield bytes(event.data)

    def finish(self) -> bool:
        """Reads what is left of a short body; whether it was all there is."""
        if not self.at_end and (self.declared_size or 0) < _LONG_BYTES and self.declared_size is not None:
            with suppress(FetchError):
                for _ in self.body():
                    pass
        return self.at_end

    def _send(self, request: h11.Request, content: bytes) -> None:
        events = (request, h11.Data(data=content), h11.EndOfMessage())
        data = b"".join(self._http.send(event) or b"" for event in events)
        self._socket.settimeout(self._wait())
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise FetchTimeout(f"{self._origin} did not take the request in time") from None
        except OSError as error:
            raise ConnectFailed(f"{self._origin} closed the connection: {error.strerror}") from None

    def _response(self) -> h11.Response:
        while not isinstance(event := self._next_event(), h11.Response):
            pass
        return event

    def _next_event(self) -> _Event:
        # Raised outside of the except, so that h11's error, which quotes the server, does not hang on ours.
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(self._read())
        except h11.RemoteProtocolError:
            event = None
        if event is None:
            raise self._broken() if self._ended else ServerFailed(f"{self._origin} does not answer in valid HTTP")
        return event

    def _broken(self) -> FetchError:
        if not self._answered:
            return ConnectFailed(f"{self._origin} closed the connection without an answer")
        return Truncated(f"the connection to {self._origin} ended before the body did")

    def _read(self) -> bytes:
        wait = self._wait()
        self._socket.settimeout(wait)
        try:
            data = self._socket.recv(_READ_BYTES)
        except TimeoutError:
            self._wait()
            raise FetchTimeout(f"{self._origin} sent nothing for {wait:g} s") from None
        except OSError:
            raise self._broken() from None
        self._ended = not data
        return data
