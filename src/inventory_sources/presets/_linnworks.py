"""Linnworks: stock items at one location, by the public API."""

from __future__ import annotations

from typing import Literal

from inventory_sources.feed import Feed
from inventory_sources.mappers import Columns
from inventory_sources.presets._preset import Preset
from inventory_sources.quantities import NegativePolicy
from inventory_sources.rest import LoginToken, Manners, PageNumber, RestConnector
from inventory_sources.secrets import Secret

__all__ = ["linnworks"]

_SPECS = "https://github.com/LinnSystems/PublicApiSpecs/blob/main/1.0"
_FIELDS = {"available": "Available", "on_hand": "Quantity"}


def linnworks(
    location_id: str,
    *,
    application_id: str,
    application_secret: Secret,
    token: Secret,
    quantity: Literal["available", "on_hand"] = "available",
    location: str | None = None,
) -> Preset:
    """Stock items at one location: ``ItemNumber`` as the SKU.

    The quantity available is ``Available``, the stock less what open orders have taken; that on hand ``Quantity``. One
    that is null is listed as invalid, one below zero read as zero. Composites and parents of variations, which have no
    stock of their own, are left out. Linnworks tells at the login which of its servers to ask; only one within
    ``linnworks.net`` is asked. The feed is a snapshot; its pages shift when items come or go, so that only ``verify``
    proves it whole.

    :param location_id: of the stock location, a UUID; a source for each.
    :param token: that the merchant is shown when the application is installed; it does not end.
    :param location: what the shop calls this place; else ``location_id``.
    """
    column = _FIELDS[quantity]
    connector = RestConnector(
        "https://eu-ext.linnworks.net/api/Stock/GetStockItems",
        params={"locationId": location_id, "excludeComposites": "true", "excludeVariations": "true"},
        auth=LoginToken(
            url="https://api.linnworks.net/api/Auth/AuthorizeByApplication",
            body={"ApplicationId": application_id},
            secrets={"ApplicationSecret": application_secret, "Token": token},
            token="Token",  # noqa: S106 - a path
            scheme="",
            server="Server",
            within="linnworks.net",
        ),
        records="Data",
        keep=("ItemNumber", column),
        pager=PageNumber(
            param="pageNumber", size_param="entriesPerPage", size=200, last="TotalPages", total="TotalEntries"
        ),
        key="StockItemId",
        manners=Manners(requests_per_second=2.5),
    )
    return Preset(
        connector=connector,
        mapper=Columns(
            "ItemNumber",
            column,
            negative=NegativePolicy.ZERO,
            fixed_location=location_id if location is None else location,
        ),
        feed=Feed.snapshot(quantity),
        documented=(
            f"{_SPECS}/stock.json (read 2026-11-23)",
            f"{_SPECS}/auth.json (read 2026-11-23)",
            "https://apidocs.linnworks.net/docs/generating-an-api-key (read 2026-11-23)",
            "https://apps.linnworks.net/Api/Method/Stock-GetStockItems (read 2026-11-23)",
            "https://desktop.linnworks.com/Doc/Available_Stock_Levels_Inventory_Sync (read 2026-11-23)",
        ),
        unverified=(
            "that Available and Quantity are those of the location that is asked for",
            "that a page may have 200 items, and that one past the end is not asked for by TotalPages",
            "what a login with a wrong secret answers, and which header says when to come back after 429",
            "that items whose stock is not counted (just in time) show a quantity of their own",
        ),
    )
