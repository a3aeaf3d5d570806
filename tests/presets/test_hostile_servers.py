"""Presets against a vendor's server that does its worst: the same records as from a good one, or an error."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from attrs import evolve

from inventory_sources.presets import Preset
from inventory_sources.rest import Manners
from inventory_sources.testing import HostileServerSuite

from . import (
    test_amazon_fba,
    test_bigcommerce,
    test_business_central,
    test_linnworks,
    test_netsuite,
    test_odoo,
    test_prestashop,
    test_sap,
    test_shipbob,
    test_shiphero,
    test_shopify,
    test_square,
    test_stock_document,
    test_woocommerce,
    test_zoho,
)
from .test_all import MADE
from .vendors import TOKEN, Script, local

#: Each with the secret that its server takes.
VENDORS: dict[str, tuple[Preset, Script, str]] = {
    "amazon_fba": (test_amazon_fba.PRESET, test_amazon_fba.vendor, "s3cret"),
    "bigcommerce": (test_bigcommerce.PRESET, test_bigcommerce.store, TOKEN),
    "business_central": (test_business_central.PRESET, test_business_central.vendor, "s3cret"),
    "linnworks": (test_linnworks.near(test_linnworks.PRESET), test_linnworks.vendor, "s3cret"),
    "netsuite": (test_netsuite.PRESET, test_netsuite.vendor, "k3y"),
    "odoo": (test_odoo.NEW, test_odoo.json_2, "k3y"),
    "odoo_rpc": (test_odoo.OLD, test_odoo.json_rpc, "k3y"),
    "prestashop": (test_prestashop.PRESET, test_prestashop.shop, TOKEN),
    "sap_s4hana": (test_sap.PRESET, test_sap.vendor, "p4ss"),
    "shipbob": (test_shipbob.PRESET, test_shipbob.vendor, TOKEN),
    "shiphero": (test_shiphero.PRESET, test_shiphero.vendor, "r3fresh"),
    "shopify": (test_shopify.PRESET, test_shopify.graphql, TOKEN),
    "shopify_rest": (test_shopify.REST, test_shopify.rest, TOKEN),
    "square": (test_square.PRESET, test_square.account, TOKEN),
    "stock_document": (test_stock_document.PRESET, test_stock_document.publisher, "k3y"),
    "woocommerce": (test_woocommerce.PRESET, test_woocommerce.shop, TOKEN),
    "zoho_inventory": (test_zoho.PRESET, test_zoho.vendor, "s3cret"),
}
TESTS = [name for name in dir(HostileServerSuite) if name.startswith("test_")]


def test_every_preset_is_here():
    assert VENDORS.keys() == MADE.keys()


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize("vendor", VENDORS)
def test_a_preset(vendor: str, test: str, monkeypatch: pytest.MonkeyPatch) -> None:
    preset, script, key = VENDORS[vendor]
    monkeypatch.setenv("VENDOR_KEY", key)

    class Suite(HostileServerSuite):
        secrets = tuple({key, TOKEN})
        deadline = 0.05

        def make(self, url: str) -> object:
            connector = local(preset, SimpleNamespace(url=url)).connector
            return evolve(connector, manners=Manners(tries=2, backoff=0.001))

        def answer(self, request):
            return script(request)

    suite = Suite()
    # What a good server leads to is told by the test of each preset.
    good, _ = suite._run(script, suite.patience)
    suite.expected = good.found
    getattr(suite, test)()
