r"""An HTTP server that answers as a script says, well or badly.

It listens on the loopback, speaks real HTTP/1.1 over real sockets, and can do to a client what servers in the field
do: lie about the length, cut the body, send a byte at a time, never end::

    with ScriptedHttpServer([Response(b"sku,quantity\nA,5\n"), Response(status=503)]) as server:
        client.get(server.url)
    assert server.requests[0].path == "/"
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self

from attrs import field, frozen

if TYPE_CHECKING:
    import ssl

__all__ = ["Drip", "Framing", "Request", "Response", "Script", "ScriptedHttpServer"]


class Framing(Enum):
    """How a response shows where its body ends; ``CLOSE`` by closing the connection, which proves nothing."""

    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


@frozen
class Drip:
    """Sends ``size`` bytes each ``interval`` seconds.

    :param head: whether the status line and the headers are sent like this too.
    """

    size: int = 1
    interval: float = 0.05
    head: bool = False


@frozen
class Request:
    """What a client sent.

    :param path: with its query.
    :param headers: by name in lower case.
    :param connection: which of the server's connections it came over, from 1 on; it does not count when two requests
        are compared.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""
    connection: int = field(default=1, eq=False)


@frozen
class Response:
    """What to answer.

    :param headers: beside those of the framing.
    :param content_length: declared in place of the true length.
    :param cut_after: closes the connection after so many bytes of the framed body.
    :param drip: sends it slowly.
    :param endless: sends the body again and again until the client leaves or the server is closed.
    :param raw: sends exactly these bytes in place of head and body: other heads before it, trailers, or rubbish.
    :param hang_up: closes the connection behind the answer without having said so.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(factory=dict)
    framing: Framing = Framing.LENGTH
    content_length: int | None = None
    cut_after: int | None = None
    drip: Drip | None = None
    endless: bool = False
    raw: bytes | None = None
    hang_up: bool = False

    def head(self, *, keep_alive: bool = False) -> bytes:
        """The status line and headers.

        :param keep_alive: whether another request may follow.
        """
        names = {**({} if keep_alive else {"Connection": "close"}), **self.headers}
        if self.framing is Framing.CHUNKED:
            names["Transfer-Encoding"] = "chunked"
        elif self.framing is Framing.LENGTH:
            names["Content-Length"] = str(len(self.body) if self.content_length is None else self.content_length)
        reason = HTTPStatus(self.status).phrase if self.status in HTTPStatus._value2member_map_ else "Unknown"
        lines = [f"HTTP/1.1 {self.status} {reason}", *(f"{name}: {value}" for name, value in names.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    @property
    def goes_on(self) -> bool:
        """Whether another request may follow on the same connection, where the server keeps them."""
        told = any(name.lower() == "connection" and "close" in value.lower() for name, value in self.headers.items())
        whole = self.framing is not Framing.CLOSE and self.cut_after is None and not self.endless
        return whole and not told and not self.hang_up

    def framed_body(self) -> Iterator[bytes]:
        """The bytes behind the headers."""
        if self.framing is not Framing.CHUNKED:
            yield self.body
            while self.endless:
                yield self.body
            return
        chunk = b"%x\r\n%b\r\n" % (len(self.body), self.body) if self.body else b""
        yield chunk
        while self.endless:
            yield chunk
        yield b"0\r\n\r\n"


#: The answers in order, the last of which is repeated, or a function that gives one for each request.
Script = Sequence[Response] | Callable[[Request], Response]


class ScriptedHttpServer:
    """Answers each request by its script; a context manager.

    :param script: answers in order, the last of which is repeated, or a function from request to answer; it is called
        by one thread at a time.
    :param tls: the server's side of TLS.
    :param keep_alive: whether a connection takes one request after the other, until an answer says or does otherwise.
    :ivar host: the address it listens on.
    :ivar port: the port it listens on, a free one.
    """

    def __init__(
        self,
        script: Script,
        *,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        keep_alive: bool = False,
    ) -> None:
        self._script = script
        self._tls = tls
        self._keep_alive = keep_alive
        self._connections = 0
        self._idle: set[socket.socket] = set()
        self._requests: list[Request] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._listener = socket.create_server((host, 0))
        self._address: tuple[str, int] = self._listener.getsockname()[:2]
        self.host: str = self._address[0]
        self.port: int = self._address[1]
        self._threads = [threading.Thread(target=self._accept, name="scripted-http", daemon=True)]

    @property
    def url(self) -> str:
        """Its root."""
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}/"

    @property
    def requests(self) -> tuple[Request, ...]:
        """What was asked so far, in order."""
        with self._lock:
            return tuple(self._requests)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closed.set()
            for idle in self._idle:
                with suppress(OSError):
                    # Of the class itself: a TLS one forgets its state, which the thread that reads needs.
                    socket.socket.shutdown(idle, socket.SHUT_RDWR)
        # Closing a listener does not wake its accept on every system; a connection does.
        with suppress(OSError), socket.create_connection(self._address, timeout=1):
            pass
        for thread in list(self._threads):
            thread.join(timeout=5)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._closed.is_set():
                connection.close()
                return
            thread = threading.Thread(target=self._serve, args=(connection,), name="scripted-http", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        # The client may leave at any moment; that is what many tests are about.
        with connection, suppress(OSError):
            connection.settimeout(5)
            # Else a kept connection's body waits for the client to confirm the head.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if not self._tls:
                self._converse(connection)
                return
            with self._tls.wrap_socket(connection, server_side=True) as secured:
                self._converse(secured)

    def _converse(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections += 1
            number = self._connections
        with connection.makefile("rb") as stream:
            goes_on = True
            while goes_on and (request := self._awaited(connection, stream, number)):
                response = self._next(request)
                self._answer(connection, response, bodiless=request.method == "HEAD")
                goes_on = self._keep_alive and response.goes_on

    def _awaited(self, connection: socket.socket, stream: BinaryIO, number: int) -> Request | None:
        with self._lock:
            if self._closed.is_set():
                return None
            self._idle.add(connection)
        try:
            return _read_request(stream, number)
        finally:
            with self._lock:
                self._idle.discard(connection)

    def _next(self, request: Request) -> Response:
        with self._lock:
            self._requests.append(request)
            if callable(self._script):
                return self._script(request)
            return self._script[min(len(self._requests), len(self._script)) - 1]

    def _answer(self, connection: socket.socket, response: Response, *, bodiless: bool) -> None:
        drip = response.drip
        if response.raw is not None:
            self._send(connection, response.raw, drip)
            return
        head = response.head(keep_alive=self._keep_alive and (response.goes_on or response.hang_up))
        self._send(connection, head, drip if drip and drip.head else None)
        left = response.cut_after
        for piece in () if bodiless else response.framed_body():
            sent = piece if left is None else piece[:left]
            self._send(connection, sent, drip)
            left = None if left is None else left - len(sent)
            if self._closed.is_set() or left == 0:
                return

    def _send(self, connection: socket.socket, data: bytes, drip: Drip | None) -> None:
        step = drip.size if drip else len(data) or 1
        for start in range(0, len(data), step):
            connection.sendall(data[start : start + step])
            if drip and self._closed.wait(drip.interval):
                return


def _read_request(stream: BinaryIO, connection: int) -> Request | None:
    """One request, or ``None`` when the client left before it was whole."""
    first = stream.readline().decode("latin-1").split()
    lines = iter(lambda: stream.readline().decode("latin-1").strip(), "")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    size = int(headers.get("content-length", 0))
    body = stream.read(size)
    whole = len(first) == 3 and len(body) == size
    return Request(first[0], first[1], headers, body, connection) if whole else None
