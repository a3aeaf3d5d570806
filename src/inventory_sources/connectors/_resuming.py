"""Goes on with a transfer where it was cut: a large file that is begun again each time may never arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from attrs import define, field

from inventory_sources.errors import ConnectFailed, FetchError, FetchTimeout, InputIncomplete, Truncated

if TYPE_CHECKING:
    from inventory_sources.protocols.connector import FetchContext
    from inventory_sources.protocols.remote_files import RemoteEntry, RemoteFiles

__all__ = ["ResumingFiles"]

_MOST_RESUMPTIONS = 3


@define
class ResumingFiles:
    """A session that is opened again when it is lost in the middle of a file.

    That file is read on from the byte where it broke off, as long as each session brings some of it, and never when it
    does not look as it did when it was last looked at: parts of two versions are not one file. Whoever reads looks
    before and after, as always.

    :param opener: opens a session.
    """

    opener: Callable[[], AbstractContextManager[RemoteFiles]]
    context: FetchContext
    _sessions: ExitStack = field(factory=ExitStack, init=False)
    _files: RemoteFiles = field(init=False)
    _looks: dict[str, RemoteEntry] = field(factory=dict, init=False)

    def __enter__(self) -> Self:
        self._files = self._sessions.enter_context(self.opener())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._sessions.__exit__(kind, error, traceback)

    def entries(self, folder: str) -> Iterator[RemoteEntry]:
        """As the session's."""
        return self._files.entries(folder)

    def look(self, path: str) -> RemoteEntry:
        """As the session's; it is what a file must look like to be read on."""
        self._looks[path] = self._files.look(path)
        return self._looks[path]

    def read(self, path: str, offset: int = 0) -> Iterator[bytes]:
        """A file's bytes from ``offset``, over as many as four sessions.

        :raises InputIncomplete: when it looks different after it was cut.
        :raises Truncated: when it was cut and cannot be read on; :class:`ConnectFailed` and :class:`FetchTimeout` too.
        """
        position = offset
        for left in reversed(range(_MOST_RESUMPTIONS + 1)):
            begun = position
            try:
                for chunk in self._files.read(path, position):
                    position += len(chunk)
                    yield chunk
            except (ConnectFailed, FetchTimeout, Truncated):
                if not left or position == begun or not self._would_show_change(path):
                    raise
            else:
                return
            self.context.checkpoint()
            self._open_again(path)
            self.context.logger.info("transfer_resumed", position=position)

    def put_away(self, path: str, to: str | None) -> None:
        """As the session's."""
        self._files.put_away(path, to)

    def _would_show_change(self, path: str) -> bool:
        look = self._looks.get(path)
        return look is not None and (look.modified is not None or look.mark is not None)

    def _open_again(self, path: str) -> None:
        try:
            self._sessions.close()
            self._files = self._sessions.enter_context(self.opener())
        except FetchError as error:
            # What a server says to a second login within a minute, it may not mean: not for good.
            raise ConnectFailed(
                f"a transfer was cut, and its session could not be opened again ({error.code})"
            ) from None
        if self._files.look(path) != self._looks[path]:
            raise InputIncomplete(f"{path!r} changed while it was read")
