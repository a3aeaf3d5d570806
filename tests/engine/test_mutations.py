"""A damaged copy of a good feed zeroes nothing and gives no SKU another one's quantity.

A first feed is synced, then a damaged copy of a newer one, twice. All quantities of both differ and none is zero, so a
level that is neither of its own SKU's two shows at once.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from inventory_sources import (
    Columns,
    CsvDecoder,
    Feed,
    JsonDecoder,
    JsonLinesDecoder,
    MemorySink,
    MemoryStateStore,
    Payload,
    Source,
    SqlStateStore,
    SyncEngine,
)
from inventory_sources.guards import default_guards
from inventory_sources.payload import Evidence, Proof
from inventory_sources.run import RunResult, SyncRun
from inventory_sources.testing import ManualClock

from .conftest import START, Shop

Row = tuple[str, ...]
#: Products of the shop that no feed lists; a SKU cut short would be one of them.
STRANGERS = {"A": 900_001, "B": 900_002, "0": 900_003, "A0": 900_004}
UNPROVEN = Evidence()
PROVEN = Evidence(frozenset({Proof.LENGTH}))


@frozen
class Input:
    """What arrives, and what proves it whole: a cut input has lost every proof that stands outside of it."""

    data: bytes
    evidence: Evidence = PROVEN


class Wire:
    """A connector that yields the input at hand."""

    def __init__(self, given: Input) -> None:
        self.given = given

    def fetch(self, context: Any) -> Iterator[Payload]:
        """The input."""
        yield Payload("feed", self.given.data, evidence=self.given.evidence)


@frozen
class Policy:
    """How a source is declared."""

    absent: str = "zero"
    guarded: bool = False


def sync_all(
    inputs: Sequence[Input], decoder: Any, policy: Policy, sink: Any, store: Any = MemoryStateStore
) -> list[SyncRun]:
    """Syncs the inputs one after the other, five minutes apart."""
    clock, wire = ManualClock(START), Wire(inputs[0])
    engine = SyncEngine(store(clock=clock), clock=clock)
    engine.add_source(
        Source(
            name="erp",
            connector=wire,
            decoder=decoder,
            mapper=Columns(),
            feed=Feed.snapshot(absent=policy.absent),
            guards=default_guards() if policy.guarded else (),
            sink=sink,
        )
    )
    runs = []
    for wire.given in inputs:
        runs.append(engine.sync("erp"))
        clock.advance(timedelta(minutes=5))
    return runs


def memory_levels(sink: MemorySink) -> dict[str, int]:
    """The levels by SKU."""
    return {level.sku: int(level.quantity) for level in sink.levels(None)}


@frozen
class Story:
    """A good feed of a few SKUs, told twice with other quantities."""

    before: Mapping[str, int]
    after: Mapping[str, int]

    def check(self, runs: Sequence[SyncRun], levels: Mapping[str, int]) -> None:
        """The promises, after the feed of ``before`` and then damaged ones of ``after``."""
        assert runs[0].result is RunResult.COMPLETED
        assert {sku: levels[sku] for sku in STRANGERS} == STRANGERS
        for sku, old in self.before.items():
            assert levels[sku] in (old, self.after[sku])
        for run in runs:
            assert run.counts.add_up
            assert run.failure is None or run.failure.guidance
            assert (run.result is RunResult.FAILED) == (run.failure is not None)
        if all(run.result is not RunResult.COMPLETED for run in runs[1:]):
            assert {sku: levels[sku] for sku in self.before} == self.before


def play(story: Story, good: bytes, damaged: Input, decoder: Any, policy: Policy) -> list[SyncRun]:
    """The story in memory; gives the runs of the damaged input."""
    sink = MemorySink({**dict.fromkeys(story.before, 1), **STRANGERS})
    runs = sync_all([Input(good), damaged, damaged], decoder, policy, sink)
    story.check(runs, memory_levels(sink))
    return runs[1:]


# --- delimited text -----------------------------------------------------------------------------------------------


def written(rows: Sequence[Row], end: str = "\n") -> str:
    """Rows as CSV; a blank line for a row without cells."""
    text = io.StringIO()
    csv.writer(text, lineterminator=end).writerows(rows)
    return text.getvalue()


def table(levels: Mapping[str, int]) -> list[Row]:
    """A feed's rows with a column that nobody maps, which may need quotes."""
    return [
        ("note", "sku", "quantity"),
        *((f"bin {index}, top", sku, str(n)) for index, (sku, n) in enumerate(levels.items())),
    ]


