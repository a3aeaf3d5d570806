"""Ready-made sources for known systems, each after its vendor's public API documentation."""

from inventory_sources.presets._business_central import business_central
from inventory_sources.presets._netsuite import netsuite
from inventory_sources.presets._odoo import odoo, odoo_rpc
from inventory_sources.presets._preset import Preset
from inventory_sources.presets._sap import sap_s4hana
from inventory_sources.presets._shopify import shopify, shopify_rest
from inventory_sources.presets._zoho import zoho_inventory

__all__ = [
    "Preset",
    "business_central",
    "netsuite",
    "odoo",
    "odoo_rpc",
    "sap_s4hana",
    "shopify",
    "shopify_rest",
    "zoho_inventory",
]
