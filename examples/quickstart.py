"""A first sync, from a warehouse's CSV file into a shop's stock table: check, plan, sync, look at what happened.

Everything happens in a temporary folder, which is gone afterwards.
"""

from __future__ import annotations

import shutil
import tempfile
from decimal import Decimal
from pathlib import Path

import sqlalchemy as sa

from inventory_sources import Columns, CsvDecoder, Feed, FileConnector, Source, SqlStockSink, SyncEngine, SyncRun
from inventory_sources.plan import Outcome

DATA = Path(__file__).parent / "data"
LEVELS = [
    ("TEE-S", "BCN", 14),
    ("TEE-M", "BCN", 2),
    ("TEE-M", "MAD", 6),
    ("MUG-01", "BCN", 118),
    ("MUG-02", "BCN", 25),
    ("CAP-9", "MAD", 11),
    ("BAG-1", "MAD", 60),
    ("00123", "BCN", 7),
    ("SOCK-2", "MAD", 8),
    ("PEN-5", "BCN", 44),
    ("HAT-3", "BCN", 22),
    ("BELT-L", "MAD", 5),
]


def open_shop(folder: Path) -> sa.Engine:
    """The platform's own database, with its own names for table and columns."""
    shop = sa.create_engine(f"sqlite:///{folder / 'shop.db'}")
    with shop.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE stock (product TEXT, site TEXT, available INTEGER NOT NULL, PRIMARY KEY (product, site))"
        )
        connection.execute(
            sa.text("INSERT INTO stock VALUES (:product, :site, :available)"),
            [{"product": product, "site": site, "available": available} for product, site, available in LEVELS],
        )
    return shop


def declare_source(file: Path, shop: sa.Engine) -> Source:
    """Where the feed is, how it is written, what it claims to be, and where its levels go."""
    return Source(
        name="warehouse",
        connector=FileConnector(file),
        decoder=CsvDecoder(delimiter=","),
        mapper=Columns(sku="Item", location="Warehouse", quantity="On hand"),
        feed=Feed.snapshot("on_hand"),
        sink=SqlStockSink(shop, "stock", sku="product", location="site", quantity="available"),
        frequency="15min",
    )


def show(title: str) -> None:
    """A heading."""
    print(f"\n== {title} ==")


def pieces(quantity: Decimal | None) -> str:
    """A level of this shop, which counts whole pieces."""
    return "no row" if quantity is None else f"{quantity:.0f}"


def show_run(run: SyncRun) -> None:
    """What a run did: every row read is in one of four counts."""
    counts = run.counts
    print(f"{run.result.value}: {run.products_updated} products updated")
    print(
        f"{counts.rows} rows = {counts.mapped} mapped + {counts.unmapped} unmapped"
        f" + {counts.invalid} invalid + {counts.duplicate} duplicate"
    )


def show_status(engine: SyncEngine) -> None:
    """Where the source stands."""
    state = engine.status("warehouse")
    succeeded = "never" if state.last_success_at is None else f"{state.last_success_at:%H:%M:%S} UTC"
    print(f"status: {state.status.value} ({state.reason.value}); last success: {succeeded}")


def total(shop: sa.Engine) -> int:
    """All the pieces that the shop shows."""
    with shop.connect() as connection:
        return int(connection.execute(sa.text("SELECT SUM(available) FROM stock")).scalar_one())


def first_sync(engine: SyncEngine, source: Source) -> None:
    """What `check` and `plan` show, and what `sync` then writes."""
    show("check: can it be reached, what is in it, what matches")
    print(engine.check(source))

    show("plan: what would change")
    plan = engine.plan(source)
    print(plan)
    for item in plan.items(Outcome.CHANGED):
        print(f"  {item.sku} at {item.location}: {pieces(item.old)} -> {pieces(item.new)}")

    show("sync")
    engine.add_source(source)
    show_status(engine)
    run = engine.sync("warehouse")
    show_run(run)
    show_status(engine)

    show("rows that were not applied, and what to do")
    for row in (stored.rejection for stored in engine.rejections(run)):
        print(f"  line {row.place.number}, {row.kind.value}: {row.message}\n      {row.guidance}")

    show("sync again: nothing changes")
    show_run(engine.sync("warehouse"))


def hold_and_decide(engine: SyncEngine, file: Path, shop: sa.Engine) -> None:
    """A feed that would empty the shop waits for a person, who rejects it or lets it pass once."""
    show("a feed that would empty the shop is held")
    shutil.copyfile(DATA / "stock_zeroed.csv", file)
    show_run(engine.sync("warehouse"))
    show_status(engine)
    held = engine.held("warehouse")
    if held is None:
        raise SystemExit("nothing is held, although all levels would become zero")
    for objection in held.figures:
        print(f"  {objection}")
    print(f"pieces in the shop: {total(shop)}")

    show("reject it: nothing is written")
    engine.reject("warehouse", held.digest, actor="ana")
    show_status(engine)
    print(f"pieces in the shop: {total(shop)}")

    show("or approve it: the plan that was looked at is applied, once")
    engine.sync("warehouse")
    engine.approve("warehouse", held.digest, actor="ana")
    for run in engine.run_due():
        show_run(run)
    show_status(engine)
    print(f"pieces in the shop: {total(shop)}")


def main() -> None:
    """The whole of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "stock.csv"
        shutil.copyfile(DATA / "stock.csv", file)
        shop = open_shop(folder)
        engine = SyncEngine(folder / "state.db")

        first_sync(engine, declare_source(file, shop))
        hold_and_decide(engine, file, shop)

        show("history, newest first")
        for run in engine.history("warehouse"):
            counts = f"{run.counts.rows} rows, {run.products_updated} updated"
            print(f"  {run.result.value:<9} {run.trigger.value}: {counts}")

        engine.close()
        shop.dispose()


if __name__ == "__main__":
    main()
