"""JSON text read strictly: a number keeps its spelling, and what the ``json`` module would let pass is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import accumulate, chain, islice
from typing import Any, NoReturn

from inventory_sources.errors import InputTooLarge, InventorySourcesError, StructureInvalid

__all__ = ["described", "follow", "looks_cut", "parse", "parse_lines", "record_lists"]

_NOT_STRUCTURE = bytes(sorted(set(range(256)) - set(b'[]{}:"')))
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_LISTS = 8
_CUT_TOKEN = re.compile(r"t|tr|tru|f|fa|fal|fals|n|nu|nul|-")


def parse(text: str, max_depth: int | None = None) -> Any:
    """The value of a JSON text (RFC 8259): numbers as their text, everything else as usual.

    :raises json.JSONDecodeError: where it is no JSON.
    :raises StructureInvalid: for a key that stands twice in one object, and for NaN or Infinity.
    :raises InputTooLarge: for nesting deeper than ``max_depth``, or so deep that it exhausts the parser.
    """
    return _parse(_PLAIN, text, max_depth)


def parse_lines(lines: list[str], max_depth: int) -> list[Any] | None:
    """The values of lines that hold one each; ``None`` where a line may be at fault, which :func:`parse` then tells.

    They are read as one list with a NaN between them. If no line holds that word, and every second value is one, then
    each line is one value: none can reach into the next.
    """
    text = f"[{_SEPARATOR.join(lines)}]"
    marks = len(lines) - 1
    if text.count("NaN") != marks:
        return None
    with suppress(json.JSONDecodeError, InventorySourcesError):
        found = _parse(_MARKED, text, max_depth + 1)
        if len(found) == 2 * marks + 1 and found[1::2] == [_MARK] * marks:
            values: list[Any] = found[::2]
            return values
    return None


def _parse(decoder: json.JSONDecoder, text: str, max_depth: int | None) -> Any:
    structure = _structure(text)
    if max_depth is not None:
        _check_depth(structure, max_depth)
    try:
        with suppress(json.JSONDecodeError, StructureInvalid):
            value = decoder.decode(text)
            # Of keys that stand twice in an object the decoder keeps one, so that colons are left over.
            if _pairs(value, structure.count(b"{")) == structure.count(b":"):
                return value
        return _STRICT.decode(text)
    except RecursionError:
        raise InputTooLarge("the document is nested too deeply to be read") from None


def _pairs(value: object, objects: int) -> int:
    """How many keys the objects in a value have; ``objects`` is how many there are."""
    level, pairs = [value], 0
    while objects and level:
        found = [value for value in level if type(value) is dict]
        lists = [value for value in level if type(value) is list]
        pairs += sum(map(len, found))
        objects -= len(found)
        if objects:
            inside = chain(chain.from_iterable(map(dict.values, found)), chain.from_iterable(lists))
            level = [value for value in inside if type(value) in _HOLDERS]
    return pairs


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise StructureInvalid(f"the key {twice!r} stands twice in one object, so that its value is in doubt")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise StructureInvalid(f"{name} is not a JSON value", guidance="Send null for a value that is not known.")


def _mark(name: str) -> object:
    return _MARK if name == "NaN" else _refuse_constant(name)


_HOLDERS = {dict, list}
_SEPARATOR = ",NaN,"
_MARK = object()
_PLAIN = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=_refuse_constant)
_MARKED = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=_mark)
#: Tells which key stands twice; it takes longer.
_STRICT = json.JSONDecoder(object_pairs_hook=_unique, parse_float=str, parse_int=str, parse_constant=_refuse_constant)


def _structure(text: str) -> bytes:
    """The brackets, braces and colons of a JSON text that stand in none of its strings."""
    data = text.encode(errors="surrogatepass")
    if b"\\" in data:
        data = _ESCAPE.sub(b"", data)
    # Without its escapes each quote opens or closes a text. Two quotes side by side change no bracket's side, nor do
    # those around two colons, which in JSON only a text can hold, and every time of day does.
    structure = data.translate(None, _NOT_STRUCTURE).replace(b'"::"', b"").replace(b'""', b"")
    return re.sub(rb'"[^"]*"', b"", structure).replace(b'"', b"")


def _check_depth(structure: bytes, most: int) -> None:
    """Refuses deeper nesting than ``most`` before a parser meets it."""
    brackets = left = structure.replace(b":", b"")
    # Each round takes out one level or two, quicker than they are counted.
    for _ in range(most // 2):
        if not (left := left.replace(b"{}", b"").replace(b"[]", b"")):
            return
    deepest = max(accumulate(map(_STEP.__getitem__, brackets)), default=0)
    if deepest > most:
        raise InputTooLarge(f"the document is nested {deepest} levels deep; at most {most} are read")


def looks_cut(text: str, error: json.JSONDecodeError) -> bool:
    """Whether the fault is one that the front part of a good document has, or something that follows a whole one."""
    rest = text[error.pos :].rstrip()
    if error.msg.startswith("Invalid"):  # an escape
        return len(rest) <= len("\\u0000")
    return error.msg.startswith(("Unterminated string", "Extra data")) or not rest or bool(_CUT_TOKEN.fullmatch(rest))


def described(value: object) -> str:
    """What kind of JSON value this is, in words."""
    if isinstance(value, dict):
        keys = ", ".join(map(repr, list(value)[:10]))
        return f"an object with the keys {keys}" if value else "an empty object"
    if isinstance(value, bool):
        return "true or false"
    return {list: "a list", str: "a text or number", type(None): "null"}[type(value)]


def follow(document: object, path: str) -> object:
    """The value at a dotted path (``data.items``) or JSON Pointer (``/data/items``, RFC 6901); empty for the document.

    :raises StructureInvalid: naming the path and what is there instead.
    """
    value, above = document, "the top"
    for step in _steps(path):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isascii() and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            raise StructureInvalid(f"there is no {path!r}: at {above} is {described(value)}")
        above = repr(step)
    return value


def record_lists(document: object) -> dict[str, int]:
    """Where a document has lists of objects, as paths that :func:`follow` takes, with how many: the first few."""
    return {_path(steps): len(found) for steps, found in islice(_lists(document, ()), _LISTS)}


def _lists(value: object, steps: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    if isinstance(value, list) and all(type(record) is dict for record in value):
        yield steps, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _lists(inner, (*steps, key))


def _path(steps: tuple[str, ...]) -> str:
    dotted = ".".join(steps)
    if all(steps) and _steps(dotted) == list(steps):
        return dotted
    return "".join(f"/{step.replace('~', '~0').replace('/', '~1')}" for step in steps)


def _steps(path: str) -> list[str]:
    if path.startswith("/"):
        return [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]
    return path.split(".") if path else []
