"""When a source is due: a fixed interval, a cron expression in a time zone, or only by hand.

Ticks come from the schedule, never from the time a sync finished: intervals lie on a grid anchored at the Unix epoch,
cron expressions are read by `cronsim <https://github.com/cuu508/cronsim>`_ and follow Debian's cron over clock changes.
Where the minute and the hour are fixed, each time of day happens once: at the first of two, and if the clock skips it,
in the first minute after. Where either begins with ``*``, each minute that the clock shows counts, as often as it is
shown. A stable jitter, drawn from the source's name, spreads sources that share a schedule.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from attrs import field, frozen

from inventory_sources.errors import ConfigurationError

__all__ = ["Frequency"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
_YEAR = timedelta(days=366)
_FIELDS = 5
_TOO_MANY_DIGITS = 9


@frozen
class Frequency:
    """Build one with :meth:`every`, :meth:`cron`, :meth:`manual` or :meth:`parse`.

    :param interval: distance of the ticks, for an interval schedule.
    :param expression: five cron fields, for a cron schedule.
    :param zone: IANA name of the zone that the cron expression is read in.
    :param jitter: sources are spread over this long after each tick; the whole interval by default, one minute for
        cron schedules.
    """

    interval: timedelta | None = None
    expression: str | None = None
    zone: str = "UTC"
    jitter: timedelta = field(default=timedelta(0))

    def __attrs_post_init__(self) -> None:
        if self.interval is not None and self.expression is not None:
            raise ConfigurationError("a frequency has an interval or a cron expression, not both")
        if self.interval is not None and not _SECOND <= self.interval <= _YEAR:
            raise ConfigurationError(f"an interval must be from one second to one year, not {self.interval}")
        if self.jitter < timedelta(0):
            raise ConfigurationError("jitter cannot be negative")
        if self.expression is not None:
            self._cron_ticks(_EPOCH)

    @classmethod
    def every(cls, *, hours: float = 0, minutes: float = 0, seconds: float = 0) -> Frequency:
        """A tick each so many hours, minutes and seconds."""
        interval = timedelta(hours=hours, minutes=minutes, seconds=seconds)
        return cls(interval=interval, jitter=interval)

    @classmethod
    def cron(cls, expression: str, zone: str = "UTC", *, jitter: timedelta = timedelta(minutes=1)) -> Frequency:
        """A tick at each match of five cron fields, read in ``zone``."""
        return cls(expression=expression, zone=zone, jitter=jitter)

    @classmethod
    def manual(cls) -> Frequency:
        """No ticks: only "Sync now"."""
        return cls()

    @classmethod
    def parse(cls, text: str) -> Frequency:
        """Reads ``5min``, ``15min``, ``1h``, ``30s``, ``manual`` or ``cron: 0 6 * * * Europe/Madrid``.

        :raises ConfigurationError: for anything else.
        """
        word = text.strip()
        if word == "manual":
            return cls.manual()
        if word.startswith("cron:"):
            fields = word.removeprefix("cron:").split()
            return cls.cron(" ".join(fields[:5]), " ".join(fields[5:]) or "UTC")
        for suffix, unit in (("min", "minutes"), ("h", "hours"), ("s", "seconds")):
            digits = word.removesuffix(suffix).strip()
            if word.endswith(suffix) and digits.isascii() and digits.isdigit() and len(digits) < _TOO_MANY_DIGITS:
                return cls.every(**{unit: int(digits)})
        raise ConfigurationError(
            f"frequency {text[:60]!r} is not understood",
            guidance="Use 5min, 15min, 1h, 30s, manual, or 'cron: 0 6 * * * Europe/Madrid'.",
        )

    @property
    def is_manual(self) -> bool:
        """Whether only a person starts a sync."""
        return self.interval is None and self.expression is None

    def next_after(self, moment: datetime, key: str = "") -> datetime | None:
        """The first tick later than ``moment`` (aware), in UTC; ``None`` for a manual source.

        :param key: the source's name, from which its jitter is drawn; an empty one has none.
        """
        if self.is_manual:
            return None
        offset = self._offset(key)
        return self._tick_after(moment.astimezone(UTC) - offset) + offset

    def _tick_after(self, moment: datetime) -> datetime:
        if self.interval is not None:
            return _EPOCH + ((moment - _EPOCH) // self.interval + 1) * self.interval
        return self._cron_ticks(moment)

    def _cron_ticks(self, moment: datetime) -> datetime:
        from cronsim import CronSimError

        try:
            zone = ZoneInfo(self.zone)
            after = self._shown_after if self._counts_minutes else self._fixed_after
            return after(moment, zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ConfigurationError(f"time zone {self.zone[:60]!r} is not known") from error
        except (CronSimError, StopIteration) as error:
            raise ConfigurationError(
                f"cron expression {(self.expression or '')[:60]!r} is not valid or never matches"
            ) from error

    @property
    def _counts_minutes(self) -> bool:
        fields = (self.expression or "").split()
        return len(fields) != _FIELDS or fields[0].startswith("*") or fields[1].startswith("*")

    def _readings(self, after: datetime) -> Iterator[datetime]:
        """The readings of a clock that match; by such ones cronsim knows of no clock changes and misjudges none."""
        from cronsim import CronSim

        return CronSim(self.expression or "", after)

    def _fixed_after(self, moment: datetime, zone: ZoneInfo) -> datetime:
        for reading in self._readings(_reading(moment, zone)):
            shown = reading
            while not (times := _times(shown, zone)):
                shown += _MINUTE
            if times[0] > moment:
                return times[0]
        raise StopIteration

    def _shown_after(self, moment: datetime, zone: ZoneInfo) -> datetime:
        # How far the clock is set back within a day: what it shows then, it may show again after the moment.
        back = max(_offset_at(moment, zone) - _offset_at(moment + _DAY, zone), timedelta(0))
        found: list[tuple[datetime, datetime]] = []
        for reading in self._readings(_reading(moment, zone) - back):
            found += [(time, reading) for time in _times(reading, zone) if time > moment]
            if found and reading >= found[0][1] + back:
                return min(found)[0]
        raise StopIteration

    def _offset(self, key: str) -> timedelta:
        span = int(self.jitter / _SECOND)
        if not key or span < 1:
            return timedelta(0)
        drawn = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
        return (drawn % span) * _SECOND


def _reading(moment: datetime, zone: ZoneInfo) -> datetime:
    """What the clock shows, without a zone."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def _offset_at(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def _times(reading: datetime, zone: ZoneInfo) -> list[datetime]:
    """When the clock shows this, in UTC: once, twice, or never."""
    times = [reading.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
    return [time for time in dict.fromkeys(times) if _reading(time, zone) == reading]
