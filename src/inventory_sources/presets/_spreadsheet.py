"""Spreadsheets that are published to the web as CSV."""

from __future__ import annotations

from inventory_sources.feed import Feed, QuantityKind
from inventory_sources.formats import CsvDecoder
from inventory_sources.mappers import Columns
from inventory_sources.presets._preset import Preset
from inventory_sources.protocols.decoder import Decoder
from inventory_sources.rest import HttpLimits, RestConnector

__all__ = ["published_spreadsheet"]


def published_spreadsheet(
    url: str,
    *,
    sku: str = "sku",
    quantity: str = "quantity",
    location: str | None = None,
    kind: QuantityKind | str = "on_hand",
    decoder: Decoder | None = None,
) -> Preset:
    """A sheet that anyone with its address can read, such as Google Sheets' "Publish to the web" gives for CSV.

    The feed is a snapshot, of the quantity on hand unless ``kind`` says otherwise. A page of HTML in its place, such
    as the login page of a sheet that is not published any more, is refused. The sheet is asked for only if it changed.
    At most two redirects are followed, each to an address that is judged like the first.

    :param url: of the published sheet, of one sheet and as CSV: Google's ends with ``output=csv``.
    :param sku: the heading of the column; likewise ``quantity`` and ``location``.
    :param decoder: for other formats than CSV with commas.
    """
    return Preset(
        connector=RestConnector(url, limits=HttpLimits(max_redirects=2), conditional=True),
        decoder=decoder or CsvDecoder(),
        mapper=Columns(sku=sku, quantity=quantity, location=location),
        feed=Feed.snapshot(kind),
        documented=("https://support.google.com/docs/answer/183965 (Publish a file, from general knowledge)",),
        unverified=("how long after an edit the published sheet shows it; Google says a few minutes",),
    )
