"""LocalFiles where the contract that it shares with the other transports has no word."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from inventory_sources.connectors import _local_files
from inventory_sources.connectors._local import open_without_waiting
from inventory_sources.connectors._local_files import LocalFiles
from inventory_sources.errors import (
    AccessRefused,
    ConfigurationError,
    ConnectFailed,
    FetchError,
    InputTooLarge,
    Recovery,
    SourceMissing,
    Truncated,
)
from inventory_sources.protocols.remote_files import RemoteFiles, RemoteKind

STOCK = b"sku,quantity\nA-1,5\n"
FILES: RemoteFiles = LocalFiles()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "stock.csv"
    path.write_bytes(STOCK)
    return path


def test_a_link_is_listed_as_one_and_neither_read_nor_put_away(tmp_path: Path, file: Path) -> None:
    link = tmp_path / "latest.csv"
    link.symlink_to(file)
    (tmp_path / "loose").symlink_to(tmp_path / "gone")
    kinds = {entry.name: entry.kind for entry in FILES.entries(str(tmp_path))}
    assert kinds == {"stock.csv": RemoteKind.FILE, "latest.csv": RemoteKind.LINK, "loose": RemoteKind.LINK}
    assert FILES.look(str(link)).kind is RemoteKind.LINK
    for attempt in (lambda: list(FILES.read(str(link))), lambda: FILES.put_away(str(link), None)):
        with pytest.raises(FetchError, match="regular file"):
            attempt()
    assert link.is_symlink()


def test_a_folder_may_be_reached_by_a_link(tmp_path: Path, file: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.symlink_to(tmp_path)
    assert f"{inbox}/stock.csv" in {entry.path for entry in FILES.entries(str(inbox))}


def test_a_name_that_is_no_text_can_be_handed_back(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.csv")).write_bytes(STOCK)
    (entry,) = FILES.entries(str(tmp_path))
    assert b"".join(FILES.read(entry.path)) == STOCK


def test_a_pipe_is_something_else(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (entry,) = FILES.entries(str(tmp_path))
    assert entry.kind is RemoteKind.OTHER
    with pytest.raises(FetchError, match="regular file"):
        list(FILES.read(entry.path))


@pytest.mark.parametrize("swap", [os.mkfifo, lambda path: path.symlink_to(__file__)], ids=["pipe", "link"])
def test_what_takes_the_files_place_before_it_is_opened_is_not_read(
    swap: Callable[[Path], None], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(path: str, flags: int) -> int:
        file.unlink()
        swap(file)
        return open_without_waiting(path, flags)

    monkeypatch.setattr(_local_files, "open_without_waiting", opened)
    with pytest.raises(FetchError, match="regular file") as caught:
        list(FILES.read(str(file)))
    assert caught.value.recovery is Recovery.STOP


def test_the_time_is_exact_and_the_mark_tells_twins_apart(tmp_path: Path, file: Path) -> None:
    moment = 1_767_600_000_123_456_789
    os.utime(file, ns=(moment, moment))
    before = FILES.look(str(file))
    assert before.modified == datetime(2026, 1, 5, 8, tzinfo=UTC) + timedelta(microseconds=123_456)
    twin = tmp_path / "twin"
    twin.write_bytes(STOCK)
    os.utime(twin, ns=(moment, moment))
    twin.replace(file)
    after = FILES.look(str(file))
    assert (after.size, after.modified) == (before.size, before.modified)
    assert after.mark != before.mark
    os.utime(file, ns=(moment, moment + 1))
    assert FILES.look(str(file)).mark != after.mark
    (listed,) = FILES.entries(str(tmp_path))
    assert listed == FILES.look(str(file))


def test_a_file_that_shrinks_while_it_is_read_was_cut(file: Path) -> None:
    file.write_bytes(b"x" * 1_000_000)
    chunks = FILES.read(str(file))
    next(chunks)
    os.truncate(file, 500_000)
    with pytest.raises(Truncated):
        list(chunks)


def test_a_listing_has_a_cap(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number}.csv").touch()
    assert len(list(LocalFiles(max_entries=4).entries(str(tmp_path)))) == 4
    with pytest.raises(InputTooLarge):
        list(LocalFiles(max_entries=3).entries(str(tmp_path)))


def test_a_name_that_goes_while_it_is_listed_is_not_there(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.with_name("other.csv").touch()
    seen = os.lstat

    def lstat(path: str) -> os.stat_result:
        file.unlink(missing_ok=True)
        return seen(path)

    monkeypatch.setattr(os, "lstat", lstat)
    assert [entry.name for entry in FILES.entries(str(file.parent))] == ["other.csv"]


@pytest.mark.parametrize(
    ("code", "expected"), [(errno.EIO, ConnectFailed), (errno.ESTALE, ConnectFailed), (errno.EACCES, AccessRefused)]
)
@pytest.mark.parametrize("broken", ["scandir", "lstat"])
def test_a_dead_filesystem_is_an_error_and_no_empty_listing(
    code: int, expected: type[FetchError], broken: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: str) -> None:
        raise OSError(code, os.strerror(code), path)

    monkeypatch.setattr(os, broken, fail)
    with pytest.raises(expected):
        list(FILES.entries(str(file.parent)))


@pytest.mark.parametrize("path", ["a\0b", "\ud800"])
def test_a_text_that_cannot_be_a_path_is_refused(path: str, file: Path) -> None:
    for attempt in (
        lambda: list(FILES.entries(path)),
        lambda: FILES.look(path),
        lambda: FILES.put_away(str(file), path),
    ):
        with pytest.raises(ConfigurationError):
            attempt()
    assert file.exists()


def test_a_rename_needs_a_folder_that_is_there(tmp_path: Path, file: Path) -> None:
    with pytest.raises(SourceMissing, match=r"done/stock\.csv"):
        FILES.put_away(str(file), str(tmp_path / "done" / "stock.csv"))
    assert file.read_bytes() == STOCK


def test_a_rename_never_goes_over_a_folder_or_a_link(tmp_path: Path, file: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for name in ("folder", "link"):
        with pytest.raises(FetchError, match="already") as caught:
            FILES.put_away(str(file), str(tmp_path / name))
        assert caught.value.recovery is Recovery.STOP
    assert (tmp_path / "link").is_symlink()
    assert file.read_bytes() == STOCK


@pytest.mark.parametrize(("code", "expected"), [(errno.EXDEV, FetchError), (errno.EACCES, AccessRefused)])
def test_a_rename_that_fails_leaves_the_new_name_free(
    code: int, expected: type[FetchError], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: str, to: str) -> None:
        raise OSError(code, os.strerror(code), path)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(expected) as caught:
        FILES.put_away(str(file), str(file.with_name("done.csv")))
    assert type(caught.value) is expected
    assert list(file.parent.iterdir()) == [file]
