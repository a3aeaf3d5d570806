"""Typed objects to plain JSON values and back, strictly: a value of another type is an error, never converted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from types import GenericAlias
from typing import Any, get_args, get_origin

from inventory_sources.errors import ConfigurationError, NotPortable
from inventory_sources.frequency import Frequency
from inventory_sources.secrets import Secret, SecretResolver

__all__ = ["document_converter", "explain", "plain_document"]

_MARK = "$secret"
_SCALARS: tuple[tuple[type, tuple[type, ...]], ...] = (
    (str, (str,)),
    (bool, (bool,)),
    (int, (int,)),
    (float, (float, int)),
)


def document_converter(secrets: SecretResolver) -> Any:
    """A strict cattrs converter: no unknown keys, no coercion, secrets by reference alone."""
    from cattrs.preconf.json import make_converter

    converter = make_converter(forbid_extra_keys=True)
    for target, accepted in _SCALARS:
        converter.register_structure_hook(target, _exactly(target, accepted))
    converter.register_structure_hook_factory(_is_tuple, lambda target: _from_list(converter, target))
    converter.register_structure_hook_func(lambda target: target is object, lambda value, _: value)
    converter.register_structure_hook(timedelta, lambda value, _: timedelta(seconds=_number(value)))
    converter.register_unstructure_hook(timedelta, lambda value: value.total_seconds())
    converter.register_structure_hook(Decimal, lambda value, _: Decimal(_text(value)))
    converter.register_unstructure_hook(Decimal, str)
    converter.register_structure_hook(Secret, lambda value, _: Secret.reference(_text(value), secrets))
    converter.register_unstructure_hook(Secret, _reference)
    _register_mixed(converter)
    plain_frequency = converter.get_structure_hook(Frequency)
    converter.register_structure_hook(
        Frequency, lambda value, cls: Frequency.parse(value) if isinstance(value, str) else plain_frequency(value, cls)
    )
    return converter


def _register_mixed(converter: Any) -> None:
    """Fields of texts or values among which some may be secrets: these are ``{"$secret": "env:NAME"}``."""
    for target in (str | Secret, object | Secret):
        deep = target == object | Secret
        converter.register_structure_hook_func(
            lambda found, target=target: found == target,
            lambda value, _, deep=deep: _mixed(value, converter) if deep or _marked(value) else _text(value),
        )
        converter.register_unstructure_hook_func(lambda found, target=target: found == target, _marking)


def _marked(value: object) -> bool:
    return isinstance(value, Mapping) and set(value) == {_MARK}


def _mixed(value: object, converter: Any) -> object:
    if _marked(value):
        return converter.structure(value[_MARK], Secret)  # type: ignore[index]
    if isinstance(value, Mapping):
        return {name: _mixed(inner, converter) for name, inner in value.items()}
    return [_mixed(inner, converter) for inner in value] if isinstance(value, list | tuple) else value


def _marking(value: object) -> object:
    if isinstance(value, Secret):
        return {_MARK: _reference(value)}
    if isinstance(value, Mapping):
        return {name: _marking(inner) for name, inner in value.items()}
    return [_marking(inner) for inner in value] if isinstance(value, list | tuple) else value


def plain_document(value: object, converter: Any) -> dict[str, object]:
    """An attrs object as JSON gives it back.

    :raises NotPortable: when it holds something that cannot be stored: a callable, a client, a secret's text.
    """
    try:
        document: dict[str, object] = json.loads(json.dumps(converter.unstructure(value)))
    except TypeError:
        raise NotPortable(f"{type(value).__name__} holds an object that cannot be stored") from None
    return document


def explain(error: Exception) -> str:
    """Each problem of a failed structuring with the path of the value, without the value itself."""
    from cattrs import transform_error

    lines = transform_error(error, format_exception=_plain)
    return "; ".join(re.sub(r" @ \$\.?", " at ", line).removesuffix(" at ") for line in lines)


def _plain(error: BaseException, type_: type | None) -> str:
    if isinstance(error, ConfigurationError):
        return error.message
    if isinstance(error, KeyError):
        return f"required key {error} is missing"
    extra = getattr(error, "extra_fields", None)
    if extra:
        return f"unknown keys: {', '.join(sorted(map(str, extra)))}"
    return "not usable" if type_ is None else f"not a valid {getattr(type_, '__name__', type_)}"


def _is_tuple(target: Any) -> bool:
    return get_origin(target) is tuple and get_args(target)[1:] == (...,)


def _from_list(converter: Any, target: Any) -> Callable[[object, object], Any]:
    """A text is no list of its letters, nor a table one of its keys."""
    items = GenericAlias(list, get_args(target)[:1])
    structure_items = converter.get_structure_hook(items)

    def structure(value: object, _: object) -> Any:
        if type(value) not in (list, tuple):
            raise ConfigurationError(f"expected a list, found {type(value).__name__}")
        return tuple(structure_items(value, items))

    return structure


def _exactly(target: type, accepted: tuple[type, ...]) -> Callable[[object, object], Any]:
    def structure(value: object, _: object) -> Any:
        if type(value) not in accepted:
            raise ConfigurationError(f"expected {target.__name__}, found {type(value).__name__}")
        return target(value)

    return structure


def _number(value: object) -> float:
    if type(value) not in (int, float):
        raise ConfigurationError(f"expected a number of seconds, found {type(value).__name__}")
    return float(value)  # type: ignore[arg-type]


def _text(value: object) -> str:
    if type(value) is not str:
        raise ConfigurationError(f"expected text, found {type(value).__name__}")
    return value


def _reference(secret: Secret) -> str:
    if secret.stored_as is None:
        raise NotPortable("a secret held as text is not stored; use Secret.reference('env:NAME')")
    return secret.stored_as
