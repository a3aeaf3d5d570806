"""Getting a source's input onto this machine, before any of it is read."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from attrs import Factory, frozen

from inventory_sources.engine._locations import refuse_declared_locations
from inventory_sources.engine._withholding import withholding
from inventory_sources.errors import FetchError, InventorySourcesError, Recovery, SinkError
from inventory_sources.payload import Payload
from inventory_sources.protocols.clock import Clock
from inventory_sources.protocols.connector import FetchContext, Fetched, FetchOutcome, Progress
from inventory_sources.protocols.inbox import SourceInbox
from inventory_sources.run import Trigger
from inventory_sources.source import Source

__all__ = ["Fetch", "FetchRequest", "fetch", "fetch_context", "foreign_errors"]


@frozen
class FetchRequest:
    """What a fetch needs beside the source.

    :param started_at: the moment before the fetch, on the store's clock.
    :param outcome: filled in by the fetch, for whoever asked for it.
    """

    clock: Clock
    started_at: datetime
    logger: Any
    progress: Progress
    cursor: str | None = None
    memo: str | None = None
    overrides: Mapping[str, str] = Factory(dict)
    cancelled: Callable[[], bool] = lambda: False
    outcome: FetchOutcome = Factory(FetchOutcome)
    trigger: Trigger = Trigger.SCHEDULED
    inbox: SourceInbox | None = None


@frozen
class Fetch:
    """What was fetched, before any of it is read."""

    source: Source
    request: FetchRequest
    context: FetchContext
    gathered: Sequence[Payload | list[Mapping[str, object]]]

    @property
    def nothing_new(self) -> str | None:
        """Why there is no input, if the connector found none."""
        return None if self.gathered else self.context.outcome.nothing_new

    @property
    def unreadable(self) -> bool:
        """Whether there are deliveries that cannot be made an input of."""
        return bool(self.context.outcome.pushed.unreadable)

    @property
    def payloads(self) -> list[Payload]:
        """The inputs that are bytes."""
        return [part for part in self.gathered if isinstance(part, Payload)]

    @property
    def digest(self) -> str | None:
        """Of content and time of observation; ``None`` where one of them is not known before reading."""
        known = [(part.sha256, part.as_of) for part in self.payloads if part.sha256 and part.as_of]
        if not known or len(known) < len(self.gathered):
            return None
        facts = [[sha256, as_of.isoformat()] for sha256, as_of in known]
        return hashlib.sha256(json.dumps([facts, sorted(self.request.overrides.items())]).encode()).hexdigest()


@contextmanager
def fetch(source: Source, request: FetchRequest) -> Iterator[Fetch]:
    """Fetches the whole feed; what was spooled stays for the time of the ``with``.

    All of the input arrives before any of it is read: a decoder must not run while a connection may still break.

    :raises InventorySourcesError: when any part of it fails.
    """
    with foreign_errors(SinkError, "sink", source.sink):
        refuse_declared_locations(source)
    with withholding(source), fetch_context(source, request) as context:
        yield Fetch(source, request, context, _gather(source, context))


def _gather(source: Source, context: FetchContext) -> list[Payload | list[Mapping[str, object]]]:
    gathered: list[Payload | list[Mapping[str, object]]] = []
    with foreign_errors(FetchError, "connector", source.connector):
        for item in source.connector.fetch(context):
            context.checkpoint()
            _gather_one(source, item, gathered)
    return gathered


def _gather_one(source: Source, item: Fetched, gathered: list[Payload | list[Mapping[str, object]]]) -> None:
    if isinstance(item, Payload):
        gathered.append(item)
    elif isinstance(item, bytes):
        gathered.append(Payload(f"{source.name} part {len(gathered) + 1}", item, size=len(item)))
    elif isinstance(item, Mapping):
        if not gathered or not isinstance(gathered[-1], list):
            gathered.append([])
        gathered[-1].append(item)  # type: ignore[union-attr]
    else:
        raise FetchError(
            f"the connector yielded {type(item).__name__}",
            guidance="A connector yields Payload objects, bytes, or records as mappings.",
            recovery=Recovery.STOP,
        )


@contextmanager
def fetch_context(source: Source, request: FetchRequest) -> Iterator[FetchContext]:
    """The context for one fetch, with a spool folder that is removed afterwards."""
    spool = Path(tempfile.mkdtemp(prefix="inventory-sources-"))
    try:
        yield FetchContext(
            clock=request.clock,
            started_at=request.started_at,
            deadline=request.clock.monotonic() + source.timeout / timedelta(seconds=1),
            spool=spool,
            logger=request.logger,
            cursor=request.cursor,
            memo=request.memo,
            cancelled=request.cancelled,
            progress=request.progress,
            outcome=request.outcome,
            trigger=request.trigger,
            inbox=request.inbox,
        )
    finally:
        _remove(spool)


def _remove(folder: Path) -> None:
    try:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    except OSError:  # a connector made folders in it; walking them costs more than all the rest
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def foreign_errors(cls: type[InventorySourcesError], role: str, part: object) -> Iterator[None]:
    """Turns an exception that is not of our tree into ``cls``, by type and place: its text may hold a secret."""
    try:
        yield
    except InventorySourcesError:
        raise
    except Exception as error:  # noqa: BLE001 - a host's part may raise anything
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        raise cls(
            f"the {role} {type(part).__name__} raised {type(error).__name__} at {place}",
            guidance="Mend the part, or let it raise one of this library's errors to say more.",
            recovery=Recovery.RETRY,
        ) from None
