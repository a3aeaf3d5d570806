"""The two clocks: the machine's, and the one that a test moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from inventory_sources.clock import SystemClock
from inventory_sources.testing.clock import ManualClock

START = datetime(2026, 1, 5, 8, tzinfo=UTC)


def test_a_manual_clock_stands_still_until_it_is_advanced() -> None:
    clock = ManualClock(START)
    assert (clock.now(), clock.monotonic()) == (START, clock.monotonic())
    before = clock.monotonic()
    clock.advance(timedelta(minutes=5))
    clock.advance(1.5)
    assert clock.now() == START + timedelta(seconds=301.5)
    assert clock.monotonic() - before == pytest.approx(301.5)


def test_a_step_sets_the_time_of_day_alone() -> None:
    clock = ManualClock(START)
    before = clock.monotonic()
    clock.step(-3600)
    assert clock.now() == START - timedelta(hours=1)
    assert clock.monotonic() == before


def test_a_manual_clock_speaks_utc_and_never_passes_backwards() -> None:
    clock = ManualClock(START.astimezone(timezone(timedelta(hours=9))))
    assert clock.now().tzinfo is UTC
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="aware"):
        ManualClock(START.replace(tzinfo=None))


def test_the_systems_clock_is_aware_and_monotonic() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    assert clock.monotonic() <= clock.monotonic()
