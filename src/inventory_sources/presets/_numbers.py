"""How JSON writes numbers."""

from __future__ import annotations

from inventory_sources.quantities import QuantityFormat

__all__ = ["JSON_NUMBERS"]

#: A point before the decimals and nothing between thousands, so that ``1.250`` is read.
JSON_NUMBERS = QuantityFormat(grouping="")
