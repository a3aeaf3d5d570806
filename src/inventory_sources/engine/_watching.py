"""Telling the host's observer what goes on, so that nothing that it does can break a run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any

from attrs import define, field

from inventory_sources.errors import InventorySourcesError
from inventory_sources.protocols.observer import DeliveryVerdict, Observed, Observer, Stage, Tell
from inventory_sources.run import SyncRun

__all__ = ["UNWATCHED", "Watch", "unwatched"]


def _silent(*told: object, **counts: int) -> None:
    """Nobody listens."""


_NOTHING: AbstractContextManager[Callable[..., None]] = nullcontext(_silent)


@define
class Watch:
    """What goes on in an engine, as its observer is told."""

    observer: Observer | None
    logger: Any = None
    _complained: bool = field(default=False, init=False)

    def run(self, started: SyncRun) -> AbstractContextManager[Callable[..., None]]:
        """A run; gives a function to be called with the run as it was recorded."""
        observer = self.observer
        if observer is None:
            return _NOTHING
        return _Guarded(lambda: observer.run(started), _ended_run, "unrecorded", "unrecorded", self._failed)

    def stage(self, run: SyncRun, stage: Stage) -> AbstractContextManager[Callable[..., None]]:
        """A stage; gives a function to be called with what was counted."""
        observer = self.observer
        if observer is None:
            return _NOTHING
        return _Guarded(lambda: observer.stage(run, stage), _ended_stage, "done", "failed", self._failed)

    def delivery(self, source: str) -> AbstractContextManager[Callable[..., None]]:
        """A delivery; gives a function to be called with the verdict."""
        observer = self.observer
        if observer is None:
            return _NOTHING
        crashed = DeliveryVerdict.UNAVAILABLE.value
        return _Guarded(lambda: observer.delivery(source), _ended_delivery, crashed, crashed, self._failed)

    def _failed(self, error: Exception) -> None:
        """Once: an observer that fails does so for every stage of every run."""
        if not self._complained:
            self._complained = True
            self.logger.warning("observer_failed", error=type(error).__name__)


#: For syncs that nobody watches, and for plans of which nobody is told.
UNWATCHED = Watch(None)


def unwatched() -> AbstractContextManager[Callable[..., None]]:
    """For guards that are asked without anybody being told."""
    return _NOTHING


def _ended_run(run: SyncRun) -> Observed:
    return Observed(run.result.value, run.failure.code if run.failure else None, run=run)


def _ended_stage(**counts: int) -> Observed:
    return Observed("done", counts=counts)


def _ended_delivery(verdict: DeliveryVerdict) -> Observed:
    return Observed(verdict.value)


@define(eq=False)
class _Guarded(AbstractContextManager[Callable[..., None]]):
    """An observer's context that takes no exception and raises none.

    :param usual: the result where nothing else was told, and nothing raised.
    :param failed: the result where something was raised.
    """

    make: Callable[[], AbstractContextManager[Tell]]
    describe: Callable[..., Observed]
    usual: str
    failed: str
    complain: Callable[[Exception], None]
    _context: AbstractContextManager[Tell] | None = field(default=None, init=False)
    _tell: Tell | None = field(default=None, init=False)
    _observed: Observed | None = field(default=None, init=False)

    def __enter__(self) -> Callable[..., None]:
        try:
            context = self.make()
            self._tell = context.__enter__()
            self._context = context
        except Exception as error:  # noqa: BLE001 - a host's part may raise anything
            self.complain(error)
        return self._note

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        context, tell = self._context, self._tell
        if context is None:
            return
        observed = self._observed or Observed(self.usual)
        if error is not None:
            code = error.code if isinstance(error, InventorySourcesError) else type(error).__name__
            observed = Observed(self.failed, code)
        self._shielded(lambda: tell and tell(observed))
        self._shielded(lambda: context.__exit__(None, None, None))

    def _note(self, *told: Any, **counts: int) -> None:
        self._observed = self.describe(*told, **counts)

    def _shielded(self, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - a host's part may raise anything
            self.complain(error)