skus = st.lists(
    st.text("AB01éß-", min_size=1, max_size=4).filter(lambda sku: sku not in STRANGERS),
    min_size=1,
    max_size=7,
    unique=True,
)
policies = st.builds(Policy, absent=st.sampled_from(["zero", "keep"]), guarded=st.booleans())


@st.composite
def stories(draw: st.DrawFn) -> Story:
    names = draw(skus)
    spread = draw(st.sampled_from([1, 9, 101]))
    return Story(
        {sku: 10 + spread * index for index, sku in enumerate(names)},
        {sku: 10_010 + spread * index for index, sku in enumerate(names)},
    )


Mutation = Callable[[list[Row]], list[Row]]


@st.composite
def row_mutations(draw: st.DrawFn) -> Mutation:
    """Something that befalls a table: blanks, repetitions, another order."""
    kind = draw(
        st.sampled_from(["blank cell", "blank column", "blank line", "repeat", "repeat all", "shuffle", "swap"])
    )
    first, second, random = draw(st.integers(0, 99)), draw(st.integers(0, 99)), draw(st.randoms())

    def mutate(rows: list[Row]) -> list[Row]:
        rows = list(rows)
        at, other = first % len(rows), second % len(rows)
        cell = second % 3
        match kind:
            case "blank cell":
                rows[at] = tuple("" if index == cell else text for index, text in enumerate(rows[at]))
            case "blank column":
                rows = [tuple("" if index == cell else text for index, text in enumerate(row)) for row in rows]
            case "blank line":
                low, high = sorted((at, other))
                rows[low : high + 1] = [()] * (high + 1 - low)
            case "repeat":
                low, high = sorted((at, other))
                rows[first % (len(rows) + 1) : 0] = rows[low : high + 1]
            case "repeat all":
                rows *= 2
            case "shuffle":
                body = rows[1:]
                random.shuffle(body)
                rows[1:] = body
            case "swap":
                rows = [row[1:] + row[:1] for row in rows]
        return rows

    return mutate


RECODINGS: dict[str, Callable[[str], bytes]] = {
    "none": lambda text: text.encode(),
    "mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "two marks": lambda text: b"\xef\xbb\xbf" * 2 + text.encode(),
    "latin-1": lambda text: text.encode("latin-1"),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16-le": lambda text: text.encode("utf-16-le"),
    "utf-16-be": lambda text: text.encode("utf-16-be"),
    "twice": lambda text: text.encode().decode("latin-1").encode(),
    "twice as cp1252": lambda text: text.encode().decode("cp1252").encode(),
    "replaced": lambda text: text.encode("ascii", "replace"),
    "lossy": lambda text: text.encode("latin-1").decode("utf-8", "replace").encode(),
}


@st.composite
def byte_mutations(draw: st.DrawFn) -> Callable[[bytes, bool], Input]:
    """Something that befalls a file: a cut, NULs to its end or within, a piece twice."""
    kind = draw(st.sampled_from(["none", "none", "cut", "nul to the end", "nul", "piece twice"]))
    share = draw(st.floats(0, 1))

    def mutate(data: bytes, proven: bool) -> Input:
        evidence = PROVEN if proven else UNPROVEN
        at = round(share * len(data))
        match kind:
            case "cut":
                return Input(data[:at], UNPROVEN)
            case "nul to the end":
                return Input(data[:at] + bytes(len(data) - at), evidence)
            case "nul":
                return Input(data[:at] + bytes(min(3, len(data) - at)) + data[at + 3 :], evidence)
            case "piece twice":
                return Input(data[:at] + data, UNPROVEN)
        return Input(data, evidence)

    return mutate


