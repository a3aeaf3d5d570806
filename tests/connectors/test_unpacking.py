"""Packed files: read whole or refused, cut and damaged ones, and those that are made to exhaust who unpacks them."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import os
import random
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from inventory_sources import Columns, CsvDecoder, Feed, MemorySink, MemoryStateStore, Source, SyncEngine
from inventory_sources._unpacking import unpacked
from inventory_sources.connectors import FileConnector, FtpConnector, FtpServer, HttpConnector, Unpack
from inventory_sources.errors import (
    ConfigurationError,
    InputIncomplete,
    InputTooLarge,
    InventorySourcesError,
    MissingExtra,
    Recovery,
    StructureInvalid,
    Truncated,
)
from inventory_sources.payload import Evidence, Payload, Proof
from inventory_sources.protocols.connector import FetchContext
from inventory_sources.registry import Registry
from inventory_sources.secrets import Secret
from inventory_sources.source import Part
from inventory_sources.testing.servers import Response, ScriptedHttpServer
from tests.connectors.archives import (
    archive,
    checked_zstd,
    directory_of,
    end,
    member,
    overlapping,
    tarred,
    zeros,
    zip64_lie,
    zipped,
    zstd_window,
)
from tests.connectors.ftpd import PASSWORD, USER, FTPHandler, RealServer

STOCK = b"sku,quantity\n" + b"".join(b"SKU-%04d,%d\n" % (number, number % 7) for number in range(300))
SMALL = b"sku,quantity\nA,5\nB,7\n"
NOTE = b"read me"
UNPROVEN = Evidence(frozenset({Proof.STABLE}))
ARRIVED = Evidence(frozenset({Proof.LENGTH}))
AS_OF = datetime(2026, 3, 2, 10, tzinfo=UTC)

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "zstd": checked_zstd,
    "zip": lambda content: zipped({"stock.csv": content}),
}
STREAMS = pytest.mark.parametrize("kind", ["gzip", "bz2", "zstd"])
ALL = pytest.mark.parametrize("kind", PACKERS)


def unpack(
    data: bytes, how: str | Unpack, context: FetchContext, evidence: Evidence = UNPROVEN
) -> list[tuple[str, bytes]]:
    """Origin and bytes of each payload that a file gives."""
    given = Payload("stock.packed", data, AS_OF, evidence, "application/octet-stream", len(data), "0" * 64)
    how = how if isinstance(how, Unpack) else Unpack(how)
    found = []
    for payload in unpacked(given, how, context):
        content = payload.body.read_bytes()
        assert (payload.size, payload.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert (payload.as_of, payload.media_type) == (AS_OF, None)
        found.append((payload.origin, content))
    return found


def proofs(data: bytes, how: str, context: FetchContext, evidence: Evidence = UNPROVEN) -> set[Proof]:
    (payload,) = unpacked(Payload("stock", data, evidence=evidence), Unpack(how), context)
    return set(payload.evidence.proofs)


# What is in a file


@STREAMS
@pytest.mark.parametrize("content", [STOCK, b"", b"x"])
def test_a_stream_is_unpacked(kind: str, content: bytes, context: FetchContext) -> None:
    assert unpack(PACKERS[kind](content), kind, context) == [("stock.packed", content)]


@STREAMS
def test_a_large_stream_is_unpacked(kind: str, context: FetchContext) -> None:
    content = b"".join(b"SKU-%09d,%d\n" % (number, number % 97) for number in range(700_000))
    ((_, found),) = unpack(PACKERS[kind](content), kind, context)
    assert found == content


def test_the_members_that_match_come_in_the_order_of_their_names(context: FetchContext) -> None:
    names = ["stock_b.csv", "read.me", "STOCK_c.csv", "in/stock_a.csv", "stock_a.csv", "stock_a.csv.bak", "stock_Ä.csv"]
    data = zipped({"in/": b"", **{name: name.encode() for name in names}})
    found = unpack(data, Unpack("zip", members="stock_?.csv"), context)
    chosen = ["stock_a.csv", "stock_b.csv", "stock_Ä.csv"]
    assert found == [(f"stock.packed!/{name}", name.encode()) for name in chosen]
    everywhere = unpack(data, Unpack("zip", members="*/stock_*.csv"), context)
    assert everywhere == [("stock.packed!/in/stock_a.csv", b"in/stock_a.csv")]
    assert len(unpack(data, "zip", context)) == len(names)


def test_a_pattern_that_matches_nothing_is_told_what_is_there(context: FetchContext) -> None:
    data = zipped({f"file\n{number}{'x' * 500}": b"" for number in range(9)})
    with pytest.raises(StructureInvalid) as caught:
        unpack(data, Unpack("zip", members="stock*"), context)
    assert r"file\n4" in caught.value.message.replace(r"\\n", r"\n")
    assert r"file\n5" not in caught.value.message
    assert len(caught.value.message) < 800
    with pytest.raises(StructureInvalid, match="it has none"):
        unpack(zipped({}), "zip", context)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("/etc/passwd", "/etc/passwd"),
        ("../../up.csv", "../../up.csv"),
        ("C:\\up.csv", "C:\\up.csv"),
        ("a\x1b[2J\n.csv", r"a\x1b[2J\n.csv"),
        ("x" * 3000, "x" * 100 + "…"),
    ],
)
def test_names_are_shown_and_never_a_path(name: str, shown: str, context: FetchContext) -> None:
    data = archive([member(name, SMALL)])
    assert unpack(data, "zip", context) == [(f"stock.packed!/{shown}", SMALL)]
    assert all(path.parent == context.spool for path in context.spool.rglob("*"))


def test_names_of_other_encodings_are_text(context: FetchContext) -> None:
    data = archive([member(b"\x8e.csv", SMALL), member(b"\xff\xfe", NOTE, flags=1 << 11)])
    assert unpack(data, "zip", context) == [
        (r"stock.packed!/\xff\xfe", NOTE),
        ("stock.packed!/Ä.csv", SMALL),
    ]


@ALL
def test_a_single_stream_and_a_zip_file_prove_the_end(kind: str, context: FetchContext) -> None:
    assert proofs(PACKERS[kind](STOCK), kind, context) == {Proof.STABLE, Proof.CHECKSUM}


@STREAMS
def test_several_streams_prove_nothing(kind: str, context: FetchContext) -> None:
    data = PACKERS[kind](STOCK) + PACKERS[kind](b"") + PACKERS[kind](SMALL)
    assert unpack(data, kind, context) == [("stock.packed", STOCK + SMALL)]
    assert proofs(data, kind, context) == {Proof.STABLE}
    assert proofs(data, kind, context, ARRIVED) == {Proof.LENGTH}


def test_a_zstd_frame_without_a_checksum_proves_its_end_only(context: FetchContext) -> None:
    assert proofs(zstd.compress(STOCK), "zstd", context) == {Proof.STABLE, Proof.TRAILER}
    skipped = b"\x50\x2a\x4d\x18\4\0\0\0more"
    assert proofs(skipped, "zstd", context) == {Proof.STABLE}
    assert unpack(skipped + checked_zstd(SMALL), "zstd", context) == [("stock.packed", SMALL)]


@pytest.mark.parametrize("begin", range(64 * 1024 - 40, 64 * 1024 + 3))
@STREAMS
def test_streams_may_meet_anywhere(kind: str, begin: int, context: FetchContext) -> None:
    dice = random.Random(begin)
    first = PACKERS[kind](dice.randbytes(begin))
    # Random bytes do not shrink, so that the second stream begins about where a read ends.
    assert len(first) >= begin
    ((_, found),) = unpack(first + PACKERS[kind](SMALL), kind, context)
    assert found.endswith(SMALL) and len(found) == begin + len(SMALL)


COMMANDS = {
    "gzip": ["gzip", "-c"],
    "gzip -1 with a name": ["gzip", "-1", "-N", "-c"],
    "bz2": ["bzip2", "-c"],
    "zstd": ["zstd", "-q", "-c"],
    "zstd -19": ["zstd", "-q", "-19", "-c"],
    "zip": ["zip", "-q", "-"],
    "zip without packing": ["zip", "-q", "-0", "-"],
    "zip of a stream": ["zip", "-q", "-", "-"],
}


@pytest.mark.parametrize("called", COMMANDS)
def test_what_the_usual_programs_write_is_read(called: str, tmp_path: Path, context: FetchContext) -> None:
    command = COMMANDS[called]
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} here")
    (tmp_path / "stock.csv").write_bytes(STOCK)
    arguments = [] if command[-2:] == ["-", "-"] else ["stock.csv"]
    done = subprocess.run([*command, *arguments], cwd=tmp_path, input=STOCK, capture_output=True, check=True)
    ((_, found),) = unpack(done.stdout, called.split(maxsplit=1)[0], context)
    assert found == STOCK


def test_zip_files_written_as_streams_are_read(context: FetchContext) -> None:
    class Pipe(io.RawIOBase):
        data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.data += bytes(data)
            return len(data)

    for force in (False, True):
        pipe = Pipe()
        with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as target:  # type: ignore[arg-type]
            for name in ("a.csv", "b.csv"):
                with target.open(name, "w", force_zip64=force) as writer:
                    writer.write(STOCK)
        assert [content for _, content in unpack(pipe.data, "zip", context)] == [STOCK, STOCK]


def test_a_zip_file_may_have_a_comment(context: FetchContext) -> None:
    for comment in (b"by the ERP", b"x" * 65_535, b"PK\5\6" * 16_000):
        data = archive([member("a", SMALL)], comment=comment)
        assert unpack(data, "zip", context) == [("stock.packed!/a", SMALL)]


def test_a_workbook_in_a_zip_file_is_no_archive_to_unpack(context: FetchContext) -> None:
    workbook = zipped({"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": b"<workbook/>"})
    assert unpack(zipped({"stock.xlsx": workbook}), "zip", context) == [("stock.packed!/stock.xlsx", workbook)]


def test_what_begins_like_another_format_is_text_still(context: FetchContext) -> None:
    text = b"BZh9-RACK,5\nPK-1,6\n"
    assert unpack(gzip.compress(text), "gzip", context) == [("stock.packed", text)]


# What is refused


@ALL
def test_every_cut_is_noticed(kind: str, context: FetchContext) -> None:
    whole = PACKERS[kind](SMALL)
    for length in range(len(whole)):
        with pytest.raises(InputIncomplete) as waits:
            unpack(whole[:length], kind, context)
        assert waits.value.recovery is Recovery.WAIT
        with pytest.raises(Truncated):
            unpack(whole[:length], kind, context, ARRIVED)
    assert list(context.spool.iterdir()) == []


@STREAMS
def test_every_cut_but_at_a_border_is_noticed(kind: str, context: FetchContext) -> None:
    first = PACKERS[kind](SMALL)
    whole = first + PACKERS[kind](SMALL)
    for length in {*range(len(whole))} - {len(first)}:
        with pytest.raises(InputIncomplete):
            unpack(whole[:length], kind, context)


@ALL
def test_flipped_bits_give_the_same_bytes_or_our_own_error(kind: str, context: FetchContext) -> None:
    whole = PACKERS[kind](SMALL)
    for at in range(len(whole) * 8):
        data = bytearray(whole)
        data[at // 8] ^= 1 << at % 8
        try:
            found = unpack(bytes(data), kind, context)
        except InventorySourcesError:
            continue
        assert [content for _, content in found] == [SMALL]


@ALL
def test_damage_stops(kind: str, context: FetchContext) -> None:
    data = bytearray(PACKERS[kind](STOCK))
    at = len(data) // 3
    data[at : at + 20] = bytes(20)
    with pytest.raises(StructureInvalid, match="damaged") as caught:
        unpack(bytes(data), kind, context)
    assert caught.value.recovery is Recovery.STOP


LOOKS = {
    "gzip": gzip.compress(SMALL),
    "bz2": bz2.compress(SMALL),
    "zstd": zstd.compress(SMALL),
    "zip": zipped({"a": SMALL}),
    "a workbook": zipped({"[Content_Types].xml": b""}),
    "tar": tarred(SMALL),
    "xz": b"\xfd7zXZ\0\0\4",
    "7z": b"7z\xbc\xaf\x27\x1c\0\4",
    "RAR": b"Rar!\x1a\7\1\0",
    "a PDF": b"%PDF-1.7\n",
    "an HTML page": b"\n<!DOCTYPE html>\n<title>Log in</title>",
    "plain text": SMALL,
    "something else": b"\0\1\2\3",
}


@ALL
def test_another_file_than_declared_is_named(kind: str, context: FetchContext) -> None:
    for looks, data in LOOKS.items():
        if looks != kind and (kind, looks) != ("zip", "a workbook"):
            with pytest.raises(StructureInvalid, match=f"no {kind} file: it looks like {looks}"):
                unpack(data, kind, context)


@ALL
@pytest.mark.parametrize("inner", ["gzip", "bz2", "zstd", "zip", "tar", "xz"])
def test_nothing_is_unpacked_twice(kind: str, inner: str, context: FetchContext) -> None:
    with pytest.raises(StructureInvalid, match=f"packed again: it looks like {inner}"):
        unpack(PACKERS[kind](LOOKS[inner]), kind, context)
    assert list(context.spool.iterdir()) == []


@STREAMS
@pytest.mark.parametrize("more", [b"\0", b"\n", b"garbage", bytes(1000), SMALL])
def test_bytes_behind_the_end_are_refused(kind: str, more: bytes, context: FetchContext) -> None:
    with pytest.raises(StructureInvalid, match="behind its end"):
        unpack(PACKERS[kind](SMALL) + more, kind, context)


A, B = member("a.csv", SMALL), member("b.csv", STOCK)
CONTRADICTIONS = {
    "encrypted": (archive([A.changed(flags=1)]), "is encrypted"),
    "a link": (archive([A.changed(mode=stat.S_IFLNK | 0o777)]), "is a link"),
    "packed otherwise": (archive([A.changed(method=12)]), "method 12"),
    "doubled": (archive([A, A]), "two members of the same name"),
    "another name in the header": (archive([A], [A.changed(name=b"c.csv")]), "contradict"),
    "another method in the header": (archive([A], [A.changed(method=0)]), "contradict"),
    "another size in the header": (archive([A], [A.changed(size=5)]), "contradict"),
    "another checksum in the header": (archive([A], [A.changed(check=5)]), "contradict"),
    "a wrong checksum": (archive([A.changed(check=5)]), "damaged"),
    "larger than it says": (archive([A.changed(size=len(SMALL) - 1)]), "not of the size"),
    "smaller than it says": (archive([A.changed(size=len(SMALL) + 1)]), "not of the size"),
    "bytes behind its own end": (archive([A.changed(packed=A.packed + b"more")]), "damaged"),
    "no end of its own": (archive([A.changed(packed=A.packed[:-1])]), "damaged"),
    "overlapping": (overlapping(3, 1000), "overlap"),
    "fewer than it says": (archive([A, B])[:-22] + end(3, 2 * 51, len(archive([A, B])) - 22 - 102), "damaged"),
    "more than it says": (archive([A, B])[:-22] + end(1, 2 * 51, len(archive([A, B])) - 22 - 102), "damaged"),
    "bytes behind the end": (archive([A, B]) + b"\0", "behind the end"),
    "two zip files": (archive([A]) + archive([B]), "behind the end"),
    "two ends": (archive([A], comment=end(0, 0, 0)), "two ends"),
    "a program before it": (b"MZ\x90\0" + archive([A]), "no zip file"),
    "split": (archive([A])[:-18] + b"\1\0\1\0" + archive([A])[-14:], "split"),
    "zip64": (zip64_lie(), "zip64"),
}


@pytest.mark.parametrize("evidence", [UNPROVEN, ARRIVED])
@pytest.mark.parametrize("lie", CONTRADICTIONS)
def test_a_zip_file_that_contradicts_itself_is_refused(lie: str, evidence: Evidence, context: FetchContext) -> None:
    data, told = CONTRADICTIONS[lie]
    with pytest.raises(StructureInvalid, match=told):
        unpack(data, "zip", context, evidence)


def test_a_zip_file_with_bytes_put_before_is_never_read(context: FetchContext) -> None:
    data = A.header() + A.packed + archive([B])
    with pytest.raises(InputIncomplete):
        unpack(data, "zip", context)
    with pytest.raises(Truncated):
        unpack(data, "zip", context, ARRIVED)


def test_what_does_not_match_may_be_what_it_likes(context: FetchContext) -> None:
    data = archive([A, member("secret", NOTE, flags=1), member("huge", b"", size=2**31), member("inner", LOOKS["zip"])])
    assert unpack(data, Unpack("zip", members="*.csv"), context) == [("stock.packed!/a.csv", SMALL)]


@ALL
def test_the_caps_are_those_that_were_declared(kind: str, context: FetchContext) -> None:
    with pytest.raises(InputTooLarge, match=f"more than {len(STOCK) - 1} bytes"):
        unpack(PACKERS[kind](STOCK), Unpack(kind, max_bytes=len(STOCK) - 1), context)
    assert unpack(PACKERS[kind](STOCK), Unpack(kind, max_bytes=len(STOCK)), context)
    flat = PACKERS[kind](b"A,5\n" * 3_000_000)
    with pytest.raises(InputTooLarge, match="times its size"):
        unpack(flat, kind, context)
    assert unpack(flat, Unpack(kind, max_ratio=100_000), context)
    several = zipped({"a": NOTE, "b": NOTE, "c": NOTE}) if kind == "zip" else PACKERS[kind](NOTE) * 3
    with pytest.raises(InputTooLarge, match="more than 2 "):
        unpack(several, Unpack(kind, max_members=2), context)
    assert unpack(several, Unpack(kind, max_members=3), context)


def test_the_cap_counts_all_members_together(context: FetchContext) -> None:
    data = zipped({"a.csv": STOCK, "b.csv": STOCK})
    with pytest.raises(InputTooLarge):
        unpack(data, Unpack("zip", max_bytes=2 * len(STOCK) - 1), context)
    assert unpack(data, Unpack("zip", members="a*", max_bytes=len(STOCK)), context)


# Bombs


def _within(pack: str, times: int) -> bytes:
    data = zeros(pack, 1_000_000)
    for _ in range(times):
        data = PACKERS[pack](data)
    return data


BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "zip ratio": ("zip", lambda: zipped({"a": bytes(200_000_000)})),
    "zip beyond the cap": ("zip", lambda: archive([member("a", NOTE, size=2**32 - 2)])),
    "zip of more than it says": ("zip", lambda: archive([member("a", bytes(50_000_000), size=1000)])),
    "zip of members that overlap": ("zip", lambda: overlapping(200, 5_000_000)),
    "zip of very many members": ("zip", lambda: zipped({f"{number}.csv": b"" for number in range(60_000)})),
    "zip of members that are too much together": ("zip", lambda: zipped({str(n): bytes(1_000_000) for n in range(60)})),
    "zip in a zip": ("zip", lambda: zipped({"a.zip": zipped({"a": bytes(20_000_000)})})),
    "zip that lies by zip64": ("zip", zip64_lie),
    "zip with a million entries": ("zip", lambda: directory_of(1_000_000, 1)),
    "zip with a million entries that says so": ("zip", lambda: directory_of(1_000_000, 0xFFFF)),
    "zip of long names": ("zip", lambda: archive(member(f"{n}{'x' * 60_000}", b"") for n in range(300))),
    "zip of deep folders": ("zip", lambda: archive(member(f"{'d/' * 30_000}{n}", b"") for n in range(300))),
    "gzip ratio": ("gzip", lambda: zeros("gzip", 200_000_000)),
    "gzip ratio behind a good stream": ("gzip", lambda: gzip.compress(STOCK) + zeros("gzip", 200_000_000)),
    "gzip of very many streams": ("gzip", lambda: gzip.compress(b"") * 500_000),
    "gzip within gzip": ("gzip", lambda: _within("gzip", 9)),
    "gzip with a name without end": ("gzip", lambda: b"\x1f\x8b\x08\x08" + bytes(6) + b"x" * 100_000_000),
    "bz2 ratio": ("bz2", lambda: zeros("bz2", 100_000_000)),
    "bz2 of very many streams": ("bz2", lambda: bz2.compress(b"") * 500_000),
    "zstd ratio": ("zstd", lambda: zeros("zstd", 400_000_000)),
    "zstd of very many frames": ("zstd", lambda: zstd.compress(b"") * 500_000),
    "zstd with a window of 128 MiB": ("zstd", lambda: zstd_window(17 << 3)),
    "zstd with a window of terabytes": ("zstd", lambda: zstd_window(0xFF)),
    "zstd that says 16 EiB": ("zstd", lambda: b"\x28\xb5\x2f\xfd\xe0" + b"\xff" * 8 + b"\3\0\0"),
    "zstd to skip 4 GiB": ("zstd", lambda: b"\x50\x2a\x4d\x18\xff\xff\xff\xff"),
}

BOUNDED = """
import pathlib, resource, sys
from inventory_sources.connectors import FileConnector, Unpack
from inventory_sources.errors import DecodeError, InputTooLarge
from inventory_sources.testing.connectors import fetch_context
import bz2, backports.zstd
path, spool = map(pathlib.Path, sys.argv[1:3])
connector = FileConnector(str(path), unpack=Unpack(sys.argv[3]))
context = fetch_context(spool)
def peak():
    return int(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
before, started = peak(), resource.getrusage(resource.RUSAGE_SELF).ru_utime
try:
    print(list(connector.fetch(context)))
except (DecodeError, InputTooLarge) as error:
    left = sum(found.stat().st_size for found in spool.iterdir()) - path.stat().st_size
    print(type(error).__name__, peak() - before, left, resource.getrusage(resource.RUSAGE_SELF).ru_utime - started)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_in_little_memory(bomb: str, tmp_path: Path) -> None:
    kind, make = BOMBS[bomb]
    path, spool = tmp_path / "stock", tmp_path / "spool"
    path.write_bytes(make())
    spool.mkdir()
    command = [sys.executable, "-c", BOUNDED, str(path), str(spool), kind]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    refused, kib, left, seconds = done.stdout.split()
    assert refused in {"StructureInvalid", "InputTooLarge", "InputIncomplete"}, done.stdout
    assert int(kib) < 64 << 10
    assert int(left) == 0
    assert float(seconds) < 10  # of its own processor time, far above what any takes


# Connectors


def spooled_file(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "stock.packed"
    path.write_bytes(data)
    os.utime(path, (AS_OF.timestamp(), AS_OF.timestamp()))
    return path


@ALL
def test_a_file_connector_unpacks(kind: str, tmp_path: Path, context: FetchContext) -> None:
    path = spooled_file(tmp_path, PACKERS[kind](STOCK))
    connector = FileConnector(str(path), unpack=Unpack(kind))
    (payload,) = connector.fetch(context)
    assert isinstance(payload, Payload)
    assert (payload.body.read_bytes(), payload.as_of) == (STOCK, AS_OF)
    for file in context.spool.iterdir():
        file.unlink()
    head = connector.check(context)
    assert (head.data, head.complete, head.size) == (STOCK, True, len(STOCK))
    assert list(context.spool.iterdir()) == []
    path.write_bytes(SMALL)
    with pytest.raises(StructureInvalid, match="looks like plain text"):
        connector.check(context)
    assert list(context.spool.iterdir()) == []


def test_an_ftp_connector_unpacks(tmp_path: Path, context: FetchContext) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "stock.zip").write_bytes(zipped({"b.csv": SMALL, "a.csv": STOCK}))
    with RealServer(tmp_path / "root", FTPHandler) as server:
        at = FtpServer(
            "127.0.0.1", port=server.port, username=USER, password=Secret(PASSWORD), security="none",
            allow_private=("127.0.0.0/8",),
        )  # fmt: skip
        found = list(FtpConnector("stock.zip", server=at, unpack=Unpack("zip", members="*.csv")).fetch(context))
    assert [(payload.origin, payload.body.read_bytes()) for payload in found] == [
        ("ftp://127.0.0.1/stock.zip!/a.csv", STOCK),
        ("ftp://127.0.0.1/stock.zip!/b.csv", SMALL),
    ]


@pytest.mark.parametrize("coded", [False, True])
def test_an_http_connector_unpacks(coded: bool, context: FetchContext) -> None:
    data = zipped({"stock.csv": STOCK, "read.me": NOTE})
    headers = {"Content-Type": "application/zip", **({"Content-Encoding": "gzip"} if coded else {})}
    answer = Response(headers=headers, body=gzip.compress(data) if coded else data)
    with ScriptedHttpServer([answer]) as server:
        connector = HttpConnector(
            server.url + "stock.zip", allow_private=("127.0.0.0/8",), unpack=Unpack("zip", members="*.csv")
        )
        (payload,) = connector.fetch(context)
        head = connector.check(context)
    assert isinstance(payload, Payload)
    assert payload.body.read_bytes() == head.data == STOCK
    assert payload.origin == head.origin == f"{server.url}stock.zip!/stock.csv"
    assert payload.evidence.proofs == {Proof.LENGTH, Proof.CHECKSUM}


def test_a_packed_file_reaches_the_shop(tmp_path: Path) -> None:
    path = spooled_file(tmp_path, zipped({"a.csv": b"sku,quantity\nA,5\n", "b.csv": b"sku,quantity\nB,6\n"}))
    sink = MemorySink({"A": 1, "B": 1, "C": 1})
    engine = SyncEngine(MemoryStateStore())
    connector = FileConnector(str(path), unpack=Unpack("zip", members="?.csv"))
    parts: dict[str, Any] = {"decoder": CsvDecoder(), "mapper": Columns(), "feed": Feed.partial(), "sink": sink}
    engine.add_source(Source(name="erp", connector=connector, **parts))
    assert engine.check("erp").ok
    assert engine.sync("erp").products_updated == 2
    assert (sink.quantity("A"), sink.quantity("B"), sink.quantity("C")) == (5, 6, 1)


# Declarations


def test_an_unpacking_is_a_document() -> None:
    registry = Registry()
    document = {"path": "stock.zip", "unpack": {"compression": "zip", "members": "stock_*.csv"}}
    made = registry._make("connector", Part("file", document))
    assert made == FileConnector("stock.zip", unpack=Unpack("zip", members="stock_*.csv"))
    described, storable = registry._describe("connector", made)
    assert storable
    assert registry._make("connector", described) == made


@pytest.mark.parametrize(
    "unpack",
    [
        {},
        {"compression": "rar"},
        {"compression": 5},
        "zip",
        {"compression": "zip", "member": "a"},
        {"compression": "zip", "members": ""},
        {"compression": "zip", "members": ["a"]},
        {"compression": "gzip", "members": "a"},
        {"compression": "gzip", "max_bytes": 0},
        {"compression": "gzip", "max_bytes": "5"},
        {"compression": "gzip", "max_ratio": 0},
        {"compression": "gzip", "max_members": -1},
    ],
)
def test_a_declaration_that_cannot_be_is_refused(unpack: object) -> None:
    with pytest.raises(ConfigurationError):
        Registry()._make("connector", Part("file", {"path": "stock.zip", "unpack": unpack}))


def test_without_the_extra_the_command_is_named(monkeypatch: pytest.MonkeyPatch, context: FetchContext) -> None:
    for package in ("backports", "compression"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=r"inventory-sources\[zstd\]"):
        unpack(PACKERS["zstd"](SMALL), "zstd", context)
