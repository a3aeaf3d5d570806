"""ShipBob: inventory levels by fulfilment centre, by the API of July 2026."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from attrs import frozen

from inventory_sources.feed import Feed
from inventory_sources.mappers import Columns
from inventory_sources.presets._preset import Preset
from inventory_sources.quantities import NegativePolicy
from inventory_sources.rest import Bearer, Budget, Manners, NextUrl, RestRows
from inventory_sources.secrets import Secret

__all__ = ["ShipBobLevels", "shipbob"]

_DOCS = "https://developer.shipbob.com/2026-07"
_FIELDS = {"available": "fulfillable_quantity", "on_hand": "on_hand_quantity"}
#: 150 requests a minute.
_RATE = 2.5


@frozen(kw_only=True)
class ShipBobLevels(RestRows):
    """:class:`RestRows` whose records may have ``null`` in place of a list: an item that is at no place."""

    def rows_of(self, record: Mapping[str, Any], where: str) -> Iterator[Mapping[str, Any]]:
        """None where the list is ``null``; one that is missing is refused."""
        if record.get(str(self.each), ()) is not None:
            yield from super().rows_of(record, where)


def shipbob(token: Secret, *, quantity: Literal["available", "on_hand"] = "available", sandbox: bool = False) -> Preset:
    """Inventory items by fulfilment centre: ``sku``, the centre's id as the location.

    The quantity is ``fulfillable_quantity``, what is there less what orders have taken, as available; or
    ``on_hand_quantity``. ShipBob takes orders in exception off its sellable quantity only, which it does not give by
    centre: leave a margin where such orders are many. One that is null is listed as invalid, one below zero read as
    zero. An item that is at no centre has no row; digital ones, which have no stock, are not asked for. ShipBob counts
    items, not bundles of them. The feed is a snapshot; whether its cursors mark a record is not documented: only
    ``verify`` proves it whole.

    :param token: a personal access token, or one of OAuth 2 with the scope ``inventory_read``.
    :param sandbox: asks ShipBob's sandbox.
    """
    column = f"level.{_FIELDS[quantity]}"
    connector = ShipBobLevels(
        f"https://{'sandbox-api' if sandbox else 'api'}.shipbob.com/2026-07/inventory-level/locations",
        params={"IsDigital": "false", "PageSize": "100"},
        auth=Bearer(token),
        records="items",
        each="locations",
        prefix="level",
        keep=("sku", column, "level.location_id"),
        pager=NextUrl("next", query_only=True),
        key="inventory_id",
        manners=Manners(
            requests_per_second=_RATE,
            retry_after="x-retry-after",
            budget=Budget(remaining="x-remaining-calls", per_second=_RATE),
        ),
    )
    return Preset(
        connector=connector,
        mapper=Columns("sku", column, "level.location_id", negative=NegativePolicy.ZERO),
        feed=Feed.snapshot(quantity),
        documented=(
            f"{_DOCS}/api/inventory/get-all-inventory-levels-grouped-by-fulfillment-center (read 2026-11-23)",
            f"{_DOCS}/rate-limit (read 2026-11-23)",
            "https://developer.shipbob.com/v1.0/quickstart (scopes, read 2026-11-23)",
            "https://developer.shipbob.com/guides (kinds of quantity, read 2026-11-23)",
        ),
        unverified=(
            "the form of next, of which only the parameters are taken, and that it is null on the last page",
            "that a page may have 100 items",
            "whether an item that is sold out keeps its place in the list of a centre",
        ),
    )
