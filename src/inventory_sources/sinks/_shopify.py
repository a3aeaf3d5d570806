"""Levels in a Shopify shop, by the GraphQL Admin API.

Sources, read 2026-11-23: https://shopify.dev/docs/api/admin-graphql/latest/mutations/inventorySetQuantities,
.../input-objects/InventoryQuantityInput, .../enums/InventorySetQuantitiesUserErrorCode (copies for 2026-10),
https://shopify.dev/changelog/making-changefromquantity-field-required, .../changelog/making-idempotency-mandatory-for-
inventory-adjustments-and-refund-mutations, https://shopify.dev/docs/api/usage/limits and .../usage/search-syntax.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import quote

from attrs import field, frozen

from inventory_sources import _json
from inventory_sources.errors import (
    AccessRefused,
    ConfigurationError,
    FetchError,
    Recovery,
    ServerFailed,
    SinkError,
    SinkUnavailable,
    StructureInvalid,
)
from inventory_sources.protocols.sink import ApplyContext, ItemOutcome, SinkLevel, SinkTraits
from inventory_sources.secrets import Secret
from inventory_sources.sinks._remote import HttpStockSink, RemoteLevel, RemoteWrite, idempotency_key, pieces
from inventory_sources.sinks._remote_api import RemoteApi

__all__ = ["ShopifySink"]

_VERSION = re.compile(r"20[0-9]{2}-(?:01|04|07|10)")
_FIRST_VERSION = "2026-04"
_LOCATION = re.compile(r"gid://shopify/Location/[0-9]+")
_STATES = ("available", "on_hand")
#: SKUs that Shopify's search takes as they are; its syntax and its division into words know other characters.
_SEARCHABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_ASK = 25
_SHOWN_CODE = re.compile(r"[A-Z_]{1,60}")
_MUTATION = """\
mutation SetLevels($input: InventorySetQuantitiesInput!, $key: String!) {
  inventorySetQuantities(input: $input) @idempotent(key: $key) {
    userErrors { code field }
  }
}
"""
_REASONS = {
    "CHANGE_FROM_QUANTITY_STALE": "moved_on",
    "INVALID_INVENTORY_ITEM": "row_gone",
    "INVALID_LOCATION": "not_stocked",
    "ITEM_NOT_STOCKED_AT_LOCATION": "not_stocked",
    "INVALID_QUANTITY_NEGATIVE": "refused",
    "INVALID_QUANTITY_TOO_HIGH": "refused",
    "INVALID_QUANTITY_TOO_LOW": "refused",
    "NON_MUTABLE_INVENTORY_ITEM": "refused",
}
#: The key is of no use any more, or its first request still runs: the next run has another.
_LATER = frozenset(
    {
        "IDEMPOTENCY_CONCURRENT_REQUEST",
        "IDEMPOTENCY_KEY_PARAMETER_MISMATCH",
        "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED",
        "SERVICE_UNAVAILABLE",
    }
)


def _version(instance: object, attribute: object, version: str) -> None:
    if not _VERSION.fullmatch(version) or version < _FIRST_VERSION:
        raise ConfigurationError(
            f"the version must be {_FIRST_VERSION} or later, such as 2026-10",
            guidance="Versions before compare by other names, and need no idempotency key.",
        )


def _state(instance: object, attribute: object, state: str) -> None:
    if state not in _STATES:
        raise ConfigurationError(f"state must be one of {', '.join(_STATES)}")


def _locations(instance: object, attribute: object, locations: Mapping[str, str]) -> None:
    ids = list(locations.values())
    if not 1 <= len(ids) <= 20 or len(set(ids)) < len(ids) or not all(map(_LOCATION.fullmatch, ids)):
        raise ConfigurationError(
            "locations must map 1 to 20 names to different ids such as gid://shopify/Location/1",
            guidance='For a feed without locations, {"": "gid://shopify/Location/1"}.',
        )


def _copied(locations: Mapping[str, str]) -> dict[str, str]:
    return dict(locations)


@frozen(kw_only=True)
class ShopifySink(HttpStockSink):
    """Levels of a Shopify shop at the locations named, written only where they still are what was planned from.

    The level is compare-and-set. Each write carries an idempotency key, so that one whose answer was lost is sent
    again. An item whose ``tracked`` is false has no number: a change of it fails as ``not_tracked``. An item that is
    not stocked at a location has no level there. A SKU that two items have fails as ``sku_not_unique``.

    :param url: ``https://my-shop.myshopify.com``.
    :param token: of an app with the scopes ``read_inventory``, ``write_inventory`` and ``read_locations``.
    :param locations: the feed's names of locations to Shopify's ids; ``""`` for a feed without. Other locations are
        never touched.
    :param state: the quantity that is set: ``available`` or ``on_hand``.
    :param version: of the API; 2026-04 or later.
    :param reason: why quantities change, one of Shopify's.
    """

    batch = 250
    guidance: ClassVar[Mapping[str, str]] = {
        **HttpStockSink.guidance,
        "not_tracked": 'Switch on "Track quantity" for the product in Shopify.',
        "not_stocked": "Stock the product at this location in Shopify.",
        "level_unknown": "Look at the product's quantity at this location in Shopify.",
    }

    token: Secret
    locations: Mapping[str, str] = field(converter=_copied, validator=_locations)
    state: str = field(default="available", validator=_state)
    version: str = field(default="2026-10", validator=_version)
    reason: str = "correction"

    @property
    def traits(self) -> SinkTraits:  # type: ignore[override]
        """Compare-and-set, in whole units."""
        return SinkTraits(
            SinkLevel.COMPARE_AND_SET, 0, any(self.locations), guarded_by="changeFromQuantity, compared by Shopify"
        )

    @property
    def named_locations(self) -> frozenset[str]:
        """Those that are declared."""
        return frozenset(self.locations)

    def headers(self) -> Mapping[str, str]:
        """The app's token."""
        return {"X-Shopify-Access-Token": self.token.reveal()}

    def verify(self, api: RemoteApi) -> None:
        """Asks for the locations.

        :raises SinkError: when Shopify has none of one of these ids.
        """
        ids = list(self.locations.values())
        nodes = _at(self._ask(api, "query($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": ids}), "nodes")
        missing = set(ids) - {node["id"] for node in nodes if node}
        if missing:
            raise SinkError(
                f"Shopify has no location {', '.join(sorted(missing))}",
                guidance="Correct the sink's locations; the app needs the scope read_locations.",
                recovery=Recovery.STOP,
            )

    def read(self, api: RemoteApi, skus: Sequence[str] | None) -> Iterator[RemoteLevel]:
        """The levels of these SKUs, by search; of all items where one has characters that the search divides at."""
        if skus is None or not all(map(_SEARCHABLE.fullmatch, skus)):
            yield from self._items(api, None)
            return
        for some in pieces(skus, _ASK):
            yield from self._items(api, " OR ".join(f'sku:"{sku}"' for sku in some))

    def write(self, api: RemoteApi, writes: Sequence[RemoteWrite], context: ApplyContext) -> list[ItemOutcome]:
        """Sets a batch; where some are refused Shopify sets none, so the others are sent again without them."""
        ended: list[ItemOutcome] = []
        left = list(writes)
        while left and (errors := self._set(api, left, context)):
            refused = _refused(errors, left)
            ended += (left[at].failed(reason) for at, reason in sorted(refused.items()))
            left = [write for at, write in enumerate(left) if at not in refused]
        return ended

    def _set(self, api: RemoteApi, writes: Sequence[RemoteWrite], context: ApplyContext) -> list[Any]:
        # No old level is null here: one without a number refuses to be written.
        quantities = [
            {
                "inventoryItemId": write.level.handle,
                "locationId": self.locations[write.item.location],
                "quantity": int(write.item.new),
                "changeFromQuantity": int(write.item.old or 0),
            }
            for write in writes
        ]
        given = {
            "name": self.state,
            "reason": self.reason,
            "referenceDocumentUri": f"inventory-sources://run/{quote(context.run_id, safe='')}",
            "quantities": quantities,
        }
        variables = {"input": given, "key": idempotency_key(context, quantities)}
        errors = _at(self._ask(api, _MUTATION, variables), "inventorySetQuantities.userErrors")
        return list(errors)

    def _items(self, api: RemoteApi, search: str | None) -> Iterator[RemoteLevel]:
        """Each item at each location, page by page; a page costs about 500 of the 1,000 points that a query may."""
        ids = {f"l{number}": place for number, place in enumerate(self.locations.values())}
        variables: dict[str, Any] = {
            **ids,
            "first": max(250 // len(ids) // 5, 2),
            "search": search,
            "names": [self.state],
        }
        after = None
        while True:
            page = _at(self._ask(api, _query(ids), {**variables, "after": after}), "inventoryItems")
            for item in _at(page, "nodes"):
                yield from self._levels(item)
            if not _at(page, "pageInfo.hasNextPage"):
                return
            if after == (after := _at(page, "pageInfo.endCursor")):
                raise StructureInvalid("Shopify leads from a page of items to the same page again")

    def _levels(self, item: Mapping[str, Any]) -> Iterator[RemoteLevel]:
        for number, name in enumerate(self.locations):
            if (level := item[f"l{number}"]) is not None:
                found = [one["quantity"] for one in level["quantities"] if one["name"] == self.state]
                known = bool(item["tracked"]) and found[:1] not in ([], [None])
                refuses = "" if known else "level_unknown" if item["tracked"] else "not_tracked"
                yield RemoteLevel(item["sku"] or "", Decimal(found[0]) if known else None, name, item["id"], refuses)

    def _ask(self, api: RemoteApi, query: str, variables: Mapping[str, object]) -> Any:
        """The data of an answer; asked again while Shopify says that it costs more than is left.

        Queries change nothing, and the mutation carries a key, so either may arrive twice.
        """
        path = f"/admin/api/{self.version}/graphql.json"
        while True:
            document = api.send(path, {"query": query, "variables": variables}, repeatable=True).document
            errors = document.get("errors") if isinstance(document, dict) else None
            if not errors:
                return _at(document, "data")
            code = _code(errors)
            if code != "THROTTLED":
                raise _error(code)
            api.rest(_restored(document))


def _query(ids: Iterable[str]) -> str:
    declared = "".join(f", ${name}: ID!" for name in ids)
    levels = " ".join(
        f"{name}: inventoryLevel(locationId: ${name}) {{ quantities(names: $names) {{ name quantity }} }}"
        for name in ids
    )
    return (
        f"query Levels($first: Int!, $after: String, $search: String, $names: [String!]!{declared}) {{"
        f" inventoryItems(first: $first, after: $after, query: $search) {{"
        f" nodes {{ id sku tracked {levels} }} pageInfo {{ hasNextPage endCursor }} }} }}"
    )


def _refused(errors: Sequence[Any], writes: Sequence[RemoteWrite]) -> dict[int, str]:
    """Which writes were refused and why; all of them moved on where Shopify does not say which did.

    :raises SinkError: when the request as a whole was refused.
    """
    found: dict[int, str] = {}
    for error in errors:
        code, path = str(error.get("code")), error.get("field") or []
        reason = _REASONS.get(code)
        if reason is None:
            raise _whole(code)
        places = [int(step) for step in path if str(step).isascii() and str(step).isdigit()]
        if places and places[0] < len(writes):
            found[places[0]] = reason
        elif reason == "moved_on":
            return dict.fromkeys(range(len(writes)), reason)
        else:
            raise _whole(code)
    return found


def _whole(code: str) -> SinkError:
    shown = code if _SHOWN_CODE.fullmatch(code) else "without a code"
    text = f"Shopify refused a whole batch with the error {shown}"
    if code in _LATER:
        return SinkUnavailable(text, guidance="The next attempt reads and plans anew, with another key.")
    return SinkError(text, guidance="Check the sink's state, reason and version.", recovery=Recovery.STOP)


def _restored(document: object) -> float:
    """Seconds until there are as many points as the request costs; 1 where Shopify does not say."""
    try:
        cost = _at(document, "extensions.cost")
        wanted, status = float(cost["requestedQueryCost"]), cost["throttleStatus"]
        return max(wanted - float(status["currentlyAvailable"]), 0.0) / float(status["restoreRate"]) or 0.1
    except (StructureInvalid, KeyError, TypeError, ValueError, ZeroDivisionError):
        return 1.0


def _code(errors: object) -> str:
    with suppress(StructureInvalid):
        found = str(_at(errors, "0.extensions.code"))
        return found if _SHOWN_CODE.fullmatch(found) else ""
    return ""


def _error(code: str) -> FetchError:
    text = f"Shopify reports the error {code or 'without a code'}"
    if code == "ACCESS_DENIED":
        return AccessRefused(text)
    if code in {"INTERNAL_SERVER_ERROR", "TIMEOUT", ""}:
        return ServerFailed(text)
    return FetchError(text, recovery=Recovery.STOP, guidance="Check the sink's version and the app's scopes.")


_at: Callable[[object, str], Any] = _json.follow
