"""Oracle NetSuite: quantities of items by location, by SuiteQL over REST."""

from __future__ import annotations

from typing import Literal

from inventory_sources.feed import Feed
from inventory_sources.mappers import Columns
from inventory_sources.presets._numbers import JSON_NUMBERS
from inventory_sources.presets._preset import Preset
from inventory_sources.quantities import NegativePolicy
from inventory_sources.rest import OAuth1, Offset, PostedQuery
from inventory_sources.secrets import Secret

__all__ = ["netsuite"]

_DOCS = "https://docs.oracle.com/en/cloud/saas/netsuite/ns-online-help"
#: A query gives at most 100,000 rows; one that gives so many may lack others.
_MOST = 99_999
_QUERY = (
    "SELECT stock.item || '/' || stock.location AS pair, item.itemid AS sku, stock.location AS location, "
    "stock.{column} AS quantity FROM inventoryitemlocations stock JOIN item ON item.id = stock.item "
    "WHERE item.isinactive = 'F' AND stock.{column} IS NOT NULL ORDER BY stock.item, stock.location"
)


def netsuite(
    account: str,
    *,
    consumer_key: Secret,
    consumer_secret: Secret,
    token: Secret,
    token_secret: Secret,
    quantity: Literal["available", "on_hand"] = "available",
) -> Preset:
    """Active items by location: ``itemid`` as the SKU, the location's internal id as the location.

    The quantity is ``quantityavailable``, or ``quantityonhand`` for that on hand, of ``inventoryitemlocations``. Where
    it is null, NetSuite keeps no stock of the item at the location, and the pair is left out. A quantity below zero is
    read as zero. The feed is a snapshot of at most 99,999 pairs, more are refused; its pages shift when pairs come or
    go, so the list is read twice, which proves it whole.

    :param account: the account's id, such as ``1234567`` or ``1234567_SB1``.
    :param consumer_key: of an integration record with token-based authentication.
    :param token: of a user whose role may use REST web services, SuiteAnalytics Workbook and tokens, and see items and
        locations.
    """
    column = "quantityavailable" if quantity == "available" else "quantityonhand"
    connector = PostedQuery(
        url=f"https://{account.lower().replace('_', '-')}.suitetalk.api.netsuite.com/services/rest/query/v1/suiteql",
        headers={"Prefer": "transient"},
        body={"q": _QUERY.format(column=column)},
        auth=OAuth1(
            consumer_key=consumer_key,
            consumer_secret=consumer_secret,
            token=token,
            token_secret=token_secret,
            realm=account.upper().replace("-", "_"),
        ),
        records="items",
        keep=("sku", "location", "quantity"),
        pager=Offset(limit=1000, total="totalResults"),
        key="pair",
        verify=True,
        max_records=_MOST,
    )
    return Preset(
        connector=connector,
        mapper=Columns(location="location", quantity_format=JSON_NUMBERS, negative=NegativePolicy.ZERO),
        feed=Feed.snapshot(quantity),
        documented=(
            f"{_DOCS}/section_157909186990.html (SuiteQL over REST, read 2026-11-23)",
            f"{_DOCS}/section_158394344595.html (sorting of paged queries, read 2026-11-23)",
            f"{_DOCS}/section_156414087576.html (collection paging, read 2026-11-23)",
        ),
        unverified=(
            "the columns of inventoryitemlocations, which the Records Catalog of each account shows",
            "whether itemid of a matrix or sub-item is its own name or holds its parents'",
            "what totalResults says of a query with more than 100,000 rows",
        ),
    )
