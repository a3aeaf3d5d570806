"""The retry ladder: how often and when a failed sync is tried again."""

from __future__ import annotations

from datetime import timedelta

from attrs import field, frozen

from inventory_sources.errors import ConfigurationError

__all__ = ["RetryPolicy"]

_MINUTE = timedelta(minutes=1)


@frozen
class RetryPolicy:
    """Delays before each retry, and how long a source may keep us waiting without spending one.

    :param delays: one per retry, counted from the failure; after the last failed retry the source is in Error.
    :param wait: how soon to look again at an input that is not ready and gave no time of its own.
    :param patience: for how long waiting spends no retry; after it each wait counts as a failed attempt.
    """

    delays: tuple[timedelta, ...] = field(default=(5 * _MINUTE, 15 * _MINUTE, 60 * _MINUTE), converter=tuple)
    wait: timedelta = _MINUTE
    patience: timedelta = timedelta(days=1)

    def __attrs_post_init__(self) -> None:
        for name, value in (*(("delays", delay) for delay in self.delays), ("wait", self.wait)):
            if value <= timedelta(0):
                raise ConfigurationError(f"retry policy: {name} must be longer than zero, not {value}")
        if self.patience < timedelta(0):
            raise ConfigurationError(f"retry policy: patience cannot be negative, as {self.patience} is")

    def delay(self, failures: int) -> timedelta | None:
        """How long to wait after the given number of failed attempts (1 is the first); ``None`` after the last."""
        return self.delays[failures - 1] if 1 <= failures <= len(self.delays) else None

    @property
    def exhausted(self) -> int:
        """The number of failed attempts at which the ladder has ended."""
        return len(self.delays) + 1
