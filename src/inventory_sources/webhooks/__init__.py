"""Webhooks: a connector that is pushed to, and the schemes by which senders sign."""

from inventory_sources.webhooks._credentials import (
    AllOf,
    AllowList,
    BearerToken,
    ClientCertificate,
    UnsignedTrustingUrlAlone,
)
from inventory_sources.webhooks._event_facts import EventFacts
from inventory_sources.webhooks._hmac import GitHub, HmacSignature, ShipHero, Shopify, Square
from inventory_sources.webhooks._secrets import WebhookSecret
from inventory_sources.webhooks._senders import BusinessCentral, Stripe, WooCommerce
from inventory_sources.webhooks._standard import BigCommerce, StandardWebhooks
from inventory_sources.webhooks._webhook import TargetedConnector, Webhook

__all__ = [
    "AllOf",
    "AllowList",
    "BearerToken",
    "BigCommerce",
    "BusinessCentral",
    "ClientCertificate",
    "EventFacts",
    "GitHub",
    "HmacSignature",
    "ShipHero",
    "Shopify",
    "Square",
    "StandardWebhooks",
    "Stripe",
    "TargetedConnector",
    "UnsignedTrustingUrlAlone",
    "Webhook",
    "WebhookSecret",
    "WooCommerce",
]
