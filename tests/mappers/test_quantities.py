"""Quantities: exact by an oracle in fractions, refused where they are not plain, and the same by the column."""

from __future__ import annotations

import itertools
from decimal import Decimal, localcontext
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inventory_sources.errors import ConfigurationError
from inventory_sources.mappers._reading import read_quantities
from inventory_sources.quantities import NegativePolicy, QuantityFormat, Refusal, read_quantity

PLAIN = QuantityFormat()
LOCALES = {"en": (".", ","), "de": (",", "."), "es": (",", "."), "fr": (",", "\u202f"), "ch": (".", "\u2019")}
FORMATS = [PLAIN, QuantityFormat(grouping=""), QuantityFormat(",", None), *map(QuantityFormat.of, LOCALES)]
FORMATS.append(QuantityFormat.of("en").__class__(".", ",", trailing_minus=True, parentheses_negative=True))

whole_digits = st.text("0123456789", min_size=1, max_size=18)
part_digits = st.text("0123456789", max_size=9)
signs = st.sampled_from(["", "+", "-"])


def value_of(sign: str, whole: str, part: str) -> Fraction:
    return Fraction(int(whole + part), 10 ** len(part)) * (-1 if sign == "-" else 1)


def grouped(whole: str, separator: str) -> str:
    head = len(whole) % 3
    groups = [whole[:head]] if head else []
    return separator.join([*groups, *(whole[at : at + 3] for at in range(head, len(whole), 3))])


@given(signs, whole_digits, part_digits, st.sampled_from(["", " ", "  "]))
def test_a_declared_plain_number_is_read_exactly(sign, whole, part, blank) -> None:
    cell = f"{blank}{sign}{whole}{'.' if part else ''}{part}{blank}"
    with localcontext(prec=3):  # the host's precision does not matter
        answer = read_quantity(cell, QuantityFormat(grouping=""))
    assert isinstance(answer, Decimal)
    assert Fraction(answer) == value_of(sign, whole, part)
    assert not (answer == 0 and answer.is_signed())


@given(st.sampled_from(sorted(LOCALES)), signs, whole_digits, part_digits)
def test_a_locale_reads_what_it_writes(locale, sign, whole, part) -> None:
    decimal, separator = LOCALES[locale]
    for digits in (whole, grouped(whole, separator)):
        cell = f"{sign}{digits}{decimal if part else ''}{part}"
        answer = read_quantity(cell, QuantityFormat.of(locale))
        assert isinstance(answer, Decimal), answer
        assert Fraction(answer) == value_of(sign, whole, part)


@given(signs, whole_digits, part_digits.filter(bool))
def test_undeclared_a_number_that_could_be_two_is_refused_and_no_other(sign, whole, part) -> None:
    could_be_grouped = len(part) == 3 and len(whole) <= 3 and not whole.startswith("0")
    answer = read_quantity(f"{sign}{whole}.{part}", PLAIN)
    if could_be_grouped:
        assert isinstance(answer, Refusal)
        assert answer.reason == "quantity_ambiguous"
    else:
        assert isinstance(answer, Decimal)
        assert Fraction(answer) == value_of(sign, whole, part)


@pytest.mark.parametrize(
    ("cell", "number"),
    [("10.10", "10.10"), ("10.55", "10.55"), ("1.5", "1.5"), ("12.1250", "12.125"), ("0.125", "0.125"), ("+5", "5"),
     ("0.250", "0.25"), ("1234.567", "1234.567"), ("007", "7"), ("-0", "0"), ("-0.00", "0"), (" 5 ", "5"), ("-3", "-3"),
     ("1.0000000000", "1"), ("0" * 30 + "5", "5"), ("9" * 18, "9" * 18), ("-" + "9" * 18, "-" + "9" * 18)],
)  # fmt: skip
def test_plain_numbers(cell, number) -> None:
    assert read_quantity(cell, PLAIN) == Decimal(number)


REFUSED = [
    (None, "null"), ("", "blank"), ("   ", "blank"), ("1.250", "ambiguous"), ("-1.000", "ambiguous"),
    ("1,5", "unreadable"), ("(5)", "unreadable"), ("5-", "unreadable"), (">10", "unreadable"), ("1e3", "unreadable"),
    ("1E+3", "unreadable"), ("NaN", "unreadable"), ("inf", "unreadable"), ("1_000", "unreadable"),
    ("0x10", "unreadable"), ("N/A", "unreadable"), ("-", "unreadable"), ("+", "unreadable"), ("--5", "unreadable"),
    ("- 5", "unreadable"), (".5", "unreadable"), ("5.", "unreadable"), ("1.2.3", "unreadable"), ("5\n", "unreadable"),
    ("\t5", "unreadable"), ("5 pcs", "unreadable"), ("1 000", "unreadable"), ("true", "unreadable"),
    ("\uff11\uff12", "not_ascii"),
    ("٣", "not_ascii"), ("5\u00a0", "not_ascii"), ("\u22125", "not_ascii"), ("½", "not_ascii"),
    ("0.1234567891", "too_precise"), ("1" + "0" * 18, "out_of_range"), ("9" * 400, "out_of_range"),
]  # fmt: skip


