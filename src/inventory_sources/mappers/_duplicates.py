"""A whole feed put together, and what becomes of its rows for the same (SKU, location)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from attrs import evolve

from inventory_sources.batch import Place, Rejection, RejectionKind, RejectionLog, StockBatch, batch_schema
from inventory_sources.protocols.mapper import DuplicatePolicy
from inventory_sources.quantities import Refusal

if TYPE_CHECKING:
    import polars as pl

__all__ = ["concat_batches", "newest_of_each", "resolve_duplicates"]

_KEY = ("sku", "location")
_NAMED = 5


def concat_batches(batches: Iterable[StockBatch], origins: Sequence[tuple[str, str]] = ()) -> StockBatch:
    """One batch of several, in their order.

    :param origins: the sync's inputs, by the ``part`` of batches that name no origins; a batch that names its own has
        its parts renumbered, and origins that are new are put behind these.
    """
    import polars as pl

    found = list(batches)
    if len(found) == 1 and not found[0].origins:
        found[0].origins = tuple(origins)
        return found[0]
    known = dict.fromkeys([*origins, *(origin for batch in found for origin in batch.origins)])
    index = {origin: part for part, origin in enumerate(known)}
    log = RejectionLog(limit=max((batch.rejections.limit for batch in found), default=RejectionLog().limit))
    for batch in found:
        log.merge(batch.rejections)
    mentioned = [batch.mentioned for batch in found if batch.mentioned is not None]
    frames = [_renumbered(batch, index) for batch in found]
    return StockBatch(
        frame=pl.concat(frames) if frames else pl.DataFrame(schema=batch_schema()),
        rejections=log,
        mentioned=pl.concat(mentioned).unique() if mentioned else None,
        unidentified=sum(batch.unidentified for batch in found),
        superseded=sum(batch.superseded for batch in found),
        mapped_rows=sum(batch.mapped_rows for batch in found),
        origins=tuple(known),
    )


def _renumbered(batch: StockBatch, index: dict[tuple[str, str], int]) -> pl.DataFrame:
    import polars as pl

    parts = [index[origin] for origin in batch.origins]
    if parts == list(range(len(parts))):
        return batch.frame
    kind = batch_schema()["part"]
    return batch.frame.with_columns(
        pl.col("part").replace_strict(list(range(len(parts))), parts, default=None, return_dtype=kind)
    )


def resolve_duplicates(batch: StockBatch, policy: DuplicatePolicy) -> StockBatch:
    """The feed with at most one row a (SKU, location), by the policy.

    ``ERROR`` refuses every row of the key. ``LAST`` keeps the newest by ``as_of``, among equals the last in the feed;
    ``MIN`` the smallest quantity, among equals the first. ``SUM`` adds them up at the place of the first row with the
    oldest ``as_of``. A null ``as_of`` counts as newest: it stands for the time of the whole input. Whatever the policy,
    a row is refused when another one of its key could not be read, because the unread one might be the right one.
    """
    batch = _without_unread(batch)
    twice = _repeated(batch.frame)
    if not twice.height:
        return batch
    import polars as pl

    rest = batch.frame.with_row_index("row").join(twice, on="row", how="anti", maintain_order="left")
    if policy is DuplicatePolicy.ERROR:
        return _refused(batch, rest.drop("row"), twice, _explained(batch, twice, _alike))
    settled = _settled(twice, policy)
    dropped = 0 if policy is DuplicatePolicy.SUM else twice.height - settled.height
    frame = pl.concat([rest, settled.select(rest.columns)]).sort("row").drop("row")
    return evolve(batch, frame=frame, mapped_rows=batch.mapped_rows - dropped, superseded=batch.superseded + dropped)


def newest_of_each(batch: StockBatch, times: Sequence[datetime | None], otherwise: datetime) -> StockBatch:
    """The newest observation of each (SKU, location) among several inputs; of equally old ones that of the last input.

    Those it overtakes count as superseded. Inputs whose own duplicates are settled.

    :param times: when each input was observed, by ``part``; ``otherwise`` stands for one that does not say.
    """
    twice = _repeated(batch.frame)
    if not twice.height:
        return batch
    import polars as pl

    kind = batch_schema()["as_of"]
    of_input = pl.Series([moment or otherwise for moment in times], dtype=kind)
    observed = pl.coalesce("as_of", pl.lit(of_input).gather(pl.col("part")))
    newest = twice.with_columns(observed=observed).sort("observed", "part", "row").unique(_KEY, keep="last")
    rest = batch.frame.with_row_index("row").join(twice, on="row", how="anti", maintain_order="left")
    frame = pl.concat([rest, newest.select(rest.columns)]).sort("row").drop("row")
    dropped = twice.height - newest.height
    return evolve(batch, frame=frame, mapped_rows=batch.mapped_rows - dropped, superseded=batch.superseded + dropped)


def _repeated(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows whose key occurs more than once, in order, with their position as ``row``.

    Equal keys have equal hashes, so distinct hashes prove distinct keys at a tenth of the cost.
    """
    hashes = frame["sku"].hash()
    if hashes.n_unique() < frame.height:
        hashes = hashes ^ frame["location"].hash(seed=1)
        if hashes.n_unique() < frame.height:
            rows = frame.with_row_index("row").filter(hashes.is_duplicated())
            return rows.filter(rows.select(_KEY).is_duplicated())
    return frame.clear().with_row_index("row")


