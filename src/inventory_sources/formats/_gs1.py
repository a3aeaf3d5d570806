"""GS1 XML 3.x Inventory Report: stock by item and location.

The message is the ``inventoryReportMessage`` of GS1 XML's Business Message Standard "Inventory Report", releases 3.0 to
3.x, which share the namespace ``urn:gs1:ecom:inventory_report:xsd:3``; code list ``InventoryStatusCode`` (as of 3.4.1)
tells the kinds of quantity, ``DocumentActionEnumerationType`` the actions.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from inventory_sources.batch import RawBatch
from inventory_sources.payload import Payload
from inventory_sources.protocols.decoder import DecodeContext, Inspection

__all__ = ["Gs1InventoryDecoder"]


@frozen
class Gs1InventoryDecoder:
    """Reads the inventory reports of one GS1 XML 3.x message.

    A row is an item at a location, or at a part of it where the report names one (``inventorySubLocation``). Columns:
    ``gtin``, as sent; ``id.<TYPE>``, such as ``id.SUPPLIER_ASSIGNED``; ``name``; ``location`` (a GLN) and
    ``location.<TYPE>``; ``sub_location`` (a GLN), ``sub_location.extension`` and ``owner``; for each kind of stock
    ``quantity.<STATUS>``, such as ``quantity.AVAILABLE_FOR_SALE``, and ``quantity.<STATUS>.unit``; and on every row its
    report's ``report``, ``created`` (the date and time) and ``action``. Cells are texts as they stand. Rows are
    numbered as their first status line; an item without any counts as one and is damaged (``status_missing``).

    A row is damaged where a needed cell stands twice (``field_repeated``), where a kind of quantity is given twice for
    one place (``quantity_doubled``), and where a quantity does not say which kind it is (``element_missing``). Lines of
    activities (movements) are passed over. A report of activities alone and one that deletes another are refused.

    :param unit: the only ``measurementUnitCode`` to take; a quantity in another, or in none, is damaged
        (``unit_differs``). Without it, one in another unit than the first is.
    """

    unit: str | None = None

    def decode(self, payload: Payload, context: DecodeContext) -> Iterator[RawBatch]:
        """Yields the rows; see the protocol.

        :raises EncodingInvalid: for an encoding that is not known.
        :raises StructureInvalid: for what is no such message, for a document type declaration, for a report of other
            things than stock, and for one without items that can be read.
        :raises InputIncomplete: for a document that is cut off or followed by more, where nothing proves the end.
        :raises InputTooLarge: for too deep nesting, too long tags or cells, too many names or rows.
        :raises HeadingInvalid: when a needed column is in no row.
        :raises Truncated: for another number of rows than declared.
        """
        from inventory_sources.formats._gs1_reading import read_reports

        yield from read_reports(self, payload, context)

    def inspect(self, head: bytes, *, complete: bool) -> Inspection:
        """Looks at the first bytes; lists the columns found."""
        from inventory_sources.formats._gs1_reading import inspect_reports

        return inspect_reports(self, head, complete=complete)
