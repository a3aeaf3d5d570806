"""The endpoints of webhooks as an ASGI application, to be served as it is or mounted in any ASGI framework.

After the ASGI specification 3.0, HTTP and lifespan protocols 2.x, on asyncio.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from inventory_sources.integrations._mount import MAX_BODY, Endpoints, Mount, Refusal, declared_length, fields
from inventory_sources.integrations._pool import Pool
from inventory_sources.protocols.clock import Clock
from inventory_sources.protocols.webhook import Answer, Delivery

__all__ = ["WebhookApp"]

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


class WebhookApp:
    """Hands requests to ``<mount>/<token>`` to the engine, in threads of its own.

    :param engine: a :class:`inventory_sources.SyncEngine`.
    :param public_url: of the mount as senders see it, for signatures that cover the URL. Nothing that a request says
        of itself (``Host``, ``X-Forwarded-*``) is believed; without it a delivery has the path and query alone.
    :param max_body: bytes; of a longer body nothing more is read, and the answer is 413.
    :param body_timeout: seconds for the whole body to arrive; 408 after that.
    :param threads: how many requests the engine works on at once.
    :param queue: how many more may wait for it; 503 with ``Retry-After`` beyond.
    :param clock: for the time of receipt.
    :raises ConfigurationError: for limits or a URL that cannot be.
    """

    def __init__(
        self,
        engine: Endpoints,
        *,
        public_url: str | None = None,
        max_body: int = MAX_BODY,
        body_timeout: float = 30.0,
        threads: int = 16,
        queue: int = 256,
        clock: Clock | None = None,
    ) -> None:
        self._mount = Mount(engine, public_url, max_body, body_timeout, clock)
        self._pool = Pool(threads, queue)

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Serves one request, or the events of a server that starts and stops."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            try:
                answer, closes = await self._answer(scope, receive), False
            except Refusal as refusal:
                answer, closes = refusal.answer, scope.get("http_version", "1.1").startswith("1")
            with suppress(OSError):  # the client has left
                await _respond(send, answer, closes=closes)
        else:
            await receive()
            await send({"type": "websocket.close"})

    async def _answer(self, scope: _Message, receive: _Receive) -> Answer:
        path = scope["path"]
        token, source = await self._pool.run(lambda: self._mount.route(path))
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        lengths = [value for name, value in headers if name.lower() == "content-length"]
        declared = declared_length(",".join(lengths))
        self._mount.judge_length(declared)
        body = await self._body(receive, declared)
        delivery = Delivery(
            headers=headers,
            body=body,
            received_at=self._mount.clock.now(),
            url=self._mount.url(token, path, scope.get("query_string", b"").decode("latin-1")),
            method=scope["method"],
            client=(scope.get("client") or (None,))[0],
            certificate=_certificate(scope),
        )
        return await self._pool.run(lambda: self._mount.receive(source, delivery))

    async def _body(self, receive: _Receive, declared: int | None) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(self._mount.body_timeout):
                while (message := await receive())["type"] == "http.request":
                    body += message.get("body", b"")
                    self._mount.judge_length(len(body))
                    if not message.get("more_body", False):
                        break
                else:  # the client has left
                    raise Refusal(400)
        except TimeoutError:
            raise Refusal(408) from None
        if declared is not None and len(body) != declared:
            raise Refusal(400)
        return bytes(body)


def _certificate(scope: _Message) -> str | None:
    """After the TLS extension of ASGI: the subject of a certificate that the server has verified."""
    tls = (scope.get("extensions") or {}).get("tls") or {}
    return None if tls.get("client_cert_error") else tls.get("client_cert_name")


async def _respond(send: _Send, answer: Answer, *, closes: bool) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields(answer)]
    if closes:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _lifespan(receive: _Receive, send: _Send) -> None:
    for event in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{event}.complete"})
