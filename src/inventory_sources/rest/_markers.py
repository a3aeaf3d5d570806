"""Markers: what an answer says, beside its records and beside what its pager reads, of there being more of the list.

Their names are those that APIs have in common: the ``Link`` header of RFC 8288, OData's ``@odata.nextLink`` and
``@odata.count``, HAL's ``_links.next``, and the usual words for a next page, for more of them and for a total.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from attrs import field, frozen

from inventory_sources.errors import StructureInvalid
from inventory_sources.payload import Payload
from inventory_sources.rest._links import next_link

if TYPE_CHECKING:
    from inventory_sources._http import HttpRequest
    from inventory_sources.rest._pages import Page

__all__ = ["FULL_PAGE", "Contradiction", "Markers", "looks_full"]

#: How a page that is suspiciously full is called.
FULL_PAGE = "full page"

_HEADER_TOTALS = ("X-Total-Count", "X-WP-Total", "X-Total", "Total-Count")
# The names of the body, in lower case and without underscores, hyphens and a namespace such as odata's.
_LEADS = frozenset(
    "next nextlink nexturl nexthref nextpage nextpageurl nextpagelink nextpagetoken nexttoken nextcursor "
    "nextpagecursor continuationtoken".split()
)
_FLAGS = frozenset(
    "hasmore hasmorepage hasmorepages hasmoreitems hasmoreresults hasmorerecords hasnext hasnextpage more "
    "moreresults morerecords".split()
)
_TOTALS = frozenset("total totalcount totalresults totalitems totalrecords totalelements totalsize count".split())
#: Objects that say such things; beside them those on the way to the records do.
_HOLDERS = frozenset(
    "meta metadata pagination paging pageinfo pagecontext page pages links responsemetadata".split()
)  # fmt: skip
_DEEPEST = 8
_SIZES = frozenset("limit perpage pagesize size top count first maxresults results rows take itemsperpage".split())
#: What servers give where nobody says how much.
_USUAL_SIZES = frozenset({10, 20, 25, 30, 50, 100, 200, 250, 500, 1000, 2000, 5000, 10_000})


@frozen
class Contradiction:
    """A marker that speaks against the end of a list.

    :param name: of the marker, to ignore it by.
    :param message: what it says.
    :param guidance: what to declare.
    :param passing: whether it may come of a list that changed while it was read.
    """

    name: str
    message: str
    guidance: str
    passing: bool = False

    @classmethod
    def of_full_page(cls, records: int) -> Contradiction:
        """Of a first page that does not say that it is the last."""
        message = f"the one page has {records} records, as full pages have, and does not say that it is the last"
        advice = "See that the pager looks where the API says how the list goes on."
        return cls(FULL_PAGE, message, _with_ignoring(advice, FULL_PAGE))


@frozen
class _Told:
    """The markers of one answer, by the names that they are shown by."""

    leads: tuple[str, ...] = ()
    flags: Mapping[str, bool] = field(factory=dict)
    totals: Mapping[str, int] = field(factory=dict)


@frozen
class Markers:
    """Reads the markers of answers.

    :param at: where in the document the list is.
    :param ignored: names of markers that mean nothing.
    """

    at: str = ""
    ignored: Collection[str] = ()

    def against(self, first: Page, last: Page, *, says_end: bool = False) -> Contradiction | None:
        """What speaks against a list that ends with a page.

        A total only counts where the first page says the same: what differs counts something else, or a list that
        grows meanwhile.

        :param says_end: whether the last page said that it is, so that a cursor beside that word means nothing.
        """
        told = self._told(last)
        for name, more in told.flags.items():
            if more:
                return Contradiction(name, f"{name!r} says that the list goes on", _led(name))
        if not says_end and False not in told.flags.values():
            for name in told.leads:
                return Contradiction(name, f"{name!r} leads to a next page", _led(name))
        before = self._told(first).totals
        for name, total in told.totals.items():
            if total > last.seen and before.get(name) == total and not isinstance(last.document, Payload):
                return Contradiction(
                    name,
                    f"{name!r} says that there are {total} records, but {last.seen} came",
                    _counted(name),
                    passing=last.number > 1,
                )
        return None

    def _told(self, page: Page) -> _Told:
        leads, flags, totals = [], {}, {}
        for name, key, value in (*_in_headers(page.answer.headers), *_in_body(page.document, _steps(self.at))):
            if self.ignores(name):
                continue
            if key in _FLAGS and isinstance(value, bool):
                flags[name] = value
            elif key in _LEADS and _leads(value):
                leads.append(name)
            elif key in _TOTALS and (number := _number(value)) is not None:
                totals[name] = number
        return _Told(tuple(leads), flags, totals)

    def ignores(self, name: str) -> bool:
        """Whether a marker means nothing."""
        return name.lower() in {ignored.lower() for ignored in self.ignored}


def looks_full(request: HttpRequest, records: int) -> bool:
    """Whether an answer has just as many records as were asked for, or as servers usually put on a page."""
    return records > 0 and (records in _USUAL_SIZES or str(records) in _asked_sizes(request))


def _asked_sizes(request: HttpRequest) -> Iterator[str]:
    given: Iterable[tuple[str, Any]] = parse_qsl(urlsplit(request.url).query)
    with suppress(ValueError):
        body = json.loads(request.content or b"null")
        given = [*given, *(body.items() if isinstance(body, dict) else ())]
    return (str(value) for name, value in given if _plain(name) in _SIZES)


def _in_headers(headers: Mapping[str, str]) -> Iterator[tuple[str, str, Any]]:
    with suppress(StructureInvalid):
        yield "Link", "next", next_link(headers)
    for name in _HEADER_TOTALS:
        yield name, "total", headers.get(name.lower())


def _in_body(document: Any, steps: tuple[str, ...], path: str = "", depth: int = 0) -> Iterator[tuple[str, str, Any]]:
    if not isinstance(document, dict) or depth > _DEEPEST:
        return
    for key, value in document.items():
        name, plain = f"{path}{key}", _plain(key)
        yield name, plain, value
        further = steps[1:] if steps[:1] == (key,) else ()
        if isinstance(value, dict) and (plain in _HOLDERS or steps[:1] == (key,)):
            yield from _in_body(value, further, f"{name}.", depth + 1)


def _steps(path: str) -> tuple[str, ...]:
    return tuple(path[1:].split("/")) if path.startswith("/") else tuple(path.split("."))


def _plain(key: str) -> str:
    return key.rpartition(".")[2].translate({ord(letter): None for letter in "_-@$"}).lower()


def _leads(value: object) -> bool:
    """Whether there is somewhere to go: some say 0 or null where there is not, and some wrap the link up."""
    if isinstance(value, dict):
        return any(isinstance(inner, str) and _leads(inner) for inner in value.values())
    return value is True or (isinstance(value, str) and value.strip() not in ("", "0", "-1"))


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16 else None


def _led(name: str) -> str:
    if name == "Link":
        return _with_ignoring("Declare pager=LinkHeader().", name)
    pagers = f"NextUrl({name!r}), Cursor(next={name!r}, ...) or Cursor(has_more={name!r}, ...)"
    advice = f"Check the path and the parameter of the pager, or declare one that reads it, such as {pagers}."
    return _with_ignoring(advice, name)


def _counted(name: str) -> str:
    of_body = f"Offset(total={name!r}) or PageNumber(total={name!r})"
    pagers = f"HeaderTotal(total={name!r})" if name in _HEADER_TOTALS else of_body
    return _with_ignoring(f"Check the path of the pager, or declare one that counts, such as {pagers}.", name)


def _with_ignoring(advice: str, name: str) -> str:
    return f"{advice} If this means something else here, declare ignore_markers=({name!r},)."
