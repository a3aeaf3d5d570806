"""RestConnector against a real server: what is asked for, what is taken, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from inventory_sources.clock import SystemClock
from inventory_sources.errors import (
    AccessRefused,
    ConfigurationError,
    FetchError,
    InputIncomplete,
    RateLimited,
    ServerFailed,
    StructureInvalid,
)
from inventory_sources.payload import Evidence, Payload, Proof
from inventory_sources.protocols.connector import FetchContext
from inventory_sources.rest import Bearer, GraphQl, GraphQlCursor, HttpLimits, LinkHeader, Offset, RestConnector
from inventory_sources.secrets import Secret
from inventory_sources.testing.connectors import ConnectorContract
from inventory_sources.testing.servers import Framing, Request, Response, ScriptedHttpServer

LOOPBACK = ("127.0.0.0/8",)
JSON = {"Content-Type": "application/json"}


def answer(document: object, **headers: str) -> Response:
    return Response(json.dumps(document).encode(), headers={**JSON, **headers})


@pytest.fixture
def context(tmp_path: Path) -> FetchContext:
    clock = SystemClock()
    spool = tmp_path / "spool"
    spool.mkdir()
    return FetchContext(clock, clock.now(), clock.monotonic() + 30, spool, structlog.get_logger())


def rest(server: ScriptedHttpServer, path: str = "stock", **options: object) -> RestConnector:
    return RestConnector(server.url + path, allow_private=LOOPBACK, allow_plaintext=True, **options)


def test_a_list_in_one_answer(context: FetchContext) -> None:
    stock = {"data": {"items": [{"sku": "A", "qty": 5.10, "ok": True, "at": {"bin": "7"}, "tags": ["x"], "gone": None}]}}
    with ScriptedHttpServer([answer(stock)]) as server:
        (record,) = rest(server, params={"q": "a b"}, records="data.items").fetch(context)
    assert record == {"sku": "A", "qty": "5.1", "ok": "true", "at.bin": "7", "gone": None}
    assert server.requests[0].path == "/stock?q=a+b"
    assert context.evidence == Evidence(frozenset({Proof.LENGTH}))
