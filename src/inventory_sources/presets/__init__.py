"""Ready-made sources for known systems, each after its vendor's public API documentation.

They were tried against servers that answer as that says, not against accounts of merchants: ``preset.documented``
names the pages and when they were read, ``preset.unverified`` what they leave open.
"""

from inventory_sources.presets._amazon_fba import amazon_fba
from inventory_sources.presets._bigcommerce import bigcommerce
from inventory_sources.presets._business_central import business_central
from inventory_sources.presets._linnworks import linnworks
from inventory_sources.presets._netsuite import netsuite
from inventory_sources.presets._odoo import odoo, odoo_rpc
from inventory_sources.presets._preset import Preset
from inventory_sources.presets._prestashop import prestashop
from inventory_sources.presets._sap import sap_s4hana
from inventory_sources.presets._shipbob import shipbob
from inventory_sources.presets._shiphero import shiphero
from inventory_sources.presets._shopify import shopify, shopify_rest
from inventory_sources.presets._spreadsheet import published_spreadsheet
from inventory_sources.presets._square import square
from inventory_sources.presets._stock_document import stock_document, stock_page
from inventory_sources.presets._woocommerce import woocommerce
from inventory_sources.presets._zoho import zoho_inventory

__all__ = [
    "Preset",
    "amazon_fba",
    "bigcommerce",
    "business_central",
    "linnworks",
    "netsuite",
    "odoo",
    "odoo_rpc",
    "prestashop",
    "published_spreadsheet",
    "sap_s4hana",
    "shipbob",
    "shiphero",
    "shopify",
    "shopify_rest",
    "square",
    "stock_document",
    "stock_page",
    "woocommerce",
    "zoho_inventory",
]
