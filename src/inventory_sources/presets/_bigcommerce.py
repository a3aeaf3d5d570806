"""BigCommerce: inventory by location, by the REST Management API v3."""

from __future__ import annotations

import re

from inventory_sources.errors import ConfigurationError
from inventory_sources.feed import Feed
from inventory_sources.mappers import Columns
from inventory_sources.presets._preset import Preset
from inventory_sources.quantities import NegativePolicy
from inventory_sources.rest import ApiKey, Budget, Join, Manners, PageNumber, RestRows
from inventory_sources.secrets import Secret

__all__ = ["bigcommerce"]

_HASH = re.compile(r"[A-Za-z0-9]{1,40}")
_FIELDS = {"available": "available_to_sell", "on_hand": "total_inventory_onhand"}
_DOCS = "https://docs.bigcommerce.com/developer"


def bigcommerce(store: str, token: Secret, *, state: str = "available", page_size: int = 1000) -> Preset:
    """Each item's ``identity.sku`` and, at each of its locations, ``available_to_sell``.

    That is the quantity available: what is on hand, less the safety stock; ``state="on_hand"`` reads
    ``total_inventory_onhand``. Where the product's ``inventory_tracking`` is ``none``, or the product is gone
    meanwhile, the rows are reported as unknown; products are asked for by their ids. Below zero it is read as zero.
    Locations are numbers such as ``1``. The feed is a snapshot; as pages shift when items come or go, it is proven
    whole only with ``verify``.

    :param store: the store's hash, as in ``https://api.bigcommerce.com/stores/{hash}/v3``.
    :param token: of an API account with the scopes *Store Inventory* (read-only) and *Products* (read-only).
    :param state: ``available`` or ``on_hand``.
    :param page_size: items in one answer, at most 1000.
    """
    if state not in _FIELDS:
        raise ConfigurationError(f"state must be one of {', '.join(_FIELDS)}")
    if not _HASH.fullmatch(store):
        raise ConfigurationError("a store's hash is letters and digits, such as abc123")
    quantity = f"level.{_FIELDS[state]}"
    connector = RestRows(
        f"https://api.bigcommerce.com/stores/{store}/v3/inventory/items",
        auth=ApiKey(token, header="X-Auth-Token"),
        records="data",
        each="locations",
        prefix="level",
        joins=(
            Join(
                url=f"/stores/{store}/v3/catalog/products",
                params={"include_fields": "inventory_tracking", "limit": "50"},
                records="data",
                on="identity.product_id",
                key="id",
                take={"tracking": "inventory_tracking"},
                ids_param="id:in",
            ),
        ),
        unknown=quantity,
        known={"tracking": ("product", "variant")},
        keep=("identity.sku", quantity, "level.location_id"),
        pager=PageNumber(
            size_param="limit",
            size=page_size,
            last="meta.pagination.total_pages",
            total="meta.pagination.total",
        ),
        key="identity.variant_id",
        manners=Manners(requests_per_second=5, budget=Budget(remaining="X-Rate-Limit-Requests-Left", per_second=5)),
    )
    return Preset(
        connector=connector,
        mapper=Columns("identity.sku", quantity, "level.location_id", negative=NegativePolicy.ZERO),
        feed=Feed.snapshot(state),
        documented=(
            f"{_DOCS}/api-reference/rest/admin/management/inventory/items/get-inventory-items (read 2026-11-23)",
            f"{_DOCS}/docs/overview/api-fundamentals/rate-limits (read 2026-11-23)",
            "https://developer.bigcommerce.com/docs/rest-catalog/products (read 2026-11-23)",
            "https://developer.bigcommerce.com/docs/rest-management/inventory/items (page size, read 2026-11-23)",
        ),
        unverified=(
            "whether what orders have reserved is taken off available_to_sell, which the reference does not say",
            "what stands for a product whose stock is tracked as a whole although it has variants",
            "that 50 ids fit into one filter",
        ),
    )
