"""The stock document: a small JSON format of our own, for a system that has no API yet and can publish one address.

A page is an object with three keys: ``format`` is ``"inventory-sources/1"``, ``levels`` a list, and ``next`` the
address of the next page (it may be relative) or ``null`` on the last one. A level has ``sku``, ``location`` (``""``
where there is only one), ``quantity`` (a text such as ``"12"`` or ``"0.5"``; ``null`` where it is not known) and, where
it is known, ``as_of`` (ISO 8601 with an offset). Levels are sorted by SKU and location, by code point, and ``next``
leads to those behind the page's last one, whatever was added or taken away meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from attrs import frozen

from inventory_sources.batch import StockLevel
from inventory_sources.errors import StructureInvalid
from inventory_sources.feed import Feed, QuantityKind
from inventory_sources.mappers import Columns
from inventory_sources.presets._numbers import JSON_NUMBERS
from inventory_sources.presets._preset import Preset
from inventory_sources.rest import Bearer, NextUrl, Page, RestConnector

if TYPE_CHECKING:
    from inventory_sources.secrets import Secret

__all__ = ["StockDocumentConnector", "stock_document", "stock_page"]

_FORMAT = "inventory-sources/1"
_KEYS = ("sku", "location", "quantity", "as_of")


@frozen(kw_only=True)
class StockDocumentConnector(RestConnector):
    """Pages of the stock document, in order and without a SKU and location that stand there twice."""

    def page_records(self, page: Page) -> Sequence[Mapping[str, Any]]:
        """The page's levels, each with all its keys.

        :raises StructureInvalid: when it is no such document, or not sorted.
        """
        found = page.document.get("format") if isinstance(page.document, dict) else None
        if found != _FORMAT:
            raise StructureInvalid(f"{page.answer.origin}: this is no stock document: its format is not {_FORMAT!r}")
        records = super().page_records(page)
        places = [(record.get("sku"), record.get("location")) for record in records]
        if any(not isinstance(part, str) for place in places for part in place):
            raise StructureInvalid(f"{page.answer.origin}: a level on page {page.number} has no sku or no location")
        if any(one >= other for one, other in pairwise(places)):
            raise StructureInvalid(f"{page.answer.origin}: page {page.number} is not sorted by sku and location")
        return [{**dict.fromkeys(_KEYS), **record} for record in records]


def stock_document(
    url: str, *, token: Secret | None = None, quantity: QuantityKind | str = "available", locations: bool = True
) -> Preset:
    """Levels of a stock document.

    The feed is a snapshot, proven whole by the last page, as the format has pages that never shift.

    :param token: goes out as ``Authorization: Bearer``.
    :param quantity: which of a warehouse's quantities the publisher gives.
    :param locations: whether its levels have locations; if not, each has ``""``.
    """
    connector = StockDocumentConnector(
        url=url,
        auth=None if token is None else Bearer(token),
        records="levels",
        keep=_KEYS,
        pager=NextUrl("next", stable=True),
    )
    return Preset(
        connector=connector,
        mapper=Columns(location="location" if locations else None, as_of="as_of", quantity_format=JSON_NUMBERS),
        feed=Feed.snapshot(quantity),
    )


def stock_page(levels: Iterable[StockLevel], next_page: str | None = None) -> dict[str, object]:
    """A page of the stock document, ready for :func:`json.dumps`, for a host that publishes its own levels.

    :param levels: that follow those of the page before, by SKU and location; they are sorted here.
    :param next_page: the address of the page that follows; ``None`` for the last.
    """
    ordered = sorted(levels, key=lambda level: (level.sku, level.location))
    return {
        "format": _FORMAT,
        "levels": [
            {
                "sku": level.sku,
                "location": level.location,
                "quantity": f"{level.quantity:f}",
                **({"as_of": level.as_of.isoformat()} if level.as_of else {}),
            }
            for level in ordered
        ],
        "next": next_page,
    }
