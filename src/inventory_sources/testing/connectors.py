"""The contract of a :class:`~inventory_sources.protocols.connector.Connector`, as tests to inherit.

In five lines::

    class TestErp(ConnectorContract):
        secrets = ("s3cret",)
        def make(self): return Erp(self.server.url, token=Secret("s3cret"))
        def make_broken(self): return Erp(self.server.url + "/gone", token=Secret("s3cret"))
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from inventory_sources.errors import FetchTimeout, SyncCancelled
from inventory_sources.payload import Payload
from inventory_sources.protocols.clock import Clock
from inventory_sources.protocols.connector import CheckableConnector, Connector, FetchContext, Fetched, Head

__all__ = ["ConnectorContract", "fetch_context"]

_PATIENCE = 60.0
_HEAD_BYTES = 1024 * 1024


def fetch_context(
    spool: Path,
    *,
    clock: Clock | None = None,
    timeout: float = _PATIENCE,
    cancelled: Callable[[], bool] = lambda: False,
) -> FetchContext:
    """A context as the engine would give it, on the machine's clock unless another is given.

    :param spool: an empty folder.
    :param timeout: seconds until the deadline.
    """
    from inventory_sources.clock import SystemClock

    time = clock or SystemClock()
    return FetchContext(
        clock=time,
        started_at=time.now(),
        deadline=time.monotonic() + timeout,
        spool=spool,
        logger=_Silent(),
        cancelled=cancelled,
    )


class ConnectorContract:
    """Inherit it and say how to make the connector, and one whose source is not there.

    :cvar secrets: texts that must not show in any error of the broken one.
    """

    secrets: ClassVar[tuple[str, ...]] = ()

    def make(self) -> Connector:
        """A connector whose source holds at least one record."""
        raise NotImplementedError

    def make_broken(self) -> Connector:
        """A connector whose source is not there or refuses."""
        raise NotImplementedError

    def test_it_gives_payloads_bytes_or_records(self) -> None:
        """At least one, and nothing else."""
        with spool_folder() as spool:
            given = list(self.make().fetch(fetch_context(spool)))
            assert given, "nothing was fetched"
            assert all(isinstance(part, Payload | bytes | Mapping) for part in given)

    def test_twice_gives_the_same(self) -> None:
        """A connector keeps nothing between two syncs."""
        connector = self.make()
        assert _contents(connector) == _contents(connector)

    def test_an_origin_shows_no_credentials(self) -> None:
        """It goes to the history and the log."""
        with spool_folder() as spool:
            for part in self.make().fetch(fetch_context(spool)):
                origin = part.origin if isinstance(part, Payload) else ""
                assert not any(secret in origin for secret in self.secrets)
                assert "?" not in origin

    def test_files_stay_in_the_spool(self) -> None:
        """The run removes its spool and nothing else."""
        with spool_folder() as spool, _watched_temporary_folder() as temporary:
            for part in self.make().fetch(fetch_context(spool)):
                if isinstance(part, Payload) and isinstance(part.body, Path):
                    assert part.body.resolve().is_relative_to(spool.resolve()), f"{part.body} is not in the spool"
            assert list(temporary.iterdir()) == [], "files were left behind"

    def test_it_stops_when_cancelled(self) -> None:
        """It looks at ``context.cancelled`` or calls ``context.checkpoint()``."""
        with spool_folder() as spool:
            raised = _error_of(self.make(), fetch_context(spool, cancelled=lambda: True))
            assert isinstance(raised, SyncCancelled), f"it went on and gave {raised!r}"

    def test_it_stops_at_the_deadline(self) -> None:
        """It bounds its waiting by ``context.remaining()``."""
        with spool_folder() as spool:
            raised = _error_of(self.make(), fetch_context(spool, timeout=0.0))
            assert isinstance(raised, FetchTimeout), f"it went on and gave {raised!r}"

    def test_a_source_that_is_not_there_is_an_error(self) -> None:
        """Never an empty success: an empty feed would look like an empty shop. No secret is told."""
        with spool_folder() as spool:
            raised = _error_of(self.make_broken(), fetch_context(spool))
            assert raised is not None, "a missing source gave a success"
            told = f"{raised} {raised!r} {raised.__cause__!r}"
            assert not any(secret in told for secret in self.secrets)

    def test_check_gives_the_head_of_what_fetch_gives(self) -> None:
        """Only of a connector that has ``check``; it leaves nothing behind. Of records, the head is their document."""
        connector = self.make()
        if not isinstance(connector, CheckableConnector):
            return
        with spool_folder() as spool:
            head = connector.check(fetch_context(spool))
            assert isinstance(head, Head)
            assert len(head.data) <= _HEAD_BYTES
            assert list(spool.iterdir()) == [], "check left files in the spool"
        whole = _contents(connector)[0]
        if isinstance(whole, Mapping):
            return
        assert isinstance(whole, bytes)
        assert whole == head.data if head.complete else whole.startswith(head.data)

    def test_check_of_a_source_that_is_not_there_is_an_error(self) -> None:
        """As ``fetch`` would raise."""
        connector = self.make_broken()
        if not isinstance(connector, CheckableConnector):
            return
        with spool_folder() as spool:
            try:
                connector.check(fetch_context(spool))
            except Exception as error:  # noqa: BLE001 - a connector may raise its own
                assert not any(secret in f"{error} {error!r}" for secret in self.secrets)
                return
        raise AssertionError("check of a missing source gave a success")


class _Silent:
    """Takes the events of a structlog logger and drops them."""

    def bind(self, **values: object) -> _Silent:
        return self

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda event, **values: None


def _error_of(connector: Connector, context: FetchContext) -> Exception | None:
    try:
        for _ in connector.fetch(context):
            pass
    except Exception as error:  # noqa: BLE001 - a connector may raise its own
        return error
    return None


def _contents(connector: Connector) -> list[object]:
    with spool_folder() as spool:
        return [content_of(part) for part in connector.fetch(fetch_context(spool))]


def content_of(part: Fetched) -> object:
    if isinstance(part, Payload):
        with part.open() as stream:
            return stream.read()
    return part if isinstance(part, bytes) else dict(part)


@contextmanager
def spool_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@contextmanager
def _watched_temporary_folder() -> Iterator[Path]:
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = before
