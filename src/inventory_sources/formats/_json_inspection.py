"""What the head of a JSON document, or of JSON lines, looks like."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from inventory_sources._json import follow, parse
from inventory_sources.errors import InventorySourcesError, StructureInvalid
from inventory_sources.formats._encoding_hint import HeadText, read_head
from inventory_sources.formats._json_rows import Keys, flat
from inventory_sources.protocols.decoder import Inspection

if TYPE_CHECKING:
    from inventory_sources.formats._json import JsonDecoder, JsonLinesDecoder

__all__ = ["inspect_json", "inspect_json_lines"]

_SAMPLE_ROWS = 10
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)
_CLOSING = {"[": "]", "{": "}"}


def inspect_json(decoder: JsonDecoder, head: bytes, *, complete: bool) -> Inspection:
    """Headings, sample, suggestions and problems; never raises for bad input."""
    read = read_head(head, decoder.encoding)
    try:
        text = read.text if complete else _closed(read.text)
        document = parse(text, decoder.max_depth)
    except json.JSONDecodeError as error:
        return _inspection(read, (), f"line {error.lineno}, column {error.colno}: this is not JSON ({error.msg})")
    except InventorySourcesError as error:
        return _inspection(read, (), error.message)
    try:
        records, problem = follow(document, decoder.records), f"at {decoder.records!r} there is no list of objects"
        if decoder.single:
            records, problem = [records], f"at {decoder.records!r} there is no object"
    except StructureInvalid as error:
        records, problem = None, error.message
    if _is_records(records):
        return _inspection(read, records)
    path, records = next(_lists(document, ""), ("", ()))
    return _inspection(read, records, problem, {"records": path} if records else {})


def inspect_json_lines(decoder: JsonLinesDecoder, head: bytes, *, complete: bool) -> Inspection:
    """Headings, sample, suggestions and problems; never raises for bad input."""
    read = read_head(head, decoder.encoding)
    lines = read.text.split("\n")
    if not complete and len(lines) > 1:
        lines.pop()
    objects, damages = decoder.parsed(lines, 1)
    problem = damages[0].message if damages else "" if objects else "no line of it is a JSON object"
    return _inspection(read, list(objects.values()), problem)


def _inspection(
    read: HeadText, records: Any, problem: str = "", suggestions: Mapping[str, str] | None = None
) -> Inspection:
    problems = (*read.problems, problem) if problem else read.problems
    keys = Keys()
    keys.take(records)
    try:
        headings = tuple(keys.paths())
    except InventorySourcesError as error:
        headings, problems = (), (*problems, error.message)
    sample = tuple(tuple(map(flat(record).get, headings)) for record in records[:_SAMPLE_ROWS])
    return Inspection(headings, sample, {**read.suggestions, **(suggestions or {})}, problems)


def _is_records(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(type(record) is dict for record in value)


def _lists(value: object, path: str) -> Iterator[tuple[str, Any]]:
    """Each list of objects in a document, with its JSON Pointer."""
    if _is_records(value):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _lists(inner, f"{path}/{key.replace('~', '~0').replace('/', '~1')}")


def _closed(text: str) -> str:
    """The document up to the last value that was closed, with whatever is open then closed."""
    stack: list[str] = []
    end, rest = 0, ""
    for token in _TOKEN.finditer(text):
        if token[0] in _CLOSING:
            stack.append(_CLOSING[token[0]])
        elif stack and token[0] == stack[-1]:
            stack.pop()
            end, rest = token.end(), "".join(reversed(stack))
    return text[:end] + rest if end else text
