"""Times of observation as text: ISO 8601, or a declared ``strptime`` format."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from inventory_sources.quantities import Refusal, show_cell

__all__ = ["FUTURE_TOLERANCE", "ISO8601", "from_the_future", "read_time"]

ISO8601 = "iso8601"

#: How far ahead of our clock another system's may be.
FUTURE_TOLERANCE = timedelta(minutes=5)

# `datetime.fromisoformat` also takes week dates, any separator and bare dates: more than a feed should mean by chance.
_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ](?:[01][0-9]|2[0-3]):[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?"
    r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)


def read_time(cell: str, form: str, zone: ZoneInfo | None) -> datetime | Refusal:
    """The moment (UTC) that a cell names, or why it names none.

    A time without an offset is one of ``zone``. Where clocks are put back it could be two moments: the earlier is
    taken, so that a level never looks newer than it is. Digits beyond microseconds are cut off.
    """
    moment = _parse(cell.strip(" "), form)
    if moment is None:
        return _unreadable(cell, form)
    if moment.tzinfo is None:
        if zone is None:
            return Refusal(
                "as_of_without_zone",
                f"the time {show_cell(cell)} has no offset and no time zone was declared for it",
                "Declare the zone of the sending system, such as as_of_zone='Europe/Madrid'.",
            )
        moment = moment.replace(tzinfo=zone)
    try:
        instant = moment.astimezone(UTC)
    except OverflowError:
        return _unreadable(cell, form)
    if zone is not None and moment.tzinfo is zone and instant.astimezone(zone).replace(tzinfo=zone) != moment:
        return Refusal(
            "as_of_nonexistent",
            f"the time {show_cell(cell)} does not exist in {zone.key}: clocks were put forward over it",
            "Check the time zone of the sending system, or export times with an offset.",
        )
    return instant


def from_the_future(cell: str) -> Refusal:
    """The refusal of a time that lies too far ahead."""
    return Refusal(
        "as_of_in_future",
        f"the time {show_cell(cell)} is more than {FUTURE_TOLERANCE.seconds // 60} minutes in the future",
        "Correct the clock or the time zone of the sending system.",
    )


def _parse(text: str, form: str) -> datetime | None:
    if form == ISO8601 and not _ISO.fullmatch(text):
        return None
    try:
        # What has no offset gets its zone from the caller.
        return datetime.fromisoformat(text) if form == ISO8601 else datetime.strptime(text, form)  # noqa: DTZ007
    except (ValueError, OverflowError):
        return None


def _unreadable(cell: str, form: str) -> Refusal:
    wanted = "an ISO 8601 date and time, such as 2026-11-23T10:00:00Z" if form == ISO8601 else f"of the form {form!r}"
    return Refusal("as_of_unreadable", f"the time {show_cell(cell)} is not {wanted}", "Declare as_of_format.")
