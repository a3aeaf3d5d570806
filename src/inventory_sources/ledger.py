"""The ledger of observations: what one source has supplied so far, for each SKU and location, and as of when.

It tells the scope of a source (what an absent SKU may mean) and keeps an older observation from undoing a newer one. A
store keeps it as opaque segments: a first one with every observation, then small ones with what each run changed. A
run that observed (nearly) everything at one moment does not write a row for each: its segment carries a *sweep*, the
moment and channel that all earlier observations take over, beside the rows for which more is to be said.

A segment is, in big-endian order: four bytes of magic, the format version (1 byte), the CRC-32 of all that follows (4),
the sweep's channel by number or 255 for no sweep (1), its moment in microseconds since 1970 UTC (8), and an Arrow IPC
stream, compressed with Zstandard, of the columns of :func:`ledger_schema`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import Enum
from io import BytesIO
from typing import TYPE_CHECKING

from attrs import field, frozen

from inventory_sources.errors import RecordInvalid

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Channel", "Ledger", "LedgerChange", "ledger_schema", "positions"]

_HEADER = struct.Struct(">4sBI")
_SWEEP = struct.Struct(">Bq")
_MAGIC = b"ISLG"
_VERSION = 1
_NO_SWEEP = 255
_MAX_SEGMENTS = 16
#: Up to this many observations, rewriting all of them costs less than reading one more segment in every later run.
_SMALL = 5_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEY = ["sku", "location"]
_FACTS = ["as_of", "channel", "quantity", "absent"]


class Channel(Enum):
    """The way an observation came; observations of the same moment replace each other within one channel only."""

    POLL = "poll"
    FILE = "file"
    WEBHOOK = "webhook"


#: Stored by number; another channel needs another format version.
_CHANNELS = [channel.value for channel in Channel]


@frozen
class LedgerChange:
    """What a run adds to the ledger of observations, as an opaque segment.

    :param replaces: the segment stands for the whole ledger; earlier segments are dropped.
    :param rows: number of observations in it.
    """

    segment: bytes = field(repr=False)
    rows: int
    replaces: bool


def ledger_schema() -> dict[str, pl.DataType]:
    """Columns of a ledger and of what is recorded in it; (``sku``, ``location``) is unique.

    ``as_of`` is the time of the observation (UTC), ``channel`` a :class:`Channel` by value, ``quantity`` the level as
    supplied. ``absent`` marks what the last applied snapshot left out: it belongs to the scope, yet is no news.
    """
    import polars as pl

    from inventory_sources.batch import batch_schema

    batch = batch_schema()
    return {
        "sku": batch["sku"],
        "location": batch["location"],
        "as_of": batch["as_of"],
        "channel": pl.Enum(_CHANNELS),
        "quantity": batch["quantity"],
        "absent": pl.Boolean(),
    }


def positions(keys: pl.DataFrame, table: pl.DataFrame) -> pl.Series | None:
    """Where each (sku, location) of ``keys`` stands in ``table``: UInt32 row numbers, null where it does not.

    ``None`` means that both hold the same keys in the same order. The pairs must be unique and not null in each frame.
    """
    import polars as pl

    shared = min(keys.height, table.height)
    if all(keys[name].head(shared).equals(table[name].head(shared)) for name in _KEY):
        if keys.height == table.height:
            return None
        return pl.int_range(shared, dtype=pl.UInt32, eager=True).extend_constant(None, keys.height - shared)
    return _by_hash(keys, table)


def _by_hash(keys: pl.DataFrame, table: pl.DataFrame) -> pl.Series:
    """A join on a 64-bit hash takes half the time of one on the text; what it finds is compared with the text."""
    import polars as pl

    hashed = (pl.col("sku").hash(1) ^ pl.col("location").hash(2)).alias("hash")
    wanted, rows = keys.select(hashed), table.select(hashed).with_row_index("at")
    at = wanted.join(rows, on="hash", how="left", maintain_order="left")["at"]
    if at.len() == keys.height:
        found = table.select(pl.col(name).gather(at) for name in _KEY)
        if not any((found[name] != keys[name]).any() for name in _KEY):
            return at
    return _by_text(keys, table)


def _by_text(keys: pl.DataFrame, table: pl.DataFrame) -> pl.Series:
    rows = table.select(*_KEY).with_row_index("at")
    return keys.select(*_KEY).join(rows, on=_KEY, how="left", maintain_order="left")["at"]


@frozen
class Ledger:
    """What a source has supplied.

    :param frame: columns of :func:`ledger_schema`.
    :param segments: how many segments it is stored in.
    :param appended: observations in all of them but the first.
    """

    frame: pl.DataFrame
    segments: int = 0
    appended: int = 0

    @classmethod
    def empty(cls) -> Ledger:
        """The ledger of a source that has supplied nothing."""
        import polars as pl

        return cls(pl.DataFrame(schema=ledger_schema()))

    @classmethod
    def load(cls, segments: Iterable[bytes]) -> Ledger:
        """The ledger from its segments, oldest first; a later one wins.

        :raises RecordInvalid: when a segment is damaged or of a newer format.
        """
        import polars as pl

        read = [_decode(segment, number) for number, segment in enumerate(segments, 1)]
        if not read:
            return cls.empty()
        swept = max((number for number, (_, sweep) in enumerate(read) if sweep is not None), default=0)
        sweep = read[swept][1]
        frames = [_sweep(rows, sweep) if number < swept else rows for number, (rows, _) in enumerate(read)]
        del read
        first, later = frames[0], frames[1:]
        if not later:
            return cls(first, 1)
        tail = pl.concat(later).unique(_KEY, keep="last", maintain_order=True)
        return cls(_merge(first, tail), len(frames), sum(rows.height for rows in later))

    def record(self, observed: pl.DataFrame) -> tuple[Ledger, LedgerChange | None]:
        """The ledger with these observations, and what to store of it; ``None`` when they say nothing new.

        :param observed: columns of :func:`ledger_schema`; they win over what is there, without looking at the time.
        """
        observed = observed[[*_KEY, *_FACTS]]
        after = _merge(self.frame, observed)
        if self.frame.height <= _SMALL:
            return (self, None) if after.equals(self.frame) else _anew(observed, after)
        rows, sweep = _difference(self.frame, after), None
        if not rows.height:
            return self, None
        if self._full(rows) and self.frame.height:
            sweep = observed.item(0, "as_of"), observed.item(0, "channel")
            rows = _difference(_sweep(self.frame, sweep), after)
        if self._full(rows):
            return _anew(observed, after)
        change = LedgerChange(_encode(rows, sweep), rows.height, replaces=False)
        return Ledger(after, self.segments + 1, self.appended + rows.height), change

    def _full(self, rows: pl.DataFrame) -> bool:
        """Whether one segment for everything is better than one more."""
        return self.segments >= _MAX_SEGMENTS or 2 * (self.appended + rows.height) >= self.frame.height


def _anew(observed: pl.DataFrame, after: pl.DataFrame) -> tuple[Ledger, LedgerChange]:
    """One segment for everything, in the order of the feed where it has most: the next one probably has it again."""
    if after is not observed and 2 * observed.height >= after.height:
        after = _merge(observed, after)
    return Ledger(after, 1), LedgerChange(_encode(after, None), after.height, replaces=True)


def _merge(frame: pl.DataFrame, later: pl.DataFrame) -> pl.DataFrame:
    """``frame`` in its order with the facts of ``later``, then what only ``later`` has."""
    import polars as pl

    at = positions(later, frame)
    if at is None:
        return later
    known = at.is_not_null()
    source = pl.int_range(frame.height, dtype=pl.UInt32, eager=True)
    source = source.scatter(at.drop_nulls(), known.arg_true() + frame.height)
    facts = pl.concat([frame.select(_FACTS), later.select(_FACTS)]).select(pl.all().gather(source))
    return pl.concat([frame.select(_KEY).hstack(facts), later.filter(~known)])


def _difference(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Rows of ``after`` that say something else than ``before`` does; ``before``'s keys come first in ``after``."""
    import polars as pl

    known = after.head(before.height)
    differs = pl.select(pl.any_horizontal(before[name] != known[name] for name in _FACTS)).to_series()
    return pl.concat([known.filter(differs), after.slice(before.height)])


