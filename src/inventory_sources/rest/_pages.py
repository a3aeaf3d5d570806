"""Pages of a list: what one is, and the protocol of what leads from one to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen

if TYPE_CHECKING:
    from inventory_sources._http import HttpAnswer, HttpRequest

__all__ = ["Page", "Pager"]


@frozen
class Page:
    """One page as it was answered.

    :param number: from 1 on.
    :param request: what it answers, unsigned.
    :param document: the body as JSON, numbers as their text.
    :param records: what the page holds of the list, as in the document.
    :param seen: records of all pages up to this one.
    """

    number: int
    request: HttpRequest
    answer: HttpAnswer = field(repr=False)
    document: Any = field(repr=False)
    records: Sequence[Mapping[str, Any]] = field(repr=False)
    seen: int


class Pager(Protocol):
    """A declaration of how a list goes on, without state."""

    def first(self, request: HttpRequest) -> HttpRequest:
        """The request for the first page."""

    def following(self, page: Page) -> HttpRequest | None:
        """The request for the next page; ``None`` when this was the last.

        :raises StructureInvalid: when what should tell is not there.
        """
