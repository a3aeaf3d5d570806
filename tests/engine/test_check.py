"""What `check` tells on first contact with an API: where the records are, whether the list is whole, what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from inventory_sources import Columns, CsvDecoder, MemorySink, Source
from inventory_sources.engine import CheckReport
from inventory_sources.feed import Feed
from inventory_sources.payload import Evidence, Proof
from inventory_sources.rest import Manners, OnePage, PageNumber, RestConnector
from inventory_sources.testing.servers import Response, ScriptedHttpServer

from .conftest import Shop
from .test_inputs import Yielding

STOCK = [
    {"sku": "A", "qty": 5},
    {"sku": "B", "qty": None},
    {"sku": "C", "qty": "N/A"},
    {"sku": "Z", "qty": 3},
    {"sku": "", "qty": 3},
    {"sku": "D", "qty": "1e3"},
]
ANSWER = {"meta": {"total": 6}, "tags": [{"id": 1}], "data": {"stock": STOCK}, "notes": ["x"]}


def checked(
    shop: Shop, document: object = ANSWER, columns: tuple[str, str] = ("sku", "qty"), **rest: Any
) -> CheckReport:
    """The report on an API that gives one document whatever it is asked."""
    answers = [Response(json.dumps(document).encode(), headers={"Content-Type": "application/json"})]
    with ScriptedHttpServer(answers) as server:
        options = {"allow_private": ("127.0.0.0/8",), "allow_plaintext": True, "manners": Manners(tries=1), **rest}
        source = Source(
            name="erp",
            connector=RestConnector(f"{server.url}stock", **options),
            mapper=Columns(*columns),
            feed=Feed.snapshot("on_hand"),
            sink=MemorySink({"A": 1, "B": 2, "C": 3}),
        )
        return shop.engine.check(source)


@pytest.mark.parametrize("path", ["items", "", "notes", "data.stock.rows"])
def test_a_wrong_path_to_the_records_is_answered_by_where_there_are_lists(shop: Shop, path: str) -> None:
    report = checked(shop, records=path)
    assert (report.ok, report.reached) == (False, True)
    assert report.lists == {"tags": 1, "data.stock": 6}
    assert report.suggested_options == {"records": "data.stock"}
    assert report.suggested_format is None, "a connector that reads the documents itself needs no decoder"
    lines = str(report).splitlines()
    assert "lists found at 'tags' (1 record), 'data.stock' (6 records)" in lines
    assert "declare records='data.stock'" in lines


def test_a_document_without_any_list_of_records_suggests_nothing(shop: Shop) -> None:
    report = checked(shop, {"error": "no such page"}, records="items")
    assert (report.ok, report.lists, report.suggested_options) == (False, {}, {})
    assert "'error'" in str(report)


def test_the_list_is_looked_for_in_what_the_document_is_reshaped_to(shop: Shop) -> None:
    report = checked(shop, records="rows", reshape="{rows_of: data.stock}")
    assert report.lists == {"rows_of": 6}


def test_the_right_path_shows_columns_completeness_and_each_kind_of_row(shop: Shop) -> None:
    report = checked(shop, records="data.stock", pager=PageNumber(total="meta.total"))
    assert (report.ok, report.headings, report.sample[0]) == (True, ("sku", "qty"), ("A", "5"))
    assert report.evidence == Evidence(frozenset({Proof.COUNT, Proof.LAST_PAGE}))
    assert (report.rows, report.matched, report.invalid, report.unmapped) == (6, 1, 4, 1)
    assert str(report).splitlines()[1:] == [
        "columns: sku, qty",
        "proven complete by the number of records it declares and its last page; the source says it has 6 records",
        "1 of 6 rows match a product",
        "no product answers to 1 row, such as 'Z'",
        "4 rows cannot be read:",
        "  record 2, column 'qty': the quantity is null",
        "  record 3, column 'qty': the quantity 'N/A' is not a number in the declared format",
        "  record 5, column 'sku': the sku is blank",
        "suggested sku: sku",
        "suggested quantity: qty",
    ]
    assert (
        str(checked(shop, records="data.stock", pager=PageNumber(total="meta.total"))).splitlines()[1:]
        == (str(report).splitlines()[1:])
    )


def test_an_answer_that_nothing_proves_to_be_all_is_told_so_and_a_declared_one_is_not(shop: Shop) -> None:
    told = "not proven complete, so what is not in it keeps its level"
    document = {"data": {"stock": STOCK}}
    assert told in str(checked(shop, document, records="data.stock"))
    assert told not in str(checked(shop, document, records="data.stock", pager=OnePage()))


def test_the_total_is_told_where_pages_that_shift_prove_nothing(shop: Shop) -> None:
    def page(number: int) -> Response:
        document = {"total": 3, "rows": [{"sku": "ABC"[number - 1], "qty": number}]}
        return Response(json.dumps(document).encode(), headers={"Content-Type": "application/json"})

    with ScriptedHttpServer([page(1), page(1), page(2), page(3)]) as server:
        connector = RestConnector(
            server.url, records="rows", pager=PageNumber(total="total"), allow_private=("127.0.0.0/8",)
        )
        report = shop.engine.check(shop.source(connector, decoder=None, mapper=Columns(quantity="qty")))
    assert (report.rows, report.declared_records) == (3, 3)
    line = "not proven complete, so what is not in it keeps its level; the source says it has 3 records"
    assert line in str(report).splitlines()


def test_a_wrong_column_shows_those_that_there_are(shop: Shop) -> None:
    report = checked(shop, records="data.stock", columns=("sku", "on hand"))
    assert not report.ok
    assert report.headings == ("sku", "qty")
    assert report.suggested_mapping == {"sku": "sku", "quantity": "qty"}


def test_rows_of_several_inputs_name_them_and_a_file_names_its_lines(shop: Shop) -> None:
    shop.stock(A=1)
    shop.feed("SKU,Qty On Hand\nA,1\nA2,x\n")
    one = shop.engine.check(shop.source(mapper=Columns(quantity="qty on hand")))
    assert one.faults == ("line 3, column 'Qty On Hand': the quantity 'x' is not a number in the declared format",)
    connector = Yielding({"sku": "A", "quantity": "x"}, b"sku,quantity\nA,y\n")
    two = shop.engine.check(shop.source(connector, decoder=CsvDecoder()))
    assert [fault.partition(":")[0] for fault in two.faults] == [
        "records of erp, record 1, column 'quantity'",
        "erp part 2, line 2, column 'quantity'",
    ]
