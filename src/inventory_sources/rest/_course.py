"""One time through the pages of a list: what has been seen, and whether the next page fits it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field

from inventory_sources.errors import InputTooLarge, StructureInvalid
from inventory_sources.payload import Payload
from inventory_sources.rest._pages import Declared, ListMoved, ListStuck, Page, Pager, trait
from inventory_sources.rest._records import key_of
from inventory_sources.rest._requests import difference

if TYPE_CHECKING:
    from inventory_sources._http import HttpRequest

__all__ = ["Course"]

Records = Sequence[Mapping[str, Any]]


@define(eq=False)
class Course:
    """What is known of a list so far.

    :param key: where a record has what it is known by.
    :ivar number: of pages so far.
    :ivar seen: records so far.
    :ivar keys: of the records so far, in order.
    """

    pager: Pager | None
    key: str | None
    max_pages: int
    max_records: int
    number: int = 0
    seen: int = 0
    keys: dict[str, None] = field(factory=dict)
    declared: Declared | None = None
    _asked: set[tuple[str, str, bytes | None]] = field(factory=set)
    _prints: set[str | None] = field(factory=set)
    _before: Page | None = None
    _first_size: int = 0

    def ask(self, request: HttpRequest) -> None:
        """Takes note of a request.

        :raises ListMoved: when it was sent before.
        :raises InputTooLarge: when it is one too many.
        """
        asked = (request.method, request.url, request.content)
        if asked in self._asked:
            raise ListMoved(f"page {self.number} led back to a page before it")
        if self.number >= self.max_pages:
            raise InputTooLarge(f"there are more than {self.max_pages} pages")
        self._asked.add(asked)
        self.number += 1

    def arrived(self, page: Page, records: Records) -> Page:
        """The page with its records and what else a pager needs to judge it."""
        before = self._before
        keys = [] if self.key is None else [key_of(row, self.key, self.seen + n) for n, row in enumerate(records, 1)]
        self._first_size = self._first_size if before else len(records)
        return evolve(
            page,
            records=records,
            keys=keys,
            before=before.records[-1] if before and before.records else None,
            before_key=before.keys[-1] if before and before.keys else None,
            sizes=(self._first_size, len(before.records)) if before else None,
        )

    def take(self, page: Page) -> tuple[Page, Records]:
        """The page once it was found to fit, with what it adds to the list.

        :raises ListMoved: when it does not fit.
        :raises ListStuck: when it is the first page again.
        :raises StructureInvalid: when two of its records have the same key.
        :raises InputTooLarge: when it makes too many records.
        """
        try:
            return self._fitting(page)
        except ListMoved:
            if page.number == 2 and self._before and _same(self._before, page):
                raise _stuck(self._before.request, page.request) from None
            raise

    def finish(self) -> int | None:
        """How many records were declared, if any were.

        :raises ListMoved: when as many did not come.
        """
        records = self.declared.records if self.declared else None
        if records not in (None, self.seen):
            raise ListMoved(f"{records} records were declared, but {self.seen} came")
        return records

    def _fitting(self, page: Page) -> tuple[Page, Records]:
        added: Records = trait(self.pager, "added", page, page.records)
        self._compare(page)
        if self.key is not None:
            self._take_keys(page, page.keys[len(page.records) - len(added) :])
        elif page.records or isinstance(page.document, Payload):
            self._take_print(page)
        self.seen += len(added)
        if self.seen > self.max_records:
            raise InputTooLarge(f"there are more than {self.max_records} records")
        self._before = evolve(page, seen=self.seen)
        return self._before, added

    def _compare(self, page: Page) -> None:
        declared: Declared = trait(self.pager, "declared", page, Declared())
        # Where no page shifts, the list may well grow or shrink meanwhile.
        if self.declared not in (None, declared) and not getattr(self.pager, "stable", False):
            raise ListMoved(f"page {page.number} declares another length of the list than the pages before")
        self.declared = declared

    def _take_keys(self, page: Page, keys: Sequence[str]) -> None:
        for key in keys:
            if key in self.keys:
                raise ListMoved(f"the record {key[:60]!r} came again on page {page.number}")
        self.keys.update(dict.fromkeys(keys))
        if len(self.keys) < self.seen + len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise StructureInvalid(
                f"the key {twice[:60]!r} stands twice on page {page.number}",
                guidance="Declare a key that no two records share.",
            )

    def _take_print(self, page: Page) -> None:
        if isinstance(page.document, Payload):
            found = page.document.sha256
        else:
            found = hashlib.sha256(json.dumps(page.records).encode()).hexdigest()
        if found in self._prints:
            raise ListMoved(f"page {page.number} has the records of a page before it")
        self._prints.add(found)


def _same(one: Page, other: Page) -> bool:
    """Whether two pages hold the same: of records with keys, what else changes is no matter."""
    if isinstance(one.document, Payload) and isinstance(other.document, Payload):
        return one.document.sha256 == other.document.sha256
    return one.keys == other.keys if one.keys else one.records == other.records


def _stuck(first: HttpRequest, second: HttpRequest) -> ListStuck:
    names, asked = difference(first, second)
    if len(names) == 1:
        message = f"page 2 was asked for with {asked} and the server answered page 1 again: it does not know the "
        return ListStuck(
            f"{message}parameter {names[0]!r}",
            "Look up what the API calls it and declare that as the pager's param. If the API gives its last page for "
            "any number beyond, declare where it tells how many there are.",
        )
    return ListStuck(
        "the server gave page 1 again where its own link was to lead to page 2",
        "Look up how the API wants its pages asked for; another pager may lead through them.",
    )
