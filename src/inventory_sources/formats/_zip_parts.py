"""Zip files (PKWARE APPNOTE 6.3) read with caps: what the directory says of a part is believed once it was unpacked."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from attrs import define, field

from inventory_sources.errors import InputTooLarge, StructureInvalid

__all__ = ["ZipParts", "ends_whole"]

_END = struct.Struct("<4s4H2LH")
_LOCAL = struct.Struct("<4s5H3L2H")
_MOST_PARTS = 4096
_MOST_DIRECTORY_BYTES = 1 << 20
_PIECE = 1 << 20
#: A small file may be as repetitive as it likes.
_FREE_BYTES = 8 << 20


def _size(stream: BinaryIO) -> int:
    return stream.seek(0, 2)


def ends_whole(stream: BinaryIO) -> bool:
    """Whether the file ends with the record that ends a zip file's directory, and that fits the file's size."""
    size = _size(stream)
    if size < _END.size:
        return False
    stream.seek(size - _END.size)
    mark, *_, length, start, comment = _END.unpack(stream.read(_END.size))
    return mark == b"PK\5\6" and not comment and start + length + _END.size == size


@define
class ZipParts:
    """The parts of a zip file, each unpacked no further than the caps allow."""

    stream: BinaryIO
    max_bytes: int
    max_ratio: int
    parts: dict[str, zipfile.ZipInfo] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._check_directory()
        try:
            with zipfile.ZipFile(self.stream) as archive:
                found = archive.infolist()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
            raise StructureInvalid("the workbook's directory of parts is damaged") from None
        self.parts = {info.orig_filename: info for info in found}
        if len(self.parts) != len(found):
            raise StructureInvalid("the workbook has two parts of the same name")
        for info in found:
            if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise StructureInvalid(f"the workbook's part {info.orig_filename!r} is encrypted or oddly packed")
        self._check_size(sum(info.file_size for info in found))

    def _check_directory(self) -> None:
        size = _size(self.stream)
        self.stream.seek(max(0, size - _END.size - 20))
        tail = self.stream.read()
        _, _, _, _, count, length, _, _ = _END.unpack(tail[-_END.size :])
        if tail.startswith(b"PK\6\7") or count > _MOST_PARTS or length > _MOST_DIRECTORY_BYTES:
            raise InputTooLarge(f"the workbook has more than {_MOST_PARTS} parts, or too long names of them")

    def _check_size(self, unpacked: int) -> None:
        if unpacked > self.max_bytes:
            raise InputTooLarge(f"the workbook unpacks to more than {self.max_bytes} bytes")
        if unpacked > _FREE_BYTES and unpacked > self.max_ratio * _size(self.stream):
            raise InputTooLarge(f"the workbook unpacks to more than {self.max_ratio} times its size")

    def pieces(self, name: str) -> Iterator[bytes]:
        """A part's bytes.

        :raises StructureInvalid: when they are damaged, or not as many as the directory says.
        """
        info = self.parts[name]
        count, check = 0, 0
        for piece in self._unpacked(info):
            count += len(piece)
            check = zlib.crc32(piece, check)
            if count > info.file_size:
                break
            yield piece
        if count != info.file_size or check != info.CRC:
            raise StructureInvalid(f"the workbook's part {name!r} is damaged, or not of the size that it claims")

    def _unpacked(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        """The bytes of a part, without belief in their number."""
        self.stream.seek(info.header_offset)
        header = self.stream.read(_LOCAL.size)
        if len(header) < _LOCAL.size or not header.startswith(b"PK\3\4"):
            raise StructureInvalid(f"the workbook's part {info.orig_filename!r} is not where it should be")
        *_, name, extra = _LOCAL.unpack(header)
        at, left = info.header_offset + _LOCAL.size + name + extra, info.compress_size
        inflater = None if info.compress_type == zipfile.ZIP_STORED else zlib.decompressobj(-15)
        packed = b""
        while packed or left:
            if not packed:
                self.stream.seek(at)
                packed = self.stream.read(min(left, _PIECE))
                at, left = at + len(packed), left - len(packed) if packed else 0
            if inflater is None:
                yield packed
                packed = b""
                continue
            try:
                piece = inflater.decompress(packed, _PIECE)
            except zlib.error:
                return
            packed = inflater.unconsumed_tail
            yield piece
            if inflater.eof:
                return
        if inflater is not None:
            yield inflater.flush()

    def read(self, name: str, most: int) -> bytes:
        """A small part whole.

        :raises InputTooLarge: when it is larger than ``most`` bytes.
        """
        if name not in self.parts:
            raise StructureInvalid(f"the workbook has no part {name!r}")
        if self.parts[name].file_size > most:
            raise InputTooLarge(f"the workbook's part {name!r} is larger than {most} bytes")
        return b"".join(self.pieces(name))
