"""The contract of a :class:`~inventory_sources.protocols.notifier.Notifier`, as tests to inherit.

In five lines::

    class TestPager(NotifierContract):
        def make(self): return Pager(self.server.url)
        def make_broken(self): return Pager(UNREACHABLE)
        def delivered(self): return [page["id"] for page in self.server.pages]
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from attrs import evolve

from inventory_sources.errors import Phase
from inventory_sources.protocols.notifier import Notification, NotificationKind, Notifier
from inventory_sources.run import Failure

__all__ = ["NotifierContract", "sample_notification"]

_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_HOSTILE = "line\r\nBcc: other@example.net\r\n\r\n<b>\x00\ud800 naïve 在庫 " + "long " * 400


def sample_notification() -> Notification:
    """A notification with every part."""
    failure = Failure("access_refused", Phase.FETCH, "HTTP 401", "Correct the credentials.", _AT)
    return Notification("n-1", "erp", NotificationKind.FAILED, "i-1", "erp failed: HTTP 401", _AT, "r-1", failure)


class NotifierContract:
    """Inherit it and say how to make the notifier, one that cannot deliver, and what has arrived."""

    def make(self) -> Notifier:
        """A notifier whose receiver works."""
        raise NotImplementedError

    def make_broken(self) -> Notifier:
        """A notifier whose receiver does not take anything."""
        raise NotImplementedError

    def delivered(self) -> Sequence[str]:
        """Ids of the notifications that arrived, in order, repetitions included."""
        raise NotImplementedError

    def test_a_notification_has_arrived_when_notify_returns(self) -> None:
        """The outbox forgets a notification as soon as ``notify`` returns."""
        self.make().notify(sample_notification())
        assert list(self.delivered()) == ["n-1"]

    def test_a_repetition_carries_the_same_id(self) -> None:
        """The outbox sends at least once; the receiver tells repetitions by their id."""
        notifier = self.make()
        notifier.notify(sample_notification())
        notifier.notify(sample_notification())
        assert list(self.delivered()) == ["n-1", "n-1"]

    def test_every_kind_arrives(self) -> None:
        """With and without a failure and a run."""
        notifier = self.make()
        for kind in NotificationKind:
            notifier.notify(evolve(sample_notification(), id=kind.value, kind=kind, run_id=None, failure=None))
        assert list(self.delivered()) == [kind.value for kind in NotificationKind]

    def test_any_text_arrives(self) -> None:
        """Names and messages hold what a feed held: line breaks, other scripts, half characters."""
        self.make().notify(evolve(sample_notification(), source=_HOSTILE, summary=_HOSTILE))
        assert list(self.delivered()) == ["n-1"]

    def test_what_did_not_arrive_raises(self) -> None:
        """Otherwise the outbox would forget it."""
        try:
            self.make_broken().notify(sample_notification())
        except Exception:  # noqa: BLE001 - any exception keeps it in the outbox
            return
        raise AssertionError("notify returned although nothing arrived")
