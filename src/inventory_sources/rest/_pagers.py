"""Pagers: the ways in which APIs give a list in pages. Each says what ends a list; nothing else does."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

import attrs
from attrs import Attribute, field, frozen

from inventory_sources._http import HttpRequest
from inventory_sources.errors import ConfigurationError, StructureInvalid
from inventory_sources.rest._auth import with_query
from inventory_sources.rest._pages import Declared, ListMoved, Page, value_at, whole_number
from inventory_sources.rest._requests import onwards, with_body_value

__all__ = ["Cursor", "GraphQlCursor", "HeaderTotal", "KeySet", "LinkHeader", "NextUrl", "Offset", "PageNumber"]

#: A link of RFC 8288, section 3, with its parameters.
_LINK = re.compile(r'\s*<([^>]*)>((?:\s*;\s*[\w!#$&+.^`|~*-]+\s*(?:=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]+))?)*)\s*(?:,|$)')
_RELATION = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))', re.IGNORECASE)


def _positive(instance: object, attribute: Attribute[Any], value: int | None) -> None:
    if value is not None and value < 1:
        raise ConfigurationError(f"{attribute.name} must be more than 0")


def next_link(headers: Mapping[str, str]) -> str | None:
    """Where the ``Link`` header (RFC 8288) leads as the next page.

    :raises StructureInvalid: when it cannot be read.
    """
    header, found, position = headers.get("link", "").strip(), None, 0
    while position < len(header):
        link = _LINK.match(header, position)
        if link is None:
            raise StructureInvalid("the Link header is not as RFC 8288 has it")
        relation = _RELATION.search(link[2])
        if relation and "next" in (relation[1] or relation[2] or "").lower().split():
            found = link[1]
        position = link.end()
    return found


@frozen(kw_only=True)
class LinkHeader:
    """The ``Link`` header names the next page with ``rel="next"`` (RFC 8288): Shopify REST, GitHub and many more.

    The list ends with a page that has no such link. Such a page, unless it is the first, must still have a ``Link``
    header, which says where the others are.

    :param bare_end: whether the last page comes without any ``Link`` header.
    :param stable: whether the API promises that a list which changes meanwhile shifts no page (its links hold a
        cursor, not a page number): then its end proves it whole.
    :param expired: statuses that say that a link no longer holds, so that the list is read anew.
    """

    bare_end: bool = False
    stable: bool = False
    expired: tuple[int, ...] = (410,)

    @property
    def silent_end(self) -> bool:
        """A single page says nothing."""
        return True

    @property
    def by_headers(self) -> bool:
        """It reads no body."""
        return True

    def first(self, request: HttpRequest) -> HttpRequest:
        """The request as it is."""
        return request

    def following(self, page: Page) -> HttpRequest | None:
        """Where the header leads."""
        link = next_link(page.answer.headers)
        if page.number > 1 and "link" not in page.answer.headers and not self.bare_end:
            raise ListMoved(f"page {page.number} has no Link header, as the page before it had")
        return None if link is None else onwards(page.request, link, "the Link header")


@frozen
class NextUrl:
    """The document holds the next page's URL: OData's ``@odata.nextLink``, Django REST's ``next``.

    The list ends with a page where the URL is null or empty.

    :param path: where it stands.
    :param optional: whether the list also ends where there is no such place, as OData has it.
    :param stable: as of :class:`LinkHeader`.
    :param expired: as of :class:`LinkHeader`.
    """

    path: str
    optional: bool = field(default=False, kw_only=True)
    stable: bool = field(default=False, kw_only=True)
    expired: tuple[int, ...] = field(default=(410,), kw_only=True)

    @property
    def silent_end(self) -> bool:
        """Where the place may be missing."""
        return self.optional

    def first(self, request: HttpRequest) -> HttpRequest:
        """The request as it is."""
        return request

    def following(self, page: Page) -> HttpRequest | None:
        """Where the document leads."""
        link = _optional(page, self.path) if self.optional else value_at(page.document, self.path)
        return None if link in (None, "") else onwards(page.request, link, repr(self.path))


@frozen(kw_only=True)
class Cursor:
    """The document holds a cursor, which the next request sends along.

    The list ends with a page where ``has_more`` is false or, without that, where the cursor is null or empty.

    :param next: where the cursor stands.
    :param param: what it is sent as.
    :param in_body: whether that is a (dotted) key of the JSON body, not a parameter of the query.
    :param has_more: where ``true`` or ``false`` tells whether there is another page.
    :param optional: whether the list also ends where there is no cursor at all.
    :param stable: whether the API promises that its cursor marks a record, not a number of records: then a list that
        changes meanwhile shifts no page, and its end proves it whole.
    :param expired: statuses that say that a cursor no longer holds, so that the list is read anew.
    """

    next: str
    param: str
    in_body: bool = False
    has_more: str | None = None
    optional: bool = False
    stable: bool = False
    expired: tuple[int, ...] = (410,)

    @property
    def silent_end(self) -> bool:
        """Where the cursor may be missing."""
        return self.optional and self.has_more is None

    def first(self, request: HttpRequest) -> HttpRequest:
        """The request as it is."""
        return request

    def following(self, page: Page) -> HttpRequest | None:
        """The same request with the page's cursor."""
        if self.has_more is not None and not _flag(page, self.has_more):
            return None
        cursor = _optional(page, self.next) if self.optional else value_at(page.document, self.next)
        if cursor in (None, "") and self.has_more is None:
            return None
        text = _text(cursor, self.next)
        if self.in_body:
            return with_body_value(page.request, self.param, text)
        return with_query(page.request, {self.param: text})


@frozen
class GraphQlCursor:
    """A connection of GraphQL (Relay): ``pageInfo`` with ``hasNextPage`` and ``endCursor``.

    The list ends with a page whose ``hasNextPage`` is false.

    :param page_info: where it stands, such as ``data.products.pageInfo``.
    :param variable: of the query, that the cursor is sent as.
    :param stable: as of :class:`Cursor`.
    """

    page_info: str
    variable: str = "after"
    stable: bool = field(default=False, kw_only=True)

    def first(self, request: HttpRequest) -> HttpRequest:
        """The request as it is."""
        return request

    def following(self, page: Page) -> HttpRequest | None:
        """The same query with the page's last cursor."""
        if not _flag(page, f"{self.page_info}.hasNextPage"):
            return None
        path = f"{self.page_info}.endCursor"
        return with_body_value(page.request, f"variables.{self.variable}", _text(value_at(page.document, path), path))


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
        last = _text(value_at(page.records[-1], self.field), self.field)
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
        found = _text(value_at(record, self.field), self.field)
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
    new = len(page.records) if added is None else added
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


def _flag(page: Page, path: str) -> bool:
    found = value_at(page.document, path)
    if not isinstance(found, bool):
        raise StructureInvalid(f"{path!r} is neither true nor false, which is to tell whether there is another page")
    return found


def _optional(page: Page, path: str) -> Any:
    with suppress(StructureInvalid):
        return value_at(page.document, path)
    return None


def _text(value: object, path: str) -> str:
    if not isinstance(value, str) or not value:
        raise StructureInvalid(f"{path!r} is no text or number, which is to lead to the next page")
    return value
