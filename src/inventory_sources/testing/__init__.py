"""What a test of one's own parts needs: contract suites to inherit, a clock that stands still, a scripted server.

A suite's class is imported from here and inherited in a test module; pytest then runs its tests on your part. The
suites need no pytest themselves. Everything is loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inventory_sources.testing.clock import ManualClock
    from inventory_sources.testing.connectors import ConnectorContract, fetch_context
    from inventory_sources.testing.hostile import HostileServerSuite
    from inventory_sources.testing.mappers import MapperContract
    from inventory_sources.testing.notifiers import NotifierContract, sample_notification
    from inventory_sources.testing.observers import ObserverContract
    from inventory_sources.testing.recordings import HttpRecording
    from inventory_sources.testing.remote_files import RemoteFilesContract
    from inventory_sources.testing.schedulers import SchedulerContract
    from inventory_sources.testing.servers import ScriptedHttpServer
    from inventory_sources.testing.sinks import StockSinkContract
    from inventory_sources.testing.stores import StateStoreContract

__all__ = [
    "ConnectorContract",
    "HostileServerSuite",
    "HttpRecording",
    "ManualClock",
    "MapperContract",
    "NotifierContract",
    "ObserverContract",
    "RemoteFilesContract",
    "SchedulerContract",
    "ScriptedHttpServer",
    "StateStoreContract",
    "StockSinkContract",
    "fetch_context",
    "sample_notification",
]

_MODULES = {
    "ConnectorContract": "connectors",
    "HostileServerSuite": "hostile",
    "HttpRecording": "recordings",
    "ManualClock": "clock",
    "MapperContract": "mappers",
    "NotifierContract": "notifiers",
    "ObserverContract": "observers",
    "RemoteFilesContract": "remote_files",
    "SchedulerContract": "schedulers",
    "ScriptedHttpServer": "servers",
    "StateStoreContract": "stores",
    "StockSinkContract": "sinks",
    "fetch_context": "connectors",
    "sample_notification": "notifiers",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
