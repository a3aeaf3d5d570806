"""From source to stock batch: what was fetched is decoded and mapped, all of it before anything is compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from attrs import Factory, define, evolve, frozen

from inventory_sources.batch import RawBatch, StockBatch
from inventory_sources.engine._delivered import UNREADABLE, Delivered, map_delivered
from inventory_sources.engine._fetching import Fetch, FetchRequest, fetch, foreign_errors
from inventory_sources.errors import (
    ClockSkewed,
    ConfigurationError,
    DecodeError,
    FetchError,
    InventorySourcesError,
    MappingError,
    Phase,
    Recovery,
    SourceMissing,
    StructureInvalid,
)
from inventory_sources.mappers import concat_batches, newest_of_each, resolve_duplicates
from inventory_sources.payload import Evidence, Payload
from inventory_sources.protocols.connector import FetchContext, Pushed
from inventory_sources.protocols.decoder import DecodeContext, Decoder
from inventory_sources.protocols.mapper import MapContext
from inventory_sources.source import Source
from inventory_sources.spool import HEAD_BYTES

__all__ = ["Intake", "read", "take_in"]

#: Inputs observed later than this after the sync's start are refused.
_FUTURE = timedelta(minutes=5)
_RECORDS = 10_000


@define
class RowCells:
    """Finds the raw cells of the few rows that are asked for, in what was read."""

    _batches: list[tuple[int, int, int, Callable[[int], Mapping[str, str | None]]]] = Factory(list)

    def add(self, part: int, raw: RawBatch) -> None:
        """Rows of a batch; numbers rise within a part."""
        if raw.frame.height:
            self._batches.append((part, raw.numbers[0], raw.numbers[-1], raw.cells or _kept(raw)))

    def of(self, part: int, number: int) -> Mapping[str, str | None] | None:
        """The row's cells by heading, or ``None`` where they are not at hand."""
        for batch_part, first, last, cells in self._batches:
            if part == batch_part and first <= number <= last:
                return cells(number)
        return None


def _kept(raw: RawBatch) -> Callable[[int], Mapping[str, str | None]]:
    numbers, frame = raw.numbers, raw.frame
    return lambda number: frame.row(int(numbers.search_sorted(number)), named=True)


@frozen
class Intake:
    """A whole feed, mapped, with what is known about it.

    :param input_as_of: the time of each input that carries one, by part.
    :param started_at: stands for inputs that carry none.
    :param cells: the row of an input, by part and number, as it was read; only while the intake is open.
    :param warnings: of the connector and the decoder.
    :param digest: as :attr:`Fetch.digest`.
    :param deliveries: those that the batch carries, by id, one a part.
    :param covered: those that it stands for although it does not carry them.
    :param yielding: parts that are read again, after deliveries that were received later.
    :param aside: deliveries that could not be read, with why.
    :param partial: whether it is a partial feed although the source's may be a snapshot: what was pushed.
    """

    batch: StockBatch
    rows: int
    evidence: Evidence
    input_as_of: tuple[datetime | None, ...]
    started_at: datetime
    cursor: str | None = None
    cells: RowCells | None = None
    warnings: tuple[str, ...] = ()
    digest: str | None = None
    deliveries: tuple[str, ...] = ()
    covered: tuple[str, ...] = ()
    aside: Mapping[str, InventorySourcesError] = Factory(dict)
    partial: bool = False
    yielding: tuple[int, ...] = ()

    @property
    def settles(self) -> tuple[str, ...]:
        """The deliveries that are done with once the batch is applied."""
        return (*self.deliveries, *self.covered)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Origins, in order."""
        return tuple(origin for origin, _ in self.batch.origins)


def read(fetched: Fetch) -> Intake:
    """Decodes and maps all that was fetched.

    :raises InventorySourcesError: with nothing used, when any part of it fails.
    """
    if fetched.nothing_new and not fetched.unreadable:
        raise SourceMissing(fetched.nothing_new)
    reader = _Reader(fetched.source, fetched.request, fetched.context, _time_now(fetched.source, fetched.context))
    for part in fetched.gathered:
        reader.read(part)
    return evolve(reader.finish(), digest=fetched.digest)


@contextmanager
def take_in(source: Source, request: FetchRequest) -> Iterator[Intake]:
    """Fetches, decodes and maps the whole feed; what was spooled stays for the time of the ``with``.

    :raises InventorySourcesError: with nothing used, when any part of it fails.
    """
    with fetch(source, request) as fetched:
        yield read(fetched)


def _time_now(source: Source, context: FetchContext) -> datetime:
    """On the store's clock: what was observed during a long fetch is not from the future."""
    return context.started_at + source.timeout - timedelta(seconds=context.deadline - context.clock.monotonic())


