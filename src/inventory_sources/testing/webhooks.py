"""Deliveries as their senders sign them, to test an endpoint of one's own: in a call or over HTTP."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from datetime import datetime
from typing import Protocol, runtime_checkable
from urllib.parse import urlsplit

from inventory_sources.errors import ConfigurationError
from inventory_sources.protocols.webhook import Answer, Delivery, SignatureScheme
from inventory_sources.webhooks import AllOf

__all__ = ["SigningScheme", "send", "signed"]


@runtime_checkable
class SigningScheme(Protocol):
    """A scheme that can also do the sender's part; all of the library's own can, but one that has a public key only."""

    def signed(self, delivery: Delivery, at: datetime, message_id: str) -> Delivery:
        """The delivery with what its sender adds to it."""


def signed(
    scheme: SignatureScheme,
    body: bytes,
    *,
    at: datetime,
    id: str = "msg_1",  # noqa: A002 - the senders' word
    url: str = "",
    headers: Mapping[str, str] | None = None,
) -> Delivery:
    """A delivery that a sender signed.

    For ``v1a`` of Standard Webhooks give a scheme with the private key (``whsk_…``); the endpoint's has the public one.

    :param at: when it is signed and received.
    :param id: of the message, where the sender gives one.
    :param url: that the sender calls.
    :param headers: sent as well.
    :raises ConfigurationError: when the scheme cannot sign.
    """
    sent = {"content-type": "application/json", **(headers or {})}
    delivery = Delivery(headers=sent, body=body, received_at=at, url=url)
    for one in _each(scheme):
        if not isinstance(one, SigningScheme):
            raise ConfigurationError(f"{type(one).__qualname__} has no method signed() and cannot sign a delivery")
        delivery = one.signed(delivery, at, id)
    return delivery


def send(url: str, delivery: Delivery, *, timeout: float = 10.0, tls: ssl.SSLContext | None = None) -> Answer:
    """Posts a delivery and gives the answer. It goes wherever it is told to, this machine included.

    :param timeout: seconds for the connection and for each wait.
    :param tls: verifies the server's certificate; the system's authorities unless given.
    """
    parts = urlsplit(url)
    host, path = parts.hostname or "", f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(host, parts.port, timeout=timeout, context=tls)
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=timeout)
    try:
        connection.putrequest(delivery.method, path)
        for name, value in (*delivery.headers, ("content-length", str(len(delivery.body)))):
            connection.putheader(name, value)
        connection.endheaders(delivery.body)
        answer = connection.getresponse()
        return Answer(answer.status, tuple((name.lower(), value) for name, value in answer.getheaders()), answer.read())
    finally:
        connection.close()


def _each(scheme: SignatureScheme) -> tuple[SignatureScheme, ...]:
    if not isinstance(scheme, AllOf):
        return (scheme,)
    return tuple(inner for one in scheme.schemes for inner in _each(one))
