"""Which decoder the head of an input calls for: for a person to read, never applied by itself."""

from __future__ import annotations

import codecs
import re
from contextlib import suppress
from xml.parsers import expat

from attrs import Factory, frozen

from inventory_sources.formats._csv import CsvDecoder
from inventory_sources.formats._encoding_hint import read_head
from inventory_sources.formats._json import JsonDecoder

__all__ = ["FormatHint", "suggest_format"]

_CLASSES = {
    "csv": "CsvDecoder",
    "edifact_invrpt": "EdifactInventoryDecoder",
    "fixed_width": "FixedWidthDecoder",
    "gs1_xml": "Gs1InventoryDecoder",
    "json": "JsonDecoder",
    "jsonl": "JsonLinesDecoder",
    "spreadsheet": "SpreadsheetDecoder",
    "ubl": "UblDecoder",
    "x12_846": "X12InventoryDecoder",
    "xml": "XmlDecoder",
}
_FAMILIES = ({"json", "jsonl"}, {"xml", "ubl", "gs1_xml"})
_COMPRESSED = {b"\x1f\x8b\x08": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd"}
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_ODS = b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet"
_FOREIGN = {
    b"%PDF-": "a PDF document",
    b"PAR1": "a Parquet file",
    b"\xfd7zXZ\0": "xz data",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
}
#: Where the fixed elements of an ISA end; the first of those characters is the separator.
_ISA_SEPARATORS = (3, 6, 17, 20, 31, 34, 50, 53, 69, 76, 81, 83, 89, 99, 101, 103)
_UNB = re.compile(rb"(?:UNA.{6}\s*)?UNB[^\w\s]UNO[A-Z]", re.DOTALL)
_HTML = re.compile(r"(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_JSON = re.compile(r'\{\s*["}]|\[\s*[\[\]{"]')
_XML = re.compile(r"<(?:\?xml\s|!--|[A-Za-z_])")
_UBL = re.compile(r"urn:oasis:names:specification:ubl:schema:xsd:(InventoryReport|StockAvailabilityReport)-2")
_GS1 = "urn:gs1:ecom:inventory_report:xsd:3"


@frozen
class FormatHint:
    """What an input looks like, and what to declare for it.

    :param looks_like: in words, such as ``JSON lines``.
    :param decoder: the registered name of the decoder that reads it; ``None`` where none does as it is.
    :param options: what to declare of that decoder, as far as the head tells.
    :param advice: what to do where there is no decoder for it.
    :param certain: whether its beginning leaves no other reading.
    """

    looks_like: str
    decoder: str | None = None
    options: dict[str, str] = Factory(dict)
    advice: str = ""
    certain: bool = True

    def __str__(self) -> str:
        if self.decoder is None:
            return f"it looks like {self.looks_like}: {self.advice}"
        options = " and ".join(f"{name}={value!r}" for name, value in self.options.items())
        declare = f"{_CLASSES[self.decoder]} with {options}" if options else _CLASSES[self.decoder]
        return f"it looks like {self.looks_like}: declare {declare} (stored as {self.decoder!r})"

    def differs(self, declared: object, *, troubled: bool) -> bool:
        """Whether this is something else than what a declared decoder reads.

        :param troubled: whether that decoder could not make sense of the input.
        """
        name = next((name for name, known in _CLASSES.items() if known == type(declared).__name__), None)
        if name == self.decoder and name is not None:
            return False
        akin = any({name, self.decoder} <= family for family in _FAMILIES)
        return troubled or (self.certain and name is not None and not akin)


def suggest_format(head: bytes, *, complete: bool = False) -> FormatHint | None:
    """What the first bytes of an input look like; ``None`` where they tell nothing. Never raises.

    :param complete: whether ``head`` is the whole input.
    """
    return _binary(head) or _edi(head) or _text(head, complete=complete)


def _binary(head: bytes) -> FormatHint | None:
    for magic, name in _COMPRESSED.items():
        if head.startswith(magic):
            return _packed(name)
    for magic, name in _FOREIGN.items():
        if head.startswith(magic):
            return FormatHint(name, advice="no decoder reads that; have stock exported as CSV, JSON or XML")
    if head.startswith(_OLE):
        return FormatHint("an XLS workbook", "spreadsheet")
    if head.startswith(_ZIP):
        return _zip(head)
    return None


def _zip(head: bytes) -> FormatHint:
    if _ODS in head[:200]:
        return FormatHint("an ODS workbook", "spreadsheet")
    other = b"word/" in head or b"ppt/" in head
    if b"xl/" in head or (b"[Content_Types].xml" in head and not other):
        return FormatHint("an XLSX workbook", "spreadsheet")
    return _packed("zip")


def _packed(name: str) -> FormatHint:
    return FormatHint(
        f"{name} data", advice=f"declare unpack=Unpack({name!r}) of the connector, if it is to be unpacked"
    )


def _edi(head: bytes) -> FormatHint | None:
    if head.startswith(b"ISA") and not head[3:4].isalnum():
        separators = {head[at] for at in _ISA_SEPARATORS if at < len(head)}
        if len(separators) == 1:
            return FormatHint("an X12 interchange", "x12_846")
    if _UNB.match(head.removeprefix(codecs.BOM_UTF8)):
        return FormatHint("an EDIFACT interchange", "edifact_invrpt")
    return None


def _text(head: bytes, *, complete: bool) -> FormatHint | None:
    read = read_head(head, "utf-8-sig")
    text = read.text.lstrip()
    if _HTML.match(text):
        return FormatHint(
            "an HTML page",
            advice="a server gives one to log in or to tell an error; check the address and the credentials",
        )
    if _XML.match(text) and (found := _xml(head, declared=text.startswith("<?xml"))):
        return found
    if _JSON.match(text):
        return _json(head, text, read.suggestions, complete=complete)
    return _table(head, complete=complete)


def _json(head: bytes, text: str, encoding: dict[str, str], *, complete: bool) -> FormatHint:
    first, _, rest = text.partition("\n")
    if text.startswith("{") and first.rstrip().endswith("}") and rest.lstrip().startswith("{"):
        return FormatHint("JSON lines", "jsonl", encoding)
    return FormatHint("a JSON document", "json", dict(JsonDecoder().inspect(head, complete=complete).suggestions))


def _xml(head: bytes, *, declared: bool) -> FormatHint | None:
    root = _root(head)
    if root is None:
        return None
    uri, _, local = root.rpartition(" ")
    if ubl := _UBL.fullmatch(uri):
        return FormatHint(f"a UBL {ubl[1]}", "ubl", {"document": ubl[1]})
    if uri == _GS1:
        return FormatHint("a GS1 XML inventory report", "gs1_xml")
    from inventory_sources.formats._xml_inspection import likely_records

    records = likely_records(head)
    return FormatHint(
        f"XML with the root element {local!r}", "xml", {"records": records} if records else {}, "", declared
    )


class _Found(Exception):
    """The root element's name."""


def _root(head: bytes) -> str | None:
    """The root element's namespace and local name, if the head is XML as far as that."""

    def found(name: str, _attributes: dict[str, str]) -> None:
        raise _Found(name)

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = found
    with suppress(expat.ExpatError, LookupError, ValueError):
        try:
            parser.Parse(head, False)  # noqa: FBT003 - expat takes no keywords
        except _Found as name:
            return str(name)
    return None


def _table(head: bytes, *, complete: bool) -> FormatHint | None:
    seen = CsvDecoder().inspect(head, complete=complete)
    named = len(seen.headings) > 1 and all(seen.headings)
    if not named or not seen.sample or not all(heading.isprintable() for heading in seen.headings):
        return None
    return FormatHint("delimited text", "csv", dict(seen.suggestions), certain=False)
