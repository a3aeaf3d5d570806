"""One sync: take in, propose, guard, apply, report."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

from attrs import Factory, define, evolve, field

from inventory_sources.batch import RejectionKind
from inventory_sources.engine._applying import Applied, apply_plan
from inventory_sources.engine._deliveries import OneSourceInbox, Settler, looked_at_again, refused_deliveries
from inventory_sources.engine._fetching import Fetch, FetchRequest, fetch, fetch_context, foreign_errors
from inventory_sources.engine._held import held_deliveries, pack_intake, unpack_intake
from inventory_sources.engine._intake import Intake, read
from inventory_sources.engine._lease import Lease
from inventory_sources.engine._planning import Approval
from inventory_sources.engine._proposal import Background, Proposal, propose
from inventory_sources.engine._runs import Claimed, Ending, Runs, released
from inventory_sources.engine._watching import UNWATCHED, Watch
from inventory_sources.errors import (
    DecodeError,
    FetchError,
    InputTooLarge,
    InventorySourcesError,
    LeaseLost,
    Recovery,
    SinkError,
    StoreError,
    SyncCancelled,
)
from inventory_sources.feed import FeedScope
from inventory_sources.plan import SyncPlan, VerdictAction
from inventory_sources.protocols.clock import Clock
from inventory_sources.protocols.connector import FetchOutcome, Progress
from inventory_sources.protocols.inbox import InboxEntry, InboxStatus
from inventory_sources.protocols.observer import Stage
from inventory_sources.protocols.sink import SinkLevel
from inventory_sources.protocols.store import HeldPlan, LedgerChange, StateChange, StateStore, Transaction, UnmappedSku
from inventory_sources.protocols.webhook import Receiver
from inventory_sources.run import Failure, RunResult, SyncRun, Trigger
from inventory_sources.source import Source
from inventory_sources.status import AppliedInput, Cancel, Fail, Hold, Rest, SourceState, Succeed

__all__ = ["Sync"]

#: A COMMIT whose outcome is unknown is asked for again; finishing twice changes nothing.
_FINISH_TRIES = 3
#: Deliveries that a record names.
_MOST_NAMED = 20
#: Where panics of compiled parts (polars) come from; they are no `Exception`.
_RUST = "pyo3_runtime"


@define
class Sync:
    """One claimed run of a source, from the fetch to the history."""

    source: Source
    claimed: Claimed
    store: StateStore
    runs: Runs
    lease: Lease
    clock: Clock
    logger: Any
    progress: Progress = field(default=lambda stage, unit, done: None)
    watch: Watch = UNWATCHED
    _overrides: Mapping[str, str] = field(default=Factory(dict), init=False)
    _outcome: FetchOutcome = field(default=Factory(FetchOutcome), init=False)
    _inputs: tuple[str, ...] = field(default=(), init=False)
    _refused: bool = field(default=False, init=False)
    _refusals: Mapping[str, int] = field(default=Factory(dict), init=False)
    _unfinished: int = field(default=0, init=False)
    _set_aside: Sequence[InboxEntry] = field(default=(), init=False)
    _held_is_pulled: bool = field(default=True, init=False)
    _inbox: OneSourceInbox = field(
        default=Factory(lambda self: OneSourceInbox(self.store, self.source.name), takes_self=True), init=False
    )

    def run(self) -> SyncRun:
        """Runs it and records how it ended; then does what the connector left to be done after that.

        :raises LeaseLost: when another worker owns the source; this one wrote nothing more.
        :raises StoreError: when the end could not be recorded; the lease will expire and the run be rescued.
        """
        run = self._run()
        if self._refusals:
            self.logger.warning("items_refused", reasons=dict(self._refusals), rereads=self._unfinished)
        self._follow_up(run)
        return run

    def _run(self) -> SyncRun:
        try:
            return self._go()
        except SyncCancelled:
            return self._stop()
        except InventorySourcesError as error:
            if self.lease.lost:
                self.logger.warning("sync_fenced_out")
                raise
            return self._fail(error)  # where it says that the lease is lost, the store decides whether it is
        except (KeyboardInterrupt, SystemExit):
            with suppress(InventorySourcesError):
                self._finish(lambda tx: released(self.claimed.run))
            raise
        except BaseException as error:
            self.logger.error("sync_crashed", error=type(error).__name__, at=_places(error))  # noqa: TRY400 - its text may hold a secret
            run = self._fail(_unexpected(error))
            if isinstance(error, Exception) or type(error).__module__ == _RUST:
                return run
            raise

    def _go(self) -> SyncRun:
        state = self.claimed.state
        held = self.store.held(self.source.name) if state.held_digest else None
        self._set_aside = self._inbox.set_aside() if self._receives else ()
        if held is not None and state.approved_digest:
            self.lease.check()
            return self._settle_held(held)
        self._held_is_pulled = held is None or not held_deliveries(held.batch)
        with ExitStack() as spooled:
            with self.lease.within(self.source.timeout):
                self._overrides = self.store.overrides(self.source.name)
                with self._stage(Stage.FETCH) as tell:
                    fetched = spooled.enter_context(fetch(self.source, self._request()))
                    tell(inputs=len(fetched.gathered))
                self._inputs = tuple(payload.origin for payload in fetched.payloads)
                skipped = self._skipped(fetched)
                intake = None if skipped else self._read(fetched)
            self.lease.check()
            if intake is None:
                return self._finish(lambda tx: cast("Ending", skipped))
            return self._settle(intake, None) if intake.settles or not intake.aside else self._put_aside(intake)

    def _stage(self, stage: Stage) -> AbstractContextManager[Callable[..., None]]:
        return self.watch.stage(self.claimed.run, stage)

    def _read(self, fetched: Fetch) -> Intake:
        with self._stage(Stage.READ) as tell:
            intake = read(fetched)
            tell(rows=intake.rows)
        return evolve(intake, yielding=self._inbox.yielding(intake.deliveries))

    def _request(self) -> FetchRequest:
        state = self.claimed.state
        return FetchRequest(
            self.clock,
            self.claimed.run.started_at,
            self.logger,
            self.progress,
            cursor=state.cursor,
            memo=state.memo,
            overrides=self._overrides,
            cancelled=self.lease.cancelled,
            outcome=self._outcome,
            trigger=self.claimed.run.trigger,
            inbox=self._inbox if self._receives else None,
        )

    @property
    def _receives(self) -> bool:
        return isinstance(self.source.connector, Receiver)

    def _skipped(self, fetched: Fetch) -> Ending | None:
        """How the run ends if there is nothing to read."""
        run, cursor, memo = self.claimed.run, fetched.context.next_cursor, self._outcome.memo
        pushed, settling = self._outcome.pushed, self._settler(run.started_at).settle(self._outcome.pushed.covered)
        if fetched.nothing_new and not fetched.unreadable:
            clear = pushed.drained and settling.aside is None
            rest = Rest(run.id, run.epoch, cursor, memo, settling.aside, clear=clear, beside=self._beside)
            record = self._record_skipped(fetched.nothing_new)
            return Ending(rest, record, lambda state: StateChange(state, settled=settling.settled))
        if pushed.drained or not self._applied_before(fetched):
            return None
        more, aside = self._outcome.more, settling.aside
        event = Succeed(run.id, run.epoch, cursor=cursor, memo=memo, more=more, aside=aside)
        record = self._record_skipped("the input is unchanged since it was applied")
        drop_held = self.claimed.state.held_digest is not None
        return Ending(event, record, lambda state: StateChange(state, settled=settling.settled, drop_held=drop_held))

    def _put_aside(self, intake: Intake) -> SyncRun:
        """Ends a run none of whose deliveries could be read."""
        run = evolve(self.claimed.run, result=RunResult.FAILED)

        def ending(tx: Transaction) -> Ending:
            settling = self._settler(tx.now).settle((), intake.aside)
            memo, more = self._outcome.memo, self._outcome.more
            rest = Rest(run.id, run.epoch, memo=memo, aside=settling.aside, more=more, beside=self._beside)
            failure = settling.aside.failure if settling.aside else None
            record = evolve(run, failure=failure, warnings=(*intake.warnings, *settling.warnings))
            return Ending(rest, record, lambda state: StateChange(state, settled=settling.settled))

        return self._finish(ending)

    def _settler(self, now: datetime) -> Settler:
        return Settler(self.claimed.run.id, self._set_aside, self.source.retry, now, self._inbox.attempts)

    @property
    def _beside(self) -> bool:
        """Whether what the source is in, an incident or a plan that waits, is of the pull beside these deliveries."""
        state = self.claimed.state
        if not self._outcome.pushed.beside or (state.held_digest is None and state.incident is None):
            return False
        return self._held_is_pulled and not any(entry.status is InboxStatus.PARKED for entry in self._set_aside)

    def _applied_before(self, fetched: Fetch) -> bool:
        state, run = self.claimed.state, self.claimed.run
        before = state.applied
        if run.trigger is Trigger.MANUAL or state.last_failure is not None or before is None or before.digest is None:
            return False
        return before.digest == fetched.digest

    def _record_skipped(self, reason: str) -> SyncRun:
        return evolve(
            self.claimed.run,
            result=RunResult.COMPLETED,
            inputs=self._inputs,
            warnings=tuple(self._outcome.warnings),
            skipped=reason,
        )

    def _settle_held(self, held: HeldPlan) -> SyncRun:
        """Applies what was looked at; deliveries that came meanwhile have a run of their own."""
        intake = unpack_intake(held.batch)
        if self._receives:
            waiting = self._inbox.waiting(len(intake.settles) + 1)
            self._outcome.pushed.wait = not {entry.id for entry in waiting} <= {*intake.settles}
        return self._settle(intake, held)

    def _settle(self, intake: Intake, held: HeldPlan | None) -> SyncRun:
        """Proposes, guards, applies and records what was taken in."""
        name, state = self.source.name, self.claimed.state
        with self._stage(Stage.PLAN) as tell:
            background = Background.read(self.store, name, state)
            guarding = partial(self._stage, Stage.GUARD)
            proposal = propose(self.source, intake, background, _approval(state, held), guarding)
            tell(items=proposal.plan.counts.items)
        if proposal.plan.held:
            return self._hold(intake, background, proposal)
        if proposal.plan.counts.changed:
            self.lease.renew()
        if proposal.traits.level is SinkLevel.SHARED_TRANSACTION:
            return self._finish(
                lambda tx: self._succeed(
                    intake, background, proposal, self._apply(intake, proposal, tx.connection).plan, tx.now
                )
            )
        applied = self._apply(intake, proposal, None)
        if applied.stopped is not None:
            ledger = proposal.ledger_change(background.ledger, applied.plan)
            return self._break_off(intake, applied.plan, ledger, applied.stopped)
        return self._finish(lambda tx: self._succeed(intake, background, proposal, applied.plan, tx.now))

    def _apply(self, intake: Intake, proposal: Proposal, connection: object | None) -> Applied:
        with self._stage(Stage.APPLY) as tell:
            applied = apply_plan(
                self.source,
                proposal.plan,
                self.claimed.run,
                self.lease,
                progress=self.progress,
                connection=connection,
                cells=intake.cells,
            )
            tell(changed=applied.plan.counts.changed, failed=applied.plan.counts.failed)
        self._refusals = applied.refused
        return applied

    def _break_off(self, intake: Intake, applied: SyncPlan, ledger: LedgerChange | None, error: SinkError) -> SyncRun:
        """Fails, and keeps what was written before the sink stopped."""

        def extras(state: SourceState) -> StateChange:
            kept = applied.rejections.kept
            return StateChange(state, rejections_of=self.claimed.run.id, rejections=kept, ledger=ledger)

        return self._fail(error, self._record(intake, applied), extras)

    def _rereads(self, intake: Intake, applied: SyncPlan) -> tuple[int, tuple[str, ...]]:
        """How often in a row, this time included, the input is left to be fetched again for what the sink refused.

        An input that would not be there again, as its connector keeps a cursor or puts files away, is left as often as
        a failed sync is retried: one item that is never taken must not stop a source for ever.
        """
        given_once = intake.cursor is not None or self._outcome.after_commit
        if not applied.counts.failed or not given_once:
            return 0, ()
        before = self.claimed.state.applied
        rereads = before.rereads + 1 if before else 1
        if rereads < self.source.retry.exhausted:
            return rereads, ()
        return 0, (f"refused items were tried {rereads} times: the source goes on, until it sends them again",)

    def _succeed(
        self, intake: Intake, background: Background, proposal: Proposal, applied: SyncPlan, now: datetime
    ) -> Ending:
        rereads, given_up = self._rereads(intake, applied)
        self._unfinished = rereads
        settling = self._settler(now).settle(intake.settles, intake.aside, refused_deliveries(intake, applied))
        run = self._record(intake, applied)
        run = evolve(run, result=RunResult.COMPLETED, warnings=(*run.warnings, *given_up, *settling.warnings))
        event = Succeed(
            run.id,
            run.epoch,
            baseline_rows=None if intake.partial else intake.rows,
            baseline_matched=applied.figures.matched,
            cursor=None if rereads else intake.cursor,
            memo=self._outcome.memo,
            applied=self._applied(intake, rereads, untouched=_leaves_nothing(proposal, applied)),
            more=self._outcome.more and not rereads,
            aside=settling.aside,
            beside=self._beside,
        )
        ledger = proposal.ledger_change(background.ledger, applied)

        def extras(state: SourceState) -> StateChange:
            change = self._learned(state, applied)
            if intake.partial:  # when they were seen is told by the feeds that have them all
                change.unmapped = tuple(entry for entry in change.unmapped if entry.sku not in background.unmapped)
            change.ledger = ledger
            change.resolved = background.resolved_by(applied, self._overrides)
            change.drop_held = background.state.held_digest is not None and not event.beside
            change.settled = settling.settled
            return change

        return Ending(event, run, extras)

    def _applied(self, intake: Intake, rereads: int, *, untouched: bool) -> AppliedInput | None:
        """What is remembered of the input; after a push beside a pull, what was pulled before is worth another look."""
        before = self.claimed.state.applied
        if intake.partial and self.source.feed.scope is FeedScope.SNAPSHOT:
            return before and evolve(before, digest=None)
        return AppliedInput(self.claimed.run.started_at, intake.digest if untouched else None, rereads)

    def _hold(self, intake: Intake, background: Background, proposal: Proposal) -> SyncRun:
        plan = proposal.plan
        figures = tuple(
            f"{verdict.guard}: {verdict.message}" for verdict in plan.verdicts if verdict.action is VerdictAction.HOLD
        )
        digest, run = plan.digest, self.claimed.run
        record = evolve(self._record(intake, plan), result=RunResult.HELD, digest=digest)
        batch = pack_intake(intake)
        summary = "; ".join(verdict.message for verdict in plan.verdicts if verdict.action is VerdictAction.HOLD)
        # What a person has rejected is not wanted: to the connector, it is an input that cannot be used.
        self._refused = digest == self.claimed.state.rejected_digest

        def ending(tx: Transaction) -> Ending:
            held = HeldPlan(digest, run.id, tx.now, figures, batch)

            def extras(state: SourceState) -> StateChange:
                change = self._learned(state, plan)
                # Those seen before stay those of the last applied feed, or the approval would make another plan.
                change.unmapped = tuple(entry for entry in change.unmapped if entry.sku not in background.unmapped)
                change.held = held
                return change

            return Ending(Hold(run.id, run.epoch, digest, summary, self._outcome.memo), record, extras)

        return self._finish(ending)

    def _record(self, intake: Intake, plan: SyncPlan) -> SyncRun:
        return evolve(
            self.claimed.run,
            counts=plan.counts,
            as_of=plan.as_of,
            inputs=_named(intake.inputs) if intake.deliveries else intake.inputs,
            evidence=str(intake.evidence),
            warnings=(*intake.warnings, *plan.warnings),
        )

    def _learned(self, state: SourceState, plan: SyncPlan) -> StateChange:
        """The rejections, and the unmapped identifiers among them, of a run that read its input."""
        now = self.claimed.run.started_at
        kept = plan.rejections.kept
        unmapped = {
            rejection.sku: UnmappedSku(rejection.sku, now, now, rejection.quantity, str(rejection.place))
            for rejection in kept
            if rejection.kind is RejectionKind.UNMAPPED and rejection.sku
        }
        return StateChange(state, rejections_of=self.claimed.run.id, rejections=kept, unmapped=tuple(unmapped.values()))

    def _fail(
        self,
        error: InventorySourcesError,
        record: SyncRun | None = None,
        extras: Callable[[SourceState], StateChange] = StateChange,
    ) -> SyncRun:
        run = record or evolve(self.claimed.run, inputs=self._inputs, warnings=tuple(self._outcome.warnings))
        self._refused = isinstance(error, (DecodeError, InputTooLarge)) and not error.may_pass
        self.logger.warning("sync_failed", code=error.code, message=error.message)

        def ending(tx: Transaction) -> Ending:
            failure = Failure.of(error, tx.now)
            event = Fail(run.id, run.epoch, failure, error.recovery, error.retry_after, self._outcome.memo)
            return Ending(event, evolve(run, result=RunResult.FAILED, failure=failure), extras)

        return self._finish(ending)

    def _stop(self) -> SyncRun:
        if self.lease.lost:
            raise LeaseLost(f"run {self.claimed.run.id} lost its lease on source {self.source.name!r}")
        return self._finish(lambda tx: released(self.claimed.run) if self.lease.released else self._cancel())

    def _cancel(self) -> Ending:
        run = self.claimed.run
        return Ending(Cancel(run.id, run.epoch), evolve(run, result=RunResult.CANCELLED))

    def _follow_up(self, run: SyncRun) -> None:
        """Calls what is to be called after the end is recorded; the run stays as it is recorded, whatever happens."""
        done = run.result is RunResult.COMPLETED and not self._unfinished
        actions = self._outcome.after_commit if done else ()
        if run.result in (RunResult.FAILED, RunResult.HELD) and self._refused:
            actions = self._outcome.after_refusal
        if not actions:
            return
        request = evolve(self._request(), cancelled=self.lease.stopping, outcome=FetchOutcome())
        with fetch_context(self.source, request) as context:
            for action in actions:
                try:
                    with foreign_errors(FetchError, "connector", self.source.connector):
                        action(context)
                except InventorySourcesError as error:
                    self.logger.warning("follow_up_failed", code=error.code, message=error.message)

    def _finish(self, ending: Callable[[Transaction], Ending]) -> SyncRun:
        for tries_left in reversed(range(_FINISH_TRIES)):
            try:
                with self._stage(Stage.FINISH):
                    return self.runs.finish(self.claimed.run, lambda tx: self._with_pushes(ending(tx), tx.now))
            except StoreError:
                if not tries_left:
                    raise
        raise AssertionError("unreachable")

    def _with_pushes(self, end: Ending, now: datetime) -> Ending:
        """The same, with the source looked at again for deliveries that this run left and that no failure keeps."""
        if not self._receives:
            return end
        again = looked_at_again(end.event, self._outcome, self._inbox, self.claimed, self.source.retry)

        def extras(state: SourceState) -> StateChange:
            change = end.extras(state)
            settled = {each.id: each.next_attempt_at for each in change.settled}
            later = {each.id: each.next_attempt_at for each in self._set_aside} | settled
            moments = [moment for moment in later.values() if moment and moment > now]
            change.pushed_at = min(moments if again is None else [*moments, now + again], default=None)
            return change

        return evolve(end, extras=extras)


def _named(origins: tuple[str, ...]) -> tuple[str, ...]:
    """The origins of deliveries, as many as fit in a record."""
    more = len(origins) - _MOST_NAMED
    return origins if more <= 0 else (*origins[:_MOST_NAMED], f"{more} more deliveries")


def _leaves_nothing(proposal: Proposal, applied: SyncPlan) -> bool:
    """Whether the same input, seen once more, could not have any effect."""
    counts = applied.counts
    undone = counts.unmapped or counts.invalid or counts.failed or applied.warnings
    return not undone and proposal.traits.level is not SinkLevel.ABSOLUTE_SET


def _approval(state: SourceState, held: HeldPlan | None) -> Approval | None:
    if held is None or state.approved_digest is None:
        return None
    return Approval(state.approved_digest, frozenset(figure.partition(":")[0] for figure in held.figures))


def _places(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return " > ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)


def _unexpected(error: BaseException) -> InventorySourcesError:
    return InventorySourcesError(
        f"{type(error).__name__} inside the sync",
        guidance="The log says where; if it is this library's, please report it.",
        recovery=Recovery.RETRY,
    )
