"""An X12 846 by warehouse, from its bytes into a stock table with locations."""

from __future__ import annotations

import sqlalchemy as sa

from inventory_sources import Columns, SqlStockSink
from inventory_sources.formats import X12InventoryDecoder
from inventory_sources.run import RunResult

from .conftest import Shop

BODY = """BIA*00*DD*R1*20260302
LIN*1*VP*KEG 0042*UP*012345678905
QTY*33*9*EA
SCH*2*EA*WH*LYON
SCH*7*EA*WH*GENT
LIN*2*VP*MUG 7*UP*012345678912
QTY*33*4*EA
SCH*0*EA*WH*LYON
SCH*{gent}*EA*WH*GENT
CTT*2"""


def feed(gent: str, segments: int = 12) -> bytes:
    isa = f"ISA*00*{'':10}*00*{'':10}*ZZ*{'SENDER':15}*ZZ*{'SHOP':15}*260302*1200*U*00401*000000031*0*P*>"
    lines = [isa, "GS*IB*S*R*20260302*1200*3*X*004010", "ST*846*0001", *BODY.format(gent=gent).splitlines()]
    return "~\n".join([*lines, f"SE*{segments}*0001", "GE*1*3", "IEA*1*000000031", ""]).encode()


def depot(shop: Shop) -> SqlStockSink:
    with shop.database.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE depot (sku TEXT, site TEXT, qty INTEGER, PRIMARY KEY (sku, site))")
        rows = [{"sku": sku, "site": site} for sku in ("KEG 0042", "MUG 7") for site in ("LYON", "GENT")]
        connection.execute(sa.text("INSERT INTO depot VALUES (:sku, :site, 1)"), rows)
    return SqlStockSink(shop.database, "depot", sku="sku", location="site", quantity="qty")


def levels(shop: Shop) -> dict[tuple[str, str], int]:
    with shop.database.connect() as connection:
        return {(sku, site): qty for sku, site, qty in connection.exec_driver_sql("SELECT sku, site, qty FROM depot")}


def test_warehouse_splits_reach_their_rows_and_contradictions_do_not(shop: Shop) -> None:
    mapper = Columns(sku="LIN.VP", quantity="SCH.quantity", location="SCH.location")
    inputs = (feed("4"), feed("5"), feed("4", segments=13))
    shop.add(*inputs, decoder=X12InventoryDecoder(), mapper=mapper, sink=depot(shop))

    run = shop.engine.sync("erp")
    assert (run.result, run.evidence) == (RunResult.COMPLETED, "count, length, trailer")
    right = {("KEG 0042", "LYON"): 2, ("KEG 0042", "GENT"): 7, ("MUG 7", "LYON"): 0, ("MUG 7", "GENT"): 4}
    assert levels(shop) == right

    run = shop.engine.sync("erp")
    (stored,) = shop.engine.rejections(run)
    assert (stored.rejection.reason, str(stored.rejection.place)) == ("splits_differ", "feed.csv, segment 9")
    assert levels(shop) == right

    run = shop.engine.sync("erp")
    assert run.failure is not None
    assert run.failure.code == "truncated"
    assert levels(shop) == right
