"""Presets against a vendor's server that does its worst: the same records as from a good one, or an error."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from attrs import evolve

from inventory_sources.rest import Manners
from inventory_sources.testing import HostileServerSuite

from . import test_bigcommerce, test_prestashop, test_shopify
from .vendors import TOKEN, local

VENDORS = {
    "bigcommerce": (test_bigcommerce.PRESET, test_bigcommerce.store),
    "prestashop": (test_prestashop.PRESET, test_prestashop.shop),
    "shopify": (test_shopify.PRESET, test_shopify.graphql),
}
TESTS = [name for name in dir(HostileServerSuite) if name.startswith("test_")]
#: An answer to one of PrestaShop's lists in place of another's, and an empty page in the middle of Shopify's, are not
#: told from true ones.
CASES = [
    (vendor, test)
    for vendor in VENDORS
    for test in TESTS
    if test != "test_pages_that_lie" or vendor not in {"prestashop", "shopify"}
]


@pytest.mark.parametrize(("vendor", "test"), CASES)
def test_a_preset(vendor: str, test: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDOR_KEY", TOKEN)
    preset, script = VENDORS[vendor]

    class Suite(HostileServerSuite):
        secrets = (TOKEN,)
        deadline = 0.2

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
