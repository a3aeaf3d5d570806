"""Whether a source's levels can be at the locations that its sink knows."""

from __future__ import annotations

from inventory_sources.batch import StockBatch
from inventory_sources.errors import SinkSchemaInvalid
from inventory_sources.protocols.sink import SinkTraits
from inventory_sources.source import Source

__all__ = ["refuse_declared_locations", "refuse_locations"]

_SHOWN = 10


def refuse_declared_locations(source: Source) -> None:
    """Refuses a source before anything is fetched, where mapper and sink declare that none of its levels can match.

    :raises SinkSchemaInvalid: when none can be at a location of the sink.
    """
    names = getattr(source.sink, "named_locations", None)
    may_be_at = getattr(source.mapper, "may_be_at", None)
    if names is None or may_be_at is None or any(map(may_be_at, names)):
        return
    if names == {""}:
        raise _not_told_apart(source)
    listed = ", ".join(map(repr, sorted(names)[:_SHOWN]))
    raise SinkSchemaInvalid(
        f"no level of source {source.name!r} can be at a location of its stock, which are {listed}",
        guidance="Map the column of the location, or declare fixed_location, by the names that the sink declares.",
    )


def refuse_locations(source: Source, batch: StockBatch, traits: SinkTraits) -> None:
    """Refuses a batch with locations for a sink without.

    :raises SinkSchemaInvalid: when it is one.
    """
    if not traits.locations and batch.frame["location"].max():  # the empty one comes first
        raise _not_told_apart(source)


def _not_told_apart(source: Source) -> SinkSchemaInvalid:
    return SinkSchemaInvalid(
        f"source {source.name!r} tells locations apart and its stock table does not",
        guidance="Declare the sink's location column, or sum the locations: map no location and sum duplicates.",
    )
