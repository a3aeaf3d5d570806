"""Standard Webhooks, and the senders that sign as it says."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import product
from typing import Literal

from attrs import evolve, field, frozen

from inventory_sources._standard_webhooks import MESSAGE_ID, SigningKey, signing_content, standard_headers
from inventory_sources.errors import ConfigurationError, SignatureInvalid
from inventory_sources.protocols.webhook import Answer, Delivery, Verified
from inventory_sources.webhooks._reading import FIVE_MINUTES, positive, sent_at, told, with_headers, without_early_exit
from inventory_sources.webhooks._secrets import WebhookSecret, active, judge, long_enough, secrets_of, text_key

__all__ = ["BigCommerce", "StandardWebhooks"]

_MOST_SIGNATURES = 16
_ED25519_DIGITS = 88


def _known(instance: object, attribute: object, prefix: str) -> None:
    if prefix not in ("webhook-", "svix-"):
        raise ConfigurationError("the prefix of the headers is 'webhook-' or 'svix-'")


def _known_key(instance: object, attribute: object, key: str) -> None:
    if key not in ("base64", "text"):
        raise ConfigurationError("the key is 'base64' or 'text'")


@frozen(kw_only=True)
class StandardWebhooks:
    """Standard Webhooks: HMAC-SHA256 (``v1``) or Ed25519 (``v1a``) over id, timestamp and body.

    Source: https://www.standardwebhooks.com. Several signatures may be sent, of which 16 are looked at.

    :param secrets: ``whsec_…`` for ``v1`` and the sender's public key ``whpk_…`` for ``v1a``.
    :param prefix: of the headers: ``svix-`` for the names that Svix sends.
    :param tolerance: how far the timestamp may be from now, both ways.
    :param key: ``text`` where a secret's characters are the key, instead of being base64 for it.
    :raises ConfigurationError: for a secret that cannot be used, such as one under 24 bytes.
    """

    secrets: tuple[WebhookSecret, ...] = field(converter=secrets_of)
    prefix: Literal["webhook-", "svix-"] = field(default="webhook-", validator=_known)
    tolerance: timedelta = field(default=FIVE_MINUTES, validator=positive)
    key: Literal["base64", "text"] = field(default="base64", validator=_known_key)

    def __attrs_post_init__(self) -> None:
        judge(self.secrets, self._key_of)

    def verify(self, delivery: Delivery, now: datetime) -> Verified:
        """The sender's id, which is signed, and when it signed.

        :raises SignatureInvalid: unless one of the signatures is of one of the secrets that count now.
        """
        message_id = told(delivery, f"{self.prefix}id")
        timestamp = told(delivery, f"{self.prefix}timestamp")
        signatures = told(delivery, f"{self.prefix}signature").split(" ")[:_MOST_SIGNATURES]
        if not MESSAGE_ID.fullmatch(message_id):
            raise SignatureInvalid("the id of the message is too long, or holds a space or full stop")
        sent = sent_at(timestamp, now, self.tolerance)
        keys = active(self.secrets, now, self._key_of)
        content = signing_content(message_id, timestamp, delivery.body)
        shared = [key.sign(content) for key in keys if key.version == "v1"]
        good = without_early_exit(shared, signatures)
        public = [key for key in keys if key.version == "v1a"]
        for key, signature in product(public, _ed25519(signatures)):
            good |= key.signed(content, signature)
        if not good:
            raise SignatureInvalid("none of the signatures is of a secret that counts")
        return Verified(message_id, id_signed=True, sent_at=sent)

    def handshake(self, delivery: Delivery) -> Answer | None:
        """None: there is no such request."""
        return None

    def signed(self, delivery: Delivery, at: datetime, message_id: str) -> Delivery:
        """The delivery as its sender signs it, with every secret that counts, for tests."""
        keys = active(self.secrets, at, self._key_of)
        return with_headers(delivery, standard_headers(keys, message_id, at, delivery.body, self.prefix))

    def _key_of(self, secret: WebhookSecret) -> SigningKey:
        if self.key == "text":
            return SigningKey(text_key(secret))
        key = SigningKey.parse(secret.secret.reveal())
        return evolve(key, raw=long_enough(key.raw, secret))


@frozen(kw_only=True)
class BigCommerce(StandardWebhooks):
    """BigCommerce's signature: Standard Webhooks with the client secret of the API account as the key.

    For webhooks of accounts whose deliveries are not signed, :class:`BearerToken` checks a header that was given when
    the webhook was created.
    """

    key: Literal["base64", "text"] = field(default="text", validator=_known_key)


def _ed25519(signatures: Sequence[str]) -> list[bytes]:
    found = []
    for version, _, text in (signature.partition(",") for signature in signatures):
        if version == "v1a" and len(text) == _ED25519_DIGITS:
            try:
                found.append(base64.b64decode(text, validate=True))
            except (binascii.Error, ValueError):
                continue
    return found
