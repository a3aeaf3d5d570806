"""Plain Python values as batches, for connectors and mappers that know nothing of columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import polars as pl

from inventory_sources.batch import (
    Place,
    RawBatch,
    Rejection,
    RejectionKind,
    RejectionLog,
    StockBatch,
    StockLevel,
    batch_schema,
)
from inventory_sources.quantities import QuantityFormat, Refusal, read_quantity, show_cell

__all__ = ["batch_from_levels", "batch_from_records"]

# Longer numbers are damage; writing them out would cost seconds (and Python refuses above 4,300 digits).
_LONGEST_NUMBER = 100
_GUIDANCE = "Give text, int, Decimal or None; a float has already lost digits."


def batch_from_records(records: Iterable[Mapping[str, object]], origin: str, first: int) -> RawBatch:
    """See :meth:`RawBatch.from_records`. Headings are all the keys, as first seen; a missing key is null."""
    columns: dict[str, list[str | None]] = {}
    numbers: list[int] = []
    damaged = RejectionLog()
    for number, record in enumerate(records, first):
        row = _row(record)
        if isinstance(row, Refusal):
            damaged.add(RejectionKind.INVALID, 1, [_damaged(row, record, Place(origin, number, "record"))])
            continue
        for key in row:
            columns.setdefault(key, [])
        for key, column in columns.items():
            # A key seen for the first time, or left out by earlier records, was null there.
            column.extend([None] * (len(numbers) - len(column)))
            column.append(row.get(key))
        numbers.append(number)
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String()))
    return RawBatch(origin, frame, pl.Series("number", numbers, dtype=pl.Int64), "record", damaged)


def _row(record: object) -> dict[str, str | None] | Refusal:
    if not isinstance(record, Mapping) or not record:
        found = "is empty" if isinstance(record, Mapping) else f"is of type {type(record).__name__}"
        return Refusal("record_type", f"the record {found}", "Yield mappings of heading to value.")
    row: dict[str, str | None] = {}
    for key, value in record.items():
        try:
            row[_key(key)] = None if value is None else _text(value)
        except (TypeError, ValueError):
            message = f"the value of {show_cell(str(key))} is of type {type(value).__name__}, or too long a number"
            return Refusal("cell_type", message, _GUIDANCE)
    return row


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError
    return _text(key)


def _text(value: object) -> str:
    if isinstance(value, str):
        if not value.isascii():
            value.encode()  # a lone surrogate is not text
        return str.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**_LONGEST_NUMBER:
        return int.__repr__(value)
    if isinstance(value, Decimal) and value.is_finite() and _places(value) < _LONGEST_NUMBER > value.adjusted():
        return format(value, "f")
    raise TypeError


def _places(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def _damaged(why: Refusal, record: object, place: Place) -> Rejection:
    cells = {str(key): show_cell(str(value)) for key, value in record.items()} if isinstance(record, Mapping) else {}
    return Rejection(RejectionKind.INVALID, why.reason, why.message, why.guidance, place, cells)


def batch_from_levels(rows: Iterable[StockLevel | Rejection]) -> StockBatch:
    """See :meth:`StockBatch.from_levels`.

    A level without a place is given its position among what was yielded. One whose quantity is not an exact decimal in
    range, whose SKU is empty or whose ``as_of`` has no offset is refused at its place.
    """
    origins: dict[tuple[str, str], int] = {}
    levels: list[tuple[object, ...]] = []
    batch = StockBatch(pl.DataFrame(schema=batch_schema()))
    mentioned: list[tuple[str, str]] = []
    for position, row in enumerate(rows, 1):
        place = row.place or Place("mapper", position, "level")
        part = origins.setdefault((place.origin, place.unit), len(origins))
        rejection = row if isinstance(row, Rejection) else _unfit(row, place)
        if rejection is None and isinstance(row, StockLevel):
            levels.append((row.sku, row.location, row.quantity, row.as_of, part, place.number))
        elif rejection is not None:
            batch.rejections.add(rejection.kind, 1, [rejection])
            if rejection.kind is not RejectionKind.UNMAPPED:
                mentioned.extend([(rejection.sku, rejection.location)] if rejection.sku else [])
                batch.unidentified += not rejection.sku
    batch.frame = pl.DataFrame(levels, schema=batch_schema(), orient="row")
    if mentioned:
        batch.mentioned = pl.DataFrame(mentioned, schema=["sku", "location"], orient="row").unique()
    batch.origins = tuple(origins)
    return batch


def _unfit(level: StockLevel, place: Place) -> Rejection | None:
    sku, as_of = _identifier(level.sku), level.as_of
    why = _quantity_unfit(level.quantity)
    if sku is None or _identifier(level.location, empty=True) is None:
        why = Refusal("sku_blank", "the sku or the location of the level is not text", "Give each level its SKU.")
    elif as_of is not None and as_of.utcoffset() is None:
        why = Refusal("as_of_without_zone", "the time of the level has no offset", "Give an aware datetime.")
    if why is None:
        return None
    cells = {"sku": str(level.sku), "quantity": str(level.quantity), "as_of": str(level.as_of)}
    return Rejection(
        RejectionKind.INVALID,
        why.reason,
        why.message,
        why.guidance,
        place,
        cells,
        sku=sku,
        location=str(level.location),
    )


def _identifier(value: object, *, empty: bool = False) -> str | None:
    return value if isinstance(value, str) and (value.strip() or empty) else None


def _quantity_unfit(quantity: object) -> Refusal | None:
    if not isinstance(quantity, Decimal) or not quantity.is_finite():
        shown = show_cell(str(quantity))
        return Refusal("quantity_unreadable", f"the quantity {shown} is no finite Decimal", "Give a Decimal.")
    if quantity.adjusted() > _LONGEST_NUMBER or _places(quantity) > _LONGEST_NUMBER:
        return Refusal("quantity_out_of_range", f"the quantity {quantity:.3e} is out of range", "Check the mapping.")
    answer = read_quantity(format(quantity, "f"), QuantityFormat(grouping=""))
    return answer if isinstance(answer, Refusal) else None
