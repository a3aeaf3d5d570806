"""The names that the reference gives for Prometheus are those that its exporter serves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import start_http_server
from prometheus_client.parser import text_string_to_metric_families

from inventory_sources.integrations.opentelemetry import instrument
from tests.webhooks.shop import PushedShop

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "telemetry.md"
PREFIX = "inventory_sources_"
OF_THE_FORMAT = {"le"}


def promised() -> dict[str, set[str]]:
    """Labels by the name at Prometheus, as the page has them."""
    rows = re.findall(
        r"^\| `[\w.]+` \| (?:counter|histogram|gauge), `[^`]+` \| `(\w+)` \|(.*)\|$", PAGE.read_text(), re.MULTILINE
    )
    return {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}


@pytest.fixture
def meters() -> Iterator[MeterProvider]:
    reader = PrometheusMetricReader()
    provider = MeterProvider([reader])
    yield provider
    provider.shutdown()


def scraped() -> dict[str, set[str]]:
    """Labels by name, of what is ours."""
    server, thread = start_http_server(0, "127.0.0.1")
    try:
        with urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        if name.startswith(PREFIX):
            labels = {label for sample in family.samples for label in sample.labels if not label.startswith("otel_")}
            found[name] = {label.removeprefix(PREFIX) for label in labels} - OF_THE_FORMAT
    return found


def work(meters: MeterProvider, *, per_source: bool) -> None:
    """One run that goes well and one that does not."""
    shop = PushedShop()
    instrument(shop.engine, meter_provider=meters, per_source=per_source)
    for body in ({"A1": 5}, b"{}"):
        shop.deliver(body)
        shop.passes(seconds=5)
        shop.run()


def test_the_exporter_serves_the_names_and_labels_of_the_reference(meters: MeterProvider) -> None:
    work(meters, per_source=True)
    assert len(promised()) == 10
    assert scraped() == promised()


def test_it_serves_no_names_of_sources_where_that_is_not_wanted(meters: MeterProvider) -> None:
    work(meters, per_source=False)
    assert scraped() == {name: labels - {"source"} for name, labels in promised().items()}
