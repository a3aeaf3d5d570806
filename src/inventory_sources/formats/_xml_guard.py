"""An XML parser that refuses what could harm: declarations of entities, and documents too deep or too wide."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NoReturn
from xml.parsers import expat

from attrs import define, field

from inventory_sources.errors import DecodeError, EncodingInvalid, InputIncomplete, InputTooLarge, StructureInvalid
from inventory_sources.payload import Payload
from inventory_sources.protocols.decoder import DecodeContext

__all__ = ["GuardedParser"]

_BLOCK_BYTES = 1 << 16
_MOST_DEPTH = 64
_MOST_TOKEN_BYTES = 1 << 20
_MOST_CELL_CHARS = 1 << 16
_MOST_NAMES = 16_384
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


@define
class GuardedParser:
    """Tells of each element: its beginning, and its end with its text.

    :param begin: called with the namespace, the local name, and the attributes by local name.
    :param finish: called with the element's text; ``None`` where it holds elements.
    """

    begin: Callable[[str, str, dict[str, str]], None]
    finish: Callable[[str | None], None]
    depth: int = 0
    _parser: expat.XMLParserType = field(init=False)
    _texts: list[list[str] | None] = field(factory=list)
    _names: set[str] = field(factory=set)
    _fed: int = 0

    def __attrs_post_init__(self) -> None:
        parser = self._parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._take_text
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.StartNamespaceDeclHandler = lambda prefix, uri: self._note(f"xmlns:{prefix or ''}={uri or ''}")

    @property
    def line(self) -> int:
        """Of the document, where the parser is."""
        return self._parser.CurrentLineNumber

    def feed(self, data: bytes, *, last: bool) -> None:
        """Reads on.

        :raises expat.ExpatError: where it is no XML.
        :raises EncodingInvalid: for an encoding that is not known.
        :raises InputTooLarge: when a cap is passed.
        :raises StructureInvalid: for a document type declaration.
        """
        self._fed += len(data)
        try:
            self._parser.Parse(data, last)
        except (LookupError, ValueError) as error:  # what expat leaves to Python's codecs
            raise EncodingInvalid(
                f"the encoding that the document declares cannot be read ({error})", guidance="Have it sent in UTF-8."
            ) from None
        if not last and self._fed - self._parser.CurrentByteIndex > _MOST_TOKEN_BYTES + len(data):
            raise InputTooLarge(f"line {self.line}: a tag is longer than {_MOST_TOKEN_BYTES} bytes")

    def read(self, payload: Payload, context: DecodeContext) -> Iterator[None]:
        """Reads a payload piece by piece.

        :raises InputIncomplete: for a document that is cut off or followed by more, where nothing proves the end.
        :raises StructureInvalid: for what is no XML; beside what :meth:`feed` raises.
        """
        with payload.open() as stream:
            data = stream.read(_BLOCK_BYTES)
            if not data:
                raise StructureInvalid("the document is empty", guidance="Check the system that sends it.")
            try:
                while data:
                    self.feed(data, last=False)
                    context.checkpoint()
                    yield
                    data = stream.read(_BLOCK_BYTES)
                self.feed(b"", last=True)
            except expat.ExpatError as error:
                raise self._fault(error, context) from None

    def _fault(self, error: expat.ExpatError, context: DecodeContext) -> DecodeError:
        where, what = f"line {error.lineno}, column {error.offset + 1}", expat.ErrorString(error.code)
        ended = bool(self._names) and not self.depth
        if (error.code in _CUT or ended) and not context.evidence.proves_end:
            return InputIncomplete("the document does not end where it should, and may still be growing")
        if error.code == _ENCODING:
            return EncodingInvalid(f"{where}: the document is not in the encoding that it declares")
        return StructureInvalid(
            f"{where}: this is not XML ({what})",
            guidance="If the place holds a letter with an accent, the document declares another encoding than it has.",
        )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > _MOST_DEPTH:
            raise InputTooLarge(f"line {self.line}: elements are nested more than {_MOST_DEPTH} deep")
        for each in (name, *attributes):
            self._note(each)
        if self._texts:
            self._texts[-1] = None
        self._texts.append([])
        uri, _, local = name.rpartition(" ")
        self.begin(uri, local, {key.rpartition(" ")[2]: value for key, value in attributes.items()})

    def _end(self, _name: str) -> None:
        self.depth -= 1
        text = self._texts.pop()
        self.finish(None if text is None else "".join(text))

    def _take_text(self, text: str) -> None:
        own = self._texts[-1]
        if own is None:
            return
        own.append(text)
        if len(text) > _MOST_CELL_CHARS or (len(own) > 1 and sum(map(len, own)) > _MOST_CELL_CHARS):
            raise InputTooLarge(f"line {self.line}: a cell is longer than {_MOST_CELL_CHARS} characters")

    def _note(self, name: str) -> None:
        # expat keeps every name that it has met.
        self._names.add(name)
        if len(self._names) > _MOST_NAMES:
            raise InputTooLarge(f"line {self.line}: there are more than {_MOST_NAMES} different names")

    def _refuse_doctype(self, *_: object) -> NoReturn:
        raise StructureInvalid(
            f"line {self.line}: the document has a document type declaration, which could hold or load entities",
            guidance="Have it sent without <!DOCTYPE>.",
        )
