"""Ready-made sources for known systems, each after its vendor's public API documentation."""

from inventory_sources.presets._preset import Preset

__all__ = ["Preset"]
