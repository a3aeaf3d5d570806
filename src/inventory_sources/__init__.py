"""Keeps a shop's stock levels true to the merchant's ERP, WMS or spreadsheet.

The names here are those of a first sync; everything else is imported from its module. Each loads on first use, so that
importing the package stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inventory_sources.batch import StockLevel
    from inventory_sources.connectors import FileConnector, HttpConnector
    from inventory_sources.engine import SyncEngine
    from inventory_sources.errors import InventorySourcesError
    from inventory_sources.feed import Feed
    from inventory_sources.formats import CsvDecoder, JsonDecoder, JsonLinesDecoder
    from inventory_sources.frequency import Frequency
    from inventory_sources.mappers import Columns
    from inventory_sources.payload import Payload
    from inventory_sources.plan import SyncPlan
    from inventory_sources.registry import Registry
    from inventory_sources.retry import RetryPolicy
    from inventory_sources.run import SyncRun
    from inventory_sources.secrets import Secret
    from inventory_sources.sinks import MemorySink
    from inventory_sources.sinks.sql import SqlStockSink
    from inventory_sources.source import Source
    from inventory_sources.status import SyncStatus
    from inventory_sources.stores.memory import MemoryStateStore
    from inventory_sources.stores.sql import SqlStateStore

__all__ = [
    "Columns",
    "CsvDecoder",
    "Feed",
    "FileConnector",
    "Frequency",
    "HttpConnector",
    "InventorySourcesError",
    "JsonDecoder",
    "JsonLinesDecoder",
    "MemorySink",
    "MemoryStateStore",
    "Payload",
    "Registry",
    "RetryPolicy",
    "Secret",
    "Source",
    "SqlStateStore",
    "SqlStockSink",
    "StockLevel",
    "SyncEngine",
    "SyncPlan",
    "SyncRun",
    "SyncStatus",
]

_HOMES = {
    "Columns": "mappers",
    "CsvDecoder": "formats",
    "Feed": "feed",
    "FileConnector": "connectors",
    "Frequency": "frequency",
    "HttpConnector": "connectors",
    "InventorySourcesError": "errors",
    "JsonDecoder": "formats",
    "JsonLinesDecoder": "formats",
    "MemorySink": "sinks",
    "MemoryStateStore": "stores.memory",
    "Payload": "payload",
    "Registry": "registry",
    "RetryPolicy": "retry",
    "Secret": "secrets",
    "Source": "source",
    "SqlStateStore": "stores.sql",
    "SqlStockSink": "sinks.sql",
    "StockLevel": "batch",
    "SyncEngine": "engine",
    "SyncPlan": "plan",
    "SyncRun": "run",
    "SyncStatus": "status",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
