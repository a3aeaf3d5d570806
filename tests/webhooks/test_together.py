"""Deliveries mapped together come to the same as each mapped by itself, faults and all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import evolve, field, frozen
from hypothesis import given
from hypothesis import strategies as st

from inventory_sources import Columns, Source
from inventory_sources.batch import RawBatch, StockBatch
from inventory_sources.protocols.mapper import DuplicatePolicy, MapContext
from inventory_sources.webhooks import EventFacts
from tests.webhooks.shop import PushedShop, pushed_source

BY_MESSAGE = EventFacts(id="message")
ROW = st.fixed_dictionaries(
    {
        "sku": st.sampled_from(["A1", "A2", "A3", "A4", "none", "", None, ["A1"]]),
        "qty": st.sampled_from(["1", "2", "3", 4, "", "many", "1.250", True]),
    },
    optional={"more": st.just("x")},
)
ITEMS = st.lists(ROW, max_size=3)
BODY = st.one_of(
    ITEMS.map(lambda rows: {"items": rows}),
    st.just({"rows": []}),
    st.just({"items": [{"sku": "A1"}]}),
    st.sampled_from(["A1", "A2", "A3"]).map(lambda sku: {"items": [{"sku": sku, "qty": "7"}]}),
)


@frozen
class OneByOne:
    """A mapper that does not say that it goes row by row."""

    columns: Columns
    seen: list[int] = field(factory=list)

    @property
    def duplicates(self) -> DuplicatePolicy:
        """As declared."""
        return self.columns.duplicates

    def select(self, headings: Sequence[str]) -> Sequence[str]:
        """As declared."""
        return self.columns.select(headings)

    def map(self, raw: RawBatch, context: MapContext) -> StockBatch:
        """And how many rows at once."""
        self.seen.append(raw.frame.height)
        return self.columns.map(raw, context)


@frozen
class RowByRow(OneByOne):
    """One that does."""

    row_by_row = True


def outcome(mapper: Any, bodies: Iterable[Mapping[str, Any]], duplicates: str = "error") -> tuple[Any, ...]:
    """What a run over these deliveries says and does; deliveries are named by their messages."""
    shop = PushedShop(facts=BY_MESSAGE)
    columns = Columns(sku="sku", quantity="qty", duplicates=DuplicatePolicy(duplicates))
    source = pushed_source(shop.sink, facts=BY_MESSAGE)
    shop.engine.update_source(evolve(source, mapper=mapper(columns)))
    for number, body in enumerate(bodies):
        shop.passes(seconds=1)
        assert shop.deliver(json.dumps({"message": f"m{number}", **body}).encode()).status == 200
    runs = shop.engine.run_due()
    names = {entry.id: entry.key for entry in shop.engine.webhooks.deliveries("wms", 100)}
    told = sorted(
        (str(one.rejection.reason), _named(str(one.rejection.place), names), str(one.rejection.cells))
        for run in runs
        for one in shop.engine.rejections(run)
    )
    kept = shop.engine.webhooks.deliveries("wms", 100)
    aside = [(entry.key, entry.status, entry.attempts, _named(entry.reason, names)) for entry in kept]
    return [(run.result, run.counts) for run in runs], told, sorted(aside, key=str), shop.levels()


def _named(text: str, names: Mapping[str, str]) -> str:
    for name, key in names.items():
        text = text.replace(name, key)
    return text


@given(st.lists(BODY, min_size=1, max_size=8), st.sampled_from(["error", "last", "sum"]))
def test_the_same_is_applied_and_the_same_is_said_of_each(bodies: list[dict[str, Any]], duplicates: str) -> None:
    together = outcome(lambda columns: columns, bodies, duplicates)
    assert together == outcome(OneByOne, bodies, duplicates)


def push_all(shop: PushedShop, mapper: Any, bodies: Sequence[Mapping[str, Any]]) -> Source:
    source = evolve(pushed_source(shop.sink), mapper=mapper)
    shop.engine.update_source(source)
    for body in bodies:
        assert shop.deliver(json.dumps(body).encode()).status == 200
    return source


def test_rows_of_many_deliveries_reach_the_mapper_as_one_batch() -> None:
    shop = PushedShop()
    mapper = RowByRow(Columns(sku="sku", quantity="qty"))
    push_all(shop, mapper, [{"items": [{"sku": f"A{n}", "qty": n}]} for n in range(6)])
    (run,) = shop.engine.run_due()
    assert (run.counts.changed, mapper.seen) == (6, [6])


def test_a_faulty_row_costs_its_own_delivery_a_batch_of_its_own_and_nothing_else() -> None:
    shop = PushedShop()
    mapper = RowByRow(Columns(sku="sku", quantity="qty"))
    good = [{"items": [{"sku": f"A{n}", "qty": n}]} for n in range(6)]
    faulty = {"items": [{"sku": "A7", "qty": "seven"}, {"sku": "A8", "qty": 8}]}
    push_all(shop, mapper, [*good, faulty])
    (run,) = shop.engine.run_due()
    (told,) = shop.engine.rejections(run)
    last = shop.engine.webhooks.deliveries("wms", 1)[0]
    assert (run.counts.changed, run.counts.invalid, sorted(mapper.seen)) == (7, 1, [2, 6, 8])
    assert str(told.rejection.place) == f"delivery {last.id}, record 1"
    assert told.rejection.cells == {"sku": "A7", "qty": "seven"}
