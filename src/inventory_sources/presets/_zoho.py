"""Zoho Inventory: items, by the API v1."""

from __future__ import annotations

from inventory_sources.errors import ConfigurationError
from inventory_sources.feed import Feed
from inventory_sources.mappers import Columns
from inventory_sources.presets._numbers import JSON_NUMBERS
from inventory_sources.presets._preset import Preset
from inventory_sources.quantities import NegativePolicy
from inventory_sources.rest import Manners, PageNumberMore, RefreshToken, RestConnector
from inventory_sources.secrets import Secret

__all__ = ["zoho_inventory"]

#: Data centres: what stands behind ``www.zohoapis.``, and where tokens are given.
_CENTRES = {
    "com": "accounts.zoho.com",
    "eu": "accounts.zoho.eu",
    "in": "accounts.zoho.in",
    "com.au": "accounts.zoho.com.au",
    "jp": "accounts.zoho.jp",
    "com.cn": "accounts.zoho.com.cn",
    "sa": "accounts.zoho.sa",
    "ca": "accounts.zohocloud.ca",
}


def zoho_inventory(
    organization_id: str,
    *,
    client_id: str,
    client_secret: Secret,
    refresh_token: Secret,
    centre: str = "com",
    location: str = "",
) -> Preset:
    """Items that Zoho Inventory keeps stock of: ``sku``, and ``stock_on_hand`` as the quantity on hand.

    ``stock_on_hand`` is the sum over all locations; Zoho counts it by shipments or by invoices, as the organization has
    chosen. Items whose type is not Inventory have none and are not asked for; one that lacks it is listed as
    invalid. A quantity below zero is read as zero. The feed is a snapshot; pages shift when items come or go, so that
    only ``verify`` proves it whole.

    :param refresh_token: with the scope ``ZohoInventory.items.READ``; it does not change.
    :param centre: the end of the address that the merchant signs in at: ``com``, ``eu``, ``in``, ``com.au``, ``jp``,
        ``com.cn``, ``sa`` or ``ca``.
    :param location: what the shop calls the place of all this stock.
    :raises ConfigurationError: for another centre.
    """
    if centre not in _CENTRES:
        raise ConfigurationError(f"Zoho has the data centres {', '.join(_CENTRES)}, not {centre[:20]!r}")
    connector = RestConnector(
        f"https://www.zohoapis.{centre}/inventory/v1/items",
        params={"organization_id": organization_id, "filter_by": "ItemType.Inventory"},
        auth=RefreshToken(
            token_url=f"https://{_CENTRES[centre]}/oauth/v2/token",
            client_id=client_id,
            client_secret=client_secret,
            client_auth="body",
            refresh_token=refresh_token,
            scheme="Zoho-oauthtoken",
        ),
        records="items",
        keep=("sku", "stock_on_hand"),
        pager=PageNumberMore(size_param="per_page", size=200, more="page_context.has_more_page"),
        key="item_id",
        manners=Manners(requests_per_second=1.5),
    )
    mapper = Columns(
        "sku", "stock_on_hand", quantity_format=JSON_NUMBERS, negative=NegativePolicy.ZERO, fixed_location=location
    )
    return Preset(
        connector=connector,
        mapper=mapper,
        feed=Feed.snapshot("on_hand"),
        documented=(
            "https://www.zoho.com/inventory/api/v1/items/ (read 2026-11-23)",
            "https://www.zoho.com/inventory/api/v1/oauth/ (read 2026-11-23)",
            "https://www.zoho.com/inventory/api/v1/pagination/ (read 2026-11-23)",
        ),
        unverified=(
            "in which order items are listed, and whether inactive ones are among them",
            "the hosts of the data centres jp, com.cn, sa and ca for Zoho Inventory",
        ),
    )
