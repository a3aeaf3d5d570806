"""Shopify: inventory levels by the GraphQL Admin API, and by the legacy REST Admin API."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from inventory_sources.errors import ConfigurationError
from inventory_sources.feed import Feed
from inventory_sources.mappers import Columns
from inventory_sources.presets._preset import Preset
from inventory_sources.quantities import NegativePolicy
from inventory_sources.rest import (
    ApiKey,
    Budget,
    CostThrottle,
    GraphQl,
    GraphQlCursor,
    Join,
    LinkHeader,
    Manners,
    Page,
    RestRows,
)
from inventory_sources.rest._records import records_at
from inventory_sources.secrets import Secret

__all__ = ["shopify", "shopify_rest"]

_SHOP = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
_VERSION = re.compile(r"20[0-9]{2}-(?:01|04|07|10)")
_STATES = ("available", "on_hand")
_QUERY = """\
query Levels($first: Int!, $levels: Int!, $names: [String!]!, $after: String) {
  inventoryItems(first: $first, after: $after) {
    nodes {
      id
      sku
      tracked
      inventoryLevels(first: $levels) {
        nodes { location { id } quantities(names: $names) { name quantity } }
        pageInfo { hasNextPage }
      }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""
_DOCS = "https://shopify.dev/docs/api"


def _base(shop: str, version: str) -> str:
    if not _SHOP.fullmatch(shop):
        raise ConfigurationError(
            "this is no name of a Shopify shop", guidance="For my-shop.myshopify.com it is my-shop."
        )
    if not _VERSION.fullmatch(version):
        raise ConfigurationError("a version of Shopify's API is a year and a quarter's month, such as 2026-10")
    return f"https://{shop}.myshopify.com/admin/api/{version}"


@frozen(kw_only=True)
class ShopifyLevels(RestRows):
    """The rows of each item's levels, with the quantity of one name out of the level's list of them.

    :param state: that name; a level without it has a blank quantity.
    """

    state: str = "available"

    def rows_of(self, record: Mapping[str, Any], where: str) -> Iterator[Mapping[str, Any]]:
        """The levels of an item.

        :raises StructureInvalid: when they are not as the query asks for them.
        """
        for row in super().rows_of(record, where):
            named = records_at(row[self.prefix], "quantities", where)
            found = [entry.get("quantity") for entry in named if entry.get("name") == self.state]
            yield {**row, "quantity": found[0] if found else None}


@frozen(kw_only=True)
class RestLevels(RestRows):
    """The levels of the REST Admin API, which are known by item and location together."""

    def page_records(self, page: Page) -> Sequence[Mapping[str, Any]]:
        """The levels of a page, each with that key."""
        return [
            {**row, "level": f"{row.get('inventory_item_id')} {row.get('location_id')}"}
            for row in super().page_records(page)
        ]


def shopify(
    shop: str,
    token: Secret,
    *,
    state: str = "available",
    version: str = "2026-10",
    page_size: int = 25,
    levels_per_item: int = 10,
) -> Preset:
    """Levels of all inventory items by the GraphQL Admin API: each item's ``sku``, location and one quantity of it.

    The quantity is the one named ``available``: on hand, less what is committed to orders, reserved, damaged, in
    quality control or kept as safety stock. Below zero (oversold) it is read as zero. An item whose ``tracked`` is
    false has numbers that mean nothing: its rows are reported as unknown. Locations are ids such as
    ``gid://shopify/Location/1``. The feed is a snapshot, proven whole by ``hasNextPage: false``. An item that is
    stocked at more locations than ``levels_per_item`` is refused, not cut.

    :param shop: ``my-shop`` for ``my-shop.myshopify.com``.
    :param token: of an app with the scope ``read_inventory`` (and ``read_locations``).
    :param state: ``available`` or ``on_hand``.
    :param version: of the API; Shopify serves each for a year at least.
    :param page_size: items in one answer; with ``levels_per_item`` it makes the query's cost, at most 1,000 points.
    """
    if state not in _STATES:
        raise ConfigurationError(f"state must be one of {', '.join(_STATES)}")
    variables = {"first": page_size, "levels": levels_per_item, "names": [state], "after": None}
    connector = ShopifyLevels(
        f"{_base(shop, version)}/graphql.json",
        graphql=GraphQl(_QUERY, variables),
        auth=ApiKey(token, header="X-Shopify-Access-Token"),
        records="data.inventoryItems.nodes",
        each="inventoryLevels.nodes",
        more="inventoryLevels.pageInfo.hasNextPage",
        state=state,
        unknown="quantity",
        known={"tracked": ("true",)},
        keep=("sku", "quantity", "row.location.id"),
        pager=GraphQlCursor("data.inventoryItems.pageInfo", stable=True),
        key="id",
        manners=Manners(cost=CostThrottle()),
    )
    return Preset(
        connector=connector,
        mapper=Columns("sku", "quantity", "row.location.id", negative=NegativePolicy.ZERO),
        feed=Feed.snapshot(state),
        documented=(
            f"{_DOCS}/admin-graphql/latest/objects/InventoryLevel (read 2026-11-23, copy for 2026-10)",
            f"{_DOCS}/admin-graphql/latest/objects/InventoryQuantity (read 2026-11-23, copy for 2026-10)",
            "https://shopify.dev/docs/apps/build/apis/graphql-admin/rate-limits (read 2026-11-23)",
            f"{_DOCS}/usage/limits (read 2026-11-23)",
        ),
        unverified=(
            "that a cursor marks an item, so that items that come or go shift no page",
            "whether the limit of 25,000 objects in one paginated list holds for inventoryItems",
            "what the query costs; a page of 25 items with 10 levels is meant to stay below 1,000 points",
        ),
    )


def shopify_rest(
    shop: str, token: Secret, locations: Iterable[str], *, version: str = "2026-10", page_size: int = 250
) -> Preset:
    """Levels at these locations by the REST Admin API, which Shopify calls legacy: take :func:`shopify` where you can.

    ``available`` of ``inventory_levels`` is the quantity; it is null for an item that is not tracked, whose rows are
    reported as unknown. Levels carry no SKU: it is asked for by ``inventory_items`` with their ids, 100 at a time. A
    level whose item is gone meanwhile is reported as a row without SKU. Locations are numbers such as ``655441491``.
    The feed is a snapshot, proven whole by the page whose ``Link`` header has no next page.

    :param token: of an app with the scope ``read_inventory``.
    :param locations: their ids, 50 at most; the API lists no levels without.
    :param version: of the API, as of :func:`shopify`.
    """
    ids = tuple(locations)
    if isinstance(locations, str) or not 1 <= len(ids) <= 50 or not all(one.isascii() and one.isdigit() for one in ids):
        raise ConfigurationError("locations must be 1 to 50 ids of Shopify's locations, such as 655441491")
    base = _base(shop, version)
    connector = RestLevels(
        f"{base}/inventory_levels.json",
        params={"location_ids": ",".join(ids), "limit": str(page_size)},
        auth=ApiKey(token, header="X-Shopify-Access-Token"),
        records="inventory_levels",
        joins=(
            Join(
                url=f"{base.removeprefix(f'https://{shop}.myshopify.com')}/inventory_items.json",
                params={"limit": "100"},
                records="inventory_items",
                on="inventory_item_id",
                key="id",
                take={"sku": "sku", "tracked": "tracked"},
                ids_param="ids",
                batch=100,
            ),
        ),
        unknown="available",
        known={"tracked": ("true",)},
        keep=("sku", "available", "location_id"),
        pager=LinkHeader(bare_end=True, stable=True),
        key="level",
        manners=Manners(budget=Budget(remaining="X-Shopify-Shop-Api-Call-Limit", per_second=2), requests_per_second=2),
    )
    return Preset(
        connector=connector,
        mapper=Columns("sku", "available", "location_id", negative=NegativePolicy.ZERO),
        feed=Feed.snapshot("available"),
        documented=(
            f"{_DOCS}/admin-rest/latest/resources/inventorylevel (read 2026-11-23, copy for 2025-10)",
            f"{_DOCS}/admin-rest/latest/resources/inventoryitem (read 2026-11-23, copy for 2025-10)",
            f"{_DOCS}/usage/limits (read 2026-11-23)",
        ),
        unverified=(
            "that page_info marks a level, so that levels that come or go shift no page",
            "whether the last of several pages always has a Link header",
            "that versions after 2025-10 still serve these two resources",
        ),
    )
