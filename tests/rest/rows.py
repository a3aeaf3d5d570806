"""What the tests of further requests share: fetches from a server on the loopback, and a small shop to sync."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from inventory_sources import Columns, Feed, MemorySink, MemoryStateStore, Registry, Source, SyncEngine
from inventory_sources.protocols.connector import FetchContext
from inventory_sources.rest import RestConnector
from inventory_sources.testing import ManualClock, fetch_context
from inventory_sources.testing.servers import Request, Response, ScriptedHttpServer

JSON = {"Content-Type": "application/json"}


def answer(document: object, status: int = 200, **headers: str) -> Response:
    """A JSON answer."""
    return Response(json.dumps(document).encode(), status, {**JSON, **headers})


def path_of(request: Request) -> str:
    """Without the query, as it was sent."""
    return request.path.partition("?")[0]


def query_of(request: Request) -> dict[str, str]:
    """Its parameters."""
    return dict(parse_qsl(urlsplit(request.path).query, keep_blank_values=True))


def routes(paths: Mapping[str, Response | Callable[[Request], Response]]) -> Callable[[Request], Response]:
    """A script with an answer for each path; any other is not there."""

    def script(request: Request) -> Response:
        found = paths.get(path_of(request), Response(status=404))
        return found(request) if callable(found) else found

    return script


def rest(server: ScriptedHttpServer, path: str = "levels", **options: Any) -> RestConnector:
    """A connector that may reach the loopback."""
    return RestConnector(server.url + path, allow_private=("127.0.0.0/8",), allow_plaintext=True, **options)


def fetched(connector: RestConnector, **fields: Any) -> tuple[list[Any], FetchContext]:
    """What one fetch yields, and its context."""
    context = fetch_context(Path(tempfile.mkdtemp()), clock=fields.pop("clock", None))
    for name, value in fields.items():
        setattr(context, name, value)
    return list(connector.fetch(context)), context


def stored_again(connector: RestConnector, feed: Feed | None = None) -> object:
    """The connector as another process builds it from what the store keeps of its source."""
    registry = Registry()
    sink = MemorySink({"A": 0})
    registry.register("sink", "stock", sink)
    source = Source(name="api", connector=connector, mapper=Columns(), feed=feed or Feed.partial(), sink=sink)
    document = json.loads(json.dumps(registry.document(registry.describe(source))))
    return registry.build(registry.spec(document)).connector


class Shop:
    """An engine, a stock table in memory and a clock that the test holds."""

    def __init__(self, *skus: str, clock: ManualClock | None = None) -> None:
        self.clock = clock or ManualClock()
        self.skus = skus
        self.sink = MemorySink(dict.fromkeys(skus, 0))
        self.store = MemoryStateStore(clock=self.clock)
        self.engine = SyncEngine(self.store, clock=self.clock)

    def add(self, connector: object, feed: Feed | None = None, **parts: Any) -> None:
        """Registers the connector as the source ``api``."""
        parts = {"mapper": Columns(quantity="available"), "guards": (), **parts}
        self.engine.add_source(
            Source(name="api", connector=connector, feed=feed or Feed.snapshot(), sink=self.sink, **parts)
        )

    @property
    def quantities(self) -> dict[str, int]:
        """By SKU."""
        return {level.sku: int(level.quantity) for level in self.sink.levels(self.skus)}
