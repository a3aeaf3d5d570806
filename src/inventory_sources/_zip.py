"""Zip files (PKWARE APPNOTE 6.3), read strictly and with caps: what one claims is believed once it was unpacked.

Where a zip file contradicts itself, readers differ in what they take for its content; so such a file is refused. Names
in it are text to compare and to show, never a path on this machine.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from attrs import define, evolve, field, frozen

from inventory_sources.errors import InputTooLarge, StructureInvalid

__all__ = ["ZIP_MAGIC", "ZipArchive", "ZipDirectory", "ZipMember", "find_directory", "shown_name"]

ZIP_MAGIC = b"PK\3\4"

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s2B5H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_EXTRA = struct.Struct("<2H")
_SIZES64 = struct.Struct("<2Q")

_MOST_COMMENT = 0xFFFF
_FULL = 0xFFFFFFFF
_ENCRYPTED, _SIZES_FOLLOW, _UTF8 = 1, 1 << 3, 1 << 11
_STORED, _DEFLATED = 0, 8
_UNIX = 3

_LEAST_DIRECTORY_CAP = 1 << 20
_NAME_BYTES = 512
_PIECE = 1 << 20
#: A small file may be as repetitive as it likes.
_FREE_BYTES = 8 << 20
_SHOWN = 100


def shown_name(name: str) -> str:
    """A member's name as it may stand in a message: short, and without characters that do not print."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name[:_SHOWN])
    return f"{text}…" if len(name) > _SHOWN else text


@frozen
class ZipMember:
    """A file in a zip file, as its directory describes it.

    :param packed: bytes in the zip file.
    :param size: bytes once unpacked.
    :param at: where its header is, and in an archive where its bytes are.
    """

    name: str
    raw_name: bytes = field(repr=False)
    flags: int
    method: int
    check: int
    packed: int
    size: int
    mode: int
    at: int

    @property
    def is_folder(self) -> bool:
        """Whether it stands for a folder alone."""
        return self.name.endswith("/") and not self.size

    @property
    def fault(self) -> str | None:
        """Why it cannot be unpacked, if so."""
        if self.flags & _ENCRYPTED:
            return "is encrypted"
        if self.method not in (_STORED, _DEFLATED):
            return f"is packed by method {self.method}, which is not read"
        if stat.S_ISLNK(self.mode):
            return "is a link"
        return None


@frozen
class ZipDirectory:
    """Where the directory of a zip file is, from the record at the file's end."""

    count: int
    length: int
    start: int


def find_directory(stream: BinaryIO, called: str) -> ZipDirectory | None:
    """What the record at the file's end says; ``None`` where the end is not there, or not that of the whole file.

    :param called: the zip file's name in errors.
    :raises StructureInvalid: when the file goes on behind its end, has more than one, or needs the zip64 format.
    """
    size = stream.seek(0, 2)
    base = max(0, size - _END.size - _MOST_COMMENT)
    stream.seek(base)
    tail = stream.read()
    found, beyond = [], False
    at = tail.find(b"PK\5\6")
    while 0 <= at <= len(tail) - _END.size:
        *_, length, start, comment = _END.unpack_from(tail, at)
        end = at + _END.size + comment
        if end == len(tail):
            found.append((base + at, tail[at:end]))
        elif end < len(tail) and start + length == base + at:
            beyond = True
        at = tail.find(b"PK\5\6", at + 4)
    if len(found) > 1 or beyond:
        raise StructureInvalid(f"{called} has bytes behind the end of its directory, or two ends")
    return _directory(stream, *found[0], called) if found else None


def _directory(stream: BinaryIO, at: int, record: bytes, called: str) -> ZipDirectory | None:
    _, disk, first_disk, here, count, length, start, _ = _END.unpack_from(record)
    if count == 0xFFFF or _FULL in (length, start):
        raise _zip64(called)
    if disk or first_disk or here != count:
        raise StructureInvalid(f"{called} is a part of a zip file that was split")
    directory = ZipDirectory(count, length, start)
    end = start + length
    if end == at - _END64.size - _LOCATOR.size and _repeats(stream, end, directory):
        return directory
    return directory if end == at else None


