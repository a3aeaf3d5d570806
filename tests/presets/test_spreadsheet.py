"""A published spreadsheet: read through its redirect, asked for only if it changed, never taken for a login page."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from inventory_sources import MemorySink, MemoryStateStore, SyncEngine
from inventory_sources.presets import published_spreadsheet
from inventory_sources.run import RunResult
from inventory_sources.testing.servers import Framing, Request, Response, ScriptedHttpServer

SHEET = b"Code,Stock\r\nA-1,7\r\n00123,0\r\n"
LOGIN = b"<!DOCTYPE html><html><title>Sign in</title></html>"


def synced(server: ScriptedHttpServer, times: int = 1) -> tuple[Any, dict[str, int]]:
    sink = MemorySink({"A-1": 1, "00123": 5})
    preset = published_spreadsheet(f"{server.url}/pub?output=csv", sku="Code", quantity="Stock")
    connector = evolve(preset.connector, allow_private=("127.0.0.0/8",))
    engine = SyncEngine(MemoryStateStore())
    engine.add_source(evolve(preset, connector=connector).source("sheet", sink=sink, guards=()))
    for _ in range(times - 1):
        engine.request_sync("sheet")
        engine.run_due()
    run = engine.sync("sheet")
    return run, {level.sku: int(level.quantity) for level in sink.levels(None)}


def test_it_is_read_through_its_redirect() -> None:
    def answer(request: Request) -> Response:
        if request.path.startswith("/pub"):
            return Response(b"", 307, {"Location": "/export?id=1"})
        return Response(SHEET, headers={"Content-Type": "text/csv"})

    with ScriptedHttpServer(answer) as server:
        run, levels = synced(server)
    assert (run.result, run.products_updated) == (RunResult.COMPLETED, 2)
    assert levels == {"A-1": 7, "00123": 0}


@pytest.mark.parametrize(
    "answer",
    [
        Response(LOGIN, headers={"Content-Type": "text/html"}),
        Response(LOGIN, headers={"Content-Type": "text/csv"}),
        Response(b"Code,Stock\r\nA-1,#REF!\r\n00123,\r\n", headers={"Content-Type": "text/csv"}),
        Response(SHEET, headers={"Content-Type": "text/csv"}, framing=Framing.CHUNKED, cut_after=12),
        Response(b"", headers={"Content-Type": "text/csv"}),
    ],
)
def test_what_is_no_such_sheet_changes_no_level(answer: Response) -> None:
    with ScriptedHttpServer([answer] * 20) as server:
        run, levels = synced(server)
    assert run.products_updated == 0
    assert run.result is not RunResult.COMPLETED or run.counts.invalid == 2
    assert levels == {"A-1": 1, "00123": 5}


def test_it_is_asked_for_only_if_it_changed() -> None:
    asked: list[str | None] = []

    def answer(request: Request) -> Response:
        asked.append(request.headers.get("if-none-match"))
        if asked[-1]:
            return Response(b"", 304, {"ETag": '"1"'})
        return Response(SHEET, headers={"Content-Type": "text/csv", "ETag": '"1"'})

    with ScriptedHttpServer(answer) as server:
        run, levels = synced(server, times=2)
    assert asked == [None, '"1"']
    assert (run.result, bool(run.skipped), levels["A-1"]) == (RunResult.COMPLETED, True, 7)
