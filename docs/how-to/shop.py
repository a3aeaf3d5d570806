"""A shop to try the how-to guides on, in the current folder."""

from pathlib import Path

import sqlalchemy as sa

from inventory_sources import Columns, CsvDecoder, Feed, FileConnector, Source, SqlStockSink, SyncEngine

shop = sa.create_engine("sqlite:///shop.db")
with shop.begin() as connection:
    connection.exec_driver_sql("CREATE TABLE stock (sku TEXT PRIMARY KEY, qty INTEGER NOT NULL)")
    connection.exec_driver_sql("INSERT INTO stock VALUES ('A-1', 5), ('B-2', 3), ('C-3', 8)")

stock = SqlStockSink(shop, "stock", sku="sku", quantity="qty")
engine = SyncEngine("state.db")
Path("stock.csv").write_text("sku,quantity\nA-1,5\nB-2,4\nC-3,8\n")


def levels() -> dict[str, int]:
    """The stock table as the shop sees it."""
    with shop.connect() as connection:
        return dict(connection.exec_driver_sql("SELECT sku, qty FROM stock").fetchall())
