"""What can happen to a source, told to :func:`inventory_sources.status.transition`."""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import frozen

from inventory_sources._state import AppliedInput
from inventory_sources.errors import Recovery
from inventory_sources.run import Failure, Trigger

__all__ = [
    "Approve",
    "Cancel",
    "Claim",
    "Edit",
    "Event",
    "Fail",
    "Hold",
    "Lose",
    "OwnedEvent",
    "Pause",
    "RejectHeld",
    "Release",
    "Renew",
    "Request",
    "RequestCancel",
    "Rest",
    "Resume",
    "Succeed",
]


@frozen
class Claim:
    """A worker takes the source."""

    run_id: str
    owner: str
    lease: timedelta
    trigger: Trigger


@frozen
class OwnedEvent:
    """An event of a running sync; it counts only while the run owns the source."""

    run_id: str
    epoch: int


@frozen
class Renew(OwnedEvent):
    """The worker is alive."""

    lease: timedelta


@frozen
class Aside:
    """Deliveries that could not be read, beside those that could.

    :param failure: of one of them.
    :param until: when they are tried again; ``None`` once some of them wait for a person.
    :param nothing_read: whether there was nothing else in the run.
    """

    failure: Failure
    until: datetime | None
    nothing_read: bool = False


@frozen
class Succeed(OwnedEvent):
    """The sync is applied, or its input was applied before.

    :param baseline_rows: of the input; ``baseline_matched`` of them belonged to a known product.
    :param cursor: of a connector that keeps one; likewise ``memo``.
    :param applied: what was applied, unless it was before.
    :param more: there is more to fetch already.
    :param aside: what of it could not be read.
    :param beside: whether it was pushed beside a pull, whose failure or held plan it does not end.
    """

    baseline_rows: int | None = None
    baseline_matched: int | None = None
    cursor: str | None = None
    memo: str | None = None
    applied: AppliedInput | None = None
    more: bool = False
    aside: Aside | None = None
    beside: bool = False


@frozen
class Rest(OwnedEvent):
    """There was nothing new to fetch.

    :param aside: what came before and could not be read.
    :param clear: whether nothing that could not be used is left, so that there is nothing to wait for.
    :param more: as in :class:`Succeed`; likewise ``beside``.
    """

    cursor: str | None = None
    memo: str | None = None
    aside: Aside | None = None
    clear: bool = False
    more: bool = False
    beside: bool = False


@frozen
class Fail(OwnedEvent):
    """The sync failed."""

    failure: Failure
    recovery: Recovery
    retry_after: timedelta | None = None
    memo: str | None = None


@frozen
class Hold(OwnedEvent):
    """A guard keeps the plan for a person."""

    digest: str
    summary: str
    memo: str | None = None


@frozen
class Cancel(OwnedEvent):
    """The sync stopped because a person asked."""


@frozen
class Release(OwnedEvent):
    """The worker stops in good order and gives the source back without spending an attempt."""


@frozen
class Lose:
    """The lease expired: the worker is gone."""


@frozen
class Request:
    """A person asks for a sync."""


@frozen
class RequestCancel:
    """A person asks the running sync to stop."""


@frozen
class Approve:
    """A person lets the held plan pass."""

    digest: str


@frozen
class RejectHeld:
    """A person drops the held plan."""

    digest: str


@frozen
class Edit:
    """The declaration changed; a running sync is fenced out."""

    config_version: int


@frozen
class Pause:
    """No scheduled runs until resumed."""


@frozen
class Resume:
    """The schedule goes on."""


Event = (
    Claim
    | Renew
    | Succeed
    | Rest
    | Fail
    | Hold
    | Cancel
    | Release
    | Lose
    | Request
    | RequestCancel
    | Approve
    | RejectHeld
    | Edit
    | Pause
    | Resume
)
