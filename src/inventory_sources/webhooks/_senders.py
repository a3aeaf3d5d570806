"""Senders that need more than an HMAC in one header: WooCommerce, Stripe, Business Central."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

from attrs import evolve, field, frozen

from inventory_sources import _json
from inventory_sources.errors import InventorySourcesError, SignatureInvalid
from inventory_sources.protocols.webhook import Answer, Delivery, Verified
from inventory_sources.webhooks._hmac import LaidOut
from inventory_sources.webhooks._layout import Layout
from inventory_sources.webhooks._reading import FIVE_MINUTES, positive, sent_at, told, with_headers, without_early_exit
from inventory_sources.webhooks._secrets import WebhookSecret, active, judge, secrets_of, text_key

__all__ = ["BusinessCentral", "Stripe", "WooCommerce"]

_PING = re.compile(rb"webhook_id=[0-9]{1,20}")
_MOST_PARTS = 16
_MOST_DEPTH = 64
_TOKEN = re.compile(r"[ -~]{1,4096}")
_PLAIN = (("content-type", "text/plain; charset=utf-8"), ("x-content-type-options", "nosniff"))


@frozen(kw_only=True)
class WooCommerce(LaidOut):
    """WooCommerce's: base64 of HMAC-SHA256 over the body, with the webhook's secret.

    Source: https://woocommerce.github.io/woocommerce-rest-api-docs/#webhooks. When a webhook is saved the shop sends
    ``webhook_id=…`` without a signature: it is answered with 200, and nothing is kept.
    """

    def handshake(self, delivery: Delivery) -> Answer | None:
        """The answer to the ping of a new webhook."""
        signed = any(name == "x-wc-webhook-signature" for name, _ in delivery.headers)
        ping = delivery.method == "POST" and not signed and _PING.fullmatch(delivery.body)
        return Answer(200) if ping else None

    def _layout(self) -> Layout:
        return Layout(header="X-WC-Webhook-Signature", id_header="X-WC-Webhook-Delivery-ID")


@frozen(kw_only=True)
class Stripe:
    """Stripe's, and that of senders in its style: ``t=…,v1=hex`` over ``t.body`` with HMAC-SHA256.

    Source: https://docs.stripe.com/webhooks#verify-manually. Several ``v1`` may be sent while a secret is replaced; at
    most 16 parts of the header are looked at.

    :param header: of the signature.
    :param tolerance: how far the timestamp may be from now, both ways.
    """

    secrets: tuple[WebhookSecret, ...] = field(converter=secrets_of)
    header: str = "Stripe-Signature"
    tolerance: timedelta = field(default=FIVE_MINUTES, validator=positive)

    def __attrs_post_init__(self) -> None:
        self._layout().check()
        judge(self.secrets, text_key)

    def verify(self, delivery: Delivery, now: datetime) -> Verified:
        """When the sender signed; its id is in the body.

        :raises SignatureInvalid: unless one of the signatures is of one of the secrets that count now.
        """
        parts = [part.partition("=") for part in told(delivery, self.header).split(",")[:_MOST_PARTS]]
        times = [value for name, _, value in parts if name == "t"]
        if len(times) != 1:
            raise SignatureInvalid(f"{self.header} has {len(times)} timestamps instead of one")
        sent = sent_at(times[0], now, self.tolerance)
        content = f"{times[0]}.".encode() + delivery.body
        keys = active(self.secrets, now, text_key)
        given = [value for name, _, value in parts if name == "v1"]
        if not without_early_exit([self._layout().signature(content, key) for key in keys], given):
            raise SignatureInvalid(f"no signature in {self.header} is of a secret that counts")
        return Verified(sent_at=sent)

    def handshake(self, delivery: Delivery) -> Answer | None:
        """None: there is no such request."""
        return None

    def signed(self, delivery: Delivery, at: datetime, message_id: str) -> Delivery:
        """The delivery as its sender signs it, with every secret that counts, for tests."""
        timestamp = str(int(at.timestamp()))
        content = f"{timestamp}.".encode() + delivery.body
        made = [self._layout().signature(content, key) for key in active(self.secrets, at, text_key)]
        return with_headers(delivery, {self.header: ",".join((f"t={timestamp}", *(f"v1={one}" for one in made)))})

    def _layout(self) -> Layout:
        return Layout(header=self.header, encoding="hex")


@frozen(kw_only=True)
class BusinessCentral:
    """Microsoft Dynamics 365 Business Central: a secret that each notification repeats in its body.

    Source: https://learn.microsoft.com/dynamics365/business-central/dev-itpro/api-reference/v2.0/dynamics-subscriptions.
    When a subscription is made or renewed, the ``validationToken`` of its URL is sent back. Nothing is signed: who can
    read one notification can write others, so the endpoint must be ``https``.

    :param secrets: the subscription's ``clientState``.
    """

    secrets: tuple[WebhookSecret, ...] = field(converter=secrets_of)

    def __attrs_post_init__(self) -> None:
        judge(self.secrets, text_key)

    def verify(self, delivery: Delivery, now: datetime) -> Verified:
        """That the sender knows the secret: each notification of the delivery carries it.

        :raises SignatureInvalid: when one does not, or the body is not a list of notifications.
        """
        expected = [key.hex() for key in active(self.secrets, now, text_key)]
        good = [without_early_exit(expected, [state.hex()]) for state in _states(delivery.body)]
        if not good or not all(good):
            raise SignatureInvalid("a clientState is of no secret that counts, or there is no notification")
        return Verified()

    def handshake(self, delivery: Delivery) -> Answer | None:
        """The ``validationToken`` of the URL, sent back."""
        try:
            query = parse_qsl(urlsplit(delivery.url).query, max_num_fields=100)
        except ValueError:
            return None
        tokens = [value for name, value in query if name.lower() == "validationtoken"]
        if len(tokens) != 1 or not _TOKEN.fullmatch(tokens[0]):
            return None
        return Answer(200, _PLAIN, tokens[0].encode())

    def signed(self, delivery: Delivery, at: datetime, message_id: str) -> Delivery:
        """The delivery as its sender makes it, for tests: the body's notifications with the first secret."""
        state = active(self.secrets, at, text_key)[0].decode()
        document = json.loads(delivery.body)
        entries = [{**entry, "clientState": state} for entry in document["value"]]
        return evolve(delivery, body=json.dumps({**document, "value": entries}).encode())


def _states(body: bytes) -> list[bytes]:
    try:
        document = _json.parse(body.decode(), _MOST_DEPTH)
    except (ValueError, InventorySourcesError):
        raise SignatureInvalid("the body is not JSON") from None
    entries = document.get("value") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise SignatureInvalid("the body has no list of notifications")
    states = [entry.get("clientState") if isinstance(entry, dict) else None for entry in entries]
    # A number would stand here as its text.
    return [state.encode(errors="surrogatepass") if isinstance(state, str) else b"" for state in states]
