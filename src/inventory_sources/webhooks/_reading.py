"""What schemes read of a delivery, strictly: anything else than the one form is no signature."""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from attrs import evolve

from inventory_sources.errors import ConfigurationError, SignatureInvalid
from inventory_sources.protocols.webhook import Delivery

__all__ = ["FIVE_MINUTES", "positive", "sent_at", "told", "told_if_any", "with_headers", "without_early_exit"]

FIVE_MINUTES = timedelta(minutes=5)
_LONGEST = 8192
_VALUE = re.compile(r"[ -~]{1,8192}")
#: Without leading zeros, which a forger could take from the end of a body that stands before the timestamp.
_DIGITS = re.compile(r"[1-9][0-9]{0,15}")


def told_if_any(delivery: Delivery, name: str) -> str | None:
    """The value of a header that may be missing.

    :raises SignatureInvalid: when it is repeated, empty, longer than 8 KiB or not printable ASCII.
    """
    values = [value for key, value in delivery.headers if key == name.lower()]
    if not values:
        return None
    if len(values) > 1:
        raise SignatureInvalid(f"the header {name} is repeated")
    if not _VALUE.fullmatch(values[0]):
        raise SignatureInvalid(f"the header {name} is empty, longer than {_LONGEST} characters or not printable ASCII")
    return values[0]


def told(delivery: Delivery, name: str) -> str:
    """The value of a header that must be there; raises as :func:`told_if_any`."""
    value = told_if_any(delivery, name)
    if value is None:
        raise SignatureInvalid(f"the header {name} is missing")
    return value


def sent_at(digits: str, now: datetime, tolerance: timedelta, *, milliseconds: bool = False) -> datetime:
    """A Unix timestamp as a time.

    :raises SignatureInvalid: when it is anything but ASCII digits, or more than ``tolerance`` before or after ``now``.
    """
    if not _DIGITS.fullmatch(digits):
        raise SignatureInvalid("the timestamp is not a whole number of ASCII digits")
    seconds = int(digits) / 1000 if milliseconds else int(digits)
    if abs(now.timestamp() - seconds) > tolerance.total_seconds():
        raise SignatureInvalid(f"the timestamp is more than {tolerance.total_seconds():g} s from now")
    return datetime.fromtimestamp(seconds, UTC)


def positive(instance: object, attribute: object, tolerance: timedelta) -> None:
    """Validates a tolerance: more than nothing, and at most a day, or a replay would pass for days."""
    if not timedelta(0) < tolerance <= timedelta(days=1):
        raise ConfigurationError("a tolerance is more than 0 and at most a day")


def without_early_exit(expected: Sequence[str], given: Sequence[str]) -> bool:
    """Whether one of the given texts is an expected one; each is compared with each, in constant time."""
    found = False
    for one in expected:
        for other in given:
            found |= hmac.compare_digest(one.encode(), other.encode())
    return found


def with_headers(delivery: Delivery, headers: dict[str, str]) -> Delivery:
    """The delivery with these headers in place of its own of the same names."""
    names = {name.lower() for name in headers}
    kept = [(name, value) for name, value in delivery.headers if name not in names]
    return evolve(delivery, headers=(*kept, *headers.items()))
