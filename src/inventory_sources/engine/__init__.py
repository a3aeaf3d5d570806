"""The engine: the only place that composes the stages of a sync."""

from inventory_sources.engine._check import CheckReport, suggest_mapping
from inventory_sources.engine._engine import SyncEngine

__all__ = ["CheckReport", "SyncEngine", "suggest_mapping"]
