"""From stock batch to plan: compares what the source says with the stock table and with what it said before."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
from attrs import Factory, evolve, frozen

from inventory_sources.batch import (
    DECIMAL_PLACES,
    Place,
    Rejection,
    RejectionKind,
    RejectionLog,
    StockBatch,
    batch_schema,
)
from inventory_sources.engine._absence import Absence, Strangers, find_absent, why_kept
from inventory_sources.engine._fetching import foreign_errors
from inventory_sources.engine._watching import unwatched
from inventory_sources.errors import InventorySourcesError
from inventory_sources.feed import AbsencePolicy, Feed, FeedScope
from inventory_sources.ledger import Channel, Ledger, ledger_schema, positions
from inventory_sources.payload import Evidence
from inventory_sources.plan import Outcome, PlanCause, PlanFigures, SyncPlan, Verdict, VerdictAction
from inventory_sources.protocols.guard import Guard
from inventory_sources.run import RunCounts

__all__ = ["Approval", "PlanSettings", "Planned", "make_plan"]

_OUTCOME = pl.Enum([outcome.value for outcome in Outcome])
_CAUSE = pl.Enum([cause.value for cause in PlanCause])
_TIME = batch_schema()["as_of"]
_QUANTITY = batch_schema()["quantity"]
_KEY = ["sku", "location"]
_PLAN = [*_KEY, "old", "new", "as_of", "outcome", "cause", "part", "number"]
_ZERO = pl.lit(Decimal(0), _QUANTITY)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@frozen
class Approval:
    """A person's word for one plan.

    :param guards: the guards that objected when the person looked at it; another one's objection is not covered.
    """

    digest: str
    guards: frozenset[str]

    def covers(self, plan: SyncPlan) -> bool:
        """Whether this plan may pass."""
        objecting = {verdict.guard for verdict in plan.verdicts if verdict.action is VerdictAction.HOLD}
        return objecting <= self.guards and plan.digest == self.digest


@frozen(kw_only=True)
class PlanSettings:
    """What a plan depends on beside the feed, the levels and the ledger.

    :param fallback_as_of: the moment before the fetch, for inputs without a time of their own.
    :param input_as_of: each input's time as its carrier gave it, in the order of ``part``; empty if none gave any.
    :param places: decimal places the sink keeps.
    :param inserts: whether the sink inserts rows for products that have none.
    :param known: those of some SKUs that are products; without it every SKU of a sink that inserts is one.
    :param located: whether the feed names locations; those it does not name are then out of its scope.
    :param baseline_rows: rows of the last complete run, of which ``baseline_matched`` were of a known product.
    :param known_unmapped: identifiers that were unmapped in the last applied feed too.
    :param cells: gives a row as it was read, by part and number, where it is at hand.
    :param columns: the headings of a level's values, to name them in warnings.
    :param yielding: inputs that an equally old observation of their channel overtakes: it was received after them.
    :param approved: what a person approved: the holds of just that plan become warnings.
    :param keep_rejections: how many rejections of each kind to keep in full.
    :param guarding: what the guards are asked in.
    """

    source: str
    config_version: int
    feed: Feed
    evidence: Evidence
    fallback_as_of: datetime
    input_as_of: tuple[datetime | None, ...] = ()
    channel: Channel = Channel.POLL
    yielding: Collection[int] = ()
    places: int = DECIMAL_PLACES
    inserts: bool = False
    known: Callable[[Sequence[str]], Collection[str]] | None = None
    located: bool = True
    baseline_rows: int | None = None
    baseline_matched: int | None = None
    known_unmapped: Collection[str] = frozenset()
    guards: tuple[Guard, ...] = ()
    approved: Approval | None = None
    cells: Callable[[int, int], Mapping[str, str | None] | None] | None = None
    columns: Mapping[str, str] = Factory(dict)
    keep_rejections: int = 10_000
    guarding: Callable[[], AbstractContextManager[Callable[..., None]]] = unwatched

    @property
    def input_times(self) -> tuple[datetime, ...]:
        """When each input was observed."""
        return tuple(time or self.fallback_as_of for time in self.input_as_of) or (self.fallback_as_of,)


@frozen
class Planned:
    """A plan, and what the ledger is to record once it is applied.

    :param observed: columns of :func:`~inventory_sources.ledger.ledger_schema`. Leave out the keys that the sink
        failed to write, so that they are tried again.
    """

    plan: SyncPlan
    observed: pl.DataFrame


def make_plan(batch: StockBatch, levels: pl.DataFrame, ledger: Ledger, settings: PlanSettings) -> Planned:
    """What applying the batch would do; pure but for the question to ``settings.known``, asked at most once.

    :param batch: its (sku, location) pairs are unique: duplicates are settled.
    :param levels: ``sku``, ``location``, ``quantity`` (Decimal or null) and ``as_of`` (UTC or null), pairs unique.
    """
    items, refused = _matched(_timed(batch.frame, settings), levels, settings)
    at = positions(items, ledger.frame)
    cause = _constant(PlanCause.FEED.value, items.height, _CAUSE).alias("cause")
    items = items.hstack([*_seen(ledger.frame, at), cause])
    absence = _absence(batch, items, refused, at, ledger.frame, settings)
    zeroed = _zeroed(absence.rows, levels, settings) if absence.kept_because is None else absence.rows.clear()
    if zeroed.height:
        items = pl.concat([items, zeroed.select(items.columns)])
    items = items.hstack([_floored(items["quantity"], settings.places).alias("new")])
    items = items.hstack(_judged(items, settings))
    rejections = _rejections(batch, refused, levels, settings)
    figures = _figures(items, batch, refused, absence, _supplied(ledger.frame, settings), settings)
    plan = SyncPlan(
        source=settings.source,
        config_version=settings.config_version,
        frame=items[_PLAN],
        counts=RunCounts(),
        figures=figures,
        evidence=settings.evidence,
        rejections=rejections,
        warnings=(*_few_rows(figures), *_warnings(items, absence, settings), *_unlisted(rejections)),
        origins=batch.origins,
        as_of=_one_time(items["as_of"]),
        observed=_is_observed(batch.frame, zeroed, settings),
    )
    _hold(plan, settings)
    plan.counts = _counts(plan, batch, refused)
    return Planned(plan, _observed(items, absence, settings))


def _timed(frame: pl.DataFrame, settings: PlanSettings) -> pl.DataFrame:
    times = _times(frame, settings)
    return frame.clone().replace_column(frame.get_column_index("as_of"), times)


def _times(frame: pl.DataFrame, settings: PlanSettings) -> pl.Series:
    """Each row's time of observation: its own, its input's, or the moment before the fetch."""
    own = frame["as_of"]
    if not own.null_count():
        return own
    times = pl.Series("as_of", [(time - _EPOCH) // _MICROSECOND for time in settings.input_times], _TIME)
    if len(times) == 1 and own.null_count() == own.len():
        return times.new_from_index(0, own.len())
    if times.n_unique() == 1:
        return own.fill_null(times[0])
    return own.zip_with(own.is_not_null(), times.gather(frame["part"])).fill_null(settings.fallback_as_of)


def _is_observed(frame: pl.DataFrame, zeroed: pl.DataFrame, settings: PlanSettings) -> bool:
    """Whether every time in the plan comes from the data or its carrier."""
    given = [time is not None for time in settings.input_as_of]
    if zeroed.height and not (given and all(given)):
        return False
    if not frame["as_of"].null_count():
        return True
    if not any(given):
        return False
    parts = frame["part"].filter(frame["as_of"].is_null()).unique()
    return all(part is not None and part < len(given) and given[part] for part in parts)


def _one_time(times: pl.Series) -> datetime | None:
    earliest, latest = times.min(), times.max()
    return earliest if isinstance(earliest, datetime) and earliest == latest else None


def _matched(frame: pl.DataFrame, levels: pl.DataFrame, settings: PlanSettings) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that have a place in the stock table, with what stands there; and those that have none."""
    at = positions(frame, levels)
    refused = frame.clear()
    if at is not None and at.null_count():
        placed = at.is_not_null()
        if settings.inserts:
            placed |= _insertable(frame["sku"], placed, settings)
        frame, refused, at = frame.filter(placed), frame.filter(~placed), at.filter(placed)
    old, level_as_of = (level if at is None else level.gather(at) for level in (levels["quantity"], levels["as_of"]))
    return frame.hstack([old.cast(_QUANTITY).alias("old"), level_as_of.cast(_TIME).alias("level_as_of")]), refused


