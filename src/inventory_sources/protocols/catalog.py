"""Catalog: the platform's products, by which a SKU counts as known.

Without one, the keys of the stock table are the catalog. With one, a known product that has no stock row yet is
inserted where the sink inserts.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

__all__ = ["Catalog"]


class Catalog(Protocol):
    """The platform's products; see the module for the contract."""

    def known(self, skus: Sequence[str]) -> Collection[str]:
        """Those of ``skus`` (distinct) that are products; called once a sync."""
