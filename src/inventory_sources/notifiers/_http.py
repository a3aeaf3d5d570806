"""Notifications to an HTTP endpoint."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from attrs import field, frozen

from inventory_sources._http import Dialling, HttpClient, HttpLimits, HttpRequest, patience, shown_url
from inventory_sources._standard_webhooks import LEAST_SECRET, SigningKey, standard_headers
from inventory_sources._url import WebAddress
from inventory_sources.clock import SystemClock
from inventory_sources.errors import ConfigurationError, InventorySourcesError, NotifyError
from inventory_sources.netguard import networks
from inventory_sources.notifiers._document import document
from inventory_sources.protocols.clock import Clock
from inventory_sources.protocols.notifier import Notification
from inventory_sources.secrets import Secret

if TYPE_CHECKING:
    import ssl

__all__ = ["HttpNotifier"]


@frozen(kw_only=True)
class HttpNotifier:
    """Sends each notification as one POST of JSON, with its id as ``Idempotency-Key``.

    The body has the keys ``id``, ``source``, ``kind`` (``failed``, ``held`` or ``resolved``), ``incident``,
    ``summary``, ``at``, ``run_id`` and ``failure`` (``null``, or ``code``, ``phase``, ``message``, ``guidance`` and
    ``at``). Redirects are not followed.

    :param url: ``https://host/path?query``; shown without its query.
    :param token: sent as ``Authorization: Bearer``, over ``https`` only.
    :param secret: signs each notification as Standard Webhooks says, ``webhook-id`` being the notification's id: a
        shared ``whsec_`` secret, or a private ``whsk_`` key, so that the receiver holds nothing that can sign.
    :param timeout: seconds for all of it.
    :param allow_private: ranges such as ``10.1.0.0/16`` that may be reached although they are not public. For an
        operator to set, never for whoever names the URL.
    :param tls: verifies the endpoint's certificate; the system's authorities unless given.
    :param clock: says when a notification is signed.
    :raises ConfigurationError: when one of these cannot be used.
    """

    url: str = field(kw_only=False, repr=shown_url)
    token: Secret | None = None
    secret: Secret | None = None
    timeout: float = 10.0
    allow_private: tuple[str, ...] = field(default=(), converter=tuple)
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    clock: Clock = field(factory=SystemClock, repr=False)

    def __attrs_post_init__(self) -> None:
        networks(self.allow_private)
        if WebAddress.parse(self.url).scheme == "http" and self.token is not None:
            raise ConfigurationError("a token would be sent in the clear over http://", guidance="Use https://.")
        if not self.timeout > 0:
            raise ConfigurationError("timeout must be more than 0")
        if self.secret is not None and self.secret.stored_as is None:
            _signing_key(self.secret)

    def notify(self, notification: Notification) -> None:
        """Returns when the endpoint has answered with a status from 200 to 299.

        :raises NotifyError: when it has not, within ``timeout``.
        """
        url = WebAddress.parse(self.url)
        try:
            status = self._post(notification)
        except InventorySourcesError as error:
            raise NotifyError(f"notification not taken: {error.message}", guidance=error.guidance) from None
        if not 200 <= status < 300:
            raise NotifyError(f"notification not taken: {url.origin} answered with HTTP {status}")

    def _post(self, notification: Notification) -> int:
        limits = HttpLimits(timeout=self.timeout, deadline=self.timeout)
        dialling = Dialling(allow_private=self.allow_private, tls=self._verification)
        content = json.dumps(document(notification)).encode("ascii")
        request = HttpRequest(self.url, self._headers(notification, content), "POST", content)
        wait = patience(limits, self.clock, what=f"the answer of {WebAddress.parse(self.url).origin}")
        with HttpClient(limits, wait, dialling) as client, client.open(request) as incoming:
            return incoming.status

    def _verification(self) -> ssl.SSLContext:
        import ssl

        return self.tls or ssl.create_default_context()

    def _headers(self, notification: Notification, content: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Idempotency-Key": notification.id}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token.reveal()}"
        if self.secret is not None:
            keys = (_signing_key(self.secret),)
            headers |= standard_headers(keys, notification.id, self.clock.now(), content)
        return headers


def _signing_key(secret: Secret) -> SigningKey:
    key = SigningKey.parse(secret.reveal())
    if len(key.raw) < LEAST_SECRET:
        raise ConfigurationError(f"the secret to sign with has {len(key.raw)} bytes; {LEAST_SECRET} are needed")
    if key.version != "v1" and key.private is None:
        raise ConfigurationError("a public key cannot sign", guidance="Give the whsk_ key it belongs to.")
    return key
