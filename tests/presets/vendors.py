"""Presets against a server on this machine that answers as their vendor's documentation says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from attrs import evolve, frozen

from inventory_sources import MemorySink, Registry, Secret, SyncEngine
from inventory_sources.presets import Preset
from inventory_sources.run import SyncRun
from inventory_sources.stores.memory import MemoryStateStore
from inventory_sources.testing.servers import Framing, Request, Response, ScriptedHttpServer

Script = Callable[[Request], Response]
#: The secret of every vendor's account here.
KEY = Secret.reference("env:VENDOR_KEY")
TOKEN = "t0k3n"


def answer(document: object, status: int = 200, **headers: str) -> Response:
    """A JSON answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(json.dumps(document).encode(), status, {"Content-Type": "application/json", **named})


def query(request: Request) -> dict[str, str]:
    """The parameters of a request's URL."""
    return dict(parse_qsl(urlsplit(request.path).query, keep_blank_values=True))


def local(preset: Preset, server: ScriptedHttpServer) -> Preset:
    """The preset with its hosts replaced by the server, without pauses; nothing else is changed."""
    rest: Any = preset.connector
    moved: dict[str, Any] = {}
    for name in ("token_url", "url"):
        if address := getattr(rest.auth, name, None):
            moved = {name: _moved(address, server), "allow_plaintext": True}
    manners = evolve(rest.manners, requests_per_second=None, backoff=0.001)
    connector = evolve(
        rest,
        url=_moved(rest.url, server),
        auth=evolve(rest.auth, **moved),
        manners=manners,
        allow_private=("127.0.0.0/8",),
        allow_plaintext=True,
    )
    return evolve(preset, connector=connector)


def _moved(url: str, server: ScriptedHttpServer) -> str:
    parts = urlsplit(url)
    return server.url.rstrip("/") + url.removeprefix(f"{parts.scheme}://{parts.netloc}")


@frozen
class Synced:
    """What a whole sync led to.

    :param levels: all levels of the sink by SKU and location.
    :param rejected: SKU and reason of each row that was refused.
    """

    run: SyncRun
    levels: Mapping[tuple[str, str], Decimal | None]
    rejected: list[tuple[str, str]]
    requests: tuple[Request, ...]

    @property
    def result(self) -> str:
        """Of the run."""
        return self.run.result.value

    @property
    def failure(self) -> str:
        """The code of the run's failure."""
        return self.run.failure.code if self.run.failure else ""


def synced(preset: Preset, script: Script, levels: Mapping[str, int] | None = None) -> Synced:
    """A sync of the preset from the script into a sink that takes every SKU."""
    sink = MemorySink(levels or {}, places=3, locations=levels is None, inserts=True)
    with ScriptedHttpServer(script) as server:
        engine = SyncEngine(MemoryStateStore())
        source = local(preset, server).source("vendor", sink=sink, guards=())
        engine.add_source(source)
        run = engine.sync("vendor")
        rejected = [(row.rejection.sku or "", row.rejection.reason) for row in engine.rejections(run)]
        requests = server.requests
        engine.close()
    return Synced(run, {(level.sku, level.location): level.quantity for level in sink.levels(None)}, rejected, requests)


def faulty(script: Script, number: int, fault: Response) -> Script:
    """The script, but the answer to one request is the fault, and so is each later try of the same request."""
    asked: list[tuple[str, str, bytes]] = []

    def broken(request: Request) -> Response:
        what = (request.method, request.path, request.body)
        if what not in asked:
            asked.append(what)
        return fault if asked.index(what) + 1 == number else script(request)

    return broken


#: What may come in place of a page: a failure, a body that ends early, and a page for people.
FAULTS = {
    "failure": Response(b'{"error": "oops"}', 500, {"Content-Type": "application/json"}),
    "cut": Response(b'{"value": [' + b" " * 500, headers={"Content-Type": "application/json"}, cut_after=100),
    "unframed": Response(b'{"value": [', headers={"Content-Type": "application/json"}, framing=Framing.CLOSE),
    "html": Response(b"<!doctype html><title>Sign in</title>", headers={"Content-Type": "text/html"}),
}


def stored(preset: Preset) -> Preset:
    """The preset as it comes back from a specification in JSON."""
    registry, sink = Registry(), MemorySink({})
    registry.register("sink", "shop", sink)
    source = preset.source("vendor", sink=sink)
    document = json.loads(json.dumps(registry.document(registry.describe(source))))
    assert registry.describe(source).portable
    built = registry.build(registry.spec(document))
    return evolve(preset, connector=built.connector, decoder=built.decoder, mapper=built.mapper, feed=built.feed)
