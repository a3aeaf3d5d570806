"""UBL 2.1 and later: the lines of an Inventory Report or a Stock Availability Report.

The vocabulary is OASIS's Universal Business Language, https://docs.oasis-open.org/ubl/UBL-2.1.html, whose 2.x versions
share their namespaces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Literal

from attrs import Attribute, field, frozen

from inventory_sources.batch import RawBatch
from inventory_sources.errors import ConfigurationError
from inventory_sources.formats._units import Units
from inventory_sources.formats._xml import XmlDecoder
from inventory_sources.payload import Payload
from inventory_sources.protocols.decoder import DecodeContext, Inspection

__all__ = ["UblDecoder"]

_SCHEMAS = "urn:oasis:names:specification:ubl:schema:xsd:"
_LINE = {
    "line": "cbc:ID",
    "sellers_id": "cac:Item/cac:SellersItemIdentification/cbc:ID",
    "buyers_id": "cac:Item/cac:BuyersItemIdentification/cbc:ID",
    "manufacturers_id": "cac:Item/cac:ManufacturersItemIdentification/cbc:ID",
    "standard_id": "cac:Item/cac:StandardItemIdentification/cbc:ID",
    "standard_scheme": "cac:Item/cac:StandardItemIdentification/cbc:ID/@schemeID",
    "name": "cac:Item/cbc:Name",
    "quantity": "cbc:Quantity",
    "unit": "cbc:Quantity/@unitCode",
    "location": "cac:InventoryLocation/cbc:ID",
    "availability_date": "cbc:AvailabilityDate",
    "availability_status": "cbc:AvailabilityStatusCode",
}
_DOCUMENT = {
    "document_id": "cbc:ID",
    "issue_date": "cbc:IssueDate",
    "issue_time": "cbc:IssueTime",
}
_KINDS = ("InventoryReport", "StockAvailabilityReport")


def _check_kind(_instance: object, _attribute: Attribute[Any], value: str) -> None:
    if value not in _KINDS:
        raise ConfigurationError(f"{value!r} is no UBL stock document", guidance=f"Use {' or '.join(_KINDS)}.")


@frozen
class UblDecoder:
    """Reads the lines of a UBL 2.1+ stock document.

    Columns: ``sellers_id``, ``buyers_id``, ``manufacturers_id``, ``standard_id`` (a GTIN as a rule) with
    ``standard_scheme``, ``name``, ``quantity``, ``unit`` (UN/ECE Recommendation 20), ``location``,
    ``availability_date``, ``availability_status``, ``line``; and on every row the document's ``document_id``,
    ``issue_date`` and ``issue_time``. Cells are as :class:`XmlDecoder` gives them.

    A line whose goods become available only after the document's date is damaged (``available_later``): its quantity
    cannot be sold yet.

    :param document: its root element.
    :param unit: the only ``unitCode`` to take; a quantity in another, or in none, is damaged (``unit_differs``).
        Without it, one in another unit than the first is.
    """

    document: Literal["InventoryReport", "StockAvailabilityReport"] = field(validator=_check_kind)
    unit: str | None = field(default=None, kw_only=True)

    def decode(self, payload: Payload, context: DecodeContext) -> Iterator[RawBatch]:
        """Yields the lines; see the protocol, and :meth:`XmlDecoder.decode` for what it raises."""
        from inventory_sources.formats._xml_reading import XmlReading

        units = Units({"quantity": "unit"}, self.unit)
        yield from XmlReading(self._xml, payload, context, lambda cells: _judge(cells) or units.fault(cells)).batches()

    def inspect(self, head: bytes, *, complete: bool) -> Inspection:
        """Looks at the first bytes; suggests the other document."""
        seen = self._xml.inspect(head, complete=complete)
        root = seen.suggestions.get("records", "").partition("/")[0]
        return Inspection(seen.headings, seen.sample, {"document": root} if root in _KINDS else {}, seen.problems)

    @property
    def _xml(self) -> XmlDecoder:
        root = f"/doc:{self.document}"
        return XmlDecoder(
            records=f"{root}/cac:{self.document}Line",
            fields={**_LINE, **{name: f"{root}/{path}" for name, path in _DOCUMENT.items()}},
            namespaces={
                "doc": f"{_SCHEMAS}{self.document}-2",
                "cac": f"{_SCHEMAS}CommonAggregateComponents-2",
                "cbc": f"{_SCHEMAS}CommonBasicComponents-2",
            },
        )


def _judge(cells: Mapping[str, str | None]) -> tuple[str, str, str] | None:
    """Refuses goods that are not there yet, or of which that cannot be told."""
    available, issued = cells["availability_date"], cells["issue_date"]
    if available is None:
        return None
    try:
        later = _day(available) > _day(issued or "")
    except ValueError:
        return (
            "available_unknown",
            f"the goods are available from {available!r} on, which cannot be compared with the issue date {issued!r}",
            "Have both dates sent as YYYY-MM-DD.",
        )
    if not later:
        return None
    return (
        "available_later",
        f"the goods are available from {available} on, after the document's date {issued}",
        "It is taken when a document of that day or later says so.",
    )


def _day(text: str) -> date:
    # xsd:date may carry a time zone; both dates are the sender's, so that it does not decide.
    return date.fromisoformat(text.strip()[:10])
