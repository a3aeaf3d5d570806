"""A file is taken once something shows that it is whole, over each protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inventory_sources.connectors._local_files import LocalFiles
from inventory_sources.errors import FetchError, InputIncomplete, Recovery
from inventory_sources.payload import Proof
from inventory_sources.protocols.remote_files import RemoteEntry
from tests.connectors.desk import MINUTE, NOON, Desk, ftp

TWICE = 2 * MINUTE


def proofs(desk: Desk, **pick_up: Any) -> set[Proof]:
    """Of the one file that is taken now."""
    (payload,) = desk.copy(desk.connector("stock.csv", **pick_up))
    assert payload.evidence.proves_end == (payload.evidence.proofs != {Proof.STABLE})
    return set(payload.evidence.proofs)


def waits(desk: Desk, message: str, pattern: str = "stock.csv", **pick_up: Any) -> None:
    """Nothing is taken now, and it costs no retry."""
    with pytest.raises(InputIncomplete, match=message) as raised:
        desk.fetch(desk.connector(pattern, **pick_up))
    assert raised.value.recovery is Recovery.WAIT


def in_between(desk: Desk, monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Changes something after the first bytes of a copy."""
    begun = desk._context

    def context(**fields: Any) -> Any:
        return begun(**fields, progress=lambda stage, unit, done: change())

    monkeypatch.setattr(desk, "_context", context)


def test_nothing_declared_and_a_declared_rename(desk: Desk) -> None:
    desk.upload("stock.csv", "x")
    assert proofs(desk) == {Proof.STABLE}
    assert proofs(desk, renamed=True) == {Proof.STABLE, Proof.RENAMED}


