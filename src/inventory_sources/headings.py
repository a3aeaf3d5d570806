"""Headings matched as people write them: ``Qty On-Hand`` answers to ``qty_on_hand``."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Sequence

from inventory_sources.errors import HeadingInvalid

__all__ = ["find", "fold"]

_IGNORED = str.maketrans("", "", "_-\ufeff")
_DELIMITERS = {";": "a semicolon", "\t": "a tab", "|": "a pipe", ",": "a comma"}
_SHOWN = 30
_LONGEST = 80


def fold(heading: str) -> str:
    """The form in which headings are compared: without case, white space, ``_``, ``-``, BOM and width variants."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", heading).casefold())
    return "".join(text.split()).translate(_IGNORED)


def find(wanted: str, headings: Sequence[str]) -> str:
    """The one of ``headings`` that ``wanted`` means, as it is written there.

    :raises HeadingInvalid: when there is none, or more than one.
    """
    key = fold(wanted)
    found = [heading for heading in headings if key and fold(heading) == key]
    if len(found) == 1:
        return found[0]
    if found:
        raise HeadingInvalid(
            f"the column {wanted!r} could be any of {_listed(found)}",
            guidance="Give these columns names that differ by more than case, spaces, '_' and '-'.",
        )
    raise HeadingInvalid(
        f"there is no column {wanted!r}; the columns found are: {_listed(headings)}",
        guidance=_advice(key, headings),
    )


def _listed(headings: Sequence[str]) -> str:
    shown = [repr(heading if len(heading) <= _LONGEST else f"{heading[:_LONGEST]}…") for heading in headings[:_SHOWN]]
    more = len(headings) - len(shown)
    return (", ".join(shown) or "none") + (f" and {more} more" if more else "")


def _advice(key: str, headings: Sequence[str]) -> str | None:
    if len(headings) == 1:
        for sign, name in _DELIMITERS.items():
            if sign in headings[0]:
                return f"The only heading contains {name}: declare it as the delimiter."
    folded = {fold(heading): heading for heading in headings}
    close = difflib.get_close_matches(key, folded, n=1)
    if not close:
        return None
    return f"Did you mean {folded[close[0]]!r}? Correct the mapping or the file's heading row."
