"""Headings are found as people write them, and never by guess."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory_sources.errors import HeadingInvalid
from inventory_sources.headings import find, fold


@pytest.mark.parametrize(
    "written",
    ["qty_on_hand", "Qty On-Hand", " QTYONHAND ", "\ufeffqty on hand", "qty\u00a0on hand", "\uff31ty_on_hand"],
)
def test_a_heading_is_found_however_it_is_written(written) -> None:
    assert find("qty_on_hand", ["sku", written, "qty"]) == written


def test_a_path_into_a_record_is_a_heading_like_any_other() -> None:
    assert find("variant.sku", ["id", "Variant.SKU", "sku"]) == "Variant.SKU"


@given(st.text())
def test_folding_twice_changes_nothing(heading) -> None:
    assert fold(fold(heading)) == fold(heading)


def test_a_missing_heading_names_what_was_found_and_what_comes_close() -> None:
    with pytest.raises(HeadingInvalid) as caught:
        find("quantity", ["SKU", "Quantty"])
    assert "'quantity'" in caught.value.message
    assert "'SKU', 'Quantty'" in caught.value.message
    assert "'Quantty'" in caught.value.guidance


@pytest.mark.parametrize(("sign", "name"), [(";", "semicolon"), ("\t", "tab"), ("|", "pipe"), (",", "comma")])
def test_a_wrong_delimiter_is_named(sign, name) -> None:
    with pytest.raises(HeadingInvalid) as caught:
        find("sku", [f"sku{sign}qty"])
    assert name in caught.value.guidance


@pytest.mark.parametrize("headings", [["SKU", "sku"], ["s_k_u", "sku", "qty"]])
def test_two_headings_that_could_be_meant_are_refused(headings) -> None:
    with pytest.raises(HeadingInvalid, match="any of"):
        find("sku", headings)


@pytest.mark.parametrize("headings", [[], [""], ["-"], ["x" * 5000] * 200])
def test_nothing_to_find_is_an_error_of_bounded_length(headings) -> None:
    with pytest.raises(HeadingInvalid) as caught:
        find("sku" if headings != ["-"] else "_", headings)
    assert len(str(caught.value)) < 5000
