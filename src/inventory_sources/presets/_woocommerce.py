"""WooCommerce: products and their variations by the REST API v3."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from inventory_sources.errors import ConfigurationError
from inventory_sources.feed import Feed
from inventory_sources.mappers import Columns
from inventory_sources.payload import Evidence
from inventory_sources.presets._numbers import JSON_NUMBERS
from inventory_sources.presets._preset import Preset
from inventory_sources.quantities import NegativePolicy
from inventory_sources.rest import Basic, HeaderTotal, OAuth1, RestConnector
from inventory_sources.rest._calls import Call
from inventory_sources.rest._secret_parts import plain
from inventory_sources.secrets import Secret

if TYPE_CHECKING:
    from inventory_sources.rest import RestSession

__all__ = ["woocommerce"]

_DOCS = "https://woocommerce.github.io/woocommerce-rest-api-docs"
_VARIABLE = frozenset({"variable", "variable-subscription"})
_STOCKLESS = frozenset({"grouped", "external"})


@frozen(kw_only=True)
class WooProducts(RestConnector):
    """Products, those with variations replaced by these, each list read to its declared end.

    :param shared: whether a variation that draws on its product's stock has that as its quantity.
    """

    shared: bool = False

    def record(self, record: dict[str, str | None]) -> Mapping[str, object] | None:
        """The row; its quantity is blank where the shop keeps none for it."""
        kept = {"true", "parent"} if self.shared else {"true"}
        return record if record.get("manage_stock") in kept else {**record, "stock_quantity": None}

    def _rows(self, session: RestSession) -> Iterable[Mapping[str, object]]:
        base = self.request(session.context)
        products = self._walk(session, self._flat).run(base)
        proven, rows = products.proven, []
        for number, product in enumerate(products.taken, 1):
            if product.get("type") in _VARIABLE:
                address = Call(f"{self.url}/{{id}}/variations", params=plain(self.params))
                variations = self._walk(session, self._flat).run(address.request(base, product, f"product {number}"))
                proven = proven and variations.proven
                rows += variations.taken
            elif product.get("type") not in _STOCKLESS:
                rows.append(product)
        # The count that is declared is that of products.
        session.context.evidence = evolve(self._evidence(products), declared_records=None) if proven else Evidence()
        return self._finished(rows)


def woocommerce(url: str, key: str | Secret, secret: Secret, *, location: str = "", shared: bool = False) -> Preset:
    """Products without variations, and variations: ``sku`` and ``stock_quantity``.

    That is the quantity available: orders lower it when they are placed. Where ``manage_stock`` is false the shop keeps
    no number, and where it is ``parent`` a variation draws on a stock that it shares with others: both are reported as
    unknown. A product with variations is no row itself; grouped and external ones have no stock. Below zero
    (backorders) it is read as zero. The feed is a snapshot; as pages shift when products come or go, it is proven
    whole only with ``verify``.

    :param url: of the shop, such as ``https://shop.example``, with the folder that WordPress is in.
    :param key: the consumer key of a REST API key with the permission Read: a text over ``https``, where it is sent by
        Basic; a :class:`~inventory_sources.Secret` over ``http``, where requests are signed by OAuth 1.0a.
    :param secret: the consumer secret.
    :param location: what the stock's place is called; WooCommerce has but one.
    :param shared: gives each variation with ``manage_stock`` ``parent`` its product's whole stock: more may then be
        sold than there is, as the variations' levels do not fall together.
    """
    connector = WooProducts(
        f"{url.rstrip('/')}/wp-json/wc/v3/products",
        params={"orderby": "id", "order": "asc"},
        auth=_auth(url, key, secret),
        records="",
        keep=("sku", "stock_quantity"),
        pager=HeaderTotal(last="X-WP-TotalPages", total="X-WP-Total", size_param="per_page", size=100),
        key="id",
        shared=shared,
    )
    return Preset(
        connector=connector,
        mapper=Columns(
            "sku",
            "stock_quantity",
            quantity_format=JSON_NUMBERS,
            negative=NegativePolicy.ZERO,
            fixed_location=location,
        ),
        feed=Feed.snapshot("available"),
        documented=(
            f"{_DOCS}/#list-all-products (read 2026-11-23, copy of 2026-04-24)",
            f"{_DOCS}/#list-all-product-variations (read 2026-11-23, copy of 2026-04-24)",
            f"{_DOCS}/#authentication (read 2026-11-23, copy of 2026-04-24)",
        ),
        unverified=(
            "whether a cache or firewall in front of the shop lets requests with credentials through unchanged",
            "product types of plugins, such as bundles: they are read as products with a stock of their own",
        ),
    )


def _auth(url: str, key: str | Secret, secret: Secret) -> Basic | OAuth1:
    if url.startswith("http:"):
        if isinstance(key, Secret):
            return OAuth1(consumer_key=key, consumer_secret=secret, place="query")
        raise ConfigurationError("over http:// the consumer key signs requests: give it as a Secret")
    if isinstance(key, Secret):
        raise ConfigurationError("over https:// the consumer key is a user name: give it as a text")
    return Basic(key, secret)
