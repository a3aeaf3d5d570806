"""The walk through the pages of a list: whole and each record once, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import evolve, field, frozen

from inventory_sources.errors import FetchError, InputIncomplete, Recovery
from inventory_sources.rest._ahead import Answers, Ask
from inventory_sources.rest._course import Course
from inventory_sources.rest._markers import FULL_PAGE, Contradiction, Markers, looks_full
from inventory_sources.rest._pages import ListMoved, ListStuck, Page, Pager, trait

if TYPE_CHECKING:
    from inventory_sources._http import HttpAnswer, HttpRequest

__all__ = ["Listing", "Walk"]

T = TypeVar("T")

_TRIES = 3


@frozen
class Listing(Generic[T]):
    """A list that was read to its end.

    :param taken: what its pages were made into, in order.
    :param proven: whether a record that was there all the time cannot be missing.
    :param records: how many there are.
    :param declared: how many the server says there are.
    :param first: the answer that begins it.
    :param last: the answer that ends it.
    :param against: what in the answers speaks against that end.
    """

    taken: list[T]
    proven: bool
    records: int
    declared: int | None
    first: HttpAnswer
    last: HttpAnswer
    against: Contradiction | None = None


@frozen(kw_only=True)
class Walk(Generic[T]):
    """How a list is read.

    :param ask: may be called by several threads at once.
    :param records: of a page, as in its document; ``None`` where bodies are left to a decoder.
    :param take: what is kept of a page that fits, called with it and the records that it adds.
    :param pager: ``None`` for a list that is one page.
    :param key: where a record has what it is known by: none may come twice.
    :param verify: reads the list twice, which must give the same keys in the same order.
    :param markers: tell what speaks against the end of the list.
    :param warn: is told so where nothing is proven anyway.
    """

    ask: Ask
    records: Callable[[Page], Sequence[Mapping[str, Any]]] | None
    take: Callable[[Page, Sequence[Mapping[str, Any]]], list[T]]
    pager: Pager | None
    key: str | None = None
    verify: bool = False
    concurrency: int = 1
    max_pages: int = 100_000
    max_records: int = 20_000_000
    markers: Markers = field(factory=Markers)
    warn: Callable[[str], None] = lambda message: None

    def run(self, request: HttpRequest) -> Listing[T]:
        """The whole list; one that moves while it is read is read anew, at most twice.

        :param request: for the list, without what the pager adds.
        :raises InputIncomplete: when it went on moving, or its end is contradicted.
        :raises InputTooLarge: when there are more pages or records than allowed.
        :raises FetchError: when a page cannot be had.
        :raises StructureInvalid: when a page is not as declared.
        """
        seen: list[ListMoved] = []
        for _ in range(_TRIES):
            try:
                return self._uncontradicted(self._verified(request))
            except ListMoved as moved:
                seen.append(moved)
        told, last = list(dict.fromkeys(map(str, seen))), seen[-1]
        if isinstance(last, ListStuck) and len(told) == 1:
            raise InputIncomplete(told[0], recovery=Recovery.STOP, guidance=last.guidance)
        raise InputIncomplete(
            f"the list was read {_TRIES} times and never held still: {'; '.join(told)}",
            guidance="It is read again shortly. If this goes on, read it at a quieter time, or ask the API's owner for "
            "pages by a key that never changes.",
        )

    def _uncontradicted(self, listing: Listing[T]) -> Listing[T]:
        """The list, unless it would be taken for whole although an answer says otherwise."""
        against = listing.against
        if against is None:
            return listing
        message = f"{listing.last.origin}: {against.message}"
        if against.name == FULL_PAGE or not listing.proven:
            self.warn(f"{message}, so that absent SKUs mean nothing. {against.guidance}")
            return evolve(listing, proven=False)
        if against.passing:
            raise ListStuck(message, against.guidance)
        raise InputIncomplete(message, recovery=Recovery.STOP, guidance=against.guidance)

    def _verified(self, request: HttpRequest) -> Listing[T]:
        if not self.verify:
            return self._once(request, self.concurrency)[0]
        # The first time page after page: only then does a second time that gives the same prove that no row slipped
        # from a page not yet read to one that was.
        expected = self._once(request, 1)[1]
        listing, found = self._once(request, self.concurrency)
        if found != expected:
            raise ListMoved("the second time it was another one")
        return evolve(listing, proven=self.pager is not None)

    def _once(self, request: HttpRequest, concurrency: int) -> tuple[Listing[T], list[str]]:
        course = Course(self.pager, self.key, self.max_pages, self.max_records)
        taken: list[T] = []
        following: HttpRequest | None = request if self.pager is None else self.pager.first(request)
        with Answers.of(self.ask, concurrency) as answers:
            while following is not None:
                page = self._page(following, course, answers)
                taken += self.take(*page)
                if self.records is not None and not page[0].records:
                    self._confirm(page[0])
                following = None if self.pager is None else self.pager.following(page[0])
                if course.number == 1:
                    first = page[0]
                    answers.expect(trait(self.pager, "ahead", page[0], ()) if following else ())
        last = page[0]
        declared = course.finish()
        listing = Listing(
            taken, self._proves(course), course.seen, declared, first.answer, last.answer, self._against(first, last)
        )
        return listing, list(course.keys)

    def _against(self, first: Page, last: Page) -> Contradiction | None:
        found = self.markers.against(first, last, says_end=getattr(self.pager, "says_end", False))
        silent = last.number == 1 and getattr(self.pager, "silent_end", False)
        if found is None and silent and looks_full(last.request, last.seen) and not self.markers.ignores(FULL_PAGE):
            return Contradiction.of_full_page(last.seen)
        return found

    def _page(self, request: HttpRequest, course: Course, answers: Answers) -> tuple[Page, Sequence[Mapping[str, Any]]]:
        course.ask(request)
        try:
            answer, document = answers.to(request)
        except FetchError as error:
            if course.number > 1 and error.status in getattr(self.pager, "expired", (410,)):
                raise ListMoved(f"page {course.number} was answered with status {error.status}") from None
            raise
        page = Page(course.number, request, answer, document)
        return course.take(course.arrived(page, self._records(page)))

    def _records(self, page: Page) -> Sequence[Mapping[str, Any]]:
        return () if self.records is None else self.records(page)

    def _confirm(self, page: Page) -> None:
        """An empty page must be empty when it is asked for again: one such mishap is half a shop."""
        answer, document = self.ask(page.request)
        if self._records(evolve(page, answer=answer, document=document, records=())):
            raise ListMoved(f"page {page.number} was empty once and then was not")

    def _proves(self, course: Course) -> bool:
        """Whether no page can have shifted unseen: none ever does, or one answer was all, and said so."""
        if self.pager is None:
            return False
        one = course.number == 1 and not getattr(self.pager, "silent_end", False)
        return one or bool(getattr(self.pager, "stable", False))
