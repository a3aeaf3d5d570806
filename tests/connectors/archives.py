"""Packed files made by hand, byte for byte: what programs write, and what none but an attacker does."""

from __future__ import annotations

import bz2
import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve, frozen
from backports import zstd


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file as Python writes it."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target.getvalue()


def checked_zstd(content: bytes) -> bytes:
    """A frame with a checksum, as the program `zstd` writes it."""
    return zstd.compress(content, options={zstd.CompressionParameter.checksum_flag: 1})


def tarred(content: bytes) -> bytes:
    """A tar file with one file in it."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        member = tarfile.TarInfo("stock.csv")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


def deflated(content: bytes) -> bytes:
    """A bare deflate stream."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


@frozen
class Member:
    """A file in a zip file, of which every field may lie."""

    name: bytes
    packed: bytes
    size: int
    check: int
    method: int = 8
    flags: int = 0
    mode: int = 0
    extra: bytes = b""

    def changed(self, **fields: Any) -> Member:
        return evolve(self, **fields)

    def header(self) -> bytes:
        sizes = (self.check, len(self.packed), self.size)
        fixed = struct.pack("<4s5H3L2H", b"PK\3\4", 20, self.flags, self.method, 0, 33, *sizes, len(self.name), 0)
        return fixed + self.name

    def entry(self, at: int, packed: int | None = None) -> bytes:
        sizes = (self.check, len(self.packed) if packed is None else packed, self.size)
        numbers = (len(self.name), len(self.extra), 0, 0, 0, self.mode << 16, at)
        fixed = struct.pack("<4s2B5H3L5H2L", b"PK\1\2", 20, 3, 20, self.flags, self.method, 0, 33, *sizes, *numbers)
        return fixed + self.name + self.extra


def member(name: str | bytes, content: bytes, **fields: Any) -> Member:
    """A member that tells the truth, apart from `fields`."""
    raw = name.encode() if isinstance(name, str) else name
    return Member(raw, deflated(content), len(content), zlib.crc32(content)).changed(**fields)


def end(count: int, length: int, start: int, comment: bytes = b"") -> bytes:
    """The record at the end of a zip file."""
    return struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, length, start, len(comment)) + comment


def archive(members: Iterable[Member], listed: Iterable[Member] | None = None, comment: bytes = b"") -> bytes:
    """A zip file of these members, whose directory may describe others."""
    members = list(members)
    body, entries = b"", b""
    for true, told in zip(members, members if listed is None else listed, strict=True):
        entries += told.entry(len(body))
        body += true.header() + true.packed
    return body + entries + end(len(members), len(entries), len(body), comment)


def overlapping(count: int, size: int) -> bytes:
    """Members that quote each other's headers and share the bytes of the last (Fifield, "A better zip bomb")."""
    content = b"\0" * size
    last = member(f"{count}.csv", content)
    chain, total = [last], size
    body = last.header() + last.packed
    starts = [len(body)]
    for number in reversed(range(count)):
        quoted = chain[-1].header()
        packed = b"\0" + struct.pack("<2H", len(quoted), len(quoted) ^ 0xFFFF) + body
        total += len(quoted)
        check = _crc_of(quoted, chain[-1])
        chain.append(Member(f"{number}.csv".encode(), packed, total, check))
        body = chain[-1].header() + packed
        starts.append(len(body))
    entries = b"".join(one.entry(len(body) - start) for one, start in zip(chain, starts, strict=True))
    return body + entries + end(len(chain), len(entries), len(body))


def _crc_of(quoted: bytes, following: Member) -> int:
    inflater = zlib.decompressobj(-15)
    return zlib.crc32(inflater.decompress(following.packed), zlib.crc32(quoted))


def directory_of(count: int, told: int) -> bytes:
    """A directory of very many entries, of which the end tells another number."""
    one = member("a.csv", b"")
    body = one.header() + one.packed
    entries = one.entry(0) * count
    return body + entries + end(told, len(entries), len(body))


def zip64_lie() -> bytes:
    """A member whose sizes are those of a zip64 field: 16 EiB."""
    extra = struct.pack("<2H2Q", 1, 16, 2**64 - 1, 2**64 - 1)
    one = member("stock.csv", b"sku,quantity\n")
    told = one.changed(size=0xFFFFFFFF, extra=extra)
    body = one.header() + one.packed
    entries = told.entry(0, packed=0xFFFFFFFF)
    return body + entries + end(1, len(entries), len(body))


def zstd_window(descriptor: int) -> bytes:
    """A frame that asks for a window: 2 to the power of 10 and the upper five bits, and more."""
    raw_block = struct.pack("<I", 1 | (4 << 3))[:3] + b"A,5\n"
    return b"\x28\xb5\x2f\xfd\0" + bytes([descriptor]) + raw_block


def zeros(pack: str, count: int) -> bytes:
    """Very little that stands for very many zeros."""
    return {"gzip": gzip.compress, "bz2": bz2.compress, "zstd": zstd.compress}[pack](b"\0" * count)
