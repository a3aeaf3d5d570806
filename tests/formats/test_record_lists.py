"""Where a document has lists of records, as paths that lead there."""

from __future__ import annotations

import pytest

from inventory_sources import _json

ROWS = [{"sku": "A"}, {"sku": "B"}]


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (ROWS, ""),
        ({"items": ROWS}, "items"),
        ({"data": {"stock": ROWS}}, "data.stock"),
        ({"odata.value": ROWS}, "/odata.value"),
        ({"a": {"": ROWS}}, "/a/"),
        ({"": ROWS}, "/"),
        ({"/a": {"b": ROWS}}, "/~1a/b"),
        ({"a": {"b/c~d": ROWS}}, "a.b/c~d"),
        ({"a.b": {"c~d/e": ROWS}}, "/a.b/c~0d~1e"),
    ],
)
def test_each_list_of_objects_is_found_by_a_path_that_leads_there(document: object, path: str) -> None:
    assert _json.record_lists(document) == {path: 2}
    assert _json.follow(document, path) is ROWS


def test_lists_are_told_in_order_empty_ones_too_and_lists_of_other_values_are_not() -> None:
    document = {"a": [], "b": [1], "c": {"d": [{}, {}]}, "e": [{"inner": [{}]}], "f": [{}, 1]}
    assert _json.record_lists(document) == {"a": 0, "c.d": 2, "e": 1}


def test_a_document_of_a_list_for_each_product_is_told_by_the_first_few() -> None:
    assert list(_json.record_lists({f"sku{number}": ROWS for number in range(1000)})) == [f"sku{n}" for n in range(8)]
