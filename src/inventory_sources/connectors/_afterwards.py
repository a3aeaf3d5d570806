"""Moves or deletes files that were used, and never a newer upload of the same name that nobody read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from attrs import frozen

from inventory_sources.connectors._choosing import ASIDE
from inventory_sources.connectors._inbox import Inbox, shown
from inventory_sources.connectors._looks import Look
from inventory_sources.errors import FetchError, Recovery, SourceMissing
from inventory_sources.protocols.remote_files import RemoteKind

if TYPE_CHECKING:
    from inventory_sources.connectors._pick_up import PickUp
    from inventory_sources.connectors._readiness import Sidecar
    from inventory_sources.protocols.connector import FetchContext

__all__ = ["TakenFile", "put_away", "warn_of_folders"]


@frozen
class TakenFile:
    """A file that was used, as it was then.

    :param sha256: of the bytes that were used, if they were all copied.
    """

    name: str
    look: Look
    sha256: str | None = None
    sidecar: Sidecar | None = None


@frozen
class _Away:
    """Where files go: a folder beside them, or nowhere."""

    inbox: Inbox
    context: FetchContext
    folder: str | None
    stamp: str

    def put(self, file: TakenFile) -> None:
        """Puts a file away; a newer one of its name stays there, or comes back."""
        path = self.inbox.path(file.name)
        try:
            if self.inbox.file(file.name).look() != file.look:
                self._tell("newer_upload_stays", file)
                return
        except SourceMissing:
            return
        stamped = f"{self.stamp}_{file.name}"
        to = self.inbox.path(self.folder, stamped) if self.folder else self.inbox.path(ASIDE + stamped)
        self._rename(path, to)
        if not self._is_same(to, file):
            self._put_back(to, path, file)
        elif self.folder is None:
            self.inbox.files.put_away(to, None)

    def _rename(self, path: str, to: str) -> None:
        try:
            self.inbox.files.put_away(path, to)
        except FetchError:
            trouble = self.folder and _trouble(self.inbox, self.folder)
            if not trouble:
                raise
            raise FetchError(
                f"{self.inbox.file(str(self.folder)).origin}, where files are to be moved, {trouble}",
                recovery=Recovery.STOP,
                guidance="Create this folder on the server.",
            ) from None

    def _is_same(self, path: str, file: TakenFile) -> bool:
        """By its bytes where they are known: servers tell times by the second, and object stores rename by copying."""
        if self.inbox.opener(self.inbox.files, path).look().size != file.look.size:
            return False
        # One whose bytes are not known was refused for its size.
        return file.sha256 is None or self.inbox.sha256(path, self.context) == file.sha256

    def _put_back(self, moved: str, path: str, file: TakenFile) -> None:
        """Something else had taken the file's place in between: it goes back to where it was uploaded to."""
        try:
            self.inbox.files.put_away(moved, path)
        except FetchError as error:
            self.context.logger.error(  # noqa: TRY400 - the message says it
                "newer_upload_moved_away", file=shown(file.name), now=moved, code=error.code, message=error.message
            )
        else:
            self._tell("newer_upload_put_back", file)

    def _tell(self, event: str, file: TakenFile) -> None:
        self.context.logger.info(event, file=shown(file.name))


def warn_of_folders(inbox: Inbox, pick_up: PickUp, context: FetchContext) -> None:
    """Says at once which of the folders that files may be moved to cannot take them."""
    if inbox.vanishes:  # such folders come with what is moved there
        return
    for folder, kind in ((pick_up.used_to, "were"), (pick_up.refused_to, "cannot be")):
        trouble = folder and _trouble(inbox, folder)
        if folder and trouble:
            origin = inbox.file(folder).origin
            context.warn(f"{origin}, where files that {kind} used are to be moved, {trouble}; create this folder")


def _trouble(inbox: Inbox, folder: str) -> str | None:
    try:
        kind = inbox.files.look(inbox.path(folder)).kind
    except SourceMissing:
        return "is not there"
    return None if kind in {RemoteKind.FOLDER, RemoteKind.LINK} else "is not a folder"


def put_away(
    inbox: Inbox, files: Sequence[TakenFile], folder: str | None, used_at: datetime, context: FetchContext
) -> None:
    """Moves files to a folder beside them, or deletes them, and then what came with them.

    Each is renamed, looked at, and put back when it is not the one that was used.

    :param folder: its name; ``None`` deletes.
    :param used_at: begins the new names.
    :raises FetchError: when one cannot be put away; the others after it stay as well.
    """
    away = _Away(inbox, context, folder, f"{used_at:%Y%m%dT%H%M%SZ}")
    sidecars = dict.fromkeys(file.sidecar for file in files if file.sidecar)
    for file in (*files, *(TakenFile(sidecar.name, sidecar.look, sidecar.sha256) for sidecar in sidecars)):
        away.put(file)
