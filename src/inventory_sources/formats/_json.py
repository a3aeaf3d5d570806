"""JSON (RFC 8259) and JSON lines: objects as rows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

from attrs import Attribute, field, frozen, validators

from inventory_sources._json import described, follow, looks_cut, parse, parse_lines
from inventory_sources.batch import RawBatch
from inventory_sources.errors import (
    ConfigurationError,
    InputIncomplete,
    InputTooLarge,
    InventorySourcesError,
    StructureInvalid,
)
from inventory_sources.formats._tally import Damage, Tally, selected
from inventory_sources.formats._text import Block, blocks, check_encoding, resolve, without_cut_character
from inventory_sources.payload import Payload, Proof
from inventory_sources.protocols.decoder import DecodeContext, Inspection

__all__ = ["JsonDecoder", "JsonLinesDecoder"]

_Objects: TypeAlias = "dict[int, dict[str, Any]]"

_COUNT = re.compile(r"[0-9]{1,18}")
_BATCH_RECORDS = 50_000
_LINES_AT_ONCE = 1000
_DEEPEST = 200
_SHOWN_CHARS = 1000
_WHERE = "Declare where the records are (records=), or that an object is the one record (single=True)."
_CUT = "the document does not end where it should, and may still be growing"
_NO_LINE_END = "the last record has no line end, and nothing else proves that this is the end of the file"


def _check_depth_cap(_instance: object, _attribute: Attribute[int], value: int) -> None:
    if not 1 <= value <= _DEEPEST:
        raise ConfigurationError(f"a max_depth of {value} is not between 1 and {_DEEPEST}")


@frozen
class JsonDecoder:
    """Reads the list of objects that stands somewhere in a JSON document.

    Headings are the dotted paths of the values inside a record (``variant.sku``). A number's cell is its text as sent
    (``1.10`` stays so), a key that is not there is null. A record whose wanted cell is a list, an object or a boolean
    is damaged (``cell_type``). Records are numbered from 1. The whole document is held in memory.

    :param records: where the list is: a dotted path (``data.items``) or a JSON Pointer (``/data/items``); empty for a
        document that is the list.
    :param single: what stands at ``records`` is one object, and that is the one record: a pushed event, for example.
    :param count: where the document declares the number of records, if it does; written like ``records``.
    :param encoding: a Python codec; a byte order mark of it is tolerated.
    :param max_depth: of lists and objects within each other; more is refused.
    :param max_bytes: of the document; more is refused.
    """

    records: str = ""
    count: str | None = None
    encoding: str = field(default="utf-8", validator=check_encoding)
    max_depth: int = field(default=64, validator=_check_depth_cap)
    max_bytes: int = 256 << 20
    single: bool = field(default=False, kw_only=True)

    def decode(self, payload: Payload, context: DecodeContext) -> Iterator[RawBatch]:
        """Yields the records; see the protocol.

        :raises EncodingInvalid: for bytes that are not text in the declared encoding.
        :raises StructureInvalid: for what is not JSON, doubled keys, NaN and Infinity, and when ``records`` or
            ``count`` is not there or of another kind.
        :raises InputIncomplete: for a document that is cut off or followed by more, where nothing proves the end.
        :raises InputTooLarge: for too many bytes, levels or records.
        :raises HeadingInvalid: when a needed key is in no record.
        :raises Truncated: for another number of records than declared.
        """
        from inventory_sources.formats._json_rows import Keys, batch

        tally = Tally(payload, context, "record")
        document = self._document(payload, context)
        records, declared = self._records(document), self._count(document)
        if records:
            keys = Keys()
            keys.take(records)
            paths = keys.paths()
            columns = {heading: paths[heading] for heading in selected(context, tuple(paths))}
            for start in range(0, len(records), _BATCH_RECORDS):
                part = records[start : start + _BATCH_RECORDS]
                yield batch(tally, columns, range(start + 1, start + 1 + len(part)), part)
        tally.finish(declared)

    def _document(self, payload: Payload, context: DecodeContext) -> object:
        text = self._text(payload, context)
        if not text or text.isspace():
            raise StructureInvalid("the document is empty", guidance="Check the system that sends it.")
        try:
            document = parse(text, self.max_depth)
        except json.JSONDecodeError as error:
            if looks_cut(text, error) and not context.evidence.proves_end:
                raise InputIncomplete(_CUT) from None
            raise _not_json(error) from None
        context.prove(Proof.TRAILER)
        return document

    def _text(self, payload: Payload, context: DecodeContext) -> str:
        with payload.open() as stream:
            data = stream.read(self.max_bytes + 1)
        if len(data) > self.max_bytes:
            raise InputTooLarge(f"the document has more than {self.max_bytes} bytes")
        codec = resolve(self.encoding, data)
        data = data[codec.mark :]
        if not context.evidence.proves_end and without_cut_character(data, codec) != data:
            raise InputIncomplete(_CUT)
        return Block(codec.mark, data, codec).text(1)

    def _records(self, document: object) -> list[dict[str, Any]]:
        found, where = follow(document, self.records), repr(self.records) if self.records else "the top"
        if self.single and type(found) is dict:
            return [found]
        if self.single or not isinstance(found, list):
            wanted = "the one record" if self.single else "the list of records"
            raise StructureInvalid(f"at {where} is {described(found)}, not {wanted}", guidance=_WHERE)
        for number, record in enumerate(found, 1) if set(map(type, found)) - {dict} else ():
            if type(record) is not dict:
                raise StructureInvalid(f"record {number} of the list at {where} is {described(record)}, not an object")
        return found

    def _count(self, document: object) -> int | None:
        if self.count is None:
            return None
        found = follow(document, self.count)
        if not (isinstance(found, str) and _COUNT.fullmatch(found)):
            raise StructureInvalid(f"at {self.count!r} is {described(found)}, not the number of records")
        return int(found)

    def inspect(self, head: bytes, *, complete: bool) -> Inspection:
        """Looks at the first bytes; suggests ``records`` and ``encoding``."""
        from inventory_sources.formats._json_inspection import inspect_json

        return inspect_json(self, head, complete=complete)


def _not_json(error: json.JSONDecodeError) -> StructureInvalid:
    return StructureInvalid(f"line {error.lineno}, column {error.colno}: this is not JSON ({error.msg})")


@frozen
class JsonLinesDecoder:
    """Reads one JSON object a line (JSON lines, NDJSON).

    Headings and cells are those of :class:`JsonDecoder`. A line that is no JSON object is damaged (``json_invalid``),
    an empty one is passed over, yet leaves it unproven that the input is whole, since it may have been blanked. The
    input is read twice, first for its headings, so that memory stays bounded.

    :param encoding: a Python codec; a byte order mark of it is tolerated.
    :param final_newline: ``required`` refuses a last record without line end, unless something else proves the end of
        the input.
    :param max_depth: of lists and objects within each other; a line with more is damaged.
    """

    encoding: str = field(default="utf-8", validator=check_encoding)
    final_newline: Literal["required", "optional"] = field(
        default="required", validator=validators.in_(("required", "optional"))
    )
    max_depth: int = field(default=64, validator=_check_depth_cap)

    def decode(self, payload: Payload, context: DecodeContext) -> Iterator[RawBatch]:
        """Yields the records; see the protocol.

        :raises EncodingInvalid: for bytes that are not text in the declared encoding.
        :raises StructureInvalid: for an empty input, and when no line of it is a JSON object.
        :raises InputIncomplete: for a last record without line end, where nothing proves the end.
        :raises InputTooLarge: for a line that is too long, or too many records.
        :raises HeadingInvalid: when a needed key is in no record.
        :raises Truncated: for another number of records than declared.
        """
        from inventory_sources.formats._json_rows import Keys, batch

        tally = Tally(payload, context, "line")
        keys, found, first = Keys(), False, list[Damage]()
        for objects, damages, _ in self._read(payload, context):
            keys.take(objects.values())
            found, first = found or bool(objects), first or damages[:1]
        if not found:
            told = f": {first[0].message}" if first else ""
            raise StructureInvalid(f"no line of the input is a JSON object{told}")
        paths = keys.paths()
        columns = {heading: paths[heading] for heading in selected(context, tuple(paths))}
        empty_lines = 0
        for objects, damages, lines in self._read(payload, context):
            for damage in damages:
                tally.reject(damage)
            empty_lines += lines - len(objects) - len(damages)
            yield batch(tally, columns, list(objects), list(objects.values()))
        if empty_lines:
            tally.doubt_end()
        tally.finish()

    def _read(self, payload: Payload, context: DecodeContext) -> Iterator[tuple[_Objects, list[Damage], int]]:
        """The objects by line, the damaged lines, and the number of lines, of each block."""
        with payload.open() as stream:
            codec = resolve(self.encoding, stream.read(4))
            stream.seek(codec.mark)
            number = 0
            for block in blocks(stream, codec):
                context.checkpoint()
                if not block.ends_line and self.final_newline == "required" and not context.evidence.proves_end:
                    raise InputIncomplete(_NO_LINE_END)
                lines = block.text(number + 1).removesuffix("\n").split("\n")
                yield *self.parsed(lines, number + 1), len(lines)
                number += len(lines)

    def parsed(self, lines: list[str], first: int) -> tuple[_Objects, list[Damage]]:
        """The objects by line, and the damaged lines, of these lines."""
        objects: _Objects = {}
        damages: list[Damage] = []
        for at in range(0, len(lines), _LINES_AT_ONCE):
            some, number = lines[at : at + _LINES_AT_ONCE], first + at
            values = parse_lines(some, self.max_depth)
            if values is not None and set(map(type, values)) == {dict}:
                objects.update(enumerate(values, number))
            else:
                self._parse_each(some, number, objects, damages)
        return objects, damages

    def _parse_each(self, lines: list[str], first: int, objects: _Objects, damages: list[Damage]) -> None:
        for number, line in enumerate(lines, first):
            if not line.strip():
                continue
            try:
                objects[number] = self._object(line)
            except json.JSONDecodeError as error:
                damages.append(_damaged(number, f"is not JSON ({error.msg} at column {error.colno})", line))
            except InventorySourcesError as error:
                damages.append(_damaged(number, f"is refused: {error.message}", line))

    def _object(self, line: str) -> dict[str, Any]:
        value = parse(line, self.max_depth)
        if type(value) is not dict:
            raise StructureInvalid(f"it holds {described(value)}, not an object")
        return value

    def inspect(self, head: bytes, *, complete: bool) -> Inspection:
        """Looks at the first bytes; suggests ``encoding``."""
        from inventory_sources.formats._json_inspection import inspect_json_lines

        return inspect_json_lines(self, head, complete=complete)


def _damaged(number: int, fault: str, line: str) -> Damage:
    guidance = "Each line must be one whole JSON object."
    return Damage(number, "json_invalid", f"line {number} {fault}", guidance, {"line": line[:_SHOWN_CHARS]})
