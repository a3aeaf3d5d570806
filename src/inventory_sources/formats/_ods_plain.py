"""Rows of plain cells, taken out of an ODS document before it is parsed: most rows, at a fraction of the work.

A row is plain if it and its cells are written in the one way that needs no parser: a string or a number with one
paragraph of text without markup. What stands between such rows is parsed as ever, with a processing instruction in
each place where rows were.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from attrs import define, field

__all__ = ["PlainRows"]

_Run: TypeAlias = "list[list[object]]"

_STYLE = r'(?: table:style-name="[\w.-]+")?'
_TWIN = r'(?: calcext:value-type="(?:string|float)")?'
_TEXT = r"[^<>&\x00-\x1f\ufffe\uffff]{0,4000}+"
_NUMBER = r"-?[0-9]++(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?"


def _cell(opened: str) -> str:
    string = rf'string"{_TWIN}><text:p>{opened}{_TEXT})'
    # The shown text of a number that is none tells an error.
    number = rf'float" office:value="{opened}{_NUMBER})"{_TWIN}><text:p>(?![#E]){_TEXT}'
    return f'<table:table-cell{_STYLE}(?:/>| office:value-type="(?:{string}|{number})</text:p></table:table-cell>)'


_CELL = re.compile(_cell("("))
_ROW = re.compile(f"<table:table-row{_STYLE}>(?:{_cell('(?:')})++</table:table-row>")
_BEGIN, _END = b"<table:table-row", b"</table:table-row>"
#: Comments, CDATA and instructions, in which a tag is none, and other meanings of a prefix.
_ODD = ("<!", "<?", "xmlns")
_MOST_HELD = 1 << 20


@define
class PlainRows:
    """The plain rows of one document.

    :param needed: the namespaces of the prefixes that plain rows are written with.
    :param declared: those that the root element declares, and the document's encoding at ``None``; filled in while
        what comes before the first row is parsed.
    :param runs: rows taken out, for each instruction that is yet to be met.
    """

    needed: Mapping[str | None, str]
    declared: dict[str | None, str] = field(factory=dict)
    runs: deque[_Run] = field(factory=deque)

    def taken_from(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The document without its plain rows; each piece must be parsed before the next one is taken."""
        rest, begun, usable = b"", False, True
        for piece in pieces:
            rest += piece
            if usable and not begun and (at := rest.find(_BEGIN)) >= 0:
                head, rest, begun = rest[:at], rest[at:], True
                yield head
                usable = self.needed.items() <= self.declared.items() and b"<!" not in head and b"<?" not in head[2:]
            end = rest.rfind(_END) + len(_END) if begun and _END in rest else 0
            if usable and end:
                kept = self._without(rest[:end])
                usable = kept is not None
                yield rest[:end] if kept is None else kept
                rest = rest[end:]
            if not usable or len(rest) > _MOST_HELD:
                usable = False
                yield rest
                rest = b""
        yield rest

    def _without(self, data: bytes) -> bytes | None:
        """Whole rows without the plain ones; ``None`` where a tag may not be what it seems."""
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return None
        if not self.declared.get("calcext") and "calcext:" in text:
            return None
        kept: list[str] = []
        runs: list[_Run] = []
        at = -1
        for row in _ROW.finditer(text):
            if row.start() != at:
                kept.append(text[max(at, 0) : row.start()])
                runs.append([])
            runs[-1].append([float(number) if number else cell for cell, number in _CELL.findall(row[0])])
            at = row.end()
        kept.append(text[max(at, 0) :])
        if any(odd in between for odd in _ODD for between in kept):
            return None
        self.runs.extend(runs)
        return "<?rows?>".join(kept).encode()
