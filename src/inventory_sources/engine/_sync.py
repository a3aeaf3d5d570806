"""One sync: take in, propose, guard, apply, report."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import Any

from attrs import Factory, define, evolve, field

from inventory_sources.batch import RejectionKind
from inventory_sources.engine._applying import apply_plan
from inventory_sources.engine._held import pack_intake, unpack_intake
from inventory_sources.engine._intake import Intake, IntakeRequest, take_in
from inventory_sources.engine._lease import Lease
from inventory_sources.engine._planning import Approval
from inventory_sources.engine._proposal import Background, Proposal, propose
from inventory_sources.engine._runs import Claimed, Ending, Runs, released
from inventory_sources.errors import (
    InventorySourcesError,
    LeaseLost,
    RateLimited,
    Recovery,
    StoreError,
    SyncCancelled,
)
from inventory_sources.plan import SyncPlan, VerdictAction
from inventory_sources.protocols.clock import Clock
from inventory_sources.protocols.connector import Progress
from inventory_sources.protocols.sink import SinkLevel
from inventory_sources.protocols.store import HeldPlan, StateChange, StateStore, Transaction, UnmappedSku
from inventory_sources.run import Failure, RunResult, SyncRun
from inventory_sources.source import Source
from inventory_sources.status import Cancel, Fail, Hold, SourceState, Succeed

__all__ = ["Sync"]

#: A COMMIT whose outcome is unknown is asked for again; finishing twice changes nothing.
_FINISH_TRIES = 3
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
    _overrides: Mapping[str, str] = field(default=Factory(dict), init=False)

    def run(self) -> SyncRun:
        """Runs it and records how it ended.

        :raises LeaseLost: when another worker owns the source; this one wrote nothing more.
        :raises StoreError: when the end could not be recorded; the lease will expire and the run be rescued.
        """
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
        held = self.store.held(self.source.name) if state.approved_digest else None
        with ExitStack() as spooled:
            if held is None:
                with self.lease.within(self.source.timeout):
                    intake = spooled.enter_context(self._take_in())
            else:
                intake = unpack_intake(held.batch)
            self.lease.check()
            return self._settle(intake, held)

    def _settle(self, intake: Intake, held: HeldPlan | None) -> SyncRun:
        """Proposes, guards, applies and records what was taken in."""
        name, state = self.source.name, self.claimed.state
        background = Background.read(self.store, name, state)
        proposal = propose(self.source, intake, background, _approval(state, held))
        if proposal.plan.held:
            return self._hold(intake, background, proposal)
        if proposal.plan.counts.changed:
            self.lease.renew()
        if proposal.traits.level is SinkLevel.SHARED_TRANSACTION:
            return self._finish(
                lambda tx: self._succeed(intake, background, proposal, self._apply(proposal.plan, tx.connection))
            )
        applied = self._apply(proposal.plan, None)
        return self._finish(lambda tx: self._succeed(intake, background, proposal, applied))

    def _take_in(self) -> AbstractContextManager[Intake]:
        state = self.claimed.state
        self._overrides = self.store.overrides(self.source.name)
        return take_in(
            self.source,
            IntakeRequest(
                self.clock,
                self.claimed.run.started_at,
                self.logger,
                self.progress,
                cursor=state.cursor,
                overrides=self._overrides,
                cancelled=self.lease.cancelled,
            ),
        )

    def _apply(self, plan: SyncPlan, connection: object | None) -> SyncPlan:
        return apply_plan(
            self.source, plan, self.claimed.run, self.lease, progress=self.progress, connection=connection
        )

    def _succeed(self, intake: Intake, background: Background, proposal: Proposal, applied: SyncPlan) -> Ending:
        run = evolve(self._record(intake, applied), result=RunResult.COMPLETED)
        event = Succeed(run.id, run.epoch, baseline_rows=intake.rows, cursor=intake.cursor)
        ledger = proposal.ledger_change(background.ledger, applied)

        def extras(state: SourceState) -> StateChange:
            change = self._learned(state, applied)
            change.ledger = ledger
            change.resolved = background.resolved_by(applied, self._overrides)
            change.drop_held = background.state.held_digest is not None
            return change

        return Ending(event, run, extras)

    def _hold(self, intake: Intake, background: Background, proposal: Proposal) -> SyncRun:
        plan = proposal.plan
        figures = tuple(
            f"{verdict.guard}: {verdict.message}" for verdict in plan.verdicts if verdict.action is VerdictAction.HOLD
        )
        digest, run = plan.digest, self.claimed.run
        record = evolve(self._record(intake, plan), result=RunResult.HELD, digest=digest)
        batch = pack_intake(intake)
        summary = "; ".join(verdict.message for verdict in plan.verdicts if verdict.action is VerdictAction.HOLD)

        def ending(tx: Transaction) -> Ending:
            held = HeldPlan(digest, run.id, tx.now, figures, batch)

            def extras(state: SourceState) -> StateChange:
                change = self._learned(state, plan)
                # Those seen before stay those of the last applied feed, or the approval would make another plan.
                change.unmapped = tuple(entry for entry in change.unmapped if entry.sku not in background.unmapped)
                change.held = held
                return change

            return Ending(Hold(run.id, run.epoch, digest, summary), record, extras)

        return self._finish(ending)

    def _record(self, intake: Intake, plan: SyncPlan) -> SyncRun:
        return evolve(
            self.claimed.run,
            counts=plan.counts,
            as_of=plan.as_of,
            inputs=intake.inputs,
            evidence=str(intake.evidence),
            warnings=plan.warnings,
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

    def _fail(self, error: InventorySourcesError) -> SyncRun:
        run = self.claimed.run
        retry_after = error.retry_after if isinstance(error, RateLimited) else None
        self.logger.warning("sync_failed", code=error.code, message=error.message)

        def ending(tx: Transaction) -> Ending:
            failure = Failure.of(error, tx.now)
            event = Fail(run.id, run.epoch, failure, error.recovery, retry_after)
            return Ending(event, evolve(run, result=RunResult.FAILED, failure=failure))

        return self._finish(ending)

    def _stop(self) -> SyncRun:
        if self.lease.lost:
            raise LeaseLost(f"run {self.claimed.run.id} lost its lease on source {self.source.name!r}")
        return self._finish(lambda tx: released(self.claimed.run) if self.lease.released else self._cancel())

    def _cancel(self) -> Ending:
        run = self.claimed.run
        return Ending(Cancel(run.id, run.epoch), evolve(run, result=RunResult.CANCELLED))

    def _finish(self, ending: Callable[[Transaction], Ending]) -> SyncRun:
        for tries_left in reversed(range(_FINISH_TRIES)):
            try:
                return self.runs.finish(self.claimed.run, ending)
            except StoreError:
                if not tries_left:
                    raise
        raise AssertionError("unreachable")


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