@pytest.mark.parametrize(("cell", "reason"), REFUSED)
def test_what_is_not_a_plain_number_is_refused_with_its_reason(cell, reason) -> None:
    answer = read_quantity(cell, PLAIN)
    assert isinstance(answer, Refusal), answer
    assert answer.reason == f"quantity_{reason}"
    assert answer.guidance
    assert len(answer.message) < 250
    if cell and cell.strip() and len(cell) < 80:
        assert ascii(cell) in answer.message


def test_an_ambiguous_number_names_both_readings() -> None:
    answer = read_quantity("1.250", PLAIN)
    assert isinstance(answer, Refusal)
    assert "1250 or 1.25" in answer.message


def test_declared_signs_are_read_and_not_twice() -> None:
    ledger = QuantityFormat(trailing_minus=True, parentheses_negative=True)
    assert [read_quantity(cell, ledger) for cell in ("5-", "(5)", "5", "(0)")] == [-5, -5, 5, 0]
    for cell in ("-5-", "(-5)", "((5))", "(5", "5)", "()", "-"):
        assert isinstance(read_quantity(cell, ledger), Refusal), cell


@pytest.mark.parametrize("cell", ["1,2345", "12,34", "1,234,56", "1,,234", ",123", "1234,567", "1'234,567"])
def test_groups_are_of_three_digits_and_one_kind(cell) -> None:
    assert isinstance(read_quantity(cell, QuantityFormat(".", ",'")), Refusal)


@pytest.mark.parametrize(
    ("decimal", "grouping"), [("", None), (".", "."), ("..", None), ("5", None), (".", "-"), (".", "''")]
)
def test_a_format_that_cannot_tell_its_signs_apart_is_refused(decimal, grouping) -> None:
    with pytest.raises(ConfigurationError):
        QuantityFormat(decimal, grouping)


def test_an_unknown_locale_names_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="ch, de, en, es, fr"):
        QuantityFormat.of("klingon")


def by_scalar(cells, form, negative):
    for cell in cells:
        answer = read_quantity(cell, form)
        if isinstance(answer, Refusal) or (answer < 0 and negative is NegativePolicy.REJECT):
            yield None
        else:
            yield max(answer, Decimal(0)) if negative is NegativePolicy.ZERO else answer


odd_cells = st.one_of(
    st.none(),
    st.text("0123456789+-.,' ()eE_x\uff11٣\u202f\u2019\u00a0\t\n", max_size=8),
    st.integers(-(10**20), 10**20).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**19), max_value=10**19).map(str),
    st.sampled_from([cell for cell, _ in REFUSED]),
)


@given(st.lists(odd_cells, max_size=12), st.sampled_from(FORMATS), st.sampled_from(NegativePolicy))
@example(["-5", "7", None, "1.5", "9" * 18, "1" + "0" * 18, "-1" + "0" * 18], PLAIN, NegativePolicy.REJECT)
@example([None, "N/A", "-5", "-0", "-0.5"], PLAIN, NegativePolicy.ZERO)
@example([], PLAIN, NegativePolicy.KEEP)
def test_the_column_reads_what_the_single_cell_reads(cells, form, negative) -> None:
    column = read_quantities(pl.Series(cells, dtype=pl.String), form, negative)
    assert column.dtype == pl.Decimal(38, 9)
    assert column.to_list() == list(by_scalar(cells, form, negative))


def test_the_column_s_fast_path_takes_nothing_that_the_grammar_refuses() -> None:
    alphabet = "019+-. eE_,x\t\n\uff11٣'"
    cells = ["".join(signs) for size in range(5) for signs in itertools.product(alphabet, repeat=size)]
    column = read_quantities(pl.Series(cells), PLAIN, NegativePolicy.KEEP).to_list()
    wrong = [
        cell
        for cell, value, truth in zip(cells, column, by_scalar(cells, PLAIN, NegativePolicy.KEEP), strict=True)
        if value != truth
    ]
    assert wrong == []
