"""However deliveries, pulls, failures and decisions interleave: in the end each level is the newest that was said."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from attrs import define
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from inventory_sources import MemorySink, MemoryStateStore, SyncEngine
from inventory_sources.errors import IllegalTransition, SinkError, StoreUnavailable
from inventory_sources.guards import MassZero
from inventory_sources.protocols.webhook import ReceiveLimits
from inventory_sources.run import RunResult
from inventory_sources.sinks.sql import SqlStockSink
from inventory_sources.status import SyncStatus
from inventory_sources.stores.sql import SqlStateStore
from inventory_sources.webhooks import EventFacts
from tests.webhooks.shop import START, Pulled, PushedShop, pushed_source

SKUS = ("A0", "A1", "A2", "A3")
FIRST = START - timedelta(days=1)
GUARDS = (MassZero(at_least=3),)


class Trouble:
    """What happens to the next run."""

    down = False
    dies = False
    dead = False
    cancels: Callable[[], object] | None = None

    def at_levels(self) -> None:
        """While levels are read."""
        cancel, self.cancels = self.cancels, None
        if cancel is not None:
            with suppress(IllegalTransition):
                cancel()

    def at_apply(self) -> None:
        """Once levels are written."""
        if self.down:
            raise SinkError("the stock table does not answer")
        self.dead = self.dead or self.dies
        self.dies = False


def troubled_store(cls: type[Any], trouble: Trouble, *given: object, **more: object) -> Any:
    """A store that is gone, for this process, once a run has died."""

    class Store(cls):
        def transact(self, name: str, decide: Callable[[Any], Any]) -> Any:
            def dying(tx: Any) -> Any:
                result = decide(tx)
                if trouble.dead:
                    raise StoreUnavailable("the process is gone")
                return result

            return super().transact(name, dying)

    return Store(*given, **more)


class MemoryStock(MemorySink):
    """Stock with trouble."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(dict.fromkeys(SKUS, Decimal(900)))
        self.trouble = trouble

    def levels(self, skus: Sequence[str] | None) -> Any:
        """As ever."""
        self.trouble.at_levels()
        return super().levels(skus)

    def apply(self, changes: Any, context: Any) -> Any:
        """Whatever it was told to do."""
        result = None if self.trouble.down else super().apply(changes, context)
        self.trouble.at_apply()
        return result


class SqlStock(SqlStockSink):
    """The same in a table."""

    trouble: Trouble

    def levels(self, skus: Sequence[str] | None) -> Any:
        """As ever."""
        self.trouble.at_levels()
        return super().levels(skus)

    def apply(self, changes: Any, context: Any) -> Any:
        """Whatever it was told to do."""
        result = super().apply(changes, context)
        self.trouble.at_apply()
        return result


@define(eq=False)
class Sent:
    """A delivery on its way."""

    moment: int
    levels: dict[str, int]
    message: str
    received: int | None = None
    gone: bool = False


