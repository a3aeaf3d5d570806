"""Formats: decoders that read bytes as rows of text."""

from inventory_sources.formats._csv import CsvDecoder
from inventory_sources.formats._edifact import EdifactInventoryDecoder
from inventory_sources.formats._fixed_width import FixedWidthDecoder, FixedWidthTrailer
from inventory_sources.formats._format_hint import FormatHint, suggest_format
from inventory_sources.formats._gs1 import Gs1InventoryDecoder
from inventory_sources.formats._json import JsonDecoder, JsonLinesDecoder
from inventory_sources.formats._trailer import Trailer
from inventory_sources.formats._ubl import UblDecoder
from inventory_sources.formats._x12 import X12InventoryDecoder
from inventory_sources.formats._xml import XmlDecoder

__all__ = [
    "CsvDecoder",
    "EdifactInventoryDecoder",
    "FixedWidthDecoder",
    "FixedWidthTrailer",
    "FormatHint",
    "Gs1InventoryDecoder",
    "JsonDecoder",
    "JsonLinesDecoder",
    "Trailer",
    "UblDecoder",
    "X12InventoryDecoder",
    "XmlDecoder",
    "suggest_format",
]