@settings(max_examples=200)
@given(
    stories(),
    st.lists(row_mutations(), max_size=2),
    st.sampled_from(sorted(RECODINGS)),
    byte_mutations(),
    policies,
    st.booleans(),
    st.sampled_from(["\n", "\r\n"]),
)
def test_a_damaged_table_does_no_harm(story, mutations, recoding, damage, policy, proven, end) -> None:
    rows = table(story.after)
    for mutate in mutations:
        rows = mutate(rows)
    try:
        data = RECODINGS[recoding](written(rows, end))
    except UnicodeError:  # cp1252 has no character for every byte
        assume(False)
    play(story, written(table(story.before), end).encode(), damage(data, proven), CsvDecoder(), policy)


STORY = Story({"S1": 11, "é10": 12, "S100": 13}, {"S1": 101, "é10": 10, "S100": 1000})
POLICIES = [Policy("zero"), Policy("keep"), Policy("zero", guarded=True)]
policy_by_name = pytest.mark.parametrize("policy", POLICIES, ids=["zero", "keep", "zero guarded"])


@policy_by_name
@pytest.mark.parametrize("proven", [True, False], ids=["proven", "unproven"])
def test_blanked_last_lines_do_no_harm(policy: Policy, proven: bool) -> None:
    rows, good = table(STORY.after), written(table(STORY.before)).encode()
    for lines in range(1, len(rows)):
        blanked = Input(written([*rows[:-lines], *[()] * lines]).encode(), PROVEN if proven else UNPROVEN)
        play(STORY, good, blanked, CsvDecoder(), policy)


def test_unmapped_names_that_come_and_go_are_taken_for_those_of_missing_products() -> None:
    sink = MemorySink({**dict.fromkeys(STORY.before, 1), **STRANGERS})
    good, again = (written(table(levels)).encode() for levels in (STORY.before, STORY.after))
    mangled = Input(again.decode("latin-1").encode())
    runs = sync_all([Input(good), mangled, Input(good), mangled, mangled], CsvDecoder(), Policy(), sink)
    STORY.check(runs, memory_levels(sink))
    assert [run.counts.unmapped for run in runs] == [0, 1, 0, 1, 1]


def test_a_name_that_was_unmapped_all_along_does_not_keep_missing_products(tmp_path: Path) -> None:
    for store in (MemoryStateStore, lambda clock: SqlStateStore(str(tmp_path / "state.db"), clock=clock)):
        sink = MemorySink({"S1": 1, "S2": 1})
        whole, less = b"sku,quantity\nS1,5\nS2,6\nOTHER,7\n", b"sku,quantity\nS1,5\nOTHER,7\n"
        sync_all([Input(whole), Input(whole), Input(less)], CsvDecoder(), Policy(), sink, store)
        assert memory_levels(sink) == {"S1": 5, "S2": 0}


# --- cut at every byte --------------------------------------------------------------------------------------------


def records(levels: Mapping[str, int]) -> list[dict[str, object]]:
    """A feed's rows as JSON objects."""
    return [{"sku": sku, "quantity": n, "bin": {"name": 'A"{['}} for sku, n in levels.items()]


def json_document(levels: Mapping[str, int]) -> bytes:
    return json.dumps({"data": {"items": records(levels)}}, ensure_ascii=False, indent=1).encode()


def json_lines(levels: Mapping[str, int]) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records(levels)).encode()


def csv_file(levels: Mapping[str, int]) -> bytes:
    return written(table(levels)).encode()


def csv_file_utf16(levels: Mapping[str, int]) -> bytes:
    return written(table(levels), "\r\n").encode("utf-16")


#: What a cut is called: by where it falls, the input is unfinished, empty, or has lost columns or half a character.
CUT_CODES = {"input_incomplete", "structure_invalid", "heading_invalid", "encoding_invalid"}

