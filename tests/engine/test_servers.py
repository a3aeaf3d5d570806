"""The whole engine with its state and the stock table in one database of a server, and servers that hang up."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from inventory_sources import SqlStateStore, SqlStockSink, SyncEngine, SyncStatus
from inventory_sources.errors import LeaseLost, StoreUnavailable
from inventory_sources.guards import MassZero
from inventory_sources.protocols.sink import SinkLevel
from inventory_sources.run import RunResult, SyncRun
from inventory_sources.sinks._dialects import Dialect
from inventory_sources.stores._tables import build_tables
from inventory_sources.testing import ManualClock
from tests.servers import engine_of, fresh_table

from .conftest import START, Mailbox, Scripted, Shop

GOOD = "sku,quantity\nA,5\nB,1\nC,0\n"
OLD, NEW = {"A": 1, "B": 1, "C": 3}, {"A": 5, "B": 1, "C": 0}
MOMENT = {"postgresql": "TIMESTAMPTZ", "mysql": "DATETIME(6)"}
PREFIX = f"e{os.getpid()}_"


class ServerShop(Shop):
    """A shop whose state is in one database with its stock table."""

    def __init__(self, folder: Path, database: sa.Engine, table: str, level: SinkLevel) -> None:
        self.folder, self.database, self.table = folder, database, table
        self.clock = ManualClock(START)
        self.mailbox = Mailbox()
        declared: dict[str, Any] = {}
        if level is SinkLevel.FENCED:
            declared = {"as_of": "seen_at", "epoch": "written_by"}
        shared = level is SinkLevel.SHARED_TRANSACTION
        self.sink = SqlStockSink(database, table, sku="sku", quantity="quantity", shared=shared, **declared)
        assert self.sink.describe().level is level
        self.store = SqlStateStore(database, clock=self.clock, prefix=PREFIX)
        self.engine = self.new_engine()
        self.connections: list[int] = []
        self.statements: list[str] = []
        sa.event.listen(database, "checkout", self._note_connection)
        sa.event.listen(database, "before_cursor_execute", self._note_statement)

    def _note_connection(self, connection: Any, *_: object) -> None:
        postgres = self.database.dialect.name == "postgresql"
        self.connections.append(connection.info.backend_pid if postgres else connection.thread_id())

    def _note_statement(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        self.statements.append(statement)

    @property
    def writes(self) -> int:
        """Statements that changed the stock table."""
        return sum(self.table in text and text.lstrip().startswith(("UPDATE", "INSERT")) for text in self.statements)

    def stock(self, **levels: int) -> None:
        with self.database.begin() as connection:
            connection.exec_driver_sql(f"DELETE FROM {self.table}")
            rows = [{"sku": sku, "quantity": quantity} for sku, quantity in levels.items()]
            connection.execute(sa.text(f"INSERT INTO {self.table} (sku, quantity) VALUES (:sku, :quantity)"), rows)
        del self.statements[:]

    @property
    def levels(self) -> Mapping[str, int]:
        with self._aside() as connection:
            rows = connection.exec_driver_sql(f"SELECT sku, quantity FROM {self.table}")
            return {row.sku: row.quantity for row in rows}

    def _aside(self) -> sa.Connection:
        """A connection that is none of the shop's."""
        return sa.create_engine(self.database.url, poolclass=sa.NullPool).connect()

    def hang_up(self) -> None:
        """The server ends every connection that this shop has had, as a restart would."""
        kill = "SELECT pg_terminate_backend({})" if self.database.dialect.name == "postgresql" else "KILL {}"
        with self._aside() as admin:
            for number in set(self.connections):
                with suppress(sa.exc.OperationalError):  # MariaDB minds that one is gone already
                    admin.exec_driver_sql(kill.format(number))
        del self.connections[:]


@pytest.fixture(params=["postgresql", "mysql"])
def make_shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[SinkLevel], ServerShop]]:
    kind = request.param
    with ExitStack() as stack:
        database = stack.enter_context(engine_of(kind, tmp_path))
        columns = "sku VARCHAR(64) PRIMARY KEY, quantity INTEGER NOT NULL"
        made: list[ServerShop] = []

        def make(level: SinkLevel) -> ServerShop:
            fenced = f", seen_at {MOMENT[kind]}, written_by BIGINT" if level is SinkLevel.FENCED else ""
            table = stack.enter_context(fresh_table(database, columns + fenced))
            made.append(ServerShop(tmp_path, database, table, level))
            made[-1].stock(**OLD)
            return made[-1]

        yield make
        for shop in made:
            shop.engine.close()
        database.dispose()  # so that no connection of a test holds a lock on what is dropped
        build_tables(PREFIX).metadata.drop_all(database)


