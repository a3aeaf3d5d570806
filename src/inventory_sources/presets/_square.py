"""Square: counts by the Inventory API, with SKUs from the catalog."""

from __future__ import annotations

from collections.abc import Iterable

from inventory_sources.errors import ConfigurationError
from inventory_sources.feed import Feed
from inventory_sources.mappers import Columns
from inventory_sources.presets._numbers import JSON_NUMBERS
from inventory_sources.presets._preset import Preset
from inventory_sources.quantities import NegativePolicy
from inventory_sources.rest import Bearer, Cursor, Join, Manners, PostedQuery
from inventory_sources.secrets import Secret

__all__ = ["square"]

_DOCS = "https://developer.squareup.com"


def square(
    token: Secret, *, locations: Iterable[str] = (), version: str = "2025-01-23", sandbox: bool = False
) -> Preset:
    """Counts in the state ``IN_STOCK`` of all item variations: the quantity available at a location.

    That is what is there and may be sold; what is ``RESERVED_FOR_SALE``, on its way or returned is in other states.
    Counts carry no SKU: it is that of the catalog's item variation, whose list is read whole. A count whose variation
    is gone or has no SKU is reported as a row without SKU. A variation that is not tracked has no count, and one below
    zero (sold beyond what was counted) is read as zero. Locations are Square's ids. The feed is a snapshot; what ends
    it is a page without a cursor, which proves nothing: an absent SKU keeps its level.

    :param token: with the permissions ``INVENTORY_READ`` and ``ITEMS_READ``.
    :param locations: ids; all unless given.
    :param version: of the API, sent as ``Square-Version``.
    :param sandbox: asks Square's sandbox.
    """
    if isinstance(locations, str):
        raise ConfigurationError("locations must be a list of ids, not one text")
    ids = list(locations)
    host = "connect.squareupsandbox.com" if sandbox else "connect.squareup.com"
    connector = PostedQuery(
        f"https://{host}/v2/inventory/counts/batch-retrieve",
        headers={"Square-Version": version},
        body={"states": ["IN_STOCK"], "limit": 1000, **({"location_ids": ids} if ids else {})},
        auth=Bearer(token),
        records="counts",
        joins=(
            Join(
                url="/v2/catalog/list",
                params={"types": "ITEM_VARIATION"},
                records="objects",
                pager=Cursor(next="cursor", param="cursor", optional=True),
                on="catalog_object_id",
                key="id",
                take={"sku": "item_variation_data.sku"},
            ),
        ),
        keep=("sku", "quantity", "location_id"),
        pager=Cursor(next="cursor", param="cursor", in_body=True, optional=True),
        manners=Manners(requests_per_second=5),
    )
    return Preset(
        connector=connector,
        mapper=Columns("sku", "quantity", "location_id", quantity_format=JSON_NUMBERS, negative=NegativePolicy.ZERO),
        feed=Feed.snapshot("available"),
        documented=(
            f"{_DOCS}/explorer/square/inventory-api/BatchRetrieveInventoryCounts (read 2026-11-23)",
            f"{_DOCS}/reference/square/objects/CatalogItemVariation (read 2026-11-23)",
            f"{_DOCS}/reference/square/objects/InventoryState (read 2026-11-23)",
        ),
        unverified=(
            "whether a count stays in the list when tracking of its variation is turned off",
            "Square's limits on requests, which it does not publish; it answers 429 beyond them",
            "how an account without any count is answered; a body without counts is refused",
        ),
    )
