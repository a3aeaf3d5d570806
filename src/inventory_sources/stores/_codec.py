"""Records as JSON text and back, strictly.

A field that was added later takes its default when an older record is read; anything else that does not fit is a
damaged record. Times are integers, microseconds since 1970-01-01 UTC; quantities are decimal text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar, get_args, get_origin

import attrs
from cattrs import Converter

from inventory_sources.errors import RecordInvalid, Recovery, StoreError

__all__ = ["dump", "from_micros", "load", "load_spec", "to_micros", "to_text"]

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970-01-01 UTC, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The moment in UTC."""
    return _EPOCH + timedelta(microseconds=micros)


def to_text(value: object) -> str:
    """ASCII JSON, so that no database's character set matters.

    :raises StoreError: when JSON cannot hold the value.
    """
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError):
        raise StoreError("a record holds a value that JSON cannot hold", recovery=Recovery.STOP) from None


def dump(record: object) -> str:
    """An attrs record as JSON text."""
    return to_text(_converter.unstructure(record))


def load(record: type[T], text: object, table: str, key: object) -> T:
    """The record that :func:`dump` wrote.

    :raises RecordInvalid: when it is damaged; names the table and the key.
    """
    try:
        return _converter.structure(json.loads(_exactly(str, text)), record)
    except Exception:  # noqa: BLE001 - whatever is wrong with a damaged record, the answer is the same
        raise _damaged(table, key) from None


def load_spec(text: object, name: str) -> dict[str, object]:
    """A source's specification."""
    try:
        return dict(_exactly(dict, json.loads(_exactly(str, text))))
    except (TypeError, ValueError):
        raise _damaged("sources", name) from None


def _damaged(table: str, key: object) -> RecordInvalid:
    return RecordInvalid(f"the record {key!r} in table {table!r} of the state store cannot be read back")


def _exactly(kind: type[T], value: object) -> T:
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}")
    return value


def _decimal(value: object, _: type) -> Decimal:
    number = Decimal(_exactly(str, value))
    if not number.is_finite():
        raise ValueError("not a number")
    return number


def _text_tuple(value: object, _: type) -> tuple[str, ...]:
    return tuple(_exactly(str, item) for item in _exactly(list, value))


def _is_mapping(kind: Any) -> bool:
    return get_origin(kind) in (Mapping, dict)


def _cells(value: object, kind: Any) -> dict[str, Any]:
    optional = type(None) in get_args(get_args(kind)[1])
    cells = _exactly(dict, value)
    for key, cell in cells.items():
        _exactly(str, key)
        if not (optional and cell is None):
            _exactly(str, cell)
    return cells


def _record_hook(converter: Converter, kind: type[Any]) -> Callable[[object, Any], Any]:
    """A record of fields with defaults would otherwise read from an empty list, too."""
    structure = converter.gen_structure_attrs_fromdict(kind)
    return lambda value, _: structure(_exactly(dict, value), kind)


def _build() -> Converter:
    converter = Converter(detailed_validation=False)
    for kind in (str, int, bool):
        converter.register_structure_hook(kind, lambda value, kind: _exactly(kind, value))
    converter.register_structure_hook_factory(attrs.has, lambda kind: _record_hook(converter, kind))
    converter.register_structure_hook(datetime, lambda value, _: from_micros(_exactly(int, value)))
    converter.register_unstructure_hook(datetime, to_micros)
    converter.register_structure_hook(Decimal, _decimal)
    converter.register_unstructure_hook(Decimal, str)
    converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _text_tuple)
    converter.register_structure_hook_func(_is_mapping, _cells)
    return converter


_converter = _build()
