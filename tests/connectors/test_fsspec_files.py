"""FsspecFiles where the contract that it shares with the other transports has no word."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from inventory_sources.connectors._fsspec_files import FsspecFiles
from inventory_sources.errors import (
    AccessRefused,
    ConnectFailed,
    FetchError,
    InputTooLarge,
    InventorySourcesError,
    Recovery,
    SourceMissing,
    Truncated,
)
from inventory_sources.protocols.remote_files import RemoteFiles, RemoteKind

STOCK = b"sku,quantity\nA-1,5\n"


class Bucket(AbstractFileSystem):  # type: ignore[misc]
    """An object store: no folders but what names have in common, listings from a cache, and errors on demand."""

    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, dict[str, Any]] = {}
        self.failure: Exception | None = None
        self.cuts_copies = False

    def ls(self, path: str, detail: bool = True, **options: object) -> list[dict[str, Any]]:
        self._fail()
        folder = self._strip_protocol(path).rstrip("/")
        if folder not in self.dircache:
            self.dircache[folder] = self._below(folder)
        return list(self.dircache[folder])

    def _below(self, folder: str) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for name, info in self.objects.items():
            if name == folder or name == folder + "/":
                found[name] = {**info, "name": name, "type": "file"}
            elif name.startswith(folder + "/"):
                first, slash, _ = name[len(folder) + 1 :].partition("/")
                child = f"{folder}/{first}"
                found[child] = (
                    {"name": child, "type": "directory", "size": 0}
                    if slash
                    else {**info, "name": child, "type": "file"}
                )
        if not found:
            raise FileNotFoundError(folder)
        return list(found.values())

    def invalidate_cache(self, path: str | None = None) -> None:
        self.dircache.clear()

    def modified(self, path: str) -> datetime:
        raise NotImplementedError

    def cp_file(self, path1: str, path2: str, **options: object) -> None:
        self.objects[path2] = {**self.objects[path1], "size": 1 if self.cuts_copies else self.objects[path1]["size"]}

    def rm_file(self, path: str) -> None:
        self._fail()
        del self.objects[path]

    def _fail(self) -> None:
        if self.failure:
            raise self.failure


@pytest.fixture
def bucket() -> Bucket:
    bucket = Bucket()
    bucket.objects = {"shop/in/a.csv": {"size": 8, "ETag": '"1"'}}
    return bucket


def of(bucket: Bucket) -> RemoteFiles:
    return FsspecFiles(bucket, "s3")


def names(bucket: Bucket, folder: str = "shop/in") -> list[str]:
    return sorted(entry.name for entry in of(bucket).entries(folder))


def test_a_cache_that_keeps_listings_is_dropped_each_time(bucket: Bucket) -> None:
    assert names(bucket) == ["a.csv"]
    bucket.objects["shop/in/b.csv"] = {"size": 3}
    bucket.objects["shop/in/a.csv"]["size"] = 9
    assert names(bucket) == ["a.csv", "b.csv"]
    bucket.objects["shop/in/a.csv"]["size"] = 10
    assert of(bucket).look("shop/in/a.csv").size == 10


def test_the_entity_tag_is_the_mark(bucket: Bucket) -> None:
    (listed,) = of(bucket).entries("shop/in")
    assert listed.mark == '"1"'
    assert of(bucket).look(listed.path) == listed
    bucket.objects["shop/in/a.csv"]["ETag"] = '"2"'
    assert of(bucket).look(listed.path).mark == '"2"'


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("LastModified", datetime(2026, 1, 5, 9, tzinfo=timezone(timedelta(hours=1)))),
        ("last_modified", datetime(2026, 1, 5, 8)),  # noqa: DTZ001 - as some give it
        ("updated", datetime(2026, 1, 5, 8, tzinfo=UTC)),
        ("mtime", 1_767_600_000.0),
    ],
)
def test_the_time_of_a_listing_is_used_whatever_it_is_called(key: str, value: object, bucket: Bucket) -> None:
    bucket.objects["shop/in/a.csv"][key] = value
    (listed,) = of(bucket).entries("shop/in")
    assert listed.modified == datetime(2026, 1, 5, 8, tzinfo=UTC)
    assert of(bucket).look(listed.path).modified == listed.modified


def test_a_filesystem_may_tell_no_time_and_no_size(bucket: Bucket) -> None:
    bucket.objects["shop/in/a.csv"] = {"size": None}
    (listed,) = of(bucket).entries("shop/in")
    assert (listed.kind, listed.size, listed.modified, listed.mark) == (RemoteKind.FILE, None, None, None)


def test_the_mark_of_a_folder_is_not_a_file_in_it(bucket: Bucket) -> None:
    bucket.objects["shop/in/"] = {"size": 0}
    assert names(bucket) == ["a.csv"]


def test_an_emptied_folder_of_an_object_store_is_missing(bucket: Bucket) -> None:
    of(bucket).put_away("shop/in/a.csv", None)
    with pytest.raises(SourceMissing, match="s3://shop/in"):
        names(bucket)


def test_a_listing_without_names_is_not_believed_of_a_folder_that_is_not_there(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "ls", lambda path, **options: [])
    with pytest.raises(SourceMissing):
        names(bucket)


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (RuntimeError("connection with key s3cret failed"), ConnectFailed),
        (TimeoutError("s3cret"), ConnectFailed),
        (PermissionError("key s3cret"), AccessRefused),
    ],
)
def test_a_dead_filesystem_is_an_error_that_shows_no_secret(
    failure: Exception, expected: type[InventorySourcesError], bucket: Bucket
) -> None:
    bucket.failure = failure
    attempts: list[Callable[[], object]] = [
        lambda: names(bucket),
        lambda: of(bucket).look("shop/in/a.csv"),
        lambda: list(of(bucket).read("shop/in/a.csv")),
        lambda: of(bucket).put_away("shop/in/a.csv", "shop/in/b.csv"),
    ]
    for attempt in attempts:
        with pytest.raises(expected) as caught:
            attempt()
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)
        assert "s3cret" not in str(caught.value)
    assert list(bucket.objects) == ["shop/in/a.csv"]


def test_a_listing_has_a_cap(bucket: Bucket) -> None:
    bucket.objects["shop/in/b.csv"] = {"size": 3}
    assert len(list(FsspecFiles(bucket, "s3", max_entries=2).entries("shop/in"))) == 2
    with pytest.raises(InputTooLarge):
        list(FsspecFiles(bucket, "s3", max_entries=1).entries("shop/in"))


def test_a_file_is_deleted_only_when_its_copy_is_whole(bucket: Bucket) -> None:
    bucket.cuts_copies = True
    with pytest.raises(ConnectFailed, match="not a whole copy"):
        of(bucket).put_away("shop/in/a.csv", "shop/done/a.csv")
    assert bucket.objects["shop/in/a.csv"]["size"] == 8


def test_a_failure_to_look_at_the_new_name_does_not_make_it_free(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = bucket.info

    def info(path: str) -> object:
        if "done" in path:
            raise ConnectionResetError
        return told(path)

    monkeypatch.setattr(bucket, "info", info)
    with pytest.raises(ConnectFailed):
        of(bucket).put_away("shop/in/a.csv", "shop/done/a.csv")
    assert list(bucket.objects) == ["shop/in/a.csv"]


def test_names_are_no_patterns_when_they_are_put_away() -> None:
    memory = MemoryFileSystem(global_store=False, skip_instance_cache=True)
    for name in ("a*.csv", "ab.csv", "[ab].csv", "a.csv"):
        memory.pipe_file(f"in/{name}", name.encode())
    files = FsspecFiles(memory, "memory")
    files.put_away("in/a*.csv", "done/a*.csv")
    files.put_away("in/[ab].csv", None)
    assert sorted(entry.name for entry in files.entries("in")) == ["a.csv", "ab.csv"]
    assert [entry.path for entry in files.entries("done")] == ["done/a*.csv"]


def test_a_file_that_is_cut_while_it_is_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = MemoryFileSystem(global_store=False, skip_instance_cache=True)
    memory.pipe_file("in/a.csv", STOCK)
    opened = memory.open

    def cut(path: str, mode: str, **options: object) -> object:
        monkeypatch.undo()
        memory.pipe_file("in/a.csv", STOCK[:5])
        return opened(path, mode)

    monkeypatch.setattr(memory, "open", cut)
    with pytest.raises(Truncated):
        list(FsspecFiles(memory, "memory").read("in/a.csv"))


def test_a_link_is_listed_as_one_where_the_filesystem_tells(tmp_path: Any) -> None:
    (tmp_path / "a.csv").write_bytes(STOCK)
    (tmp_path / "latest.csv").symlink_to(tmp_path / "a.csv")
    (tmp_path / "loose.csv").symlink_to(tmp_path / "gone.csv")
    files = FsspecFiles(LocalFileSystem(), "file")
    kinds = {entry.name: entry.kind for entry in files.entries(str(tmp_path))}
    assert kinds == {"a.csv": RemoteKind.FILE, "latest.csv": RemoteKind.LINK, "loose.csv": RemoteKind.LINK}
    for attempt in (
        lambda: list(files.read(f"{tmp_path}/latest.csv")),
        lambda: files.put_away(f"{tmp_path}/latest.csv", None),
    ):
        with pytest.raises(FetchError, match="regular file") as caught:
            attempt()
        assert caught.value.recovery is Recovery.STOP
