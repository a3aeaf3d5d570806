"""SKUs and locations: kept as written, or refused; the column reads what the single cell reads."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inventory_sources.mappers import STEPS
from inventory_sources.mappers._identifiers import normalise, read_identifier
from inventory_sources.mappers._reading import read_identifiers
from inventory_sources.quantities import Refusal


@pytest.mark.parametrize(
    "sku",
    [
        "00123",
        "1.5",
        "12E5",
        "1e5",
        "A+B",
        "é-ü",
        "SKU 1",
        "=1+1",
        "N/A",
        "0",
        "\uff11\uff12",
        "'",
        "'A",
        'A"',
        "A'B'",
        '6" x 4"',
    ],
)
def test_a_sku_stays_as_it_is_written(sku) -> None:
    assert read_identifier(sku, "sku") == sku
    assert read_identifier(f" \t{sku}\u00a0", "sku") == sku


@pytest.mark.parametrize(
    ("cell", "reason"),
    [(None, "sku_blank"), ("", "sku_blank"), (" \u00a0", "sku_blank"), ("1.23E+12", "sku_scientific"),
     ("1,23E+12", "sku_scientific"), (" 4e+10 ", "sku_scientific"), ("A\x00B", "sku_unreadable"),
     ("A\nB", "sku_unreadable"), ("A\ufffdB", "sku_unreadable"), ("A\x85B", "sku_unreadable"),
     ("A\u200bB", "sku_unreadable"), ("\ufeffA", "sku_unreadable"), ("A\u2028B", "sku_unreadable"),
     ("'A-1'", "sku_quoted"), ('"A-1"', "sku_quoted"), ("\u201cA\u201d", "sku_quoted"), ("''", "sku_quoted"),
     ("A" * 256, "sku_too_long")],
)  # fmt: skip
def test_a_damaged_sku_is_refused_with_its_reason(cell, reason) -> None:
    answer = read_identifier(cell, "sku")
    assert isinstance(answer, Refusal), answer
    assert answer.reason == reason
    assert answer.guidance


def test_only_a_sku_is_suspected_of_a_spreadsheet() -> None:
    assert read_identifier("1E+3", "location") == "1E+3"


texts = st.one_of(
    st.none(),
    st.text(max_size=6),
    st.text("AbZ09 -_+.Ee\t\x00\ufffd\u00a0é\x1c\x85'\"`\u200b", max_size=6),
    st.sampled_from(["1.23E+12", "A" * 255, "A" * 256, " " + "B" * 255 + " ", "000", "-", " x "]),
)
some_steps = st.lists(st.sampled_from(sorted(STEPS)), max_size=3).map(tuple)


@given(st.lists(texts, max_size=8), some_steps)
@example(["a", " a", "", None, "A" * 256, "000", "- -"], ("strip_zeros", "remove_hyphens", "upper"))
@example(["a", "a", "a"], ())
@example([None, None], ())
@example(["a", None, "a"], ())
@example(["", ""], ())
def test_the_column_reads_what_the_single_cell_reads(cells, steps) -> None:
    def truth(cell):
        answer = read_identifier(cell, "sku")
        return None if isinstance(answer, Refusal) else normalise(answer, steps)

    column = read_identifiers(pl.Series(cells, dtype=pl.String), "sku", steps)
    assert column.to_list() == [truth(cell) for cell in cells]


@given(st.text(min_size=1), some_steps)
def test_no_step_leaves_nothing(sku, steps) -> None:
    assert normalise(sku, steps)


def test_steps_are_taken_in_their_order() -> None:
    assert normalise("-00ab-1", ("strip_zeros", "remove_hyphens", "upper")) == "00AB1"
    assert normalise("-00ab-1", ("remove_hyphens", "strip_zeros", "upper")) == "AB1"
    assert normalise("000", ("strip_zeros",)) == "000"