def _repeats(stream: BinaryIO, at: int, directory: ZipDirectory) -> bool:
    """Whether the zip64 record there, which programs that pack a stream write in any case, says the same."""
    stream.seek(at)
    data = stream.read(_END64.size + _LOCATOR.size)
    mark, size, _, _, _, _, here, count, length, start = _END64.unpack_from(data)
    locator, _, record, _ = _LOCATOR.unpack_from(data, _END64.size)
    return (mark, size, locator, record) == (b"PK\6\6", _END64.size - 12, b"PK\6\7", at) and (
        here == count and ZipDirectory(count, length, start) == directory
    )


@define
class ZipArchive:
    """The members of a zip file, each unpacked no further than its declared size.

    :param called: its name in errors.
    :param max_members: more are refused.
    :param max_bytes: of members that are unpacked together.
    :param max_ratio: of unpacked to packed bytes; 8 MiB may stand for as few bytes as they like.
    :raises StructureInvalid: when the directory is damaged, or it and the headers contradict each other.
    :raises InputTooLarge: when there are more members, or their names are very long.
    """

    stream: BinaryIO
    directory: ZipDirectory
    called: str
    max_members: int
    max_bytes: int
    max_ratio: float
    members: dict[str, ZipMember] = field(init=False)

    def __attrs_post_init__(self) -> None:
        listed = list(self._listed())
        self.members = {member.name: member for member in self._located(listed)}
        if len(self.members) != len(listed):
            raise StructureInvalid(f"{self.called} has two members of the same name")

    def check(self, members: Iterable[ZipMember]) -> None:
        """Looks at whether these members can be unpacked, and how large they say that they are together.

        :raises StructureInvalid: for one that is encrypted, a link or packed by another method.
        :raises InputTooLarge: when they say that they pass the caps.
        """
        packed = size = 0
        for member in members:
            if member.fault and not member.is_folder:
                raise StructureInvalid(f"{self.called}: member {shown_name(member.name)!r} {member.fault}")
            packed, size = packed + member.packed, size + member.size
        if size > self.max_bytes:
            raise InputTooLarge(f"{self.called} unpacks to more than {self.max_bytes} bytes")
        if size > max(_FREE_BYTES, self.max_ratio * packed):
            raise InputTooLarge(f"{self.called} unpacks to more than {self.max_ratio:g} times its size")

    def pieces(self, name: str) -> Iterator[bytes]:
        """A member's bytes.

        :raises StructureInvalid: when they are damaged, or not as many as the directory says.
        """
        member = self.members[name]
        count, check = 0, 0
        try:
            for piece in self._unpacked(member):
                count += len(piece)
                if count > member.size:
                    break
                check = zlib.crc32(piece, check)
                yield piece
        except zlib.error:
            count = -1
        if count != member.size or check != member.check:
            raise StructureInvalid(
                f"{self.called}: member {shown_name(name)!r} is damaged, or not of the size that it claims"
            )

    def read(self, name: str, most: int) -> bytes:
        """A small member whole.

        :raises InputTooLarge: when it is larger than ``most`` bytes.
        """
        if name not in self.members:
            raise StructureInvalid(f"{self.called} has no member {shown_name(name)!r}")
        if self.members[name].size > most:
            raise InputTooLarge(f"{self.called}: member {shown_name(name)!r} is larger than {most} bytes")
        return b"".join(self.pieces(name))

    def _listed(self) -> Iterator[ZipMember]:
        """The members by the directory, ``at`` their headers."""
        count, length = self.directory.count, self.directory.length
        if count > self.max_members or length > max(_LEAST_DIRECTORY_CAP, self.max_members * _NAME_BYTES):
            raise InputTooLarge(f"{self.called} has more than {self.max_members} members, or too long names of them")
        self.stream.seek(self.directory.start)
        data = self.stream.read(length)
        at = 0
        for _ in range(count):
            if len(data) - at < _ENTRY.size or data[at : at + 4] != b"PK\1\2":
                raise self._damaged()
            _, _, system, _, flags, method, _, _, check, packed, size, *lengths, _, _, mode, header = (
                _ENTRY.unpack_from(data, at)
            )
            raw = data[at + _ENTRY.size :][: lengths[0]]
            at += _ENTRY.size + sum(lengths)
            if _FULL in (packed, size, header):
                raise _zip64(self.called)
            name = raw.decode("utf-8" if flags & _UTF8 else "cp437", "backslashreplace")
            unix_mode = mode >> 16 if system == _UNIX else 0
            yield ZipMember(name, raw, flags, method, check, packed, size, unix_mode, header)
        if at != len(data):
            raise self._damaged()

    def _located(self, listed: list[ZipMember]) -> Iterator[ZipMember]:
        """The members, ``at`` their bytes.

        Members that share bytes are how 10 MB come to stand for 281 TB (Fifield, "A better zip bomb", 2019).
        """
        free = 0
        for member in sorted(listed, key=lambda one: one.at):
            at = self._bytes_at(member)
            if member.at < free or at + member.packed > self.directory.start:
                raise StructureInvalid(f"{self.called} has members that overlap")
            free = at + member.packed
            yield evolve(member, at=at)

    def _bytes_at(self, member: ZipMember) -> int:
        self.stream.seek(member.at)
        header = self.stream.read(_LOCAL.size)
        if len(header) < _LOCAL.size or not header.startswith(ZIP_MAGIC):
            raise self._damaged()
        fields: tuple[int, ...] = _LOCAL.unpack(header)[2:]
        flags, method, _, _, check, packed, size, name, extra = fields
        rest = self.stream.read(name + extra)
        claims = (check, *(_sizes64(rest[name:]) if _FULL in (packed, size) else (size, packed)))
        known = (member.check, member.size, member.packed)
        told = claims == known
        if flags & _SIZES_FOLLOW:  # written before the bytes, it has zeros for what was known only behind them
            told = all(claim in (0, true) for claim, true in zip(claims, known, strict=True))
        same = (method, flags & _ENCRYPTED, rest[:name]) == (member.method, member.flags & _ENCRYPTED, member.raw_name)
        if not told or not same:
            shown = shown_name(member.name)
            raise StructureInvalid(
                f"{self.called}: the directory and the header of member {shown!r} contradict each other"
            )
        return member.at + _LOCAL.size + name + extra

    def _unpacked(self, member: ZipMember) -> Iterator[bytes]:
        """The bytes of a member, without belief in their number."""
        inflater = zlib.decompressobj(-15) if member.method == _DEFLATED else None
        at, left = member.at, member.packed
        while left:
            self.stream.seek(at)
            packed = self.stream.read(min(left, _PIECE))
            if not packed or (inflater and inflater.eof):
                raise zlib.error
            at, left = at + len(packed), left - len(packed)
            yield from _inflated(inflater, packed) if inflater else (packed,)
        if inflater and member.packed and (not inflater.eof or inflater.unused_data):
            raise zlib.error

    def _damaged(self) -> StructureInvalid:
        return StructureInvalid(f"the directory of {self.called} is damaged")


def _zip64(called: str) -> StructureInvalid:
    return StructureInvalid(
        f"{called} is a zip64 file, for more than 65535 members or 4 GiB, which is not read",
        guidance="Have it packed as several files.",
    )


def _sizes64(extra: bytes) -> tuple[int, int]:
    """Size and packed size by the zip64 field of a member's header; less than nothing where there is none."""
    at = 0
    while at + _EXTRA.size <= len(extra):
        kind, length = _EXTRA.unpack_from(extra, at)
        at += _EXTRA.size
        if kind == 1 and length >= _SIZES64.size and at + _SIZES64.size <= len(extra):
            size, packed = _SIZES64.unpack_from(extra, at)
            return size, packed
        at += length
    return -1, -1


def _inflated(inflater: zlib._Decompress, packed: bytes) -> Iterator[bytes]:
    while packed or not inflater.eof:
        piece = inflater.decompress(packed, _PIECE)
        packed = inflater.unconsumed_tail
        if not piece:
            return
        yield piece