def _insertable(skus: pl.Series, placed: pl.Series, settings: PlanSettings) -> pl.Series:
    if settings.known is None:
        return placed.is_not_null()
    asked = skus.filter(~placed).unique().to_list()
    known = pl.Series(list(settings.known(asked)) if asked else [], dtype=pl.String)
    return skus.is_in(known.implode())


def _seen(ledger: pl.DataFrame, at: pl.Series | None) -> list[pl.Series]:
    """What the source said before about each item."""
    facts = (ledger["as_of"], ledger["channel"], ledger["quantity"])
    return [(fact if at is None else fact.gather(at)).alias(f"seen_{fact.name}") for fact in facts]


def _absence(
    batch: StockBatch,
    items: pl.DataFrame,
    refused: pl.DataFrame,
    at: pl.Series | None,
    ledger: pl.DataFrame,
    settings: PlanSettings,
) -> Absence:
    if settings.feed.scope is not FeedScope.SNAPSHOT:
        return Absence(ledger.clear(), ledger.height - int(ledger["absent"].sum()), 0, "the feed is partial")
    mentioned = [refused.select(_KEY)] if refused.height else []
    if batch.mentioned is not None:
        mentioned.append(batch.mentioned.select(_KEY))
    locations = items["location"].unique() if settings.located and at is not None else None
    absence = find_absent(ledger, at, mentioned, locations)
    strangers = Strangers(
        refused=refused["sku"],
        unread=_strange(batch.mentioned, ledger),
        lately_unmapped=frozenset(settings.known_unmapped),
    )
    kept = why_kept(batch, strangers, settings.feed, settings.evidence, settings.columns)
    unmapped = refused.height + strangers.unread.len() + batch.rejections.counts[RejectionKind.UNMAPPED]
    return evolve(absence.without_doubtful() if kept is None and unmapped else absence, kept_because=kept)


