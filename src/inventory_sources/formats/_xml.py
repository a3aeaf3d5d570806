"""XML 1.0: the elements at one path as rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import Attribute, field, frozen, validators

from inventory_sources.batch import RawBatch
from inventory_sources.errors import ConfigurationError
from inventory_sources.formats._xml_paths import PathTree
from inventory_sources.payload import Payload
from inventory_sources.protocols.decoder import DecodeContext, Inspection

__all__ = ["XmlDecoder"]


def _check_fields(_instance: object, _attribute: Attribute[Any], value: Mapping[str, str]) -> None:
    if not isinstance(value, Mapping) or not value:
        raise ConfigurationError(
            "no fields are declared", guidance="Give each column's name and path, such as {'sku': 'Item/ID'}."
        )


@frozen
class XmlDecoder:
    """Reads the elements at one path of an XML document as rows, in bounded memory.

    A path's steps are separated by ``/``: a local name (``ID``, in whatever namespace), a name with a declared prefix
    (``cbc:ID``), or a name with its namespace (``{urn:x}ID``). A field's path begins below the record; its last step
    may be an attribute (``Quantity/@unitCode``), and ``.`` is the record's own text. A path that begins with ``/`` is
    one of the document (``/Report/IssueDate``) and must stand before the first record.

    A cell is the element's whole text as it stands, or null where the element is not there or ``xsi:nil``. A record in
    which a needed field stands twice is damaged (``field_repeated``), and so is one where it holds elements
    (``cell_type``). Records are numbered from 1. The document declares its encoding. A document type declaration, and
    with it every entity, is refused.

    :param records: where the records are, from the root element on, such as ``stock/levels/level``.
    :param fields: each column's name and path.
    :param namespaces: each prefix that the paths use, and its namespace; prefixes in the document are its own affair.
    :param max_depth: of elements within each other; more is refused.
    :param max_token_bytes: of one tag; more is refused.
    :param max_cell_chars: of one cell; more is refused.
    """

    records: str
    fields: Mapping[str, str] = field(validator=_check_fields)
    namespaces: Mapping[str, str] = field(factory=dict)
    max_depth: int = field(default=64, validator=validators.ge(1))
    max_token_bytes: int = field(default=1 << 20, validator=validators.ge(1))
    max_cell_chars: int = field(default=1 << 16, validator=validators.ge(1))

    def __attrs_post_init__(self) -> None:
        PathTree.of(self.records, self.fields, self.namespaces)

    def decode(self, payload: Payload, context: DecodeContext) -> Iterator[RawBatch]:
        """Yields the records; see the protocol.

        :raises EncodingInvalid: for an encoding that is not known.
        :raises StructureInvalid: for what is not XML, for a document type declaration, when no record is at
            ``records``, and when a field of the document stands twice or behind a record.
        :raises InputIncomplete: for a document that is cut off or followed by more, where nothing proves the end.
        :raises InputTooLarge: for too deep nesting, too long tags or cells, too many names or records.
        :raises HeadingInvalid: when a needed field is in no record.
        :raises Truncated: for another number of records than declared.
        """
        from inventory_sources.formats._xml_reading import XmlReading

        yield from XmlReading(self, payload, context).batches()

    def inspect(self, head: bytes, *, complete: bool) -> Inspection:
        """Looks at the first bytes; suggests ``records``."""
        from inventory_sources.formats._xml_inspection import inspect_xml

        return inspect_xml(self, head, complete=complete)
