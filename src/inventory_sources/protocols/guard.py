"""Guard: looks at a plan's figures before anything is written.

A guard is any callable object with a ``judge`` that returns a verdict or ``None``. ``HOLD`` keeps the whole plan for a
person; ``WARN`` lets it pass and shows in the run. Guards see figures only, so they stay cheap at any size, and they
must be pure: the same figures give the same verdict, because an approval is checked against them again.
"""

from __future__ import annotations

from typing import Protocol

from inventory_sources.plan import PlanFigures, Verdict

__all__ = ["Guard"]


class Guard(Protocol):
    """Looks at a plan's figures; see the module for the contract."""

    def judge(self, figures: PlanFigures) -> Verdict | None:
        """An objection, or ``None``."""