def _strange(mentioned: pl.DataFrame | None, ledger: pl.DataFrame) -> pl.Series:
    """Identifiers of unread rows that this source never supplied: they may be damaged names of what it did."""
    if mentioned is None:
        return pl.Series(dtype=pl.String)
    skus = mentioned["sku"].drop_nulls().unique()
    return skus.filter(~skus.is_in(ledger["sku"].implode()))


def _zeroed(absent: pl.DataFrame, levels: pl.DataFrame, settings: PlanSettings) -> pl.DataFrame:
    """Items that set to zero what is absent and still in the stock table, unless it was observed later."""
    moment = min(settings.input_times)
    rows = absent.filter(pl.col("as_of") <= moment)
    at = positions(rows, levels)
    if at is not None:
        rows = rows.filter(at.is_not_null())
    kinds = batch_schema()
    rows = rows.select(
        *_KEY,
        _ZERO.alias("quantity"),
        pl.lit(moment, _TIME).alias("as_of"),
        pl.lit(None, kinds["part"]).alias("part"),
        pl.lit(None, kinds["number"]).alias("number"),
        *(pl.col(name).alias(f"seen_{name}") for name in ("as_of", "channel", "quantity")),
        pl.lit(PlanCause.ABSENT.value, _CAUSE).alias("cause"),
    )
    return _matched(rows, levels, settings)[0]


def _floored(quantities: pl.Series, places: int) -> pl.Series:
    """Each quantity's floor at so many decimal places, exactly: polars rounds when it casts, so one unit goes off."""
    if places >= DECIMAL_PLACES:
        return quantities
    rounded = quantities.cast(pl.Decimal(38, places)).cast(_QUANTITY)
    above = rounded > quantities
    if not above.any():
        return rounded
    unit = pl.Series([Decimal(1).scaleb(-places)], dtype=_QUANTITY).new_from_index(0, quantities.len())
    return (rounded - unit.zip_with(above, unit.clear().extend_constant(Decimal(0), quantities.len()))).cast(_QUANTITY)


