"""Times of observation: ISO 8601 with an offset, or a declared form; the column reads what the single cell reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inventory_sources.mappers._reading import read_times
from inventory_sources.mappers._times import ISO8601, read_time
from inventory_sources.quantities import Refusal

MADRID = ZoneInfo("Europe/Madrid")
TEN = datetime(2026, 11, 23, 10, tzinfo=UTC)
FIRST = datetime(1, 1, 2, tzinfo=UTC).replace(tzinfo=None)


@pytest.mark.parametrize(
    ("cell", "moment"),
    [("2026-11-23T10:00:00Z", TEN), ("2026-11-23 10:00:00+00:00", TEN), ("2026-11-23T11:00:00+01:00", TEN),
     ("2026-11-23T11:00+0100", TEN), ("2026-11-23T04:30:00-05:30", TEN), (" 2026-11-23T10:00:00Z ", TEN),
     ("2026-11-23T10:00:00.5Z", TEN + timedelta(milliseconds=500)),
     ("2026-11-23T10:00:00.123456789Z", TEN + timedelta(microseconds=123456))],
)  # fmt: skip
def test_iso_times_with_an_offset(cell, moment) -> None:
    assert read_time(cell, ISO8601, None) == moment


@pytest.mark.parametrize(
    "cell",
    ["2026-11-23", "20261123T100000Z", "2026-W48-1T10:00:00Z", "2026-11-23x10:00:00Z", "2026-02-30T10:00:00Z",
     "2026-11-23T24:00:00Z", "2026-11-23T10:00:60Z", "2026-1-3T10:00:00Z", "23/11/2026 10:00", "now", "1795428000",
     "\uff12026-11-23T10:00:00Z", "2026-11-23T10:00:00Zx", "0000-11-23T10:00:00Z", "0001-01-01T00:00:00+01:00"],
)  # fmt: skip
def test_anything_else_is_refused(cell) -> None:
    answer = read_time(cell, ISO8601, None)
    assert isinstance(answer, Refusal)
    assert answer.reason == "as_of_unreadable"


def test_a_time_without_an_offset_needs_a_declared_zone() -> None:
    answer = read_time("2026-11-23T11:00:00", ISO8601, None)
    assert isinstance(answer, Refusal)
    assert answer.reason == "as_of_without_zone"
    assert read_time("2026-11-23T11:00:00", ISO8601, MADRID) == TEN
    assert read_time("2026-11-23T10:00:00Z", ISO8601, MADRID) == TEN


def test_the_doubled_hour_is_taken_as_the_earlier_and_the_lost_one_refused() -> None:
    assert read_time("2026-10-25T02:30:00", ISO8601, MADRID) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    answer = read_time("2026-03-29T02:30:00", ISO8601, MADRID)
    assert isinstance(answer, Refusal)
    assert answer.reason == "as_of_nonexistent"


def test_a_declared_form() -> None:
    assert read_time("23.11.2026 11:00", "%d.%m.%Y %H:%M", MADRID) == TEN
    assert isinstance(read_time("2026-11-23T10:00:00Z", "%d.%m.%Y %H:%M", MADRID), Refusal)


offsets = st.integers(-840, 840).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(FIRST.replace(1970), FIRST.replace(2100), timezones=offsets), st.sampled_from("T "))
def test_any_moment_that_is_written_is_read_back(moment, separator) -> None:
    assert read_time(moment.isoformat(separator), ISO8601, None) == moment


second = st.datetimes(FIRST, FIRST.replace(9999)).map(lambda moment: moment.replace(microsecond=0))
SUFFIXES = ["Z", "+00:00", "-00:00", "+0000", "+01:00", "-0530", "+23:59", "+24:00", "+01:60", ""]


@st.composite
def columns(draw):
    """Cells mostly in one layout, some of them with one character changed, cut or put in."""
    separator, suffix = draw(st.sampled_from("T ")), draw(st.sampled_from(SUFFIXES))
    cells = [moment.isoformat(separator) + suffix for moment in draw(st.lists(second, max_size=6))]
    for at in draw(st.lists(st.integers(0, max(len(cells) - 1, 0)), max_size=3)):
        if cells and cells[at]:
            spot = draw(st.integers(0, len(cells[at])))
            cut = draw(st.integers(0, 1))
            cells[at] = cells[at][:spot] + draw(st.sampled_from(["", *"0 6+-:TZ\uff11\t"])) + cells[at][spot + cut :]
    return [*cells, *draw(st.lists(st.sampled_from([None, "", " ", "2026-11-23T10:00:00.5Z"]), max_size=2))]


def by_scalar(cells, zone):
    for cell in cells:
        answer = None if cell is None else read_time(cell, ISO8601, zone)
        yield None if isinstance(answer, Refusal) else answer


TRAPS = ["2026-1-3T10:00:00Z", "2026-11-23T 9:00:00Z", " 2026-11-23T10:00:00Z", "+2026-11-23T10:00:00Z",
         "2026-11-23T10:00:60Z",
         "0000-11-23T10:00:00Z", "-001-11-23T10:00:00Z", "2026-11-23T10:60:00Z", "2026-11-31T10:00:00Z"]  # fmt: skip


@given(columns(), st.sampled_from([None, ZoneInfo("UTC"), MADRID]))
@example(["2026-11-23T10:00:00Z", *TRAPS], None)
@example([trap.replace("T", " ").removesuffix("Z") for trap in ["2026-11-23T10:00:00Z", *TRAPS]], ZoneInfo("UTC"))
@example(["2026-11-23T10:00:00Z", None, "2026-11-23T10:00:00Z"], None)
@example([None, "", "2026-11-23T10:00:00-04:00", "2026-07-23T10:00:00-04:00", "2026-07-23T10:00:00Z"], None)
@example(["9999-12-31T23:00:00-04:00", "2026-07-23T10:00:00-04:00", "2999-12-31T23:59:59-04:00"], None)
@example(["2026-03-29T02:30:00", "2026-10-25T02:30:00"], MADRID)
def test_the_column_reads_what_the_single_cell_reads(cells, zone) -> None:
    column = read_times(pl.Series(cells, dtype=pl.String), ISO8601, zone)
    assert column.dtype == pl.Datetime("us", "UTC")
    assert column.to_list() == list(by_scalar(cells, zone))
