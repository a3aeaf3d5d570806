"""The contract of a stock sink, as tests that run against any implementation.

Subclass it in a test module and say how a sink with given levels is made::

    class TestErpSink(StockSinkContract):
        def make_sink(self, levels, *, locations, inserts):
            table = fresh_table(levels)
            return ErpSink(table)

Tests for what a sink does not declare (locations, inserts, comparing, fencing) pass over it. Set ``places`` to the
decimal places the sink keeps, ``locations`` to ``False`` where it knows none, ``many`` to more items than it writes
at once, ``fills`` to ``False`` where a level that is null cannot be written, and ``whole`` to ``False`` where it has no
transaction around all of its batches.
"""

# ruff: noqa: D102  a test's name is its sentence

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from inventory_sources.errors import LeaseLost, SinkError
from inventory_sources.payload import Evidence
from inventory_sources.plan import Outcome, PlanCause, PlanFigures, PlanItem, SyncPlan
from inventory_sources.protocols.sink import (
    ApplyContext,
    ApplyResult,
    Changes,
    CurrentLevel,
    SinkLevel,
    SinkTraits,
    StockSink,
)
from inventory_sources.run import RunCounts

if TYPE_CHECKING:
    import polars as pl

__all__ = ["StockSinkContract", "change", "changes_of", "levels_of"]

#: When the items of :func:`change` were observed, unless told otherwise.
NOON = datetime(2026, 1, 31, 12, 0, 0, 250_001, tzinfo=UTC)


def change(
    sku: str,
    old: Decimal | int | str | None,
    new: Decimal | int | str,
    *,
    location: str = "",
    as_of: datetime = NOON,
) -> PlanItem:
    """An item that is to change from ``old`` to ``new``."""
    before = None if old is None else Decimal(old)
    return PlanItem(sku, location, before, Decimal(new), as_of, Outcome.CHANGED, PlanCause.FEED)


def changes_of(items: Iterable[PlanItem], source: str = "erp") -> Changes:
    """The changes of a plan that has just these items."""
    rows = list(items)
    changed = sum(item.outcome is Outcome.CHANGED for item in rows)
    counts = RunCounts(
        rows=len(rows), mapped=len(rows), items=len(rows), changed=changed, unchanged=len(rows) - changed
    )
    figures = PlanFigures(len(rows), len(rows), None, 0, len(rows), changed, 0, 0, 0, snapshot=False)
    return Changes(SyncPlan(source, 1, _frame(rows), counts, figures, Evidence()))


def _frame(items: Sequence[PlanItem]) -> pl.DataFrame:
    import polars as pl

    quantity = pl.Decimal(38, 9)
    schema: dict[str, Any] = {"sku": pl.String, "location": pl.String, "old": quantity, "new": quantity}
    schema |= {"as_of": pl.Datetime("us", "UTC"), "outcome": pl.String, "cause": pl.String}
    schema |= {"part": pl.UInt32, "number": pl.Int64}
    rows = [
        (item.sku, item.location, item.old, item.new, item.as_of, item.outcome.value, item.cause.value, None, None)
        for item in items
    ]
    return pl.DataFrame(rows, schema=schema, orient="row")


def levels_of(sink: StockSink, skus: Sequence[str] | None = None) -> dict[tuple[str, str], Decimal | None]:
    """A sink's quantities by SKU and location.

    :raises AssertionError: when a key comes twice.
    """
    plain = list(_each(sink.levels(skus)))
    levels = {(level.sku, level.location): level.quantity for level in plain}
    assert len(levels) == len(plain), "a key came twice"
    return levels


def _each(found: pl.DataFrame | Iterable[CurrentLevel]) -> Iterable[CurrentLevel]:
    import polars as pl

    if not isinstance(found, pl.DataFrame):
        return found
    rows = found.select("sku", "quantity", "location", "as_of").iter_rows()
    return [CurrentLevel(*row) for row in rows]


