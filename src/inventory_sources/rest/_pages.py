"""Pages of a list: what one is, and the protocol of what leads from one to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen

from inventory_sources import _json
from inventory_sources.errors import StructureInvalid

if TYPE_CHECKING:
    from inventory_sources._http import HttpAnswer, HttpRequest

__all__ = [
    "Declared",
    "ListMoved",
    "ListStuck",
    "Page",
    "Pager",
    "link_text",
    "sequential",
    "trait",
    "value_at",
    "whole_number",
]


class ListMoved(Exception):
    """Pages that do not fit together: the list changed while it was read, or the server gave the wrong page.

    Raised by pagers, with what was seen, free of secrets; the walk begins again, or gives up.
    """


class ListStuck(ListMoved):
    """What a list that changes may do once, but not each time that it is read: then it will not pass.

    :param guidance: what to do about it.
    """

    def __init__(self, message: str, guidance: str) -> None:
        super().__init__(message)
        self.guidance = guidance


@frozen
class Page:
    """One page as it was answered.

    :param number: from 1 on.
    :param request: what it answers, unsigned.
    :param document: the body as JSON, numbers as their text; a :class:`~inventory_sources.payload.Payload` where bodies
        are left to a decoder.
    :param records: what the page holds of the list, as in the document.
    :param seen: records of all pages up to this one, each once.
    :param keys: what each record is known by, where that is declared.
    :param before: the last record of the pages before; ``None`` on the first.
    :param before_key: what that one is known by.
    :param sizes: how many records the first page and the one before had.
    """

    number: int
    request: HttpRequest
    answer: HttpAnswer = field(repr=False)
    document: Any = field(repr=False)
    records: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    seen: int = 0
    keys: Sequence[str] = field(default=(), repr=False)
    before: Mapping[str, Any] | None = field(default=None, repr=False)
    before_key: str | None = field(default=None, repr=False)
    sizes: tuple[int, int] | None = None


@frozen
class Declared:
    """How long a page says that the whole list is; ``None`` where it does not say."""

    records: int | None = None
    pages: int | None = None


class Pager(Protocol):
    """A declaration of how a list goes on, without state.

    These two methods are enough. A pager may also have any of the following; without them a list counts as one that
    shifts when it changes, that does not say how long it is, and that is read page after page:

    - ``stable``: true where no page shifts when other records come or go, so that its end proves the list whole;
    - ``silent_end``: true where a list also ends because nothing says that it goes on, which proves nothing;
    - ``says_end``: true where the last page says by a word that it is, so that a cursor beside that means nothing;
    - ``sequential``: true where it never knows more than the next page, although it has ``ahead``;
    - ``by_headers``: true where it reads no body, so that it leads through files, too;
    - ``expired``: the statuses that say that a list must be read from its first page again;
    - ``added(page)``: the records that the page adds, after a look whether it fits the one before, else
      :class:`ListMoved`;
    - ``declared(page)``: :class:`Declared`, compared between pages and with what came;
    - ``ahead(page)``: all requests after the first page, to be sent at the same time.
    """

    def first(self, request: HttpRequest) -> HttpRequest:
        """The request for the first page."""

    def following(self, page: Page) -> HttpRequest | None:
        """The request for the next page; ``None`` when this was the last.

        :raises StructureInvalid: when what should tell is not there.
        :raises ListMoved: when the page cannot be the last, nor go on.
        """


def trait(pager: Pager | None, name: str, page: Page, otherwise: Any) -> Any:
    """What a pager's optional method says of a page."""
    method = getattr(pager, name, None)
    return otherwise if method is None else method(page)


def sequential(pager: Pager | None) -> bool:
    """Whether each page can only be asked for after the one before."""
    return bool(getattr(pager, "sequential", not hasattr(pager, "ahead")))


def value_at(document: object, path: str) -> Any:
    """What stands at a path of a document; a key with dots in it, such as ``@odata.nextLink``, is found as a whole.

    :raises StructureInvalid: naming the path and what is there instead.
    """
    if isinstance(document, dict) and path in document:
        return document[path]
    return _json.follow(document, path)


def whole_number(value: object, name: str) -> int:
    """A count from a document or header.

    :raises StructureInvalid: when it is none.
    """
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        return int(value)
    raise StructureInvalid(f"{name!r} is no whole number, which is declared to tell how long the list is")


def link_text(value: object, path: str) -> str:
    """A cursor or key that leads on.

    :raises StructureInvalid: when it is none.
    """
    if not isinstance(value, str) or not value:
        raise StructureInvalid(f"{path!r} is no text or number, which is to lead to the next page")
    return value
