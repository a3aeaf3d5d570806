"""RestRows: a list whose records hold lists of their own, such as an item with its level at each location."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import evolve, field, frozen

from inventory_sources.errors import ConfigurationError, InputIncomplete, Recovery, StructureInvalid
from inventory_sources.payload import Evidence
from inventory_sources.rest._connector import RestConnector
from inventory_sources.rest._joins import Cells
from inventory_sources.rest._pages import Page, value_at
from inventory_sources.rest._records import flat, records_at
from inventory_sources.rest._walk import Listing

__all__ = ["RestRows"]


@frozen(kw_only=True)
class RestRows(RestConnector):
    """As :class:`RestConnector`, where a row is not just a record: it stands in a list of the record, or is unknown.

    :param each: where a record has its own list, as ``levels.nodes``: each entry makes a row of its own, with the
        columns of the record around it. The entry's own columns begin with ``prefix``. A record whose list is empty
        makes none.
    :param prefix: what the columns of an entry begin with, before a dot.
    :param more: where a record says, by ``true``, that its own list goes on: then all is refused.
    :param unknown: the column of a quantity that only counts under conditions.
    :param known: columns, each of which must have one of its values for ``unknown`` to count; else that is left
        blank, so that the mapper reports the row and its SKU counts neither as zero nor as absent.
    """

    each: str | None = None
    prefix: str = "row"
    more: str | None = None
    unknown: str | None = None
    known: Mapping[str, tuple[str, ...]] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if (self.unknown is None) != (not self.known):
            raise ConfigurationError("unknown and known go together")

    def rows_of(self, record: Mapping[str, Any], where: str) -> Iterator[Mapping[str, Any]]:
        """The rows of a record, as in its document; override to add what is deeper in it.

        :param where: says in errors which record it is.
        :raises StructureInvalid: when it has no such list.
        :raises InputIncomplete: when its list goes on.
        """
        if self.each is None:
            yield record
            return
        if self.more is not None and _flag(record, self.more, where):
            raise InputIncomplete(
                f"{where}: its list at {self.each!r} goes on",
                recovery=Recovery.STOP,
                guidance="Ask for longer lists in each record.",
            )
        for entry in records_at(record, self.each, where):
            yield {**record, self.prefix: entry}

    def record(self, record: dict[str, str | None]) -> Mapping[str, object] | None:
        """The row, its quantity blank where it does not count."""
        if self.unknown is None or all(record.get(name) in values for name, values in self.known.items()):
            return record
        return {**record, self.unknown: None}

    def _flat(self, page: Page, records: Sequence[Mapping[str, Any]]) -> list[Cells]:
        first = page.seen - len(records) + 1
        return [
            flat(row, number)
            for number, record in enumerate(records, first)
            for row in self.rows_of(record, f"{page.answer.origin}: record {number}")
        ]

    def _evidence(self, listing: Listing[Any]) -> Evidence:
        # What is counted is records; their rows are others.
        return evolve(super()._evidence(listing), declared_records=None)


def _flag(record: Mapping[str, Any], path: str, where: str) -> bool:
    found = value_at(record, path)
    if not isinstance(found, bool):
        raise StructureInvalid(f"{where}: {path!r} is neither true nor false")
    return found
