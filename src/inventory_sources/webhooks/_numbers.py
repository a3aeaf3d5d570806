"""The numbers that a sender gives its deliveries: in which order they were sent, and which are missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from attrs import Factory, define

from inventory_sources.protocols.inbox import InboxEntry, SourceInbox

__all__ = ["Numbers"]

#: So many numbers behind the lowest one that waits are looked at.
_WINDOW = 2_000
#: Numbers may have large gaps; an overtaken delivery counts as received at most so long before the next.
_LONGEST = timedelta(milliseconds=1)


@define
class _Series:
    """The numbers of one item, or of a whole source, lowest first, with the time that each counts as received at."""

    times: dict[int, datetime]
    first: int | None


@define
class Numbers:
    """Of the deliveries that a run reads."""

    inbox: SourceInbox
    _lowest: dict[str, int]
    _series: dict[str, _Series] = Factory(dict)

    @classmethod
    def of(cls, inbox: SourceInbox, waiting: Iterable[InboxEntry]) -> Numbers:
        """For these deliveries."""
        lowest: dict[str, int] = {}
        for entry in waiting:
            if entry.sequence is not None:
                lowest[entry.sequence_of] = min(entry.sequence, lowest.get(entry.sequence_of, entry.sequence))
        return cls(inbox, lowest)

    def received_at(self, entry: InboxEntry) -> datetime:
        """When a delivery was received (UTC); one that was overtaken counts as received just before the next one."""
        received = entry.received_at.astimezone(UTC)
        if entry.sequence is None:
            return received
        return min(received, self._of(entry.sequence_of, entry.sequence).times.get(entry.sequence, received))

    def missing_before(self, entry: InboxEntry) -> int | None:
        """The number before, where it was not received and an earlier one was."""
        if entry.sequence is None:
            return None
        series = self._of(entry.sequence_of, entry.sequence)
        begins = series.first is None or series.first >= entry.sequence
        return None if begins or entry.sequence - 1 in series.times else entry.sequence - 1

    def _of(self, sequence_of: str, number: int) -> _Series:
        series = self._series.get(sequence_of)
        if series is None:
            first = self.inbox.sequences(sequence_of, -1, 1)
            series = _Series(self._times(sequence_of, self._lowest[sequence_of]), first[0][0] if first else None)
            self._series[sequence_of] = series
        if number not in series.times:  # more of them came since the lowest than are looked at once
            series.times |= self._times(sequence_of, number)
        return series

    def _times(self, sequence_of: str, number: int) -> dict[int, datetime]:
        return _in_order(self.inbox.sequences(sequence_of, number - 2, _WINDOW))


def _in_order(known: Sequence[tuple[int, datetime]]) -> dict[int, datetime]:
    """Each number with the last time it can count as received at, so that none counts as later than the next.

    A number that came in order counts as received when it was.
    """
    times: dict[int, datetime] = {}
    after: tuple[int, datetime] | None = None
    for number, received in reversed(known):
        moment = received.astimezone(UTC)
        if number in times:  # given twice: the first receipt holds against those before, the last for its own
            after = (number, min(moment, times[number]))
            continue
        if after is not None and moment >= after[1]:
            moment = after[1] - min(timedelta(microseconds=after[0] - number), _LONGEST)
        times[number] = moment
        after = (number, moment)
    return times
