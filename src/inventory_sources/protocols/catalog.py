"""Catalog: the platform's products, by which a SKU counts as known.

Without one, the keys of the stock table are the catalog, and a sink that inserts missing rows takes every SKU for a
product. With one, a sink that inserts does so for known products alone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

__all__ = ["Catalog"]


class Catalog(Protocol):
    """The platform's products; see the module for the contract."""

    def known(self, skus: Sequence[str]) -> Collection[str]:
        """Those of ``skus`` (distinct) that are products; called once a sync."""
