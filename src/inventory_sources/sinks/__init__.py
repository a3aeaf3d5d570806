"""Sinks: where the platform keeps its stock levels.

:class:`MemorySink` is here; :class:`~inventory_sources.sinks.sql.SqlStockSink`, over a table of the host's own, is in
:mod:`inventory_sources.sinks.sql`, so that importing this package does not load SQLAlchemy.
"""

from inventory_sources.sinks._memory import MemorySink

__all__ = ["MemorySink"]
