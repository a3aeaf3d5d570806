"""What all connectors of files share, wherever the files are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from inventory_sources._unpacking import Unpack, unpacked, unpacked_head
from inventory_sources.connectors._afterwards import TakenFile, put_away, warn_of_folders
from inventory_sources.connectors._copying import FileTime, file_time, head_of
from inventory_sources.connectors._inbox import FileOnServer, Inbox
from inventory_sources.connectors._pick_up import PickUp
from inventory_sources.connectors._resuming import ResumingFiles
from inventory_sources.connectors._taking import Taking
from inventory_sources.errors import ConfigurationError

if TYPE_CHECKING:
    from inventory_sources.connectors._looks import FileAtRest
    from inventory_sources.payload import Payload
    from inventory_sources.protocols.connector import FetchContext, Fetched, Head
    from inventory_sources.protocols.remote_files import RemoteFiles

__all__ = ["PickUpConnector"]


def _valid_path(instance: object, attribute: object, path: str) -> None:
    if not path or path.endswith("/") or any(character in path for character in "\r\n\0"):
        raise ConfigurationError("the path must name a file, or a pattern in a folder")


def _positive(instance: object, attribute: object, value: int) -> None:
    if value < 1:
        raise ConfigurationError("max_bytes must be more than 0")


def _known_time(instance: PickUpConnector, attribute: object, as_of: FileTime | None) -> None:
    if as_of is FileTime.NAME and not instance.pick_up.names_tell_day:
        raise ConfigurationError(
            "as_of='name' needs a template of the names that tells the day",
            guidance="Declare it as pick_up.order, such as stock_%Y%m%d_%H%M.csv.",
        )


@frozen(kw_only=True)
class PickUpConnector(ABC):
    """Copies files that :class:`PickUp` chooses; where they are, its subclasses say."""

    path: str = field(kw_only=False, validator=_valid_path)
    max_bytes: int = field(default=1024**3, validator=_positive)
    as_of: FileTime | None = field(default=None, converter=file_time, validator=_known_time)
    pick_up: PickUp = field(factory=PickUp)
    unpack: Unpack | None = None

    def fetch(self, context: FetchContext) -> Iterator[Fetched]:
        """Yields what :meth:`payloads` makes of each file that is taken.

        :raises InputIncomplete: when one is not shown to be whole yet, or changed while it was read; it is read again
            shortly.
        :raises FetchError: when one cannot be read; see :mod:`inventory_sources.errors`.
        """
        path = self._located(context)
        with ResumingFiles(partial(self.session, context), context) as files:
            taking = self._taking(files, path, context)
            warn_of_folders(taking.inbox, self.pick_up, context)
            self._register(taking, path, context)
            copied = taking.payloads()
        for payload in copied:
            yield from self.payloads(payload, context)

    def check(self, context: FetchContext) -> Head:
        """The head of the file that would be taken now, ready or not.

        :raises FetchError: as :meth:`fetch` would.
        """
        path = self._located(context)
        with self.session(context) as files:
            taking = self._taking(files, path, context)
            name = taking.head()
            file = taking.inbox.file(name)
            if self.unpack is None:
                return head_of(file)
            payload = taking.copy(name, file.look())
        return unpacked_head(payload, self.unpack, context)

    def locate(self, context: FetchContext) -> str:
        """The path for this sync; override for a folder or name that depends on the day."""
        return self.path

    def payloads(self, payload: Payload, context: FetchContext) -> Iterable[Fetched]:
        """What of a file is the input: what is packed in it where ``unpack`` says so; override to yield records."""
        return unpacked(payload, self.unpack, context)

    @abstractmethod
    def session(self, context: FetchContext) -> AbstractContextManager[RemoteFiles]:
        """A session with what holds the files, for one sync."""

    @abstractmethod
    def origin(self, path: str) -> str:
        """What to call a file in messages."""

    def file(self, files: RemoteFiles, path: str) -> FileAtRest:
        """The file at a path, to look at and to read."""
        # A name that is not UTF-8 is kept by surrogates, which no log or database takes.
        return FileOnServer(files, path, self.origin(path).encode("utf-8", "backslashreplace").decode())

    def _located(self, context: FetchContext) -> str:
        path = self.locate(context)
        if path != self.path:  # another one is judged like the one that was declared
            evolve(self, path=path)
        return path

    @property
    def folders_vanish(self) -> bool:
        """Whether a folder is there only while something is in it."""
        return False

    def _inbox(self, path: str, files: RemoteFiles) -> Inbox:
        return Inbox.at(path, files, self.file, vanishes=self.folders_vanish)

    def _taking(self, files: RemoteFiles, path: str, context: FetchContext) -> Taking:
        inbox = self._inbox(path, files)
        usual = FileTime.NAME if self.pick_up.names_tell_day else FileTime.MODIFIED
        return Taking.of(inbox, self.pick_up, context, max_bytes=self.max_bytes, as_of=self.as_of or usual)

    def _register(self, taking: Taking, path: str, context: FetchContext) -> None:
        """Before anything is copied: of the lists, what they hold when the run has ended counts."""
        if not self.pick_up.puts_away:
            return
        done, refused = self.pick_up.used_to, self.pick_up.refused_to
        used_at = context.started_at

        def put(files: Sequence[TakenFile], folder: str | None, later: FetchContext) -> None:
            if files:
                with self.session(later) as session:
                    put_away(self._inbox(path, session), files, folder, used_at, later)

        context.after_commit(partial(put, taking.again, done))
        context.after_commit(partial(put, taking.used, done))
        if refused is not None:
            context.after_refusal(partial(put, taking.used, refused))
