"""What every preset has in common."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, has

from inventory_sources import MemorySink, Secret, presets
from inventory_sources.errors import ConfigurationError
from inventory_sources.feed import FeedMode, FeedScope
from inventory_sources.presets import Preset

from .vendors import KEY, stored

DOCS = Path(__file__).parents[2] / "docs" / "how-to"
URL = "https://vendor.example"
#: By the name of its function: each preset with these secrets.
MADE: dict[str, Callable[[Secret], Preset]] = {
    "amazon_fba": lambda key: presets.amazon_fba("M1", client_id="a", client_secret=key, refresh_token=key),
    "bigcommerce": lambda key: presets.bigcommerce("abc123", key),
    "business_central": lambda key: presets.business_central("t.example", "c-1", client_id="a", client_secret=key),
    "linnworks": lambda key: presets.linnworks("p-1", application_id="a", application_secret=key, token=key),
    "netsuite": lambda key: presets.netsuite(
        "1234567", consumer_key=key, consumer_secret=key, token=key, token_secret=key
    ),
    "odoo": lambda key: presets.odoo(URL, key),
    "odoo_rpc": lambda key: presets.odoo_rpc(URL, key, database="db", user_id=7),
    "prestashop": lambda key: presets.prestashop(URL, key),
    "sap_s4hana": lambda key: presets.sap_s4hana("vendor.example", "reader", key),
    "shipbob": presets.shipbob,
    "shiphero": presets.shiphero,
    "shopify": lambda key: presets.shopify("my-shop", key),
    "shopify_rest": lambda key: presets.shopify_rest("my-shop", key, ["1"]),
    "square": presets.square,
    "stock_document": lambda key: presets.stock_document(URL, token=key),
    "woocommerce": lambda key: presets.woocommerce(URL, "ck_1", key),
    "zoho_inventory": lambda key: presets.zoho_inventory("1", client_id="a", client_secret=key, refresh_token=key),
}
#: The format is our own: there is no vendor whose pages it could follow.
OURS = {"stock_document"}
#: Its secrets sign requests and are not sent.
SIGNED = {"netsuite"}
every = pytest.mark.parametrize("name", MADE)


def test_no_preset_is_forgotten_here():
    functions = {name for name in presets.__all__ if inspect.isfunction(getattr(presets, name))}
    assert functions - {"stock_page", "published_spreadsheet"} == set(MADE)  # one is no source, one has no secret


@every
def test_it_names_its_vendors_pages_and_what_they_leave_open(name: str):
    preset = MADE[name](KEY)
    assert all(re.fullmatch(r"https://\S+ \(.*read \d{4}-\d\d-\d\d\b.*\)", page) for page in preset.documented)
    assert bool(preset.documented) == bool(preset.unverified) == (name not in OURS)


@every
def test_it_says_what_its_feed_is(name: str):
    feed = MADE[name](KEY).feed
    assert (feed.scope, feed.mode) == (FeedScope.SNAPSHOT, FeedMode.ABSOLUTE)
    # One says only how it differs from another.
    said = inspect.getdoc(getattr(presets, name.removesuffix("_rpc"))) or ""
    assert "The feed is a snapshot" in said
    # What a publisher gives in our own format is for him to say.
    assert feed.quantity.value.replace("_", " ") in said or name in OURS


@every
def test_it_stands_in_the_guides(name: str):
    guides = "".join(page.read_text(encoding="utf-8") for page in DOCS.glob("presets-*.md"))
    assert re.search(rf"\b{name}\b", guides)


def test_the_guides_say_of_each_vendor_what_is_not_verified():
    guides = "".join(page.read_text(encoding="utf-8") for page in DOCS.glob("presets-*.md"))
    sections = re.findall(r"^## (.*)\n((?:(?!##? ).*\n)*)", guides, flags=re.MULTILINE)
    assert len(sections) == len(MADE) - 1, "JSON-2 and JSON-RPC of Odoo have one section"
    assert {name for name, text in sections if "Not verified" not in text} == {"The stock document"}


@every
def test_it_makes_a_source_that_can_be_stored(name: str):
    preset = MADE[name](KEY)
    source = preset.source("vendor", sink=MemorySink({}), frequency="15min")
    assert (source.connector, source.mapper, source.feed) == (preset.connector, preset.mapper, preset.feed)
    assert stored(preset) == preset


@every
def test_it_shows_no_secret(name: str):
    preset = MADE[name](Secret("c4nary"))
    assert "c4nary" not in f"{preset!r} {preset} {preset.source('vendor', sink=MemorySink({}))!r}"


def addresses(part: Any) -> list[tuple[Any, str]]:
    """The parts of a connector that have an address which secrets are sent to, and that field's name."""
    return [(part, field) for field in ("url", "token_url") if has(type(part)) and hasattr(part, field)]


@every
def test_it_sends_no_secret_in_the_clear(name: str):
    rest: Any = MADE[name](KEY).connector
    assert rest.auth.sends_secrets == (name not in SIGNED)
    for part, field in addresses(rest) + addresses(rest.auth):
        url = getattr(part, field)
        assert url.startswith("https://")
        with nullcontext() if name in SIGNED else pytest.raises(ConfigurationError, match="in the clear"):
            evolve(part, **{field: url.replace("https:", "http:", 1)})


@pytest.mark.parametrize("name", ["odoo", "odoo_rpc", "prestashop", "stock_document", "woocommerce"])
def test_a_plain_address_is_refused(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(f"{__name__}.URL", "http://vendor.example")
    with pytest.raises(ConfigurationError, match=r"http://"):
        MADE[name](KEY)
