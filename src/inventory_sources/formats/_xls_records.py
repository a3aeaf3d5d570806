"""What an XLS workbook would take to open, and which of its cells hold errors: read from its records beforehand.

The container is [MS-CFB], the records are [MS-XLS]'s.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from itertools import accumulate
from typing import TYPE_CHECKING, BinaryIO

from attrs import define, field

from inventory_sources.errors import DecodeError, InputIncomplete, InputTooLarge, StructureInvalid

if TYPE_CHECKING:
    from inventory_sources.formats.spreadsheet import SpreadsheetDecoder

__all__ = ["check_xls"]

_FREE = 0xFFFFFFFA  # from here on numbers are no sectors
_MOST_ROWS, _MOST_COLUMNS = 65_536, 256
_BOF, _EOF, _FORMULA, _BOUNDSHEET, _FILEPASS = 0x0809, 0x000A, 0x0006, 0x0085, 0x002F
_DIMENSIONS, _BOOLERR, _LABELSST, _SST, _CONTINUE = 0x0200, 0x0205, 0x00FD, 0x00FC, 0x003C
_CELLS = {_FORMULA, _BOOLERR, _LABELSST, 0x0203, 0x0204, 0x00D6, 0x027E, 0x00BD}


#: Cells, one behind the other, that hold no error and stand in the first columns: LABELSST, RK and NUMBER.
_PLAIN_COLUMNS = 32
_PLAIN_SIZES = (14, 18)
_PLAIN = re.compile(rb"(?s)(?:(?:\xfd\0|\x7e\x02)\x0a\0..[\0-\x1f]\0.{6}|\x03\x02\x0e\0..[\0-\x1f]\0.{10}){1,8192}+")


def _numbers(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4])


@define
class _Container:
    """The streams of a compound file."""

    data: bytes
    size: int = field(init=False)
    table: list[int] = field(factory=list)
    streams: dict[str, bytes] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.size = 1 << (struct.unpack_from("<H", self.data, 30)[0] & 15)
        (first,) = struct.unpack_from("<I", self.data, 48)
        cutoff, small_first, _, more_first, _ = struct.unpack_from("<5I", self.data, 56)
        tables = [at for at in _numbers(self.data[76:512]) if at < _FREE]
        for _ in range(len(self.data) // self.size + 1):
            if more_first >= _FREE:
                break
            *found, more_first = _numbers(self._sector(more_first))
            tables += [at for at in found if at < _FREE]
        for at in tables[: len(self.data) // self.size + 1]:
            self.table.extend(_numbers(self._sector(at)))
        entries = self._chain(first)
        small = _numbers(self._chain(small_first)) if small_first < _FREE else ()
        self._read_entries(entries, cutoff, small)

    def _sector(self, at: int) -> bytes:
        begin = (at + 1) * self.size
        if begin + self.size > len(self.data) and (begin >= len(self.data) or self.size > 4096):
            raise IndexError
        return self.data[begin : begin + self.size]

    def _chain(self, at: int) -> bytes:
        sectors: list[bytes] = []
        while at < _FREE:
            if len(sectors) > len(self.table):
                raise IndexError
            sectors.append(self._sector(at))
            at = self.table[at]
        return b"".join(sectors)

    def _read_entries(self, entries: bytes, cutoff: int, small: tuple[int, ...]) -> None:
        mini = b""
        for begin in range(0, len(entries) - 127, 128):
            entry = entries[begin : begin + 128]
            length, kind = struct.unpack_from("<HB", entry, 64)
            first, size = struct.unpack_from("<II", entry, 116)
            name = entry[: max(0, min(length, 64) - 2)].decode("utf-16-le", "replace")
            if kind == 5:
                mini = self._chain(first) if first < _FREE else b""
            elif kind == 2 and name in ("Workbook", "Book", "EncryptedPackage"):
                found = self._chain(first) if size >= cutoff else _small(mini, small, first)
                if len(found) < size:
                    raise IndexError
                self.streams[name] = found[:size]


def _small(mini: bytes, table: tuple[int, ...], at: int) -> bytes:
    pieces: list[bytes] = []
    while at < _FREE:
        if len(pieces) > len(table):
            raise IndexError
        pieces.append(mini[at * 64 : at * 64 + 64])
        at = table[at]
    return b"".join(pieces)


@define
class _Sheet:
    """What one sheet's records span and hold."""

    height: int = 0
    width: int = 0
    values: int = 0
    errors: set[tuple[int, int]] = field(factory=set)
    ended: bool = False

    def take_plain(self, size: int) -> None:
        """Takes in so many bytes of plain cells: the most that they can span, the least that they can be."""
        self.values += size // max(_PLAIN_SIZES)
        self.height, self.width = _MOST_ROWS, max(self.width, _PLAIN_COLUMNS)

    def take(self, kind: int, data: bytes) -> None:
        """Takes in a record."""
        if kind == _DIMENSIONS and len(data) >= 12:
            _, rows, _, columns = struct.unpack_from("<IIHH", data)
            if rows > _MOST_ROWS or columns > _MOST_COLUMNS:
                raise InputTooLarge("a sheet claims more rows or columns than an XLS workbook can have")
        if kind not in _CELLS or len(data) < 6:
            return
        row, column = struct.unpack_from("<HH", data)
        self.values += (len(data) - 6) // 6 if kind == 0x00BD else 1
        last = column if kind != 0x00BD else struct.unpack_from("<H", data, len(data) - 2)[0]
        self.height, self.width = max(self.height, row + 1), max(self.width, last + 1)
        if (kind == _BOOLERR and data[7:8] == b"\1") or (
            kind == _FORMULA and data[12:14] == b"\xff\xff" and data[6:7] == b"\2"
        ):
            self.errors.add((row + 1, column + 1))


