"""Levels in a WooCommerce shop, by the REST API v3.

Source: https://woocommerce.github.io/woocommerce-rest-api-docs, "Batch update products", "Batch update product
variations" and "List all products" (read 2026-11-23, copy of 2026-04-24). That ``sku`` takes several SKUs, parted by
commas, and finds variations too, is said in https://github.com/woocommerce/woocommerce/issues/10804 and 31370.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import count
from typing import Any, ClassVar
from urllib.parse import urlencode

from attrs import field, frozen

from inventory_sources.errors import ConfigurationError, StructureInvalid
from inventory_sources.protocols.sink import ApplyContext, ItemOutcome, SinkLevel, SinkTraits
from inventory_sources.secrets import Secret
from inventory_sources.sinks._remote import HttpStockSink, RemoteLevel, RemoteWrite, pieces
from inventory_sources.sinks._remote_api import RemoteApi

__all__ = ["WooCommerceSink"]

_ASK = 50
_PRODUCTS = "/wp-json/wc/v3/products"
_FIELDS = "id,parent_id,type,sku,manage_stock,stock_quantity"
_VARIABLE = frozenset({"variable", "variable-subscription"})
_STOCKLESS = frozenset({"grouped", "external"})


def _manage(instance: object, attribute: object, manage: str) -> None:
    if manage not in {"refuse", "enable"}:
        raise ConfigurationError("manage must be refuse or enable")


@frozen(kw_only=True)
class WooCommerceSink(HttpStockSink):
    """Stock of the products and variations of a WooCommerce shop.

    The level is absolute set: WooCommerce compares nothing, so an order that comes in between a batch's reading and
    its writing is overwritten until the next run. A batch is therefore read right before it is written. A product
    that keeps no stock (``manage_stock``) fails as ``stock_not_managed``, a variation that draws on its product's
    stock as ``stock_of_parent``, one of a kind without stock as ``no_stock``.

    :param url: of the shop, such as ``https://shop.example``, with the folder that WordPress is in.
    :param key: the consumer key of a REST API key with the permission Read/Write.
    :param secret: the consumer secret.
    :param manage: ``enable`` has a product keep stock from the first level it is given; ``refuse`` leaves it alone.
    """

    batch = 100
    guidance: ClassVar[Mapping[str, str]] = {
        **HttpStockSink.guidance,
        "stock_not_managed": "Switch on stock management for the product in WooCommerce, or declare manage='enable'.",
        "stock_of_parent": "Switch on stock management for the variation, or send the level of its product.",
        "no_stock": "A product of this kind keeps no stock: take it out of the feed.",
        "not_confirmed": "Look at the product in WooCommerce: its answer does not mention it.",
    }
    traits: ClassVar[SinkTraits] = SinkTraits(
        SinkLevel.ABSOLUTE_SET, 0, locations=False, guarded_by="nothing; read right before it is set"
    )

    key: Secret
    secret: Secret
    manage: str = field(default="refuse", validator=_manage)

    def headers(self) -> Mapping[str, str]:
        """Key and secret as user and password."""
        pair = f"{self.key.reveal()}:{self.secret.reveal()}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode('ascii')}"}

    def verify(self, api: RemoteApi) -> None:
        """Asks for one product."""
        api.get(f"{_PRODUCTS}?{urlencode({'per_page': 1, '_fields': 'id'})}")

    def read(self, api: RemoteApi, skus: Sequence[str] | None) -> Iterator[RemoteLevel]:
        """The levels of these SKUs, or of all products and variations."""
        if skus is None:
            yield from self._all(api)
            return
        plain = [sku for sku in skus if "," not in sku]
        for some in [*pieces(plain, _ASK), *([sku] for sku in skus if "," in sku)]:
            for record in _list(api, _PRODUCTS, sku=",".join(some)):
                yield self._level(record, int(record.get("parent_id") or 0))

    def write(self, api: RemoteApi, writes: Sequence[RemoteWrite], context: ApplyContext) -> Iterator[ItemOutcome]:
        """Sets a batch: one request for its products, and one for the variations of each product."""
        parents: dict[int, list[RemoteWrite]] = {}
        for write in writes:
            parents.setdefault(write.level.handle[0], []).append(write)
        for parent, some in parents.items():
            yield from self._set(api, f"{_PRODUCTS}/{parent}/variations" if parent else _PRODUCTS, some)

    def _set(self, api: RemoteApi, path: str, writes: Sequence[RemoteWrite]) -> Iterator[ItemOutcome]:
        update = [{"id": write.level.handle[1], "stock_quantity": int(write.item.new)} for write in writes]
        if self.manage == "enable":
            update = [{**one, "manage_stock": True} for one in update]
        answered = api.send(f"{path}/batch", {"update": update}).document
        records = answered.get("update") if isinstance(answered, dict) else None
        if not isinstance(records, list):
            raise StructureInvalid("WooCommerce does not say what it did with a batch")
        by_id = {str(record.get("id")): record for record in records if isinstance(record, dict)}
        for write in writes:
            if reason := _unwritten(by_id.get(str(write.level.handle[1])), write.item.new):
                yield write.failed(reason)

    def _all(self, api: RemoteApi) -> Iterator[RemoteLevel]:
        for product in _list(api, _PRODUCTS):
            yield self._level(product, 0)
            if product.get("type") in _VARIABLE:
                parent = int(product["id"])
                for variation in _list(api, f"{_PRODUCTS}/{parent}/variations"):
                    yield self._level(variation, parent)

    def _level(self, record: Mapping[str, Any], parent: int) -> RemoteLevel:
        managed, kind, quantity = (record.get(name) for name in ("manage_stock", "type", "stock_quantity"))
        refuses = ""
        if managed == "parent":
            refuses = "stock_of_parent"
        elif kind in _STOCKLESS or (kind in _VARIABLE and managed is not True):
            refuses = "no_stock"
        elif managed is not True and self.manage == "refuse":
            refuses = "stock_not_managed"
        known = None if managed is not True or quantity is None else Decimal(quantity)
        return RemoteLevel(record.get("sku") or "", known, handle=(parent, int(record["id"])), refuses=refuses)


def _list(api: RemoteApi, path: str, **query: str) -> Iterator[dict[str, Any]]:
    """The records of all pages."""
    for page in count(1):
        given = {**query, "per_page": "100", "page": str(page), "orderby": "id", "order": "asc", "_fields": _FIELDS}
        answer = api.get(f"{path}?{urlencode(given)}")
        if not isinstance(answer.document, list) or not all(isinstance(one, dict) for one in answer.document):
            raise StructureInvalid(
                f"WooCommerce answered with {_shown(answer.document)} in place of a list of products"
            )
        yield from answer.document
        if page >= int(answer.headers.get("x-wp-totalpages", "1")):
            return


def _shown(document: object) -> str:
    return "an object" if isinstance(document, dict) else "another value"


def _unwritten(record: Mapping[str, Any] | None, new: Decimal) -> str:
    """Why an item was not written, as a stable code; empty where the answer shows it at its new level."""
    if record is None:
        return "not_confirmed"
    if error := record.get("error"):
        code = str(error.get("code", "")) if isinstance(error, dict) else ""
        return "row_gone" if code.endswith("_invalid_id") else "refused"
    quantity = record.get("stock_quantity")
    return "" if quantity is not None and Decimal(quantity) == new else "refused"
