"""Plain Python values as batches, for connectors and mappers that know nothing of columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
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
_TOO_LARGE: int = 10**_LONGEST_NUMBER
_GUIDANCE = "Pass text, int, Decimal or None."
_FLOAT = "a float cannot hold a quantity exactly"
_EXACT = "Pass text, int or Decimal."


def batch_from_records(records: Iterable[Mapping[str, object]], origin: str, first: int) -> RawBatch:
    """See :meth:`RawBatch.from_records`. Headings are all the keys, as first seen; a missing key is null."""
    columns: dict[str, list[str | None]] = {}
    numbers: list[int] = []
    damaged = RejectionLog()
    for number, record in enumerate(records, first):
        row = _row(record, number)
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


def _row(record: object, number: int) -> dict[str, str | None] | Refusal:
    if not isinstance(record, Mapping) or not record:
        found = "is empty" if isinstance(record, Mapping) else f"is of type {type(record).__name__}"
        return Refusal("record_type", f"the record {found}", "Yield mappings of heading to value.")
    row: dict[str, str | None] = {}
    for key, value in record.items():
        try:
            row[_key(key)] = None if value is None else _text(value)
        except (TypeError, ValueError):
            return _unfit_cell(f"record {number}, field {_shown(key)}", value)
    return row


def _unfit_cell(where: str, value: object) -> Refusal:
    if isinstance(value, float):
        return Refusal("cell_type", f"{where}: {_FLOAT}", _EXACT)
    return Refusal(
        "cell_type", f"{where}: the value is of type {type(value).__name__}, or too long a number", _GUIDANCE
    )


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError
    return _text(key)


def _text(value: object) -> str:
    if isinstance(value, str):
        if not value.isascii():
            value.encode()  # a lone surrogate is not text
        return str.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool) and _small(value):
        return int.__repr__(value)
    if isinstance(value, Decimal) and value.is_finite() and _places(value) < _LONGEST_NUMBER > value.adjusted():
        return format(value, "f")
    raise TypeError


def _places(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def _damaged(why: Refusal, record: object, place: Place) -> Rejection:
    cells = {_shown(key): _shown(value) for key, value in record.items()} if isinstance(record, Mapping) else {}
    return Rejection(RejectionKind.INVALID, why.reason, why.message, why.guidance, place, cells)


def _shown(value: object) -> str:
    """A value for a person; of what may be huge, or may raise or tell a secret when it is shown, the type alone."""
    if isinstance(value, str):
        return show_cell(value)
    if (
        value is None
        or isinstance(value, float | bool | Decimal | datetime)
        or (isinstance(value, int) and _small(value))
    ):
        return str(value)
    return f"<{type(value).__name__}>"


def _small(value: int) -> bool:
    return abs(value) < _TOO_LARGE


def batch_from_levels(rows: Iterable[StockLevel | Rejection]) -> StockBatch:
    """See :meth:`StockBatch.from_levels`.

    A level without a place is given its position among what was yielded. One whose quantity is not an exact decimal in
    range, whose SKU is empty or whose ``as_of`` has no offset is refused at its place.
    """
    origins: dict[tuple[str, str], int] = {}
    levels: list[tuple[object, ...]] = []
    log, unidentified = RejectionLog(), 0
    mentioned: list[tuple[str, str]] = []
    for position, row in enumerate(rows, 1):
        place = row.place or Place("mapper", position, "level")
        part = origins.setdefault((place.origin, place.unit), len(origins))
        rejection = row if isinstance(row, Rejection) else _unfit(row, place)
        if rejection is None and isinstance(row, StockLevel):
            levels.append((row.sku, row.location, row.quantity, row.as_of, part, place.number))
        elif rejection is not None:
            log.add(rejection.kind, 1, [rejection])
            if rejection.kind is not RejectionKind.UNMAPPED:
                mentioned.extend([(rejection.sku, rejection.location)] if rejection.sku else [])
                unidentified += not rejection.sku
    schema = batch_schema()
    keys = pl.DataFrame(mentioned, schema={key: schema[key] for key in ("sku", "location")}, orient="row").unique()
    frame = pl.DataFrame(levels, schema=schema, orient="row")
    return StockBatch(frame, log, keys if mentioned else None, unidentified, origins=tuple(origins))


def _unfit(level: StockLevel, place: Place) -> Rejection | None:
    sku = level.sku if _is_text(level.sku) and level.sku.strip() else None
    why = _quantity_unfit(level.quantity)
    if level.as_of is not None and level.as_of.utcoffset() is None:
        why = Refusal("as_of_without_zone", "the time of the level has no offset", "Give an aware datetime.")
    if not _is_text(level.location):
        # It may mean the product anywhere, so nothing is known of its product at one location either.
        sku, why = None, Refusal("location_unreadable", "the location of the level is not text", 'Give text, or "".')
    elif sku is None:
        why = Refusal("sku_blank", "the sku of the level is blank", "Give each level its SKU.")
    if why is None:
        return None
    shown = {"sku": level.sku, "location": level.location, "quantity": level.quantity, "as_of": level.as_of}
    cells = {name: _shown(value) for name, value in shown.items()}
    location = level.location if _is_text(level.location) else ""
    return Rejection(
        RejectionKind.INVALID, why.reason, why.message, why.guidance, place, cells, sku=sku, location=location
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _quantity_unfit(quantity: object) -> Refusal | None:
    if isinstance(quantity, float):
        return Refusal("quantity_unreadable", f"the quantity {quantity} cannot be taken: {_FLOAT}", "Give a Decimal.")
    if not isinstance(quantity, Decimal) or not quantity.is_finite():
        return Refusal(
            "quantity_unreadable", f"the quantity {_shown(quantity)} is no finite Decimal", "Give a Decimal."
        )
    if quantity.adjusted() > _LONGEST_NUMBER or _places(quantity) > _LONGEST_NUMBER:
        return Refusal("quantity_out_of_range", f"the quantity {quantity:.3e} is out of range", "Check the mapping.")
    answer = read_quantity(format(quantity, "f"), QuantityFormat(grouping=""))
    return answer if isinstance(answer, Refusal) else None