FORMATS: dict[str, tuple[Callable[[Mapping[str, int]], bytes], Any]] = {
    "csv": (csv_file, CsvDecoder()),
    "csv in utf-16": (csv_file_utf16, CsvDecoder(encoding="utf-16")),
    "json": (json_document, JsonDecoder(records="data.items")),
    "json lines": (json_lines, JsonLinesDecoder()),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_cut_at_every_byte_does_no_harm(name: str) -> None:
    write, decoder = FORMATS[name]
    whole = write(STORY.after)
    sink = MemorySink({**dict.fromkeys(STORY.before, 1), **STRANGERS})
    cuts = [Input(whole[:at], UNPROVEN) for at in range(len(whole))]
    runs = sync_all([Input(write(STORY.before)), *cuts], decoder, Policy(), sink)
    STORY.check(runs, memory_levels(sink))
    ends = {at for at in range(1, len(whole)) if whole[:at].decode(decoder.encoding, "ignore")[-1:] in ("\n", "\r")}
    completed = {at for at, run in enumerate(runs[1:]) if run.result is RunResult.COMPLETED}
    assert completed <= ends, "a record that is cut short is never read"
    assert bool(completed) == (name != "json"), "only where a record ends can a cut go unnoticed"
    assert {run.failure.code for run in runs if run.failure} <= CUT_CODES


def test_a_cut_at_every_byte_of_a_file_leaves_the_stock_table_old_or_right(shop: Shop) -> None:
    old, new = {"S1": 11, "S2": 12, "S3": 13}, {"S1": 101, "S2": 10, "S3": 1000}
    shop.stock(**dict.fromkeys(old, 1), S=900_001)
    path = shop.feed(written(table(old)))
    shop.engine.add_source(shop.source(feed=Feed.snapshot(absent="zero")))
    assert shop.engine.sync("erp").result is RunResult.COMPLETED
    whole = written(table(new)).encode()
    for at in range(len(whole) + 1):
        path.write_bytes(whole[:at])
        shop.clock.advance(timedelta(minutes=5))
        run = shop.engine.sync("erp")
        assert run.counts.add_up
        said = {sku: new[sku] for sku in new if f",{sku},{new[sku]}\n".encode() in whole[:at]}
        assert shop.levels == {"S": 900_001, **old, **said}
    assert run.result is RunResult.COMPLETED
    assert said == new


# --- JSON ---------------------------------------------------------------------------------------------------------


@st.composite
def record_mutations(draw: st.DrawFn) -> Callable[[list[Any]], list[Any]]:
    """Something that befalls a list of records."""
    kind = draw(st.sampled_from(["null", "blank", "drop key", "empty", "repeat", "repeat all", "shuffle", "nothing"]))
    first, second, random = draw(st.integers(0, 99)), draw(st.integers(0, 99)), draw(st.randoms())

    def mutate(items: list[Any]) -> list[Any]:
        items = [dict(item) for item in items]
        at, key = first % len(items), ("sku", "quantity", "bin")[second % 3]
        match kind:
            case "null" | "blank":
                items[at][key] = None if kind == "null" else ""
            case "drop key":
                items[at].pop(key, None)
            case "empty":
                items[at] = {}
            case "repeat":
                items.insert(second % (len(items) + 1), items[at])
            case "repeat all":
                items *= 2
            case "shuffle":
                random.shuffle(items)
        return items

    return mutate


@settings(max_examples=120)
@given(
    stories(),
    st.lists(record_mutations(), max_size=2),
    st.sampled_from(["none", "mark", "latin-1", "utf-16", "twice", "replaced"]),
    byte_mutations(),
    policies,
    st.tuples(st.booleans(), st.booleans()),
)
def test_damaged_records_do_no_harm(story, mutations, recoding, damage, policy, how) -> None:
    items, (proven, as_lines) = records(story.after), how
    for mutate in mutations:
        items = mutate(items)
    whole = json.dumps({"data": {"items": items}}, ensure_ascii=False)
    text = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items) if as_lines else whole
    write, decoder = FORMATS["json lines" if as_lines else "json"]
    damaged = damage(RECODINGS[recoding](text), proven)
    play(story, write(story.before), damaged, decoder, policy)


@policy_by_name
def test_each_blanked_line_of_json_lines_does_no_harm(policy: Policy) -> None:
    good, lines = json_lines(STORY.before), json_lines(STORY.after).splitlines(keepends=True)
    for at in range(len(lines)):
        for blank in (b"\n", b"   \n", b"{}\n", b""):
            damaged = b"".join([*lines[:at], blank, *lines[at + 1 :]])
            play(STORY, good, Input(damaged, PROVEN if blank else UNPROVEN), JsonLinesDecoder(), policy)
