"""A small shop: a stock table, a feed file, a state store and an engine on a clock that the test holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from inventory_sources import Columns, CsvDecoder, Feed, FileConnector, Source, SqlStateStore, SqlStockSink, SyncEngine
from inventory_sources.errors import ConnectFailed
from inventory_sources.payload import Evidence, Payload, Proof
from inventory_sources.protocols.notifier import Notification
from inventory_sources.testing import ManualClock

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class Mailbox:
    """A notifier that keeps what it was handed, and can be out of order."""

    def __init__(self) -> None:
        self.received: list[Notification] = []
        self.broken = False

    def notify(self, notification: Notification) -> None:
        """Keeps it."""
        if self.broken:
            raise ConnectionError("no route to the mail host")
        self.received.append(notification)

    @property
    def kinds(self) -> list[str]:
        """What was told, in order."""
        return [notification.kind.value for notification in self.received]


class Scripted:
    """A connector that yields what the test says, as a proven whole input unless it is an exception."""

    def __init__(self, *inputs: bytes | str | Exception, as_of: datetime | None = None) -> None:
        self.inputs = list(inputs)
        self.as_of = as_of
        self.fetches = 0

    def fetch(self, context: Any) -> Iterator[Payload]:
        """The next input; the last one is repeated."""
        self.fetches += 1
        given = self.inputs.pop(0) if len(self.inputs) > 1 else self.inputs[0]
        if isinstance(given, Exception):
            raise given
        data = given.encode() if isinstance(given, str) else given
        yield Payload("feed.csv", data, as_of=self.as_of, evidence=Evidence(frozenset({Proof.LENGTH})))


class Shop:
    """The host: its table, its engine, its clock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock(START)
        self.mailbox = Mailbox()
        self.database = sa.create_engine(f"sqlite:///{folder / 'shop.db'}")
        with self.database.begin() as connection:
            connection.execute(
                sa.text("CREATE TABLE stock (sku TEXT PRIMARY KEY, quantity INTEGER NOT NULL, untouched TEXT)")
            )
        self.sink = SqlStockSink(self.database, "stock", sku="sku", quantity="quantity")
        self.store = SqlStateStore(str(folder / "state.db"), clock=self.clock)
        self.engine = self.new_engine()

    def new_engine(self, **options: Any) -> SyncEngine:
        """Another engine on the same store, as another worker has it."""
        return SyncEngine(self.store, clock=self.clock, notifier=self.mailbox, **options)

    def stock(self, **levels: int) -> None:
        """Replaces the stock table's rows."""
        with self.database.begin() as connection:
            connection.execute(sa.text("DELETE FROM stock"))
            if levels:
                connection.execute(
                    sa.text("INSERT INTO stock VALUES (:sku, :quantity, 'host')"),
                    [{"sku": sku, "quantity": quantity} for sku, quantity in levels.items()],
                )

    @property
    def levels(self) -> Mapping[str, int]:
        """The stock table as the shop sees it."""
        with self.database.connect() as connection:
            return {row.sku: row.quantity for row in connection.execute(sa.text("SELECT sku, quantity FROM stock"))}

    def feed(self, text: str) -> Path:
        """Writes the feed file, as of the clock's time."""
        path = self.folder / "feed.csv"
        path.write_text(text, "utf-8")
        return path

    def source(self, connector: Any = None, **changes: Any) -> Source:
        """A source of a scripted or file feed into the stock table."""
        fields: dict[str, Any] = {
            "name": "erp",
            "connector": connector or FileConnector(str(self.folder / "feed.csv"), as_of="fetch"),
            "decoder": CsvDecoder(),
            "mapper": Columns(),
            "feed": Feed.snapshot("available"),
            "sink": self.sink,
            "guards": (),
        }
        return Source(**{**fields, **changes})

    def add(self, *inputs: bytes | str | Exception, **changes: Any) -> Scripted:
        """Registers a scripted source."""
        connector = Scripted(*inputs)
        self.engine.add_source(self.source(connector, **changes))
        return connector


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop with an empty stock table."""
    made = Shop(tmp_path)
    yield made
    made.engine.close()
    made.database.dispose()


#: A failure that the retry ladder is for.
PASSING = ConnectFailed("the ERP did not answer")
