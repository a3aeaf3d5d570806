"""Identifiers as text: SKUs and locations, kept as written (``00123`` stays ``00123``) or refused with a reason."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from inventory_sources.quantities import Refusal, show_cell

__all__ = ["LONGEST", "STEPS", "normalise", "read_identifier"]

#: Characters of the longest SKU or location.
LONGEST = 255

#: Normalisation steps by name. ``strip_zeros`` drops leading zeros.
STEPS: dict[str, Callable[[str], str]] = {
    "strip": str.strip,
    "upper": str.upper,
    "lower": str.lower,
    "strip_zeros": lambda text: text.lstrip("0"),
    "remove_spaces": lambda text: "".join(text.split()),
    "remove_hyphens": lambda text: text.replace("-", ""),
    "nfkc": lambda text: unicodedata.normalize("NFKC", text),
}

#: Characters that nobody sees: controls, formats such as the zero width space, and separators of lines.
_UNSEEN = ("Cc", "Cf", "Zl", "Zp")
_QUOTES = {
    "'": "'",
    '"': '"',
    "`": "`",
    "\u2018": "\u2019",
    "\u201c": "\u201d",
    "\u201d": "\u201d",
    "\u201e": "\u201c",
    "\u00ab": "\u00bb",
}
_SCIENTIFIC = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?[eE]\+[0-9]+")


def read_identifier(cell: str | None, what: str) -> str | Refusal:
    """A cell's identifier without white space around it, or why it holds none; ``what`` is ``sku`` or ``location``."""
    text = (cell or "").strip()
    if not text:
        empty = "null" if cell is None else "blank"
        return Refusal(f"{what}_blank", f"the {what} is {empty}", f"Export a {what} in every row.")
    odd = next((sign for sign in text if unicodedata.category(sign) in _UNSEEN or sign == "\ufffd"), None)
    if odd is not None:
        return Refusal(
            f"{what}_unreadable",
            f"the {what} {show_cell(text)} holds the character U+{ord(odd):04X}",
            "Check the file's encoding and the system that wrote it.",
        )
    if len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
        return Refusal(
            f"{what}_quoted",
            f"the {what} {show_cell(text)} stands in quotes that the feed does not declare",
            "Declare the feed's quote, or export the identifier without quotes.",
        )
    if len(text) > LONGEST:
        return Refusal(
            f"{what}_too_long",
            f"the {what} {show_cell(text)} is longer than {LONGEST} characters",
            f"Check that this column is the {what}.",
        )
    if what == "sku" and _SCIENTIFIC.fullmatch(text):
        return Refusal(
            "sku_scientific",
            f"the sku {show_cell(text)} was turned into a number by a spreadsheet; its digits are lost",
            "Export it again with the SKU column formatted as text.",
        )
    return text


def normalise(sku: str, steps: tuple[str, ...]) -> str:
    """``sku`` after the named steps, in order; a step that would leave nothing is left out."""
    for step in steps:
        sku = STEPS[step](sku) or sku
    return sku
