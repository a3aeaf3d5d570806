"""Formats: decoders that read bytes as rows of text."""

from inventory_sources.formats._csv import CsvDecoder
from inventory_sources.formats._json import JsonDecoder, JsonLinesDecoder

__all__ = ["CsvDecoder", "JsonDecoder", "JsonLinesDecoder"]