def _judged(items: pl.DataFrame, settings: PlanSettings) -> list[pl.Series]:
    """The outcome of each item, and whether it is stale for contradicting another channel."""
    as_of, seen_as_of, old = items["as_of"], items["seen_as_of"], items["old"]
    newer = (seen_as_of > as_of) | (items["level_as_of"] > as_of)
    at_once, same = seen_as_of == as_of, items["quantity"] == items["seen_quantity"]
    conflict = at_once & ~same & (items["seen_channel"] != settings.channel.value)
    if settings.yielding:
        newer |= at_once & ~same & items["part"].is_in(list(settings.yielding))
    # The level may have moved since, by a sale: the same observation again must not put it back.
    again = at_once & same & old.is_not_null() if old.null_count() else at_once & same
    stale, unchanged, changed = (
        _constant(outcome.value, items.height, _OUTCOME)
        for outcome in (Outcome.STALE, Outcome.UNCHANGED, Outcome.CHANGED)
    )
    # A comparison with nothing is null, and null chooses the second.
    outcome = stale.zip_with(newer | conflict, unchanged.zip_with(again | (items["new"] == old), changed))
    contradicts = _constant(value=False, rows=items.height, kind=pl.Boolean()).zip_with(newer, conflict)
    return [outcome.alias("outcome"), contradicts.alias("conflict")]


def _constant(value: object, rows: int, kind: pl.DataType) -> pl.Series:
    return pl.Series([value]).cast(kind).new_from_index(0, rows)


def _supplied(ledger: pl.DataFrame, settings: PlanSettings) -> int:
    """Levels above zero in all that a partial feed's source has supplied: one feed's few rows are no measure."""
    if settings.feed.scope is FeedScope.SNAPSHOT:
        return 0
    return int(((ledger["quantity"] > Decimal(0)) & ~ledger["absent"]).sum())


def _figures(
    items: pl.DataFrame,
    batch: StockBatch,
    refused: pl.DataFrame,
    absence: Absence,
    supplied: int,
    settings: PlanSettings,
) -> PlanFigures:
    changed, positive = items["outcome"] == Outcome.CHANGED.value, items["old"] > Decimal(0)
    zeroed = int((changed & positive & (items["new"] <= Decimal(0))).sum()) if changed.any() else 0
    pushed = settings.channel is Channel.WEBHOOK
    return PlanFigures(
        rows=batch.rows - batch.superseded if pushed else batch.rows,
        matched=batch.mapped_rows - refused.height,
        baseline_rows=settings.baseline_rows,
        baseline_matched=settings.baseline_matched,
        known=absence.known,
        items=items.height,
        changed=int(changed.sum()),
        nonzero=max(int(positive.sum()), supplied),
        zeroed=zeroed,
        missing=absence.missing,
        snapshot=settings.feed.scope is FeedScope.SNAPSHOT,
        pushed=pushed,
    )


def _few_rows(figures: PlanFigures) -> Iterator[str]:
    if 2 * figures.matched < figures.rows:
        yield f"only {figures.matched} of {figures.rows} rows could be used"


def _warnings(items: pl.DataFrame, absence: Absence, settings: PlanSettings) -> Iterator[str]:
    floored = int((items["new"] != items["quantity"]).sum())
    if floored:
        unit = f"{settings.places} decimal places" if settings.places else "whole units"
        yield f"{floored} quantities were floored to {unit}, which is what the stock table keeps"
    conflicts = int(items["conflict"].sum())
    older = int((items["outcome"] == Outcome.STALE.value).sum()) - conflicts
    if older:
        yield f"{older} quantities were observed earlier than those already known, which were kept"
    if conflicts:
        yield (
            f"{conflicts} quantities contradict those that another channel gave for the same moment; "
            "the earlier received ones were kept"
        )
    if settings.feed.absent is AbsencePolicy.ZERO and absence.rows.height and absence.kept_because is not None:
        yield (
            f"{absence.rows.height} items that this source supplied before are not in the feed; "
            f"they were kept, because {absence.kept_because}"
        )
    if absence.doubtful:
        yield (
            f"{absence.doubtful} items that went missing earlier were kept, because identifiers that answer to no "
            "product may be theirs"
        )


def _unlisted(rejections: RejectionLog) -> Iterator[str]:
    for kind, count in rejections.counts.items():
        listed = (
            sum(1 for rejection in rejections.kept if rejection.kind is kind) if count > rejections.limit else count
        )
        if listed < count:
            yield f"{listed} of {count} {kind.value} rows are listed; all of them are counted"


def _verdict(guard: Guard, figures: PlanFigures) -> Verdict | None:
    with foreign_errors(InventorySourcesError, "guard", guard):
        return guard.judge(figures)


