"""PrestaShop: stock by the webservice, with references from products and combinations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from inventory_sources.errors import InputIncomplete
from inventory_sources.feed import Feed
from inventory_sources.mappers import Columns
from inventory_sources.payload import Evidence
from inventory_sources.presets._preset import Preset
from inventory_sources.quantities import NegativePolicy
from inventory_sources.rest import HttpRequest, KeySet, Page, RestConnector
from inventory_sources.rest._auth import basic, with_headers
from inventory_sources.secrets import Secret

if TYPE_CHECKING:
    from inventory_sources.rest import RestSession
    from inventory_sources.rest._joins import Cells
    from inventory_sources.rest._walk import Listing

__all__ = ["prestashop"]

_DOCS = "https://devdocs.prestashop-project.org/9/webservice"


@frozen
class KeyAsUser:
    """A key that goes as the user name of Basic, with an empty password."""

    key: Secret

    @property
    def sends_secrets(self) -> bool:
        """It does."""
        return True

    def sign(self, request: HttpRequest, session: RestSession) -> HttpRequest:
        """The request with the key."""
        return with_headers(request, {"Authorization": basic(self.key.reveal(), "")})

    def renew(self, refused: HttpRequest, session: RestSession) -> bool:
        """Never: there is no other."""
        return False


@frozen(kw_only=True)
class PrestaShopStock(RestConnector):
    """Stock rows with their references: what ``url`` is the folder of, each list read to its end by rising ids."""

    def page_records(self, page: Page) -> Sequence[Mapping[str, Any]]:
        """The records of a page: PrestaShop writes an empty list of any resource as ``[]``."""
        return () if page.document == [] else super().page_records(page)

    def _rows(self, session: RestSession) -> Iterable[Mapping[str, object]]:
        stock = self._list(session, "stock_availables", "id,id_product,id_product_attribute,quantity")
        products = self._list(session, "products", "id,reference")
        combinations = self._list(session, "combinations", "id,id_product,reference")
        _check_met(stock.taken, "id_product", products.taken, "products")
        combined = [row for row in stock.taken if row.get("id_product_attribute") != "0"]
        _check_met(combined, "id_product_attribute", combinations.taken, "combinations")
        whole = all(listing.proven for listing in (stock, products, combinations))
        session.context.evidence = evolve(self._evidence(stock), declared_records=None) if whole else Evidence()
        return self._finished(list(_referenced(stock.taken, products.taken, combinations.taken)))

    def _list(self, session: RestSession, resource: str, fields: str) -> Listing[Cells]:
        params = {**self.params, "display": f"[{fields}]", "sort": "[id_ASC]"}
        part = evolve(self, url=f"{self.url}/{resource}", params=params, records=resource)
        return part.listing(session)

    def listing(self, session: RestSession) -> Listing[Cells]:
        """The list at the URL itself, read to its end."""
        return self._walk(session, self._flat).run(self.request(session.context))


def _check_met(stock: list[Cells], column: str, others: list[Cells], resource: str) -> None:
    """Sees that some stock row's partner is there: an empty list has no name, so it could be the answer for another.

    :raises InputIncomplete: when there is none.
    """
    if stock and {row.get(column) for row in stock}.isdisjoint(row["id"] for row in others):
        raise InputIncomplete(
            f"the list of {resource} has nothing of what stock_availables names by {column!r}",
            guidance=f"Look at {resource} with the same key. Stock rows that are left over from what was deleted, all "
            "of them, look like this, too: delete them in the shop.",
        )


def _referenced(stock: list[Cells], products: list[Cells], combinations: list[Cells]) -> Iterator[Cells]:
    """Stock rows with their references, without those that are the sum of a product's combinations."""
    of_product = {row["id"]: row.get("reference") for row in products}
    of_combination = {row["id"]: row.get("reference") for row in combinations}
    combined = {row.get("id_product") for row in combinations}
    combined |= {row.get("id_product") for row in stock if row.get("id_product_attribute") != "0"}
    for row in stock:
        attribute, product = row.get("id_product_attribute"), row.get("id_product")
        if attribute != "0":
            yield {**row, "reference": of_combination.get(attribute)}
        elif product not in combined:
            yield {**row, "reference": of_product.get(product)}


def prestashop(url: str, key: Secret, *, shop: str | None = None, location: str = "") -> Preset:
    """``quantity`` of ``stock_availables`` by the ``reference`` of the combination, or of a product that has none.

    The quantity is that available: orders lower it. The row of a product with combinations
    (``id_product_attribute`` 0) is their sum and is left out. A combination without a reference of its own is a row
    without SKU; its product's is not taken for it. Below zero (ordered beyond stock) it is read as zero. Answers are
    asked for as JSON. The feed is a snapshot, proven whole: each list is read by rising ids to an empty page.

    :param url: of the shop, such as ``https://shop.example``, with the folder that PrestaShop is in.
    :param key: of the webservice, with GET on ``stock_availables``, ``products`` and ``combinations``.
    :param shop: id of one shop, where there are several.
    :param location: what the stock's place is called; this list has but one.
    """
    connector = PrestaShopStock(
        f"{url.rstrip('/')}/api",
        params={"output_format": "JSON", **({} if shop is None else {"id_shop": shop})},
        auth=KeyAsUser(key),
        records="",
        keep=("reference", "quantity"),
        pager=KeySet(field="id", param="filter[id]", value=">[{key}]", start="0", size_param="limit", size=1000),
        key="id",
    )
    return Preset(
        connector=connector,
        mapper=Columns("reference", "quantity", negative=NegativePolicy.ZERO, fixed_location=location),
        feed=Feed.snapshot("available"),
        documented=(
            f"{_DOCS}/resources/stock_availables (read 2026-11-23)",
            f"{_DOCS}/reference (read 2026-11-23)",
        ),
        unverified=(
            "output_format=JSON, by which answers are asked for as JSON; a shop that answers XML is refused",
            "filter[id]=>[5], which stands on none of these pages; a shop that does not know it is refused",
            "whether stock management is on in the shop: where it is off, quantities mean nothing",
            "whether combinations of a multistore have a stock row for each shop, which are then refused as doubled",
        ),
    )
