"""Keeping deliveries in groups: those that arrive while one group is being written form the next."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from datetime import timedelta

from attrs import define, field

from inventory_sources.errors import StoreError, StoreUnavailable
from inventory_sources.protocols.inbox import InboxEntry, Receipt
from inventory_sources.protocols.store import StateStore

__all__ = ["InboxWriter"]

_GROUP = 500


@define(eq=False)
class _Ticket:
    entry: InboxEntry
    wake_in: timedelta
    receipt: Receipt | None = None
    error: StoreError | None = None

    @property
    def settled(self) -> bool:
        return self.receipt is not None or self.error is not None


@define
class InboxWriter:
    """Writes what the threads of this process keep, one transaction for all that wait.

    There is no thread of its own: whoever comes first writes for those behind, so that one delivery alone is kept at
    once, and many together cost little more than one.
    """

    store: StateStore
    _queue: deque[_Ticket] = field(factory=deque, init=False)
    _writing: threading.Lock = field(factory=threading.Lock, init=False)

    def put(self, entry: InboxEntry, wake_in: timedelta) -> Receipt:
        """Keeps a delivery; durable when it returns.

        :raises StoreError: when it was not kept.
        """
        ticket = _Ticket(entry, wake_in)
        self._queue.append(ticket)
        with self._writing:
            while not ticket.settled:
                self._write(self._next_group())
        if ticket.error is not None:
            raise ticket.error
        return ticket.receipt or Receipt.GONE

    def _next_group(self) -> list[_Ticket]:
        """The first in the queue, and those behind it that share its delay."""
        group = [self._queue.popleft()]
        while self._queue and len(group) < _GROUP and self._queue[0].wake_in == group[0].wake_in:
            group.append(self._queue.popleft())
        return group

    def _write(self, group: Sequence[_Ticket]) -> None:
        try:
            receipts = self.store.put([ticket.entry for ticket in group], group[0].wake_in)
        except StoreError as error:
            if len(group) > 1 and not error.may_pass:  # one of them is at fault, and the others are not
                for ticket in group:
                    self._write([ticket])
                return
            for ticket in group:
                ticket.error = error
        except BaseException:
            for ticket in group:
                ticket.error = StoreUnavailable("the state store failed while deliveries were kept")
            raise
        else:
            for ticket, receipt in zip(group, receipts, strict=True):
                ticket.receipt = receipt