class Convergence(RuleBasedStateMachine):
    """The sender, the warehouse, the worker, and the person."""

    def __init__(self) -> None:
        super().__init__()
        self.trouble = Trouble()
        self.pull = Pulled(dict.fromkeys(SKUS, 100), as_of=moment_of(-1))
        self.shop = self.make()
        self.sent: list[Sent] = []
        self.receipts = 0

    def make(self) -> PushedShop:
        """A shop in memory."""
        shop = PushedShop.__new__(PushedShop)
        raise NotImplementedError(shop)

    def declared(self, size: int = 2) -> dict[str, Any]:
        """How the source is declared."""
        limits = ReceiveLimits(group_size=size)
        return {"pull": self.pull, "facts": EventFacts(time="at"), "guards": GUARDS, "limits": limits}

    @property
    def engine(self) -> SyncEngine:
        """The one that serves."""
        return self.shop.engine

    @rule(moment=st.integers(1, 6), levels=st.dictionaries(st.sampled_from(SKUS), st.integers(0, 5), max_size=4))
    def something_changes(self, moment: int, levels: dict[str, int]) -> None:
        """The sender says so, some day."""
        self.sent.append(Sent(2 * moment, levels, f"message-{len(self.sent)}"))

    @precondition(lambda self: self.sent)
    @rule(which=st.integers(0, 30))
    def a_delivery_arrives(self, which: int) -> None:
        """Any of them, for the first time or again."""
        self.arrives(self.sent[which % len(self.sent)])

    def arrives(self, one: Sent) -> None:
        self.shop.passes(seconds=1)
        facts = {"at": moment_of(one.moment).isoformat()}
        answer = self.shop.deliver_with(facts, one.levels, message=one.message)
        assert answer.status == 200
        if one.received is None:
            self.receipts += 1
            one.received = self.receipts

    @rule(levels=st.dictionaries(st.sampled_from(SKUS), st.integers(0, 5), max_size=4))
    def the_warehouse_counts(self, levels: dict[str, int]) -> None:
        """What is pulled from now on is newer."""
        assert self.pull.as_of is not None
        self.pull.as_of += timedelta(seconds=2)
        self.pull.levels = self.pull.levels | levels

    @rule(minutes=st.sampled_from([0, 1, 5, 20, 61]))
    def a_worker_comes(self, minutes: int) -> None:
        """And does what there is to do, until there is nothing."""
        self.shop.passes(minutes=minutes)
        self.shop.run()

    @rule()
    def a_worker_does_one_run(self) -> None:
        """No more."""
        self.engine.run_due(limit=1)

    @rule()
    def somebody_syncs_now(self) -> None:
        """Which pulls."""
        with suppress(StoreUnavailable):
            self.engine.sync("wms")

    @rule(down=st.booleans())
    def the_stock_table_fails(self, down: bool) -> None:
        """Or does not any more."""
        self.trouble.down = down

    @rule()
    def a_worker_dies_in_its_next_run(self) -> None:
        """Between writing and recording; another one takes its place after the lease."""
        self.trouble.dies = True
        self.engine.run_due()
        self.trouble.dies = self.trouble.dead = False
        self.shop.engine = SyncEngine(self.shop.store, clock=self.shop.clock, notifier=self.shop.mailbox)
        self.shop.engine.add_source(self.shop.source, exist_ok=True)

    @rule()
    def a_run_is_cancelled(self) -> None:
        """By a person."""
        self.trouble.cancels = lambda: self.engine.cancel("wms")
        self.engine.run_due()
        self.trouble.cancels = None

    @rule(size=st.integers(1, 4))
    def the_source_is_edited(self, size: int) -> None:
        """A little."""
        self.shop.source = pushed_source(self.shop.sink, **self.declared(size))
        self.engine.update_source(self.shop.source)

    @rule(size=st.integers(1, 4))
    def the_source_is_edited_while_it_runs(self, size: int) -> None:
        """Which fences the run out."""
        self.trouble.cancels = lambda: self.the_source_is_edited(size)
        self.engine.run_due()
        self.trouble.cancels = None

    @rule()
    def the_source_is_paused(self) -> None:
        """For a while."""
        self.engine.pause("wms")

    @rule()
    def the_source_is_resumed(self) -> None:
        """If it was paused."""
        self.engine.resume("wms")

    @precondition(lambda self: self.engine.held("wms"))
    @rule(approves=st.booleans())
    def a_person_decides(self, approves: bool) -> None:
        """On the plan that waits."""
        held = self.engine.held("wms")
        assert held is not None
        if self.engine.status("wms").held_digest is None or self.engine.status("wms").status is SyncStatus.SYNCING:
            return
        if approves:
            self.engine.approve("wms", held.digest)
            return
        waiting = {entry.id for entry in self.kept() if entry.status.value == "waiting"}
        self.engine.reject("wms", held.digest)
        for entry in self.kept():
            if entry.status.value == "dismissed" and entry.id in waiting:
                self.of(entry).gone = True

    def kept(self) -> Sequence[Any]:
        return self.engine.webhooks.deliveries("wms", 1000)

    def of(self, entry: Any) -> Sent:
        return next(one for one in self.sent if entry.key.startswith(one.message))

    def teardown(self) -> None:
        """All arrives, all works again; then each level is the newest that was said of it."""
        try:
            self.comes_to_rest()
            assert self.levels() == self.truth()
            assert {entry.status.value for entry in self.kept()} <= {"applied", "dismissed"}
            assert self.shop.run() == []
        finally:
            self.shop.engine.close()

    def comes_to_rest(self) -> None:
        self.trouble.down = False
        self.engine.resume("wms")
        for one in self.sent:
            if one.received is None:
                self.arrives(one)
        self.shop.passes(hours=2)
        for _ in range(40):
            self.shop.run()
            held = self.engine.held("wms")
            if held is None:
                break
            self.engine.approve("wms", held.digest)
        last = self.engine.history("wms", 1)
        if last and last[0].result is RunResult.COMPLETED:
            assert not [entry for entry in self.kept() if entry.status.value == "waiting"]
        self.engine.sync("wms")
        self.shop.run()
        held = self.engine.held("wms")
        if held is not None:
            self.engine.approve("wms", held.digest)
            self.shop.run()

    def levels(self) -> dict[str, int]:
        """What the shop shows."""
        return {level.sku: int(level.quantity) for level in self.shop.sink.levels(None)}

    def truth(self) -> dict[str, int]:
        """The newest moment's word; of the same moment the one received last."""
        said = {sku: (self.pull.as_of, 0, quantity) for sku, quantity in self.pull.levels.items()}
        for one in self.sent:
            for sku, quantity in one.levels.items():
                word = (moment_of(one.moment), one.received or 0, quantity)
                if not one.gone and word > said[sku]:
                    said[sku] = word
        return {sku: quantity for sku, (_, _, quantity) in said.items()}


