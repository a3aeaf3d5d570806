"""Microsoft Dynamics 365 Business Central, online: items by the standard API v2.0."""

from __future__ import annotations

from urllib.parse import quote

from inventory_sources.feed import Feed
from inventory_sources.mappers import Columns
from inventory_sources.presets._numbers import JSON_NUMBERS
from inventory_sources.presets._preset import Preset
from inventory_sources.quantities import NegativePolicy
from inventory_sources.rest import ClientCredentials, Manners, NextUrl, RestConnector
from inventory_sources.secrets import Secret

__all__ = ["business_central"]

_DOCS = "https://learn.microsoft.com/en-us/dynamics365/business-central/dev-itpro"


def business_central(
    tenant: str,
    company: str,
    *,
    client_id: str,
    client_secret: Secret,
    environment: str = "Production",
    location: str = "",
    page_size: int = 2000,
) -> Preset:
    """Items of type Inventory: ``number`` as the SKU, ``inventory`` as the quantity on hand.

    ``inventory`` is the sum of all item ledger entries over all locations; the standard API gives none by location, by
    variant, or less what is reserved. A quantity below zero, which Business Central allows, is read as zero. Services
    and non-inventory items are not asked for. The feed is a snapshot; what ends it is a page without a link, which
    proves it whole only with ``verify``.

    :param tenant: the Microsoft Entra tenant's id or domain.
    :param company: the company's id, a GUID.
    :param client_id: of an application that has the permission ``API.ReadWrite.All`` (or ``app_access``) for
        Business Central, and is set up there as a Microsoft Entra application with a right to read items.
    :param location: what the shop calls the place of all this stock.
    :param page_size: items of a page, at most 20,000.
    """
    tenant_part, environment_part = quote(tenant, safe=""), quote(environment, safe="")
    path = f"v2.0/{tenant_part}/{environment_part}/api/v2.0/companies({quote(company, safe='')})/items"
    connector = RestConnector(
        f"https://api.businesscentral.dynamics.com/{path}",
        params={"$select": "id,number,inventory", "$filter": "type eq 'Inventory'"},
        headers={"Prefer": f"odata.maxpagesize={page_size}"},
        auth=ClientCredentials(
            token_url=f"https://login.microsoftonline.com/{tenant_part}/oauth2/v2.0/token",
            client_id=client_id,
            client_secret=client_secret,
            scope="https://api.businesscentral.dynamics.com/.default",
            client_auth="body",
        ),
        records="value",
        keep=("number", "inventory"),
        pager=NextUrl("@odata.nextLink", optional=True),
        key="id",
        manners=Manners(requests_per_second=10),
    )
    return Preset(
        connector=connector,
        mapper=Columns(
            "number",
            "inventory",
            quantity_format=JSON_NUMBERS,
            negative=NegativePolicy.ZERO,
            fixed_location=location,
        ),
        feed=Feed.snapshot("on_hand"),
        documented=(
            f"{_DOCS}/api-reference/v2.0/resources/dynamics_item (read 2026-11-23, copy of 2021-04-01)",
            f"{_DOCS}/api-reference/v2.0/dynamics-rate-limits (read 2026-11-23)",
            f"{_DOCS}/administration/operational-limits-online (read 2026-11-23)",
        ),
        unverified=(
            "whether the links between pages mark a record, so that a list that changes shifts no page",
            "whether a 429 comes with Retry-After",
        ),
    )
