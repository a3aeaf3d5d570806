"""What a source declares about its feed: nothing of it is ever guessed from the data."""

from __future__ import annotations

from enum import Enum

from attrs import evolve, field, frozen, validators

from inventory_sources.errors import ConfigurationError

__all__ = ["AbsencePolicy", "Feed", "FeedMode", "FeedScope", "QuantityKind"]


class FeedScope(Enum):
    """Whether one feed carries everything (``SNAPSHOT``) or some of it (``PARTIAL``)."""

    SNAPSHOT = "snapshot"
    PARTIAL = "partial"


class FeedMode(Enum):
    """Whether a quantity is the level itself (``ABSOLUTE``) or a change of it (``ADJUSTMENT``)."""

    ABSOLUTE = "absolute"
    ADJUSTMENT = "adjustment"


class QuantityKind(Enum):
    """Which of a warehouse's quantities the numbers are."""

    ON_HAND = "on_hand"
    AVAILABLE = "available"
    RESERVED = "reserved"
    INCOMING = "incoming"


class AbsencePolicy(Enum):
    """What becomes of a SKU that this source supplied before and that a proven complete snapshot lacks."""

    KEEP = "keep"
    ZERO = "zero"


@frozen
class Feed:
    """Scope, mode and quantity kind of a source's feed, and what an absent SKU means."""

    scope: FeedScope
    quantity: QuantityKind
    mode: FeedMode = FeedMode.ABSOLUTE
    absent: AbsencePolicy = field(default=AbsencePolicy.KEEP, validator=validators.instance_of(AbsencePolicy))

    def __attrs_post_init__(self) -> None:
        if self.absent is AbsencePolicy.ZERO and self.scope is not FeedScope.SNAPSHOT:
            raise ConfigurationError("only a snapshot can say that an absent SKU is zero; this feed is partial")
        if self.mode is FeedMode.ADJUSTMENT:
            raise ConfigurationError(
                "adjustments need an operation key and are not read by any connector of this version",
                guidance="Declare an absolute feed.",
            )

    @classmethod
    def snapshot(
        cls, quantity: QuantityKind | str = QuantityKind.AVAILABLE, *, absent: AbsencePolicy | str = AbsencePolicy.KEEP
    ) -> Feed:
        """A feed that carries every SKU of the source each time."""
        return cls(FeedScope.SNAPSHOT, QuantityKind(quantity), absent=AbsencePolicy(absent))

    @classmethod
    def partial(cls, quantity: QuantityKind | str = QuantityKind.AVAILABLE) -> Feed:
        """A feed that carries some SKUs; those it leaves out keep their levels."""
        return cls(FeedScope.PARTIAL, QuantityKind(quantity))

    def as_partial(self) -> Feed:
        """The same for a part of what the source has: what it leaves out keeps its level."""
        return evolve(self, scope=FeedScope.PARTIAL, absent=AbsencePolicy.KEEP)
