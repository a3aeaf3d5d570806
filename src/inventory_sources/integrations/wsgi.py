"""The endpoints of webhooks as a WSGI application, to be served as it is or mounted in any WSGI framework.

After PEP 3333. Header fields that a sender repeats come from a WSGI server as one, joined by a comma.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from inventory_sources.integrations._mount import MAX_BODY, Endpoints, Mount, Refusal, declared_length, fields
from inventory_sources.protocols.clock import Clock
from inventory_sources.protocols.webhook import Answer, Delivery

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["WebhookApp", "answer_to"]

_PIECE = 64 * 1024
_StartResponse = Callable[[str, list[tuple[str, str]]], object]


class _Input(Protocol):
    def read(self, size: int, /) -> bytes: ...


class WebhookApp:
    """Hands requests to ``<mount>/<token>`` to the engine, in the thread of the server that calls it.

    :param engine: a :class:`inventory_sources.SyncEngine`.
    :param public_url: of the mount as senders see it, for signatures that cover the URL. Nothing that a request says
        of itself (``Host``, ``X-Forwarded-*``) is believed; without it a delivery has the path and query alone.
    :param max_body: bytes; of a longer body nothing more is read, and the answer is 413.
    :param body_timeout: seconds for the whole body to arrive; 408 after that. A read that waits is ended only where
        the server hands out its socket (gunicorn, Werkzeug); elsewhere the time is looked at between two reads.
    :param clock: for the time of receipt and for ``body_timeout``.
    :raises ConfigurationError: for limits or a URL that cannot be.
    """

    def __init__(
        self,
        engine: Endpoints,
        *,
        public_url: str | None = None,
        max_body: int = MAX_BODY,
        body_timeout: float = 30.0,
        clock: Clock | None = None,
    ) -> None:
        self._mount = Mount(engine, public_url, max_body, body_timeout, clock)

    def __call__(self, environ: Mapping[str, Any], start_response: _StartResponse) -> Iterable[bytes]:
        """Serves one request."""
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        answer = answer_to(self._mount, environ, path, environ["wsgi.input"])
        start_response(f"{answer.status} {_reason(answer.status)}", list(fields(answer)))
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body]


def answer_to(mount: Mount, environ: Mapping[str, Any], path: str, stream: _Input) -> Answer:
    """The answer to the request of a WSGI environment; frameworks that keep the body have a stream of their own."""
    try:
        token, source = mount.route(path)
        delivery = Delivery(
            headers=_headers(environ),
            body=_body(mount, environ, stream),
            received_at=mount.clock.now(),
            url=mount.url(token, path, environ.get("QUERY_STRING", "")),
            method=environ["REQUEST_METHOD"],
            client=environ.get("REMOTE_ADDR") or None,
            certificate=_certificate(environ),
        )
        return mount.receive(source, delivery)
    except Refusal as refusal:
        return refusal.answer


def _headers(environ: Mapping[str, Any]) -> list[tuple[str, str]]:
    named = [(key[5:], value) for key, value in environ.items() if key.startswith("HTTP_")]
    named += [(key, environ[key]) for key in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(key)]
    return [(key.replace("_", "-"), value) for key, value in named]


def _certificate(environ: Mapping[str, Any]) -> str | None:
    """As mod_ssl tells the subject of a certificate that it has verified."""
    return environ.get("SSL_CLIENT_S_DN") if environ.get("SSL_CLIENT_VERIFY") == "SUCCESS" else None


def _body(mount: Mount, environ: Mapping[str, Any], stream: _Input) -> bytes:
    """The whole body, or none where the request has none.

    :raises Refusal: 400 where less came than was declared, 408, 411, 413.
    """
    chunked = environ.get("HTTP_TRANSFER_ENCODING", "")
    declared = None if chunked else declared_length(environ.get("CONTENT_LENGTH"))
    mount.judge_length(declared)
    if declared == 0:
        return b""
    if declared is None and not environ.get("wsgi.input_terminated"):
        if chunked:  # the server does not say where it ends
            raise Refusal(411)
        return b""
    late = threading.Event()
    with _watched(environ, mount.body_timeout, late):
        body = _read(mount, stream, declared, late)
    if late.is_set():
        raise Refusal(408)
    if declared is not None and len(body) != declared:
        raise Refusal(400)
    return body


def _read(mount: Mount, stream: _Input, declared: int | None, late: threading.Event) -> bytes:
    body = bytearray()
    end = mount.clock.monotonic() + mount.body_timeout
    bound = mount.max_body + 1 if declared is None else declared  # who asks for more waits for it
    while piece := _piece(stream, min(_PIECE, bound - len(body)), late):
        body += piece
        mount.judge_length(len(body))
        if mount.clock.monotonic() > end:
            raise Refusal(408)
    return bytes(body)


def _piece(stream: _Input, size: int, late: threading.Event) -> bytes:
    try:
        return stream.read(size) if size else b""
    except Exception:  # noqa: BLE001 - servers raise what they like for chunks that are none and for clients that left
        raise Refusal(408 if late.is_set() else 400) from None


@contextmanager
def _watched(environ: Mapping[str, Any], seconds: float, late: threading.Event) -> Iterator[None]:
    """Ends a read that waits, by shutting the reading side of the socket; the answer can still be sent."""
    connection = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
    if not isinstance(connection, socket.socket):
        yield
        return

    def end() -> None:
        late.set()
        with suppress(OSError):
            # Of the class itself: a TLS one forgets its state, which the thread that reads needs.
            socket.socket.shutdown(connection, socket.SHUT_RD)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _reason(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"
