"""What the head of an XML document looks like."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING
from xml.parsers import expat

from inventory_sources.errors import InventorySourcesError
from inventory_sources.formats._xml_paths import PathTree
from inventory_sources.formats._xml_reading import RecordReader
from inventory_sources.protocols.decoder import Inspection

if TYPE_CHECKING:
    from inventory_sources.formats._xml import XmlDecoder

__all__ = ["inspect_xml", "likely_records"]

_SAMPLE_ROWS = 10


def inspect_xml(decoder: XmlDecoder, head: bytes, *, complete: bool) -> Inspection:
    """Headings, sample, suggestions and problems; never raises for bad input."""
    reader = RecordReader(decoder, PathTree.of(decoder.records, decoder.fields, decoder.namespaces))
    problems: list[str] = []
    try:
        reader.feed(head, last=complete)
    except expat.ExpatError as error:
        problems.append(
            f"line {error.lineno}, column {error.offset + 1}: this is not XML ({expat.ErrorString(error.code)})"
        )
    except InventorySourcesError as error:
        return Inspection(reader.tree.columns, problems=(error.message,))
    suggestions = {}
    if not reader.count:
        problems.append(f"there is no record at {decoder.records!r}")
        if likely := likely_records(head):
            suggestions["records"] = likely
    sample = tuple(tuple(row) for _, _, row, _ in reader.records[:_SAMPLE_ROWS])
    return Inspection(reader.tree.columns, sample, suggestions, tuple(problems))


def likely_records(head: bytes) -> str | None:
    """The path of the elements, below the root, that stand most often and hold others; the outermost of those."""
    found: Counter[str] = Counter()
    path: list[str] = []
    holders: set[str] = set()

    def start(name: str, _attributes: dict[str, str]) -> None:
        holders.add("/".join(path))
        path.append(name.rpartition(" ")[2])
        found["/".join(path)] += 1

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: path.pop()
    with suppress(expat.ExpatError):
        parser.Parse(head, False)  # noqa: FBT003 - expat takes no keywords
    repeated = [name for name, times in found.items() if times > 1 and name in holders]
    return max(repeated, key=found.__getitem__, default=None)
