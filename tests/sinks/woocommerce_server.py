"""A WooCommerce shop of the tests: products and variations whose stock stays, as the vendor's documentation says."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from attrs import define, field

from inventory_sources.protocols.sink import CurrentLevel
from inventory_sources.testing.servers import Request, Response

KEY, SECRET = "ck_key", "cs_s3cr3t"
ROOT = "/wp-json/wc/v3/products"
AUTHORIZATION = "Basic " + base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()


@define
class Product:
    """A product, or with a parent a variation."""

    id: int
    sku: str
    stock_quantity: int | None
    manage_stock: bool | str = True
    type: str = "simple"
    parent_id: int = 0

    def shown(self) -> dict[str, Any]:
        """As the API shows it."""
        names = ("id", "sku", "manage_stock", "type", "parent_id")
        quantity = self.stock_quantity if self.manage_stock is True else None
        return {**{name: getattr(self, name) for name in names}, "stock_quantity": quantity}


@define
class WooServer:
    """Answers requests to the REST API v3.

    :ivar before: is called before each batch is written: a sale, a deletion.
    :ivar faults: one for each coming request: its answer in place of the real one, which is made all the same.
    :ivar batches: the paths of the batches written, and how many items they had.
    """

    products: list[Product] = field(factory=list)
    before: list[Callable[[], None]] = field(factory=list)
    faults: list[Response | None] = field(factory=list)
    batches: list[tuple[str, int]] = field(factory=list)
    asked: list[str] = field(factory=list)

    def fill(self, levels: Iterable[CurrentLevel]) -> None:
        """Has the shop keep these levels; a null one is of a product that keeps no stock."""
        self.products = [
            Product(
                number, level.sku, None if level.quantity is None else int(level.quantity), level.quantity is not None
            )
            for number, level in enumerate(levels, 1)
        ]

    def product(self, sku: str) -> Product:
        """The first of this SKU."""
        return next(product for product in self.products if product.sku == sku)

    def __call__(self, request: Request) -> Response:
        """The answer."""
        if request.headers["authorization"] != AUTHORIZATION:
            return Response(b'{"code": "woocommerce_rest_cannot_view"}', 401)
        path, query = urlsplit(request.path).path, dict(parse_qsl(urlsplit(request.path).query))
        self.asked.append(request.path)
        answer = self._batch(path, json.loads(request.body)) if request.method == "POST" else self._list(path, query)
        fault = self.faults.pop(0) if self.faults else None
        return fault or answer

    def _list(self, path: str, query: dict[str, str]) -> Response:
        parent = int(path.removeprefix(ROOT).strip("/").partition("/")[0] or 0)
        found = [product for product in self.products if product.parent_id == parent]
        if "sku" in query:
            # Whatever the case, as the database compares; and variations too. The whole text is looked for besides.
            wanted = {sku.lower() for sku in (*query["sku"].split(","), query["sku"])}
            found = [product for product in self.products if product.sku.lower() in wanted]
        size, page = int(query["per_page"]), int(query.get("page", "1"))
        pages = max(-(-len(found) // size), 1)
        shown = [product.shown() for product in found[(page - 1) * size : page * size]]
        return _json(shown, {"X-WP-Total": str(len(found)), "X-WP-TotalPages": str(pages)})

    def _batch(self, path: str, body: dict[str, Any]) -> Response:
        for happening in self.before[:1]:
            self.before.remove(happening)
            happening()
        assert path.endswith("/batch")
        assert set(body) == {"update"}
        assert 1 <= len(body["update"]) <= 100
        parent = int(path.removeprefix(ROOT).strip("/").partition("/")[0].replace("batch", "") or 0)
        self.batches.append((path.removeprefix(ROOT), len(body["update"])))
        return _json({"update": [self._update(parent, one) for one in body["update"]]})

    def _update(self, parent: int, one: dict[str, Any]) -> dict[str, Any]:
        found = [product for product in self.products if (product.id, product.parent_id) == (one["id"], parent)]
        if not found:
            kind = "product_variation" if parent else "product"
            return {"id": one["id"], "error": {"code": f"woocommerce_rest_{kind}_invalid_id", "message": "Invalid ID."}}
        product = found[0]
        product.manage_stock = one.get("manage_stock", product.manage_stock)
        if product.manage_stock is True:
            product.stock_quantity = one["stock_quantity"]
        return product.shown()


def _json(document: object, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(document).encode(), 200, {"Content-Type": "application/json", **(headers or {})})
