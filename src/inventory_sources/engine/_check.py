"""Looking at a source before the first sync: can it be reached, what columns are there, what would match."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import Factory, evolve, frozen

from inventory_sources.batch import RawBatch, RejectionKind
from inventory_sources.engine._fetching import Fetch, FetchRequest, fetch, fetch_context, foreign_errors
from inventory_sources.engine._intake import Intake, read
from inventory_sources.engine._proposal import Background, propose
from inventory_sources.engine._row_fault import declared_columns, row_fault
from inventory_sources.engine._withholding import withholding
from inventory_sources.errors import DecodeError, FetchError, InventorySourcesError
from inventory_sources.headings import fold
from inventory_sources.payload import Evidence, Proof
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
#: So many records tell the headings, so many rows are shown, and so many faults.
_HEAD_RECORDS, _SAMPLE_ROWS, _FIRST = 1000, 10, 3

#: All but ``STABLE``, which proves nothing.
_PROOFS = {
    Proof.LENGTH: "its length",
    Proof.CHUNKED_END: "the end of the transfer",
    Proof.TRAILER: "its trailer",
    Proof.COUNT: "the number of records it declares",
    Proof.LAST_PAGE: "its last page",
    Proof.CHECKSUM: "its checksum",
    Proof.MARKER: "its marker",
    Proof.RENAMED: "its renaming",
}


@frozen
class CheckReport:
    """What a look at a source found; nothing was written.

    :param reached: whether the source could be reached and gave its head.
    :param headings: columns found.
    :param sample: the first rows, as long as ``headings``.
    :param suggested_mapping: for ``sku``, ``quantity``, ``location`` and ``as_of``, the column that looks like it.
    :param lists: where a document has lists of records, by path with how many, if none is at the declared path.
    :param suggested_options: what to declare of the decoder, or of the connector that finds the records itself, instead
        of what is declared.
    :param suggested_format: what the input looks like, where the declared decoder cannot make sense of it.
    :param matched: rows whose product is known, out of ``rows``; ``None`` where the feed could not be read to the end.
    :param invalid: rows that cannot be read, of which ``faults`` tells the first three: line, column and why.
    :param unmapped: rows that no product answers to; ``strangers`` are the first three identifiers.
    :param evidence: what shows that the feed was read to its end, if anything does; ``None`` where it was not read.
    :param declared_records: how many records the source itself says there are.
    :param problems: what stands in the way of a first sync, in the order to mend it.
    :param warnings: what a run's record would say although the sync went on.
    """

    origin: str = ""
    reached: bool = False
    headings: tuple[str, ...] = ()
    sample: tuple[tuple[str | None, ...], ...] = ()
    suggested_mapping: dict[str, str] = Factory(dict)
    lists: Mapping[str, int] = Factory(dict)
    suggested_options: Mapping[str, Any] = Factory(dict)
    suggested_format: FormatHint | None = None
    rows: int | None = None
    matched: int | None = None
    invalid: int = 0
    faults: tuple[str, ...] = ()
    unmapped: int = 0
    strangers: tuple[str, ...] = ()
    evidence: Evidence | None = None
    declared_records: int | None = None
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
        lines += self._counted()
        if self.lists:
            found = ", ".join(f"{path!r} ({_many(count, 'record')})" for path, count in self.lists.items())
            lines.append(f"lists found at {found}")
        lines += [f"suggested {field}: {column}" for field, column in self.suggested_mapping.items()]
        lines += [f"declare {option}={value!r}" for option, value in self.suggested_options.items()]
        lines += [f"problem: {problem}" for problem in self.problems]
        lines += [f"warning: {warning}" for warning in self.warnings]
        if self.suggested_format is not None:
            lines.append(str(self.suggested_format))
        return "\n".join(lines)

    def _counted(self) -> Iterator[str]:
        if self.evidence is not None:
            yield self._ended()
        if self.matched is not None:
            yield f"{self.matched} of {_many(self.rows or 0, 'row')} match a product"
        if self.unmapped:
            named = ", ".join(map(repr, self.strangers))
            yield f"no product answers to {_many(self.unmapped, 'row')}, such as {named}"
        if self.invalid:
            yield f"{_many(self.invalid, 'row')} cannot be read:"
            yield from (f"  {fault}" for fault in self.faults)

    def _ended(self) -> str:
        told = "" if self.declared_records is None else f"; the source says it has {self.declared_records} records"
        if self.evidence is None or not self.evidence.proves_end:
            return f"not proven complete, so what is not in it keeps its level{told}"
        proofs = [words for proof, words in _PROOFS.items() if proof in self.evidence.proofs]
        return f"proven complete by {' and '.join(proofs)}{told}"


def check_source(source: Source, request: FetchRequest, background: Background) -> CheckReport:
    """Reaches the source, looks at its head, then reads and matches all of it; never raises for bad input."""
    report = CheckReport()
    try:
        report = _look(source, request)
        with fetch(source, request) as fetched:
            report = _look_at_records(report, fetched)
            intake = read(fetched)
            return _matched(report, source, intake, propose(source, intake, background).plan)
    except InventorySourcesError as error:
        told = any(error.message in problem or problem in error.message for problem in report.problems)
        problems = report.problems if told else (*report.problems, str(error))
        return evolve(report, problems=problems, warnings=tuple(request.outcome.warnings))


def _matched(report: CheckReport, source: Source, intake: Intake, plan: SyncPlan) -> CheckReport:
    """The report of a feed that was read to its end."""
    rows, matched = plan.figures.rows, plan.figures.matched
    kept, columns = plan.rejections.kept, declared_columns(source.mapper)
    invalid = [rejection for rejection in kept if rejection.kind is RejectionKind.INVALID]
    unmapped = [rejection.sku for rejection in kept if rejection.kind is RejectionKind.UNMAPPED and rejection.sku]
    several = len(intake.inputs) > 1
    return evolve(
        report,
        reached=True,
        rows=rows,
        matched=matched,
        invalid=plan.counts.invalid,
        faults=tuple(row_fault(rejection, columns, origin=several) for rejection in invalid[:_FIRST]),
        unmapped=plan.counts.unmapped,
        strangers=tuple(dict.fromkeys(unmapped))[:_FIRST],
        evidence=intake.evidence,
        problems=report.problems if matched or not rows else (*report.problems, "no row matches a product"),
        warnings=intake.warnings,
        suggested_format=None,  # what was read to the end is what the decoder takes it for
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
    with (
        withholding(source),
        fetch_context(source, request) as context,
        foreign_errors(FetchError, "connector", source.connector),
    ):
        head = source.connector.check(context)
    return _inspect(source, head)


def _inspect(source: Source, head: Head) -> CheckReport:
    from inventory_sources.formats import suggest_format

    if (lists := head.lists) is not None:
        options = {"records": max(lists, key=lists.__getitem__)} if lists else {}
        return CheckReport(origin=head.origin, reached=True, lists=lists, suggested_options=options)
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


def _look_at_records(report: CheckReport, fetched: Fetch) -> CheckReport:
    """What records that need no decoder look like, and how many of them there should be."""
    carried = (fetched.context.evidence, *(payload.evidence for payload in fetched.payloads))
    declared = [evidence.declared_records for evidence in carried if evidence.declared_records is not None]
    report = evolve(report, declared_records=sum(declared) if declared else None)
    records = next((part for part in fetched.gathered if isinstance(part, list)), None)
    if records is None or report.headings:
        return report
    raw = RawBatch.from_records(records[:_HEAD_RECORDS], report.origin)
    headings = tuple(raw.frame.columns)
    sample = tuple(raw.frame.head(_SAMPLE_ROWS).iter_rows())
    return evolve(report, headings=headings, sample=sample, suggested_mapping=suggest_mapping(headings))


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
