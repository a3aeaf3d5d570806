"""Details: a request for each record of a thin list, for what the list does not say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from inventory_sources._http import shown_url
from inventory_sources.errors import ConfigurationError, InputIncomplete, Recovery, SourceMissing, StructureInvalid
from inventory_sources.rest._ahead import Answers
from inventory_sources.rest._calls import Call, Further
from inventory_sources.rest._joins import Cells, Join, joined, some, with_columns
from inventory_sources.rest._markers import Markers
from inventory_sources.rest._pagers import refuse_page
from inventory_sources.rest._pages import Page
from inventory_sources.rest._records import flat, records_at

if TYPE_CHECKING:
    from inventory_sources._http import HttpAnswer, HttpRequest

__all__ = ["Details", "completed", "detailed"]


@frozen(kw_only=True)
class Details:
    """Columns from a request of its own for each record.

    A record whose details are not there (404, 410) went away since the list was read: it is left out with a warning,
    and nothing counts as absent in this fetch. Details that are not there for any record are an error.

    :param url: a path such as ``/items/{id}``, or a whole URL of the connector's own origin; what stands in braces is
        a column of the list.
    :param params: added to the query, with braces as well.
    :param take: new columns, each with the column of the details that it is filled from.
    :param records: where in the details a list is, each record of which makes a row, such as the levels at each
        location; ``None`` where they are one object. An answer that says that there are more of them is refused.
    :param ignore_markers: as of the connector.
    """

    url: str = field(repr=shown_url)
    params: Mapping[str, str] = field(factory=dict, repr=False)
    take: Mapping[str, str] = field(validator=some)
    records: str | None = None
    ignore_markers: tuple[str, ...] = field(default=(), converter=tuple)

    @property
    def call(self) -> Call:
        """For the details of a record."""
        return Call(self.url, params=self.params)

    def check(self, base: str) -> None:
        """Sees at the declaration whether they can be asked for.

        :raises ConfigurationError: when they cannot.
        """
        if not self.call.places:
            raise ConfigurationError("the URL of the details names no column in braces, such as /items/{id}")
        self.call.check(base)


def completed(
    records: list[Cells], joins: Iterable[Join], details: Details | None, further: Further
) -> tuple[list[Cells], bool]:
    """The records with what further requests say of them, and whether what these gave is proven whole."""
    whole = True
    for join in joins:
        records, proven = joined(records, join, further)
        whole = whole and proven
    if details is None:
        return records, whole
    records, stayed = detailed(records, details, further)
    return records, whole and stayed


def detailed(records: Sequence[Cells], details: Details, further: Further) -> tuple[list[Cells], bool]:
    """The records with the columns of their details, in order, and whether none went away meanwhile.

    :raises StructureInvalid: when a declared column is nowhere, or a record has nothing to ask for its details by.
    :raises SourceMissing: when there are no details of any record.
    :raises FetchError: when details cannot be had.
    """
    requests = [
        details.call.request(further.base, record, f"record {number}") for number, record in enumerate(records, 1)
    ]
    found = _found(requests, details, further)
    columns = {name for rows in found.values() for row in rows or () for name in row}
    for old in details.take.values():
        if further.whole and columns and old not in columns:
            raise StructureInvalid(f"no details have {old!r}")
    rows = list(_rows(records, [found[request.url] for request in requests], details))
    gone = sum(found[request.url] is None for request in requests)
    if gone:
        further.session.context.warn(f"{gone} of {len(records)} records went away before their details were read")
    return rows, not gone


def _found(requests: Sequence[HttpRequest], details: Details, further: Further) -> dict[str, list[Cells] | None]:
    """The details by URL, each asked for once; ``None`` where there are none."""
    once = {request.url: request for request in requests}
    found: dict[str, list[Cells] | None] = {}
    with Answers.of(further.ask, further.concurrency) as answers:
        answers.expect(once.values())
        for url, request in once.items():
            try:
                found[url] = _cells(request, *answers.to(request), details)
            except SourceMissing:
                found[url] = None
    if further.whole and found and all(rows is None for rows in found.values()):
        raise SourceMissing(
            f"there are no details of any of the {len(requests)} records",
            guidance="Check the URL of the details and the column that it is made with.",
        )
    return found


def _cells(request: HttpRequest, answer: HttpAnswer, document: Any, details: Details) -> list[Cells]:
    refuse_page(answer, document, details.ignore_markers)
    origin = answer.origin
    if details.records is not None:
        records = records_at(document, details.records, origin)
        _refuse_part(Page(1, request, answer, document, records, len(records)), details)
        return [flat(record, number) for number, record in enumerate(records, 1)]
    if not isinstance(document, dict):
        raise StructureInvalid(f"{origin}: the details are no object; say by records where in them a list is")
    return [flat(document)]


def _refuse_part(page: Page, details: Details) -> None:
    """Refuses a list in the details of which the answer says that there is more: what is not there would be missed."""
    against = Markers(details.records or "", details.ignore_markers).against(page, page)
    if against is not None:
        raise InputIncomplete(
            f"{page.answer.origin}: {against.message}",
            recovery=Recovery.STOP,
            guidance="Details are one answer each: have the API put all into it, such as by a limit in params. If this "
            f"means something else here, declare ignore_markers=({against.name!r},) of Details.",
        )


def _rows(records: Sequence[Cells], found: Sequence[list[Cells] | None], details: Details) -> Iterator[Cells]:
    for number, (record, rows) in enumerate(zip(records, found, strict=True), 1):
        # A record whose details are an empty list stays, with blank columns: the mapper tells of it.
        for row in () if rows is None else rows or [{}]:
            yield with_columns(record, {new: row.get(old) for new, old in details.take.items()}, number)
