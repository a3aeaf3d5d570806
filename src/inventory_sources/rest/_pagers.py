"""Pagers that are led: each page tells how to ask for the next. Each says what ends a list; nothing else does."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

from attrs import field, frozen

from inventory_sources._http import HttpAnswer, HttpRequest
from inventory_sources.errors import InputIncomplete, Recovery, StructureInvalid
from inventory_sources.rest._auth import with_query
from inventory_sources.rest._links import next_link
from inventory_sources.rest._pages import ListStuck, Page, link_text, value_at
from inventory_sources.rest._requests import onwards, with_body_value

__all__ = ["Cursor", "GraphQlCursor", "LinkHeader", "NextUrl", "OnePage", "refuse_page"]


def refuse_page(answer: HttpAnswer, document: Any, ignored: Collection[str] = ()) -> None:
    """Refuses what says itself, in the words of a standard, that it is a part of a list, where no pager is declared.

    :param ignored: names of markers that mean nothing.
    """
    names = {name.lower() for name in ignored}
    more = document.get("@odata.nextLink") if isinstance(document, dict) and "@odata.nextlink" not in names else None
    with suppress(StructureInvalid):
        more = more or ("link" not in names and next_link(answer.headers))
    if more:
        raise InputIncomplete(
            f"{answer.origin} answered with one page of several",
            recovery=Recovery.STOP,
            guidance="Declare a pager: LinkHeader() where the Link header, NextUrl('@odata.nextLink', optional=True) "
            "where the document names the next page.",
        )


@frozen
class OnePage:
    """The list is one answer, whole, as the API's owner says: without that word, one answer may be a first page."""

    @property
    def stable(self) -> bool:
        """There is no other page that it could shift."""
        return True

    def first(self, request: HttpRequest) -> HttpRequest:
        """The request as it is."""
        return request

    def following(self, page: Page) -> HttpRequest | None:
        """None; the walk refuses a page that says that there is more."""
        return None


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
            raise ListStuck(
                f"page {page.number} has no Link header, as the page before it had",
                "If the API gives its last page without any, declare LinkHeader(bare_end=True).",
            )
        return None if link is None else onwards(page.request, link, "the Link header")


@frozen
class NextUrl:
    """The document holds the next page's URL: OData's ``@odata.nextLink``, Django REST's ``next``.

    The list ends with a page where the URL is null or empty.

    :param path: where it stands.
    :param optional: whether the list also ends where there is no such place, as OData has it.
    :param query_only: whether only the parameters of the URL are taken, for an API that writes its host or path
        otherwise than it is asked by.
    :param stable: as of :class:`LinkHeader`.
    :param expired: as of :class:`LinkHeader`.
    """

    path: str
    optional: bool = field(default=False, kw_only=True)
    query_only: bool = field(default=False, kw_only=True)
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
        if link in (None, ""):
            return None
        if not self.query_only:
            return onwards(page.request, link, repr(self.path))
        query = link.partition("#")[0].partition("?")[2] if isinstance(link, str) else ""
        # Pairs, as a name may come with several values: with one of them alone, the rest of the list is another one.
        parameters = parse_qsl(query, keep_blank_values=True)
        if not parameters:
            raise StructureInvalid(f"{self.path!r} is no link with parameters to a next page")
        return with_query(page.request, parameters)


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

    @property
    def says_end(self) -> bool:
        """Where it reads such a word."""
        return self.has_more is not None

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
        text = link_text(cursor, self.next)
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

    @property
    def says_end(self) -> bool:
        """It does."""
        return True

    def first(self, request: HttpRequest) -> HttpRequest:
        """The request as it is."""
        return request

    def following(self, page: Page) -> HttpRequest | None:
        """The same query with the page's last cursor."""
        if not _flag(page, f"{self.page_info}.hasNextPage"):
            return None
        path = f"{self.page_info}.endCursor"
        return with_body_value(
            page.request, f"variables.{self.variable}", link_text(value_at(page.document, path), path)
        )


def _flag(page: Page, path: str) -> bool:
    found = value_at(page.document, path)
    if not isinstance(found, bool):
        raise StructureInvalid(f"{path!r} is neither true nor false, which is to tell whether there is another page")
    return found


def _optional(page: Page, path: str) -> Any:
    with suppress(StructureInvalid):
        return value_at(page.document, path)
    return None
