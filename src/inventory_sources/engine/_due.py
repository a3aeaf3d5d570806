"""What one call of `run_due` runs: each source that is due in turn, and in turn again what has more waiting."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from inventory_sources.run import RunResult, SyncRun

__all__ = ["run_all_due", "run_while_due"]

_Run = Callable[[str], SyncRun | None]


def run_all_due(
    due: Callable[[int], Sequence[str]], run: _Run, limit: int, stopping: Callable[[], bool]
) -> list[SyncRun]:
    """Runs what is due, and in further rounds what is due again at once, such as for deliveries beyond a group.

    A round has each source once, so that none waits for another's rest. A source that did not do well has its turn in
    a later call.

    :param due: gives the names of so many sources that are due, longest overdue first.
    :param run: runs a source if it is due.
    """
    done: list[SyncRun] = []
    passed: set[str] = set()
    well: set[str] = set()
    while len(done) < limit and not stopping():
        names = [name for name in due(len(passed) + limit) if name not in passed]
        if not names and not well:
            break
        if not names:
            passed, well = passed - well, set()
        for name in names[: limit - len(done)]:
            passed.add(name)
            one = run(name)
            if one is not None:
                done.append(one)
                well |= {name} if one.result is RunResult.COMPLETED else set()
    return done


def run_while_due(name: str, run: _Run, limit: int, stopping: Callable[[], bool]) -> list[SyncRun]:
    """Runs one source until it is not due any more, or does not do well."""
    done: list[SyncRun] = []
    while len(done) < limit and not stopping() and (one := run(name)) is not None:
        done.append(one)
        if one.result is not RunResult.COMPLETED:
            break
    return done
