"""No damaged file gives a wrong SKU or quantity, and no row is lost without a line and a reason."""

from __future__ import annotations

import csv
import io
import re
from bisect import bisect
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from itertools import islice

import polars as pl
import pytest
from attrs import evolve, field, frozen

from inventory_sources.batch import RawBatch, Rejection
from inventory_sources.errors import DecodeError, InputTooLarge, InventorySourcesError
from inventory_sources.formats import CsvDecoder, _csv_reading
from inventory_sources.formats._csv_doubts import Doubts
from inventory_sources.formats._csv_shape import Shape
from inventory_sources.formats._csv_splits import Splits
from inventory_sources.mappers import Columns
from inventory_sources.payload import Payload
from inventory_sources.protocols.decoder import DecodeContext
from inventory_sources.protocols.mapper import MapContext
from tests.formats.csv_torture import (
    GENERATORS,
    TRUTH,
    WIDTH,
    Case,
    Demand,
    Row,
    compounds,
    quote_marks,
    splits,
    swallowing,
    tables,
)

MAPPER = Columns("PRODUCTID", "Qty")
CONTEXT = MapContext(datetime(2026, 3, 2, tzinfo=UTC), keep_rejections=1 << 20)
#: More than a file has.
_LINES = 1 << 20


@frozen
class Reading:
    """What a source gets from a file."""

    levels: list[tuple[str, Decimal]] = field(factory=list)
    rejections: list[Rejection] = field(factory=list)
    error: InventorySourcesError | None = None


def read(case: Case) -> Reading:
    """The file by the declared decoder and the mapper; of a refused file nothing is used."""
    return read_all([case])[0]


def read_all(cases: Iterable[Case]) -> list[Reading]:
    """Several files; the mapper takes them together, since it costs as much for a small one as for a large one."""
    readings, raws = [], []
    for at, case in enumerate(cases):
        payload, context = Payload("stock.csv", case.data), DecodeContext(select=MAPPER.select)
        try:
            found = list(CsvDecoder(**case.options).decode(payload, context))
        except (DecodeError, InputTooLarge) as error:
            readings.append(Reading(error=error))
        else:
            readings.append(Reading(rejections=[one for raw in found for one in raw.damaged.kept]))
            raws += [(at, raw) for raw in found if raw.frame.height]
    if raws:
        _map(readings, raws)
    return readings


