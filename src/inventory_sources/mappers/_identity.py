"""Identity: which product an external identifier means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from attrs import field, frozen

from inventory_sources.protocols.mapper import MapContext

__all__ = ["CallableIdentity", "EqualSku", "Identity", "TableIdentity"]


class Identity(Protocol):
    """Which product an external identifier means; several may mean the same one."""

    def translate(self, skus: Sequence[str], context: MapContext) -> Mapping[str, str]:
        """The product's SKU for each of ``skus`` (distinct, normalised) that has one; others become unmapped.

        Called once a batch; ``context.now`` is the same for all batches of one sync.
        """


@frozen
class EqualSku:
    """The external identifier is the product's SKU."""

    def translate(self, skus: Sequence[str], context: MapContext) -> Mapping[str, str]:
        """Each SKU itself."""
        return {sku: sku for sku in skus}


@frozen
class TableIdentity:
    """A fixed table: external identifier to SKU."""

    mapping: dict[str, str]

    def translate(self, skus: Sequence[str], context: MapContext) -> Mapping[str, str]:
        """What the table says."""
        return self.mapping


@frozen
class CallableIdentity:
    """A function of the host: told the identifiers of a batch, gives those it knows with their SKUs.

    A source with one can be synced by the process that made it only.
    """

    function: Callable[[Sequence[str]], Mapping[str, str]] = field()

    def translate(self, skus: Sequence[str], context: MapContext) -> Mapping[str, str]:
        """What the function says."""
        return self.function(skus)
