"""Older never wins, and what an absent SKU means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from inventory_sources import Columns, Feed
from inventory_sources.run import RunResult, SyncRun

from .conftest import START, Shop

DATED = Columns(as_of="seen")


def at(minute: int) -> str:
    """A time this minute after ten o'clock."""
    return datetime(2026, 3, 2, 10, minute, tzinfo=UTC).isoformat()


def dated(sku: str, quantity: int, minute: int) -> str:
    """A feed of one row with its own time."""
    return f"sku,quantity,seen\n{sku},{quantity},{at(minute)}\n"


def test_a_confirmed_level_is_not_undone_by_a_late_older_one(shop: Shop) -> None:
    shop.stock(A=0)
    feeds = (dated("A", 5, 0), dated("A", 5, 10), dated("A", 7, 5))
    shop.add(*feeds, mapper=DATED, feed=Feed.partial())
    runs = [shop.engine.sync("erp") for _ in feeds]
    assert shop.levels == {"A": 5}
    assert [(run.counts.changed, run.counts.unchanged, run.counts.stale) for run in runs] == [
        (1, 0, 0),
        (0, 1, 0),
        (0, 0, 1),
    ]
    assert all(run.result is RunResult.COMPLETED for run in runs)
    assert [run.warnings for run in runs] == [
        (),
        (),
        ("1 quantities were observed earlier than those already known, which were kept",),
    ]


def test_the_same_observation_again_does_not_take_back_a_sale(shop: Shop) -> None:
    shop.stock(A=0)
    shop.add(dated("A", 5, 0), mapper=DATED)
    shop.engine.sync("erp")
    shop.stock(A=4)
    assert shop.engine.sync("erp").products_updated == 0
    assert shop.levels == {"A": 4}


def test_a_new_poll_without_times_of_its_own_sets_the_level_again(shop: Shop) -> None:
    shop.stock(A=0)
    shop.add("sku,quantity\nA,5\n")
    shop.engine.sync("erp")
    shop.stock(A=4)
    shop.clock.advance(timedelta(minutes=5))
    assert shop.engine.sync("erp").products_updated == 1
    assert shop.levels == {"A": 5}


def test_a_time_in_the_future_is_refused(shop: Shop) -> None:
    shop.stock(A=0, B=0)
    soon, far = START + timedelta(minutes=4), START + timedelta(minutes=6)
    shop.add(f"sku,quantity,seen\nA,5,{soon.isoformat()}\nB,5,{far.isoformat()}\n", mapper=DATED)
    run = shop.engine.sync("erp")
    assert shop.levels == {"A": 5, "B": 0}
    assert run.counts.invalid == 1
    assert shop.engine.rejections(run)[0].rejection.reason == "as_of_in_future"


def test_an_absent_sku_keeps_its_level_unless_declared_otherwise(shop: Shop) -> None:
    shop.stock(A=1, B=2)
    shop.add("sku,quantity\nA,1\nB,2\n", "sku,quantity\nA,1\n")
    shop.engine.sync("erp")
    shop.clock.advance(60)
    shop.engine.sync("erp")
    assert shop.levels == {"A": 1, "B": 2}


def test_an_absent_sku_of_a_proven_snapshot_goes_to_zero_and_comes_back(shop: Shop) -> None:
    shop.stock(A=1, B=2, HOST=9)
    both, one = "sku,quantity\nA,1\nB,2\n", "sku,quantity\nA,1\n"
    shop.add(both, one, both, feed=Feed.snapshot(absent="zero"))
    seen = []
    for _ in range(3):
        assert shop.engine.sync("erp").result is RunResult.COMPLETED
        seen.append(shop.levels)
        shop.clock.advance(60)
    assert seen == [{"A": 1, "B": 2, "HOST": 9}, {"A": 1, "B": 0, "HOST": 9}, {"A": 1, "B": 2, "HOST": 9}]


def test_absence_in_a_file_whose_end_nothing_proves_means_nothing(shop: Shop) -> None:
    shop.stock(A=1, B=2)
    shop.feed("sku,quantity\nA,1\nB,2\n")
    shop.engine.add_source(shop.source(feed=Feed.snapshot(absent="zero")))
    shop.engine.sync("erp")
    shop.feed("sku,quantity\nA,1\n")
    shop.clock.advance(60)
    run = shop.engine.sync("erp")
    assert shop.levels == {"A": 1, "B": 2}
    assert run.warnings


