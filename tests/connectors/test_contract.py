"""Both connectors pass the contract suite, and their options survive storage as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cattrs.preconf.json import make_converter

from inventory_sources.connectors import FileConnector, FileTime, HttpConnector
from inventory_sources.secrets import Secret
from inventory_sources.testing.connectors import ConnectorContract
from inventory_sources.testing.servers import Response, ScriptedHttpServer

STOCK = b"sku,quantity\nA,5\n"


class TestFile(ConnectorContract):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.file = tmp_path / "stock.csv"
        self.file.write_bytes(STOCK)

    def make(self) -> FileConnector:
        return FileConnector(self.file)

    def make_broken(self) -> FileConnector:
        return FileConnector(self.file.with_name("gone.csv"))


class TestHttp(ConnectorContract):
    secrets = ("s3cret", "k3y")

    @pytest.fixture(autouse=True)
    def server(self) -> Iterator[None]:
        def answer(request: object) -> Response:
            return Response(STOCK) if request.path.startswith("/stock") else Response(status=404)

        with ScriptedHttpServer(answer) as server:
            self.url = server.url
            yield

    def source(self, path: str) -> HttpConnector:
        return HttpConnector(
            f"{self.url}{path}?s=k3y", token=Secret("s3cret"), allow_plaintext=True, allow_private=("127.0.0.0/8",)
        )

    def make(self) -> HttpConnector:
        return self.source("stock")

    def make_broken(self) -> HttpConnector:
        return self.source("gone")


@pytest.mark.parametrize(
    "connector",
    [
        FileConnector("stock.csv"),
        FileConnector(
            "bucket/stock.csv",
            filesystem="s3",
            storage_options={"anon": False, "region": "eu", "retries": 3, "profile": None},
            secrets={"key": Secret.reference("env:S3_KEY")},
            max_bytes=10,
            as_of=FileTime.FETCH,
        ),
        HttpConnector("https://erp.example/stock"),
        HttpConnector(
            "https://erp.example/stock?shop=7",
            token=Secret.reference("env:TOKEN"),
            headers={"Accept": "text/csv"},
            secret_headers={"X-Api-Key": Secret.reference("env:KEY")},
            secret_query={"sig": Secret.reference("env:SIG")},
            timeout=1.5,
            deadline=60,
            max_bytes=1,
            max_decoded_bytes=2,
            max_ratio=3.5,
            allow_private=("10.1.0.0/16",),
            as_of="last-modified",
        ),
    ],
)
def test_options_survive_storage_as_json(connector: FileConnector | HttpConnector) -> None:
    converter = make_converter()
    converter.register_unstructure_hook(Secret, lambda secret: secret.stored_as)
    converter.register_structure_hook(Secret, lambda reference, _: Secret.reference(reference))
    stored = converter.dumps(connector)
    assert converter.loads(stored, type(connector)) == connector
