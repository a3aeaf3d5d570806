"""Ticks: on a grid, spread by name, coalesced, and right over clock changes, against minutes counted one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory_sources.errors import ConfigurationError
from inventory_sources.frequency import Frequency

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
moments = st.datetimes(datetime(1999, 1, 1), datetime(2080, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
names = st.text(min_size=1, max_size=20)


# -- intervals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        ("5min", "12:00:00", "12:05:00"),
        ("5min", "12:04:59", "12:05:00"),
        ("15min", "12:14:59", "12:15:00"),
        ("15min", "12:15:00", "12:30:00"),
        ("1h", "12:00:01", "13:00:00"),
        ("30s", "12:00:29", "12:00:30"),
        # 492,396 hours since 1970 at noon leave 2 when divided by 7.
        ("7h", "12:00:00", "17:00:00"),
    ],
)
def test_ticks_lie_on_the_grid(text: str, at: str, expected: str) -> None:
    day = "2026-03-04T{}+00:00".format
    assert Frequency.parse(text).next_after(datetime.fromisoformat(day(at))) == datetime.fromisoformat(day(expected))


@given(moment=moments, seconds=st.integers(1, 10**6), name=names)
def test_a_tick_is_later_than_the_moment_and_none_is_left_out(moment: datetime, seconds: int, name: str) -> None:
    frequency = Frequency.every(seconds=seconds)
    tick = frequency.next_after(moment, name)
    assert tick is not None
    assert moment < tick <= moment + seconds * SECOND
    assert frequency.next_after(tick - timedelta(microseconds=1), name) == tick
    assert frequency.next_after(tick, name) == tick + seconds * SECOND


@given(moment=moments, name=names)
def test_missed_ticks_coalesce_onto_the_same_grid(moment: datetime, name: str) -> None:
    frequency = Frequency.parse("15min")
    first = frequency.next_after(moment, name)
    later = frequency.next_after(moment + timedelta(days=400, seconds=7), name)
    assert first is not None
    assert later is not None
    assert (later - first) % (15 * MINUTE) == timedelta(0)


def test_jitter_is_the_same_in_every_process() -> None:
    # First 8 bytes of SHA-256("erp"), modulo 300 seconds, by `printf erp | sha256sum`.
    assert Frequency.parse("5min").next_after(NOON, "erp") == NOON + 0xD24F1F612642B77B % 300 * SECOND


def test_jitter_spreads_sources_over_the_whole_interval() -> None:
    ticks = [Frequency.parse("5min").next_after(NOON, f"source {number}") for number in range(3000)]
    minutes = Counter((tick - NOON) // MINUTE for tick in ticks if tick is not None)
    assert sum(minutes.values()) == 3000
    # 600 are expected in each minute; 100 away is more than four standard deviations.
    assert all(500 < minutes[minute] < 700 for minute in range(5))


def test_by_hand_there_is_no_tick() -> None:
    assert Frequency.manual().next_after(NOON, "erp") is None
    assert Frequency.manual().is_manual
    assert not Frequency.parse("1h").is_manual


# -- cron over clock changes ---------------------------------------------------------------------------------------

EXPRESSIONS = [
    "*/15 * * * *",
    "7 * * * *",
    "30 */2 * * *",
    "* 2 * * *",
    "0 6 * * *",
    "30 1 * * *",
    "30 2 * * *",
    "0 3 * * 0",
    "15,45 0-3 * * *",
    "0 0 1,15 * 1",
    "59 23 31 12 *",
]
# Zones with a change of an hour, of half an hour, at midnight, and in the southern half of the year.
CHANGES = [
    ("Europe/Madrid", date(2026, 3, 29)),
    ("Europe/Madrid", date(2026, 10, 25)),
    ("America/New_York", date(2027, 3, 14)),
    ("America/New_York", date(2027, 11, 7)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("America/Asuncion", date(2023, 3, 26)),
    ("America/Asuncion", date(2023, 10, 1)),
    ("Africa/Cairo", date(2026, 4, 24)),
    ("Asia/Kathmandu", date(2026, 12, 31)),
]


def field_values(field: str, low: int, high: int) -> set[int]:
    values: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = (f"{low}-{high}" if span == "*" else span).partition("-")
        values |= set(range(int(first), int(last or first) + 1, int(step or 1)))
    return values


def matcher(expression: str):
    minute, hour, day, month, weekday = expression.split()
    minutes, hours, days = field_values(minute, 0, 59), field_values(hour, 0, 23), field_values(day, 1, 31)
    months, weekdays = field_values(month, 1, 12), field_values(weekday, 0, 6)

    def matches(local: datetime) -> bool:
        on_day, on_weekday = local.day in days, local.isoweekday() % 7 in weekdays
        either = on_day or on_weekday if "*" not in (day, weekday) else on_day and on_weekday
        return local.minute in minutes and local.hour in hours and local.month in months and either

    return matches


def counted_ticks(expression: str, zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """Debian's cron, a minute at a time: fixed times happen once, those that the clock skips when it has skipped."""
    matches = matcher(expression)
    wild = expression.startswith("*") or expression.split()[1].startswith("*")
    done: set[datetime] = set()
    wall = start.astimezone(zone).replace(tzinfo=None) - MINUTE
    moment = start
    while moment < end:
        local = moment.astimezone(zone).replace(tzinfo=None)
        skipped = [wall + n * MINUTE for n in range(1, (local - wall) // MINUTE)] if local > wall else []
        due = matches(local) if wild else any(matches(w) and w not in done for w in (*skipped, local))
        if due:
            yield moment
        done |= {*skipped, local}
        wall = max(wall, local)
        moment += MINUTE


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize(("name", "day"), CHANGES, ids=str)
def test_cron_over_a_clock_change_is_what_counting_minutes_gives(name: str, day: date, expression: str) -> None:
    zone = ZoneInfo(name)
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=30)
    end = start + timedelta(hours=72)
    frequency = Frequency.cron(expression, name)
    ticks, moment = [], start - SECOND
    while (moment := frequency.next_after(moment)) < end:
        ticks.append(moment)
    assert ticks == list(counted_ticks(expression, zone, start, end))


def test_a_cron_source_is_spread_over_one_minute_and_no_tick_is_lost() -> None:
    frequency = Frequency.parse("cron: 0 6 * * *")
    ticks = {frequency.next_after(NOON, f"source {number}") for number in range(200)}
    six = NOON + timedelta(hours=18)
    assert all(six <= tick < six + MINUTE for tick in ticks)
    assert len(ticks) > 40
    for tick in ticks:
        assert frequency.next_after(tick - SECOND) in (six, six + timedelta(days=1))


def test_the_tick_of_this_minute_still_comes_when_its_jitter_has_not() -> None:
    frequency = Frequency.cron("* * * * *", jitter=MINUTE)
    delayed = [name for name in map(str, range(50)) if frequency.next_after(NOON - SECOND, name) > NOON]
    for name in delayed:
        assert NOON < frequency.next_after(NOON, name) < NOON + MINUTE


# -- declarations --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("manual", Frequency.manual()),
        (" 5min ", Frequency.every(minutes=5)),
        ("15 min", Frequency.every(minutes=15)),
        ("1h", Frequency.every(hours=1)),
        ("90s", Frequency.every(seconds=90)),
        ("cron: 0 6 * * 1-5", Frequency.cron("0 6 * * 1-5", "UTC")),
        ("cron:0 6 * * * Europe/Madrid", Frequency.cron("0 6 * * *", "Europe/Madrid")),
    ],
)
def test_a_text_is_read(text: str, expected: Frequency) -> None:
    assert Frequency.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "min",
        "-5min",
        "0min",
        "1.5h",
        "1e3s",
        "\u0665min",
        "5 minutes",
        "hourly",
        "cron:",
        "cron: 0 6 * *",
        "cron: 0 6 * * * *",
        "cron: 61 6 * * *",
        "cron: 0 6 30 2 *",
        "cron: 0 6 * * * Europe/Atlantis",
        "cron: 0 6 * * * ../../etc/passwd",
        "99999999999999999999h",
        pytest.param("9" * 5000 + "h", id="more digits than int reads"),
        "cron: 0 6 * * * Europe/Madrid UTC",
        "cron: 0 6 * * * Europe",
        pytest.param("cron: 0 6 * * * " + "a" * 5000, id="a zone too long for a file name"),
    ],
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        Frequency.parse(text)


@pytest.mark.parametrize(
    "fields",
    [
        {"interval": MINUTE, "expression": "* * * * *"},
        {"interval": timedelta(milliseconds=999)},
        {"interval": timedelta(0)},
        {"interval": timedelta(days=367)},
        {"interval": -MINUTE},
        {"interval": MINUTE, "jitter": -SECOND},
        {"expression": "* * * * *", "zone": "Nowhere"},
        {"expression": ""},
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        Frequency(**fields)
