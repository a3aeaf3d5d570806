"""What becomes of files that were used, and of those that arrive in between, over each protocol."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import fsspec
import pytest
import structlog
from structlog.testing import capture_logs

from inventory_sources import Columns, CsvDecoder, Feed, MemorySink, MemoryStateStore, Source, SyncEngine
from inventory_sources.connectors import FileConnector, PickUp
from inventory_sources.errors import FetchError, InputTooLarge, SourceMissing
from inventory_sources.guards import MassZero
from inventory_sources.protocols.guard import Guard
from inventory_sources.protocols.remote_files import RemoteFiles
from inventory_sources.run import RunResult
from tests.connectors.desk import Desk

_MOMENT = timedelta(microseconds=1)
STAMP = "20260302T120000Z"
TAKES = ["one", "newest", "all", "each"]


# Move and delete


@pytest.mark.parametrize("take", TAKES)
@pytest.mark.parametrize("marker", [None, "{name}.done"])
def test_nothing_is_moved_before_the_commit(take: str, marker: str | None, desk: Desk) -> None:
    connector = desk.connector("stock.csv", take=take, marker=marker, afterwards="move")
    desk.upload("stock.csv", "x", minutes=-30)
    if marker:
        desk.upload("stock.csv.done", "", minutes=-29)
    before = desk.names()
    assert desk.fetch(connector) == ["x"]
    assert desk.names() == before
    desk.commit()
    assert desk.names() == [f"done/{STAMP}_{name}" for name in before]


@pytest.mark.parametrize("take", TAKES)
@pytest.mark.parametrize("checksum", [None, "{name}.md5"])
def test_deleted_files_are_gone(take: str, checksum: str | None, desk: Desk) -> None:
    connector = desk.connector("stock.csv", take=take, checksum=checksum, afterwards="delete")
    desk.upload("stock.csv", "x")
    desk.upload("other.csv", "y")
    desk.upload("stock.csv.md5" if checksum else "other.md5", "9dd4e461268c8034f5c8564e155c67a6")
    assert desk.fetch(connector) == ["x"]
    assert "stock.csv" in desk.names()
    desk.commit()
    assert desk.names() == ["other.csv"] if checksum else ["other.csv", "other.md5"]


def test_a_folder_of_another_name(desk: Desk) -> None:
    (desk.folder / "read by shop").mkdir()
    desk.upload("stock.csv", "x")
    desk.run(desk.connector("*.csv", take="each", afterwards="move", done_folder="read by shop"))
    assert desk.names() == [f"read by shop/{STAMP}_stock.csv"]


def test_a_ready_marker_goes_after_the_last_file(desk: Desk) -> None:
    for name in ("a.csv", "b.csv"):
        desk.upload(name, name, minutes=-30)
    desk.upload("READY", "", minutes=-29)
    assert desk.run(desk.connector("*.csv", take="all", marker="READY", afterwards="move")) == ["a.csv", "b.csv"]
    assert desk.names() == [f"done/{STAMP}_READY", f"done/{STAMP}_a.csv", f"done/{STAMP}_b.csv"]


def test_older_files_stay_when_the_newest_is_moved(desk: Desk) -> None:
    connector = desk.connector("*.csv", take="newest", afterwards="move")
    desk.upload("a.csv", "old", minutes=-20)
    desk.upload("b.csv", "new", minutes=-10)
    assert [desk.run(connector), desk.run(connector)] == [["new"], []]
    assert desk.names() == ["a.csv", f"done/{STAMP}_b.csv"]


@pytest.mark.parametrize("afterwards", ["move", "delete"])
@pytest.mark.parametrize("take", TAKES)
def test_a_file_that_cannot_be_used_goes_to_its_folder(take: str, afterwards: str, desk: Desk) -> None:
    desk.upload("stock.csv", "broken")
    desk.fetch(desk.connector("stock.csv", take=take, afterwards=afterwards))
    desk.refuse()
    # With "all", the rest would be an incomplete input.
    assert desk.names() == (["stock.csv"] if take == "all" else [f"error/{STAMP}_stock.csv"])


def test_a_file_that_is_too_large_goes_there_too(desk: Desk) -> None:
    connector = desk.connector("*.csv", take="each", afterwards="move", max_bytes=10)
    desk.upload("a.csv", "x" * 11, minutes=-20)
    desk.upload("b.csv", "y", minutes=-10)
    with pytest.raises(InputTooLarge):
        desk.fetch(connector)
    desk.refuse()
    assert desk.run(connector) == ["y"]
    assert desk.names() == ["done/20260302T120100Z_b.csv", f"error/{STAMP}_a.csv"]


def test_it_stays_where_no_folder_is_declared_or_all_is_kept(desk: Desk) -> None:
    desk.upload("stock.csv", "broken")
    for options in ({"afterwards": "move", "failed_folder": None}, {"afterwards": "keep"}):
        desk.fetch(desk.connector("stock.csv", **options))
        desk.refuse()
        assert desk.names() == ["stock.csv"]


def test_a_missing_folder_is_named_and_the_file_stays(desk: Desk) -> None:
    connector = desk.connector("*.csv", take="each", afterwards="move", done_folder="gone")
    desk.upload("a.csv", "a", minutes=-20)
    assert desk.fetch(connector) == ["a"]
    with pytest.raises(FetchError, match="in/gone, where files are to be moved, is not there") as raised:
        desk.commit()
    assert "Create this folder" in raised.value.guidance
    assert desk.names() == ["a.csv"]
    desk.upload("b.csv", "b", minutes=-10)
    assert desk.fetch(connector) == ["b"]
    warning = desk.said[2][-1]
    assert warning.startswith("1 file that was used is still there, first 'a.csv'")
    assert warning.endswith("in/gone")


# Of object stores and other filesystems of fsspec nothing tells whether they need folders.
@pytest.mark.parametrize("desk", ["local", "sftp", "ftp", "ftp that only knows LIST"], indirect=True)
class TestFoldersAreLookedFor:
    @pytest.mark.parametrize("take", TAKES)
    def test_one_that_is_not_there_is_told_before_anything_is_read(self, take: str, desk: Desk) -> None:
        connector = desk.connector("*.csv", take=take, afterwards="move", done_folder="gone", failed_folder="lost")
        with pytest.raises(SourceMissing):
            desk.fetch(connector)
        used, *refused = desk.said[2]
        assert used.endswith("in/gone, where files that were used are to be moved, is not there; create this folder")
        if take == "all":
            assert refused == []
        else:
            assert "in/lost, where files that cannot be used are to be moved, is not there" in refused[0]

    def test_what_is_not_needed_is_not_looked_for(self, desk: Desk) -> None:
        desk.upload("stock.csv", "x")
        for options in (
            {"afterwards": "keep", "done_folder": "gone", "failed_folder": "lost"},
            {"afterwards": "delete", "done_folder": "gone", "failed_folder": None},
            {"afterwards": "move"},
        ):
            desk.fetch(desk.connector("stock.csv", **options))
            assert desk.said[2] == []

    def test_a_file_is_no_folder(self, desk: Desk) -> None:
        desk.upload("stock.csv", "x")
        desk.upload("gone", "x")
        desk.fetch(desk.connector("stock.csv", afterwards="move", done_folder="gone"))
        assert "is not a folder" in desk.said[2][0]


@pytest.mark.parametrize("take", TAKES)
def test_another_upload_within_the_same_second_is_not_one_that_stayed(take: str, desk: Desk) -> None:
    connector = desk.connector("stock.csv", take=take, afterwards="delete")
    for data in ("one", "two"):
        desk.upload("stock.csv", data)
        assert desk.run(connector) == [data]
        assert desk.said[2] == []


@pytest.mark.parametrize("desk", ["local", "sftp"], indirect=True)
def test_a_name_that_is_no_text_is_handed_back_as_it_is(desk: Desk) -> None:
    name = os.fsdecode(b"stock\xff.csv")
    desk.upload(name, "x")
    connector = desk.connector("*.csv", take="each", afterwards="move")
    (payload,) = desk.copy(connector)
    assert payload.origin.endswith("/stock\\udcff.csv")
    desk.commit()
    assert desk.names() == [f"done/{STAMP}_{name}"]
    assert desk.cursor is not None
    assert desk.cursor.isascii()


def test_a_folder_that_vanishes_with_its_last_file_holds_nothing_new(make_context: Any) -> None:
    fsspec.filesystem("memory").pipe_file("/vanishing/in/stock.csv", b"x")
    connector = FileConnector(
        "/vanishing/in/*.csv", filesystem="memory", as_of="fetch", pick_up=PickUp(take="all", afterwards="delete")
    )
    context = make_context()
    assert len(list(connector.fetch(context))) == 1
    for action in context.outcome.after_commit:
        action(make_context())
    assert not fsspec.filesystem("memory").exists("/vanishing/in")
    later = make_context(cursor=context.next_cursor)
    assert list(connector.fetch(later)) == []
    assert later.outcome.nothing_new
    with pytest.raises(SourceMissing):
        list(connector.fetch(make_context()))


def test_one_of_all_that_cannot_be_read_keeps_all_until_it_is_replaced(local_desk: Desk) -> None:
    engine, sink = shop(local_desk.folder, take="all", afterwards="move")
    local_desk.upload("a.csv", "sku,quantity\nA,1\n", minutes=-30)
    local_desk.upload("b.csv", "sku;quantity\nB;2\n", minutes=-20)
    failure = engine.sync("erp").failure
    assert failure is not None
    assert "b.csv" in failure.message
    assert (local_desk.names(), sink.quantity("A")) == (["a.csv", "b.csv"], 0)
    local_desk.upload("b.csv", "sku,quantity\nB,2\n", minutes=-10)
    assert engine.sync("erp").failure is None
    assert sink.quantity("A") == 1
    assert [name.partition("/")[0] for name in local_desk.names()] == ["done", "done"]


# Killed in between


@pytest.mark.parametrize("take", TAKES)
@pytest.mark.parametrize("afterwards", ["move", "delete"])
def test_after_a_kill_an_applied_file_is_only_put_away(take: str, afterwards: str, desk: Desk) -> None:
    connector = desk.connector("stock.csv", take=take, checksum="{name}.md5", afterwards=afterwards)
    desk.upload("stock.csv", "x")
    desk.upload("stock.csv.md5", "9dd4e461268c8034f5c8564e155c67a6")
    assert desk.fetch(connector) == ["x"]
    desk.commit(then_killed=True)
    assert desk.run(connector) == []
    assert str(desk.said[0]).startswith("no new file")
    moved = [f"done/20260302T120100Z_{name}" for name in ("stock.csv", "stock.csv.md5")]
    assert desk.names() == (moved if afterwards == "move" else [])


def test_after_a_kill_the_next_file_is_taken_and_both_are_moved(desk: Desk) -> None:
    connector = desk.connector("*.csv", take="each", afterwards="move")
    desk.upload("a.csv", "a", minutes=-20)
    assert desk.fetch(connector) == ["a"]
    desk.commit(then_killed=True)
    desk.upload("b.csv", "b", minutes=-10)
    assert desk.run(connector) == ["b"]
    assert desk.names() == ["done/20260302T120100Z_a.csv", "done/20260302T120100Z_b.csv"]


@pytest.mark.parametrize("take", TAKES)
def test_a_new_upload_after_a_kill_is_read(take: str, desk: Desk) -> None:
    """Even one of the same size and, by the second, of the same time."""
    connector = desk.connector("stock.csv", take=take, afterwards="move")
    desk.upload("stock.csv", "one")
    assert desk.fetch(connector) == ["one"]
    desk.commit(then_killed=True)
    desk.upload("stock.csv", "two")
    assert desk.run(connector) == ["two"]
    assert desk.names() == ["done/20260302T120100Z_stock.csv"]
    assert (desk.folder / desk.names()[0]).read_text() == "two"


def test_many_that_are_still_there_are_read_again_a_few_at_a_time(local_desk: Desk) -> None:
    connector = local_desk.connector("*.csv", take="each", afterwards="move")
    for number in range(12):
        local_desk.upload(f"{number:02}.csv", "x")
        local_desk.fetch(connector)
        local_desk.commit(then_killed=True)
    assert [local_desk.run(connector), len(list((local_desk.folder / "done").iterdir()))] == [[], 10]
    assert [local_desk.run(connector), len(list((local_desk.folder / "done").iterdir()))] == [[], 12]


# A new upload in between


@pytest.mark.parametrize("afterwards", ["move", "delete"])
@pytest.mark.parametrize("take", TAKES)
def test_a_new_upload_between_copy_and_move_stays_and_is_read(take: str, afterwards: str, desk: Desk) -> None:
    connector = desk.connector("stock.csv", take=take, marker="{name}.done", afterwards=afterwards)
    desk.upload("stock.csv", "one", minutes=-30)
    desk.upload("stock.csv.done", "", minutes=-29)
    assert desk.fetch(connector) == ["one"]
    desk.upload("stock.csv", "two", minutes=-20)
    desk.upload("stock.csv.done", "", minutes=-19)
    desk.commit()
    assert desk.names() == ["stock.csv", "stock.csv.done"]
    assert desk.run(connector) == ["two"]
    assert "stock.csv" not in desk.names()


class _Sneaking:
    """A session in which somebody uploads a file right before it is renamed, or right after."""

    def __init__(self, files: RemoteFiles, path: Path, before: str | None, after: str | None) -> None:
        self._files, self._path, self._before, self._after = files, path, before, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)

    def put_away(self, path: str, to: str | None) -> None:
        before, self._before = self._before, None
        after, self._after = self._after, None
        if before:
            self._write(before)
        self._files.put_away(path, to)
        if after:
            self._write(after)

    def _write(self, data: str) -> None:
        seen = self._path.stat() if self._path.exists() else None
        self._path.write_text(data)
        if seen:  # to the server's clock, it is the same second
            os.utime(self._path, (seen.st_atime, seen.st_mtime))

    @classmethod
    def into(
        cls, desk: Desk, connector: Any, monkeypatch: pytest.MonkeyPatch, before: str | None, after: str | None
    ) -> None:
        opened = type(connector).session

        @contextmanager
        def session(self: Any, context: Any) -> Iterator[Any]:
            with opened(self, context) as files:
                yield cls(files, desk.folder / "stock.csv", before, after)

        monkeypatch.setattr(type(connector), "session", session)

    def __enter__(self) -> Self:
        return self


@pytest.mark.parametrize("afterwards", ["move", "delete"])
@pytest.mark.parametrize("new", ["two", "longer"])
def test_an_upload_that_takes_its_place_is_put_back(
    new: str, afterwards: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = desk.connector("*.csv", take="each", afterwards=afterwards)
    desk.upload("stock.csv", "one")
    assert desk.fetch(connector) == ["one"]
    with monkeypatch.context() as sneaking:
        _Sneaking.into(desk, connector, sneaking, new, None)
        desk.commit()
    assert desk.names() == ["stock.csv"]
    assert desk.run(connector) == [new]
    assert desk.names() == (["done/20260302T120100Z_stock.csv"] if afterwards == "move" else [])


@pytest.fixture
def _structlog_as_found() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


@pytest.mark.usefixtures("_structlog_as_found")
def test_two_uploads_in_between_are_both_kept(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    connector = desk.connector("*.csv", take="each", afterwards="move")
    desk.upload("stock.csv", "one")
    desk.fetch(connector)
    with monkeypatch.context() as sneaking, capture_logs() as logs:
        _Sneaking.into(desk, connector, sneaking, "second", "the third")
        desk.commit()
    moved = f"done/{STAMP}_stock.csv"
    assert desk.names() == [moved, "stock.csv"]
    assert (desk.folder / moved).read_text() == "second"
    (event,) = (entry for entry in logs if entry["log_level"] == "error")
    assert event["event"] == "newer_upload_moved_away"
    assert event["now"].endswith(moved)
    assert desk.run(connector) == ["the third"]


def test_a_file_that_was_left_half_deleted_is_told(local_desk: Desk) -> None:
    local_desk.upload("being-deleted-20260101T000000Z_stock.csv", "unread")
    local_desk.upload("stock.csv", "x")
    assert local_desk.fetch(local_desk.connector("*", take="all")) == ["x"]
    assert local_desk.said[2][0].startswith("1 files were not deleted to the end, first 'being-deleted-2026")


def test_a_file_that_somebody_else_moved_is_no_error(desk: Desk) -> None:
    path = desk.upload("stock.csv", "x")
    connector = desk.connector("stock.csv", afterwards="move")
    desk.fetch(connector)
    path.unlink()
    desk.commit()
    assert desk.run(connector) == []


def test_a_file_that_was_never_there_is_missing(desk: Desk) -> None:
    for take in TAKES:
        with pytest.raises(SourceMissing):
            desk.fetch(desk.connector("stock.csv", take=take, afterwards="delete"))


# Through the engine


def shop(folder: Path, guards: tuple[Guard, ...] = (), **pick_up: Any) -> tuple[SyncEngine, MemorySink]:
    sink, engine = MemorySink({"A": 0}), SyncEngine(MemoryStateStore())
    connector = FileConnector(folder / "*.csv", pick_up=PickUp(**pick_up))
    engine.add_source(
        Source(
            name="erp", connector=connector, decoder=CsvDecoder(), mapper=Columns(), feed=Feed.partial(), sink=sink,
            guards=guards,
        )
    )  # fmt: skip
    return engine, sink


def test_a_queue_of_files_is_worked_off_and_moved(local_desk: Desk) -> None:
    engine, sink = shop(local_desk.folder, take="each", afterwards="move")
    for number in (1, 2, 3):
        local_desk.upload(f"{number}.csv", f"sku,quantity\nA,{number}\n", minutes=number - 60)
    runs = []
    while not (runs and runs[-1].skipped):
        runs.append(engine.sync("erp"))
    assert [run.products_updated for run in runs] == [1, 1, 1, 0]
    assert (sink.quantity("A"), [name.partition("/")[0] for name in local_desk.names()]) == (3, ["done"] * 3)


def test_a_dry_run_moves_nothing(local_desk: Desk) -> None:
    engine, sink = shop(local_desk.folder, take="each", afterwards="delete")
    local_desk.upload("1.csv", "sku,quantity\nA,1\n")
    assert engine.check("erp").ok
    assert engine.plan("erp").counts.changed == 1
    assert (local_desk.names(), sink.quantity("A")) == (["1.csv"], 0)


def test_a_file_that_cannot_be_read_makes_way_for_the_next(local_desk: Desk) -> None:
    engine, sink = shop(local_desk.folder, take="each", afterwards="move")
    local_desk.upload("1.csv", "sku;quantity\nA;1\n", minutes=-20)
    local_desk.upload("2.csv", "sku,quantity\nA,2\n", minutes=-10)
    assert engine.sync("erp").failure is not None
    assert [name.partition("/")[0] for name in local_desk.names()] == ["2.csv", "error"]
    assert engine.sync("erp").failure is None
    assert sink.quantity("A") == 2


def test_a_held_plan_moves_nothing_until_it_is_approved(local_desk: Desk) -> None:
    engine, sink = shop(local_desk.folder, (MassZero(),), take="each", afterwards="move")
    for number, quantity in ((1, 5), (2, 0), (3, 7)):
        local_desk.upload(f"{number}.csv", f"sku,quantity\nA,{quantity}\n", minutes=number - 60)
    assert engine.sync("erp").result is RunResult.COMPLETED
    held = engine.sync("erp")
    assert held.result is RunResult.HELD
    assert [name for name in local_desk.names() if "/" not in name] == ["2.csv", "3.csv"]
    assert held.digest is not None
    engine.approve("erp", held.digest)
    assert engine.sync("erp").result is RunResult.COMPLETED
    assert sink.quantity("A") == 0
    assert engine.sync("erp").products_updated == 1
    assert (sink.quantity("A"), [name.partition("/")[0] for name in local_desk.names()]) == (7, ["done"] * 3)


def test_two_looks_reach_from_run_to_run(local_desk: Desk) -> None:
    engine, sink = shop(local_desk.folder, take="newest", looks_apart=_MOMENT)
    local_desk.upload("1.csv", "sku,quantity\nA,1\n")
    assert engine.sync("erp").failure is not None
    assert engine.sync("erp").products_updated == 1
    assert sink.quantity("A") == 1
