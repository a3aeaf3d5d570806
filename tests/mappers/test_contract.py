"""Our mappers, and one that knows nothing of columns, keep the mapper's contract."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from inventory_sources.batch import Rejection, RejectionKind, StockBatch, StockLevel
from inventory_sources.errors import HeadingInvalid
from inventory_sources.mappers import Columns, TableIdentity
from inventory_sources.protocols.mapper import DuplicatePolicy
from inventory_sources.testing.mappers import MapperContract


class TestColumns(MapperContract):
    def make_mapper(self):
        return Columns("sku", "qty")

    def record(self, sku, quantity):
        return {"SKU": sku, "Qty": quantity}


class TestColumnsWithTable(MapperContract):
    def make_mapper(self):
        return Columns("sku", "qty", identity=TableIdentity({"A-1": "one", "00123": "two", "B 2": "three"}))

    def record(self, sku, quantity):
        return {"sku": sku, "qty": quantity, "note": "x"}

    def product(self, sku):
        return {"A-1": "one", "00123": "two", "B 2": "three"}[sku]


class PlainMapper:
    duplicates = DuplicatePolicy.ERROR

    def select(self, headings):
        if missing := {"sku", "qty"} - set(headings):
            raise HeadingInvalid(f"missing: {missing}")
        return ["sku", "qty"]

    def map(self, raw, context):
        for place, cells in raw.records():
            sku = (cells["sku"] or "").strip()
            quantity = cells["qty"] or ""
            if re.fullmatch(r"[0-9]+(\.[0-9]+)?", quantity):
                yield StockLevel(sku, Decimal(quantity), place=place)
            else:
                yield Rejection(RejectionKind.INVALID, "bad", "bad", "mend it", place, cells, sku=sku or None)


class TestPlainMapper(MapperContract):
    def make_mapper(self):
        return PlainMapper()

    def record(self, sku, quantity):
        return {"sku": sku, "qty": quantity}


class ZeroForBlank(PlainMapper):
    def map(self, raw, context):
        for place, cells in raw.records():
            yield StockLevel(cells["sku"] or "?", Decimal(cells["qty"] or 0), place=place)


class DropsTheLast(PlainMapper):
    def map(self, raw, context):
        return list(super().map(raw, context))[:-1]


@pytest.mark.parametrize(
    ("mapper", "broken"),
    [
        (ZeroForBlank, "test_an_unreadable_quantity_is_never_a_number"),
        (ZeroForBlank, "test_a_row_without_a_sku_is_refused_and_makes_absence_unproven"),
        (DropsTheLast, "test_each_row_ends_in_exactly_one_place"),
        (DropsTheLast, "test_good_rows_become_exact_levels_at_their_place"),
    ],
)
def test_the_contract_finds_a_mapper_that_breaks_it(mapper, broken) -> None:
    class Broken(TestPlainMapper):
        def make_mapper(self):
            return mapper()

    with pytest.raises(AssertionError):
        getattr(Broken(), broken)()


def test_the_contract_finds_a_mapper_that_ignores_a_missing_column() -> None:
    class Lax(TestPlainMapper):
        def make_mapper(self):
            mapper = PlainMapper()
            mapper.select = lambda headings: [heading for heading in headings if heading in {"sku", "qty"}]
            return mapper

    with pytest.raises(AssertionError):
        Lax().test_only_what_was_found_is_selected_and_what_is_missing_refused()


def test_a_batch_counts_its_rows() -> None:
    batch = StockBatch.from_levels([StockLevel("A", Decimal(1)), StockLevel("B", Decimal(2))])
    assert (batch.rows, batch.mapped_rows, batch.origins) == (2, 2, (("mapper", "level"),))
