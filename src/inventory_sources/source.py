"""Source: one feed of stock levels, its fields in the order of the stages; SourceSpec: what the store keeps of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

from attrs import Factory, field, frozen

from inventory_sources.errors import ConfigurationError
from inventory_sources.feed import Feed, FeedScope
from inventory_sources.frequency import Frequency
from inventory_sources.guards import default_guards
from inventory_sources.protocols.catalog import Catalog
from inventory_sources.protocols.connector import Connector
from inventory_sources.protocols.decoder import Decoder
from inventory_sources.protocols.guard import Guard
from inventory_sources.protocols.mapper import Mapper
from inventory_sources.protocols.sink import StockSink
from inventory_sources.retry import RetryPolicy
from inventory_sources.status import Rules

__all__ = ["Part", "Source", "SourceSpec"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,199}")
_LONGEST = timedelta(days=1)


def _check_name(instance: object, attribute: object, name: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"source name {name!r} is not usable",
            guidance="Use 1 to 200 ASCII letters, digits and . _ : @ - and begin with a letter or digit.",
        )


def _check_timeout(instance: object, attribute: object, timeout: timedelta) -> None:
    if not timedelta(0) < timeout <= _LONGEST:
        raise ConfigurationError(f"a sync's timeout must be between zero and one day, not {timeout}")


def _frequency(value: Frequency | str) -> Frequency:
    return Frequency.parse(value) if isinstance(value, str) else value


@frozen(kw_only=True, eq=False)
class Source:
    """One feed of stock levels and where they go.

    :param name: unique in the state store: ASCII letters, digits and ``. _ : @ -``.
    :param connector: gets the input.
    :param decoder: reads its bytes; ``None`` for a connector that yields plain records.
    :param mapper: makes stock levels of its rows.
    :param feed: what the feed claims to be: snapshot or partial, and which quantity.
    :param guards: judge each plan; the library's five unless given.
    :param sink: the platform's stock levels.
    :param catalog: the platform's products, where the stock table's own keys do not do.
    :param frequency: a :class:`Frequency`, or text such as ``5min``, ``15min``, ``1h``, ``manual``.
    :param retry: the ladder of a failed sync.
    :param timeout: a fetch that takes longer is given up.
    """

    name: str = field(validator=_check_name)
    connector: Connector
    decoder: Decoder | None = None
    mapper: Mapper
    feed: Feed
    guards: tuple[Guard, ...] = field(factory=default_guards, converter=tuple)
    sink: StockSink
    catalog: Catalog | None = None
    frequency: Frequency = field(factory=Frequency.manual, converter=_frequency)
    retry: RetryPolicy = Factory(RetryPolicy)
    timeout: timedelta = field(default=timedelta(minutes=15), validator=_check_timeout)

    def __attrs_post_init__(self) -> None:
        if getattr(self.connector, "gives_changes", False) is True and self.feed.scope is FeedScope.SNAPSHOT:
            raise ConfigurationError(
                "the connector fetches only what changed, but its feed is declared as a snapshot",
                guidance="Declare Feed.partial(), or let the connector fetch everything each time.",
            )

    @property
    def rules(self) -> Rules:
        """What the state machine needs to know of it."""
        return Rules(self.name, self.frequency, self.retry)


@frozen
class Part:
    """A stage as stored: the registry's name for it and its options, typed when it is built."""

    name: str
    options: Mapping[str, object] = Factory(dict)


@frozen(kw_only=True)
class SourceSpec:
    """A source as stored: registry names, options, references to secrets; any process can build the source from it.

    :param portable: ``False`` for a source made of objects that the registry does not know; then the parts' names
        tell what they were, and only the process that made the source can run it.
    """

    name: str = field(validator=_check_name)
    connector: Part
    decoder: Part | None = None
    mapper: Part
    feed: Feed
    guards: tuple[Part, ...] | None = None
    sink: Part
    catalog: Part | None = None
    frequency: Frequency = field(factory=Frequency.manual, converter=_frequency)
    retry: RetryPolicy = Factory(RetryPolicy)
    timeout: timedelta = field(default=timedelta(minutes=15), validator=_check_timeout)
    portable: bool = True

    @property
    def rules(self) -> Rules:
        """What the state machine needs to know of it."""
        return Rules(self.name, self.frequency, self.retry)
