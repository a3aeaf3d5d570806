"""What a worker may run next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any

from attrs import define, field

from inventory_sources.engine import SyncEngine
from inventory_sources.errors import InventorySourcesError, SourceNotFound, StoreError

__all__ = ["Backlog"]

#: Seconds for which a source that cannot be run here is left to others, and for which a source's host is believed.
_PASSED = 60.0
#: So many due sources are looked through for one whose host is free.
_MOST = 4096


@define
class Backlog:
    """Names of due sources, as the store gave them last.

    All workers are given the same names, so each tries them in an order of its own, and asks again as soon as one turns
    out to be taken: what else it was given is as old.

    :param size: how many names are asked for.
    :param fresh: seconds for which they are believed.
    :param per_host: how many sources of one host may be busy at once.
    :param once: whether a source is taken once only.
    """

    engine: SyncEngine
    size: int
    fresh: float
    per_host: int | None
    logger: Any
    once: bool = False
    _names: list[str] = field(factory=list, init=False)
    _read_at: float | None = field(default=None, init=False)
    _may_ask: bool = field(default=True, init=False)
    _outdated: bool = field(default=False, init=False)
    _passed: dict[str, float] = field(factory=dict, init=False)
    _hosts: dict[str, tuple[str | None, float]] = field(factory=dict, init=False)
    _random: Random = field(factory=Random, init=False)

    def turn(self, busy: Mapping[str, str | None]) -> None:
        """A turn of the loop begins: the store may be asked again, and is once what it gave is old.

        :raises StoreError: when it does not answer.
        """
        self._may_ask = True
        if self._read_at is None or self.engine.clock.monotonic() - self._read_at >= self.fresh:
            self._ask(self.size, busy)

    def take(self, busy: Mapping[str, str | None]) -> tuple[str, str | None] | None:
        """One to run now, with its host; ``None`` when there is none.

        :param busy: what this worker runs, by name, with their hosts.
        :raises StoreError: when the store does not answer.
        """
        if self._outdated:
            self._outdated, self._names = False, []
        found, size = self._free(busy), self.size
        while found is None and self._may_ask:
            self._may_ask = self._ask(size, busy) and size < _MOST
            found, size = self._free(busy), size * 4
        if found is not None and self.once:
            self._passed[found[0]] = float("inf")
        return found

    def outdated(self) -> None:
        """One of the names was taken by another worker; so will others be. For any thread."""
        self._outdated = True

    def pass_over(self, name: str, error: InventorySourcesError | None = None) -> None:
        """Leaves a source to others for a while. For any thread."""
        self._passed[name] = float("inf") if self.once else self.engine.clock.monotonic() + _PASSED
        if error is not None and not isinstance(error, SourceNotFound):
            self.logger.warning("source_passed_over", source=name, code=error.code, message=error.message)

    def _ask(self, size: int, busy: Mapping[str, str | None]) -> bool:
        """Whether there may be more than was given."""
        now = self.engine.clock.monotonic()
        self._passed = {name: until for name, until in self._passed.copy().items() if until > now}
        left_out = {*self._passed, *busy}
        given = self.engine.due(size + len(left_out))
        self._read_at = now
        self._names = [name for name in given if name not in left_out]
        self._random.shuffle(self._names)
        self._hosts = {name: self._hosts[name] for name in self._names if name in self._hosts}
        return len(given) >= size + len(left_out)

    def _free(self, busy: Mapping[str, str | None]) -> tuple[str, str | None] | None:
        at_hosts = Counter(host for host in busy.values() if host is not None)
        for name in tuple(self._names):
            if name in busy or name in self._passed:
                self._names.remove(name)
                continue
            try:
                host = self._host(name)
            except StoreError:
                raise
            except InventorySourcesError as error:
                self.pass_over(name, error)
                continue
            if self.per_host is None or host is None or at_hosts[host] < self.per_host:
                self._names.remove(name)
                return name, host
        return None

    def _host(self, name: str) -> str | None:
        if self.per_host is None:
            return None
        now = self.engine.clock.monotonic()
        known = self._hosts.get(name)
        if known is None or known[1] <= now:
            host = getattr(self.engine.source(name).connector, "host", None)
            known = self._hosts[name] = (host if isinstance(host, str) else None, now + _PASSED)
        return known[0]
