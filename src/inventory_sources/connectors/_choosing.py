"""Which files of a folder a pick-up is about, from the oldest to the newest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from attrs import frozen

from inventory_sources.connectors._inbox import Inbox, shown
from inventory_sources.connectors._looks import Look
from inventory_sources.connectors._pick_up import PickUp, safe_name
from inventory_sources.connectors._remembered import Key, version
from inventory_sources.errors import FetchError, InputTooLarge, Recovery, SourceMissing
from inventory_sources.protocols.remote_files import RemoteEntry, RemoteKind

if TYPE_CHECKING:
    from inventory_sources.protocols.connector import FetchContext

__all__ = ["ASIDE", "Candidate", "Found", "matching", "named"]

#: Begins the name that a file has while it is deleted.
ASIDE = "being-deleted-"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@frozen
class Candidate:
    """A file that may be taken, as it was listed."""

    key: Key
    name: str
    look: Look

    @property
    def version(self) -> str:
        """Changes with the file."""
        return version(self.look)


@frozen
class Found:
    """What a folder holds of a pick-up.

    :param files: from the oldest to the newest.
    :param undated: of files whose names match the pattern and not the order's template: what to say of them.
    """

    files: list[Candidate]
    undated: str | None = None


def named(inbox: Inbox) -> Candidate:
    """The one file that the path names.

    :raises SourceMissing: when it is not there.
    """
    return Candidate((0, inbox.name), inbox.name, inbox.file(inbox.name).look())


def matching(inbox: Inbox, pick_up: PickUp, context: FetchContext) -> Found:
    """The files that match. Links, folders and other things are never among them.

    :raises InputTooLarge: when there are too many.
    :raises FetchError: when they cannot be listed, or nothing tells their order.
    """
    listed = _safe(inbox.entries(), pick_up.matcher(inbox.name), context)
    sidecars = {pick_up.sidecar(entry.name) for entry in listed}
    files = [entry for entry in listed if entry.kind is RemoteKind.FILE and entry.name not in sidecars]
    if len(files) > pick_up.max_files:
        raise InputTooLarge(
            f"{len(files)} files match {inbox.origin}, more than {pick_up.max_files}",
            guidance="Have files moved or deleted afterwards, clear the folder, or raise max_files.",
        )
    undated = [entry.name for entry in files if pick_up.has_template and pick_up.named_time(entry.name) is None]
    dated = [entry for entry in files if entry.name not in undated]
    candidates = sorted(_candidates(inbox, pick_up, dated), key=lambda candidate: candidate.key)
    return Found(candidates, _undated(undated, pick_up.order))


def _safe(
    entries: Iterable[RemoteEntry], matches: Callable[[str], bool], context: FetchContext
) -> Iterable[RemoteEntry]:
    """Those that match, each name once, without names that would lead elsewhere."""
    aside: list[str] = []
    found: dict[str, RemoteEntry] = {}
    for entry in entries:
        if entry.name.startswith(ASIDE):
            aside.append(entry.name)
        elif matches(entry.name):
            found[entry.name] = entry
    unsafe = [name for name in found if not safe_name(name)]
    if unsafe:
        context.warn(f"{len(unsafe)} names in the folder cannot be of files in it, first {shown(unsafe[0])}")
    if aside:
        context.warn(f"{len(aside)} files were not deleted to the end, first {shown(aside[0])}; look at them")
    return [entry for name, entry in found.items() if name not in unsafe]


def _candidates(inbox: Inbox, pick_up: PickUp, files: Iterable[RemoteEntry]) -> Iterator[Candidate]:
    for entry in files:
        with suppress(SourceMissing):  # it went since it was listed
            look = _look(inbox, entry, needs_time=pick_up.needs_times)
            yield Candidate((_microseconds(inbox, pick_up, entry.name, look), entry.name), entry.name, look)


def _undated(names: list[str], template: str) -> str | None:
    if not names:
        return None
    match = "1 file matches" if len(names) == 1 else f"{len(names)} files match"
    return f"{match} the pattern but not the template {template!r}, first {shown(names[0])}"


def _look(inbox: Inbox, entry: RemoteEntry, *, needs_time: bool) -> Look:
    if entry.size is None or (needs_time and entry.modified is None):
        return inbox.file(entry.name).look()
    return Look(entry.size, entry.modified, entry.mark)


def _microseconds(inbox: Inbox, pick_up: PickUp, name: str, look: Look) -> int:
    if pick_up.order == "name":
        return 0
    known = pick_up.named_time(name) if pick_up.has_template else look.modified
    if known is None:
        raise FetchError(
            f"nothing tells when the files of {inbox.origin} were changed",
            recovery=Recovery.STOP,
            guidance="Declare another order: name, or a template of the names.",
        )
    return (known - _EPOCH) // _MICROSECOND
