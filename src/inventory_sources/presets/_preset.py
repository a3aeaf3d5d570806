"""Preset: the stages of a source for one vendor's API, ready to be given a name and a sink."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from inventory_sources.feed import Feed
from inventory_sources.protocols.connector import Connector
from inventory_sources.protocols.decoder import Decoder
from inventory_sources.protocols.mapper import Mapper
from inventory_sources.source import Source

__all__ = ["Preset"]


@frozen(kw_only=True)
class Preset:
    """The stages of a source for one vendor's API.

    Each can be replaced: ``attrs.evolve(preset, mapper=...)``.

    :param documented: the vendor's pages that it follows, each with the date on which it was read.
    :param unverified: what those pages leave open, so that it should be tried against a real account.
    """

    connector: Connector
    decoder: Decoder | None = None
    mapper: Mapper
    feed: Feed
    documented: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()

    def source(self, name: str, **fields: Any) -> Source:
        """A source of these stages.

        :param fields: the others of :class:`~inventory_sources.source.Source`: ``sink`` and, where wanted,
            ``frequency``, ``catalog``, ``guards``, ``retry`` and ``timeout``.
        """
        return Source(
            name=name,
            connector=self.connector,
            decoder=self.decoder,
            mapper=self.mapper,
            feed=self.feed,
            **fields,
        )