class StockSinkContract:
    """Tests of the promises in :mod:`inventory_sources.protocols.sink`; see the module."""

    places = 0
    locations = True
    many = 12_000
    fills = True
    whole = True

    def make_sink(self, levels: Sequence[CurrentLevel], *, locations: bool, inserts: bool) -> StockSink:
        """A sink in which exactly these levels stand.

        :param locations: whether the levels have locations; never true where the class says ``locations = False``.
        :param inserts: whether it shall insert; a sink that cannot says so in its traits.
        """
        raise NotImplementedError

    def context(self, sink: StockSink, epoch: int = 1) -> ApplyContext:
        """What ``apply`` is given; override it for a sink that needs the store's connection."""
        return ApplyContext("erp", f"run-{epoch}", epoch)

    def _sink(self, *levels: CurrentLevel, inserts: bool = False) -> tuple[StockSink, SinkTraits]:
        sink = self.make_sink(levels, locations=any(level.location for level in levels), inserts=inserts)
        return sink, sink.describe()

    def _apply(self, sink: StockSink, *items: PlanItem, epoch: int = 1) -> dict[tuple[str, str], Outcome]:
        return _outcomes(sink.apply(changes_of(items), self.context(sink, epoch)))

    def test_it_says_what_it_is_each_time_the_same(self) -> None:
        sink, traits = self._sink(CurrentLevel("A", Decimal(5)))
        assert traits.places == self.places
        assert sink.describe() == traits

    def test_levels_come_back_exactly_and_null_is_not_zero(self) -> None:
        fine = Decimal(12) + Decimal(1).scaleb(-self.places)
        levels = {"A": fine, "B": Decimal(0), "C": None, "D": Decimal(99_999_999)}
        sink, _ = self._sink(*(CurrentLevel(sku, quantity) for sku, quantity in levels.items()))
        assert levels_of(sink) == {(sku, ""): quantity for sku, quantity in levels.items()}

    def test_only_the_levels_asked_for_come_and_unknown_skus_are_left_out(self) -> None:
        sink, _ = self._sink(CurrentLevel("A", Decimal(1)), CurrentLevel("B", Decimal(2)))
        assert levels_of(sink, ["B", "Z", "B"]) == {("B", ""): Decimal(2)}
        assert levels_of(sink, []) == {}

    def test_what_is_written_is_what_is_read(self) -> None:
        fine = Decimal(7) + Decimal(3).scaleb(-self.places)
        sink, _ = self._sink(*(CurrentLevel(sku, Decimal(5)) for sku in "ABC"))
        assert self._apply(sink, change("A", 5, fine), change("C", 5, 0)) == {}
        assert levels_of(sink) == {("A", ""): fine, ("B", ""): Decimal(5), ("C", ""): Decimal(0)}

    def test_a_null_level_can_be_filled(self) -> None:
        sink, _ = self._sink(CurrentLevel("A", None))
        found = self._apply(sink, change("A", None, 4))
        assert found == ({} if self.fills else {("A", ""): Outcome.FAILED})
        assert levels_of(sink) == {("A", ""): Decimal(4) if self.fills else None}

    def test_no_changes_change_nothing(self) -> None:
        sink, _ = self._sink(CurrentLevel("A", Decimal(5)))
        assert self._apply(sink) == {}
        assert levels_of(sink) == {("A", ""): Decimal(5)}

    def test_skus_are_compared_exactly(self) -> None:
        skus = ["00123", "123", "SKU-a", "SKU-b", "é", "%", "a'b", 'a"b', "a\\b", "\u65e5\u672c"]
        sink, _ = self._sink(*(CurrentLevel(sku, Decimal(5)) for sku in skus))
        missing = ["0123", "sku-a", "SKU-a ", " SKU-a", "e", "É", "_"]
        asked = [change(sku, 5, 9) for sku in (*missing, "00123", "SKU-b")]
        assert self._apply(sink, *asked) == {(sku, ""): Outcome.FAILED for sku in missing}
        assert levels_of(sink) == {(sku, ""): Decimal(9 if sku in {"00123", "SKU-b"} else 5) for sku in skus}
        assert levels_of(sink, missing) == {}
        for sku in missing:
            assert self._apply(sink, change(sku, 5, 8), epoch=2) == {(sku, ""): Outcome.FAILED}
        assert Decimal(8) not in levels_of(sink).values()

    def test_a_row_that_stands_at_the_new_level_is_unchanged(self) -> None:
        sink, _ = self._sink(CurrentLevel("A", Decimal(7)), CurrentLevel("B", Decimal(5)))
        assert self._apply(sink, change("A", 5, 7), change("B", 5, 7)) == {("A", ""): Outcome.UNCHANGED}
        assert levels_of(sink) == {("A", ""): Decimal(7), ("B", ""): Decimal(7)}

    def test_the_same_apply_again_changes_nothing(self) -> None:
        sink, _ = self._sink(CurrentLevel("A", Decimal(5)))
        assert self._apply(sink, change("A", 5, 7)) == {}
        assert self._apply(sink, change("A", 5, 7)) == {("A", ""): Outcome.UNCHANGED}

    def test_a_row_that_is_gone_fails_alone(self) -> None:
        sink, _ = self._sink(CurrentLevel("A", Decimal(5)), inserts=True)
        assert self._apply(sink, change("Z", 5, 7), change("A", 5, 7)) == {("Z", ""): Outcome.FAILED}
        assert levels_of(sink) == {("A", ""): Decimal(7)}

    def test_a_product_without_a_row_gets_one_only_where_the_sink_inserts(self) -> None:
        for inserts in (False, True):
            sink, traits = self._sink(CurrentLevel("A", Decimal(5)), inserts=inserts)
            found = self._apply(sink, change("N", None, 3), change("A", 5, 6))
            assert found == ({} if traits.inserts else {("N", ""): Outcome.FAILED})
            new = {("N", ""): Decimal(3)} if traits.inserts else {}
            assert levels_of(sink) == {("A", ""): Decimal(6), **new}

    def test_a_finer_quantity_than_the_sink_keeps_is_not_rounded(self) -> None:
        if self.places >= 9:
            return
        finer = Decimal(1) + Decimal(5).scaleb(-self.places - 1)
        sink, _ = self._sink(CurrentLevel("A", Decimal(5)), CurrentLevel("B", Decimal(5)))
        assert self._apply(sink, change("A", 5, finer), change("B", 5, 6)) == {("A", ""): Outcome.FAILED}
        assert levels_of(sink) == {("A", ""): Decimal(5), ("B", ""): Decimal(6)}

    def test_locations_are_told_apart(self) -> None:
        if not self.locations:
            return
        sink, _ = self._sink(
            CurrentLevel("A", Decimal(1), "north"),
            CurrentLevel("A", Decimal(1), "south"),
            CurrentLevel("A", Decimal(1)),
        )
        found = self._apply(sink, change("A", 1, 2, location="south"), change("A", 1, 2, location="South"))
        assert found == {("A", "South"): Outcome.FAILED}
        assert levels_of(sink) == {("A", "north"): Decimal(1), ("A", "south"): Decimal(2), ("A", ""): Decimal(1)}
        assert self._apply(sink, change("A", 1, 3)) == {}
        assert levels_of(sink)["A", ""] == Decimal(3)

    def test_what_moved_on_in_between_is_left_alone(self) -> None:
        sink, traits = self._sink(CurrentLevel("A", Decimal(4)), CurrentLevel("B", Decimal(5)))
        found = self._apply(sink, change("A", 5, 7), change("B", 5, 7))
        if traits.level is SinkLevel.COMPARE_AND_SET:
            assert found == {("A", ""): Outcome.FAILED}
            assert levels_of(sink) == {("A", ""): Decimal(4), ("B", ""): Decimal(7)}

    def test_an_older_observation_never_wins(self) -> None:
        sink, traits = self._sink(CurrentLevel("A", Decimal(5)), CurrentLevel("B", Decimal(5)))
        self._apply(sink, change("A", 5, 7))
        older = NOON - timedelta(microseconds=1)
        found = self._apply(sink, change("A", 7, 9, as_of=older), change("B", 5, 9, as_of=older), epoch=2)
        if traits.level is SinkLevel.FENCED:
            assert found == {("A", ""): Outcome.STALE}
            assert levels_of(sink) == {("A", ""): Decimal(7), ("B", ""): Decimal(9)}

    def test_of_two_observations_of_one_moment_the_later_receipt_wins(self) -> None:
        sink, _ = self._sink(CurrentLevel("A", Decimal(5)))
        self._apply(sink, change("A", 5, 7))
        assert self._apply(sink, change("A", 7, 9), epoch=2) == {}
        assert levels_of(sink) == {("A", ""): Decimal(9)}

    def test_an_unchanged_row_remembers_the_later_observation(self) -> None:
        sink, traits = self._sink(CurrentLevel("A", Decimal(7)))
        self._apply(sink, change("A", 5, 7))
        found = self._apply(sink, change("A", 7, 9, as_of=NOON - timedelta(seconds=1)), epoch=2)
        if traits.level is SinkLevel.FENCED:
            assert found == {("A", ""): Outcome.STALE}

    def test_a_worker_that_lost_its_lease_writes_nothing(self) -> None:
        sink, traits = self._sink(CurrentLevel("A", Decimal(5)), CurrentLevel("B", Decimal(5)))
        if traits.level is not SinkLevel.FENCED:
            return
        self._apply(sink, change("B", 5, 6), epoch=2)
        later = NOON + timedelta(minutes=1)
        zombie = [change("A", 5, 9, as_of=later), change("B", 6, 9, as_of=later)]
        assert _raises(LeaseLost, sink, zombie, self.context(sink, epoch=1))
        assert levels_of(sink) == {("A", ""): Decimal(5), ("B", ""): Decimal(6)}

    def test_a_lease_lost_on_the_way_leaves_all_or_nothing(self) -> None:
        sink, traits = self._sink(*(CurrentLevel(f"{number:05}", Decimal(5)) for number in range(self.many)))
        if traits.level is SinkLevel.ABSOLUTE_SET:
            return
        calls: list[int] = []

        def renew() -> None:
            calls.append(1)
            if len(calls) > 1:
                raise LeaseLost("another worker owns the source")

        given = self.context(sink)
        context = ApplyContext(given.source, given.run_id, given.epoch, renew, connection=given.connection)
        lost = _raises(LeaseLost, sink, [change(f"{number:05}", 5, 6) for number in range(self.many)], context)
        assert calls, "renew was never called"
        left = {Decimal(5), Decimal(6)} if lost and not self.whole else {Decimal(5 if lost else 6)}
        assert set(levels_of(sink).values()) == left


def _outcomes(result: ApplyResult) -> dict[tuple[str, str], Outcome]:
    found = {(item.sku, item.location): item.outcome for item in result.exceptions}
    assert len(found) == len(result.exceptions), "an item was reported twice"
    for item in result.exceptions:
        assert re.fullmatch(r"[A-Za-z0-9_.-]{1,60}", item.reason), (
            f"{item.reason!r} is no code, so it would not be shown"
        )
    return found


def _raises(
    expected: type[LeaseLost | SinkError], sink: StockSink, items: Iterable[PlanItem], context: ApplyContext
) -> bool:
    try:
        sink.apply(changes_of(items), context)
    except expected:
        return True
    return False
