"""A worker that kills itself with SIGKILL between two batches of writes to a shop's API, for a test of kills."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from inventory_sources import Columns, CsvDecoder, Feed, FileConnector, Secret, Source, SqlStateStore, SyncEngine
from inventory_sources.protocols.sink import ApplyContext, ItemOutcome
from inventory_sources.sinks.http import RemoteApi, RemoteWrite, ShopifySink
from inventory_sources.testing import ManualClock

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HERE, TOKEN = "gid://shopify/Location/1", "shpat_t0k3n"


class InPairs(ShopifySink):
    """Writes two items at once, and dies before the batch that begins with the fatal one."""

    batch = 2

    def pause(self, seconds: float) -> None:
        """Makes none: a test waits for nothing."""

    fatal: ClassVar[str] = ""

    def write(self, api: RemoteApi, writes: Sequence[RemoteWrite], context: ApplyContext) -> list[ItemOutcome]:
        if writes[0].item.sku == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().write(api, writes, context)


def worker(folder: Path, url: str, clock: ManualClock, as_of: str = "fetch") -> SyncEngine:
    """An engine with the feed of the folder into the shop."""
    engine = SyncEngine(
        SqlStateStore(str(folder / "state.db"), clock=clock), clock=clock, worker=f"worker-{os.getpid()}"
    )
    source = Source(
        name="erp",
        connector=FileConnector(str(folder / "feed.csv"), as_of=as_of),
        decoder=CsvDecoder(),
        mapper=Columns(),
        feed=Feed.snapshot("available"),
        guards=(),
        sink=InPairs(
            url,
            token=Secret(TOKEN),
            locations={"": HERE},
            allow_private=("127.0.0.0/8",),
            allow_plaintext=True,
        ),
    )
    engine.add_source(source, exist_ok=True)
    return engine


if __name__ == "__main__":
    InPairs.fatal = "C"
    doomed = worker(Path(sys.argv[1]), sys.argv[2], ManualClock(START))
    doomed.request_sync("erp")
    doomed.run_due()
