"""Pagers that count, or go by keys: they know how to ask for the next page without being told.

Each says what ends a list; nothing else does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import attrs
from attrs import Attribute, field, frozen

from inventory_sources._http import HttpRequest
from inventory_sources.errors import ConfigurationError, StructureInvalid
from inventory_sources.payload import Payload
from inventory_sources.rest._auth import with_query
from inventory_sources.rest._pages import Declared, ListMoved, Page, link_text, value_at, whole_number

__all__ = ["HeaderTotal", "KeySet", "Offset", "PageNumber"]


def _positive(instance: object, attribute: Attribute[Any], value: int | None) -> None:
    if value is not None and value < 1:
        raise ConfigurationError(f"{attribute.name} must be more than 0")


@frozen(kw_only=True)
class PageNumber:
    """Pages by number. When the list changes, its pages shift: rows may be lost or come twice.

    The list ends with the declared number of pages or records where there is a path to one, else with an empty page.

    :param param: what the number is sent as.
    :param size_param: what ``size`` is sent as.
    :param size: of a page, to ask for.
    :param start: the number of the first page.
    :param last: where the document tells how many pages there are.
    :param total: where it tells how many records.
    """

    param: str = "page"
    size_param: str | None = None
    size: int | None = field(default=None, validator=_positive)
    start: int = 1
    last: str | None = None
    total: str | None = None

    @property
    def sequential(self) -> bool:
        """Where nothing tells how many pages there are."""
        return self.last is None and self.total is None

    def first(self, request: HttpRequest) -> HttpRequest:
        """The first page, by its number."""
        return with_query(request, {self.param: str(self.start), **_sized(self.size_param, self.size)})

    def following(self, page: Page) -> HttpRequest | None:
        """The page after it, by its number."""
        if _ended(page, self.declared(page)):
            return None
        return with_query(page.request, {self.param: str(self.start + page.number)})

    def added(self, page: Page) -> Sequence[Mapping[str, Any]]:
        """All records; a page that follows a short one does not fit."""
        if page.records and page.sizes and page.sizes[1] < page.sizes[0]:
            raise ListMoved(f"page {page.number - 1} was short, but page {page.number} holds more")
        return page.records

    def declared(self, page: Page) -> Declared:
        """What the document tells."""
        return Declared(*(_count(page, path) for path in (self.total, self.last)))

    def ahead(self, page: Page) -> Sequence[HttpRequest]:
        """All other pages, where their number is known."""
        declared = self.declared(page)
        pages = declared.pages
        if pages is None and declared.records is not None and page.records:
            pages = -(-declared.records // len(page.records))
        return _Numbers(page.request, self.param, range(self.start + 1, self.start + (pages or 0)))


@frozen(kw_only=True)
class HeaderTotal(PageNumber):
    """Pages by number, and a header that tells how many there are: WooCommerce, WordPress and many more.

    The list ends with that number of pages or records. What :class:`PageNumber` says of lists that change holds here.

    :param last: the header that tells how many pages there are, such as ``X-WP-TotalPages``.
    :param total: the header that tells how many records, such as ``X-Total-Count``.
    """

    def __attrs_post_init__(self) -> None:
        if self.last is None and self.total is None:
            raise ConfigurationError("HeaderTotal needs the name of a header: last or total")

    @property
    def by_headers(self) -> bool:
        """It reads no body where pages are counted."""
        return self.last is not None and self.total is None

    def declared(self, page: Page) -> Declared:
        """What the headers tell."""
        return Declared(_header(page, self.total), _header(page, self.last))


@frozen(kw_only=True)
class Offset:
    """Pages by how many records to pass over.

    The list ends with the declared number of records where there is a path to it, else with a page that adds none.

    :param param: what the number is sent as.
    :param limit_param: what ``limit`` is sent as.
    :param limit: records of a page, to ask for.
    :param start: the number that stands for the first record.
    :param total: where the document tells how many records there are.
    :param overlap: 1 asks for the last record of each page again, so that each page shows whether the list has
        shifted. It needs the connector's ``key``, and a list sorted by what never changes, such as that key. Then the
        end of the list proves it whole.
    """

    param: str = "offset"
    limit_param: str = "limit"
    limit: int = field(default=100, validator=_positive)
    start: int = 0
    total: str | None = None
    overlap: int = field(default=0)

    @overlap.validator
    def _at_most_one(self, attribute: object, value: int) -> None:
        if value not in (0, 1) or value >= self.limit:
            raise ConfigurationError("overlap must be 0 or 1, and less than limit")

    @property
    def sequential(self) -> bool:
        """Where nothing tells how many records there are."""
        return self.total is None

    @property
    def stable(self) -> bool:
        """Whether a shift is noticed."""
        return self.overlap > 0

    @property
    def needs_key(self) -> bool:
        """To know a record again."""
        return self.overlap > 0

    def first(self, request: HttpRequest) -> HttpRequest:
        """The first records."""
        return with_query(request, {self.param: str(self.start), self.limit_param: str(self.limit)})

    def following(self, page: Page) -> HttpRequest | None:
        """The records after it."""
        if _ended(page, self.declared(page), added=len(page.records) - self._again(page)):
            return None
        return with_query(page.request, {self.param: str(self.start + page.seen - self.overlap)})

    def added(self, page: Page) -> Sequence[Mapping[str, Any]]:
        """All records but the one that is there again, which must be the one before."""
        if self._again(page) and page.keys[:1] != [page.before_key]:
            raise ListMoved(f"page {page.number} does not begin with the last record of page {page.number - 1}")
        return page.records[self._again(page) :]

    def declared(self, page: Page) -> Declared:
        """What the document tells."""
        return Declared(_count(page, self.total))

    def ahead(self, page: Page) -> Sequence[HttpRequest]:
        """All other pages, where the number of records is known."""
        step = len(page.records) - self.overlap
        total = self.declared(page).records
        if total is None or step < 1:
            return ()
        return _Numbers(page.request, self.param, range(self.start + step, self.start + total - self.overlap, step))

    def _again(self, page: Page) -> int:
        return self.overlap if page.number > 1 else 0


@frozen(kw_only=True)
class KeySet:
    """The next page is asked for by the last record's key: all records above it. No change of the list shifts it.

    The list ends with an empty page. Its records must be sorted by that key, rising, which is checked; the key must
    never change. Then the end proves the list whole.

    :param field: where a record has its key.
    :param param: what the last key is sent as.
    :param value: how, such as ``id gt {key}``.
    :param start: what to send for the first page; ``None`` sends nothing.
    :param numeric: whether keys are whole numbers; if not, they rise as texts, character by character.
    :param size_param: what ``size`` is sent as.
    :param size: records of a page, to ask for.
    """

    field: str
    param: str
    value: str = "{key}"
    start: str | None = None
    numeric: bool = True
    size_param: str | None = None
    size: int | None = attrs.field(default=None, validator=_positive)

    @property
    def stable(self) -> bool:
        """It is."""
        return True

    def first(self, request: HttpRequest) -> HttpRequest:
        """All records, or those above ``start``."""
        given = {} if self.start is None else {self.param: self._asked(self.start)}
        return with_query(request, {**given, **_sized(self.size_param, self.size)})

    def following(self, page: Page) -> HttpRequest | None:
        """The records above the page's last."""
        if not page.records:
            return None
        last = link_text(value_at(page.records[-1], self.field), self.field)
        return with_query(page.request, {self.param: self._asked(last)})

    def added(self, page: Page) -> Sequence[Mapping[str, Any]]:
        """All records, whose keys must rise, from page to page too.

        :raises StructureInvalid: when they do not.
        """
        records = page.records if page.before is None else [page.before, *page.records]
        ranks: list[Any] = [self._rank(record) for record in records]
        if any(one >= other for one, other in pairwise(ranks)):
            raise StructureInvalid(
                f"page {page.number} is not sorted by {self.field!r}, or holds what was asked for before",
                guidance="Ask for the list sorted by this key, rising, and see that the API knows the parameter.",
            )
        return page.records

    def _rank(self, record: Mapping[str, Any]) -> int | str:
        found = link_text(value_at(record, self.field), self.field)
        return whole_number(found, self.field) if self.numeric else found

    def _asked(self, key: str) -> str:
        return self.value.replace("{key}", key)


@frozen
class _Numbers(Sequence[HttpRequest]):
    """A request with one parameter counted up, made when it is asked for."""

    request: HttpRequest
    param: str
    numbers: range

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: Any) -> Any:
        return with_query(self.request, {self.param: str(self.numbers[index])})


def _ended(page: Page, declared: Declared, added: int | None = None) -> bool:
    """Whether a list that is counted has come to its end."""
    # What a file holds is not known here.
    new = added if added is not None else len(page.records) or isinstance(page.document, Payload)
    if declared.records is None and declared.pages is None:
        return not new
    ends = [
        declared.records is not None and page.seen >= declared.records,
        declared.pages is not None and page.number >= declared.pages,
    ]
    if not new and not any(ends):
        raise ListMoved(f"page {page.number} is empty after {page.seen} records, though more are declared")
    return any(ends)


def _sized(param: str | None, size: int | None) -> dict[str, str]:
    return {} if param is None or size is None else {param: str(size)}


def _count(page: Page, path: str | None) -> int | None:
    return None if path is None else whole_number(value_at(page.document, path), path)


def _header(page: Page, name: str | None) -> int | None:
    return None if name is None else whole_number(page.answer.headers.get(name.lower()), name)
