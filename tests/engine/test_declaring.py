"""Declaring sources: as specifications at each start, and from documents that people write."""

from __future__ import annotations

from typing import Any

import pytest

from inventory_sources import SyncEngine
from inventory_sources.errors import ConfigurationError
from inventory_sources.registry import Registry
from inventory_sources.run import RunResult
from inventory_sources.source import SourceSpec

from .conftest import Shop


@pytest.fixture
def registry(shop: Shop) -> Registry:
    """Knows the shop's table."""
    made = Registry()
    made.register("sink", "shop", shop.sink)
    return made


@pytest.fixture
def document(shop: Shop) -> dict[str, Any]:
    """A source as a person writes it."""
    return {
        "name": "erp",
        "connector": {"name": "file", "options": {"path": str(shop.feed("sku,quantity\nA,5\n")), "as_of": "fetch"}},
        "decoder": {"name": "csv"},
        "mapper": {"name": "columns"},
        "feed": {"scope": "partial", "quantity": "available"},
        "sink": {"name": "shop"},
        "guards": [],
        "frequency": "5min",
    }


def test_a_specification_declared_at_each_start_is_left_as_it_is(
    shop: Shop, registry: Registry, document: dict[str, Any]
) -> None:
    shop.stock(A=1)
    spec: SourceSpec = registry.spec(document)
    first: SyncEngine = shop.new_engine(registry=registry)
    first.add_source(spec, exist_ok=True)
    assert first.sync("erp").result is RunResult.COMPLETED
    before = first.status("erp")
    again = shop.new_engine(registry=registry)
    again.add_source(spec, exist_ok=True)
    assert again.status("erp") == before
    again.add_source(registry.spec({**document, "frequency": "15min"}), exist_ok=True)
    assert again.status("erp").config_version == before.config_version + 1


@pytest.mark.parametrize(
    ("stage", "options", "path"),
    [
        ("decoder", {"headings": "sku"}, "headings"),
        ("decoder", {"headings": {"sku": 1}}, "headings"),
        ("mapper", {"steps": "upper"}, "steps"),
    ],
)
def test_a_text_is_no_list_of_its_letters(
    registry: Registry, document: dict[str, Any], stage: str, options: dict[str, Any], path: str
) -> None:
    document[stage]["options"] = options
    with pytest.raises(ConfigurationError, match=f"at {path}"):
        registry.build(registry.spec(document))


@pytest.mark.parametrize("given", ["mass_zero", {"name": "mass_zero"}])
def test_one_guard_is_no_list_of_guards(registry: Registry, document: dict[str, Any], given: object) -> None:
    document["guards"] = given
    with pytest.raises(ConfigurationError) as caught:
        registry.spec(document)
    assert caught.value.message.endswith("at guards")


@pytest.mark.parametrize("given", ["erp", [], None, 3])
def test_what_is_no_document_is_refused_in_words(registry: Registry, given: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        registry.spec(given)
    assert "None" not in caught.value.message
