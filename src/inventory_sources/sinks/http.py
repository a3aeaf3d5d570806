"""Stock levels behind an API of HTTP: :class:`HttpStockSink` for any platform, and two that are built on it.

A platform's own sink says how levels are read and written; batches, comparing, limits, judged addresses and errors are
the base's. :class:`ShopifySink` and :class:`WooCommerceSink` follow their vendors' documentation and were tried
against servers that answer as it says, not against a vendor's account.
"""

from inventory_sources.sinks._remote import HttpStockSink, RemoteLevel, RemoteWrite, idempotency_key, pieces
from inventory_sources.sinks._remote_api import RemoteAnswer, RemoteApi
from inventory_sources.sinks._shopify import ShopifySink
from inventory_sources.sinks._woocommerce import WooCommerceSink

__all__ = [
    "HttpStockSink",
    "RemoteAnswer",
    "RemoteApi",
    "RemoteLevel",
    "RemoteWrite",
    "ShopifySink",
    "WooCommerceSink",
    "idempotency_key",
    "pieces",
]