def _settled(twice: pl.DataFrame, policy: DuplicatePolicy) -> pl.DataFrame:
    import polars as pl

    if policy is DuplicatePolicy.LAST:
        return twice.sort("as_of", "row", nulls_last=True).unique(_KEY, keep="last", maintain_order=True)
    if policy is DuplicatePolicy.MIN:
        return twice.sort("quantity", "row").unique(_KEY, keep="first", maintain_order=True)
    first = [pl.col(name).first() for name in ("row", "part", "number")]
    return twice.group_by(_KEY, maintain_order=True).agg(pl.col("quantity").sum(), pl.col("as_of").min(), *first)


def _without_unread(batch: StockBatch) -> StockBatch:
    if batch.mentioned is None:
        return batch
    beside = batch.frame.join(batch.mentioned, on=_KEY, how="semi", maintain_order="left")
    if not beside.height:
        return batch
    rest = batch.frame.join(batch.mentioned, on=_KEY, how="anti", maintain_order="left")
    return _refused(batch, rest, beside, _explained(batch, beside, _unread))


def _refused(batch: StockBatch, rest: pl.DataFrame, refused: pl.DataFrame, details: Iterable[Rejection]) -> StockBatch:
    import polars as pl

    keys = refused.select(_KEY)
    mentioned = keys if batch.mentioned is None else pl.concat([batch.mentioned.select(_KEY), keys])
    batch.rejections.add(RejectionKind.DUPLICATE, refused.height, details)
    return evolve(batch, frame=rest, mapped_rows=batch.mapped_rows - refused.height, mentioned=mentioned.unique())


def _explained(
    batch: StockBatch, refused: pl.DataFrame, explain: Callable[[str, list[Place]], Refusal]
) -> Iterator[Rejection]:
    """The refused rows one by one; of each key's places only a few are kept to be named."""
    import polars as pl

    shown = refused.head(batch.rejections.limit)
    others = refused.join(shown.select(_KEY).unique(), on=_KEY, how="semi").group_by(_KEY)
    named = others.agg(pl.struct("part", "number").head(_NAMED + 1).alias("rows"))
    places = {
        (sku, location): [_place(batch, row["part"], row["number"]) for row in rows]
        for sku, location, rows in named.iter_rows()
    }
    for row in shown.iter_rows(named=True):
        sku, location, place = row["sku"], row["location"], _place(batch, row["part"], row["number"])
        key = f"{sku!r} at {location!r}" if location else repr(sku)
        why = explain(key, [other for other in places[sku, location] if other != place])
        yield Rejection(
            RejectionKind.DUPLICATE,
            why.reason,
            why.message,
            why.guidance,
            place,
            sku=sku,
            location=location,
            quantity=row["quantity"],
        )


def _place(batch: StockBatch, part: int, number: int) -> Place:
    origin, unit = batch.origins[part] if part < len(batch.origins) else (f"input {part + 1}", "line")
    return Place(origin, number, unit)


def _alike(key: str, others: list[Place]) -> Refusal:
    named = "; ".join(str(place) for place in others[:_NAMED])
    return Refusal(
        "duplicate_key",
        f"{key} is also at {named}",
        "Export one row for each SKU and location, or declare what several mean: duplicates='last', 'sum' or 'min'.",
    )


def _unread(key: str, _others: list[Place]) -> Refusal:
    return Refusal("duplicate_unread", f"another row for {key} could not be read", "Correct that row first.")