class InMemory(Convergence):
    """Store and stock in memory."""

    def make(self) -> PushedShop:
        """A shop of these."""
        shop = PushedShop(sink=MemoryStock(self.trouble), store=None, **self.declared())
        store = troubled_store(MemoryStateStore, self.trouble, clock=shop.clock)
        return reopened(shop, store)


class InOneDatabase(Convergence):
    """Store and stock in one SQLite file; levels and states change in one transaction."""

    def make(self) -> PushedShop:
        """A shop of these."""
        self.folder = tempfile.mkdtemp()
        database = sa.create_engine(f"sqlite:///{Path(self.folder, 'shop.db')}")
        with database.begin() as connection:
            connection.execute(sa.text("create table stock (sku text primary key, qty integer not null)"))
            for sku in SKUS:
                connection.execute(sa.text(f"insert into stock values ('{sku}', 900)"))
        sink = SqlStock(database, "stock", sku="sku", quantity="qty", shared=True)
        sink.trouble = self.trouble
        shop = PushedShop(sink=sink, **self.declared())
        self.database = database
        return reopened(shop, troubled_store(SqlStateStore, self.trouble, database, clock=shop.clock))

    def levels(self) -> dict[str, int]:
        """From the table itself."""
        with self.database.connect() as connection:
            return {row.sku: row.qty for row in connection.execute(sa.text("select sku, qty from stock"))}

    def teardown(self) -> None:
        """And no file is left."""
        try:
            super().teardown()
        finally:
            self.database.dispose()
            shutil.rmtree(self.folder)


def reopened(shop: PushedShop, store: Any) -> PushedShop:
    """The same shop on another store."""
    shop.store = store
    shop.engine = SyncEngine(store, clock=shop.clock, notifier=shop.mailbox)
    shop.engine.add_source(shop.source)
    return shop


def moment_of(number: int) -> datetime:
    """Even ones are the sender's, odd ones the warehouse's."""
    return FIRST + timedelta(seconds=number)


TestInMemory = InMemory.TestCase
TestInMemory.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestInOneDatabase = InOneDatabase.TestCase
TestInOneDatabase.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
