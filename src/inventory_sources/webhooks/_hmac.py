"""Signatures by an HMAC in one header: declared, or of senders that are known."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from attrs import field, frozen

from inventory_sources.errors import ConfigurationError
from inventory_sources.protocols.webhook import Answer, Delivery, Verified
from inventory_sources.webhooks._layout import Layout
from inventory_sources.webhooks._reading import FIVE_MINUTES, positive, with_headers
from inventory_sources.webhooks._secrets import WebhookSecret, active, judge, secrets_of, text_key

__all__ = ["GitHub", "HmacSignature", "LaidOut", "ShipHero", "Shopify", "Square"]


@frozen(kw_only=True)
class LaidOut:
    """An HMAC where a layout says, with the secret's characters as the key.

    :param secrets: those that count; several while one replaces another.
    """

    secrets: tuple[WebhookSecret, ...] = field(converter=secrets_of)

    def __attrs_post_init__(self) -> None:
        self._layout().check()
        judge(self.secrets, text_key)

    def verify(self, delivery: Delivery, now: datetime) -> Verified:
        """What the signature proves.

        :raises SignatureInvalid: unless it is of one of the secrets that count now.
        """
        return self._layout().verify(delivery, active(self.secrets, now, text_key), now)

    def handshake(self, delivery: Delivery) -> Answer | None:
        """None: there is no such request."""
        return None

    def signed(self, delivery: Delivery, at: datetime, message_id: str) -> Delivery:
        """The delivery as its sender signs it, with the first secret that counts, for tests."""
        key = active(self.secrets, at, text_key)[0]
        return with_headers(delivery, self._layout().headers(delivery, key, at, message_id))

    def _layout(self) -> Layout:
        raise NotImplementedError


@frozen(kw_only=True)
class HmacSignature(LaidOut):
    """Any sender's HMAC in a header of its own, as its documentation describes it.

    ``HmacSignature(secrets=…, header="X-Signature", signed_text="{timestamp}.{body}", timestamp_header="X-Time")``

    :param header: that carries the signature.
    :param algorithm: ``sha256`` or ``sha512``; ``sha1`` only for a sender that has nothing newer.
    :param encoding: ``hex``, ``base64`` or ``base64url``, with or without its padding.
    :param prefix: what stands before the signature in its header, such as ``sha256=``.
    :param signed_text: of what it is the HMAC: ``{body}`` and, where the sender signs them, ``{timestamp}``, ``{id}``,
        ``{url}`` and ``{method}``, with the texts between them.
    :param timestamp_header: Unix seconds in ASCII digits; only where ``{timestamp}`` is signed.
    :param milliseconds: the timestamp counts these.
    :param id_header: of the message's id; without ``{id}`` it is not signed and proves nothing.
    :param url: as the sender calls it, where ``{url}`` is signed.
    :param tolerance: how far a signed timestamp may be from now, both ways.
    :raises ConfigurationError: for what would prove nothing or could be read in two ways.
    """

    header: str
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64", "base64url"] = "hex"
    prefix: str = ""
    signed_text: str = "{body}"
    timestamp_header: str | None = None
    milliseconds: bool = False
    id_header: str | None = None
    url: str = ""
    tolerance: timedelta = field(default=FIVE_MINUTES, validator=positive)

    def _layout(self) -> Layout:
        return Layout(
            header=self.header,
            algorithm=self.algorithm,
            encoding=self.encoding,
            prefix=self.prefix,
            pieces=self.signed_text,
            timestamp_header=self.timestamp_header,
            milliseconds=self.milliseconds,
            id_header=self.id_header,
            url=self.url,
            tolerance=self.tolerance,
        )


@frozen(kw_only=True)
class Shopify(LaidOut):
    """Shopify's: base64 of HMAC-SHA256 over the body, with the app's client secret.

    Source: https://shopify.dev/docs/apps/build/webhooks. No time is signed, so that only its id, which is not signed
    either, tells a repetition.

    :param id_header: ``X-Shopify-Event-Id``, or ``X-Shopify-Webhook-Id``, another one for each subscription.
    """

    id_header: str = "X-Shopify-Event-Id"

    def _layout(self) -> Layout:
        return Layout(header="X-Shopify-Hmac-Sha256", id_header=self.id_header)


@frozen(kw_only=True)
class ShipHero(LaidOut):
    """ShipHero's: base64 of HMAC-SHA256 over the body, with the ``shared_signature_secret`` of ``webhook_create``.

    Source: https://developer.shiphero.com/webhooks. It waits for ``{"code": "200", "Status": "Success"}``.
    """

    def _layout(self) -> Layout:
        return Layout(header="X-Shiphero-Hmac-Sha256", id_header="X-Shiphero-Message-ID")


@frozen(kw_only=True)
class Square(LaidOut):
    """Square's: base64 of HMAC-SHA256 over the notification URL and the body, with the subscription's signature key.

    Source: https://developer.squareup.com/docs/webhooks/step3validate. The id, ``event_id``, is in the body.

    :param url: the notification URL exactly as the subscription has it; never taken from the request.
    """

    url: str

    def _layout(self) -> Layout:
        if not self.url.startswith("https://"):
            raise ConfigurationError("Square's notification URL begins with https://")
        return Layout(header="X-Square-Hmacsha256-Signature", pieces="{url}{body}", url=self.url)


@frozen(kw_only=True)
class GitHub(LaidOut):
    """GitHub's, and that of senders in its style: hex of HMAC-SHA256 over the body after ``sha256=``.

    Source: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries.

    :param header: of the signature.
    :param id_header: of the delivery's id, which is not signed.
    """

    header: str = "X-Hub-Signature-256"
    id_header: str | None = "X-GitHub-Delivery"

    def _layout(self) -> Layout:
        return Layout(header=self.header, encoding="hex", prefix="sha256=", id_header=self.id_header)
