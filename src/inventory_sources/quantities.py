"""Quantities as text: a small ASCII grammar, read into exact decimals or refused with a reason.

The grammar is ``[+-] digits [decimal digits]``, with the grouping, trailing minus or parentheses that a
:class:`QuantityFormat` declares, and nothing else: no exponent, no ``NaN``, no hex, no ``1_000``, no digits beyond
ASCII. Blanks around the number are ignored.

``1.250`` is 1250 to some and 1.25 to others. Without a declared format, one separator followed by exactly three digits
is therefore refused, unless the digits before it cannot be a group of thousands: ``0.125`` and ``1234.567`` are read.
"""

from __future__ import annotations

import re
from decimal import Decimal
from enum import Enum
from functools import lru_cache

from attrs import field, frozen

from inventory_sources.batch import DECIMAL_PLACES
from inventory_sources.errors import ConfigurationError

__all__ = ["INTEGER_DIGITS", "NegativePolicy", "QuantityFormat", "Refusal", "read_quantity", "show_cell"]

#: Digits before the decimal separator, leading zeros aside; more is refused.
INTEGER_DIGITS = 18

_SHOWN = 80
_GROUP = 3


@frozen
class Refusal:
    """Why a cell is not read: a stable code, words for a person, and what to do."""

    reason: str
    message: str
    guidance: str


class NegativePolicy(Enum):
    """What a quantity below zero means: refused, read as zero (a shop cannot sell it), or kept as it is."""

    REJECT = "reject"
    ZERO = "zero"
    KEEP = "keep"


@frozen
class QuantityFormat:
    """How a feed writes its numbers.

    :param decimal: the decimal separator.
    :param grouping: characters that may separate groups of three digits, one kind in a number; ``""`` declares that
        there are none, ``None`` declares nothing.
    :param trailing_minus: whether ``5-`` is -5.
    :param parentheses_negative: whether ``(5)`` is -5.
    :raises ConfigurationError: when a separator is a digit, a sign or used twice.
    """

    decimal: str = "."
    grouping: str | None = None
    trailing_minus: bool = field(default=False, kw_only=True)
    parentheses_negative: bool = field(default=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        separators = self.decimal + (self.grouping or "")
        if len(self.decimal) != 1 or len(set(separators)) < len(separators):
            raise ConfigurationError("a quantity format needs one decimal separator that does not group digits as well")
        if any(sign.isalnum() or sign in "+-()" for sign in separators):
            raise ConfigurationError("a letter, digit, sign or parenthesis cannot separate the digits of a number")

    @classmethod
    def of(cls, locale: str) -> QuantityFormat:
        """The format of ``en``, ``de``, ``es``, ``fr`` or ``ch``, by the separators of Unicode CLDR.

        French groups by a narrow or plain no-break space or a blank, Swiss German by either apostrophe.

        :raises ConfigurationError: for another name.
        """
        if locale not in _LOCALES:
            raise ConfigurationError(
                f"there is no quantity format {locale!r}; named ones are {', '.join(sorted(_LOCALES))}",
                guidance="Use one of these, or declare QuantityFormat(decimal=…, grouping=…).",
            )
        return cls(*_LOCALES[locale])


_LOCALES = {
    "en": (".", ","),
    "de": (",", "."),
    "es": (",", "."),
    "fr": (",", "\u202f\u00a0 "),
    "ch": (".", "\u2019'"),
}


def show_cell(cell: str) -> str:
    """A cell for a message: quoted, with odd characters escaped, at most 80 characters of it."""
    return ascii(cell) if len(cell) <= _SHOWN else f"{cell[:_SHOWN]!a}…"


def read_quantity(cell: str | None, form: QuantityFormat) -> Decimal | Refusal:
    """The exact number that a cell holds, or why it holds none. Negative zero is zero."""
    if cell is None:
        return Refusal("quantity_null", "the quantity is null", _ASK_FOR_ZERO)
    text = cell.strip(" ")
    if not text:
        return Refusal("quantity_blank", "the quantity is blank", _ASK_FOR_ZERO)
    negative, text = _outer_sign(text, form)
    match = _pattern(form).fullmatch(text)
    if match is None or (negative and match["sign"]):
        return _unreadable(cell, form)
    whole, part = match["whole"], match["part"] or ""
    digits = _ungrouped(whole, form).lstrip("0")
    sign = "-" if negative else match["sign"]
    return _refused(cell, form, whole, part) or _number(sign, digits, part.rstrip("0"))


@lru_cache
def _pattern(form: QuantityFormat) -> re.Pattern[str]:
    groups = "".join(rf"|[0-9]{{1,3}}(?:{re.escape(sign)}[0-9]{{3}})+" for sign in form.grouping or "")
    return re.compile(rf"(?P<sign>[+-]?)(?P<whole>[0-9]+{groups})(?:{re.escape(form.decimal)}(?P<part>[0-9]+))?")


def _ungrouped(text: str, form: QuantityFormat) -> str:
    return text.translate(dict.fromkeys(map(ord, form.grouping or "")))


_ASK_FOR_ZERO = "Export 0 where there is no stock; an empty cell is not taken for zero."


def _outer_sign(text: str, form: QuantityFormat) -> tuple[bool, str]:
    if form.trailing_minus and text.endswith("-"):
        return True, text[:-1]
    if form.parentheses_negative and text.startswith("(") and text.endswith(")"):
        return True, text[1:-1]
    return False, text


def _number(sign: str, digits: str, part: str) -> Decimal:
    value = Decimal(f"{sign}{digits or '0'}.{part}" if part else f"{sign}{digits or '0'}")
    return value or Decimal(0)


def _refused(cell: str, form: QuantityFormat, whole: str, part: str) -> Refusal | None:
    shown = show_cell(cell)
    if form.grouping is None and len(part) == _GROUP >= len(whole) and whole[0] != "0":
        plain, group = f"{whole}{part}", f"{whole}.{part}".rstrip("0").rstrip(".")
        return Refusal(
            "quantity_ambiguous",
            f"the quantity {shown} could be {plain} or {group}",
            "Declare the feed's quantity format, such as quantity_format='en' or 'de'.",
        )
    if len(_ungrouped(whole, form).lstrip("0")) > INTEGER_DIGITS:
        return Refusal(
            "quantity_out_of_range",
            f"the quantity {shown} has more than {INTEGER_DIGITS} digits before the decimal separator",
            "Check that this column is the quantity.",
        )
    if len(part.rstrip("0")) > DECIMAL_PLACES:
        return Refusal(
            "quantity_too_precise",
            f"the quantity {shown} has more than {DECIMAL_PLACES} decimal places",
            "Export fewer decimal places; quantities are never rounded here.",
        )
    return None


def _unreadable(cell: str, form: QuantityFormat) -> Refusal:
    shown = show_cell(cell)
    if not _ungrouped(cell, form).isascii():
        return Refusal(
            "quantity_not_ascii",
            f"the quantity {shown} holds characters other than the digits 0 to 9 and plain signs",
            "Export quantities with the digits 0 to 9.",
        )
    guidance = "Export a plain number, such as 12 or 12.5."
    if re.fullmatch(r" *[+-]?[0-9.,' ]+ *", cell):
        guidance = "Declare the feed's quantity format if this is how it writes numbers, such as quantity_format='de'."
    elif re.fullmatch(r" *([0-9.,]+-|\([0-9.,]+\)) *", cell):
        guidance = "Declare trailing_minus or parentheses_negative in the quantity format if this is a negative number."
    return Refusal("quantity_unreadable", f"the quantity {shown} is not a number in the declared format", guidance)
