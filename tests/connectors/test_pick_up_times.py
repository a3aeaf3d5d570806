"""The time in a file's name as the time of its stock, over each protocol and through the engine."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from inventory_sources import Columns, CsvDecoder, Feed, MemorySink, MemoryStateStore, Source, SyncEngine
from inventory_sources.connectors import FileConnector, PickUp
from inventory_sources.errors import ConfigurationError, FetchError, Recovery
from inventory_sources.run import SyncRun
from inventory_sources.testing import ManualClock
from tests.connectors.desk import MINUTE, NOON, Desk

DAY = "stock_%Y%m%d.csv"
MOMENT = "stock_%Y%m%d_%H%M.csv"


# What a name says


@pytest.mark.parametrize(
    ("template", "zone", "name", "moment"),
    [
        (DAY, "UTC", "stock_20260301.csv", datetime(2026, 3, 1, tzinfo=UTC)),
        (DAY, "Europe/Berlin", "stock_20260301.csv", datetime(2026, 2, 28, 23, tzinfo=UTC)),
        (MOMENT, "Asia/Tokyo", "stock_20260301_0830.csv", datetime(2026, 2, 28, 23, 30, tzinfo=UTC)),
        ("%Y-%jT%H%M%z.csv", "UTC", "2026-060T1200+0200.csv", datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("%Y%m%dT%H%M%z.csv", "Asia/Tokyo", "20260301T1200Z.csv", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        # In Berlin 02:30 comes twice, at 00:30 and at 01:30 UTC.
        (MOMENT, "Europe/Berlin", "stock_20251026_0230.csv", datetime(2025, 10, 26, 0, 30, tzinfo=UTC)),
        # And never: it would be 00:30 UTC by the clock of summer and 01:30 UTC by that of winter.
        (MOMENT, "Europe/Berlin", "stock_20260329_0230.csv", datetime(2026, 3, 29, 0, 30, tzinfo=UTC)),
    ],
)
def test_the_time_in_a_name_is_that_of_its_stock(
    template: str, zone: str, name: str, moment: datetime, desk: Desk
) -> None:
    desk.upload(name, "x", minutes=-7)
    for take in ("newest", "all", "each"):
        (payload,) = desk.copy(desk.connector("*.csv", take=take, order=template, zone=zone))
        assert payload.as_of == moment
    (payload,) = desk.copy(desk.connector(name, order=template, zone=zone))
    assert payload.as_of == moment


def test_another_time_may_be_declared(desk: Desk) -> None:
    desk.upload("stock_20260301.csv", "x", minutes=-7)
    (payload,) = desk.copy(desk.connector("*.csv", as_of="modified", take="newest", order=DAY))
    assert payload.as_of == NOON - 7 * MINUTE
    (payload,) = desk.copy(desk.connector("*.csv", as_of="fetch", take="newest", order=DAY))
    assert payload.as_of is None


@pytest.mark.parametrize("order", ["modified", "name", "stock_%Y%m.csv", "stock_%H%M.csv"])
def test_without_a_day_in_names_the_time_of_change_counts(order: str, local_desk: Desk) -> None:
    name = {"stock_%Y%m.csv": "stock_202603.csv", "stock_%H%M.csv": "stock_0930.csv"}.get(order, "stock_a.csv")
    local_desk.upload(name, "x", minutes=-7)
    (payload,) = local_desk.copy(local_desk.connector("*.csv", take="newest", order=order))
    assert payload.as_of == NOON - 7 * MINUTE
    with pytest.raises(ConfigurationError, match="as_of='name'"):
        local_desk.connector("*.csv", as_of="name", take="newest", order=order)


def test_a_name_without_a_time_is_refused_where_it_is_the_only_one(local_desk: Desk) -> None:
    local_desk.upload("stock.csv", "x")
    with pytest.raises(FetchError, match="does not match the template") as raised:
        local_desk.fetch(local_desk.connector("stock.csv", order=DAY))
    assert raised.value.recovery is Recovery.STOP


def test_another_zone_is_another_order(local_desk: Desk) -> None:
    local_desk.upload("stock_20260302_0900.csv", "nine")
    assert local_desk.run(local_desk.connector("*.csv", take="newest", order=MOMENT)) == ["nine"]
    (local_desk.folder / "stock_20260302_0900.csv").unlink()
    local_desk.upload("stock_20260302_0930.csv", "half past")
    berlin = local_desk.connector("*.csv", take="newest", order=MOMENT, zone="Europe/Berlin")
    assert local_desk.run(berlin) == ["half past"]


# Through the engine: older never wins


class Shop:
    """A shop with one product, whose level is the day of the file that it is from."""

    def __init__(self, folder: Path, **pick_up: str) -> None:
        self.folder, self.clock, self.sink = folder, ManualClock(NOON), MemorySink({"A": 0})
        self.engine = SyncEngine(MemoryStateStore(clock=self.clock))
        connector = FileConnector(folder / "*.csv", pick_up=PickUp(**{"order": DAY, **pick_up}))  # type: ignore[arg-type]
        self.engine.add_source(
            Source(
                name="erp", connector=connector, decoder=CsvDecoder(), mapper=Columns(duplicates="last"),
                feed=Feed.snapshot(), sink=self.sink, guards=(),
            )
        )  # fmt: skip

    def upload(self, day: int, *, minutes: int) -> None:
        path = self.folder / f"stock_202602{day}.csv"
        path.write_text(f"sku,quantity\nA,{day}\n")
        moment = (NOON + minutes * MINUTE).timestamp()
        os.utime(path, (moment, moment))

    def sync(self) -> SyncRun:
        self.clock.advance(timedelta(minutes=5))
        return self.engine.sync("erp")

    @property
    def level(self) -> int:
        return int(self.sink.quantity("A") or 0)


@pytest.mark.parametrize("afterwards", ["keep", "move"])
@pytest.mark.parametrize("take", ["newest", "all", "each"])
class TestOlderNeverWins:
    def test_a_file_that_arrives_late(self, take: str, afterwards: str, local_desk: Desk) -> None:
        shop = Shop(local_desk.folder, take=take, afterwards=afterwards)
        shop.upload(11, minutes=-60)
        assert shop.sync().failure is None
        shop.upload(10, minutes=-5)
        levels = []
        for _ in range(3):
            assert shop.sync().failure is None
            levels.append(shop.level)
        assert levels == [11, 11, 11]

    def test_two_that_wait_and_were_written_in_another_order(
        self, take: str, afterwards: str, local_desk: Desk
    ) -> None:
        shop = Shop(local_desk.folder, take=take, afterwards=afterwards)
        shop.upload(11, minutes=-60)
        shop.upload(10, minutes=-5)
        for _ in range(3):
            assert shop.sync().failure is None
        assert shop.level == 11
        shop.upload(12, minutes=-90)
        for _ in range(2):
            assert shop.sync().failure is None
        assert shop.level == 12


def test_a_corrected_file_of_the_same_name_is_applied(local_desk: Desk) -> None:
    shop = Shop(local_desk.folder, take="each", afterwards="move")
    shop.upload(11, minutes=-60)
    assert shop.sync().failure is None
    (local_desk.folder / "stock_20260211.csv").write_text("sku,quantity\nA,3\n")
    assert shop.sync().failure is None
    assert shop.level == 3


def test_a_name_in_another_zone_than_declared_is_not_taken_for_the_future(local_desk: Desk) -> None:
    """A file that a merchant in Tokyo writes at 21:10 of their clock, at noon and ten minutes in UTC."""
    (local_desk.folder / "stock_20260302_2110.csv").write_text("sku,quantity\nA,5\n")
    wrong = Shop(local_desk.folder, take="newest", order=MOMENT)
    wrong.clock.advance(timedelta(minutes=10))
    failure = wrong.sync().failure
    assert failure is not None
    assert failure.code == "clock_skewed"
    assert wrong.level == 0
    right = Shop(local_desk.folder, take="newest", order=MOMENT, zone="Asia/Tokyo")
    right.clock.advance(timedelta(minutes=10))
    assert right.sync().failure is None
    assert right.level == 5
