"""The contract of :class:`~inventory_sources.protocols.remote_files.RemoteFiles`, as tests to inherit.

In six lines, with a server that serves ``self.root``::

    class TestVault(RemoteFilesContract):
        folder = "in"
        def session(self): return VaultFiles(self.server)
        def write(self, name, data): (self.root / "in" / name).write_bytes(data)
        def make_folder(self, name): (self.root / "in" / name).mkdir()
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import ClassVar

from inventory_sources.errors import FetchError, SourceMissing, Truncated
from inventory_sources.protocols.remote_files import RemoteEntry, RemoteFiles, RemoteKind

__all__ = ["RemoteFilesContract"]

_STOCK = b"sku,quantity\nA-1,5\nA-2,0\n"


class RemoteFilesContract:
    """Inherit it and say how to begin a session and how others put things onto the server.

    :cvar folder: an empty folder, new for each test, as a path for the transport.
    :cvar names: that the server can hold; none of them is a pattern, an option or to be trimmed.
    :cvar empty_folders: whether there is such a thing; object stores have none.
    """

    folder: str
    names: ClassVar[tuple[str, ...]] = ("stock[1].csv", "stock?.csv", "a*", "-rf", "two words.csv", "Größe é.csv", "~x")
    empty_folders: ClassVar[bool] = True

    def session(self) -> AbstractContextManager[RemoteFiles]:
        """A new session with the server."""
        raise NotImplementedError

    def write(self, name: str, data: bytes) -> None:
        """Puts a file into the folder, behind the transport's back."""
        raise NotImplementedError

    def make_folder(self, name: str) -> None:
        """Puts a folder with something in it into the folder."""
        raise NotImplementedError

    def test_names_are_listed_with_kind_size_and_path(self) -> None:
        """The path is the folder as asked for, a slash and the name."""
        self.write("stock.csv", _STOCK)
        self.write("empty.csv", b"")
        self.make_folder("archive")
        with self.session() as files:
            found = {entry.name: entry for entry in files.entries(self.folder)}
        assert sorted(found) == ["archive", "empty.csv", "stock.csv"]
        assert (found["stock.csv"].kind, found["stock.csv"].size) == (RemoteKind.FILE, len(_STOCK))
        assert found["empty.csv"].size == 0
        assert found["archive"].kind is RemoteKind.FOLDER
        assert all(entry.path == self.path(name) for name, entry in found.items())

    def test_names_are_taken_as_they_are(self) -> None:
        """Each can be handed back; none stands for another."""
        for number, name in enumerate(self.names):
            self.write(name, b"%d" % number)
        with self.session() as files:
            found = {entry.name: entry for entry in files.entries(self.folder)}
            assert sorted(found) == sorted(self.names)
            for number, name in enumerate(self.names):
                assert b"".join(files.read(found[name].path)) == b"%d" % number
            for name in self.names:
                files.put_away(found[name].path, None)
                assert self.missing(files, found[name].path)

    def test_a_folder_that_is_not_there_is_an_error(self) -> None:
        """Never an empty listing, which looks like a shop without stock."""
        with self.session() as files:
            try:
                found = list(files.entries(self.path("gone")))
            except SourceMissing:
                return
        raise AssertionError(f"a missing folder was listed: {found}")

    def test_a_file_is_not_listed_as_a_folder(self) -> None:
        """Not even as an empty one."""
        self.write("stock.csv", _STOCK)
        with self.session() as files:
            try:
                found = list(files.entries(self.path("stock.csv")))
            except FetchError:
                return
        raise AssertionError(f"a file was listed as a folder: {found}")

    def test_an_empty_folder_has_no_names(self) -> None:
        """Where there are empty folders."""
        if not self.empty_folders:
            return
        with self.session() as files:
            assert list(files.entries(self.folder)) == []

    def test_nothing_comes_from_a_cache(self) -> None:
        """Each listing, look and read of one session is of now."""
        self.write("a.csv", b"A,5\n")
        with self.session() as files:
            assert [entry.name for entry in files.entries(self.folder)] == ["a.csv"]
            self.write("a.csv", b"A,5\nB,6\n")
            self.write("b.csv", _STOCK)
            assert sorted(entry.name for entry in files.entries(self.folder)) == ["a.csv", "b.csv"]
            assert files.look(self.path("a.csv")).size == 8
            assert b"".join(files.read(self.path("a.csv"))) == b"A,5\nB,6\n"

    def test_a_look_tells_what_the_listing_told(self) -> None:
        """So that a listing can be compared with a look; a server may tell times by the second in one of them."""
        self.write("stock.csv", _STOCK)
        with self.session() as files:
            (listed,) = files.entries(self.folder)
            looked = files.look(listed.path)
        assert _described(looked) == _described(listed)
        if looked.modified and listed.modified:
            assert abs((looked.modified - listed.modified).total_seconds()) < 1
            assert looked.modified.tzinfo is not None

    def test_a_path_that_is_not_there_is_missing(self) -> None:
        """To look at, to read, to move and to delete."""
        gone = self.path("gone.csv")
        with self.session() as files:
            assert self.missing(files, gone)
            for attempt in (
                lambda: list(files.read(gone)),
                lambda: files.put_away(gone, self.path("to.csv")),
                lambda: files.put_away(gone, None),
            ):
                try:
                    attempt()
                except SourceMissing:
                    continue
                raise AssertionError("a missing file was used")
            assert self.missing(files, self.path("to.csv"))

    def test_a_file_is_read_from_an_offset(self) -> None:
        """Up to its end, where nothing is left; behind it, it was cut."""
        data = bytes(range(256)) * 2000
        self.write("big.csv", data)
        with self.session() as files:
            for offset in (0, 1, 300_000, len(data)):
                assert b"".join(files.read(self.path("big.csv"), offset)) == data[offset:]
            try:
                list(files.read(self.path("big.csv"), len(data) + 1))
            except Truncated:
                return
        raise AssertionError("a file was read from behind its end")

    def test_an_empty_file_has_no_bytes(self) -> None:
        """And is no error."""
        self.write("empty.csv", b"")
        with self.session() as files:
            assert b"".join(files.read(self.path("empty.csv"))) == b""

    def test_a_folder_is_neither_read_nor_deleted(self) -> None:
        """It is an error that says so."""
        self.make_folder("archive")
        with self.session() as files:
            for attempt in (
                lambda: list(files.read(self.path("archive"))),
                lambda: files.put_away(self.path("archive"), None),
            ):
                try:
                    attempt()
                except FetchError:
                    continue
                raise AssertionError("a folder was taken for a file")
            assert [entry.name for entry in files.entries(self.folder)] == ["archive"]

    def test_a_file_is_renamed_with_its_content(self) -> None:
        """Into another folder too."""
        self.write("stock.csv", _STOCK)
        self.make_folder("archive")
        with self.session() as files:
            for path, to in (("stock.csv", "stock.old"), ("stock.old", "archive/stock.csv")):
                files.put_away(self.path(path), self.path(to))
                assert self.missing(files, self.path(path))
                assert b"".join(files.read(self.path(to))) == _STOCK

    def test_nothing_is_renamed_over_another_file(self) -> None:
        """Both stay as they were."""
        self.write("new.csv", _STOCK)
        self.write("old.csv", b"old")
        with self.session() as files:
            try:
                files.put_away(self.path("new.csv"), self.path("old.csv"))
            except FetchError:
                assert b"".join(files.read(self.path("new.csv"))) == _STOCK
                assert b"".join(files.read(self.path("old.csv"))) == b"old"
                return
        raise AssertionError("a file was replaced")

    def path(self, name: str) -> str:
        """The path of a name in the folder."""
        return f"{self.folder}/{name}"

    def missing(self, files: RemoteFiles, path: str) -> bool:
        """Whether a look says so."""
        try:
            files.look(path)
        except SourceMissing:
            return True
        return False


def _described(entry: RemoteEntry) -> tuple[object, ...]:
    return entry.path, entry.name, entry.kind, entry.size, entry.mark