def _sweep(frame: pl.DataFrame, sweep: tuple[datetime, str] | None) -> pl.DataFrame:
    import polars as pl

    if sweep is None:
        return frame
    kinds = ledger_schema()
    moment, channel = pl.lit(sweep[0], kinds["as_of"]), pl.lit(sweep[1], kinds["channel"])
    return frame.with_columns(as_of=moment, channel=channel, absent=pl.lit(value=False))


def _encode(rows: pl.DataFrame, sweep: tuple[datetime, str] | None) -> bytes:
    channel, moment = _NO_SWEEP, 0
    if sweep is not None:
        moment, channel = (sweep[0] - _EPOCH) // timedelta(microseconds=1), _CHANNELS.index(sweep[1])
    table = BytesIO()
    rows.write_ipc_stream(table, compression="zstd")
    body = _SWEEP.pack(channel, moment) + table.getbuffer()
    return _HEADER.pack(_MAGIC, _VERSION, zlib.crc32(body)) + body


def _decode(segment: bytes, number: int) -> tuple[pl.DataFrame, tuple[datetime, str] | None]:
    import polars as pl

    body = memoryview(segment)[_HEADER.size :]
    if len(body) < _SWEEP.size or not segment.startswith(_MAGIC):
        raise _unreadable(number)
    _, version, checksum = _HEADER.unpack_from(segment)
    if version != _VERSION:
        raise RecordInvalid(
            f"segment {number} of the ledger of observations has format {version}, and this version reads {_VERSION}",
            guidance="Upgrade inventory-sources in this process.",
        )
    if zlib.crc32(body) != checksum:
        raise _unreadable(number)
    channel, moment = _SWEEP.unpack_from(body)
    rows = pl.read_ipc_stream(BytesIO(body[_SWEEP.size :]))
    return rows, None if channel == _NO_SWEEP else (_EPOCH + timedelta(microseconds=moment), _CHANNELS[channel])


def _unreadable(number: int) -> RecordInvalid:
    return RecordInvalid(f"segment {number} of the ledger of observations is damaged or not one of ours")
