"""One fetch of a pick-up: chooses files, copies those that are ready, and remembers them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from attrs import Factory, evolve, frozen

from inventory_sources.connectors._afterwards import TakenFile
from inventory_sources.connectors._choosing import Candidate, Found, matching, named
from inventory_sources.connectors._copying import FileTime, copy_file, observed
from inventory_sources.connectors._inbox import shown
from inventory_sources.connectors._readiness import judged, look_again, prove, released, sidecar_of
from inventory_sources.connectors._remembered import AppliedFile, Key, PickUpCursor
from inventory_sources.errors import FetchError, InputIncomplete, Recovery, SourceMissing

if TYPE_CHECKING:
    from inventory_sources.connectors._inbox import Inbox
    from inventory_sources.connectors._looks import Look
    from inventory_sources.connectors._pick_up import PickUp
    from inventory_sources.payload import Payload
    from inventory_sources.protocols.connector import FetchContext

__all__ = ["Taking"]

#: Files that were applied and are still there are read again to be told from new ones; so many in one fetch.
_AGAIN = 10


@frozen
class Taking:
    """One fetch of a pick-up.

    :ivar used: what the copies are of, for :func:`put_away`; filled by :meth:`payloads`.
    :ivar again: files that were applied before and are still there unchanged.
    """

    inbox: Inbox
    pick_up: PickUp
    context: FetchContext
    cursor: PickUpCursor
    max_bytes: int
    as_of: FileTime
    used: list[TakenFile] = Factory(list)
    again: list[TakenFile] = Factory(list)

    @classmethod
    def of(cls, inbox: Inbox, pick_up: PickUp, context: FetchContext, **limits: Any) -> Taking:
        """With what an earlier run left."""
        return cls(inbox, pick_up, context, PickUpCursor.read(context.cursor), **limits)

    def head(self) -> str:
        """The name of the file that would be taken first, ready or not."""
        found = self._found()
        self._must_be_recent(found)
        if not found:
            raise SourceMissing(f"no file {self.inbox.origin} is there now")
        fresh = [candidate for candidate in found if not self._was_applied(candidate)]
        return (self._chosen(fresh) or found[-1:])[0].name

    def copy(self, name: str, look: Look) -> Payload:
        """The file of this name in the spool.

        :param look: at it, just now.
        """
        file = self.inbox.file(name)
        moment = observed(self.as_of, look, self.pick_up.named_time(name), file.origin)
        return copy_file(file, look, self.context, max_bytes=self.max_bytes, observed=moment)

    def payloads(self) -> list[Payload]:
        """Copies of the files that are taken, in order; without any, the context was told why.

        :raises InputIncomplete: when one is not shown to be whole yet, or changed while it was read.
        :raises SourceMissing: when there is none and none was ever applied, or the newest is too old.
        """
        found = self._found()
        self._must_be_recent(found)
        fresh = self._fresh(found)
        judged(fresh, self.pick_up, self.context)
        chosen = self._chosen(fresh)
        if not chosen:
            self.context.nothing_new(f"no new file {self.inbox.origin}")
            return []
        if self.pick_up.take == "each" and len(fresh) > 1:
            self.context.more_waits()
        payloads = [self._copy(candidate) for candidate in chosen]
        self._must_be_unchanged()
        self._remember(found, chosen)
        return payloads

    def _found(self) -> list[Candidate]:
        used_up = self.pick_up.puts_away and self.cursor.last is not None
        if self.pick_up.take == "one":
            try:
                return [named(self.inbox)]
            except SourceMissing:
                if not used_up:
                    raise
                return []
        found = matching(self.inbox, self.pick_up, self.context)
        if not found.files and not used_up:
            raise _none(found, self.inbox.origin)
        if found.undated:
            self.context.warn(found.undated)
        return found.files

    def _must_be_recent(self, found: Sequence[Candidate]) -> None:
        """A job that stopped delivering must not look like stock that does not change."""
        if self.pick_up.max_age is None:
            return
        times = [self.cursor.modified, *(candidate.look.modified for candidate in found)]
        newest = max((moment for moment in times if moment is not None), default=None)
        if newest is None and found:
            raise FetchError(
                f"nothing tells how old {self.inbox.origin} is",
                recovery=Recovery.STOP,
                guidance="The server tells no times; declare no max_age.",
            )
        if newest is None or self.context.started_at - newest <= self.pick_up.max_age:
            return
        age = self.context.started_at - newest
        raise SourceMissing(
            f"no file {self.inbox.origin} since {newest:%Y-%m-%d %H:%M:%S} UTC: for {str(age).partition('.')[0]}, "
            f"more than {self.pick_up.max_age}",
            guidance="Look at the job that delivers these files.",
        )

    def _fresh(self, found: Sequence[Candidate]) -> list[Candidate]:
        """Those that were not applied yet; notes the others that are to be put away still."""
        if self.pick_up.take != "each" and not self.pick_up.puts_away:
            return list(found)
        before = [candidate for candidate in found if self._was_applied(candidate)]
        if self.pick_up.puts_away:
            replaced = [candidate for candidate in before[:_AGAIN] if not self._is_same(candidate)]
            before = [candidate for candidate in before if candidate not in replaced]
            self._warn_of(before)
        return [candidate for candidate in found if candidate not in before]

    def _warn_of(self, still: Sequence[Candidate]) -> None:
        if not still:
            return
        files = "1 file that was used is" if len(still) == 1 else f"{len(still)} files that were used are"
        done = self.pick_up.used_to
        right = f"move files to {self.inbox.file(done).origin}" if done else "delete files there"
        self.context.warn(
            f"{files} still there, first {shown(still[0].name)}, to be put away with this run; "
            f"if it stays so, give the user the right to {right}"
        )

    def _was_applied(self, candidate: Candidate) -> bool:
        known = self.cursor.files.get(candidate.name)
        return known is not None and known.version == candidate.version

    def _is_same(self, candidate: Candidate) -> bool:
        """Whether it is the file that was applied, by its bytes: many servers tell times by the second."""
        known = self.cursor.files[candidate.name].sha256
        look = self.inbox.file(candidate.name).look()
        if self.inbox.sha256(self.inbox.path(candidate.name), self.context) != known:
            return False
        self.again.append(TakenFile(candidate.name, look, known, sidecar_of(self.inbox, candidate.name, self.pick_up)))
        return True

    def _chosen(self, fresh: Sequence[Candidate]) -> Sequence[Candidate]:
        if self.pick_up.take == "each":
            return fresh[:1]
        if self.pick_up.take == "newest":
            last = self._last()
            return [file for file in fresh[-1:] if last is None or last <= file.key]
        return fresh

    def _last(self) -> Key | None:
        """The newest file applied, if it was so by the order that is declared now."""
        return self.cursor.last if self.cursor.order == self._order else None

    @property
    def _order(self) -> str:
        """By which the times of two files can be compared."""
        return f"{self.pick_up.order} {self.pick_up.zone}"

    def _copy(self, candidate: Candidate) -> Payload:
        before = look_again(self.inbox, candidate)
        sidecar = released(self.inbox, candidate, before, self.pick_up, self.cursor, self.context)
        # Noted before the copy: a file that is too large is one that cannot be used, too.
        self.used.append(TakenFile(candidate.name, before, None, sidecar))
        payload = self.copy(candidate.name, before)
        self.used[-1] = evolve(self.used[-1], sha256=payload.sha256)
        return prove(payload, self.pick_up, sidecar)

    def _must_be_unchanged(self) -> None:
        """A marker releases what was there when it was written: all of it, and until all of it is copied."""
        if self.pick_up.marker is None:
            return
        looks = {file.name: file.look for file in self.used}
        looks |= {file.sidecar.name: file.sidecar.look for file in self.used if file.sidecar}
        for name, look in looks.items():
            if not self._looks_still(name, look):
                raise InputIncomplete(f"{self.inbox.file(name).origin} changed while files were read")

    def _looks_still(self, name: str, look: Look) -> bool:
        try:
            return self.inbox.file(name).look() == look
        except SourceMissing:
            return False

    def _remember(self, found: Iterable[Candidate], chosen: Sequence[Candidate]) -> None:
        listed = {candidate.name for candidate in found}
        keeps_all = self.pick_up.take == "each" or self.pick_up.puts_away
        files = {name: file for name, file in self.cursor.files.items() if keeps_all and name in listed}
        for candidate, used in zip(chosen, self.used, strict=True):
            marker = used.sidecar.version if self.pick_up.marker and used.sidecar else None
            files[candidate.name] = AppliedFile(candidate.version, used.sha256 or "", marker)
        last = max(chosen[-1].key, self._last() or chosen[-1].key)
        times = (self.cursor.modified, *(used.look.modified for used in self.used))
        modified = max((moment for moment in times if moment is not None), default=None)
        self.context.next_cursor = str(PickUpCursor(files, self._order, last, modified))


def _none(found: Found, origin: str) -> SourceMissing:
    if found.undated is None:
        return SourceMissing(f"no file matches {origin}")
    return SourceMissing(
        f"no file {origin} can be taken: {found.undated}",
        guidance="Correct the template in pick_up.order, or have the sender name its files by it.",
    )
