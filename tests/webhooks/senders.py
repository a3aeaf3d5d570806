"""Senders written anew from what they publish: only the standard library and an Ed25519 key sign here."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta

from attrs import evolve, frozen
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from inventory_sources.protocols.webhook import Delivery, SignatureScheme
from inventory_sources.secrets import Secret
from inventory_sources.webhooks import (
    AllOf,
    AllowList,
    BearerToken,
    BigCommerce,
    BusinessCentral,
    ClientCertificate,
    GitHub,
    HmacSignature,
    ShipHero,
    Shopify,
    Square,
    StandardWebhooks,
    Stripe,
    WooCommerce,
)

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
SECONDS = "1772366400"
TEXT = "a-text-secret-of-thirty-two-byte"
OTHER = "another-secret-of-thirty-two-byt"
RAW = bytes(range(32))
WHSEC = "whsec_" + base64.b64encode(RAW).decode()
WHSEC_OTHER = "whsec_" + base64.b64encode(RAW[::-1]).decode()
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(100, 132)))
WHPK = "whpk_" + base64.b64encode(PRIVATE.public_key().public_bytes_raw()).decode()
WHPK_OTHER = (
    "whpk_" + base64.b64encode(Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()).decode()
)
BODY = b'{"sku":"A-1","on_hand":7}'
URL = "https://shop.example/hooks/square"


def mac(content: bytes, key: bytes = TEXT.encode(), algorithm: str = "sha256") -> bytes:
    return hmac.new(key, content, algorithm).digest()


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def delivery(headers: dict[str, str], body: bytes = BODY, **more) -> Delivery:
    return Delivery(headers={"Content-Type": "application/json", **headers}, body=body, received_at=NOW, **more)


def value(one: Delivery, name: str) -> list[str]:
    return [text for key, text in one.headers if key == name.lower()]


@frozen
class Sender:
    """A scheme, the same with another secret, a delivery that is signed by hand, and the facts that it proves."""

    name: str
    scheme: SignatureScheme
    other: SignatureScheme
    delivery: Delivery
    signed_headers: tuple[str, ...] = ()
    timestamp: str | None = None
    whole_body: bool = True
    place: bool = False

    def facts(self, one: Delivery) -> object:
        """What must be as the sender signed it; header names do not count in it, being of any case."""
        body = one.body if self.whole_body else None
        return body, [value(one, name) for name in self.signed_headers], one.certificate if self.place else None


def standard(prefix: str = "webhook-", sign=lambda content: "v1," + b64(mac(content, RAW))) -> Delivery:
    signature = sign(f"msg_2KW.{SECONDS}.".encode() + BODY)
    return delivery({f"{prefix}id": "msg_2KW", f"{prefix}timestamp": SECONDS, f"{prefix}signature": signature})


def ed25519(content: bytes) -> str:
    return "v1a," + b64(PRIVATE.sign(content))


def _standard(name: str, made: Delivery, make, good: str, bad: str, prefix: str = "webhook-") -> Sender:
    return Sender(
        name,
        make(secrets=Secret(good)),
        make(secrets=Secret(bad)),
        made,
        (f"{prefix}id", f"{prefix}timestamp"),
        f"{prefix}timestamp",
    )


def _plain(name: str, make, headers: dict[str, str], signed: tuple[str, ...] = (), timestamp: str | None = None):
    return Sender(name, make(Secret(TEXT)), make(Secret(OTHER)), delivery(headers), signed, timestamp)


def svix(secrets: Secret) -> StandardWebhooks:
    return StandardWebhooks(secrets=secrets, prefix="svix-")


def generic(secrets: Secret) -> HmacSignature:
    return HmacSignature(
        secrets=secrets,
        header="X-Sign",
        algorithm="sha512",
        encoding="base64url",
        prefix="v0=",
        signed_text="v0:{method}:{url}:{id}:{timestamp}:{body}",
        timestamp_header="X-Time",
        id_header="X-Id",
        url=URL,
        tolerance=timedelta(minutes=5),
    )


def _generic_delivery_headers() -> dict[str, str]:
    content = f"v0:POST:{URL}:id-7:{SECONDS}:".encode() + BODY
    signature = base64.urlsafe_b64encode(mac(content, algorithm="sha512")).decode()
    return {"X-Sign": f"v0={signature}", "X-Time": SECONDS, "X-Id": "id-7"}


def trailing(secrets: Secret) -> HmacSignature:
    return HmacSignature(
        secrets=secrets,
        header="X-Sign",
        signed_text="{body}{timestamp}",
        timestamp_header="X-Time",
    )


BODY_MAC = b64(mac(BODY))
NOTIFICATIONS = json.dumps({"value": [{"resource": "items(1)", "clientState": TEXT}]}).encode()


def _both(secret: str) -> AllOf:
    return AllOf(schemes=(AllowList(networks=("198.51.100.0/24",)), Shopify(secrets=Secret(secret))))


SENDERS = [
    _standard("standard", standard(), StandardWebhooks, WHSEC, WHSEC_OTHER),
    _standard("ed25519", standard(sign=ed25519), StandardWebhooks, WHPK, WHPK_OTHER),
    _standard("svix", standard("svix-"), svix, WHSEC, WHSEC_OTHER, "svix-"),
    _standard("bigcommerce", standard(sign=lambda content: "v1," + b64(mac(content))), BigCommerce, TEXT, OTHER),
    _plain("shopify", lambda one: Shopify(secrets=one), {"X-Shopify-Hmac-Sha256": BODY_MAC, "X-Shopify-Event-Id": "e"}),
    _plain("woo", lambda one: WooCommerce(secrets=one), {"X-WC-Webhook-Signature": BODY_MAC}),
    _plain("shiphero", lambda one: ShipHero(secrets=one), {"x-shiphero-hmac-sha256": BODY_MAC}),
    _plain(
        "square",
        lambda one: Square(secrets=one, url=URL),
        {"x-square-hmacsha256-signature": b64(mac(URL.encode() + BODY))},
    ),
    _plain("github", lambda one: GitHub(secrets=one), {"X-Hub-Signature-256": "sha256=" + mac(BODY).hex()}),
    Sender(
        "stripe",
        Stripe(secrets=Secret(TEXT)),
        Stripe(secrets=Secret(OTHER)),
        delivery({"Stripe-Signature": f"t={SECONDS},v1={mac(f'{SECONDS}.'.encode() + BODY).hex()},v0=6ffbb59b"}),
    ),
    _plain("generic", generic, _generic_delivery_headers(), ("X-Id", "X-Time"), "X-Time"),
    _plain(
        "trailing time",
        trailing,
        {"X-Sign": mac(BODY + SECONDS.encode()).hex(), "X-Time": SECONDS},
        ("X-Time",),
        "X-Time",
    ),
    Sender(
        "bearer",
        BearerToken(secrets=Secret(TEXT)),
        BearerToken(secrets=Secret(OTHER)),
        delivery({"Authorization": f"Bearer {TEXT}"}),
        whole_body=False,
    ),
    Sender(
        "business central",
        BusinessCentral(secrets=Secret(TEXT)),
        BusinessCentral(secrets=Secret(OTHER)),
        delivery({}, NOTIFICATIONS),
        whole_body=False,
    ),
    Sender(
        "all of",
        _both(TEXT),
        _both(OTHER),
        evolve(delivery({"X-Shopify-Hmac-Sha256": BODY_MAC}), client="198.51.100.7"),
    ),
    Sender(
        "certificate",
        ClientCertificate(subjects=("CN=wms",)),
        ClientCertificate(subjects=("CN=erp",)),
        evolve(delivery({}), certificate="CN=wms"),
        whole_body=False,
        place=True,
    ),
]

assert int(NOW.timestamp()) == int(SECONDS)
