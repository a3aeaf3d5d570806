"""Looking at a source before the first sync: can it be reached, what columns are there, what would match."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import Factory, evolve, frozen

from inventory_sources.engine._fetching import FetchRequest, fetch_context, foreign_errors
from inventory_sources.engine._intake import take_in
from inventory_sources.engine._proposal import Background, propose
from inventory_sources.errors import DecodeError, FetchError, InventorySourcesError
from inventory_sources.headings import fold
from inventory_sources.plan import SyncPlan
from inventory_sources.protocols.connector import CheckableConnector, Head
from inventory_sources.protocols.decoder import Inspection
from inventory_sources.source import Source

if TYPE_CHECKING:
    from inventory_sources.formats import FormatHint

__all__ = ["CheckReport", "check_source", "suggest_mapping"]

#: Headings that the trade uses, by what they mean; folded when compared.
_HEADINGS = {
    "sku": (
        "sku", "item", "item number", "item no", "item code", "product code", "article", "article number",
        "article no", "code", "part number", "material", "variant sku", "product id", "inventory item id",
        "referencia", "artikelnummer", "reference", "ean", "gtin",
    ),
    "quantity": (
        "quantity", "qty", "available", "available quantity", "stock", "on hand", "qoh", "physical qoh",
        "stock on hand", "inventory", "inventory quantity", "stock level", "cantidad", "existencias", "bestand",
        "menge", "quantite",
    ),
    "location": ("location", "warehouse", "location id", "source code", "site", "depot", "store", "almacen", "lager"),
    "as_of": ("as of", "updated at", "last updated", "modified", "timestamp", "changed at", "stock date"),
}  # fmt: skip

#: A product and its quantity: with fewer, the decoder did not understand what it read.
_FEWEST_COLUMNS = 2


@frozen
class CheckReport:
    """What a look at a source found; nothing was written.

    :param reached: whether the source could be reached and gave its head.
    :param headings: columns found.
    :param sample: the first rows, as long as ``headings``.
    :param suggested_mapping: for ``sku``, ``quantity``, ``location`` and ``as_of``, the column that looks like it.
    :param suggested_options: decoder options to declare instead of those declared.
    :param suggested_format: what the input looks like, where the declared decoder cannot make sense of it.
    :param matched: rows whose product is known, out of ``rows``; ``None`` where the feed could not be read to the end.
    :param problems: what stands in the way of a first sync, in the order to mend it.
    :param warnings: what a run's record would say although the sync went on.
    """

    origin: str = ""
    reached: bool = False
    headings: tuple[str, ...] = ()
    sample: tuple[tuple[str | None, ...], ...] = ()
    suggested_mapping: dict[str, str] = Factory(dict)
    suggested_options: Mapping[str, Any] = Factory(dict)
    suggested_format: FormatHint | None = None
    rows: int | None = None
    matched: int | None = None
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether a first sync can go on."""
        return self.reached and not self.problems

    def __str__(self) -> str:
        lines = [f"{self.origin or 'source'}: {'reached' if self.reached else 'not reached'}"]
        if self.headings:
            lines.append(f"columns: {', '.join(self.headings)}")
        if self.matched is not None:
            lines.append(f"{self.matched} of {self.rows} rows match a product")
        lines += [f"suggested {field}: {column}" for field, column in self.suggested_mapping.items()]
        lines += [f"declare {option}={value!r}" for option, value in self.suggested_options.items()]
        lines += [f"problem: {problem}" for problem in self.problems]
        lines += [f"warning: {warning}" for warning in self.warnings]
        if self.suggested_format is not None:
            lines.append(str(self.suggested_format))
        return "\n".join(lines)


def check_source(source: Source, request: FetchRequest, background: Background) -> CheckReport:
    """Reaches the source, looks at its head, then reads and matches all of it; never raises for bad input."""
    report = CheckReport()
    try:
        report = _look(source, request)
        warnings, plan = _dry_plan(source, request, background)
    except InventorySourcesError as error:
        told = any(error.message in problem or problem in error.message for problem in report.problems)
        problems = report.problems if told else (*report.problems, str(error))
        return evolve(report, problems=problems, warnings=tuple(request.outcome.warnings))
    matched = plan.figures.matched
    problems = report.problems if matched or not plan.figures.rows else (*report.problems, "no row matches a product")
    # What was read to the end is what the decoder takes it for.
    return evolve(
        report,
        rows=plan.figures.rows,
        matched=matched,
        reached=True,
        problems=problems,
        warnings=warnings,
        suggested_format=None,
    )


def suggest_mapping(headings: Sequence[str]) -> dict[str, str]:
    """For each field of a mapping, the heading that looks most like it; a field without one is left out."""
    folded = {fold(heading.rpartition(".")[2]): heading for heading in reversed(headings)}
    folded.update({fold(heading): heading for heading in reversed(headings)})
    found: dict[str, str] = {}
    for field, words in _HEADINGS.items():
        known = [fold(word) for word in words]
        exact = next((folded[word] for word in known if word in folded), None)
        near = exact or next(
            (folded[close[0]] for word in known[:4] if (close := difflib.get_close_matches(word, folded, 1, 0.8))), None
        )
        if near is not None and near not in found.values():
            found[field] = near
    return found


def _look(source: Source, request: FetchRequest) -> CheckReport:
    if not isinstance(source.connector, CheckableConnector):
        return CheckReport(origin=source.name, reached=True)
    with fetch_context(source, request) as context, foreign_errors(FetchError, "connector", source.connector):
        head = source.connector.check(context)
    return _inspect(source, head)


def _inspect(source: Source, head: Head) -> CheckReport:
    from inventory_sources.formats import suggest_format

    hint = suggest_format(head.data, complete=head.complete)
    if source.decoder is None:
        return CheckReport(origin=head.origin, reached=True, suggested_format=hint)
    with foreign_errors(DecodeError, "decoder", source.decoder):
        seen: Inspection = source.decoder.inspect(head.data, complete=head.complete)
    troubled = bool(seen.problems) or len(seen.headings) < _FEWEST_COLUMNS
    return CheckReport(
        origin=head.origin,
        reached=True,
        headings=seen.headings,
        sample=seen.sample,
        suggested_mapping=suggest_mapping(seen.headings),
        suggested_options=dict(seen.suggestions),
        suggested_format=hint if hint and hint.differs(source.decoder, troubled=troubled) else None,
        problems=seen.problems,
    )


def _dry_plan(source: Source, request: FetchRequest, background: Background) -> tuple[tuple[str, ...], SyncPlan]:
    with take_in(source, request) as intake:
        return intake.warnings, propose(source, intake, background).plan