@pytest.mark.parametrize("take", ["one", "newest", "all", "each"])
def test_a_file_that_grows_while_it_is_read_waits(take: str, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path = desk.upload("stock.csv", "x")
    in_between(desk, monkeypatch, lambda: path.write_text("x and more"))
    waits(desk, "changed while it was read", take=take, renamed=True)


@pytest.mark.parametrize("change", ["longer", "later"])
def test_a_change_between_the_listing_and_the_copy_waits(
    change: str, local_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_desk.upload("stock.csv", "half", minutes=-30)
    listed = LocalFiles.entries

    def entries(files: LocalFiles, folder: str) -> Iterator[RemoteEntry]:
        yield from list(listed(files, folder))
        local_desk.upload("stock.csv", "longer" if change == "longer" else "hal2", minutes=-30 + (change == "later"))

    monkeypatch.setattr(LocalFiles, "entries", entries)
    waits(local_desk, "changed since it was listed", take="newest", renamed=True)


# Markers


@pytest.mark.parametrize(
    ("take", "marker"),
    [("one", "{name}.done"), ("newest", "{name}.done"), ("each", "{name}.done"), ("all", "READY"), ("one", "READY")],
)
def test_a_marker_releases_its_file(take: str, marker: str, desk: Desk) -> None:
    how = {"take": take, "marker": marker}
    name = marker.replace("{name}", "stock.csv")
    desk.upload("stock.csv", "x", minutes=-30)
    waits(desk, "waits for", **how)
    desk.upload(name, "", minutes=-31)
    waits(desk, "is newer than its marker", **how)
    desk.touch(name, minutes=-30)
    assert proofs(desk, **how) == {Proof.STABLE, Proof.MARKER}


@pytest.mark.parametrize("take", ["one", "newest", "each"])
def test_the_marker_of_an_earlier_upload_releases_nothing(take: str, desk: Desk) -> None:
    how = {"take": take, "marker": "{name}.done"}
    desk.upload("stock.csv", "whole", minutes=-30)
    desk.upload("stock.csv.done", "", minutes=-29)
    assert desk.run(desk.connector("stock.csv", **how)) == ["whole"]
    # The next one is half there, and by the second of the file's time it is not newer than the old marker.
    desk.upload("stock.csv", "hal", minutes=-29)
    waits(desk, "still that of an earlier upload", **how)
    desk.upload("stock.csv", "half and half", minutes=-28)
    waits(desk, "newer than its marker", **how)
    desk.touch("stock.csv.done", minutes=-28)
    assert desk.run(desk.connector("stock.csv", **how)) == ["half and half"]


def test_the_same_file_with_its_old_marker_is_read_again(desk: Desk) -> None:
    connector = desk.connector("stock.csv", marker="READY")
    desk.upload("stock.csv", "x", minutes=-30)
    desk.upload("READY", "", minutes=-29)
    assert [desk.run(connector), desk.run(connector)] == [["x"], ["x"]]


@pytest.mark.parametrize("changed", ["stock.csv.done", "a.csv"])
def test_a_change_during_the_copy_waits(changed: str, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of two files, or the marker, changes while the second is copied."""
    for name in ("a.csv", "stock.csv"):
        desk.upload(name, "x", minutes=-30)
        desk.upload(f"{name}.done", "", minutes=-29)
    copied: list[None] = []

    def change() -> None:
        copied.append(None)
        if len(copied) == 2:
            desk.touch(changed, minutes=-28)

    in_between(desk, monkeypatch, change)
    waits(desk, "changed while files were read", "*.csv", take="all", marker="{name}.done")


def test_markers_are_not_taken_for_files(desk: Desk) -> None:
    desk.upload("stock1", "x", minutes=-30)
    desk.upload("stock1.done", "", minutes=-29)
    assert desk.fetch(desk.connector("stock*", take="all", marker="{name}.done")) == ["x"]


def test_all_wait_for_the_last_one(desk: Desk) -> None:
    """A part that is missing would take its SKUs for absent."""
    how = {"take": "all", "marker": "{name}.done"}
    for name in ("north.csv", "south.csv"):
        desk.upload(name, name, minutes=-30)
    desk.upload("north.csv.done", "", minutes=-29)
    waits(desk, "south.csv.* waits for", "*.csv", **how)
    desk.upload("south.csv.done", "", minutes=-29)
    assert desk.fetch(desk.connector("*.csv", **how)) == ["north.csv", "south.csv"]


def test_a_ready_file_does_not_overtake(desk: Desk) -> None:
    connector = desk.connector("*.csv", take="each", marker="{name}.done")
    desk.upload("a.csv", "first", minutes=-30)
    desk.upload("b.csv", "second", minutes=-20)
    desk.upload("b.csv.done", "", minutes=-19)
    waits(desk, "a.csv waits for", "*.csv", take="each", marker="{name}.done")
    desk.upload("a.csv.done", "", minutes=-10)
    assert [desk.run(connector), desk.run(connector), desk.run(connector)] == [["first"], ["second"], []]


@pytest.mark.parametrize("desk", ["ftp that only knows LIST"], indirect=True)
def test_without_times_no_marker_is_believed(desk: Desk, make_context: Any) -> None:
    desk.upload("stock.csv", "x")
    desk.upload("READY", "")
    with ftp(desk.folder, "MLSD", "MLST", "MDTM") as make:
        blind = Desk(desk.folder, make, make_context)
        with pytest.raises(FetchError, match="nothing tells whether 'READY' is newer") as raised:
            blind.fetch(blind.connector("stock.csv", marker="READY", as_of="fetch"))
        assert raised.value.recovery is Recovery.STOP
        for options in ({"take": "newest"}, {"max_age": MINUTE}):
            with pytest.raises(FetchError, match="nothing tells"):
                blind.fetch(blind.connector("stock.csv", as_of="fetch", **options))
        assert blind.fetch(blind.connector("*.csv", take="newest", order="name", as_of="fetch")) == ["x"]


# Checksums


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha512"])
@pytest.mark.parametrize(
    "written",
    ["{digest}", "{digest}  stock.csv\n", "{digest} *out/stock.csv\r\n", "{zeros}  a.csv\n{upper}  stock.csv\n"],
)
def test_a_checksum_proves_its_file(algorithm: str, written: str, local_desk: Desk) -> None:
    digest = hashlib.new(algorithm, b"x").hexdigest()
    local_desk.upload("stock.csv", "x")
    told = written.format(digest=digest, upper=digest.upper(), zeros="0" * len(digest))
    local_desk.upload("stock.csv.sum", told)
    assert proofs(local_desk, checksum="{name}.sum") == {Proof.STABLE, Proof.CHECKSUM}


@pytest.mark.parametrize(
    "written",
    [
        "",
        "not yet",
        "abc",
        "0" * 63,
        f"{hashlib.sha256(b'x').hexdigest()}  prices.csv\n",
        f"{hashlib.sha256(b'x').hexdigest()}\n{hashlib.sha256(b'y').hexdigest()}\n",
    ],
)
def test_a_file_that_holds_no_digest_of_it_proves_nothing(written: str, local_desk: Desk) -> None:
    local_desk.upload("stock.csv", "x")
    local_desk.upload("stock.csv.sum", written)
    waits(local_desk, "tells no digest of 'stock.csv'", checksum="{name}.sum")


def test_a_marker_or_digest_without_end_is_not_read_to_it(local_desk: Desk) -> None:
    local_desk.upload("stock.csv", "x")
    local_desk.upload("stock.csv.sum", "9" * 70_000, minutes=-50)
    waits(local_desk, "stock.csv.sum is too large for a marker or a digest", checksum="{name}.sum")
    waits(local_desk, "stock.csv.sum is too large for a marker or a digest", marker="{name}.sum")


@pytest.mark.parametrize("take", ["one", "newest", "all", "each"])
def test_a_wrong_or_missing_checksum_waits(take: str, desk: Desk) -> None:
    how = {"take": take, "checksum": "{name}.sha256"}
    desk.upload("stock.csv", "half")
    waits(desk, "waits for 'stock.csv.sha256'", **how)
    desk.upload("stock.csv.sha256", hashlib.sha256(b"half and half").hexdigest())
    waits(desk, "another digest than 'stock.csv.sha256' says", **how)
    desk.upload("stock.csv", "half and half")
    assert proofs(desk, **how) == {Proof.STABLE, Proof.CHECKSUM}


# Two looks


@pytest.mark.parametrize("take", ["one", "newest", "all", "each"])
def test_two_looks_must_agree(take: str, desk: Desk) -> None:
    how = {"take": take, "looks_apart": TWICE}
    desk.upload("stock.csv", "ha", minutes=-30)
    waits(desk, "not looked the same for 0:02:00", **how)
    desk.upload("stock.csv", "half", minutes=-30)
    desk.now = NOON + 9 * MINUTE
    waits(desk, "not looked the same", **how)
    waits(desk, "not looked the same", **how)
    assert proofs(desk, **how) == {Proof.STABLE}
    desk.touch("stock.csv", minutes=-29)
    waits(desk, "not looked the same", **how)


def test_a_memo_holds_only_what_is_there(local_desk: Desk) -> None:
    connector = local_desk.connector("*.csv", take="each", looks_apart=MINUTE)
    path: Path = local_desk.upload("a.csv", "a")
    local_desk.upload("b.csv", "b", minutes=-10)
    with pytest.raises(InputIncomplete):
        local_desk.run(connector)
    assert local_desk.run(connector) == ["a"]
    path.unlink()
    assert local_desk.run(connector) == ["b"]
    assert local_desk.run(connector) == []
    assert "b.csv" not in str(local_desk.memo)
