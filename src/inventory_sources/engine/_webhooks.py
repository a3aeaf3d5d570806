"""Webhooks: a source's endpoints, its deliveries, and what a person does with them."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from attrs import define, evolve, frozen

from inventory_sources.engine._fetching import FetchRequest
from inventory_sources.engine._intake import take_in
from inventory_sources.engine._proposal import Background, propose
from inventory_sources.engine._receiving import Receiving, Refusal, entry_of
from inventory_sources.errors import ConfigurationError, InventorySourcesError
from inventory_sources.plan import SyncPlan
from inventory_sources.protocols.endpoints import Endpoint
from inventory_sources.protocols.inbox import InboxEntry, InboxSettlement, InboxStatus
from inventory_sources.protocols.store import AuditEntry, StateStore
from inventory_sources.protocols.webhook import Admitted, Answer, Delivery
from inventory_sources.run import Trigger
from inventory_sources.source import Source
from inventory_sources.status import SourceState

__all__ = ["DeliveryTest", "Webhooks"]

_TOKEN_BYTES = 32
_GRACE = timedelta(days=1)


@frozen
class _JustThis:
    """An inbox in which one delivery waits, which is not kept."""

    entry: InboxEntry

    def waiting(self, limit: int = 500) -> Sequence[InboxEntry]:
        return (self.entry,)

    def sequences(self, sequence_of: str, after: int, limit: int = 1) -> Sequence[tuple[int, datetime]]:
        return ()


@frozen
class DeliveryTest:
    """What a delivery would come to.

    :param answer: to its sender.
    :param plan: what it would change, where it is taken and can be read.
    :param problem: why it could not be read.
    """

    answer: Answer
    plan: SyncPlan | None = None
    problem: InventorySourcesError | None = None


@define
class Webhooks:
    """Endpoints and deliveries of the sources of an engine, as ``engine.webhooks``."""

    _store: StateStore
    _receiving: Receiving
    _resolve: Callable[[str], tuple[Source, SourceState]]
    _request: Callable[[Source, SourceState], FetchRequest]

    def issue_endpoint(self, name: str, *, retire_others_in: timedelta = _GRACE, actor: str = "host") -> str:
        """A new token for a source's URL, of 43 characters that nobody can guess; only its hash is kept.

        Tokens issued before stop working after ``retire_others_in``, so that the sender can be told of the new one.

        :raises SourceNotFound: when there is none of this name.
        :raises ConfigurationError: when the source takes no deliveries, or the others would have stopped in the past.
        """
        if retire_others_in < timedelta(0):
            raise ConfigurationError("retire_others_in is at least 0", guidance="0 stops the other tokens at once.")
        if self._receiving.receiver(name) is None:
            raise ConfigurationError(f"source {name!r} takes no deliveries", guidance="Make its connector a Webhook.")
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        audit = AuditEntry(name, "issue_endpoint", actor, self._store.now())
        self._store.add_endpoint(name, _hashed(token), audit, retire_others_in)
        return token

    def endpoints(self, name: str) -> Sequence[Endpoint]:
        """When each token that works was issued, and when it stops if it does; oldest first."""
        return self._store.endpoints(name)

    def source_of(self, token: str) -> str | None:
        """The source that a token is of; ``None`` for one that is unknown or retired."""
        return self._store.endpoint(_hashed(token))

    def deliveries(
        self, name: str, limit: int = 50, before: str | None = None, status: InboxStatus | None = None
    ) -> Sequence[InboxEntry]:
        """Deliveries with their status, the last received first, a page at a time: those before the id ``before``."""
        return self._store.deliveries(name, limit, before, status)

    def refusals(self, name: str) -> Sequence[Refusal]:
        """The last deliveries that this process did not take, the newest first; a restart forgets them."""
        return self._receiving.refusals(name)

    def retry(self, name: str, ids: Iterable[str], *, actor: str = "host") -> int:
        """Has deliveries that are parked, or wait for another attempt, read at once; gives how many there were."""
        return self._decide(name, ids, InboxStatus.WAITING, "retry_deliveries", actor)

    def dismiss(self, name: str, ids: Iterable[str], *, actor: str = "host") -> int:
        """Drops deliveries that wait or are parked; gives how many there were."""
        return self._decide(name, ids, InboxStatus.DISMISSED, "dismiss_deliveries", actor)

    def test(self, name: str, delivery: Delivery) -> DeliveryTest:
        """What a delivery would come to: the answer to its sender, and the plan; nothing is kept or written.

        :raises SourceNotFound: when there is none of this name.
        :raises ConfigurationError: when the source takes no deliveries.
        """
        receiver = self._receiving.receiver(name)
        if receiver is None:
            raise ConfigurationError(f"source {name!r} takes no deliveries")
        admitted = receiver.admit(delivery, delivery.received_at)
        if isinstance(admitted, Answer):
            return DeliveryTest(admitted)
        try:
            return DeliveryTest(receiver.accepted, self._planned(name, admitted, delivery))
        except InventorySourcesError as error:
            return DeliveryTest(receiver.accepted, problem=error)

    def _planned(self, name: str, admitted: Admitted, delivery: Delivery) -> SyncPlan:
        source, state = self._resolve(name)
        inbox = _JustThis(entry_of(name, admitted, delivery))
        request = evolve(self._request(source, state), trigger=Trigger.WEBHOOK, inbox=inbox)
        with take_in(source, request) as intake:
            for error in intake.aside.values():
                raise error
            return propose(source, intake, Background.read(self._store, name, state)).plan

    def _decide(self, name: str, ids: Iterable[str], status: InboxStatus, action: str, actor: str) -> int:
        chosen = list(ids)
        audit = AuditEntry(name, action, actor, self._store.now(), f"{len(chosen)} deliveries")
        settlements = [InboxSettlement(delivery, status) for delivery in chosen]
        return self._store.settle_deliveries(name, settlements, audit, wake=True)


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
