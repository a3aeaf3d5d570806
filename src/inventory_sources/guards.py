"""Guards: what must look wrong before a plan waits for a person."""

from __future__ import annotations

from fractions import Fraction

from attrs import Attribute, field, frozen

from inventory_sources.errors import ConfigurationError
from inventory_sources.plan import PlanFigures, Verdict, VerdictAction
from inventory_sources.protocols.guard import Guard

__all__ = ["EmptyFeed", "LowMatch", "MassChange", "MassZero", "ShrunkFeed", "default_guards"]

_DECIDE = "Approve this plan if that is right; otherwise correct the feed and sync again."


def _share(guard: object, attribute: Attribute[float], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigurationError(f"{type(guard).__name__}.{attribute.name} is a share from 0 to 1, not {value!r}")


def _count(guard: object, attribute: Attribute[int], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigurationError(f"{type(guard).__name__}.{attribute.name} is a count of 0 or more, not {value!r}")


def _above(part: int, whole: int, share: float) -> bool:
    """Whether ``part`` is more than the share of ``whole``: as written, so that 3 of 20 is not more than 0.15."""
    return part > whole * Fraction(str(share))


def _below(part: int, whole: int, share: float) -> bool:
    return part < whole * Fraction(str(share))


def _hold(guard: object, message: str) -> Verdict:
    return Verdict(type(guard).__name__, VerdictAction.HOLD, f"{message} {_DECIDE}")


@frozen
class EmptyFeed:
    """Holds a snapshot without a single row."""

    def judge(self, figures: PlanFigures) -> Verdict | None:
        """An objection, or ``None``."""
        if not figures.snapshot or figures.rows:
            return None
        return _hold(self, "The feed has no rows, although it should list every product.")


@frozen
class ShrunkFeed:
    """Holds a snapshot with fewer rows than ``minimum_share`` of those of the last complete run."""

    minimum_share: float = field(default=0.8, validator=_share)

    def judge(self, figures: PlanFigures) -> Verdict | None:
        """An objection, or ``None``."""
        before = figures.baseline_rows
        if not figures.snapshot or not before or not _below(figures.rows, before, self.minimum_share):
            return None
        return _hold(self, f"The feed has {figures.rows} rows; the last complete one had {before}.")


@frozen
class MassZero:
    """Holds when too many SKUs would be zeroed, or are missing from a snapshot.

    :param share: of the levels above zero (for a partial feed, of all that the source has supplied), and of the SKUs
        this source supplied before.
    :param count: as a number, whatever the share.
    :param at_least: fewer are always let pass; raise it for shops of a few SKUs.
    """

    share: float = field(default=0.15, validator=_share)
    count: int = field(default=500, validator=_count)
    at_least: int = field(default=1, validator=_count)

    def judge(self, figures: PlanFigures) -> Verdict | None:
        """An objection, or ``None``."""
        missing = figures.missing if figures.snapshot else 0
        if self._too_many(figures.zeroed, figures.nonzero):
            return _hold(self, f"{figures.zeroed} of {figures.nonzero} levels above zero would become zero.")
        if self._too_many(missing, figures.known):
            return _hold(self, f"{missing} of the {figures.known} SKUs supplied before are missing.")
        return None

    def _too_many(self, part: int, whole: int) -> bool:
        return part >= max(self.at_least, 1) and (part > self.count or _above(part, whole, self.share))


@frozen
class MassChange:
    """Holds when more than ``share`` of the items would change, once there was a completed run.

    The items of a snapshot are its own; those of a partial feed all that the source has supplied.
    """

    share: float = field(default=0.5, validator=_share)
    at_least: int = field(default=1, validator=_count)

    def judge(self, figures: PlanFigures) -> Verdict | None:
        """An objection, or ``None``."""
        few = figures.changed < max(self.at_least, 1)
        whole = figures.items if figures.snapshot else max(figures.items, figures.known)
        if figures.baseline_rows is None or few or not _above(figures.changed, whole, self.share):
            return None
        return _hold(self, f"{figures.changed} of {whole} levels would change at once.")


@frozen
class LowMatch:
    """Holds when too few rows belong to a known product: of the first feed, or compared with the last complete run.

    Some pushed events of products that the shop does not have say nothing of the others, so that they always pass.

    :param share: of the rows of the first feed; later, of the share that the last complete run had.
    :param at_least: later feeds of fewer rows are let pass.
    """

    share: float = field(default=0.5, validator=_share)
    at_least: int = field(default=20, validator=_count)

    def judge(self, figures: PlanFigures) -> Verdict | None:
        """An objection, or ``None``."""
        rows, matched, before = figures.rows, figures.matched, figures.baseline_rows
        if figures.pushed and not figures.snapshot:
            return None
        if before is None:
            few = _below(matched, rows, self.share)
            return _hold(self, f"Only {matched} of {rows} rows belong to a product of the shop.") if few else None
        usual = figures.baseline_matched or 0
        if rows < self.at_least or not _below(matched * before, usual * rows, self.share):
            return None
        return _hold(
            self,
            f"Only {matched} of {rows} rows belong to a product of the shop; of the last complete run, it was {usual} "
            f"of {before}.",
        )


def default_guards() -> tuple[Guard, ...]:
    """The guards of a source that declares none."""
    return (EmptyFeed(), ShrunkFeed(), MassZero(), MassChange(), LowMatch())