@pytest.fixture(params=[SinkLevel.COMPARE_AND_SET, SinkLevel.SHARED_TRANSACTION, SinkLevel.FENCED])
def shop(request: pytest.FixtureRequest, make_shop: Callable[[SinkLevel], ServerShop]) -> ServerShop:
    return make_shop(request.param)


@pytest.fixture
def shared(make_shop: Callable[[SinkLevel], ServerShop]) -> ServerShop:
    return make_shop(SinkLevel.SHARED_TRANSACTION)


@pytest.fixture
def fenced(make_shop: Callable[[SinkLevel], ServerShop]) -> ServerShop:
    return make_shop(SinkLevel.FENCED)


class Around:
    """A part, with something done before or after one of its methods, once."""

    def __init__(self, part: Any, method: str, deed: Callable[[], object], *, after: bool = False) -> None:
        self._part, self._method, self._deeds, self._after = part, method, [deed], after

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        return self._around(found) if name == self._method else found

    def _around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def around(*given: Any, **named: Any) -> Any:
            deed = self._deeds.pop() if self._deeds else lambda: None
            if self._after:
                result = call(*given, **named)
                deed()
                return result
            deed()
            return call(*given, **named)

        return around


def test_a_first_sync_writes_and_a_second_finds_nothing_to_write(shop: ServerShop) -> None:
    shop.add(GOOD)
    first = shop.engine.sync("erp")
    assert (first.result, first.products_updated, shop.levels) == (RunResult.COMPLETED, 2, NEW)
    assert shop.writes
    del shop.statements[:]
    shop.clock.advance(60)
    second = shop.engine.sync("erp")
    assert (second.result, second.products_updated, second.counts.unchanged) == (RunResult.COMPLETED, 0, 3)
    assert second.counts.add_up
    assert shop.writes == 0
    assert shop.engine.status("erp").last_success_at == second.finished_at


def test_an_older_feed_does_not_overwrite_a_newer_one(shop: ServerShop) -> None:
    connector = shop.add(GOOD, "sku,quantity\nA,7\nB,7\nC,7\n")
    connector.as_of = START - timedelta(minutes=10)
    shop.engine.sync("erp")
    connector.as_of = START - timedelta(minutes=15)
    late = shop.engine.sync("erp")
    assert (late.result, late.counts.stale, late.products_updated) == (RunResult.COMPLETED, 3, 0)
    assert shop.levels == NEW


def test_a_held_plan_is_applied_once_approved_without_fetching_again(shop: ServerShop) -> None:
    connector = shop.add("sku,quantity\nA,0\nB,0\nC,0\n", guards=(MassZero(),))
    assert shop.engine.sync("erp").result is RunResult.HELD
    assert (shop.levels, shop.mailbox.kinds) == (OLD, ["held"])
    held = shop.engine.held("erp")
    assert held is not None
    shop.engine.approve("erp", held.digest, actor="ana")
    (run,) = shop.engine.run_due()
    assert (run.result, run.products_updated, connector.fetches) == (RunResult.COMPLETED, 3, 1)
    assert shop.levels == {"A": 0, "B": 0, "C": 0}
    assert shop.engine.held("erp") is None


