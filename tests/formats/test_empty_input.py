"""An input without content waits where it may still be uploaded, and is refused where it is known to be whole."""

from __future__ import annotations

import codecs

import pytest

from inventory_sources.errors import InputIncomplete, StructureInvalid
from inventory_sources.formats import (
    CsvDecoder,
    EdifactInventoryDecoder,
    FixedWidthDecoder,
    Gs1InventoryDecoder,
    JsonDecoder,
    JsonLinesDecoder,
    UblDecoder,
    X12InventoryDecoder,
    XmlDecoder,
)
from inventory_sources.formats.spreadsheet import SpreadsheetDecoder
from inventory_sources.payload import Evidence, Proof

DECODERS = {
    "csv": CsvDecoder(),
    "csv without headings": CsvDecoder(headings=("sku", "quantity")),
    "csv with titles": CsvDecoder(heading_row="find"),
    "csv in UTF-16": CsvDecoder(encoding="utf-16-le"),
    "fixed width": FixedWidthDecoder({"sku": (1, 8), "quantity": (9, 12)}),
    "JSON": JsonDecoder(),
    "JSON lines": JsonLinesDecoder(),
    "XML": XmlDecoder("/stock/row", {"sku": "sku"}),
    "UBL": UblDecoder("InventoryReport"),
    "GS1": Gs1InventoryDecoder(),
    "X12": X12InventoryDecoder(),
    "EDIFACT": EdifactInventoryDecoder(),
    "spreadsheet": SpreadsheetDecoder(identifiers=("sku",)),
}
EMPTY = [
    b"",
    b"\n",
    b"\r\n \t\r\n",
    codecs.BOM_UTF8,
    codecs.BOM_UTF8 + b"\n",
    codecs.BOM_UTF16_LE + "\r\n".encode("utf-16-le"),
    bytes(70_000),
]


@pytest.mark.parametrize("data", EMPTY, ids=lambda data: repr(data[:8]))
@pytest.mark.parametrize("evidence", [Evidence(), Evidence(frozenset({Proof.STABLE}))], ids=str)
@pytest.mark.parametrize("name", DECODERS)
def test_what_may_still_be_uploaded_waits(read, name, evidence, data):
    with pytest.raises(InputIncomplete, match="the input is empty; it may still be uploaded"):
        read(DECODERS[name], data, evidence=evidence)


@pytest.mark.parametrize("proof", sorted(set(Proof) - {Proof.STABLE}, key=str))
@pytest.mark.parametrize("name", DECODERS)
def test_what_is_whole_and_empty_is_refused(read, name, proof):
    with pytest.raises(StructureInvalid):
        read(DECODERS[name], b"", evidence=Evidence(frozenset({proof})))