def test_an_unreadable_row_is_not_an_absent_sku(shop: Shop) -> None:
    shop.stock(A=1, B=2, C=3)
    shop.add(
        "sku,quantity\nA,1\nB,2\nC,3\n",
        "sku,quantity\nA,1\nB,n/a\n,3\n",
        feed=Feed.snapshot(absent="zero"),
    )
    shop.engine.sync("erp")
    shop.clock.advance(60)
    shop.engine.sync("erp")
    assert shop.levels == {"A": 1, "B": 2, "C": 3}


def test_an_unreadable_row_under_a_damaged_name_is_not_an_absent_sku(shop: Shop) -> None:
    shop.stock(A=1, é=2)
    shop.add(
        "sku,quantity\nA,1\né,2\n",
        "sku,quantity\nA,1\nÃ©,n/a\n",
        feed=Feed.snapshot(absent="zero"),
    )
    for _ in range(3):
        shop.engine.sync("erp")
        shop.clock.advance(60)
    assert shop.levels == {"A": 1, "é": 2}


def test_absence_means_nothing_while_not_all_strange_identifiers_are_listed(shop: Shop) -> None:
    shop.stock(A=1, B=2)
    strangers = "".join(f"X{number},1\n" for number in range(10_001))
    identity = {"A": "A", "B": "B"}
    shop.add(
        f"sku,quantity\nA,1\nB,2\n{strangers}",
        f"sku,quantity\nA,1\n{strangers}",
        mapper=Columns(identity=identity),
        feed=Feed.snapshot(absent="zero"),
    )
    shop.engine.sync("erp")
    shop.clock.advance(60)
    run = shop.engine.sync("erp")
    assert shop.levels == {"A": 1, "B": 2}
    assert any("more identifiers answer to no product than are listed" in warning for warning in run.warnings)


def why(run: SyncRun) -> str:
    """Why what is absent was kept, as the run says it."""
    (told,) = [warning for warning in run.warnings if "are not in the feed" in warning]
    return told.partition("because ")[2]


def two_feeds(shop: Shop, first: str, second: str, **changes: Any) -> SyncRun:
    """The run of the second of two feeds."""
    shop.add(first, second, feed=Feed.snapshot(absent="zero"), **changes)
    shop.engine.sync("erp")
    shop.clock.advance(60)
    return shop.engine.sync("erp")


def test_absence_kept_for_a_row_without_quantity_names_that_row_and_no_new_identifiers(shop: Shop) -> None:
    shop.stock(A=1, B=2, C=3)
    mapper = Columns(quantity="on_hand")
    run = two_feeds(shop, "sku,On Hand\nA,1\nB,2\n", "sku,On Hand\nA,1\nC,\nD,x\n", mapper=mapper)
    assert shop.levels == {"A": 1, "B": 2, "C": 3}
    assert why(run) == (
        "2 identifiers that this source never supplied are of rows that could not be read, and may be theirs; "
        "the first: feed.csv, line 3, column 'On Hand': the quantity is blank"
    )


def test_absence_kept_for_rows_without_sku_names_the_first_of_them(shop: Shop) -> None:
    shop.stock(A=1, B=2)
    run = two_feeds(shop, "sku,quantity\nA,1\nB,2\n", "sku,quantity\nA,1\n,5\n,6\n")
    assert shop.levels == {"A": 1, "B": 2}
    assert why(run) == (
        "2 rows could not be read far enough to tell which products they are of; the first: "
        "feed.csv, line 3, column 'sku': the sku is blank"
    )


def test_absence_kept_for_identifiers_without_product_still_says_so(shop: Shop) -> None:
    shop.stock(A=1, B=2)
    run = two_feeds(shop, "sku,quantity\nA,1\nB,2\n", "sku,quantity\nA,1\nC,4\nD,x\n")
    assert shop.levels == {"A": 1, "B": 2}
    assert why(run) == "the feed has new identifiers that answer to no product, which may be theirs"
