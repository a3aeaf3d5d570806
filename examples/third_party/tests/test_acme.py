"""The three suites: the contract of connectors, a server that does its worst, and the real API as it was recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from acme_inventory import AcmeConnector

from inventory_sources import Secret
from inventory_sources.rest import Manners
from inventory_sources.testing import (
    ConnectorContract,
    HostileServerSuite,
    HttpRecording,
    ScriptedHttpServer,
    fetch_context,
)
from inventory_sources.testing.servers import Request, Response

PAGES = {
    "": {"items": [{"sku": "A-1", "quantity": 5}, {"sku": "B-2", "quantity": 0}], "next": "B-2"},
    "B-2": {"items": [{"sku": "C-3", "quantity": 8}], "next": None},
}
RECORDS = (
    {"sku": "A-1", "quantity": "5"},
    {"sku": "B-2", "quantity": "0"},
    {"sku": "C-3", "quantity": "8"},
)


def acme(url: str) -> AcmeConnector:
    """A connector that may reach this machine, and does not wait long before it tries again."""
    return AcmeConnector(
        url,
        token=Secret("s3cret"),
        manners=Manners(backoff=0.001),
        allow_private=("127.0.0.0/8",),
        allow_plaintext=True,
    )


def answer(request: Request) -> Response:
    """What the API's documentation says that it answers."""
    url = urlsplit(request.path)
    if url.path != "/v1/stock":
        return Response(status=404)
    page = PAGES[parse_qs(url.query).get("after", [""])[0]]
    return Response(json.dumps(page).encode(), headers={"Content-Type": "application/json"})


class TestContract(ConnectorContract):
    """What every connector keeps to."""

    secrets = ("s3cret",)

    @pytest.fixture(autouse=True)
    def server(self) -> Iterator[None]:
        """The API, on this machine."""
        with ScriptedHttpServer(answer) as server:
            self.url = server.url
            yield

    def make(self) -> AcmeConnector:
        """One that works."""
        return acme(self.url)

    def make_broken(self) -> AcmeConnector:
        """One whose API is not there."""
        return acme(f"{self.url}gone")


class TestHostileServer(HostileServerSuite):
    """Whatever the server does: all records, or an error."""

    secrets = ("s3cret",)
    expected = RECORDS

    def make(self, url: str) -> AcmeConnector:
        """One for the server that does its worst."""
        return acme(url)

    def answer(self, request: Request) -> Response:
        """What it answers when it is good."""
        return answer(request)


def test_the_real_api_as_it_was_recorded(tmp_path: Path) -> None:
    """Recorded by ``with HttpRecording(...).record():`` and a real token, which is not in the file."""
    with HttpRecording(Path(__file__).with_name("acme.json")).replay():
        connector = AcmeConnector("https://api.acme.example/", token=Secret("any"))
        assert tuple(connector.fetch(fetch_context(tmp_path))) == RECORDS  # noqa: S101 - a test