def _map(readings: list[Reading], raws: list[tuple[int, RawBatch]]) -> None:
    tables = [raw.frame.rename(dict(zip(raw.frame.columns, MAPPER.wanted, strict=True))) for _, raw in raws]
    numbers = pl.concat([raw.numbers + at * _LINES for at, raw in raws])
    firsts = [at * _LINES + raw.numbers[0] for at, raw in raws]
    cells = lambda number: raws[bisect(firsts, number) - 1][1].cells(number % _LINES)  # noqa: E731
    batch = MAPPER.map(RawBatch("stock.csv", pl.concat(tables), numbers, cells=cells), CONTEXT)
    for sku, quantity, number in batch.frame.select("sku", "quantity", "number").iter_rows():
        readings[number // _LINES].levels.append((sku, quantity))
    assert len(batch.rejections.kept) == batch.rejections.total
    for one in batch.rejections.kept:
        place = evolve(one.place, number=one.place.number % _LINES)
        readings[one.place.number // _LINES].rejections.append(evolve(one, place=place))


def faults(case: Case, reading: Reading) -> list[str]:
    """What the reading did to the truth."""
    if reading.error is not None:
        return _refusal_faults(case, reading.error)
    found = [f"{sku} became {quantity}" for sku, quantity in reading.levels if case.truth.get(sku) != quantity]
    missing = case.truth.keys() - {sku for sku, _ in reading.levels}
    lines = case.lines
    found += [f"{sku} was lost in silence" for sku in missing if not _covered(sku, lines[sku], reading.rejections)]
    found += [
        f"no place or reason: {one}" for one in reading.rejections if not (one.place and one.reason and one.message)
    ]
    if case.demand is Demand.REFUSAL and reading.levels:
        found.append("it was read")
    if case.demand in (Demand.ALL, Demand.REST):
        spared = case.damaged if case.demand is Demand.REST else set()
        owed = {sku for sku in missing if case.truth[sku] is not None} - spared
        found += [f"{sku} was not read" for sku in owed]
    return found


def _refusal_faults(case: Case, error: InventorySourcesError) -> list[str]:
    if case.demand in (Demand.ALL, Demand.REST):
        return [f"the file was refused: {error.message}"]
    named = error.code in ("heading_invalid", "input_incomplete") or re.search("empty|byte order mark", error.message)
    return [] if named or re.search(r"line \d", error.message) else [f"no place in {error.message!r}"]


def _covered(sku: str, line: int, rejections: list[Rejection]) -> bool:
    return any(
        one.place.number == line or any(sku in (cell or "") for cell in one.cells.values()) for one in rejections
    )


@cache
def outcomes(generator: int) -> list[tuple[Case, Reading]]:
    """Each file of a generator with its reading."""
    cases = list(GENERATORS[generator]())
    return list(zip(cases, read_all(cases), strict=True))


@pytest.mark.parametrize("generator", range(len(GENERATORS)), ids=[make.__name__ for make in GENERATORS])
def test_every_damaged_file_is_read_right_or_refused_with_its_place(generator) -> None:
    wrong = [
        f"{case.kind} / {case.name}: {'; '.join(found[:3])}"
        for case, reading in outcomes(generator)
        if (found := faults(case, reading))
    ]
    assert not wrong, f"{len(wrong)} of {len(outcomes(generator))} files:\n" + "\n".join(wrong[:40])


@pytest.mark.parametrize(("block", "batch"), [(64, 50_000), (100, 50_000), (4000, 1), (4000, 3)])
def test_a_row_is_whole_wherever_blocks_and_batches_end(block, batch, monkeypatch) -> None:
    monkeypatch.setattr(_csv_reading, "BLOCK_BYTES", block)
    monkeypatch.setattr(_csv_reading, "_BATCH_ROWS", batch)
    truth = dict(islice(TRUTH.items(), 11))
    short = [evolve(case, rows=case.rows[:12], truth=truth) for case in splits() if int(case.name.split()[2]) < 9]
    readings = zip(short, read_all(short), strict=True)
    wrong = [
        f"{case.kind} / {case.name}: {found[:3]}" for case, reading in readings if (found := faults(case, reading))
    ]
    assert not wrong, "\n".join(wrong[:40])


def test_the_set_is_large_and_most_of_it_is_read() -> None:
    found = [outcome for generator in range(len(GENERATORS)) for outcome in outcomes(generator)]
    assert len(found) >= 4000
    assert len(Counter(case.kind for case, _ in found)) >= 40
    owed = sum(len(case.truth) for case, _ in found)
    came = sum(len({sku for sku, _ in reading.levels}) for _, reading in found)
    assert came / owed > 0.55, "to refuse everything is no reading"
    whole = [case.kind for case, reading in found if case.truth and len(reading.levels) >= len(case.truth)]
    assert len(whole) > 700
    assert sum(reading.error is not None for _, reading in found) > 300


def _careless(lines, width):
    for row in csv.reader(lines):
        yield [*row, *[""] * (width - len(row))][:width]


CARELESS = {
    "quotes are not strict": (quote_marks, CsvDecoder, "rows", lambda _, lines: csv.reader(lines)),
    "widths are not compared": (compounds, CsvDecoder, "rows", lambda _, lines: _careless(lines, WIDTH)),
    "nothing is doubted": (swallowing, Doubts, "of", lambda *_: None),
    "no row is taken for split": (splits, Splits, "is_part", lambda *_: False),
    "plain text is not doubted": (tables, Doubts, "may_concern", lambda *_: False),
}


@pytest.mark.parametrize("change", CARELESS)
def test_the_set_tells_a_careless_decoder(change, monkeypatch) -> None:
    make, *patch = CARELESS[change]
    monkeypatch.setattr(*patch)
    assert any("became" in fault or "lost" in fault for case in make() for fault in faults(case, read(case)))


def naive(case: Case) -> bool:
    """Whether the ``csv`` module alone, not strict, gives a wrong level or loses a row without an error."""
    try:
        headings, *rows = csv.reader(io.StringIO(case.data.decode(), newline=""))
        sku, qty = headings.index("PRODUCTID"), headings.index("Qty")
        levels = {row[sku]: Decimal(row[qty]) for row in rows if row}
    except (UnicodeDecodeError, csv.Error, ValueError, ArithmeticError, IndexError):
        return False
    return levels != case.truth


def test_the_set_tells_a_plain_reader() -> None:
    wrong = (case for generator in range(len(GENERATORS)) for case, _ in outcomes(generator) if naive(case))
    assert len(list(islice(wrong, 1001))) > 1000


# --- good files ---------------------------------------------------------------------------------------------------

WORDS = ("Mug", "Lamp blue", "Towel", "Rod", "Boots tall", "Sock")


def good(sku, quantity="5", text="A mug, blue", price="1.50", rows=30):
    """A clean file of four columns."""
    written = io.StringIO()
    csv.writer(written).writerows(
        [("PRODUCTID", "Qty", "Text", "Price"), *((sku(n), quantity, text, price) for n in range(rows))]
    )
    return written.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        good(lambda n: f"{WORDS[n % 6]} {'abcdefgh'[n // 6]}"),
        good(lambda n: f"A-{n}", quantity="N/A"),
        good(lambda n: f"{WORDS[n % 6]} {'abcdefgh'[n // 6]}", quantity="unlimited", price="on request"),
        good(lambda n: f"A-{n}") + "GIFTCARD,unlimited,Gift card,25.00\r\nB-1,5,Cup,1.50\r\n",
        good(lambda n: f"{n}") + "GIFTCARD,unlimited,Gift card,on request\r\nB-1,5,Cup,1.50\r\n",
        good(lambda n: f"A-{n}") + "SHIPPING,none,Delivery,\r\nB-1,5,Cup,1.50\r\n",
        good(lambda n: f"A-{n}", text="Mug\nblue, large, round, 2 litres"),
        good(lambda n: f"A-{n}", text="Sizes: 1, 2\n3, 4, 5\n6"),
        good(lambda n: f"A-{n}", text='19" rack'),
        good(lambda n: f'6" pipe {n}') + 'A-1,5,"19"" rack",1\r\nB"2,5,a 6" pipe,1\r\n',
        good(lambda n: f"{n:05d}", price="Price"),
    ],
)
def test_a_good_file_is_not_doubted(text) -> None:
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    reading = read(Case("good", "", (Row(text),), {}, Demand.ALL))
    assert reading.error is None
    assert len(reading.levels) + len(reading.rejections) == len(rows)
    assert {sku for sku, _ in reading.levels} == {row["PRODUCTID"] for row in rows if row["Qty"].isdigit()}
    assert {one.reason for one in reading.rejections} <= {"quantity_unreadable"}


def test_fast_and_strict_reading_have_the_same_doubts(monkeypatch) -> None:
    plain = [case for case in tables() if case.name.startswith("plain")]
    fast = [faultless(read(case)) for case in plain]
    monkeypatch.setattr(Shape, "of", lambda *_: None)
    assert fast == [faultless(read(case)) for case in plain]


def faultless(reading: Reading):
    """A reading to compare."""
    return reading.error and reading.error.message, reading.levels, [one.place for one in reading.rejections]
