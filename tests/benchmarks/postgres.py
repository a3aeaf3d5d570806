"""The million on PostgreSQL: the floors, and the tables in a schema of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.benchmarks import million

SCHEMA = "inventory_bench"


def prepare(folder: Path, url: str) -> str:
    """The stock table and a first sync of ours; gives the URL that finds them."""
    import polars as pl

    with sa.create_engine(url).begin() as connection:
        connection.execute(sa.text(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"))
        connection.execute(sa.text(f"CREATE SCHEMA {SCHEMA}"))
    inside = f"{url}?options=-csearch_path%3D{SCHEMA}"
    frame = pl.DataFrame(million.levels(million.ROWS), schema=["sku", "warehouse", "quantity"], orient="row")
    with _raw(inside) as connection, connection.cursor() as cursor:
        cursor.execute(f"{million.CREATE}, PRIMARY KEY (sku, warehouse))")
        with cursor.copy("COPY stock FROM STDIN (FORMAT csv)") as copy:
            copy.write(frame.write_csv(include_header=False).encode())
        cursor.execute("CREATE TABLE stock_base AS SELECT * FROM stock")
    (folder / "feed.csv").write_bytes((folder / "before.csv").read_bytes())
    million.run_side("ours", folder, "postgres", database=inside, state=folder / "unused")
    (folder / "feed.csv").write_bytes((folder / "after.csv").read_bytes())
    with _raw(inside) as connection:
        for name in _state_tables(connection):
            connection.execute(f"CREATE TABLE base_{name} AS SELECT * FROM {name}")
    return inside


def reset(url: str) -> None:
    """Stock table and state as before the measured sync, vacuumed."""
    with _raw(url) as connection:
        connection.execute("TRUNCATE stock")
        connection.execute("INSERT INTO stock SELECT * FROM stock_base")
        names = _state_tables(connection)
        connection.execute(f"TRUNCATE {', '.join(names)}")
        for name in names:
            connection.execute(f"INSERT INTO {name} SELECT * FROM base_{name}")
    with _raw(url) as connection:
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE stock")
        connection.execute("CHECKPOINT")


def compare(folder: Path, url: str) -> dict[str, list[dict[str, float]]]:
    """Alternating runs of ours and both floors; all must leave the same table."""
    measured: dict[str, list[dict[str, float]]] = {"ours": [], "update_from": [], "join_here": []}
    for _ in range(million.RUNS):
        digests = set()
        for side, taken in measured.items():
            reset(url)
            taken.append(million.run_side(side, folder, "postgres", database=url, state=folder / "unused"))
            digests.add(_digest(url))
        if len(digests) != 1:
            raise AssertionError("the sides left different tables")
    return measured


def remove(url: str) -> None:
    """Drops the schema."""
    with _raw(url) as connection:
        connection.execute(f"DROP SCHEMA {SCHEMA} CASCADE")


def floor(side: str, folder: Path, url: str) -> Callable[[], None]:
    """One of the two floors, as a call."""
    return lambda: (_update_from if side == "update_from" else _join_here)(folder, url)


def _update_from(folder: Path, url: str) -> None:
    """COPY the file in, and let the server update what is distinct."""
    with _raw(url) as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE feed (sku text, quantity int, warehouse text, updated_at text) ON COMMIT DROP"
        )
        with cursor.copy("COPY feed FROM STDIN (FORMAT csv, HEADER)") as copy, (folder / "feed.csv").open("rb") as file:
            while block := file.read(1 << 20):
                copy.write(block)
        cursor.execute("ANALYZE feed")
        cursor.execute(
            "UPDATE stock SET quantity = feed.quantity FROM feed WHERE stock.sku = feed.sku AND "
            "stock.warehouse = feed.warehouse AND stock.quantity IS DISTINCT FROM feed.quantity"
        )


def _join_here(folder: Path, url: str) -> None:
    """COPY the levels out, join here, and write back what changed."""
    import io

    import polars as pl

    feed = pl.read_csv(folder / "feed.csv")
    with _raw(url) as connection, connection.cursor() as cursor:
        out = io.BytesIO()
        with cursor.copy("COPY (SELECT sku, warehouse, quantity FROM stock) TO STDOUT (FORMAT csv)") as copy:
            for block in copy:
                out.write(block)
        out.seek(0)
        current = pl.read_csv(out, has_header=False, new_columns=["sku", "warehouse", "old"])
        changed = feed.join(current, on=["sku", "warehouse"]).filter(pl.col("quantity") != pl.col("old"))
        cursor.execute("CREATE TEMP TABLE changes (sku text, warehouse text, quantity int) ON COMMIT DROP")
        with cursor.copy("COPY changes FROM STDIN (FORMAT csv)") as copy:
            copy.write(changed.select("sku", "warehouse", "quantity").write_csv(include_header=False).encode())
        cursor.execute("ANALYZE changes")
        cursor.execute(
            "UPDATE stock SET quantity = changes.quantity FROM changes "
            "WHERE stock.sku = changes.sku AND stock.warehouse = changes.warehouse"
        )


def _raw(url: str) -> Any:
    import psycopg

    return psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://"))


def _state_tables(connection: Any) -> list[str]:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename LIKE 'inventory%%'"
    return [name for (name,) in connection.execute(query, (SCHEMA,))]


def _digest(url: str) -> str:
    with _raw(url) as connection:
        row = "sku || ' ' || warehouse || ' ' || quantity"
        query = f"SELECT md5(string_agg({row}, ',' ORDER BY sku, warehouse)) FROM stock"
        return str(connection.execute(query).fetchone()[0])
