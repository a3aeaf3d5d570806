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


def _held() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@define(eq=False)
class _Ticket:
    """A delivery of a thread that waits until it is settled, or until it is its turn to write.

    :param leads: whether its thread writes the next group.
    :param asleep: held until its thread is to go on.
    """

    entry: InboxEntry
    wake_in: timedelta
    leads: bool = False
    asleep: threading.Lock = field(factory=_held)
    receipt: Receipt | None = None
    error: StoreError | None = None


@define
class InboxWriter:
    """Writes what the threads of this process keep, one transaction for all that wait.

    There is no thread of its own: whoever comes first writes for those behind, so that one delivery alone is kept at
    once, and many together cost little more than one. Each is woken by itself: those that are settled need not queue
    behind the next group, and come back with their next deliveries while it is being written.
    """

    store: StateStore
    _queue: deque[_Ticket] = field(factory=deque, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)
    _led: bool = field(default=False, init=False)

    def put(self, entry: InboxEntry, wake_in: timedelta) -> Receipt:
        """Keeps a delivery; durable when it returns.

        :raises StoreError: when it was not kept.
        """
        ticket = _Ticket(entry, wake_in)
        with self._lock:
            self._queue.append(ticket)
            ticket.leads, self._led = not self._led, True
        try:
            if not ticket.leads:
                ticket.asleep.acquire()
            if ticket.leads:
                self._lead()
        except BaseException:
            self._leave(ticket)
            raise
        if ticket.receipt is None:
            raise ticket.error or _unknown()
        return ticket.receipt

    def _lead(self) -> None:
        """Writes the first group, wakes its threads, and leaves the next group to the thread of its first."""
        with self._lock:
            group = self._next_group()
        try:
            self._write(group)
        finally:
            for ticket in group:
                ticket.asleep.release()
            with self._lock:
                self._appoint()

    def _appoint(self) -> None:
        self._led = bool(self._queue)
        if self._queue:
            self._queue[0].leads = True
            self._queue[0].asleep.release()

    def _leave(self, ticket: _Ticket) -> None:
        """For a thread that was interrupted, perhaps just as it was to lead."""
        with self._lock:
            if ticket in self._queue:
                self._queue.remove(ticket)
                if ticket.leads:
                    self._appoint()

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
        else:
            for ticket, receipt in zip(group, receipts, strict=True):
                ticket.receipt = receipt


def _unknown() -> StoreError:
    return StoreUnavailable("the state store failed while deliveries were kept")