@define
class _Reader:
    """Decodes and maps inputs one after the other.

    :param now: when all of them had arrived.
    """

    source: Source
    request: FetchRequest
    context: FetchContext
    now: datetime
    batches: list[StockBatch] = Factory(list)
    origins: list[tuple[str, str]] = Factory(list)
    evidence: list[Evidence] = Factory(list)
    times: list[datetime | None] = Factory(list)
    rows: int = 0
    records: int = 0
    cells: RowCells = Factory(RowCells)
    warnings: list[str] = Factory(list)
    delivered: list[Delivered] = Factory(list)
    aside: dict[str, InventorySourcesError] = Factory(lambda self: dict(self._pushed.unreadable), takes_self=True)

    def read(self, fetched: Payload | list[Mapping[str, object]]) -> None:
        """One input, or one series of plain records."""
        if isinstance(fetched, Payload) and fetched.delivery:
            self._read_delivery(fetched, fetched.delivery)
        elif isinstance(fetched, Payload):
            self._read_payload(fetched)
        else:
            self._read_records(fetched)

    def finish(self) -> Intake:
        """The whole feed, duplicates settled."""
        mapper = self.source.mapper
        self._map_delivered()
        with foreign_errors(MappingError, "mapper", mapper):
            whole = concat_batches(self.batches)
            whole.origins = tuple(self.origins)  # what is said of duplicates names the inputs
            if self._pushed.drained:
                whole = newest_of_each(whole, self.times, self.context.started_at)
            else:
                whole = resolve_duplicates(whole, mapper.duplicates)
        evidence = Evidence.all_of(self.evidence)
        self.request.progress("map", "rows", self.rows)
        return Intake(
            whole,
            self.rows,
            evidence,
            tuple(self.times),
            self.request.started_at,
            self.context.next_cursor,
            self.cells,
            tuple(dict.fromkeys((*self.context.outcome.warnings, *self.warnings))),
            deliveries=tuple(each.id for each in self.delivered),
            covered=self._pushed.covered,
            aside=self.aside,
            partial=self._pushed.drained and not self._pushed.whole,
        )

    @property
    def _pushed(self) -> Pushed:
        return self.context.outcome.pushed

    def _read_delivery(self, payload: Payload, delivery: str) -> None:
        """Decodes one delivery; it leaves nothing behind when it cannot be read."""
        try:
            decoding, raws = self._decoded(payload)
        except UNREADABLE as error:
            self.aside[delivery] = error
            return
        origin = (raws[-1].origin, raws[-1].unit) if raws else (payload.origin, "line")
        one = Delivered(delivery, origin, payload.as_of, decoding.evidence, decoding.warnings, raws)
        self.delivered.append(one)

    def _decoded(self, payload: Payload) -> tuple[DecodeContext, list[RawBatch]]:
        decoder = self._decoder(payload)
        _refuse_future(payload, self.now)
        decoding = DecodeContext(select=self._select, evidence=payload.evidence, checkpoint=self.context.checkpoint)
        with _located(payload, decoder), foreign_errors(DecodeError, "decoder", decoder):
            return decoding, list(decoder.decode(payload, decoding))

    def _map_delivered(self) -> None:
        """Maps the deliveries; those that cannot be mapped leave nothing behind."""
        if not self.delivered:
            return
        mapper = self.source.mapper
        row_by_row = getattr(mapper, "row_by_row", False) is True
        first = len(self.origins)
        mapped = map_delivered(self.delivered, self._mapped, mapper.duplicates, first=first, together=row_by_row)
        self.aside.update(mapped.aside)
        self.delivered = list(mapped.readable)
        self.batches += mapped.batches
        for part, each in enumerate(self.delivered, first):
            self.origins.append(each.origin)
            self.evidence.append(each.evidence)
            self.times.append(each.as_of)
            self.warnings += each.warnings
            self.rows += each.rows
            for raw in each.raws:
                self.cells.add(part, raw)
        self.request.progress("decode", "rows", self.rows)

    def _decoder(self, payload: Payload) -> Decoder:
        if self.source.decoder is not None:
            return self.source.decoder
        raise ConfigurationError(
            f"the connector gave bytes ({payload.origin}), and source {self.source.name!r} has no decoder",
            guidance="Declare a decoder, such as CsvDecoder() or JsonDecoder().",
        )

    def _read_payload(self, payload: Payload) -> None:
        decoder = self._decoder(payload)
        _refuse_future(payload, self.now)
        decoding = DecodeContext(select=self._select, evidence=payload.evidence, checkpoint=self.context.checkpoint)
        part = len(self.origins)
        self.origins.append((payload.origin, "line"))
        with _located(payload, decoder), foreign_errors(DecodeError, "decoder", decoder):
            for raw in decoder.decode(payload, decoding):
                self._map(raw, part)
        self.evidence.append(decoding.evidence)
        self.warnings += decoding.warnings
        self.times.append(payload.as_of)

    def _read_records(self, records: list[Mapping[str, object]]) -> None:
        part, origin = len(self.origins), f"records of {self.source.name}"
        self.origins.append((origin, "record"))
        for first in range(0, len(records), _RECORDS):
            raw = RawBatch.from_records(
                islice(records, first, first + _RECORDS), origin, first=self.records + first + 1
            )
            if raw.frame.height:
                self._select(raw.frame.columns)
                self._map(raw, part)
            elif raw.damaged.total == len(records):
                raise _none_readable(raw)
            else:  # which is not a matter of headings
                self._keep(_collect((), raw, part), raw, part)
        self.records += len(records)
        self.evidence.append(self.context.evidence)
        self.times.append(None)

    def _select(self, headings: Sequence[str]) -> Sequence[str]:
        with foreign_errors(MappingError, "mapper", self.source.mapper):
            return self.source.mapper.select(headings)

    def _map(self, raw: RawBatch, part: int) -> None:
        self.cells.add(part, raw)
        self._keep(self._mapped(raw, part), raw, part)

    def _mapped(self, raw: RawBatch, part: int = 0) -> StockBatch:
        self.context.checkpoint()
        mapping = MapContext(self.now, part, overrides=self.request.overrides)
        with foreign_errors(MappingError, "mapper", self.source.mapper):
            mapped = self.source.mapper.map(raw, mapping)
            return mapped if isinstance(mapped, StockBatch) else _collect(mapped, raw, part)

    def _keep(self, batch: StockBatch, raw: RawBatch, part: int) -> None:
        self.origins[part] = (raw.origin, raw.unit)
        self.rows += raw.rows
        self.request.progress("decode", "rows", self.rows)
        self.batches.append(batch)


