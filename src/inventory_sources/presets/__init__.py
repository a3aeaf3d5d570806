"""Ready-made sources for known systems, each after its vendor's public API documentation."""

from inventory_sources.presets._business_central import business_central
from inventory_sources.presets._odoo import odoo, odoo_rpc
from inventory_sources.presets._preset import Preset

__all__ = ["Preset", "business_central", "odoo", "odoo_rpc"]
