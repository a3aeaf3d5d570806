"""Records of a document: where they are, and each as flat text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inventory_sources import _json
from inventory_sources.errors import ConfigurationError, MissingExtra, StructureInvalid
from inventory_sources.rest._pages import value_at

__all__ = ["flat", "key_of", "lists_in", "records_at", "reshaped", "shape"]


def shape(expression: str) -> Any:
    """A JMESPath expression, ready for use.

    :raises MissingExtra: when the package is not installed.
    :raises ConfigurationError: when it is none.
    """
    try:
        import jmespath
    except ImportError:
        raise MissingExtra("reshape", "jmespath") from None
    try:
        return jmespath.compile(expression)
    except (jmespath.exceptions.JMESPathError, ValueError) as error:
        raise ConfigurationError(f"reshape is no JMESPath expression ({type(error).__name__})") from None


def reshaped(document: Any, expression: str) -> Any:
    """What a JMESPath expression makes of a document.

    :raises StructureInvalid: when it cannot be applied to it.
    """
    from jmespath.exceptions import JMESPathError

    try:
        return shape(expression).search(document)
    except JMESPathError as error:
        raise StructureInvalid(f"reshape cannot be applied to this document ({type(error).__name__})") from None


def records_at(document: Any, path: str, origin: str) -> Sequence[Mapping[str, Any]]:
    """The list of objects at a path.

    :raises StructureInvalid: when there is none, naming what is there, or the number of what is no object.
    """
    try:
        found = value_at(document, path)
    except StructureInvalid as error:
        raise StructureInvalid(f"{origin}: {error.message}") from None
    place = repr(path) if path else "the top"
    if not isinstance(found, list):
        raise StructureInvalid(f"{origin}: at {place} is {_json.described(found)}, not a list of records")
    for number, record in enumerate(found, 1):
        if not isinstance(record, dict):
            what = _json.described(record)
            raise StructureInvalid(f"{origin}: record {number} at {place} is {what}, not an object")
    return found


def lists_in(document: Any, expression: str | None) -> Mapping[str, int]:
    """Where a document, reshaped by an expression if there is one, has lists of objects, with how many."""
    try:
        return _json.record_lists(document if expression is None else reshaped(document, expression))
    except StructureInvalid:
        return {}


def key_of(record: Mapping[str, Any], path: str, number: int) -> str:
    """What a record is known by.

    :param number: names the record in errors.
    :raises StructureInvalid: when it has none.
    """
    try:
        found = value_at(record, path)
    except StructureInvalid as error:
        raise StructureInvalid(f"record {number}: {error.message}") from None
    if not isinstance(found, str) or not found:
        raise StructureInvalid(f"record {number}: its key {path!r} is no text or number")
    return found


def flat(record: Mapping[str, Any], number: int = 0) -> dict[str, str | None]:
    """A record as cells: nested keys joined by dots, booleans as ``true`` and ``false``, lists left out.

    :param number: names the record in errors.
    :raises StructureInvalid: when two of its keys come to look alike.
    """
    cells: dict[str, str | None] = {}
    for name, value in _cells(record):
        if name in cells:
            raise StructureInvalid(f"record {number}: two places of it are both called {name!r}")
        cells[name] = value
    return cells


def _cells(record: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    found: list[tuple[str, str | None]] = []
    for key, value in record.items():
        if isinstance(value, dict):
            found += [(f"{key}.{name}", inner) for name, inner in _cells(value)]
        elif isinstance(value, bool):
            found.append((key, "true" if value else "false"))
        elif value is None or isinstance(value, str):
            found.append((key, value))
    return found
