"""Claiming, renewing and finishing runs: the only code that changes a source's state."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta

from attrs import define, evolve, field, frozen

from inventory_sources.engine._held import held_deliveries
from inventory_sources.errors import LeaseLost
from inventory_sources.protocols.inbox import InboxSettlement, InboxStatus
from inventory_sources.protocols.notifier import Notification, NotificationKind
from inventory_sources.protocols.store import AuditEntry, StateChange, StateStore, StoredSource, Transaction
from inventory_sources.run import RunResult, SyncRun, Trigger
from inventory_sources.status import (
    Claim,
    Edit,
    Event,
    Lose,
    Notice,
    NoticeKind,
    RejectHeld,
    Release,
    Renew,
    Rules,
    SourceState,
    SyncStatus,
    Transition,
    transition,
)

__all__ = ["Claimed", "Ending", "Runs", "released"]

_REJECTED = "the plan that it was part of was rejected"


@frozen
class Claimed:
    """A run that this worker owns, and the source as it was claimed."""

    run: SyncRun
    stored: StoredSource

    @property
    def state(self) -> SourceState:
        """The state right after the claim."""
        return self.stored.state


@frozen
class Ending:
    """How a run ends: the event, the run's record, and what else is written with it."""

    event: Event
    run: SyncRun
    extras: Callable[[SourceState], StateChange] = field(default=StateChange)


def released(run: SyncRun) -> Ending:
    """The source is given back, for whoever comes next; no attempt is spent."""
    return Ending(Release(run.id, run.epoch), evolve(run, result=RunResult.CANCELLED))


@define
class Runs:
    """Claims, renews and finishes runs of any source in the store.

    :param rules: gives the rules of a stored source.
    :param worker: names this process and thread in the history.
    """

    store: StateStore
    rules: Callable[[StoredSource], Rules]
    worker: str
    lease: timedelta

    def claim(self, name: str, *, manual: bool) -> Claimed | SyncRun | None:
        """Takes the source.

        Gives the claim; or the run that is going on already, for a manual claim; or ``None`` when it is not due.
        A source whose worker is gone is rescued on the way: its run is recorded as lost, which counts as an attempt.
        """
        run_id = uuid.uuid4().hex
        return self.store.transact(name, lambda tx: self._claim(tx, run_id, manual=manual))

    def _claim(self, tx: Transaction, run_id: str, *, manual: bool) -> Claimed | SyncRun | None:
        rules, now = self.rules(tx.source), tx.now
        before, lost = tx.source.state, _NONE
        rescued = Transition(before)
        if before.status is SyncStatus.SYNCING:
            if before.lease_until is None or before.lease_until > now:
                return tx.run(before.run_id or "") if manual else None
            rescued = transition(before, Lose(), rules, now)
            lost = _ended(tx, before, RunResult.LOST, rescued.state)
        state = rescued.state
        due, pushed_at = state.is_due(now), tx.source.pushed_at
        pushed = pushed_at is not None and pushed_at <= now and state.takes_pushes
        if not (manual or due or pushed):
            if lost:
                tx.write(StateChange(state, runs=lost, notifications=_notifications(tx, rescued.notices, before)))
            return None
        trigger = Trigger.MANUAL if manual else state.next_trigger if due else Trigger.WEBHOOK
        claimed = transition(state, Claim(run_id, self.worker, self.lease, trigger), rules, now).state
        run = SyncRun(
            id=run_id,
            source=rules.name,
            trigger=trigger,
            started_at=now,
            epoch=claimed.epoch,
            config_version=claimed.config_version,
            attempt=claimed.failures if trigger is Trigger.RETRY else 0,
            worker=self.worker,
        )
        notifications = _notifications(tx, rescued.notices, before)
        tx.write(StateChange(claimed, runs=(*lost, run), notifications=notifications, clear_pushed=True))
        return Claimed(run, evolve(tx.source, state=claimed))

    def going_on(self, stored: StoredSource) -> SyncRun | None:
        """The run that a source is in, if its worker is alive."""
        state = stored.state
        if state.status is not SyncStatus.SYNCING or state.is_due(self.store.now()):
            return None
        return self.store.run(state.run_id or "")

    def renew(self, run: SyncRun) -> SourceState:
        """Extends the lease.

        :raises LeaseLost: when the run does not own the source any more.
        """

        def decide(tx: Transaction) -> SourceState:
            event = Renew(run.id, run.epoch, self.lease)
            state = transition(tx.source.state, event, self.rules(tx.source), tx.now).state
            tx.write(StateChange(state))
            return state

        return self.store.transact(run.source, decide)

    def finish(self, run: SyncRun, ending: Callable[[Transaction], Ending]) -> SyncRun:
        """Ends a run: state, history, rejections, ledger and notifications in one transaction.

        Doing it twice changes nothing the second time: the recorded run is given back. ``ending`` may apply changes
        through the transaction's connection, and may be run again if the database asks for a repetition.

        :raises LeaseLost: when the run lost the source before it ended.
        """
        return self.store.transact(run.source, lambda tx: self._finish(tx, run, ending))

    def _finish(self, tx: Transaction, run: SyncRun, ending: Callable[[Transaction], Ending]) -> SyncRun:
        before = tx.source.state
        if not before.owned_by(run.id, run.epoch):
            stored = tx.run(run.id)
            if stored is not None and stored.result is not RunResult.RUNNING:
                return stored
            raise LeaseLost(f"run {run.id} no longer owns source {run.source!r}")
        end = ending(tx)
        moved = transition(before, end.event, self.rules(tx.source), tx.now)
        finished = evolve(end.run, finished_at=tx.now)
        change = end.extras(moved.state)
        change.runs = (*change.runs, finished)
        change.notifications = (*change.notifications, *_notifications(tx, moved.notices, before))
        tx.write(change)
        return finished

    def change(self, name: str, event: Event, audit: str, actor: str, detail: str = "") -> SourceState:
        """Applies a person's event to a source and records who did it.

        With a plan that is rejected, the deliveries that it was made of are dismissed.
        """
        dismissed, others = self._rejected(name, event)

        def decide(tx: Transaction) -> SourceState:
            moved = transition(tx.source.state, event, self.rules(tx.source), tx.now)
            entry = AuditEntry(name, audit, actor, tx.now, detail)
            notifications = _notifications(tx, moved.notices, tx.source.state)
            change = StateChange(moved.state, notifications=notifications, audit=(entry,))
            change.drop_held = tx.source.state.held_digest is not None and moved.state.held_digest is None
            change.settled, change.pushed_at = dismissed, tx.now if others else None
            tx.write(change)
            return moved.state

        return self.store.transact(name, decide)

    def _rejected(self, name: str, event: Event) -> tuple[tuple[InboxSettlement, ...], bool]:
        """The end of the deliveries of a rejected plan, and whether others wait behind them."""
        held = self.store.held(name) if isinstance(event, RejectHeld) else None
        ids = held_deliveries(held.batch) if held else ()
        if held is None or not ids:
            return (), False
        dismissed = InboxSettlement("", InboxStatus.DISMISSED, run_id=held.run_id, reason=_REJECTED)
        others = {entry.id for entry in self.store.waiting(name, len(ids) + 1)} - {*ids}
        return tuple(evolve(dismissed, id=each) for each in ids), bool(others)

    def edit(self, edited: StoredSource, rules: Rules, actor: str) -> SourceState:
        """Replaces a source's specification; a running sync is fenced out and recorded as cancelled.

        Deliveries that wait, such as those that a fenced sync had taken, are looked at again.
        """
        waiting = bool(self.store.waiting(edited.name, 1))

        def decide(tx: Transaction) -> SourceState:
            before = tx.source.state
            moved = transition(before, Edit(before.config_version + 1), rules, tx.now)
            change = StateChange(moved.state, spec=edited.spec)
            change.runs = _ended(tx, before, RunResult.CANCELLED, moved.state)
            change.notifications = _notifications(tx, moved.notices, before)
            change.drop_held = before.held_digest is not None
            change.pushed_at = tx.now if waiting else None
            change.audit = (AuditEntry(edited.name, "update_source", actor, tx.now),)
            tx.write(change)
            return moved.state

        return self.store.transact(edited.name, decide)


