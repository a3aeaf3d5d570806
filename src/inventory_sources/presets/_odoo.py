"""Odoo: storable products, by the JSON-2 API from version 19 on and by JSON-RPC before."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import frozen

from inventory_sources.errors import AccessRefused, ServerFailed
from inventory_sources.feed import Feed
from inventory_sources.mappers import Columns
from inventory_sources.presets._numbers import JSON_NUMBERS
from inventory_sources.presets._preset import Preset
from inventory_sources.quantities import NegativePolicy
from inventory_sources.rest import Bearer, BodyKey, BodyKeySet, Page, PostedQuery
from inventory_sources.secrets import Secret

__all__ = ["OdooConnector", "odoo", "odoo_rpc"]

_MODEL = "product.product"
_SKU = "default_code"
_PAGE = 500
_LAST_WITH_TYPE = 17
_FIELDS = {"available": "free_qty", "on_hand": "qty_available"}
_DENIED = ("AccessDenied", "AccessError", "SessionExpiredException")
_NAME = re.compile(r"[A-Za-z0-9_.]{1,80}")


@frozen(kw_only=True)
class OdooConnector(PostedQuery):
    """Records as Odoo writes them: ``false`` stands for a blank text, and JSON-RPC answers errors with status 200."""

    def page_records(self, page: Page) -> Sequence[Mapping[str, Any]]:
        """The page's records, blanks as ``null``.

        :raises AccessRefused: when Odoo refuses the key or the user's rights.
        :raises ServerFailed: when it reports another error.
        """
        if isinstance(page.document, dict) and "error" in page.document:
            _refuse(page.document["error"], page.answer.origin)
        records = super().page_records(page)
        return [{name: None if value is False else value for name, value in record.items()} for record in records]


def _refuse(error: object, origin: str) -> None:
    data = error.get("data") if isinstance(error, dict) else None
    name = data.get("name") if isinstance(data, dict) else None
    shown = name if isinstance(name, str) and _NAME.fullmatch(name) else "an error without a name"
    kind = AccessRefused if shown.rpartition(".")[2] in _DENIED else ServerFailed
    raise kind(f"{origin} reports {shown}")


def odoo(
    url: str,
    key: Secret,
    *,
    database: str = "",
    quantity: Literal["available", "on_hand"] = "available",
    location_id: int | None = None,
) -> Preset:
    """Storable products of Odoo 19 or later.

    The SKU is ``default_code``, the internal reference; the quantity ``free_qty`` (on hand less reserved) as that
    available, or ``qty_available`` as that on hand. An order that Odoo has not reserved stock for yet is not taken off
    either: where operations reserve by hand or some days ahead, more is free than can be promised.

    Each product that Odoo keeps stock of is read, with its zero too; services, consumables and products without a
    reference are not asked for, as Odoo knows no quantity or no name of theirs. A quantity below zero is read as zero.
    The feed is a snapshot, asked for by rising id, so that the empty page at its end proves it whole.

    :param url: ``https://mycompany.odoo.com``, without a path.
    :param key: an API key of a user who may read products and stock.
    :param database: its name, where one server has several.
    :param location_id: counts only stock at and below this ``stock.location``, whose number then stands for the place;
        else all of the user's company. Several places are several sources.
    """
    connector = OdooConnector(
        url=f"{url.rstrip('/')}/json/2/{_MODEL}/search_read",
        headers={"X-Odoo-Database": database} if database else {},
        body={"domain": _domain(["is_storable", "=", True]), **_options(quantity, location_id)},
        auth=Bearer(key),
        records="",
        pager=BodyKeySet(field="id", param="domain.0.2"),
        key="id",
    )
    return _preset(connector, quantity, location_id, "external_api")


def odoo_rpc(
    url: str,
    key: Secret,
    *,
    database: str,
    user_id: int,
    version: int = 18,
    quantity: Literal["available", "on_hand"] = "available",
    location_id: int | None = None,
) -> Preset:
    """As :func:`odoo`, for versions before 19, by JSON-RPC, which a version after 19 is to drop.

    :param key: an API key or the password of the user.
    :param user_id: the user's number.
    :param version: Odoo's major version: up to 17 it names storable products in another way.
    """
    storable: list[object] = ["is_storable", "=", True] if version > _LAST_WITH_TYPE else ["type", "=", "product"]
    arguments = [database, user_id, "", _MODEL, "search_read", [_domain(storable)], _options(quantity, location_id)]
    call = {"service": "object", "method": "execute_kw", "args": arguments}
    connector = OdooConnector(
        url=f"{url.rstrip('/')}/jsonrpc",
        body={"jsonrpc": "2.0", "method": "call", "id": 1, "params": call},
        auth=BodyKey(key, "params.args.2"),
        records="result",
        pager=BodyKeySet(field="id", param="params.args.5.0.0.2"),
        key="id",
    )
    return _preset(connector, quantity, location_id, "external_rpc_api")


def _domain(storable: Sequence[object]) -> list[object]:
    return [["id", ">", 0], list(storable), [_SKU, "!=", False]]


def _options(quantity: str, location_id: int | None) -> dict[str, object]:
    context = {} if location_id is None else {"context": {"location": location_id}}
    return {"fields": [_SKU, _FIELDS[quantity]], "order": "id", "limit": _PAGE, **context}


def _preset(connector: OdooConnector, quantity: str, location_id: int | None, page: str) -> Preset:
    mapper = Columns(
        _SKU,
        _FIELDS[quantity],
        quantity_format=JSON_NUMBERS,
        negative=NegativePolicy.ZERO,
        fixed_location="" if location_id is None else str(location_id),
    )
    return Preset(
        connector=connector,
        mapper=mapper,
        feed=Feed.snapshot(quantity),
        documented=(f"https://www.odoo.com/documentation/19.0/developer/reference/{page}.html (read 2026-11-23)",),
        unverified=(
            "free_qty, qty_available and is_storable, which stand in Odoo's source and not in its documentation",
            "how Odoo Online slows down clients that ask too often",
        ),
    )
