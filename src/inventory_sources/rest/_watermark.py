"""Watermarks: fetches that ask only for what changed since the last one."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import attrs
from attrs import frozen

from inventory_sources._http import HttpRequest, read_date
from inventory_sources.errors import ConfigurationError, StructureInvalid
from inventory_sources.rest._auth import with_query
from inventory_sources.rest._requests import with_body_value

if TYPE_CHECKING:
    from inventory_sources.protocols.connector import FetchContext
    from inventory_sources.rest._walk import Listing

__all__ = ["Pull", "Watermark"]

_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_UNIX = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")
_SECOND = timedelta(seconds=1)


def _overlapping(instance: object, attribute: object, value: timedelta) -> None:
    if value < _SECOND:
        raise ConfigurationError(
            "overlap must be at least one second",
            guidance="Rows of the same second, and rows that become visible late, would be missed.",
        )


def _lasting(instance: object, attribute: object, value: timedelta | None) -> None:
    if value is not None and not value > timedelta(0):
        raise ConfigurationError("full_every must be more than 0")


def _known_zone(instance: object, attribute: object, name: str | None) -> None:
    try:
        if name is not None:
            ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ConfigurationError(f"there is no time zone {name!r}", guidance="Use an IANA name.") from None


def _with_place(instance: object, attribute: object, value: str) -> None:
    if "{since}" not in value:
        raise ConfigurationError("the value that asks for changes needs {since} in it")


@frozen(kw_only=True)
class Watermark:
    """Asks for the records that changed since the highest time of change read so far, less an overlap.

    That time is the source's own; it moves on only once the run's levels are applied. The source must be declared a
    partial feed: what did not change is not there, and a record that was deleted is never told of.

    :param field: the column of a record's time of change; a record without it is refused.
    :param param: the parameter that asks for changes.
    :param value: what it is given, such as ``updated_at gt {since}``.
    :param in_body: whether ``param`` is a dotted path of the JSON body, such as ``variables.since``.
    :param overlap: how much further back is asked for. A row must be visible so long after its time of change at the
        latest, and the server's clock must be behind this one by no more.
    :param full_every: after so long everything is asked for once more; ``None`` does so only after an edit of the
        source.
    :param format: of the times, read and sent: ``iso``, ``unix`` (seconds since 1970), or a format of
        :meth:`datetime.datetime.strptime`.
    :param zone: IANA name of the zone of times without an offset; without it they are refused.
    """

    field: str
    param: str
    value: str = attrs.field(default="{since}", validator=_with_place)
    in_body: bool = False
    overlap: timedelta = attrs.field(default=timedelta(minutes=5), validator=_overlapping)
    full_every: timedelta | None = attrs.field(default=timedelta(days=1), validator=_lasting)
    format: str = "iso"
    zone: str | None = attrs.field(default=None, validator=_known_zone)

    def read(self, text: str | None, where: str) -> datetime:
        """The moment (UTC) that a record's column names; the earlier one where it could be two.

        :raises StructureInvalid: when it names none.
        """
        moment = None if text is None else self._parsed(text)
        if moment is None:
            raise StructureInvalid(
                f"{where} has no time of change in {self.field!r} that is of the form {self.format!r}"
            )
        if moment.tzinfo is None and self.zone is None:
            raise StructureInvalid(
                f"{where}: the time of change in {self.field!r} has no offset",
                guidance="Declare the zone of the watermark, such as zone='Europe/Madrid'.",
            )
        try:
            return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(str(self.zone)))).astimezone(UTC)
        except OverflowError:
            raise StructureInvalid(f"{where}: the time of change in {self.field!r} is out of range") from None

    def sent(self, moment: datetime) -> str:
        """A moment as the server reads it, or one before it: whole seconds, and never a time that could be two."""
        if self.format == "unix":
            return str(math.floor(moment.timestamp()))
        if self.zone is not None:
            moment = moment.astimezone(ZoneInfo(self.zone))
            while moment.utcoffset() != moment.replace(fold=1 - moment.fold).utcoffset():
                moment = (moment.astimezone(UTC) - timedelta(minutes=30)).astimezone(moment.tzinfo)
        if self.format != "iso":
            return moment.strftime(self.format)
        if self.zone is not None:
            return moment.replace(tzinfo=None).isoformat(timespec="seconds")
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    def lasts(self, since: timedelta) -> bool:
        """Whether so long after everything was asked for, changes will do."""
        return self.full_every is None or timedelta(0) <= since < self.full_every

    def _parsed(self, text: str) -> datetime | None:
        try:
            if self.format == "unix":
                return datetime.fromtimestamp(float(text), UTC) if _UNIX.fullmatch(text) else None
            if self.format == "iso":
                return datetime.fromisoformat(text) if _ISO.fullmatch(text) else None
            return datetime.strptime(text, self.format)  # noqa: DTZ007 - what has no offset gets its zone above
        except (ValueError, OverflowError, OSError):
            return None


@frozen
class _Mark:
    """What an applied fetch left.

    :param high: the highest time of change.
    :param full: when everything was asked for.
    """

    high: datetime
    full: datetime

    @classmethod
    def read(cls, cursor: str | None) -> _Mark | None:
        """The one that was left, if any."""
        try:
            left = json.loads(cursor or "")
            return cls(datetime.fromisoformat(left["high"]), datetime.fromisoformat(left["full"]))
        except (ValueError, KeyError, TypeError):
            return None

    def __str__(self) -> str:
        return json.dumps({"high": self.high.isoformat(), "full": self.full.isoformat()})


@frozen
class Pull:
    """One fetch by a watermark.

    :param since: what is asked for; ``None`` for everything.
    :param full: when everything was asked for.
    """

    watermark: Watermark
    context: FetchContext
    since: datetime | None
    full: datetime

    @classmethod
    def begin(cls, watermark: Watermark, context: FetchContext) -> Pull:
        """As the cursor and the time since the last full one ask for."""
        mark, now = _Mark.read(context.cursor), context.started_at
        if mark is None or not watermark.lasts(now - mark.full):
            return cls(watermark, context, None, now)
        return cls(watermark, context, mark.high - watermark.overlap, mark.full)

    def request(self, request: HttpRequest) -> HttpRequest:
        """The request for what changed."""
        if self.since is None:
            return request
        value = self.watermark.value.replace("{since}", self.watermark.sent(self.since))
        if self.watermark.in_body:
            return with_body_value(request, self.watermark.param, value)
        return with_query(request, {self.watermark.param: value})

    def end(self, listing: Listing[dict[str, str | None]]) -> None:
        """Leaves the mark for the next fetch, once all records were read.

        It may be lower than the one before, if the source's clock was put back: that only asks for more.

        :raises StructureInvalid: when a record has no time of change.
        """
        field = self.watermark.field
        moments = [
            self.watermark.read(row.get(field), f"record {number}") for number, row in enumerate(listing.taken, 1)
        ]
        now = self.context.started_at
        if moments:
            # What changed while the list was read may be on a page that was read before: no mark is later than that.
            began = read_date(listing.first.headers.get("date", "")) or now
            self.context.next_cursor = str(_Mark(min(max(moments), began, now), self.full))
        elif self.since is not None:
            self.context.nothing_new(f"nothing changed since {self.since:%Y-%m-%d %H:%M:%S} UTC")
