"""Amazon: stock in its fulfilment network (FBA), by the Selling Partner API's FBA Inventory v1."""

from __future__ import annotations

from typing import Literal

from inventory_sources.feed import Feed
from inventory_sources.mappers import Columns
from inventory_sources.presets._numbers import JSON_NUMBERS
from inventory_sources.presets._preset import Preset
from inventory_sources.rest import Cursor, Manners, RefreshToken, RestConnector
from inventory_sources.secrets import Secret

__all__ = ["amazon_fba"]

_TOKENS = "https://api.amazon.com/auth/o2/token"
_MODELS = "https://github.com/amzn/selling-partner-api-models/blob/main/models"
_QUANTITY = "inventoryDetails.fulfillableQuantity"


def amazon_fba(
    marketplace_id: str,
    *,
    client_id: str,
    client_secret: Secret,
    refresh_token: Secret,
    region: Literal["na", "eu", "fe"] = "na",
    location: str = "fba",
) -> Preset:
    """Inventory summaries of one marketplace: ``sellerSku``, and ``fulfillableQuantity`` as the quantity available.

    That is what can be picked, packed and shipped for the marketplace; what is inbound, reserved, researched or
    damaged does not count. A summary without details is listed as invalid. A token for the next page holds for 30
    seconds; after a longer pause the list is read anew. The feed is a snapshot; it ends with a page without a token,
    which proves it whole only with ``verify`` and a ``key`` that no two summaries share.

    :param marketplace_id: such as ``A1PA6795UKMFR9``. Several marketplaces are several sources; in Europe and North
        America they may show the same units, which must not be added up.
    :param client_id: of Login with Amazon, of an application with the role Product Listing or Amazon Fulfillment.
    :param refresh_token: that the seller's authorization gave.
    :param region: ``na``, ``eu`` or ``fe``: that of the marketplace.
    :param location: what the shop calls Amazon's network.
    """
    connector = RestConnector(
        f"https://sellingpartnerapi-{region}.amazon.com/fba/inventory/v1/summaries",
        params={
            "details": "true",
            "granularityType": "Marketplace",
            "granularityId": marketplace_id,
            "marketplaceIds": marketplace_id,
        },
        auth=RefreshToken(
            token_url=_TOKENS,
            client_id=client_id,
            client_secret=client_secret,
            client_auth="body",
            refresh_token=refresh_token,
            header="x-amz-access-token",
            scheme="",
        ),
        records="payload.inventorySummaries",
        keep=("sellerSku", _QUANTITY),
        # A token that has ended is answered with 400.
        pager=Cursor(next="pagination.nextToken", param="nextToken", optional=True, expired=(400,)),
        manners=Manners(requests_per_second=2, burst=2, tries=5),
    )
    return Preset(
        connector=connector,
        mapper=Columns("sellerSku", _QUANTITY, quantity_format=JSON_NUMBERS, fixed_location=location),
        feed=Feed.snapshot("available"),
        documented=(
            f"{_MODELS}/fba-inventory-api-model/fbaInventory.json (read 2026-11-23)",
            "https://developer-docs.amazon.com/sp-api/docs/get-fba-inventory-summaries (read 2026-11-23)",
        ),
        unverified=(
            "that a 400 answers a token for the next page that has ended",
            "whether SKUs that have run out stay in the list, and for how long",
        ),
    )
