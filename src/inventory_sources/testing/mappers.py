"""The contract of a mapper, as tests to inherit.

Five lines run one of your own through it::

    class TestErpMapper(MapperContract):
        def make_mapper(self):
            return ErpMapper()

        def record(self, sku, quantity):
            return {"item": sku, "available": quantity}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from inventory_sources.batch import RawBatch, Rejection, RejectionKind, RejectionLog, StockBatch
from inventory_sources.errors import HeadingInvalid
from inventory_sources.protocols.mapper import DuplicatePolicy, MapContext, Mapper

__all__ = ["MapperContract"]

_NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
_GOOD = (("A-1", "5"), ("00123", "0"), ("B 2", "12.5"))
_UNREADABLE = (None, "", " ", "N/A", "-", "NaN", "1e3", "\uff11\uff12", "1_000", ">10")


class MapperContract:
    """What every mapper keeps: each row ends in one place, nothing is invented, counts add up, places stay."""

    def make_mapper(self) -> Mapper:
        """The mapper to test, knowing the products ``A-1``, ``00123`` and ``B 2``."""
        raise NotImplementedError

    def record(self, sku: str | None, quantity: str | None) -> Mapping[str, object]:
        """A record of the mapper's feed, by heading, that says this; both are to be put in as they are."""
        raise NotImplementedError

    def product(self, sku: str) -> str:
        """The product's SKU that an identifier of the feed means; itself, unless the mapper translates."""
        return sku

    def test_good_rows_become_exact_levels_at_their_place(self) -> None:
        """Every SKU with its quantity, none rounded, none lost."""
        batch = self._map(_GOOD)
        levels = [
            (row["sku"], row["quantity"], row["number"]) for row in batch.frame.sort("number").iter_rows(named=True)
        ]
        assert levels == [
            (self.product(sku), Decimal(quantity), number) for number, (sku, quantity) in enumerate(_GOOD, 7)
        ]
        assert batch.rejections.total == 0

    def test_an_unreadable_quantity_is_never_a_number(self) -> None:
        """Blank, null and words are refused, each at its place, and the product counts as mentioned."""
        for quantity in _UNREADABLE:
            batch = self._map([("A-1", quantity)])
            assert batch.frame.height == 0, f"{quantity!r} became a level"
            (rejection,) = batch.rejections.kept
            assert rejection.kind is RejectionKind.INVALID, f"{quantity!r} is {rejection.kind}"
            assert (rejection.place.origin, rejection.place.number) == ("contract", 7)
            assert rejection.reason
            assert rejection.guidance
            assert batch.mentioned is not None or batch.unidentified == 1, "an unreadable row looks like an absent SKU"

    def test_a_row_without_a_sku_is_refused_and_makes_absence_unproven(self) -> None:
        """Nobody can tell which product it was."""
        for sku in (None, "", "  "):
            batch = self._map([(sku, "5")])
            assert (batch.frame.height, batch.unidentified) == (0, 1), f"{sku!r}"

    def test_each_row_ends_in_exactly_one_place(self) -> None:
        """Levels and rejections together are the rows, each once."""
        rows = [*_GOOD, ("A-1", "N/A"), (None, "5"), ("B 2", None), ("no such product", "1")]
        batch = self._map(rows)
        places = Counter([*batch.frame["number"], *(rejection.place.number for rejection in batch.rejections.kept)])
        assert places == Counter(range(7, 7 + len(rows)))
        assert batch.rows == len(rows)

    def test_damaged_rows_of_the_input_are_counted_once(self) -> None:
        """What could not be read as a row at all stays in the counts."""
        raw = self._raw(_GOOD)
        broken = Rejection(RejectionKind.INVALID, "row_damaged", "cut off", "Send it again.", raw.place(99))
        raw.damaged = RejectionLog()
        raw.damaged.add(RejectionKind.INVALID, 1, [broken])
        batch = self._collected(self.make_mapper(), raw)
        assert batch.rows == raw.rows == len(_GOOD) + 1
        assert batch.unidentified == 1

    def test_only_what_was_found_is_selected_and_what_is_missing_refused(self) -> None:
        """`select` gives headings as they are written, and misses none in silence."""
        mapper, headings = self.make_mapper(), list(self.record("A-1", "5"))
        needed = list(mapper.select([*headings, "something else"]))
        assert set(needed) <= set(headings)
        for heading in needed:
            try:
                mapper.select([other for other in headings if other != heading])
            except HeadingInvalid:
                continue
            raise AssertionError(f"{heading!r} is missing and nothing was said")

    def test_the_same_rows_map_the_same_way_again(self) -> None:
        """Nothing is remembered from batch to batch."""
        mapper = self.make_mapper()
        raws = [self._raw(_GOOD), self._raw([("A-1", "N/A")]), self._raw(_GOOD)]
        first, _, last = [self._collected(mapper, raw) for raw in raws]
        assert first.frame.equals(last.frame)
        assert isinstance(mapper.duplicates, DuplicatePolicy)

    def _raw(self, rows: Iterable[tuple[str | None, str | None]]) -> RawBatch:
        return RawBatch.from_records([self.record(*row) for row in rows], "contract", first=7)

    def _map(self, rows: Sequence[tuple[str | None, str | None]]) -> StockBatch:
        return self._collected(self.make_mapper(), self._raw(rows))

    def _collected(self, mapper: Mapper, raw: RawBatch) -> StockBatch:
        mapped = mapper.map(raw, MapContext(_NOW))
        if isinstance(mapped, StockBatch):
            return mapped
        # As the engine does: a plain mapper never sees the rows that were damaged.
        batch = StockBatch.from_levels(mapped)
        batch.rejections.merge(raw.damaged)
        batch.unidentified += raw.damaged.total
        return batch