def _ended(tx: Transaction, before: SourceState, result: RunResult, after: SourceState) -> tuple[SyncRun, ...]:
    """The record of the run that ``before`` was in, ended from outside."""
    run = tx.run(before.run_id) if before.run_id else None
    if run is None:
        return ()
    failure = after.last_failure if result is RunResult.LOST else None
    return (evolve(run, result=result, finished_at=tx.now, failure=failure),)


_NONE: tuple[SyncRun, ...] = ()


def _notifications(tx: Transaction, notices: tuple[Notice, ...], before: SourceState) -> tuple[Notification, ...]:
    name = tx.source.name
    return tuple(
        Notification(
            id=_notification_id(notice, before),
            source=name,
            kind=NotificationKind(notice.kind.value),
            incident=notice.incident,
            summary=_summary(name, notice),
            at=tx.now,
            run_id=before.run_id,
            failure=notice.failure,
        )
        for notice in notices
    )


def _notification_id(notice: Notice, before: SourceState) -> str:
    # An incident can have several matters of security, a run only one.
    about = before.run_id if notice.kind is NoticeKind.SECURITY else notice.incident
    return f"{about}.{notice.kind.value}"


def _summary(name: str, notice: Notice) -> str:
    if notice.kind is NoticeKind.RESOLVED and notice.summary:
        return f"Stock sync {name}: {notice.summary}."
    if notice.kind is NoticeKind.RESOLVED:
        return f"Stock sync {name} is working again."
    if notice.kind is NoticeKind.HELD:
        return f"Stock sync {name} waits for your decision: {notice.summary}"
    failure = notice.failure
    about = (
        f"Security alert for stock sync {name}" if notice.kind is NoticeKind.SECURITY else f"Stock sync {name} failed"
    )
    return f"{about}: {failure.message}. {failure.guidance}" if failure else f"{about}."
