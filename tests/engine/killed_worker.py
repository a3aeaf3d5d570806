"""Workers that kill themselves with SIGKILL, each at another step; run as a script by the test of kills.

A step is the moment before or after any call from the engine to the store, the sink, the connector, the decoder or the
mapper, and the moment before a store transaction commits.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from inventory_sources import Columns, CsvDecoder, Feed, FileConnector, Source, SqlStateStore, SqlStockSink, SyncEngine
from inventory_sources.testing import ManualClock

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class Steps:
    """Counts steps, and dies at the fatal one."""

    def __init__(self, fatal: int) -> None:
        self.fatal = fatal
        self.taken = 0

    def __call__(self) -> None:
        """One step."""
        self.taken += 1
        if self.taken == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(self, part: Any) -> Any:
        """The part, with a step before and after each call to it."""
        return _Watched(part, self)


class _Watched:
    def __init__(self, part: Any, step: Steps) -> None:
        self._part, self._step = part, step

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        return self._around(name, found) if callable(found) else found

    def _around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **named: Any) -> Any:
            self._step()
            if name == "transact":
                source, decide = arguments
                result = call(source, lambda tx: (decide(tx), self._step())[0])
            else:
                result = call(*arguments, **named)
                result = list(result) if name in ("fetch", "decode") else result
            self._step()
            return result

        return watched


def source(folder: Path, *, shared: bool, step: Steps) -> Source:
    """The file feed of the test, into the host's table."""
    table = sa.create_engine(f"sqlite:///{folder / 'shop.db'}")
    sink = SqlStockSink(table, "stock", sku="sku", quantity="quantity", shared=shared)
    return Source(
        name="erp",
        connector=step.watched(FileConnector(str(folder / "feed.csv"), as_of="fetch")),
        decoder=step.watched(CsvDecoder()),
        mapper=step.watched(Columns()),
        feed=Feed.snapshot("available"),
        guards=(),
        sink=step.watched(sink),
    )


def store(folder: Path, clock: ManualClock, *, shared: bool) -> SqlStateStore:
    """The state beside the stock table, or in one database with it."""
    return SqlStateStore(str(folder / ("shop.db" if shared else "state.db")), clock=clock)


def work(folder: Path, sink: str, fatal: int) -> None:
    """Runs what is due, and leaves a note of how many steps that took."""
    step, shared = Steps(fatal), sink == "shared"
    clock = ManualClock(START)
    engine = SyncEngine(step.watched(store(folder, clock, shared=shared)), clock=clock, worker="doomed")
    engine.add_source(source(folder, shared=shared, step=step), exist_ok=True)
    engine.run_due()
    (folder / "steps").write_text(str(step.taken), "utf-8")


def main(template: str, graves: str, sink: str) -> None:
    """A worker for each step on a copy of the template, until one lives.

    They are forked, as imports would take most of the time. The parent loads the columnar engine and never uses it, so
    its children may.
    """
    importlib.import_module("polars")

    for fatal in range(1, 1000):
        folder = Path(graves) / str(fatal)
        shutil.copytree(template, folder)
        child = os.fork()
        if child == 0:
            work(folder, sink, fatal)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(*sys.argv[1:])
