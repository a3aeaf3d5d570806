"""Cron and daily schedules in every IANA zone from 2024 to 2037, against each minute of UTC looked at by itself.

The rule: a schedule of fixed times (neither minute nor hour begins with ``*``) runs once for each time of day, at the
first of two, and in the first minute after a gap for what the gap has skipped, never twice. One with ``*`` runs at each
minute that the clock shows and that matches.

The hours around every change of every zone are looked at, and some days without. ``INVENTORY_EVERY_MINUTE`` has all
minutes of these years looked at: ``all``, or names of zones with commas between them; a zone takes a minute.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from zoneinfo import ZoneInfo, available_timezones

import pytest

from inventory_sources.frequency import Frequency

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
FIRST, LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2038, 1, 1, tzinfo=UTC)
ORDINARY = [datetime(2024, 2, 29, tzinfo=UTC), datetime(2029, 12, 31, tzinfo=UTC), datetime(2037, 7, 1, tzinfo=UTC)]
YEARLY = ["0 6 * * *", "*/15 * * * *", "30 2 * * *", "5 */3 * * 1-5", "0 0 1,15 * *", "59 23 31 12 *"]
ALWAYS = [*YEARLY, "15,45 0-3 * * *", "* 1 * * 0"]
Minute = tuple[datetime, datetime, list[datetime]]


def offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def changes(zone: ZoneInfo) -> Iterator[datetime]:
    """The minutes from which on the clock goes by another offset."""
    moment = FIRST
    while moment < LAST:
        low, high = moment, moment + DAY
        if offset(low, zone) != offset(high, zone):
            while high - low > MINUTE:
                middle = low + (high - low) // (2 * MINUTE) * MINUTE
                low, high = (middle, high) if offset(middle, zone) == offset(low, zone) else (low, middle)
            yield high
        moment += DAY


@cache
def behaviours() -> dict[str, tuple[datetime, ...]]:
    """A zone of each behaviour with its changes: zones of the same offsets at all times are one."""
    found: dict[object, str] = {}
    moments: dict[str, tuple[datetime, ...]] = {}
    for name in sorted(available_timezones()):
        zone = ZoneInfo(name)
        turns = tuple(changes(zone))
        same = tuple((turn, offset(turn, zone)) for turn in (FIRST, *turns))
        if found.setdefault(same, name) == name:
            moments[name] = turns
    return moments


def minutes(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[Minute]:
    """Each minute of UTC, what the clock shows in it, and what it has not shown before, or has skipped since."""
    latest = (start - MINUTE).astimezone(zone).replace(tzinfo=None)
    moment = start
    while moment < end:
        shown = moment.astimezone(zone).replace(tzinfo=None)
        new = [latest + n * MINUTE for n in range(1, (shown - latest) // MINUTE + 1)] if shown > latest else []
        latest = max(latest, shown)
        yield moment, shown, new
        moment += MINUTE


def values(field: str, low: int, high: int) -> set[int]:
    chosen: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = (f"{low}-{high}" if span == "*" else span).partition("-")
        chosen |= set(range(int(first), int(last or first) + 1, int(step or 1)))
    return chosen


def matcher(expression: str) -> Callable[[datetime], bool]:
    minute, hour, day, month, weekday = expression.split()
    chosen, hours, days = values(minute, 0, 59), values(hour, 0, 23), values(day, 1, 31)
    months, weekdays = values(month, 1, 12), values(weekday, 0, 6)

    def matches(shown: datetime) -> bool:
        if shown.minute not in chosen or shown.hour not in hours or shown.month not in months:
            return False
        on_day, on_weekday = shown.day in days, shown.isoweekday() % 7 in weekdays
        return on_day or on_weekday if "*" not in (day[0], weekday[0]) else on_day and on_weekday

    return matches


def expected(expression: str, looked_at: list[Minute]) -> list[datetime]:
    matches = matcher(expression)
    if expression.startswith("*") or expression.split()[1].startswith("*"):
        return [moment for moment, shown, _ in looked_at if matches(shown)]
    return [moment for moment, _, new in looked_at if any(map(matches, new))]


def schedules(turn: datetime, zone: ZoneInfo) -> Iterator[str]:
    """Such as meet what a change skips or repeats, its edges, and the day that it may fall out of."""
    before, after = ((turn + part).astimezone(zone).replace(tzinfo=None) for part in (-MINUTE, timedelta(0)))
    inside = min(before, after) + abs(after - before) / 2
    for shown in (before, after, inside, inside - 20 * MINUTE):
        yield f"{shown.minute} {shown.hour} * * *"
    yield f"7,{inside.minute},52 {before.hour} {inside.day} {inside.month} *"
    yield f"{after.minute} 0-23 * * {after.isoweekday() % 7}"
    yield f"* {before.hour} * * *"
    yield f"*/10 {after.hour} * * {after.isoweekday() % 7}"
    yield f"{inside.minute} */2 {after.day} * *"


def check(name: str, expression: str, looked_at: list[Minute]) -> None:
    """Tick after tick, and from moments in between, which a sync that ends or a restart asks from."""
    frequency, ticks = Frequency.cron(expression, name), expected(expression, looked_at)
    start, end = looked_at[0][0], looked_at[-1][0]
    # What lies in front shows that a tick is found from afar; of what lies behind, only that it is behind.
    moments = [start - MINUTE, *ticks, *(moment for moment, _, _ in looked_at[::37])]
    for moment in moments:
        if moment < end:
            at = bisect_right(ticks, moment)
            found = frequency.next_after(moment)
            assert found is not None
            asked = f"{expression!r} in {name} after {moment}"
            if at < len(ticks):
                assert found == ticks[at], asked
            else:
                assert found > end, asked


@pytest.mark.parametrize("name", behaviours())
def test_schedules_around_every_change_are_those_of_a_search_over_all_minutes(name: str) -> None:
    zone = ZoneInfo(name)
    for turn in behaviours()[name]:
        looked_at = list(minutes(zone, turn - 4 * HOUR, turn + 4 * HOUR))
        for expression in dict.fromkeys(schedules(turn, zone)):
            check(name, expression, looked_at)


@pytest.mark.parametrize("name", behaviours())
def test_schedules_on_days_without_a_change_are_those_of_a_search_over_all_minutes(name: str) -> None:
    zone = ZoneInfo(name)
    for day in ORDINARY:
        looked_at = list(minutes(zone, day, day + DAY))
        for expression in YEARLY:
            check(name, expression, looked_at)


def test_each_zone_with_its_changes_is_looked_at() -> None:
    # By the tz database: Madrid changes twice a year, Lord Howe Island by half an hour, Tokyo and UTC never.
    looked_at = {name: len(list(changes(ZoneInfo(name)))) for name in ("Europe/Madrid", "Australia/Lord_Howe", "UTC")}
    assert looked_at == {"Europe/Madrid": 28, "Australia/Lord_Howe": 28, "UTC": 0}
    assert len(behaviours()) > 60


def _asked_for() -> list[tuple[str, datetime, datetime]]:
    names = os.environ.get("INVENTORY_EVERY_MINUTE", "")
    if not names:
        return [("Australia/Lord_Howe", FIRST.replace(month=3), FIRST.replace(month=5))]
    return [(name, FIRST, LAST) for name in (behaviours() if names == "all" else names.split(","))]


@pytest.mark.parametrize(("name", "start", "end"), _asked_for(), ids=str)
def test_schedules_over_all_minutes(name: str, start: datetime, end: datetime) -> None:
    every = minutes(ZoneInfo(name), start, end)
    schedules = {expression: Frequency.cron(expression, name) for expression in ALWAYS}
    latest = dict.fromkeys(schedules, start - MINUTE)
    while month := list(islice(every, 30 * DAY // MINUTE)):
        for expression, frequency in schedules.items():
            for tick in expected(expression, month):
                found = frequency.next_after(latest[expression])
                assert found == tick, f"{expression!r} in {name} after {latest[expression]}"
                latest[expression] = tick
