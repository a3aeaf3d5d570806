"""Items that the sink did not take: listed like rejected rows, and summed up in a warning."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from attrs import evolve

from inventory_sources.batch import Place, Rejection, RejectionKind
from inventory_sources.engine._intake import RowCells
from inventory_sources.plan import Outcome, SyncPlan
from inventory_sources.protocols.sink import MOVED_ON, NOT_REACHED, ItemOutcome

if TYPE_CHECKING:
    import polars as pl

__all__ = ["with_refusals"]

_CODE = re.compile(r"[A-Za-z0-9_.-]{1,60}")
_REFUSED = "refused"
_WORDS = {
    "row_gone": "it is not there any more",
    MOVED_ON: "its level kept changing while it was compared and tried",
    _REFUSED: "it does not take this quantity",
}
_GUIDANCE = {
    "row_gone": "Add the product or its stock row again, or take it out of the feed.",
    MOVED_ON: "Nothing to do, unless it happens at each sync: then something else sets this level all the time.",
    _REFUSED: "Compare the quantity with what the sink allows: its range, constraints and triggers.",
}
_ELSE = "Look at the product where the levels are kept."


def with_refusals(
    plan: SyncPlan, exceptions: Sequence[ItemOutcome], cells: RowCells | None
) -> tuple[SyncPlan, Mapping[str, int]]:
    """The applied plan with a rejection for each item that the sink refused, and how many there are by reason.

    Those that it had not come to when it stopped are not listed: the failure of the run says so.
    """
    refused = [item for item in exceptions if item.outcome is Outcome.FAILED and item.reason != NOT_REACHED]
    if not refused:
        return plan, {}
    rows = _rows(plan, refused)
    log = evolve(plan.rejections, counts=dict(plan.rejections.counts), kept=list(plan.rejections.kept))
    log.add(RejectionKind.FAILED, rows.height, _rejections(rows.head(log.limit), plan, cells))
    changes = plan.counts.changed + plan.counts.failed
    warning = f"{rows.height} of {changes} items were refused by the sink: first {_named(rows.row(0, named=True))}"
    if rows.height > log.limit:
        warning += f"; {log.limit} of them are listed, all of them are counted"
    return evolve(plan, rejections=log, warnings=(*plan.warnings, warning)), Counter(rows["reason"].to_list())


def _rows(plan: SyncPlan, refused: Sequence[ItemOutcome]) -> pl.DataFrame:
    """The refused items, in the order of the plan."""
    import polars as pl

    told = [(item.sku, item.location, _code(item.reason), item.guidance) for item in refused]
    columns = dict.fromkeys(("sku", "location", "reason", "guidance"), pl.String)
    return plan.frame.join(
        pl.DataFrame(told, schema=columns, orient="row"), on=["sku", "location"], how="inner", maintain_order="left"
    )


def _code(reason: str) -> str:
    """A sink's reason, unless it is no code: a vendor's text may hold anything."""
    return reason if _CODE.fullmatch(reason) else _REFUSED


def _rejections(rows: pl.DataFrame, plan: SyncPlan, cells: RowCells | None) -> Iterator[Rejection]:
    for row in rows.iter_rows(named=True):
        reason, part, number = row["reason"], row["part"], row["number"]
        new = Decimal(f"{row['new'].normalize():f}")
        words = _WORDS.get(reason, reason.replace("_", " "))
        read = cells.of(part, number) if cells and part is not None and number is not None else None
        yield Rejection(
            RejectionKind.FAILED,
            reason,
            f"the sink did not set {_named(row, why=False)} to {new}: {words}",
            f"{row['guidance'] or _GUIDANCE.get(reason, _ELSE)} The next sync tries it again.",
            _place(plan, part, number),
            read or {"sku": row["sku"], "location": row["location"], "quantity": str(new)},
            row["sku"],
            row["location"],
            new,
        )


def _place(plan: SyncPlan, part: int | None, number: int | None) -> Place:
    if part is None or number is None or part >= len(plan.origins):
        return Place("not in the feed" if part is None else "input", 0, "row")
    origin, unit = plan.origins[part]
    return Place(origin, number, unit)


def _named(row: Mapping[str, Any], *, why: bool = True) -> str:
    at = f" at location {row['location']!r}" if row["location"] else ""
    return f"{row['sku']!r}{at} ({row['reason']})" if why else f"{row['sku']!r}{at}"
