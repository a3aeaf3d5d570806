"""`HttpStockSink`: what all sinks behind an API of HTTP have in common."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from uuid import NAMESPACE_URL, uuid5

from attrs import Attribute, evolve, field, frozen

from inventory_sources._http import Dialling, HttpClient, HttpLimits, patience, shown_url
from inventory_sources._url import WebAddress
from inventory_sources.clock import SystemClock
from inventory_sources.errors import ConfigurationError, SinkError
from inventory_sources.netguard import networks, system_resolver
from inventory_sources.plan import Outcome, PlanItem
from inventory_sources.protocols.sink import (
    MOVED_ON,
    NOT_REACHED,
    ApplyContext,
    ApplyResult,
    Changes,
    CurrentLevel,
    ItemOutcome,
    SinkTraits,
)
from inventory_sources.sinks._remote_api import RemoteApi, in_our_words

if TYPE_CHECKING:
    import ssl

    from inventory_sources.protocols.clock import Clock

__all__ = ["HttpStockSink", "RemoteLevel", "RemoteWrite", "idempotency_key", "pieces"]

_Item = TypeVar("_Item")


@frozen
class RemoteLevel:
    """A level as the platform tells it.

    :param quantity: ``None`` where the platform has no number.
    :param handle: what a write needs to name it, such as the platform's ids.
    :param refuses: why it cannot be written, as a stable code such as ``stock_not_managed``; it then counts as null,
        and a change of it fails with this reason.
    """

    sku: str
    quantity: Decimal | None
    location: str = ""
    handle: Any = None
    refuses: str = ""


@frozen
class RemoteWrite:
    """A change, and the level that it is to change."""

    item: PlanItem
    level: RemoteLevel

    def failed(self, reason: str) -> ItemOutcome:
        """That it was not written, and why, as a stable code."""
        return ItemOutcome(self.item.sku, self.item.location, Outcome.FAILED, reason)


def _valid_url(instance: object, attribute: object, url: str) -> None:
    if WebAddress.parse(url).query:
        raise ConfigurationError("the URL of an API's root has no query")


def _ranges(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)


def _valid_networks(instance: object, attribute: object, ranges: tuple[str, ...]) -> None:
    networks(ranges)


def _positive(instance: object, attribute: Attribute[Any], value: float) -> None:
    if not value > 0:
        raise ConfigurationError(f"{attribute.name} must be more than 0")


@frozen(kw_only=True)
class HttpStockSink:
    """Stock levels behind an API: subclass it and give it ``traits``, :meth:`headers`, :meth:`read` and :meth:`write`.

    Changes are written in batches. Before each, its levels are read: what stands at its new level already is left
    alone, what is not at the planned one is reported as ``moved_on``, so that the engine compares and tries it again,
    and what is not there, or refuses, fails alone. A batch that breaks off ends the run; the next one finds by
    reading what was written of it. There is no transaction: batches before that one stay written and count.

    :param url: root of the API, ``https://host/path``.
    :param limits: on time and size, for each reading of levels and for each batch.
    :param max_pause: seconds: the longest pause that is made within a run when the platform asks for one.
    :param allow_private: ranges such as ``10.1.0.0/16`` that may be reached although they are not public. For an
        operator to set, never for whoever names the URL.
    :param allow_plaintext: whether ``http://`` may be used, over which the credentials can be read.
    :cvar traits: what the sink can.
    :cvar batch: so many items are written at once.
    :cvar guidance: what a person can do about an item that fails, by the code of its reason.
    :raises ConfigurationError: when one of these cannot be used.
    """

    traits: ClassVar[SinkTraits]
    batch: ClassVar[int] = 100
    guidance: ClassVar[Mapping[str, str]] = {"sku_not_unique": "Give each of the products a SKU of its own."}

    url: str = field(kw_only=False, repr=shown_url, validator=_valid_url)
    limits: HttpLimits = field(factory=HttpLimits)
    max_pause: float = field(default=30.0, validator=_positive)
    allow_private: tuple[str, ...] = field(default=(), converter=_ranges, validator=_valid_networks)
    allow_plaintext: bool = False

    def __attrs_post_init__(self) -> None:
        if WebAddress.parse(self.url).scheme == "http" and not self.allow_plaintext:
            raise ConfigurationError("credentials would be sent in the clear over http://", guidance="Use https://.")

    @property
    def named_locations(self) -> frozenset[str] | None:
        """That there are none, if ``traits`` say so."""
        return None if self.traits.locations else frozenset({""})

    def headers(self) -> Mapping[str, str]:
        """Sent with each request: the credentials."""
        return {}

    def read(self, api: RemoteApi, skus: Sequence[str] | None) -> Iterable[RemoteLevel]:
        """The levels of these SKUs, or all; others among them are left out."""
        raise NotImplementedError

    def write(self, api: RemoteApi, writes: Sequence[RemoteWrite], context: ApplyContext) -> Iterable[ItemOutcome]:
        """Writes one batch; gives the items that were not written."""
        raise NotImplementedError

    def verify(self, api: RemoteApi) -> None:
        """Asks the platform whether what was declared is there."""

    def tls(self) -> ssl.SSLContext:
        """Verifies the platform's certificate, by the system's authorities unless overridden."""
        import ssl

        return ssl.create_default_context()

    def resolve(self, host: str, port: int) -> Sequence[str]:
        """The addresses of a host."""
        return system_resolver(host, port)

    def clock(self) -> Clock:
        """Tells the time for limits."""
        return SystemClock()

    def pause(self, seconds: float) -> None:
        """Waits, because the platform asks for it."""
        threading.Event().wait(seconds)

    def describe(self) -> SinkTraits:
        """What the sink can, once the platform has answered :meth:`verify`.

        :raises SinkUnavailable: when it does not answer.
        :raises SinkError: when it refuses the credentials or lacks what was declared.
        """
        with self._speaking("look at the platform") as api:
            self.verify(api)
        return self.traits

    def levels(self, skus: Sequence[str] | None) -> list[CurrentLevel]:
        """The levels of these SKUs, or all.

        :raises SinkUnavailable: when they cannot be read.
        """
        with self._speaking("read the levels") as api:
            return [CurrentLevel(at.sku, at.quantity, at.location) for at in self._read(api, skus).values()]

    def apply(self, changes: Changes, context: ApplyContext) -> ApplyResult:
        """Writes the changes, batch by batch; after the first, what breaks off is told by ``ApplyResult.stopped``.

        :raises SinkRateLimited: when the platform asks for a longer pause than may be made.
        :raises SinkUnavailable: when the platform does not answer; an unknown part of the first batch was written.
        :raises SinkError: when it refuses the whole first batch.
        """
        ended: list[ItemOutcome] = []
        items = list(changes)
        done = 0
        for batch in pieces(items, self.batch):
            try:
                with self._speaking("write the levels") as api:
                    ended += self._write(api, batch, context)
            except SinkError as error:
                if not done:
                    raise
                left = (ItemOutcome(item.sku, item.location, Outcome.FAILED, NOT_REACHED) for item in items[done:])
                return ApplyResult((*ended, *left), error)
            done += len(batch)
            context.progress(done)
        return ApplyResult(tuple(ended))

    def _write(self, api: RemoteApi, batch: Sequence[PlanItem], context: ApplyContext) -> list[ItemOutcome]:
        found = self._read(api, [item.sku for item in batch])
        ended: list[ItemOutcome] = []
        writes: list[RemoteWrite] = []
        for item in batch:
            level = found.get((item.sku, item.location))
            if exception := self._exception(item, level):
                ended.append(ItemOutcome(item.sku, item.location, *exception))
            elif level:
                writes.append(RemoteWrite(item, level))
        if writes:
            context.renew()
            ended += self.write(api, writes, context)
        return [evolve(item, guidance=item.guidance or self.guidance.get(item.reason, "")) for item in ended]

    def _exception(self, item: PlanItem, level: RemoteLevel | None) -> tuple[Outcome, str] | None:
        if level is None:
            return Outcome.FAILED, "row_gone"
        if level.refuses or item.new != round(item.new, self.traits.places):
            return Outcome.FAILED, level.refuses or "refused"
        if level.quantity == item.new:
            return Outcome.UNCHANGED, "already_there"
        return None if level.quantity == item.old else (Outcome.FAILED, MOVED_ON)

    def _read(self, api: RemoteApi, skus: Sequence[str] | None) -> dict[tuple[str, str], RemoteLevel]:
        wanted = None if skus is None else dict.fromkeys(sku for sku in skus if sku)
        if wanted is not None and not wanted:
            return {}
        found: dict[tuple[str, str], RemoteLevel] = {}
        for level in self.read(api, None if wanted is None else list(wanted)):
            if level.sku and (wanted is None or level.sku in wanted):
                found[level.sku, level.location] = _alone(level, found.get((level.sku, level.location)))
        return found

    @contextmanager
    def _speaking(self, doing: str) -> Iterator[RemoteApi]:
        clock = self.clock()
        dialling = Dialling(allow_private=self.allow_private, resolver=self.resolve, tls=self.tls)
        with in_our_words(doing), HttpClient(self.limits, patience(self.limits, clock), dialling) as client:
            yield RemoteApi(client, clock, self.url.rstrip("/"), self.headers(), self.max_pause, self.pause)


def _alone(level: RemoteLevel, other: RemoteLevel | None) -> RemoteLevel:
    """The level, known to be null where it cannot be written, or where two products have its SKU."""
    if other is not None and other.handle != level.handle:
        return RemoteLevel(level.sku, None, level.location, refuses="sku_not_unique")
    return RemoteLevel(level.sku, None, level.location, level.handle, level.refuses) if level.refuses else level


def pieces(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    """The items, so many at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))


def idempotency_key(context: ApplyContext, content: object) -> str:
    """A UUID that is the same for the same content written in the same run, and another for any other.

    The content is part of it, as platforms refuse a key that comes again with something else.
    """
    text = json.dumps([context.source, context.run_id, content], sort_keys=True)
    return str(uuid5(NAMESPACE_URL, text))
