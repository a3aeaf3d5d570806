"""ShipHero: products by warehouse, by the public GraphQL API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from attrs import evolve, frozen

from inventory_sources.feed import Feed
from inventory_sources.mappers import Columns
from inventory_sources.presets._numbers import JSON_NUMBERS
from inventory_sources.presets._preset import Preset
from inventory_sources.quantities import NegativePolicy
from inventory_sources.rest import CostThrottle, GraphQl, GraphQlCursor, LoginToken, RestConnector, RestSession
from inventory_sources.secrets import Secret

if TYPE_CHECKING:
    from inventory_sources.protocols.connector import FetchContext

__all__ = ["ShipHeroConnector", "shiphero"]

_HOST = "https://public-api.shiphero.com"
_NO_CREDITS = "30"
_SECONDS = re.compile(r"([0-9]{1,6}) seconds?")
_QUERY = """query ($after: String, $customer: String) {
  warehouse_products(active: true, customer_account_id: $customer) {
    data(first: 100, after: $after) {
      pageInfo { hasNextPage endCursor }
      edges { node { id sku warehouse_id QUANTITY } }
    }
  }
}"""


@frozen(kw_only=True)
class _Credits(CostThrottle):
    """ShipHero's own way to say that there are too few credits: error 30, and in how many seconds there will be."""

    def judge(self, document: object) -> tuple[bool, float]:
        """Whether a document says that its request was not carried out, and the seconds to wait before the next."""
        errors = document.get("errors") if isinstance(document, dict) else None
        for error in errors if isinstance(errors, list) else []:
            if isinstance(error, dict) and error.get("code") == _NO_CREDITS:
                found = _SECONDS.fullmatch(str(error.get("time_remaining")))
                return True, float(found[1]) if found else 1.0
        return False, 0.0


@frozen(kw_only=True)
class ShipHeroConnector(RestConnector):
    """A :class:`RestConnector` that waits for ShipHero's credits."""

    @contextmanager
    def session(self, context: FetchContext) -> Iterator[RestSession]:
        """As it is, with an eye on the credits."""
        # Not super(): attrs makes the class anew and does not find it below the decorator.
        with RestConnector.session(self, context) as session:
            yield evolve(session, manners=evolve(self.manners, cost=_Credits()))


def shiphero(
    refresh_token: Secret,
    *,
    quantity: Literal["available", "on_hand"] = "available",
    customer_account_id: str | None = None,
) -> Preset:
    """Active products by warehouse: ``sku``, the warehouse's id as the location.

    The quantity is ``available``, which ShipHero shows to sales channels, or ``on_hand``, which is physically there;
    one that is null is listed as invalid, one below zero read as zero. The feed is a snapshot; whether its cursors mark
    a record is not documented, so that only ``verify`` proves it whole.

    :param refresh_token: of a user for the public API.
    :param customer_account_id: of one customer, where the account is that of a 3PL.
    """
    customer = {} if customer_account_id is None else {"customer": customer_account_id}
    column = f"node.{quantity}"
    connector = ShipHeroConnector(
        url=f"{_HOST}/graphql",
        graphql=GraphQl(_QUERY.replace("QUANTITY", quantity), customer),
        auth=LoginToken(
            url=f"{_HOST}/auth/refresh",
            secrets={"refresh_token": refresh_token},
            token="access_token",  # noqa: S106 - a path
            lifetime=7 * 86_400.0,
        ),
        records="data.warehouse_products.data.edges",
        keep=("node.sku", "node.warehouse_id", column),
        pager=GraphQlCursor("data.warehouse_products.data.pageInfo"),
        key="node.id",
    )
    mapper = Columns(
        "node.sku", column, "node.warehouse_id", quantity_format=JSON_NUMBERS, negative=NegativePolicy.ZERO
    )
    return Preset(
        connector=connector,
        mapper=mapper,
        feed=Feed.snapshot(quantity),
        documented=(
            "https://developer.shiphero.com/getting-started/ (read 2026-11-23)",
            "https://developer.shiphero.com/schema/queries/warehouse-products.html (read 2026-11-23)",
            "https://developer.shiphero.com/schema/types/warehouse-product.html (read 2026-11-23)",
        ),
        unverified=(
            "the exact form of the error for too few credits (code 30 with time_remaining)",
            "whether kits have a quantity of their own",
        ),
    )
