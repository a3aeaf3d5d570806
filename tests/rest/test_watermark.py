"""Watermarks: only what changed is asked for, and yet nothing that changed is missed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory_sources import Feed, MemorySink
from inventory_sources.errors import ConfigurationError, SinkUnavailable, SourceMissing, StructureInvalid
from inventory_sources.rest import (
    Call,
    Cursor,
    Details,
    GraphQl,
    Join,
    KeySet,
    LinkHeader,
    NextUrl,
    Offset,
    OnePage,
    PageNumber,
    Report,
    RestConnector,
    Watermark,
)
from inventory_sources.run import RunResult
from inventory_sources.testing import ManualClock
from inventory_sources.testing.servers import Request, Response, ScriptedHttpServer

from .rows import Shop, answer, fetched, path_of, query_of, rest, routes, stored_again

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
CHANGES = Watermark(field="updated_at", param="since")


class Erp:
    """A list of levels that tells what changed since a time, on the test's clock.

    :ivar behind: how far its clock is behind the test's.
    """

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.behind = timedelta(0)
        self.rows: dict[str, tuple[int, datetime, datetime]] = {}
        self.fault: Response | None = None

    @property
    def now(self) -> datetime:
        """On its own clock."""
        return self.clock.now() - self.behind

    def set(self, sku: str, quantity: int, late: timedelta = timedelta(0)) -> None:
        """Changes a level, which becomes visible so much later."""
        self.rows[sku] = (quantity, self.now, self.now + late)

    def __call__(self, request: Request) -> Response:
        """The rows that are visible and changed after the time asked for: not at it."""
        if self.fault:
            return self.fault
        asked = query_of(request).get("since")
        since = datetime.fromisoformat(asked) if asked else datetime.min.replace(tzinfo=UTC)
        rows = [
            {"sku": sku, "available": quantity, "updated_at": changed.isoformat()}
            for sku, (quantity, changed, visible) in self.rows.items()
            if visible <= self.now and changed > since
        ]
        return answer(rows)


def asked(server: ScriptedHttpServer) -> list[str | None]:
    """What each fetch asked for."""
    return [query_of(request).get("since") for request in server.requests]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


def test_everything_is_fetched_first_and_then_what_changed(clock: ManualClock) -> None:
    erp = Erp(clock)
    with ScriptedHttpServer(erp) as server:
        shop = Shop("A", "B", clock=clock)
        shop.add(rest(server, records="", watermark=CHANGES), Feed.partial())
        erp.set("A", 1)
        clock.advance(MINUTE)
        erp.set("B", 2)
        clock.advance(10 * MINUTE)
        assert shop.engine.sync("api").counts.rows == 2
        erp.set("A", 3)
        clock.advance(MINUTE)
        run = shop.engine.sync("api")
        assert (run.counts.rows, shop.quantities) == (2, {"A": 3, "B": 2})
        clock.advance(30 * MINUTE)
        shop.engine.sync("api")
    assert asked(server) == [None, "2026-03-02T11:56:00Z", "2026-03-02T12:06:00Z"]


def test_a_fetch_without_changes_reads_nothing_and_keeps_the_mark(clock: ManualClock) -> None:
    with ScriptedHttpServer(lambda r: answer([] if "since" in r.path else [row(START - timedelta(hours=1))])) as server:
        shop = Shop("A", clock=clock)
        shop.add(rest(server, records="", watermark=CHANGES), Feed.partial())
        shop.engine.sync("api")
        second = shop.engine.sync("api")
        assert second.result is RunResult.COMPLETED
        assert second.skipped == "nothing changed since 2026-03-02 10:55:00 UTC"
        shop.engine.sync("api")
    # An empty list is asked for twice.
    assert asked(server) == [None, *["2026-03-02T10:55:00Z"] * 4]


def test_the_mark_stays_where_levels_were_not_applied(clock: ManualClock) -> None:
    class Broken(MemorySink):
        def apply(self, changes, context):
            raise SinkUnavailable("the stock table is locked")

    erp = Erp(clock)
    with ScriptedHttpServer(erp) as server:
        shop = Shop("A", clock=clock)
        sound, shop.sink = shop.sink, Broken({"A": 0})
        shop.add(rest(server, records="", watermark=CHANGES), Feed.partial())
        erp.set("A", 1)
        assert shop.engine.sync("api").result is RunResult.FAILED
        shop.sink.apply = sound.apply
        clock.advance(10 * MINUTE)
        assert shop.engine.sync("api").counts.changed == 1
        erp.set("A", 2)
        clock.advance(10 * MINUTE)
        shop.sink.apply = Broken.apply.__get__(shop.sink)
        assert shop.engine.sync("api").result is RunResult.FAILED
        shop.sink.apply = sound.apply
        clock.advance(10 * MINUTE)
        assert shop.engine.sync("api").result is RunResult.COMPLETED
        assert sound.quantity("A") == 2
    assert asked(server) == [None, None, "2026-03-02T11:55:00Z", "2026-03-02T11:55:00Z"]


def row(changed: object, sku: str = "A") -> dict[str, object]:
    return {"sku": sku, "available": 1, "updated_at": changed.isoformat() if isinstance(changed, datetime) else changed}


def cursor_of(*rows: object, mark: Watermark = CHANGES, **fields: object) -> str | None:
    """What a fetch of these rows leaves."""
    with ScriptedHttpServer([answer(list(rows))]) as server:
        _, context = fetched(rest(server, records="", watermark=mark), clock=ManualClock(START), **fields)
    return context.next_cursor


def cursor(high: datetime, full: datetime) -> str:
    return json.dumps({"high": high.isoformat(), "full": full.isoformat()})


def test_everything_is_fetched_every_so_often_after_an_edit_and_when_our_clock_was_put_back() -> None:
    day = timedelta(days=1)
    marks = {
        cursor(START, START - day + MINUTE): "2026-03-02T11:55:00Z",
        cursor(START, START - day): None,
        cursor(START, START + MINUTE): None,
        "": None,
        "{": None,
        '{"high": 1}': None,
        '{"high": "x", "full": "y"}': None,
        '{"pick_up": {}}': None,
    }
    with ScriptedHttpServer([answer([row(START)])]) as server:
        for left in marks:
            fetched(rest(server, records="", watermark=CHANGES), clock=ManualClock(START), cursor=left)
        never = Watermark(field="updated_at", param="since", full_every=None)
        fetched(
            rest(server, records="", watermark=never), clock=ManualClock(START), cursor=cursor(START, START - 99 * day)
        )
        assert asked(server) == [*marks.values(), "2026-03-02T11:55:00Z"]


def test_only_a_fetch_of_everything_proves_anything() -> None:
    with ScriptedHttpServer([answer([row(START)])]) as server:
        connector = rest(server, records="", pager=OnePage(), watermark=CHANGES)
        _, everything = fetched(connector, clock=ManualClock(START))
        _, changes = fetched(connector, clock=ManualClock(START), cursor=cursor(START, START))
    assert everything.evidence.proves_end
    assert not changes.evidence.proves_end


def test_the_mark_is_the_highest_of_what_was_read() -> None:
    rows = [row(START - 3 * MINUTE), row(START - MINUTE, "B"), row(START - 2 * MINUTE, "C")]
    assert cursor_of(*rows) == cursor(START - MINUTE, START)
    before = cursor(START - 9 * MINUTE, START - 30 * MINUTE)
    assert cursor_of(*rows, cursor=before) == cursor(START - MINUTE, START - 30 * MINUTE)


def test_a_lower_mark_than_known_is_kept_as_it_only_asks_for_more() -> None:
    before = cursor(START - MINUTE, START - MINUTE)
    assert cursor_of(row(START - 4 * MINUTE), cursor=before) == cursor(START - 4 * MINUTE, START - MINUTE)


def test_a_mark_is_never_later_than_the_beginning_of_the_fetch() -> None:
    # What changes while a list is read may stand on a page that was read before.
    assert cursor_of(row(datetime(2999, 1, 1, tzinfo=UTC))) == cursor(START, START)
    page = answer([row(START)], Date="Mon, 02 Mar 2026 11:40:00 GMT")
    with ScriptedHttpServer([page]) as server:
        _, context = fetched(rest(server, records="", watermark=CHANGES), clock=ManualClock(START))
    assert context.next_cursor == cursor(START - 20 * MINUTE, START)


def test_a_row_that_changes_behind_the_reader_s_back_comes_with_the_next_fetch(clock: ManualClock) -> None:
    """A list that takes longer than the overlap: row A changes when its page was read, then Z on the last page."""
    levels = {"A": (1, START - MINUTE), "Z": (1, START - MINUTE)}

    def script(request: Request) -> Response:
        date = f"{clock.now():%a, %d %b %Y %H:%M:%S} GMT"
        since = query_of(request).get("since")
        shown = [sku for sku, (_, changed) in levels.items() if not since or changed.isoformat() > since]
        number = int(query_of(request).get("page", "1"))
        if since is None and number == 1:
            levels["A"] = (2, START + MINUTE)
            levels["Z"] = (2, START + 20 * MINUTE)
            rows = [row(START - MINUTE, "A")]
        else:
            rows = [{**row(levels[sku][1], sku), "available": levels[sku][0]} for sku in shown[number - 1 : number]]
        following = f"?page={number + 1}" if number < len(shown) else None
        return answer({"rows": rows, "next": following}, Date=date)

    with ScriptedHttpServer(script) as server:
        shop = Shop("A", "Z", clock=clock)
        pager = NextUrl("next", query_only=True, stable=True)
        shop.add(rest(server, records="rows", watermark=CHANGES, pager=pager), Feed.partial())
        shop.engine.sync("api")
        assert shop.quantities == {"A": 1, "Z": 2}
        clock.advance(30 * MINUTE)
        shop.engine.sync("api")
    assert shop.quantities == {"A": 2, "Z": 2}


@pytest.mark.parametrize("times", [[START, START], [START, START - timedelta(microseconds=1)]])
def test_rows_of_the_same_moment_come_again(times: list[datetime], clock: ManualClock) -> None:
    erp = Erp(clock)
    with ScriptedHttpServer(erp) as server:
        shop = Shop("A", "B", clock=clock)
        shop.add(rest(server, records="", watermark=CHANGES), Feed.partial())
        erp.rows["A"] = (1, times[0], START)
        shop.engine.sync("api")
        erp.rows["B"] = (2, times[1], START)
        shop.engine.sync("api")
    assert shop.quantities == {"A": 1, "B": 2}


def test_a_source_whose_clock_is_put_back_is_found_again_by_the_next_full_fetch(clock: ManualClock) -> None:
    erp = Erp(clock)
    with ScriptedHttpServer(erp) as server:
        shop = Shop("A", clock=clock)
        shop.add(rest(server, records="", watermark=CHANGES), Feed.partial())
        erp.set("A", 1)
        shop.engine.sync("api")
        erp.behind = timedelta(days=30)
        erp.set("A", 2)
        clock.advance(timedelta(days=1))
        shop.engine.sync("api")
        assert shop.quantities == {"A": 2}
        erp.set("A", 3)
        clock.advance(MINUTE)
        shop.engine.sync("api")
    assert shop.quantities == {"A": 3}


@pytest.mark.parametrize(
    ("text", "options", "moment"),
    [
        ("2026-03-02T11:00:00Z", {}, START - 60 * MINUTE),
        ("2026-03-02 12:00:00.123456789+01:00", {}, START - 60 * MINUTE + timedelta(microseconds=123456)),
        ("2026-03-02T11:00:00", {"zone": "UTC"}, START - 60 * MINUTE),
        ("2026-03-02T12:00:00", {"zone": "Europe/Madrid"}, START - 60 * MINUTE),
        ("2026-03-02T11:00:00Z", {"zone": "Europe/Madrid"}, START - 60 * MINUTE),
        ("02.03.2026 12:00", {"format": "%d.%m.%Y %H:%M", "zone": "Europe/Berlin"}, START - 60 * MINUTE),
        ("1772449200", {"format": "unix"}, START - 60 * MINUTE),
        # Clocks were put back from 3 to 2: the earlier of two moments.
        ("2025-10-26T02:30:00", {"zone": "Europe/Berlin"}, datetime(2025, 10, 26, 0, 30, tzinfo=UTC)),
    ],
)
def test_times_of_change(text: str, options: dict, moment: datetime) -> None:
    mark = Watermark(field="updated_at", param="since", **options)
    assert mark.read(text, "record 1") == moment


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (None, {}),
        ("", {}),
        ("yesterday", {}),
        ("2026-03-02", {}),
        ("2026-W10-1", {}),
        ("2026-03-02T11:00:00", {}),
        ("2026-13-02T11:00:00Z", {}),
        ("0001-01-01T00:00:00+05:00", {}),
        ("1772449200", {}),
        ("NaN", {"format": "unix"}),
        ("-1", {"format": "unix"}),
        ("2026-03-02T11:00:00Z", {"format": "unix"}),
        ("02.03.2026 12:00", {"format": "%d.%m.%Y %H:%M"}),
    ],
)
def test_a_record_without_a_time_of_change_is_refused(text: str | None, options: dict) -> None:
    mark = Watermark(field="updated_at", param="since", **options)
    with pytest.raises(StructureInvalid, match="record 2"):
        mark.read(text, "record 2")


def test_a_record_without_the_column_is_refused() -> None:
    with pytest.raises(StructureInvalid, match="record 1 has no time of change in 'updated_at'"):
        cursor_of({"sku": "A", "available": 1})


@pytest.mark.parametrize(
    ("moment", "options", "text"),
    [
        (START, {}, "2026-03-02T12:00:00Z"),
        (START + timedelta(microseconds=999_999), {}, "2026-03-02T12:00:00Z"),
        (START, {"zone": "Europe/Madrid"}, "2026-03-02T13:00:00"),
        (START, {"format": "unix"}, "1772452800"),
        (START, {"format": "%d.%m.%Y %H:%M", "zone": "Europe/Madrid"}, "02.03.2026 13:00"),
        (START, {"format": "%Y%m%d%z"}, "20260302+0000"),
        # 2:30 comes twice: what is sent lies before both.
        (datetime(2025, 10, 26, 0, 30, tzinfo=UTC), {"zone": "Europe/Berlin"}, "2025-10-26T01:30:00"),
        (datetime(2025, 10, 26, 1, 30, tzinfo=UTC), {"zone": "Europe/Berlin"}, "2025-10-26T01:30:00"),
        (datetime(2025, 10, 26, 2, 0, tzinfo=UTC), {"zone": "Europe/Berlin"}, "2025-10-26T03:00:00"),
        (datetime(2026, 3, 29, 1, 0, tzinfo=UTC), {"zone": "Europe/Berlin"}, "2026-03-29T03:00:00"),
    ],
)
def test_the_time_that_is_sent_is_never_later(moment: datetime, options: dict, text: str) -> None:
    assert Watermark(field="updated_at", param="since", **options).sent(moment) == text


def test_the_time_may_go_into_a_filter_or_a_body() -> None:
    left = cursor(START, START)
    mark = Watermark(field="updated_at", param="$filter", value="modified gt {since}")
    with ScriptedHttpServer([answer([row(START)])]) as server:
        fetched(rest(server, records="", watermark=mark), clock=ManualClock(START), cursor=left)
        assert query_of(server.requests[0]) == {"$filter": "modified gt 2026-03-02T11:55:00Z"}
    mark = Watermark(field="updated_at", param="variables.since", in_body=True)
    with ScriptedHttpServer([answer({"data": [row(START)]})]) as server:
        options = {"graphql": GraphQl("query q", {"first": 5}), "records": "data"}
        fetched(rest(server, watermark=mark, **options), clock=ManualClock(START), cursor=left)
        body = json.loads(server.requests[0].body)
    assert body["variables"] == {"first": 5, "since": "2026-03-02T11:55:00Z"}


def test_changes_are_joined_with_the_whole_second_list(clock: ManualClock) -> None:
    def script(request: Request) -> Response:
        found = {
            "/levels": [{"item": 1, "available": 4, "updated_at": START.isoformat()}],
            "/items": [{"id": 1, "sku": "A"}],
        }
        return answer(found[path_of(request)])

    with ScriptedHttpServer(script) as server:
        join = Join(url="/items", on="item", key="id", take={"sku": "sku"})
        records, _ = fetched(
            rest(server, records="", watermark=CHANGES, joins=(join,), keep=("sku", "available")),
            clock=clock,
            cursor=cursor(START, START),
        )
        assert [query_of(request) for request in server.requests] == [{"since": "2026-03-02T11:55:00Z"}, {}]
    assert records == [{"sku": "A", "available": "4"}]


@pytest.mark.parametrize("ids", [None, "ids"])
def test_the_few_that_changed_may_all_lack_something(clock: ManualClock, ids: str | None) -> None:
    levels = [{"item": 9, "available": 4, "updated_at": START.isoformat()}]
    items = [{"id": 9}] if ids else [{"id": 1}]
    join = Join(url="/items", on="item", key="id", take={"sku": "sku"}, ids_param=ids)
    details = Details(url="/details/{item}", take={"free": "free"})
    with ScriptedHttpServer(routes({"/levels": answer(levels), "/items": answer(items)})) as server:
        for part, shown in ({"joins": (join,)}, [None]), ({"details": details}, []):
            connector = rest(server, records="", watermark=CHANGES, **part)
            with pytest.raises((StructureInvalid, SourceMissing)):
                fetched(connector, clock=clock)
            records, context = fetched(connector, clock=clock, cursor=cursor(START, START))
            assert [record.get("sku") for record in records] == shown
            assert context.next_cursor == cursor(START, START)


def test_a_source_of_changes_is_a_partial_feed() -> None:
    connector = RestConnector("https://erp.example.com/levels", records="", watermark=CHANGES)
    with pytest.raises(ConfigurationError, match="only what changed"):
        Shop("A").add(connector, Feed.snapshot())
    Shop("A").add(connector, Feed.partial())


@pytest.mark.parametrize(
    "wrong",
    [
        {"overlap": timedelta(0)},
        {"full_every": timedelta(0)},
        {"zone": "Europe/Nowhere"},
        {"value": "updated_at gt"},
    ],
)
def test_a_watermark_that_cannot_work_is_refused(wrong: dict) -> None:
    with pytest.raises(ConfigurationError):
        Watermark(field="updated_at", param="since", **wrong)


def test_a_watermark_is_a_plain_document() -> None:
    mark = Watermark(
        field="updated_at", param="since", overlap=timedelta(minutes=2), full_every=None, zone="Europe/Paris"
    )
    connector = RestConnector("https://erp.example.com/levels", records="", watermark=mark)
    assert stored_again(connector) == connector


def test_files_have_no_watermark() -> None:
    report = Report(create=Call("/r"), id="id", poll=Call("/r/{id}"), status="s", ready=("x",), link="l")
    with pytest.raises(ConfigurationError, match="watermark needs records"):
        RestConnector("https://erp.example.com/levels", report=report, watermark=CHANGES)


SKUS = ("A", "B", "C")
SECONDS = st.integers(0, 299)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.sampled_from(SKUS), st.integers(0, 99), SECONDS),
        st.tuples(st.just("wait"), st.integers(0, 900)),
        st.tuples(st.just("sync"), st.sampled_from(["applied", "server fails", "killed before", "killed after"])),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events=EVENTS, behind=st.integers(0, 290))
def test_after_the_last_sync_every_row_has_its_newest_value(events: list[tuple], behind: int) -> None:
    """A row may become visible up to the overlap late; syncs fail, or die before or after they applied."""
    clock = ManualClock(START)
    erp = Erp(clock)
    erp.behind = timedelta(seconds=behind)
    with ScriptedHttpServer(erp, keep_alive=True) as server:
        connector = rest(server, records="", watermark=CHANGES)
        left: str | None = None
        shop: dict[str, int] = {}

        def sync(ending: str) -> None:
            nonlocal left
            erp.fault = Response(status=400) if ending == "server fails" else None
            try:
                records, context = fetched(connector, clock=clock, cursor=left)
            except Exception:
                assert ending == "server fails"
                return
            if ending in ("applied", "killed after"):
                shop.update({record["sku"]: int(record["available"]) for record in records})
            if ending == "applied":
                left = context.next_cursor or left

        for kind, *event in events:
            if kind == "set":
                sku, quantity, late = event
                if erp.rows.get(sku, (0, START, erp.now))[2] <= erp.now:
                    erp.set(sku, quantity, timedelta(seconds=late))
            elif kind == "wait":
                clock.advance(event[0])
            else:
                sync(event[0])
        clock.advance(300)
        sync("applied")
    assert shop == {sku: quantity for sku, (quantity, _, _) in erp.rows.items()}


@pytest.mark.parametrize("pager", [PageNumber(), Offset(total="total"), Cursor(next="next", param="after")])
def test_pages_that_shift_are_refused_unless_the_list_is_read_twice(pager: Any) -> None:
    options = {"records": "", "key": "sku", "pager": pager, "watermark": CHANGES}
    with pytest.raises(ConfigurationError, match="misses rows where pages shift"):
        RestConnector("https://erp.example/stock", **options)
    RestConnector("https://erp.example/stock", **options, verify=True)


@pytest.mark.parametrize("pager", [None, OnePage(), LinkHeader(stable=True), KeySet(field="id", param="since_id")])
def test_pages_that_do_not_shift_go_with_a_watermark(pager: Any) -> None:
    RestConnector("https://erp.example/stock", records="", pager=pager, watermark=CHANGES)