def _none_readable(raw: RawBatch) -> StructureInvalid:
    first = raw.damaged.kept[0]
    return StructureInvalid(f"none of the records can be read; the first: {first.message}", guidance=first.guidance)


def _collect(mapped: Iterable[Any], raw: RawBatch, part: int) -> StockBatch:
    """A batch of what a plain mapper yields, which never sees rows that could not be read as rows."""
    import polars as pl

    batch = StockBatch.from_levels(mapped)
    batch.frame = batch.frame.with_columns(pl.lit(part, pl.UInt32).alias("part"))
    batch.origins = ()  # those of the sync stand for them
    batch.rejections.merge(raw.damaged)
    batch.unidentified += raw.damaged.total
    return batch


@contextmanager
def _located(payload: Payload, decoder: Decoder) -> Iterator[None]:
    """Names the input in what is said of it, and what it looks like where that is something else than declared."""
    try:
        yield
    except InventorySourcesError as error:
        if error.phase in (Phase.FETCH, Phase.DECODE) and payload.origin not in error.message:
            error.message = f"{payload.origin}: {error.message}"
            error.args = (error.message,)
        if isinstance(error, DecodeError) and not error.may_pass and (hint := _other_format(payload, decoder)):
            error.guidance = f"{hint[0].upper()}{hint[1:]}. {error.guidance}"
        raise


def _other_format(payload: Payload, decoder: Decoder) -> str:
    from inventory_sources.formats import suggest_format

    with payload.open() as stream:
        head = stream.read(HEAD_BYTES)
        hint = suggest_format(head, complete=not stream.read(1))
    return str(hint) if hint and hint.differs(decoder, troubled=True) else ""


def _refuse_future(payload: Payload, now: datetime) -> None:
    if payload.as_of is None:
        return
    if payload.as_of.tzinfo is None:
        raise FetchError(
            f"{payload.origin}: the connector gave a time without a zone",
            guidance="A payload's as_of must be an aware datetime.",
            recovery=Recovery.STOP,
        )
    if payload.as_of > now + _FUTURE:
        ahead = payload.as_of - now
        raise ClockSkewed(f"{payload.origin} says it was written {ahead} from now")
