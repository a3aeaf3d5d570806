"""JSON text read strictly: a number keeps its spelling, and what the ``json`` module would let pass is refused."""

from __future__ import annotations

import json
import re
from itertools import accumulate
from typing import Any, NoReturn

from inventory_sources.errors import InputTooLarge, StructureInvalid

__all__ = ["check_depth", "described", "follow", "looks_cut", "parse"]

_NOT_STRUCTURE = bytes(sorted(set(range(256)) - set(b'[]{}"')))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_CUT_TOKEN = re.compile(r"t|tr|tru|f|fa|fal|fals|n|nu|nul|-")


def parse(text: str) -> Any:
    """The value of a JSON text (RFC 8259): numbers as their text, everything else as usual.

    :raises json.JSONDecodeError: where it is no JSON.
    :raises StructureInvalid: for a key that stands twice in one object, and for NaN or Infinity.
    :raises InputTooLarge: for nesting that exhausts the parser; :func:`check_depth` finds it sooner.
    """
    try:
        return _STRICT.decode(text)
    except RecursionError:
        raise InputTooLarge("the document is nested too deeply to be read") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise StructureInvalid(f"the key {twice!r} stands twice in one object, so that its value is in doubt")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise StructureInvalid(f"{name} is not a JSON value", guidance="Send null for a value that is not known.")


_STRICT = json.JSONDecoder(object_pairs_hook=_unique, parse_float=str, parse_int=str, parse_constant=_refuse_constant)


def check_depth(text: str, most: int) -> None:
    """Refuses deeper nesting than ``most`` before a parser meets it.

    :raises InputTooLarge: naming the depth.
    """
    # Without its escapes each quote opens or closes a text. Two quotes side by side change no bracket's side.
    data = text.encode(errors="surrogatepass").replace(b"\\\\", b"").replace(b'\\"', b"")
    structure = data.translate(None, _NOT_STRUCTURE).replace(b'""', b"")
    structure = re.sub(rb'"[^"]*"', b"", structure).replace(b'"', b"")
    deepest = max(accumulate(map(_STEP.__getitem__, structure)), default=0)
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


def _steps(path: str) -> list[str]:
    if path.startswith("/"):
        return [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]
    return path.split(".") if path else []
