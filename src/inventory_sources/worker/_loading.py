"""Finding the engine that a command line names."""

from __future__ import annotations

import inspect
from importlib import import_module
from types import FunctionType, ModuleType

from inventory_sources.engine import SyncEngine
from inventory_sources.errors import ConfigurationError

__all__ = ["load_engine"]


def load_engine(place: str) -> SyncEngine:
    """The engine at ``module:name``, or the one that a function there makes.

    What the module or the function itself raises comes out as it is.

    :raises ConfigurationError: when there is none.
    """
    name, _, attribute = place.partition(":")
    if not name or not attribute:
        raise ConfigurationError(
            f"{place!r} does not name an engine", guidance="Write module:name, such as shop.stock:engine."
        )
    module = _module(name)
    found = _attribute(module, attribute)
    if isinstance(found, FunctionType):
        found = _made(found, place)
    if not isinstance(found, SyncEngine):
        raise ConfigurationError(
            f"{place} is no SyncEngine but {_kind(found)}",
            guidance="Name a SyncEngine, or a function without parameters that returns one.",
        )
    return found


def _module(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the module is there, and imports one that is not
        raise ConfigurationError(
            f"there is no module {error.name!r}",
            guidance="Name it as Python imports it, without .py; run this where it can be imported, or set PYTHONPATH.",
        ) from None


def _attribute(module: ModuleType, attribute: str) -> object:
    found: object = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            engines = sorted(key for key, value in vars(module).items() if isinstance(value, SyncEngine))
            there = f"It has {', '.join(engines)}." if engines else "It has no SyncEngine; make one there."
            raise ConfigurationError(f"module {module.__name__!r} has no {attribute!r}", guidance=there)
        found = getattr(found, part)
    return found


def _made(function: FunctionType, place: str) -> object:
    try:
        inspect.signature(function).bind()
    except TypeError:
        raise ConfigurationError(
            f"the function {place} needs parameters", guidance="Name one that makes the engine without any."
        ) from None
    return function()


def _kind(found: object) -> str:
    return "a module" if isinstance(found, ModuleType) else f"of type {type(found).__name__!r}"
