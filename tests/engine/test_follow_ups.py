"""What a fetch tells beside its input: memo, nothing new, more to come, and what to do after the commit."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from attrs import evolve

from inventory_sources import Columns, CsvDecoder, SyncStatus
from inventory_sources.errors import ConnectFailed, InputIncomplete, MappingError
from inventory_sources.guards import default_guards
from inventory_sources.payload import Evidence, Payload, Proof
from inventory_sources.plan import PlanFigures, Verdict, VerdictAction
from inventory_sources.protocols.connector import FetchContext
from inventory_sources.protocols.sink import SinkLevel
from inventory_sources.run import RunResult
from inventory_sources.sinks import MemorySink
from inventory_sources.status import Reason

from .conftest import START, Shop

GOOD = "sku,quantity\nA,5\n"
BAD = 'sku,quantity\nA,"5\n'
QUARTER = timedelta(minutes=15)


class Folder:
    """A connector of one file that notes each fetch and wants to put the file away."""

    def __init__(self, text: str = GOOD, as_of: datetime | None = START) -> None:
        self.text: str | None = text
        self.as_of = as_of
        self.memos: list[str | None] = []
        self.done: list[str] = []
        self.error: Exception | None = None
        self.more = False
        self.levels_when_done: Any = None
        self.look: Any = dict

    def fetch(self, context: FetchContext) -> Iterator[Payload]:
        """The file, unless there is none."""
        self.memos.append(context.memo)
        context.note(f"fetch {len(self.memos)}")
        if self.error:
            raise self.error
        if self.text is None:
            context.nothing_new("no new file")
            return
        context.after_commit(self._done)
        context.after_refusal(self._refused)
        if self.more:
            context.more_waits()
        data = self.text.encode()
        proven = Evidence(frozenset({Proof.LENGTH}))
        yield Payload("feed.csv", data, self.as_of, proven, sha256=hashlib.sha256(data).hexdigest())

    def _done(self, context: FetchContext) -> None:
        context.checkpoint()
        self.levels_when_done = self.look()
        self.done.append("done")

    def _refused(self, context: FetchContext) -> None:
        context.checkpoint()
        self.done.append("refused")


class NothingLeft:
    """A guard that holds plans with a zero in them."""

    def judge(self, figures: PlanFigures) -> Verdict | None:
        """Holds it."""
        return Verdict("nothing_left", VerdictAction.HOLD, f"{figures.zeroed} zeros") if figures.zeroed else None


def add(shop: Shop, connector: Folder, **changes: Any) -> None:
    shop.stock(A=1)
    connector.look = lambda: (dict(shop.levels), shop.engine.history("erp")[0].result)
    shop.engine.add_source(shop.source(connector, frequency="15min", **changes))


def tick(shop: Shop) -> Any:
    shop.clock.advance(QUARTER)
    (run,) = shop.engine.run_due()
    return run


def test_what_follows_a_commit_comes_after_it(shop: Shop) -> None:
    folder = Folder()
    add(shop, folder)
    tick(shop)
    assert (folder.done, folder.levels_when_done) == (["done"], ({"A": 5}, RunResult.COMPLETED))


def test_unchanged_content_of_the_same_time_is_not_compared_again(shop: Shop) -> None:
    folder = Folder()
    add(shop, folder)
    first = tick(shop)
    shop.stock(A=4)  # sold meanwhile; the file does not know
    again = tick(shop)
    assert (first.skipped, first.counts.rows) == ("", 1)
    assert again.skipped == "the input is unchanged since it was applied"
    assert (again.result, again.counts.rows, again.products_updated, again.inputs) == (
        RunResult.COMPLETED,
        0,
        0,
        ("feed.csv",),
    )
    assert "unchanged" in str(again)
    assert shop.levels == {"A": 4}
    state = shop.engine.status("erp")
    assert (state.status, state.last_success_at) == (SyncStatus.COMPLETED, shop.clock.now())
    assert folder.done == ["done", "done"]  # what did not succeed after the commit is done now


def test_sync_now_compares_unchanged_content_all_the_same(shop: Shop) -> None:
    add(shop, Folder())
    tick(shop)
    run = shop.engine.sync("erp")
    assert (run.skipped, run.counts.unchanged) == ("", 1)


def changed_content(shop: Shop, folder: Folder) -> None:
    folder.text = "sku,quantity\nA,6\n"


def observed_later(shop: Shop, folder: Folder) -> None:
    folder.as_of = START + QUARTER


def edited(shop: Shop, folder: Folder) -> None:
    shop.engine.update_source(shop.source(folder, frequency="15min"))


def mapped_by_hand(shop: Shop, folder: Folder) -> None:
    shop.engine.map_sku("erp", "A", "A")


def failed(shop: Shop, folder: Folder) -> None:
    folder.error = ConnectFailed("no route")
    shop.clock.advance(QUARTER)
    shop.engine.run_due()
    folder.error = None


@pytest.mark.parametrize("event", [changed_content, observed_later, edited, mapped_by_hand, failed])
def test_whatever_may_matter_has_the_input_compared_again(shop: Shop, event: Any) -> None:
    folder = Folder()
    add(shop, folder)
    tick(shop)
    event(shop, folder)
    assert tick(shop).skipped == ""


@pytest.mark.parametrize("text", ["sku,quantity\nA,5\nB,1\n", "sku,quantity\nA,5\nA,\n"])
def test_an_input_with_rows_to_resolve_is_looked_at_each_time(shop: Shop, text: str) -> None:
    add(shop, Folder(text))
    tick(shop)
    assert tick(shop).skipped == ""


def test_an_input_without_a_time_is_a_new_observation_each_time(shop: Shop) -> None:
    add(shop, Folder(as_of=None))
    tick(shop)
    assert tick(shop).skipped == ""


def test_a_sink_that_keeps_whatever_came_last_is_compared_each_time(shop: Shop) -> None:

    class LastWriterWins(MemorySink):
        def describe(self) -> Any:
            return evolve(super().describe(), level=SinkLevel.ABSOLUTE_SET)

    sink = LastWriterWins({"A": 1})
    add(shop, Folder(), sink=sink)
    tick(shop)
    assert tick(shop).skipped == ""


def test_nothing_new_is_a_run_without_rows(shop: Shop) -> None:
    folder = Folder()
    add(shop, folder)
    tick(shop)
    folder.text = None
    run = tick(shop)
    assert (run.result, run.skipped, run.counts.rows) == (RunResult.COMPLETED, "no new file", 0)
    assert (shop.levels, folder.done) == ({"A": 5}, ["done"])
    assert shop.engine.status("erp").reason is Reason.DONE


def test_a_dry_run_says_that_nothing_is_new(shop: Shop) -> None:
    folder = Folder()
    folder.text = None
    add(shop, folder)
    assert "no new file" in str(shop.engine.check("erp"))


def test_an_unusable_input_is_put_away_and_stays_the_error_while_nothing_new_comes(shop: Shop) -> None:
    folder = Folder(BAD)
    add(shop, folder, decoder=CsvDecoder())
    assert tick(shop).result is RunResult.FAILED
    assert folder.done == ["refused"]
    folder.text = None
    tick(shop)
    assert shop.engine.status("erp").status is SyncStatus.ERROR
    folder.text = GOOD
    tick(shop)
    assert shop.engine.status("erp").status is SyncStatus.COMPLETED
    assert shop.mailbox.kinds == ["failed", "resolved"]


@pytest.mark.parametrize("error", [InputIncomplete("still growing"), ConnectFailed("no route")])
def test_an_input_that_may_be_read_later_is_not_put_away(shop: Shop, error: Exception) -> None:
    folder = Folder()
    add(shop, folder)
    folder.error = error
    tick(shop)
    assert folder.done == []


def test_a_wrong_mapping_is_not_the_input_s_fault(shop: Shop) -> None:
    class Misconfigured(Columns):
        def map(self, raw: Any, context: Any) -> Any:
            raise MappingError("the mapping asks for what cannot be")

    folder = Folder()
    add(shop, folder, mapper=Misconfigured())
    assert tick(shop).result is RunResult.FAILED
    assert folder.done == []


def test_a_held_plan_is_not_put_away_until_it_is_applied(shop: Shop) -> None:
    folder = Folder("sku,quantity\nA,0\n")
    shop.stock(A=1)
    shop.engine.add_source(shop.source(folder, frequency="15min", guards=(NothingLeft(),)))
    assert tick(shop).result is RunResult.HELD
    assert folder.done == []
    held = shop.engine.held("erp")
    assert held is not None
    shop.engine.approve("erp", held.digest)
    assert shop.engine.run_due()[0].result is RunResult.COMPLETED
    assert (shop.levels, folder.done) == ({"A": 0}, [])
    tick(shop)
    assert folder.done == ["done"]


def test_a_memo_survives_a_failed_fetch(shop: Shop) -> None:
    folder = Folder()
    folder.error = InputIncomplete("seen for the first time")
    add(shop, folder)
    tick(shop)
    folder.error = None
    tick(shop)
    tick(shop)
    assert folder.memos == [None, "fetch 1", "fetch 2"]


def test_more_is_fetched_by_the_next_run_at_once(shop: Shop) -> None:
    folder = Folder()
    folder.more = True
    add(shop, folder)
    shop.clock.advance(QUARTER)
    shop.engine.run_due(limit=1)
    folder.more = False
    folder.text = "sku,quantity\nA,6\n"
    (run,) = shop.engine.run_due()
    assert (run.products_updated, shop.engine.run_due()) == (1, [])


def test_a_failure_to_follow_up_is_logged_and_leaves_the_run(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    class Clumsy(Folder):
        def _done(self, context: FetchContext) -> None:
            super()._done(context)
            raise OSError("ftp://user:hunter2@example.com is read-only")

    folder = Clumsy()
    add(shop, folder)
    caplog.set_level(logging.WARNING)
    run = tick(shop)
    assert (run.result, shop.engine.history("erp")[0].result) == (RunResult.COMPLETED, RunResult.COMPLETED)
    assert "follow_up_failed" in caplog.text
    assert "hunter2" not in caplog.text
    tick(shop)
    assert folder.done == ["done", "done"]


def test_warnings_of_connector_and_decoder_are_in_the_record(shop: Shop) -> None:
    class Stray(Folder):
        def fetch(self, context: FetchContext) -> Iterator[Payload]:
            context.warn("2 files have another name")
            return super().fetch(context)

    class Doubting(CsvDecoder):
        def decode(self, payload: Payload, context: Any) -> Any:
            context.warn("the text looks mis-decoded")
            return super().decode(payload, context)

    add(shop, Stray(), decoder=Doubting())
    assert tick(shop).warnings == ("2 files have another name", "the text looks mis-decoded")


def test_a_plan_that_was_rejected_is_put_away_when_it_comes_again(shop: Shop) -> None:
    folder = Folder("sku,quantity\nA,0\n")
    shop.stock(A=1)
    shop.engine.add_source(shop.source(folder, frequency="15min", guards=(NothingLeft(),)))
    tick(shop)
    held = shop.engine.held("erp")
    assert held is not None
    shop.engine.reject("erp", held.digest)
    assert folder.done == []
    tick(shop)
    assert folder.done == ["refused"]
    shop.engine.notify()
    assert "was rejected" in shop.mailbox.received[-1].summary
    assert "working again" not in shop.mailbox.received[-1].summary


def test_a_failed_run_names_its_inputs_and_warnings(shop: Shop) -> None:
    class Stray(Folder):
        def fetch(self, context: FetchContext) -> Iterator[Payload]:
            context.warn("2 files have another name")
            return super().fetch(context)

    add(shop, Stray(BAD))
    run = tick(shop)
    assert (run.result, run.inputs, run.warnings) == (RunResult.FAILED, ("feed.csv",), ("2 files have another name",))
    assert run.failure.message.startswith("feed.csv: line 2")
    assert shop.engine.check("erp").warnings == ("2 files have another name",)


@pytest.mark.parametrize(
    ("text", "hint"),
    [("<!DOCTYPE html><html><body>Log in</body></html>\n", "an HTML page"), ('{"items": []}\n', "a JSON document")],
)
def test_a_failure_says_what_the_input_looks_like(shop: Shop, text: str, hint: str) -> None:
    add(shop, Folder(text))
    failure = tick(shop).failure
    assert f"It looks like {hint}" in failure.guidance
    add_good = Folder("article,count\nA,5\n")
    shop.engine.update_source(shop.source(add_good, frequency="15min"))
    assert "looks like" not in tick(shop).failure.guidance


def test_a_feed_that_became_useless_is_held(shop: Shop) -> None:
    skus = [f"S{number}" for number in range(30)]
    good, useless = ("\n".join(["sku,quantity", *(f"{prefix}{sku},5" for sku in skus), ""]) for prefix in ("", "new-"))
    shop.stock(**dict.fromkeys(skus, 5))
    folder = Folder(good)
    shop.engine.add_source(shop.source(folder, frequency="15min", guards=default_guards()))
    assert tick(shop).result is RunResult.COMPLETED
    folder.text, folder.as_of = useless, START + QUARTER
    run = tick(shop)
    assert (run.result, run.warnings[0]) == (RunResult.HELD, "only 0 of 30 rows could be used")
    assert folder.done == ["done"]
