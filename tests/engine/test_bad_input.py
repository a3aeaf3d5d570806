"""Bad input, end to end: each gets a clear error, and nothing is lost or half applied."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from attrs import Factory, frozen

from inventory_sources import (
    Feed,
    HttpConnector,
    JsonDecoder,
    JsonLinesDecoder,
    SqlStockSink,
    SyncEngine,
    SyncStatus,
)
from inventory_sources.batch import RejectionKind
from inventory_sources.guards import default_guards
from inventory_sources.run import RunCounts, RunResult, SyncRun
from inventory_sources.status import Reason
from inventory_sources.testing.servers import Drip, Framing, Response, ScriptedHttpServer

from .conftest import START, Shop

OLD = {"A": 1, "B": 2, "C": 3}
GOOD = "sku,quantity\nA,11\nB,12\nC,13\n"
NEW = {"A": 11, "B": 12, "C": 13}
LOOPBACK = ("127.0.0.0/8",)
ZERO = Feed.snapshot(absent="zero")


def prepare(shop: Shop, **changes: Any) -> None:
    """A first sync is done, so that this source has supplied every SKU; then time passes."""
    shop.stock(**OLD)
    shop.add("sku,quantity\nA,1\nB,2\nC,3\n", feed=ZERO)
    assert shop.engine.sync("erp").result is RunResult.COMPLETED
    shop.clock.advance(timedelta(minutes=5))
    shop.engine.update_source(shop.source(**{"feed": ZERO, **changes}))


def assert_nothing_happened(shop: Shop, run: SyncRun, code: str, *words: str) -> None:
    """The run failed with this code and words, and left the table as it was."""
    assert run.result is RunResult.FAILED
    assert run.failure is not None
    assert run.failure.code == code
    assert run.failure.guidance
    for word in words:
        assert word in f"{run.failure.message} {run.failure.guidance}"
    assert shop.levels == OLD
    assert run.counts == RunCounts()
    assert not shop.engine.rejections(run)
    assert shop.engine.status("erp").last_failure == run.failure


def assert_good_input_heals(shop: Shop, **changes: Any) -> None:
    """The next good feed is applied as if nothing had been."""
    shop.clock.advance(timedelta(minutes=5))
    shop.feed(GOOD)
    shop.engine.update_source(shop.source(**changes))
    run = shop.engine.sync("erp")
    assert (run.result, run.products_updated, shop.levels) == (RunResult.COMPLETED, 3, NEW)


# --- files that are refused whole ---------------------------------------------------------------------------------

LATIN = "sku,quantity\nA,11\nB,12\nÄ,13\n".encode("latin-1")

FILES: dict[str, tuple[bytes, str, Sequence[str]]] = {
    "empty": (b"", "input_incomplete", ["empty", "uploaded"]),
    "only a byte order mark": (b"\xef\xbb\xbf", "input_incomplete", ["empty"]),
    "only line ends": (b"\n\n\n", "input_incomplete", ["empty"]),
    "cut in a record": (GOOD[:-2].encode(), "input_incomplete", ["no line end"]),
    "another delimiter": (GOOD.replace(",", ";").encode(), "heading_invalid", ["delimiter=';'"]),
    "tabs": (GOOD.replace(",", "\t").encode(), "heading_invalid", [r"delimiter='\t'"]),
    "two headings alike": (GOOD.replace("sku,", "sku,quantity,", 1).encode(), "heading_invalid", ["quantity"]),
    "headings nearly alike": (b"sku,quantity,Quan-tity\nA,11,9\n", "heading_invalid", ["Quan-tity"]),
    "a nameless heading": (b"sku,quantity,\nA,11,9\n", "heading_invalid", ["column, 3"]),
    "a missing column": (GOOD.replace("quantity", "stock").encode(), "heading_invalid", ["quantity", "stock"]),
    "no heading row": (GOOD.split("\n", 1)[1].encode(), "heading_invalid", ["sku"]),
    "NULs at the end": (GOOD.encode() + bytes(8), "input_incomplete", ["no line end"]),
    "a line of NULs": (GOOD.encode() + bytes(8) + b"\n", "encoding_invalid", ["NUL", "line 5"]),
    "a NUL in a cell": (GOOD.replace("12", "1\0").encode(), "encoding_invalid", ["NUL", "line 3"]),
    "UTF-16": (GOOD.encode("utf-16"), "encoding_invalid", ["UTF-16"]),
    "UTF-16 without mark": (GOOD.encode("utf-16-le"), "encoding_invalid", ["NUL"]),
    "latin-1": (LATIN, "encoding_invalid", ["line 4", "UTF-8"]),
    "mixed encodings": ("sku,quantity\nÄ,11\n".encode() + LATIN[13:], "encoding_invalid", ["line 5"]),
    "a quote left open": (GOOD.replace("B,", '"B,').encode(), "input_incomplete", ["line 3", "quote"]),
    "a quote closed too early": (GOOD.replace("B,", '"B"x,').encode(), "structure_invalid", ["line 3", "quotes"]),
    "a spreadsheet": (b"PK\x03\x04\x14\0\n\x8b\xff\n", "encoding_invalid", ["text", "line 1"]),
    "a web page": (b"<!DOCTYPE html>\n<title>Sign in</title>\n", "heading_invalid", ["<!DOCTYPE html>"]),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_cannot_be_trusted_is_refused_whole(shop: Shop, case: str) -> None:
    data, code, words = FILES[case]
    prepare(shop)
    (shop.folder / "feed.csv").write_bytes(data)
    assert_nothing_happened(shop, shop.engine.sync("erp"), code, *words)
    assert_good_input_heals(shop)


def test_a_heading_without_rows_waits_for_a_person(shop: Shop) -> None:
    prepare(shop, guards=default_guards())
    shop.feed("sku,quantity\n")
    run = shop.engine.sync("erp")
    assert (run.result, run.counts, shop.levels) == (RunResult.HELD, RunCounts(), OLD)
    assert (shop.engine.status("erp").status, shop.engine.status("erp").reason) == (SyncStatus.ERROR, Reason.HELD)
    held = shop.engine.held("erp")
    assert held is not None
    assert any("no rows" in figure for figure in held.figures)
    assert_good_input_heals(shop)


# --- rows that are refused alone ----------------------------------------------------------------------------------

#: 12 in digits that look like those of ASCII and are others.
WIDE = "\uff11\uff12"

QUANTITIES = {
    "N/A": "quantity_unreadable",
    "": "quantity_blank",
    "  ": "quantity_blank",
    "-": "quantity_unreadable",
    "1.250": "quantity_ambiguous",
    "1,5": "quantity_unreadable",
    "1,250": "quantity_unreadable",
    "(5)": "quantity_unreadable",
    "5-": "quantity_unreadable",
    ">10": "quantity_unreadable",
    "10+": "quantity_unreadable",
    "1e3": "quantity_unreadable",
    "NaN": "quantity_unreadable",
    "inf": "quantity_unreadable",
    "0x10": "quantity_unreadable",
    "1_000": "quantity_unreadable",
    WIDE: "quantity_not_ascii",
    "\u0663": "quantity_not_ascii",
    "1 000": "quantity_unreadable",
    "5 pcs": "quantity_unreadable",
    "true": "quantity_unreadable",
    "-5": "quantity_negative",
    "#REF!": "quantity_unreadable",
    "9" * 30: "quantity_out_of_range",
}


def assert_only_b_was_refused(shop: Shop, run: SyncRun, reason: str, cells: dict[str, str | None]) -> None:
    """A and C have their new levels; B, on line 3, has its old one and is listed."""
    assert shop.levels == {**NEW, "B": OLD["B"]}
    assert (run.result, run.failure) == (RunResult.COMPLETED, None)
    assert run.counts.add_up
    assert (run.counts.rows, run.counts.mapped, run.counts.invalid, run.products_updated) == (3, 2, 1, 2)
    (stored,) = shop.engine.rejections(run)
    rejection = stored.rejection
    assert (rejection.kind, rejection.reason, rejection.place.number) == (RejectionKind.INVALID, reason, 3)
    assert rejection.cells == cells
    assert rejection.message
    assert rejection.guidance


@pytest.mark.parametrize("cell", QUANTITIES)
def test_a_quantity_that_is_not_a_plain_number_is_refused_alone(shop: Shop, cell: str) -> None:
    prepare(shop)
    shop.feed(f'sku,quantity\nA,11\nB,"{cell}"\nC,13\n')
    run = shop.engine.sync("erp")
    assert_only_b_was_refused(shop, run, QUANTITIES[cell], {"sku": "B", "quantity": cell})
    assert shop.engine.status("erp").status is SyncStatus.COMPLETED


@pytest.mark.parametrize("cell", ["N/A", "", "-", "1.250", WIDE])
def test_a_refused_row_of_a_proven_snapshot_is_not_an_absent_one(shop: Shop, cell: str) -> None:
    body = f'sku,quantity\nA,11\nB,"{cell}"\nC,13\n'.encode()
    with ScriptedHttpServer([Response(body)]) as server:
        prepare(shop, connector=HttpConnector(server.url, allow_private=LOOPBACK))
        run = shop.engine.sync("erp")
    assert run.evidence == "length"
    assert_only_b_was_refused(shop, run, QUANTITIES[cell], {"sku": "B", "quantity": cell})


LINES: dict[str, tuple[str, str, dict[str, str | None]]] = {
    "a comma unquoted": ("B,1,5", "row_width", {"sku": "B", "quantity": "1", "cell 3": "5"}),
    "no cells": ("", "row_blank", {}),
    "a number by Excel": ("1.23E+12,12", "sku_scientific", {"sku": "1.23E+12", "quantity": "12"}),
    "no SKU": (",12", "sku_blank", {"sku": "", "quantity": "12"}),
    "a control character": ("B\x07,12", "sku_unreadable", {"sku": "B\x07", "quantity": "12"}),
    "an endless SKU": (f"{'B' * 256},12", "sku_too_long", {"sku": "B" * 256, "quantity": "12"}),
}


@pytest.mark.parametrize("proven", [True, False], ids=["proven", "unproven"])
@pytest.mark.parametrize("case", LINES)
def test_a_damaged_row_is_refused_alone_and_zeroes_nothing(shop: Shop, case: str, proven: bool) -> None:
    line, reason, cells = LINES[case]
    framing = Framing.LENGTH if proven else Framing.CLOSE
    body = f"sku,quantity\nA,11\n{line}\nC,13\n".encode()
    with ScriptedHttpServer([Response(body, framing=framing)]) as server:
        prepare(shop, connector=HttpConnector(server.url, allow_private=LOOPBACK))
        run = shop.engine.sync("erp")
    assert run.evidence == ("length" if proven else "none")
    assert_only_b_was_refused(shop, run, reason, cells)
    assert any("could not be read" in warning or "nothing proves" in warning for warning in run.warnings)


def test_one_cell_alone_is_refused_with_the_rows_beside_it(shop: Shop) -> None:
    prepare(shop)
    shop.feed("sku,quantity\nA,1\n1\nB,12\nC,13\n")
    run = shop.engine.sync("erp")
    assert shop.levels == {**OLD, "C": NEW["C"]}
    rows = [stored.rejection for stored in shop.engine.rejections(run)]
    assert [(row.place.number, row.reason) for row in rows] == [(2, "row_split"), (3, "row_width"), (4, "row_split")]


def test_two_rows_for_one_sku_are_both_refused(shop: Shop) -> None:
    prepare(shop)
    shop.feed("sku,quantity\nA,11\nB,12\nB,99\nC,13\n")
    run = shop.engine.sync("erp")
    assert shop.levels == {**NEW, "B": OLD["B"]}
    assert (run.counts.rows, run.counts.mapped, run.counts.duplicate, run.counts.add_up) == (4, 2, 2, True)
    rows = [stored.rejection for stored in shop.engine.rejections(run)]
    assert [(row.place.number, row.reason) for row in rows] == [(3, "duplicate_key"), (4, "duplicate_key")]
    assert all(row.guidance for row in rows)


# --- JSON ---------------------------------------------------------------------------------------------------------

ITEMS = '[{"sku": "A", "quantity": 11}, {"sku": "B", "quantity": 12}]'

DOCUMENTS: dict[str, tuple[str, str, Sequence[str]]] = {
    "empty": ("", "input_incomplete", ["empty"]),
    "no record path": ('{"data": {"rows": ' + ITEMS + "}}", "structure_invalid", ["data.items", "rows"]),
    "an error message": ('{"error": "try later"}', "structure_invalid", ["data.items", "error"]),
    "null for the list": ('{"data": {"items": null}}', "structure_invalid", ["null"]),
    "an object for the list": ('{"data": {"items": {"A": 11}}}', "structure_invalid", ["object"]),
    "a list for the document": (ITEMS, "structure_invalid", ["data.items", "list"]),
    "a list of numbers": ('{"data": {"items": [11, 12]}}', "structure_invalid", ["record 1"]),
    "another key": ('{"data": {"items": [{"sku": "A", "stock": 11}]}}', "heading_invalid", ["quantity", "stock"]),
    "a key twice": (
        '{"data": {"items": [{"sku": "A", "quantity": 11, "quantity": 0}]}}',
        "structure_invalid",
        ["quantity", "twice"],
    ),
    "NaN": ('{"data": {"items": [{"sku": "A", "quantity": NaN}]}}', "structure_invalid", ["NaN"]),
    "not JSON": ("sku,quantity\nA,11\n", "structure_invalid", ["line 1"]),
    "cut": ('{"data": {"items": ' + ITEMS, "input_incomplete", ["end"]),
    "two documents": (('{"data": {"items": ' + ITEMS + "}}") * 2, "input_incomplete", ["end"]),
    "too deep": ('{"data": {"items": ' + "[" * 100 + "]" * 100 + "}}", "input_too_large", ["deep"]),
}


@pytest.mark.parametrize("case", DOCUMENTS)
def test_a_document_of_another_shape_is_refused_whole(shop: Shop, case: str) -> None:
    text, code, words = DOCUMENTS[case]
    prepare(shop, decoder=JsonDecoder(records="data.items"))
    shop.feed(text)
    assert_nothing_happened(shop, shop.engine.sync("erp"), code, *words)
    assert_good_input_heals(shop)


JSON_QUANTITIES: dict[str, tuple[str, str | None]] = {
    "null": ("quantity_null", None),
    '""': ("quantity_blank", ""),
    '"N/A"': ("quantity_unreadable", "N/A"),
    "1e3": ("quantity_unreadable", "1e3"),
    "1.250": ("quantity_ambiguous", "1.250"),
    "-5": ("quantity_negative", "-5"),
    "true": ("cell_type", "true"),
    '["5"]': ("cell_type", '["5"]'),
}


@pytest.mark.parametrize("cell", JSON_QUANTITIES)
def test_a_record_with_an_unusable_quantity_is_refused_alone(shop: Shop, cell: str) -> None:
    reason, shown = JSON_QUANTITIES[cell]
    prepare(shop, decoder=JsonLinesDecoder())
    shop.feed(f'{{"sku":"A","quantity":11}}\n\n{{"sku":"B","quantity":{cell}}}\n{{"sku":"C","quantity":13}}\n')
    assert_only_b_was_refused(shop, shop.engine.sync("erp"), reason, {"sku": "B", "quantity": shown})


# --- HTTP ---------------------------------------------------------------------------------------------------------


@frozen
class Answer:
    """A bad answer and what it comes to."""

    response: Response
    code: str
    status: SyncStatus
    reason: Reason
    wait: timedelta | None = None
    options: dict[str, Any] = Factory(dict)


RETRY = (SyncStatus.PENDING, Reason.RETRY, timedelta(minutes=5))
STOP = (SyncStatus.ERROR, Reason.FAILED)
BLOCK = (SyncStatus.ERROR, Reason.BLOCKED)
LATER = START + timedelta(minutes=5 + 42)
BODY = GOOD.encode()
BOMB = gzip.compress(bytes(16 << 20), compresslevel=9)

ANSWERS = {
    "401": Answer(Response(status=401), "access_refused", *BLOCK),
    "403": Answer(Response(status=403), "access_refused", *BLOCK),
    "404": Answer(Response(b"sku,quantity\n", 404), "source_missing", *RETRY),
    "429 in seconds": Answer(
        Response(status=429, headers={"Retry-After": "90"}),
        "rate_limited",
        SyncStatus.PENDING,
        Reason.WAITING,
        timedelta(seconds=90),
    ),
    "429 until a date": Answer(
        Response(status=429, headers={"Retry-After": format_datetime(LATER, usegmt=True)}),
        "rate_limited",
        SyncStatus.PENDING,
        Reason.WAITING,
        timedelta(minutes=42),
    ),
    "500": Answer(Response(BODY, 500), "server_failed", *RETRY),
    "a redirect": Answer(Response(status=302, headers={"Location": "https://example.com/"}), "fetch_failed", *STOP),
    "206": Answer(Response(BODY, 206), "fetch_failed", *STOP),
    "a body cut short": Answer(Response(BODY, cut_after=len(BODY) - 5), "truncated", *RETRY),
    "a body cut at a line": Answer(Response(BODY, cut_after=BODY.rindex(b"C")), "truncated", *RETRY),
    "chunks without end": Answer(Response(BODY, framing=Framing.CHUNKED, cut_after=20), "truncated", *RETRY),
    "a cut that nothing tells": Answer(
        Response(BODY[:-2], framing=Framing.CLOSE), "input_incomplete", SyncStatus.PENDING, Reason.WAITING
    ),
    "no body": Answer(Response(status=204, framing=Framing.CLOSE), "structure_invalid", *STOP),
    "a gzip bomb": Answer(
        Response(BOMB, headers={"Content-Encoding": "gzip"}), "input_too_large", *STOP, options={"max_ratio": 100}
    ),
    "a body without end": Answer(
        Response(BODY, framing=Framing.CHUNKED, endless=True), "input_too_large", *STOP, options={"max_bytes": 10_000}
    ),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_a_bad_answer_changes_nothing_and_says_when_it_goes_on(shop: Shop, case: str) -> None:
    answer = ANSWERS[case]
    with ScriptedHttpServer([answer.response]) as server:
        prepare(shop, connector=HttpConnector(server.url, allow_private=LOOPBACK, **answer.options))
        assert_nothing_happened(shop, shop.engine.sync("erp"), answer.code)
    state = shop.engine.status("erp")
    assert (state.status, state.reason) == (answer.status, answer.reason)
    if answer.status is SyncStatus.PENDING:
        assert state.failures == (1 if answer.reason is Reason.RETRY else 0), "only a failure climbs the ladder"
    if answer.wait is not None:
        assert state.next_run_at == shop.clock.now() + answer.wait
    if answer.status is SyncStatus.ERROR:
        assert state.next_run_at is None, "a manual source has no schedule to go on"
    assert_good_input_heals(shop)


@pytest.mark.parametrize("head", [True, False], ids=["headers", "body"])
def test_an_answer_that_never_ends_is_given_up_at_the_deadline(shop: Shop, head: bool) -> None:
    drip = Response(BODY, framing=Framing.CHUNKED, endless=True, drip=Drip(size=1, interval=0.02, head=head))
    with ScriptedHttpServer([drip]) as server:
        connector = HttpConnector(server.url, allow_private=LOOPBACK, deadline=0.3)
        prepare(shop, connector=connector)
        real_time = SyncEngine(shop.store)
        real_time.add_source(shop.source(feed=ZERO, connector=connector), exist_ok=True)
        assert_nothing_happened(shop, real_time.sync("erp"), "fetch_timeout", "0.3 s")
    assert shop.engine.status("erp").reason is Reason.RETRY
    assert_good_input_heals(shop)


# --- the stock table ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["sku", "quantity", "location", "as_of", "epoch", "table"])
def test_a_stock_table_without_a_declared_column_is_named_and_left_alone(shop: Shop, part: str) -> None:
    declared = {"table": "stock", "sku": "sku", "quantity": "quantity", part: "nowhere"}
    prepare(shop)
    shop.feed(GOOD)
    shop.engine.update_source(shop.source(sink=SqlStockSink(shop.database, **declared)))
    assert_nothing_happened(shop, shop.engine.sync("erp"), "sink_schema_invalid", "nowhere", "stock")
    assert shop.engine.status("erp").status is SyncStatus.ERROR
    assert_good_input_heals(shop)
