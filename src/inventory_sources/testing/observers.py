"""The contract of an :class:`~inventory_sources.protocols.observer.Observer`, as tests to inherit.

In four lines::

    class TestStatsd(ObserverContract):
        def make(self): return StatsdObserver(self.client)
        def seen(self): return " ".join(self.client.sent)
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from attrs import evolve

from inventory_sources.errors import Phase
from inventory_sources.protocols.observer import DeliveryVerdict, Observed, Observer, Stage
from inventory_sources.run import Failure, RunCounts, RunResult, SyncRun, Trigger

__all__ = ["ObserverContract"]

_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
#: Stands for what a feed says, which may be quoted in a failure and in the names of inputs.
_QUOTED = "canary-4711"
_HOSTILE = "line\r\n\x00\ud800 naïve 在庫 " + "long " * 400
_THREADS = 8


def _started(source: str = "erp", trigger: Trigger = Trigger.SCHEDULED) -> SyncRun:
    return SyncRun("r-1", source, trigger, _AT, epoch=1, config_version=1)


def _ended(run: SyncRun, result: RunResult) -> Observed:
    failure = Failure("column_missing", Phase.MAP, f"no column {_QUOTED}", f"See {_QUOTED}.", _AT)
    failed = failure if result is RunResult.FAILED else None
    counts = RunCounts(rows=3, mapped=1, unmapped=1, invalid=1, items=1, changed=1, products_updated=1)
    ended = evolve(run, result=result, finished_at=_AT + timedelta(seconds=2), counts=counts, inputs=(_QUOTED,))
    return Observed(result.value, failed.code if failed else None, run=evolve(ended, failure=failed))


class ObserverContract:
    """Inherit it and say how to make the observer, and what it has passed on."""

    def make(self) -> Observer:
        """An observer."""
        raise NotImplementedError

    def seen(self) -> str:
        """All that the observers made in this test have passed on, in any form that shows every text of it."""
        raise NotImplementedError

    def sync(self, observer: Observer, run: SyncRun, result: RunResult = RunResult.COMPLETED) -> None:
        """Tells it of a run with all of its stages."""
        with observer.run(run) as told:
            self._stages(observer, run)
            told(_ended(run, result))

    @staticmethod
    def _stages(observer: Observer, run: SyncRun) -> None:
        for stage in (Stage.FETCH, Stage.READ):
            with observer.stage(run, stage) as told:
                told(Observed("done", counts={"rows": 3}))
        for outer, inner in ((Stage.PLAN, Stage.GUARD), (Stage.FINISH, Stage.APPLY)):
            with observer.stage(run, outer) as told, observer.stage(run, inner) as told_of_inner:
                told_of_inner(Observed("done"))
                told(Observed("done", counts={"items": 1}))

    def test_every_end_of_a_run_can_be_told(self) -> None:
        """By whatever trigger; also where its end is not known."""
        observer = self.make()
        for trigger in Trigger:
            for result in RunResult:
                self.sync(observer, _started(trigger=trigger), result)
        with observer.run(_started()) as told:
            told(Observed("unrecorded", "lease_lost"))

    def test_a_stage_can_fail(self) -> None:
        """With the code of an error, or the class of an exception."""
        observer, run = self.make(), _started()
        for error in ("connect_failed", "KeyboardInterrupt"):
            with observer.run(run) as told:
                with observer.stage(run, Stage.FETCH) as told_of_stage:
                    told_of_stage(Observed("failed", error))
                told(_ended(run, RunResult.FAILED))

    def test_every_verdict_of_a_delivery_can_be_told(self) -> None:
        """Outside of any run."""
        observer = self.make()
        for verdict in DeliveryVerdict:
            with observer.delivery("erp") as told:
                told(Observed(verdict.value))

    def test_any_name_of_a_source_is_taken(self) -> None:
        """Names hold what the host chose, and that of a delivery what its sender did."""
        observer = self.make()
        self.sync(observer, _started(_HOSTILE))
        with observer.delivery(_HOSTILE) as told:
            told(Observed("unknown"))

    def test_what_a_feed_said_is_not_passed_on(self) -> None:
        """Codes and numbers are for monitors; messages and the names of inputs stay in the history."""
        self.sync(self.make(), _started(), RunResult.FAILED)
        assert _QUOTED not in self.seen()

    def test_runs_in_several_threads_do_not_disturb_each_other(self) -> None:
        """An engine has one observer for all of its threads."""
        observer, failed = self.make(), list[BaseException]()
        begin = threading.Barrier(_THREADS)

        def work(run: SyncRun) -> Callable[[], None]:
            def sync() -> None:
                try:
                    begin.wait(30)
                    self.sync(observer, run)
                except BaseException as error:  # noqa: BLE001 - shown below, in the test's own thread
                    failed.append(error)

            return sync

        threads = [threading.Thread(target=work(_started(f"source-{number}"))) for number in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
