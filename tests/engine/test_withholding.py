"""A secret that a server sends back does not show in what is said of the failure."""

from __future__ import annotations

import json
from typing import Any

import pytest

from inventory_sources import Columns, Feed, MemorySink, MemoryStateStore, Secret, Source, SyncEngine
from inventory_sources.errors import InventorySourcesError
from inventory_sources.rest import ApiKey, Bearer, Both, RestConnector
from inventory_sources.testing.servers import Request, Response, ScriptedHttpServer

CANARY = "c4nary-of-the-bearer"
OTHER = "c4nary-of-the-key"


def echoing(request: Request) -> Response:
    """Answers with the credentials as the keys of an object, as a debug page does."""
    echoed = {CANARY: 1, request.headers.get("x-key", ""): 2}
    return Response(json.dumps(echoed).encode(), headers={"Content-Type": "application/json"})


def a_source(url: str) -> Source:
    auth = Both(Bearer(Secret(CANARY)), ApiKey(Secret(OTHER), header="X-Key"))
    return Source(
        name="erp",
        connector=RestConnector(url, records="items", auth=auth, allow_private=("127.0.0.0/8",), allow_plaintext=True),
        mapper=Columns(),
        feed=Feed.partial(),
        sink=MemorySink({}),
    )


def test_neither_history_nor_state_nor_errors_hold_it(caplog: pytest.LogCaptureFixture) -> None:
    engine = SyncEngine(MemoryStateStore())
    with ScriptedHttpServer(echoing) as server, caplog.at_level("DEBUG"):
        source = a_source(server.url)
        engine.add_source(source)
        run = engine.sync("erp")
        report: Any = engine.check("erp")
        with pytest.raises(InventorySourcesError) as refused:
            engine.plan("erp")
    assert run.failure is not None and "[withheld]" in run.failure.message
    said = f"{run} {run.failure} {engine.status('erp')} {report} {refused.value} {refused.value.args} {caplog.text}"
    assert CANARY not in said
    assert OTHER not in said
