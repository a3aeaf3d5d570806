"""Pages by number where each page tells whether there is another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from inventory_sources.errors import StructureInvalid
from inventory_sources.rest._auth import with_query
from inventory_sources.rest._counting import PageNumber
from inventory_sources.rest._pages import Page, value_at

if TYPE_CHECKING:
    from inventory_sources._http import HttpRequest

__all__ = ["PageNumberMore"]


@frozen(kw_only=True)
class PageNumberMore(PageNumber):
    """As :class:`PageNumber`, but the list ends with a page that tells so.

    :param more: where ``true`` or ``false`` tells whether there is another page.
    """

    more: str

    @property
    def says_end(self) -> bool:
        """It does."""
        return True

    def following(self, page: Page) -> HttpRequest | None:
        """The page after it, by its number."""
        told = value_at(page.document, self.more)
        if not isinstance(told, bool):
            raise StructureInvalid(f"{self.more!r} is neither true nor false, which is to tell of another page")
        return with_query(page.request, {self.param: str(self.start + page.number)}) if told else None
