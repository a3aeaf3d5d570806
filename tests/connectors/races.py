"""Polls in a tight loop against a sender that uploads all the while, and what came of each poll."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import structlog
from attrs import define, field, fields_dict, frozen

from inventory_sources import CsvDecoder
from inventory_sources.clock import SystemClock
from inventory_sources.connectors import FileConnector, FtpConnector, SftpConnector
from inventory_sources.errors import DecodeError, FetchError, InputIncomplete
from inventory_sources.payload import Payload
from inventory_sources.protocols.connector import FetchContext
from inventory_sources.protocols.decoder import DecodeContext
from inventory_sources.protocols.remote_files import RemoteFiles
from tests.connectors.upload_writer import Sender

#: Polls for each race that is wanted: where so few overlap, something is wrong with the sender.
_TRIES = 10
#: After so many polls an upload may end without being polled: a busy machine would let the sender come to nothing.
_BREATH = 4


@frozen
class _Watched:
    """A file whose looks and reads are steps that the sender sees."""

    file: Any
    sender: Sender

    @property
    def origin(self) -> str:
        return str(self.file.origin)

    def look(self) -> Any:
        self.sender.counters.step()
        return self.file.look()

    def chunks(self) -> Iterator[bytes]:
        self.sender.counters.step()
        for chunk in self.file.chunks():
            yield chunk
            self.sender.counters.step()


class _Raced:
    """Mixed into a connector: its steps are seen, and one session serves all polls."""

    sender: Sender
    kept: RemoteFiles

    def session(self, context: FetchContext) -> AbstractContextManager[RemoteFiles]:
        return nullcontext(self.kept)

    def file(self, files: RemoteFiles, path: str) -> Any:
        return _Watched(super().file(files, path), self.sender)  # type: ignore[misc]


@frozen(kw_only=True)
class RacedFile(_Raced, FileConnector):
    """A :class:`FileConnector` in a race."""

    sender: Sender = field(eq=False)
    kept: RemoteFiles = field(eq=False)


@frozen(kw_only=True)
class RacedSftp(_Raced, SftpConnector):
    """An :class:`SftpConnector` in a race."""

    sender: Sender = field(eq=False)
    kept: RemoteFiles = field(eq=False)


@frozen(kw_only=True)
class RacedFtp(_Raced, FtpConnector):
    """An :class:`FtpConnector` in a race."""

    sender: Sender = field(eq=False)
    kept: RemoteFiles = field(eq=False)


_RACED = {FileConnector: RacedFile, SftpConnector: RacedSftp, FtpConnector: RacedFtp}


@contextmanager
def raced(connector: Any, sender: Sender, spool: Path) -> Iterator[Any]:
    """The same connector in a race with a sender."""
    known = {name: getattr(connector, name) for name in fields_dict(type(connector))}
    with ExitStack() as stack:
        kept = stack.enter_context(connector.session(context(spool)))
        yield _RACED[type(connector)](**known, sender=sender, kept=kept)


def context(spool: Path, **known: Any) -> FetchContext:
    """As an engine would give it, with time for all polls."""
    clock = SystemClock()
    return FetchContext(
        clock=clock,
        started_at=clock.now(),
        deadline=clock.monotonic() + 600,
        spool=spool,
        logger=structlog.get_logger(),
        **known,
    )


@define
class Races:
    """What came of the polls.

    :ivar applied: versions that would have been applied, in order.
    :ivar halves: what would have been applied although it is no version, or not all of one.
    :ivar waited: polls that found the file unfinished.
    :ivar failed: other errors of the connector, by their class.
    :ivar refused: sizes of files that the connector took for whole and the decoder did not.
    :ivar overlapped: polls during which an upload was under way.
    """

    connector: Any
    sender: Sender
    spool: Path
    decoder: CsvDecoder = field(factory=CsvDecoder)
    applied: list[int] = field(factory=list)
    halves: list[str] = field(factory=list)
    waited: int = 0
    nothing_new: int = 0
    failed: Counter[str] = field(factory=Counter)
    refused: list[int] = field(factory=list)
    overlapped: int = 0
    polls: int = 0
    _known: dict[str, str | None] = field(factory=lambda: {"cursor": None, "memo": None})

    def run(self, races: int, versions: int) -> None:
        """Polls until so many have overlapped with an upload, and so many versions were applied.

        :raises AssertionError: when too few do or are.
        """
        while self.overlapped < races or len(set(self.applied)) < versions:
            assert self.polls < races * _TRIES, f"too few overlapped an upload, or were applied: {self}"
            ended = self.sender.counters.ended
            self.poll()
            # Of the uploads that had not ended when the poll began, one had begun before it ended.
            self.overlapped += self.sender.counters.begun > ended
            if self.polls % _BREATH == 0:
                self.sender.let_end()

    def poll(self) -> None:
        """Fetches and decodes once; what the connector wants remembered is, as by an engine."""
        self.polls += 1
        polled = context(self.spool, **self._known)
        payloads: list[Payload] = []
        try:
            payloads += self.connector.fetch(polled)
            found = [self._read(payload) for payload in payloads]
        except InputIncomplete:
            self.waited += 1
        except FetchError as error:
            self.failed[type(error).__name__] += 1
        except DecodeError:
            self.refused += [payload.size or 0 for payload in payloads]
        else:
            self._apply(found, polled)
        finally:
            for path in self.spool.iterdir():
                path.unlink()
        self._known["memo"] = polled.outcome.memo or self._known["memo"]

    def _apply(self, found: list[tuple[Counter[str], int]], polled: FetchContext) -> None:
        if not found:
            self.nothing_new += 1
            return
        ((quantities, damaged),) = found
        version = int(next(iter(quantities), "1000")) - 1000
        if damaged or len(quantities) != 1 or quantities.total() != self.sender.rows(version):
            self.halves.append(f"{dict(quantities.most_common(3))} and {damaged} damaged")
        self.applied.append(version)
        self._known["cursor"] = polled.next_cursor

    def _read(self, payload: Payload) -> tuple[Counter[str], int]:
        quantities: Counter[str] = Counter()
        damaged = 0
        for batch in self.decoder.decode(payload, DecodeContext(evidence=payload.evidence)):
            quantities.update(batch.frame["quantity"].to_list())
            damaged += batch.damaged.total
        return quantities, damaged

    def __str__(self) -> str:
        return (
            f"{self.polls} polls, {self.overlapped} overlapped, {len(self.applied)} applied "
            f"({len(set(self.applied))} versions), {len(self.halves)} halves, {self.waited} waited, "
            f"{self.nothing_new} nothing new, failed {dict(self.failed)}, refused {self.refused}"
        )
