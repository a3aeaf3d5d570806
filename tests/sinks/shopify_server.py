"""A Shopify shop of the tests: levels that stay, compared when they are set, as the vendor's documentation says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from attrs import define, field

from inventory_sources.protocols.sink import CurrentLevel
from inventory_sources.testing.servers import Request, Response

HERE = "gid://shopify/Location/1"
TOKEN = "shpat_t0k3n"

Fault = Callable[[dict[str, Any]], Response | None]


def lost(_: dict[str, Any]) -> Response:
    """The request is carried out and its answer never arrives."""
    return Response(raw=b"", hang_up=True)


@define
class Item:
    """An inventory item; a level is the quantity of the state that the tests set."""

    id: str
    sku: str
    levels: dict[str, int]
    tracked: bool = True


@define
class ShopifyServer:
    """Answers requests to the GraphQL Admin API.

    :ivar before: is called before each mutation, for what happens in between: a sale.
    :ivar faults: one for each coming mutation: its answer in place of the real one; throttles come before it is made.
    :ivar throttles: so many requests are turned away first.
    :ivar turned_away: one for each coming mutation: its answer, where it is not made.
    :ivar groups: the adjustments that were made, each a list of changes.
    :ivar whole: whether a refused quantity has none set; otherwise the others are.
    """

    items: list[Item] = field(factory=list)
    before: list[Callable[[], None]] = field(factory=list)
    faults: list[Fault] = field(factory=list)
    throttles: int = 0
    turned_away: list[Response | None] = field(factory=list)
    groups: list[list[str]] = field(factory=list)
    keys: dict[str, tuple[str, dict[str, Any]]] = field(factory=dict)
    sent: list[str] = field(factory=list)
    whole: bool = True
    state: str = "available"
    known: list[str] = field(factory=lambda: [HERE])

    def fill(self, levels: Iterable[CurrentLevel], places: dict[str, str]) -> None:
        """Has the shop keep these levels; a null one is of an item that is not tracked."""
        self.known = list(places.values())
        by_sku: dict[str, Item] = {}
        for level in levels:
            item = by_sku.setdefault(level.sku, Item(f"gid://shopify/InventoryItem/{len(by_sku) + 1}", level.sku, {}))
            item.levels[places[level.location]] = 0 if level.quantity is None else int(level.quantity)
            item.tracked = level.quantity is not None
        self.items = list(by_sku.values())

    def item(self, sku: str) -> Item:
        """The first of this SKU."""
        return next(item for item in self.items if item.sku == sku)

    def __call__(self, request: Request) -> Response:
        """The answer."""
        assert request.path == "/admin/api/2026-10/graphql.json"
        if request.headers["x-shopify-access-token"] != TOKEN:
            return Response(b"{}", 401)
        if self.throttles:
            self.throttles -= 1
            cost = {"requestedQueryCost": 500, "throttleStatus": {"currentlyAvailable": 100, "restoreRate": 100.0}}
            return _json({"errors": [{"extensions": {"code": "THROTTLED"}}], "extensions": {"cost": cost}})
        body = json.loads(request.body)
        query, variables = body["query"], body["variables"]
        if "inventorySetQuantities" in query:
            assert "@idempotent(key: $key)" in query
            self.sent.append(variables["key"])
            if self.turned_away and (turned_away := self.turned_away.pop(0)):
                return turned_away
            for happening in self.before[:1]:
                self.before.remove(happening)
                happening()
            answer = self._once(variables["key"], variables["input"])
            fault = self.faults.pop(0) if self.faults else None
            return (fault and fault(answer)) or _json({"data": {"inventorySetQuantities": answer}})
        if "nodes(ids:" in query:
            return _json({"data": {"nodes": [{"id": one} if one in self.known else None for one in variables["ids"]]}})
        return _json({"data": {"inventoryItems": self._page(variables)}})

    def _page(self, given: dict[str, Any]) -> dict[str, Any]:
        found = [item for item in self.items if _matches(item.sku, given["search"])]
        start = int(given["after"] or 0)
        end = start + given["first"]
        nodes = [self._node(item, given) for item in found[start:end]]
        return {"nodes": nodes, "pageInfo": {"hasNextPage": end < len(found), "endCursor": str(end)}}

    def _node(self, item: Item, given: dict[str, Any]) -> dict[str, Any]:
        node: dict[str, Any] = {"id": item.id, "sku": item.sku or None, "tracked": item.tracked}
        for name, place in given.items():
            if re.fullmatch(r"l\d+", name):
                quantity = item.levels.get(place)
                named = [{"name": self.state, "quantity": quantity}]
                node[name] = None if quantity is None else {"quantities": named}
        return node

    def _once(self, key: str, given: dict[str, Any]) -> dict[str, Any]:
        text = json.dumps(given, sort_keys=True)
        if key not in self.keys:
            self.keys[key] = (text, self._set(given))
        elif self.keys[key][0] != text:
            return _errors(("IDEMPOTENCY_KEY_PARAMETER_MISMATCH", None))
        return self.keys[key][1]

    def _set(self, given: dict[str, Any]) -> dict[str, Any]:
        assert given["name"] == self.state
        assert given["referenceDocumentUri"].startswith("inventory-sources://run/")
        quantities = given["quantities"]
        assert 1 <= len(quantities) <= 250
        codes = [self._code(one) for one in quantities]
        refused = [(code, place) for place, code in enumerate(codes) if code]
        if not (refused and self.whole):
            self.groups.append([self._change(one) for one, code in zip(quantities, codes, strict=True) if not code])
        return _errors(*refused)

    def _code(self, one: dict[str, Any]) -> str:
        assert set(one) == {"inventoryItemId", "locationId", "quantity", "changeFromQuantity"}
        assert type(one["changeFromQuantity"]) is int
        item = next((item for item in self.items if item.id == one["inventoryItemId"]), None)
        if item is None:
            return "INVALID_INVENTORY_ITEM"
        if one["locationId"] not in item.levels:
            return "ITEM_NOT_STOCKED_AT_LOCATION"
        if one["quantity"] > 1_000_000_000:
            return "INVALID_QUANTITY_TOO_HIGH"
        return "" if item.levels[one["locationId"]] == one["changeFromQuantity"] else "CHANGE_FROM_QUANTITY_STALE"

    def _change(self, one: dict[str, Any]) -> str:
        item = next(item for item in self.items if item.id == one["inventoryItemId"])
        item.levels[one["locationId"]] = one["quantity"]
        return f"{item.sku}={one['quantity']}"


def _matches(sku: str, search: str | None) -> bool:
    """As searches do: whatever the case, and more than was asked for."""
    if search is None:
        return True
    wanted = re.fullmatch(r'sku:"[^":\\()*]+"( OR sku:"[^":\\()*]+")*', search)
    assert wanted, search
    return any(sku.lower().startswith(one.lower()) for one in re.findall(r'sku:"([^"]+)"', search))


def _errors(*errors: tuple[str, int | None]) -> dict[str, Any]:
    fields = [
        {"code": code, "field": None if place is None else ["input", "quantities", str(place), "changeFromQuantity"]}
        for code, place in errors
    ]
    return {"userErrors": fields}


def _json(document: object) -> Response:
    return Response(json.dumps(document).encode(), 200, {"Content-Type": "application/json"})