@define
class _Book:
    """The sheets of a workbook's stream by their offset, and by name.

    :param exact: whether plain cells are looked at one by one, rather than taken for the most that they can be.
    :param uses: how often each shared text is used, as far as it is known.
    :param plain: how many more times shared texts may be used.
    """

    exact: bool
    sheets: dict[int, _Sheet] = field(factory=dict)
    names: dict[str, int] = field(factory=dict)
    uses: dict[int, int] = field(factory=dict)
    plain: int = 0
    shared: list[bytes] = field(factory=list)
    _open: list[int] = field(factory=list)

    def read(self, data: bytes) -> None:
        """Takes in all records."""
        at, before = 0, 0
        while at + 4 <= len(data):
            if self._open and not self.exact and (run := _PLAIN.match(data, at)):
                size, at = run.end() - at, run.end()
                self.sheets[self._open[-1]].take_plain(size)
                self.plain += size // min(_PLAIN_SIZES)
                continue
            kind, length = struct.unpack_from("<HH", data, at)
            self._take(at, kind if kind != _CONTINUE or before != _SST else _SST, data[at + 4 : at + 4 + length])
            before = before if kind == _CONTINUE else kind
            at += 4 + length

    def _take(self, at: int, kind: int, content: bytes) -> None:
        if kind == _BOF:
            self._open.append(at)
            self.sheets.setdefault(at, _Sheet())
        elif kind == _EOF and self._open:
            self.sheets[self._open.pop()].ended = True
        elif kind == _FILEPASS:
            raise StructureInvalid("the workbook is encrypted", guidance="Have it sent without a password.")
        elif kind == _BOUNDSHEET and len(content) > 8:
            self.names[_name(content)] = struct.unpack_from("<I", content)[0]
        elif kind == _SST:
            self.shared.append(content)
        elif self._open:
            self.sheets[self._open[-1]].take(kind, content)
            if kind == _LABELSST and len(content) >= 10:
                (index,) = struct.unpack_from("<I", content, 6)
                self.uses[index] = self.uses.get(index, 0) + 1

    def check(self, most_cells: int, most_bytes: int) -> None:
        """Refuses what would take too much to open."""
        for sheet in self.sheets.values():
            if sheet.height * sheet.width > min(most_cells, 1_000_000 + 16 * sheet.values):
                raise InputTooLarge(
                    f"a sheet spans {sheet.height * sheet.width} cells of which {sheet.values} are filled"
                )
        longest = min(sum(map(len, self.shared)), 2 * 32_767)
        if longest * (sum(self.uses.values()) + self.plain) > most_bytes:
            sizes = _text_sizes(self.shared)
            known = sum(times * sizes[at] for at, times in self.uses.items() if at < len(sizes))
            if known + self.plain * max(sizes, default=0) > most_bytes:
                raise InputTooLarge(f"the texts of the sheets come to more than {most_bytes} bytes")


