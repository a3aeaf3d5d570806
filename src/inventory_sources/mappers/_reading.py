"""Columns of text read as typed columns, at column speed.

The scalar functions beside this module are the truth. A column is read by polars only as far as its text proves that
both agree; every other cell goes to the scalar function, once for each distinct text. A null in the result is a cell
that was refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import polars as pl

from inventory_sources.batch import batch_schema
from inventory_sources.errors import ConfigurationError
from inventory_sources.mappers._identifiers import LONGEST, normalise, read_identifier
from inventory_sources.mappers._times import ISO8601, read_time
from inventory_sources.quantities import INTEGER_DIGITS, NegativePolicy, QuantityFormat, Refusal, read_quantity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from polars._typing import PolarsDataType

__all__ = [
    "by_distinct",
    "check_pattern",
    "constant",
    "matching",
    "read_identifiers",
    "read_quantities",
    "read_skus",
    "read_times",
    "translated",
]

# Printable ASCII but quotes and "+", without which nothing is an identifier in scientific notation.
_PLAIN = bytes(code for code in range(0x20, 0x7F) if code not in b"+\"'`")
_NOT_PLAIN = "[^ !#-&(-*,-_a-~]"
# ISO 8601 to the second, which polars reads fast where one offset stands in every cell.
_ISO_SECONDS = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ])[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:?[0-9]{2}|)")
_LOOK_AT = 100


def constant(value: object, rows: int, kind: PolarsDataType) -> pl.Series:
    """The same value in every row."""
    return pl.Series([value], dtype=kind).new_from_index(0, rows)


def by_distinct(cells: pl.Series, read: Callable[[str], object], kind: PolarsDataType) -> pl.Series:
    """``read`` of each cell, called once for each distinct text; null where it refuses or the cell is null."""

    def value(text: str) -> object:
        answer = read(text)
        return None if isinstance(answer, Refusal) else answer

    if _all_alike(cells):
        return constant(value(cells[0]), cells.len(), kind)
    texts: list[str] = cells.drop_nulls().unique().to_list()
    return translated(cells, texts, [value(text) for text in texts], kind)


def translated(cells: pl.Series, texts: Iterable[str], values: Iterable[object], kind: PolarsDataType) -> pl.Series:
    """Each cell replaced by the value that stands beside its text, null where there is none."""
    table = pl.DataFrame(
        {"cell": pl.Series(list(texts), dtype=pl.String), "value": pl.Series(list(values), dtype=kind)}
    )
    return cells.to_frame("cell").join(table, on="cell", how="left", maintain_order="left")["value"]


def read_identifiers(cells: pl.Series, what: str, steps: tuple[str, ...] = ()) -> pl.Series:
    """SKUs or locations as :func:`read_identifier` reads them, after the named steps."""

    def read(cell: str) -> str | Refusal:
        text = read_identifier(cell, what)
        return text if isinstance(text, Refusal) else normalise(text, steps)

    if _all_alike(cells):
        return by_distinct(cells, read, pl.String())
    text = str(cells.str.join("").item()).encode()
    if text.translate(None, _PLAIN):
        odd = cells.str.contains(_NOT_PLAIN).fill_null(value=False)
        rest = by_distinct(_where(cells, odd), read, pl.String())
        return _normalised(_trimmed(_where(cells, ~odd)), steps).zip_with(~odd, rest)
    return _normalised(_trimmed(cells) if b" " in text else _fitting(cells), steps)


# The same as STEPS on printable ASCII that was trimmed.
_PLAIN_STEPS: dict[str, Callable[[pl.Series], pl.Series]] = {
    "strip": lambda cells: cells.str.strip_chars(" "),
    "upper": lambda cells: cells.str.to_uppercase(),
    "lower": lambda cells: cells.str.to_lowercase(),
    "strip_zeros": lambda cells: cells.str.strip_chars_start("0"),
    "remove_spaces": lambda cells: cells.str.replace_all(" ", "", literal=True),
    "remove_hyphens": lambda cells: cells.str.replace_all("-", "", literal=True),
    "nfkc": lambda cells: cells,
}


def _normalised(cells: pl.Series, steps: tuple[str, ...]) -> pl.Series:
    for step in steps:
        after = _PLAIN_STEPS[step](cells)
        cells = after.zip_with((after != "").fill_null(value=True), cells)
    return cells


def _trimmed(cells: pl.Series) -> pl.Series:
    if (cells.str.starts_with(" ") | cells.str.ends_with(" ")).any():
        cells = cells.str.strip_chars(" ")
    return _fitting(cells)


def _fitting(cells: pl.Series) -> pl.Series:
    sizes = cells.str.len_bytes()
    shortest, longest = sizes.min(), sizes.max()
    if isinstance(shortest, int) and isinstance(longest, int) and shortest > 0 and longest <= LONGEST:
        return cells
    return _where(cells, (sizes > 0) & (sizes <= LONGEST))


def matching(texts: pl.Series, pattern: str) -> pl.Series:
    """Whether the pattern matches each text as a whole; null where there is none."""
    return texts.str.contains(rf"\A(?:{pattern})\z")


def check_pattern(pattern: str) -> None:
    """Refuses what is no regular expression to polars.

    :raises ConfigurationError: for that.
    """
    try:
        pl.Series([""]).str.contains(pattern)  # by itself too, or ``a)|(b`` would do
        matching(pl.Series([""]), pattern)
    except pl.exceptions.ComputeError:
        raise ConfigurationError(
            f"{pattern!r} is not a regular expression that can be used",
            guidance="Correct it; it can neither look around nor refer back.",
        ) from None


def read_skus(cells: pl.Series, steps: tuple[str, ...], pattern: str | None) -> pl.Series:
    """SKUs after the named steps, of those that the pattern matches as the feed writes them."""
    skus = read_identifiers(cells, "sku", steps)
    if pattern is None:
        return skus
    written = skus if not steps else read_identifiers(cells, "sku")
    return _where(skus, matching(written, pattern))


def read_quantities(cells: pl.Series, form: QuantityFormat, negative: NegativePolicy) -> pl.Series:
    """Quantities as :func:`read_quantity` reads them, those below zero by the policy."""
    kind = batch_schema()["quantity"]
    # Every format reads `[+-]digits` alike, and that is exactly what this cast takes.
    whole = cells.cast(pl.Int64, strict=False)
    if whole.len() and _beyond(whole):
        whole = _where(whole, whole.is_between(1 - 10**INTEGER_DIGITS, 10**INTEGER_DIGITS - 1))
    values = whole.cast(kind)
    if whole.null_count() > cells.null_count():
        rest = _where(cells, whole.is_null())
        values = values.zip_with(whole.is_not_null(), by_distinct(rest, lambda cell: read_quantity(cell, form), kind))
    lowest = values.min()
    if negative is NegativePolicy.KEEP or not isinstance(lowest, Decimal) or lowest >= 0:
        return values
    below = (values < Decimal(0)).fill_null(value=False)  # a refused cell is not below zero
    floor = Decimal(0) if negative is NegativePolicy.ZERO else None
    return values.zip_with(~below, constant(floor, values.len(), kind))


def _beyond(whole: pl.Series) -> bool:
    low, high = whole.min(), whole.max()
    limit = 10**INTEGER_DIGITS
    return isinstance(low, int) and isinstance(high, int) and (low <= -limit or high >= limit)


def read_times(cells: pl.Series, form: str, zone: ZoneInfo | None) -> pl.Series:
    """Moments as :func:`read_time` reads them; a blank cell is null as a refused one is."""
    kind = batch_schema()["as_of"]

    def read(cell: str) -> datetime | Refusal:
        return read_time(cell, form, zone)

    fast = None if form != ISO8601 or _all_alike(cells) else _iso_seconds(cells, zone)
    if fast is None:
        return by_distinct(cells, read, kind)
    if fast.null_count() == 0:
        return fast
    return fast.zip_with(fast.is_not_null(), by_distinct(_where(cells, fast.is_null()), read, kind))


def _iso_seconds(cells: pl.Series, zone: ZoneInfo | None) -> pl.Series | None:
    """Moments of the cells that are written as the first ones are, null elsewhere; ``None`` if polars cannot tell.

    polars also takes fewer digits, blanks, signs, second 60 and year 0: the pattern leaves it no such freedom.
    """
    layout = next((found for cell in cells.head(_LOOK_AT) if (found := _ISO_SECONDS.fullmatch(cell or ""))), None)
    moment = None if layout is None else read_time(layout[0], ISO8601, zone)
    if layout is None or isinstance(moment, Refusal) or not (layout[2] or (zone is not None and zone.key == "UTC")):
        return None
    offset = datetime.fromisoformat(layout[0]).utcoffset() or timedelta(0)
    pattern = f"^[12][0-9]{{3}}-[0-9]{{2}}-[0-9]{{2}}{layout[1]}[0-9]{{2}}:[0-9]{{2}}:[0-5][0-9]{re.escape(layout[2])}$"
    read = cells.to_frame("cell").select(  # in one select, so that both run at the same time
        exact=pl.col("cell").str.contains(pattern),
        moment=pl.col("cell").str.to_datetime(
            f"%Y-%m-%d{layout[1]}%H:%M:%S{layout[2]}", time_unit="us", strict=False, cache=False
        ),
    )
    moments = (read["moment"] - offset).dt.replace_time_zone("UTC")
    return moments if read["exact"].all() else _where(moments, read["exact"])


def _all_alike(cells: pl.Series) -> bool:
    return cells.len() > 0 and cells[0] is not None and cells[0] == cells[-1] and bool(cells.eq_missing(cells[0]).all())


def _where(cells: pl.Series, mask: pl.Series) -> pl.Series:
    """The cells where the mask holds, null elsewhere."""
    return cells.zip_with(mask.fill_null(value=False), constant(None, cells.len(), cells.dtype))
