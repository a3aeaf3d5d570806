"""Reading XML: expat tells where elements begin and end, and only what the paths lead to is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, NoReturn
from xml.parsers import expat

import polars as pl
from attrs import define, field

from inventory_sources.batch import RawBatch
from inventory_sources.errors import (
    DecodeError,
    EncodingInvalid,
    HeadingInvalid,
    InputIncomplete,
    InputTooLarge,
    StructureInvalid,
)
from inventory_sources.formats._tally import Damage, Tally, selected
from inventory_sources.formats._xml_paths import Node, PathTree
from inventory_sources.payload import Payload, Proof
from inventory_sources.protocols.decoder import DecodeContext

if TYPE_CHECKING:
    from inventory_sources.formats._xml import XmlDecoder

__all__ = ["RecordReader", "XmlReading"]

_BLOCK_BYTES = 1 << 16
_BATCH_RECORDS = 50_000
_MOST_NAMES = 16_384
_NIL = "http://www.w3.org/2001/XMLSchema-instance nil"
_CODES = expat.errors.codes
#: What expat finds at the end of the front part of a good document.
_CUT = {
    _CODES[text]
    for text in (
        expat.errors.XML_ERROR_NO_ELEMENTS,
        expat.errors.XML_ERROR_UNCLOSED_TOKEN,
        expat.errors.XML_ERROR_PARTIAL_CHAR,
        expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION,
    )
}
_ENCODING = _CODES[expat.errors.XML_ERROR_INCORRECT_ENCODING]

Row = list[str | None]
#: By column: the reason's code, and what is wrong.
Faults = dict[int, tuple[str, str]]


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


@define
class RecordReader:
    """Takes bytes of a document and gives its records.

    :param records: those finished since they were last taken: number, line, cells by column, and the columns' faults.
    :param count: of records begun.
    :param root: the root element's local name.
    :param met: the columns that stood anywhere.
    :param deepest: the element names, from the root on, that led furthest towards the records.
    """

    decoder: XmlDecoder
    tree: PathTree
    records: list[tuple[int, int, Row, Faults]] = field(factory=list)
    count: int = 0
    root: str = ""
    met: set[int] = field(factory=set)
    deepest: list[str] = field(factory=list)
    _parser: expat.XMLParserType = field(init=False)
    _path: list[Node | None] = field(init=False)
    _names: set[str] = field(factory=set)
    _document: Row = field(init=False)
    _row: Row = field(init=False)
    _faults: Faults = field(factory=dict)
    _filled: set[int] = field(factory=set)
    _line: int = 0
    _text: list[str] | None = None
    _chars: int = 0
    _fed: int = 0

    def __attrs_post_init__(self) -> None:
        self._path = [self.tree.top]
        self._document = self._row = [None] * len(self.tree.columns)
        parser = self._parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._take_text
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.StartNamespaceDeclHandler = self._take_namespace

    @property
    def ended(self) -> bool:
        """Whether the root element is closed."""
        return bool(self._names) and len(self._path) == 1

    @property
    def line(self) -> int:
        """Of the document, where the reader is."""
        return self._parser.CurrentLineNumber

    def feed(self, data: bytes, *, last: bool) -> None:
        """Reads on.

        :raises expat.ExpatError: where it is no XML.
        :raises EncodingInvalid: for an encoding that is not known, or not one of single bytes, UTF-8 or UTF-16.
        :raises InputTooLarge: when a cap is passed.
        :raises StructureInvalid: for a document type declaration, or a field of the document out of place.
        """
        self._fed += len(data)
        try:
            self._parser.Parse(data, last)
        except (LookupError, ValueError) as error:  # what expat leaves to Python's codecs
            raise EncodingInvalid(
                f"the encoding that the document declares cannot be read ({error})", guidance="Have it sent in UTF-8."
            ) from None
        if not last and self._fed - self._parser.CurrentByteIndex > self.decoder.max_token_bytes + len(data):
            raise InputTooLarge(f"line {self.line}: a tag is longer than {self.decoder.max_token_bytes} bytes")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        path = self._path
        if len(path) > self.decoder.max_depth:
            raise InputTooLarge(f"line {self.line}: elements are nested more than {self.decoder.max_depth} deep")
        if name not in self._names:
            self._note_name(name)
        if attributes and not self._names.issuperset(attributes):
            self._note_names(attributes)
        above = path[-1]
        node = above.child(name) if above is not None else None
        path.append(node)
        if above is not None and above.column is not None:
            self._fault(above.column, "cell_type", "holds elements")
        if node is None:
            self.root = self.root or _local(name)
            return
        if node.is_record:
            self._begin_record()
        elif not self.count and len(path) > len(self.deepest) + 1:
            self.deepest = [step.name for step in path[1:] if step]
        if attributes and node.attributes:
            self._take_attributes(node, attributes)
        if node.column is not None:
            self._claim(node.column)
            nil = attributes and attributes.get(_NIL) in ("true", "1")
            self._text, self._chars = None if nil else [], 0

    def _begin_record(self) -> None:
        self.count += 1
        self._line = self.line
        self._row, self._faults, self._filled = self._document.copy(), {}, set()

    def _take_attributes(self, node: Node, attributes: Mapping[str, str]) -> None:
        for name, value in attributes.items():
            column = node.columns(name)
            if column is not None:
                self._claim(column)
                self._row[column] = value

    def _claim(self, column: int) -> None:
        """Notes that a column is filled now: each may be once, and one of the document before the first record."""
        again = column in self._filled
        self._filled.add(column)
        self.met.add(column)
        if again:
            self._fault(column, "field_repeated", "stands more than once")
        elif self.count and column in self.tree.of_document:
            self._fault(column, "field_repeated", "stands behind a record")

    def _fault(self, column: int, reason: str, fault: str) -> None:
        if column in self.tree.of_document:
            raise StructureInvalid(f"line {self.line}: the document's field {self.tree.columns[column]!r} {fault}")
        self._faults.setdefault(column, (reason, fault))

    def _take_text(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)
            self._chars += len(text)
            if self._chars > self.decoder.max_cell_chars:
                raise InputTooLarge(f"line {self.line}: a cell is longer than {self.decoder.max_cell_chars} characters")

    def _end(self, name: str) -> None:
        node = self._path.pop()
        if node is None:
            return
        if node.column is not None:
            if self._text is not None:
                self._row[node.column] = "".join(self._text)
            self._text = None
        if node.is_record:
            self.records.append((self.count, self._line, self._row, self._faults))
            self._row = self._document

    def _note_names(self, names: Iterable[str]) -> None:
        for name in names:
            self._note_name(name)

    def _note_name(self, name: str) -> None:
        # expat keeps every name that it has met.
        self._names.add(name)
        if len(self._names) > _MOST_NAMES:
            raise InputTooLarge(f"line {self.line}: there are more than {_MOST_NAMES} different names")

    def _take_namespace(self, prefix: str | None, uri: str | None) -> None:
        self._note_name(f"xmlns:{prefix or ''}={uri or ''}")

    def _refuse_doctype(self, *_: object) -> NoReturn:
        raise StructureInvalid(
            f"line {self.line}: the document has a document type declaration, which could hold or load entities",
            guidance="Have it sent without <!DOCTYPE>.",
        )


@define
class XmlReading:
    """One payload on its way through a decoder.

    :param judge: tells why a record with these cells (by column) must not be used, if so: a reason, what is wrong and
        what to do.
    """

    decoder: XmlDecoder
    payload: Payload
    context: DecodeContext
    judge: Callable[[Mapping[str, str | None]], tuple[str, str, str] | None] | None = None
    _tally: Tally = field(init=False)
    _reader: RecordReader = field(init=False)
    _wanted: dict[str, int] = field(factory=dict)

    def batches(self) -> Iterator[RawBatch]:
        """The records, some thousand at a time."""
        decoder = self.decoder
        self._tally = Tally(self.payload, self.context, "record")
        tree = PathTree.of(decoder.records, decoder.fields, decoder.namespaces)
        self._wanted = {name: tree.columns.index(name) for name in selected(self.context, tree.columns)}
        self._reader = RecordReader(decoder, tree)
        for _ in self._pieces():
            if len(self._reader.records) >= _BATCH_RECORDS:
                yield self._batch()
        self.context.prove(Proof.TRAILER)
        if not self._reader.count:
            raise self._nowhere()
        yield self._batch()
        if missing := [name for name, column in self._wanted.items() if column not in self._reader.met]:
            raise HeadingInvalid(f"no record has {', '.join(f'{name!r} ({decoder.fields[name]})' for name in missing)}")
        self._tally.finish()

    def _pieces(self) -> Iterator[None]:
        """Reads the document piece by piece."""
        with self.payload.open() as stream:
            data = stream.read(_BLOCK_BYTES)
            if not data:
                raise StructureInvalid("the document is empty", guidance="Check the system that sends it.")
            try:
                while data:
                    self._reader.feed(data, last=False)
                    self.context.checkpoint()
                    yield
                    data = stream.read(_BLOCK_BYTES)
                self._reader.feed(b"", last=True)
            except expat.ExpatError as error:
                raise self._fault(error) from None

    def _fault(self, error: expat.ExpatError) -> DecodeError:
        where, what = f"line {error.lineno}, column {error.offset + 1}", expat.ErrorString(error.code)
        if (error.code in _CUT or self._reader.ended) and not self.context.evidence.proves_end:
            return InputIncomplete("the document does not end where it should, and may still be growing")
        if error.code == _ENCODING:
            return EncodingInvalid(f"{where}: the document is not in the encoding that it declares")
        return StructureInvalid(
            f"{where}: this is not XML ({what})",
            guidance="If the place holds a letter with an accent, the document declares another encoding than it has.",
        )

    def _nowhere(self) -> StructureInvalid:
        way = self._reader.deepest
        found = f"the way leads to {'/'.join(way)}" if way else f"the root element is {self._reader.root!r}"
        return StructureInvalid(f"there is no record at {self.decoder.records!r}: {found}")

    def _batch(self) -> RawBatch:
        good, numbers = [], []
        for number, line, row, faults in self._reader.records:
            damage = self._damage(number, line, row, faults)
            if damage is None:
                good.append(row)
                numbers.append(number)
            else:
                self._tally.reject(damage)
        self._reader.records = []
        columns = list(zip(*good, strict=True)) if good else [()] * len(self._reader.tree.columns)
        frame = pl.DataFrame([pl.Series(name, columns[at], dtype=pl.String) for name, at in self._wanted.items()])
        cells = partial(self._cells, dict(zip(numbers, good, strict=True)))
        return self._tally.batch(frame, pl.Series(numbers, dtype=pl.Int64), cells)

    def _cells(self, rows: Mapping[int, Row], number: int) -> dict[str, str | None]:
        return self._named(rows[number])

    def _named(self, row: Row) -> dict[str, str | None]:
        return dict(zip(self._reader.tree.columns, row, strict=True))

    def _damage(self, number: int, line: int, row: Row, faults: Faults) -> Damage | None:
        for name, column in self._wanted.items() if faults else ():
            if column in faults:
                reason, fault = faults[column]
                message = f"record {number} (line {line}): {name!r} {fault}"
                return Damage(number, reason, message, "Give the path of one value in each record.", self._named(row))
        found = self.judge(self._named(row)) if self.judge else None
        if found is None:
            return None
        reason, message, guidance = found
        return Damage(number, reason, f"record {number} (line {line}): {message}", guidance, self._named(row))