def _checked(data: bytes, decoder: SpreadsheetDecoder) -> _Book:
    """A workbook that is not too large: one that seems so at a glance is read again, cell by cell."""
    for exact in (False, True):
        book = _Book(exact)
        book.read(data)
        try:
            book.check(decoder.max_cells, decoder.max_decoded_bytes)
        except InputTooLarge:
            if exact:
                raise
        else:
            break
    return book


def _name(content: bytes) -> str:
    length, wide = content[6], content[7] & 1
    return content[8 : 8 + length * (1 + wide)].decode("utf-16-le" if wide else "latin-1", "replace")


def _text_sizes(pieces: list[bytes]) -> list[int]:
    """The number of characters of each shared text; those that run on into another record begin it with a flag."""
    sizes: list[int] = []
    data, bounds = b"".join(pieces), list(accumulate(map(len, pieces)))
    at, bound = 8, 0
    while at + 3 <= len(data):
        count, flags = struct.unpack_from("<HB", data, at)
        at += 3
        if at > bound:
            bound = bounds[bisect_left(bounds, at)]
        if flags < 2 and at + (count << flags) <= bound:  # plain text, as nearly all are
            at += count << flags
            sizes.append(count)
            continue
        runs = struct.unpack_from("<H", data, at)[0] if flags & 8 else 0
        at += 2 if flags & 8 else 0
        extra = struct.unpack_from("<I", data, at)[0] if flags & 4 else 0
        at += 4 if flags & 4 else 0
        left, width = count, 1 + (flags & 1)
        while left:
            end = bounds[bisect_right(bounds, at)] if at < len(data) else at
            taken = min(left, (end - at) // width)
            at, left = at + taken * width, left - taken
            if left:
                if at >= len(data):
                    raise IndexError
                width, at = 1 + (data[end] & 1), end + 1
        at += 4 * runs + extra
        sizes.append(count)
    return sizes


def check_xls(stream: BinaryIO, decoder: SpreadsheetDecoder, *, proven: bool) -> Callable[[str], set[tuple[int, int]]]:
    """Refuses a workbook that would take too much to open; gives what tells the error cells of a sheet by its name.

    :raises StructureInvalid: when it is damaged or encrypted.
    :raises InputIncomplete: when its end is missing and ``proven`` is not given.
    :raises InputTooLarge: when a cap is passed.
    """
    stream.seek(0)
    data = stream.read(decoder.max_decoded_bytes + 1)
    if len(data) > decoder.max_decoded_bytes:
        raise InputTooLarge(f"the workbook has more than {decoder.max_decoded_bytes} bytes")
    try:
        streams = _Container(data).streams
        if "EncryptedPackage" in streams:
            raise StructureInvalid("the workbook is encrypted", guidance="Have it sent without a password.")
        book = _checked(streams["Workbook"] if "Workbook" in streams else streams["Book"], decoder)
    except (IndexError, KeyError, struct.error):
        raise _damaged(proven=proven) from None
    if not book.names or not all(at in book.sheets and book.sheets[at].ended for at in book.names.values()):
        raise _damaged(proven=proven)
    return lambda name: book.sheets[book.names[name]].errors if name in book.names else set()


def _damaged(*, proven: bool) -> DecodeError:
    if proven:
        return StructureInvalid("the workbook is damaged, or no XLS workbook of Excel 97 or later")
    return InputIncomplete("the workbook is not all there, and may still be growing")