def test_a_failure_in_the_middle_of_writing_takes_all_of_it_back(
    shop: ServerShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for dialect in (Dialect, *Dialect.__subclasses__()):
        monkeypatch.setattr(dialect, "batch_rows", 1)
    written: list[str] = []

    def cut(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if shop.table in statement and statement.lstrip().startswith("UPDATE"):
            written.append(statement)
            if len(written) == 2:
                shop.hang_up()

    sa.event.listen(shop.database, "before_cursor_execute", cut)
    shop.add(GOOD)
    run = shop.engine.sync("erp")
    assert (run.result, shop.levels) == (RunResult.FAILED, OLD), "the first batch was written and taken back"
    assert run.failure is not None
    assert run.failure.code == "sink_unavailable"
    retried(shop)


def retried(shop: ServerShop) -> SyncRun:
    """The retry of a failed sync, which gets it right."""
    status = shop.engine.status("erp")
    assert (status.status, status.next_run_at) == (SyncStatus.PENDING, START + timedelta(minutes=5))
    shop.clock.advance(timedelta(minutes=5))
    (run,) = shop.engine.run_due()
    assert (run.result, run.attempt, shop.levels) == (RunResult.COMPLETED, 1, NEW)
    assert run.counts.add_up
    return run


def test_a_crash_between_writing_and_recording_leaves_both_untouched(shared: ServerShop) -> None:
    def crash() -> None:
        raise RuntimeError("between the write and the commit")

    shared.add(GOOD, sink=Around(shared.sink, "apply", crash, after=True))
    run = shared.engine.sync("erp")
    assert shared.writes, "the levels were written, in a transaction that was not committed"
    assert (run.result, run.products_updated, shared.levels) == (RunResult.FAILED, 0, OLD)
    assert not shared.store.ledger("erp")
    retried(shared)


def test_a_connection_lost_between_writing_and_recording_has_its_effect_once(shared: ServerShop) -> None:
    shared.add(GOOD, sink=Around(shared.sink, "apply", shared.hang_up, after=True))
    run = shared.engine.sync("erp")
    assert shared.levels == (NEW if run.result is RunResult.COMPLETED else OLD)
    if run.result is not RunResult.COMPLETED:
        retried(shared)
    history = shared.engine.history("erp")
    assert sum(run.products_updated for run in history) == 2
    assert shared.engine.status("erp").status is SyncStatus.COMPLETED


@pytest.mark.parametrize(
    ("field", "method"),
    [("connector", "fetch"), ("decoder", "decode"), ("sink", "describe"), ("sink", "levels"), ("sink", "apply")],
)
def test_a_server_that_hangs_up_between_two_stages_costs_at_most_a_retry(
    shop: ServerShop, field: str, method: str
) -> None:
    part = Scripted(GOOD) if field == "connector" else getattr(shop.source(), field)
    shop.engine.add_source(shop.source(**{"connector": Scripted(GOOD), field: Around(part, method, shop.hang_up)}))
    run = shop.engine.sync("erp")
    if run.result is RunResult.FAILED:
        assert run.failure is not None
        assert run.failure.code in {"store_unavailable", "store_failed", "sink_unavailable"}
        assert shop.levels == OLD
        run = retried(shop)
    assert (run.result, run.products_updated, shop.levels) == (RunResult.COMPLETED, 2, NEW)


def test_a_server_that_hangs_up_between_two_calls_is_found_again_at_the_next(shop: ServerShop) -> None:
    shop.add(GOOD)
    shop.engine.request_sync("erp")
    shop.hang_up()
    runs: list[SyncRun] = []
    for _ in range(2):
        with suppress(StoreUnavailable):
            runs += shop.engine.run_due()
    (run,) = runs
    assert (run.result, shop.levels) == (RunResult.COMPLETED, NEW)


@pytest.mark.parametrize("stage", ["levels", "apply"])
def test_a_worker_that_slept_through_its_lease_writes_nothing(
    fenced: ServerShop, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    for dialect in (Dialect, *Dialect.__subclasses__()):
        monkeypatch.setattr(dialect, "batch_rows", 1)
    asleep, awake = threading.Event(), threading.Event()

    def sleep() -> None:
        asleep.set()
        assert awake.wait(60)

    # Its clock stands still, as that of a machine that was paused: it believes in its lease.
    zombie = SyncEngine(fenced.store, clock=ManualClock(START), worker="zombie")
    old = Scripted("sku,quantity\nA,9\nB,9\nC,9\n")
    zombie.add_source(fenced.source(old, sink=Around(fenced.sink, stage, sleep)))
    ended: list[object] = []

    def work() -> None:
        try:
            ended.append(zombie.sync("erp"))
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert asleep.wait(60)
        rescuer = fenced.new_engine(worker="rescuer")
        new = Scripted(GOOD.replace("A,5", "A,1"))
        rescuer.add_source(fenced.source(new, sink=Around(fenced.sink, stage, lambda: None)), exist_ok=True)
        fenced.clock.advance(timedelta(seconds=61))
        (rescue,) = rescuer.run_due()
    finally:
        awake.set()
        thread.join(60)
    assert (rescue.result, rescue.attempt, rescue.products_updated) == (RunResult.COMPLETED, 1, 1)
    assert fenced.levels == {"A": 1, "B": 1, "C": 0}, "A came before C, and was taken back"
    saved, lost = fenced.engine.history("erp")
    assert (saved, lost.result) == (rescue, RunResult.LOST)
    (outcome,) = ended
    assert isinstance(outcome, LeaseLost) or outcome == lost
    assert saved.epoch > lost.epoch


def test_rows_of_a_fenced_table_keep_when_and_under_which_epoch_they_were_written(fenced: ServerShop) -> None:
    connector = fenced.add(GOOD)
    connector.as_of = START - timedelta(minutes=2)
    run = fenced.engine.sync("erp")
    assert fenced.engine.sync("erp").epoch > run.epoch
    with fenced.database.connect() as connection:
        connection.execute(sa.text("SET TIME ZONE 'UTC'" if connection.dialect.name == "postgresql" else "DO 0"))
        rows = connection.exec_driver_sql(f"SELECT sku, seen_at, written_by FROM {fenced.table}").all()
    seen = {row.sku: (row.seen_at and row.seen_at.replace(tzinfo=START.tzinfo), row.written_by) for row in rows}
    assert seen["A"] == seen["C"] == (START - timedelta(minutes=2), run.epoch)