def _hold(plan: SyncPlan, settings: PlanSettings) -> None:
    """Asks the guards; when one objects and nobody has approved just this plan, what would change is held."""
    with settings.guarding() as tell:
        verdicts = [_verdict(guard, plan.figures) for guard in settings.guards]
        plan.verdicts = tuple(verdict for verdict in verdicts if verdict is not None)
        tell(guards=len(verdicts), verdicts=len(plan.verdicts))
    if not plan.held:
        return
    if settings.approved is not None and settings.approved.covers(plan):
        plan.verdicts = tuple(evolve(verdict, action=VerdictAction.WARN) for verdict in plan.verdicts)
        return
    held = pl.lit(Outcome.HELD.value, _OUTCOME)
    outcome = pl.when(pl.col("outcome") == Outcome.CHANGED.value).then(held).otherwise(pl.col("outcome"))
    plan.frame = plan.frame.with_columns(outcome.alias("outcome"))


def _counts(plan: SyncPlan, batch: StockBatch, refused: pl.DataFrame) -> RunCounts:
    rejected = batch.rejections.counts
    outcomes = dict(plan.frame["outcome"].value_counts().iter_rows())
    updated = 0
    if Outcome.CHANGED.value in outcomes:
        updated = plan.frame["sku"].filter(plan.frame["outcome"] == Outcome.CHANGED.value).n_unique()
    return RunCounts(
        rows=batch.rows,
        mapped=batch.mapped_rows - refused.height,
        unmapped=rejected[RejectionKind.UNMAPPED] + refused.height,
        invalid=rejected[RejectionKind.INVALID],
        duplicate=rejected[RejectionKind.DUPLICATE] + batch.superseded,
        items=plan.frame.height,
        products_updated=updated,
        **{outcome.value: outcomes.get(outcome.value, 0) for outcome in Outcome},
    )


def _observed(items: pl.DataFrame, absence: Absence, settings: PlanSettings) -> pl.DataFrame:
    """What was newly said, and the marks of what was newly left out."""
    stale = items["outcome"] == Outcome.STALE.value
    told = items.filter(~stale) if stale.any() else items
    channel = _constant(settings.channel.value, told.height, ledger_schema()["channel"])
    absent = told["cause"] == PlanCause.ABSENT.value
    told = told[[*_KEY, "as_of", "quantity"]].hstack([absent.alias("absent")])
    told = told.insert_column(3, channel.alias("channel"))  # in the order of the ledger
    if not absence.rows.height:
        return told
    left_out = absence.rows.filter(~absence.rows["absent"])
    at = positions(left_out, told.filter("absent"))
    if at is None:
        return told
    return pl.concat([told, left_out.filter(at.is_null()).with_columns(absent=pl.lit(value=True))])


def _rejections(batch: StockBatch, refused: pl.DataFrame, levels: pl.DataFrame, settings: PlanSettings) -> RejectionLog:
    log = RejectionLog(settings.keep_rejections)
    log.merge(batch.rejections)
    shown = refused.head(settings.keep_rejections)
    elsewhere = shown["sku"].is_in(levels["sku"].implode()) if shown.height else pl.Series(dtype=pl.Boolean)
    log.add(RejectionKind.UNMAPPED, refused.height, _explained(shown, elsewhere, batch.origins, settings.cells))
    return log


def _explained(
    refused: pl.DataFrame,
    elsewhere: pl.Series,
    origins: tuple[tuple[str, str], ...],
    cells: Callable[[int, int], Mapping[str, str | None] | None] | None,
) -> Iterator[Rejection]:
    for row, known_sku in zip(refused.iter_rows(named=True), elsewhere, strict=True):
        sku, location, part = row["sku"], row["location"], row["part"]
        origin, unit = origins[part] if part is not None and part < len(origins) else ("input", "row")
        at = f" at location {location!r}" if location else " without a location"
        yield Rejection(
            RejectionKind.UNMAPPED,
            "unknown_location" if known_sku else "unknown_sku",
            f"{sku!r} has no stock row{at}" if known_sku else f"no product has the SKU {sku!r}",
            "Correct the location, or add the stock row."
            if known_sku
            else "Add the product, or map this identifier to one.",
            Place(origin, row["number"] or 0, unit),
            (cells and cells(part, row["number"])) or _as_mapped(row),
            sku,
            location,
            row["quantity"],
        )


def _as_mapped(row: Mapping[str, object]) -> dict[str, str | None]:
    return {name: str(row[name]) for name in ("sku", "location", "quantity")}
