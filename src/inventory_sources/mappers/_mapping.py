"""One batch of text mapped by a `Columns`: each row becomes a level, or is refused with its reason and place."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import polars as pl
from attrs import define

from inventory_sources.batch import RawBatch, Rejection, RejectionKind, RejectionLog, StockBatch, batch_schema
from inventory_sources.headings import find
from inventory_sources.mappers._identifiers import normalise, read_identifier
from inventory_sources.mappers._identity import EqualSku
from inventory_sources.mappers._reading import (
    constant,
    matching,
    read_identifiers,
    read_quantities,
    read_skus,
    read_times,
    translated,
)
from inventory_sources.mappers._times import FUTURE_TOLERANCE, from_the_future, read_time
from inventory_sources.protocols.mapper import MapContext
from inventory_sources.quantities import NegativePolicy, Refusal, read_quantity, show_cell

if TYPE_CHECKING:
    from inventory_sources.mappers._columns import Columns

__all__ = ["map_columns"]


def map_columns(mapper: Columns, raw: RawBatch, context: MapContext) -> StockBatch:
    """The rows as levels and rejections."""
    rows = _read(mapper, raw, context)
    schema = batch_schema()
    frame = pl.DataFrame(
        {
            "sku": rows.product,
            "location": rows.location,
            "quantity": rows.quantity,
            "as_of": rows.as_of,
            "part": constant(context.part, rows.height, schema["part"]),
            "number": raw.numbers.cast(schema["number"]),
        }
    )
    if rows.all_read and not raw.damaged.total:  # nearly every batch: the rest costs more than reading a small one
        return StockBatch(frame=frame, rejections=RejectionLog(limit=context.keep_rejections))
    kept = ~(rows.invalid | rows.unmapped)
    product_told, location_told = rows.product.is_not_null(), rows.location.is_not_null()
    # A row without a readable location may mean its product anywhere, so it tells no (SKU, location) either.
    told = rows.invalid & product_told & location_told
    lost = rows.invalid & (rows.sku.is_null() | (product_told & ~location_told))
    return StockBatch(
        frame=frame if kept.all() else frame.filter(kept),
        rejections=_rejections(mapper, raw, rows, context),
        mentioned=frame.filter(told).select("sku", "location").unique() if told.any() else None,
        unidentified=int(lost.sum()) + raw.damaged.total,
    )


@define
class _Rows:
    """The columns read, null where a cell was refused; ``product`` is null where no product answers to ``sku`` too."""

    cells: dict[str, pl.Series]
    sku: pl.Series
    product: pl.Series
    location: pl.Series
    quantity: pl.Series
    as_of: pl.Series
    late: pl.Series

    @property
    def height(self) -> int:
        return self.sku.len()

    @property
    def all_read(self) -> bool:
        return not (
            any(column.null_count() for column in (self.sku, self.product, self.location, self.quantity))
            or self.late.any()
        )

    @cached_property
    def invalid(self) -> pl.Series:
        return self.sku.is_null() | self.location.is_null() | self.quantity.is_null() | self.late

    @cached_property
    def unmapped(self) -> pl.Series:
        return self.product.is_null() & ~self.invalid


def _read(mapper: Columns, raw: RawBatch, context: MapContext) -> _Rows:
    declared = {"sku": mapper.sku, "quantity": mapper.quantity, "location": mapper.location, "as_of": mapper.as_of}
    headings = raw.frame.columns
    cells = {role: raw.frame[find(name, headings)] for role, name in declared.items() if name is not None}
    sku = read_skus(cells["sku"], mapper.steps, mapper.sku_pattern)
    if mapper.location is None:
        location = constant(mapper.fixed_location, sku.len(), pl.String())
    else:
        location = read_identifiers(cells["location"], "location")
    quantity = read_quantities(cells["quantity"], mapper.quantity_format, mapper.negative)
    as_of, late = _as_of(mapper, cells.get("as_of"), context.now, sku.len())
    return _Rows(cells, sku, _product(mapper, sku, context), location, quantity, as_of, late)


def _product(mapper: Columns, sku: pl.Series, context: MapContext) -> pl.Series:
    """The SKU of the product that each identifier means, null where none does."""
    by_hand = {normalise(external.strip(), mapper.steps): product for external, product in context.overrides.items()}
    if isinstance(mapper.identity, EqualSku):
        return translated(sku, by_hand, by_hand.values(), pl.String()).fill_null(sku) if by_hand else sku
    distinct = sku.drop_nulls().unique().to_list()
    table = ChainMap(by_hand, dict(mapper.identity.translate(distinct, context)))
    told = [text for text in distinct if table.get(text)]  # an empty entry is none
    return translated(sku, told, [table[text] for text in told], pl.String())


def _as_of(mapper: Columns, cells: pl.Series | None, now: datetime, height: int) -> tuple[pl.Series, pl.Series]:
    """The times, and which of them are refused: unreadable or from the future; a blank one is null and fine."""
    none = constant(value=False, rows=height, kind=pl.Boolean())
    if cells is None:
        return constant(None, height, batch_schema()["as_of"]), none
    times = read_times(cells, mapper.as_of_format, _zone(mapper))
    refused = none
    if times.null_count():
        refused = times.is_null() & (cells.fill_null("").str.strip_chars(" ") != "")
    latest, limit = times.max(), now + FUTURE_TOLERANCE
    if isinstance(latest, datetime) and latest > limit:
        refused = refused | (times > limit).fill_null(value=False)
    return times, refused


def _zone(mapper: Columns) -> ZoneInfo | None:
    return ZoneInfo(mapper.as_of_zone) if mapper.as_of_zone else None


def _rejections(mapper: Columns, raw: RawBatch, rows: _Rows, context: MapContext) -> RejectionLog:
    log = RejectionLog(limit=context.keep_rejections)
    log.merge(raw.damaged)
    for kind, mask in ((RejectionKind.INVALID, rows.invalid), (RejectionKind.UNMAPPED, rows.unmapped)):
        if mask.any():
            log.add(kind, int(mask.sum()), _explained(mapper, raw, rows, (kind, mask), context))
    return log


def _explained(
    mapper: Columns, raw: RawBatch, rows: _Rows, refused: tuple[RejectionKind, pl.Series], context: MapContext
) -> Iterator[Rejection]:
    kind, mask = refused
    chosen = mask.arg_true().head(context.keep_rejections)
    cells = pl.DataFrame({role: column.gather(chosen) for role, column in rows.cells.items()})
    columns = (rows.sku, rows.product, rows.location, rows.quantity, raw.numbers)
    typed = pl.DataFrame([column.gather(chosen).alias(str(at)) for at, column in enumerate(columns)])
    shown = raw.frame.select(pl.all().gather(chosen)).iter_rows(named=True)
    for row, values, plain in zip(cells.iter_rows(named=True), typed.iter_rows(), shown, strict=True):
        sku, product, location, quantity, number = values
        why = _why(mapper, row, context) if kind is RejectionKind.INVALID else _unmapped(sku)
        yield Rejection(
            kind,
            why.reason,
            why.message,
            why.guidance,
            raw.place(number),
            cells=raw.cells(number) if raw.cells else plain,
            sku=product or sku,
            location=location or "",
            quantity=quantity,
        )


def _why(mapper: Columns, cells: dict[str, str | None], context: MapContext) -> Refusal:
    """What is wrong with a row: the first of its cells that is refused, in the order SKU, location, quantity, time."""
    answers: list[object] = [_sku(mapper, cells["sku"])]
    if "location" in cells:
        answers.append(read_identifier(cells["location"], "location"))
    answers.append(_quantity(mapper, cells["quantity"]))
    answers.append(_time(mapper, cells.get("as_of"), context.now))
    return next(answer for answer in answers if isinstance(answer, Refusal))


def _sku(mapper: Columns, cell: str | None) -> object:
    text = read_identifier(cell, "sku")
    if isinstance(text, Refusal) or mapper.sku_pattern is None or matching(pl.Series([text]), mapper.sku_pattern)[0]:
        return text
    return Refusal(
        "sku_pattern",
        f"the sku {show_cell(text)} does not match the declared pattern",
        "Correct it at the source, or widen sku_pattern.",
    )


def _quantity(mapper: Columns, cell: str | None) -> object:
    value = read_quantity(cell, mapper.quantity_format)
    if isinstance(value, Refusal) or value >= 0 or mapper.negative is not NegativePolicy.REJECT:
        return value
    return Refusal(
        "quantity_negative",
        f"the quantity {show_cell(cell or '')} is below zero",
        "Correct it at the source, or declare negative='zero' or negative='keep'.",
    )


def _time(mapper: Columns, cell: str | None, now: datetime) -> object:
    if not (cell or "").strip(" "):
        return None
    moment = read_time(cell or "", mapper.as_of_format, _zone(mapper))
    if isinstance(moment, datetime) and moment > now + FUTURE_TOLERANCE:
        return from_the_future(cell or "")
    return moment


def _unmapped(sku: str) -> Refusal:
    return Refusal(
        "not_in_mapping",
        f"no product answers to {show_cell(sku)}",
        "Add it to the mapping, or ignore it if the shop does not sell it.",
    )
