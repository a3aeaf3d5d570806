"""Connectors of one's own: a file with the date in its name, a signed API, and an object that yields records.

Each of the library's connectors has a few methods that are made to be overridden; everything else (limits of time and
size, judged addresses, errors without secrets) stays as it is. The API here is played by a server on this machine.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from attrs import evolve, field, frozen

from inventory_sources import (
    Columns,
    CsvDecoder,
    Feed,
    FileConnector,
    HttpConnector,
    MemorySink,
    Secret,
    Source,
    SyncEngine,
)
from inventory_sources.connectors import HttpRequest, HttpResponse
from inventory_sources.errors import ServerFailed
from inventory_sources.payload import Proof
from inventory_sources.protocols.connector import Connector, FetchContext, Fetched
from inventory_sources.protocols.decoder import Decoder
from inventory_sources.stores.memory import MemoryStateStore
from inventory_sources.testing import ScriptedHttpServer
from inventory_sources.testing.servers import Request, Response


class DailyFile(FileConnector):
    """A file of the day: ``{day}`` in the path stands for the date (UTC) on which the sync begins."""

    def locate(self, context: FetchContext) -> str:
        """The path for this sync."""
        return self.path.replace("{day}", context.started_at.date().isoformat())


@frozen(kw_only=True)
class SignedApi(HttpConnector):
    """An API that wants each request signed, and says in the body whether it worked.

    It answers ``{"status": "ok", "total": 2, "items": [{...}, {...}]}``.

    :param key: signs the URL (HMAC-SHA256, in hex) in the header ``X-Signature``.
    """

    key: Secret = field()

    def request(self, context: FetchContext) -> HttpRequest:
        """The usual request with a signature."""
        plain = super().request(context)
        signature = hmac.new(self.key.reveal().encode(), plain.url.encode(), hashlib.sha256).hexdigest()
        return evolve(plain, headers={**plain.headers, "X-Signature": signature})

    def payloads(self, response: HttpResponse, context: FetchContext) -> Iterable[Fetched]:
        """The items as plain records, so that the source needs no decoder.

        :raises ServerFailed: when the API says that it did not work.
        """
        with response.payload.open() as stream:
            answer = json.load(stream)
        if answer["status"] != "ok":
            raise ServerFailed(f"{response.payload.origin} says that its status is not ok")
        if answer["total"] == len(answer["items"]):
            context.prove(Proof.COUNT)
        return [dict(item) for item in answer["items"]]


class Shelves:
    """Not a subclass of anything: whatever has a ``fetch`` that yields records is a connector."""

    def fetch(self, context: FetchContext) -> Iterator[Fetched]:
        """All levels, a page at a time, as a database or a client of the ERP would give them."""
        for page in ([("A-1", 5), ("B-2", 3)], [("C-3", 8)]):
            context.checkpoint()
            for sku, quantity in page:
                yield {"sku": sku, "quantity": quantity}
        context.prove(Proof.LAST_PAGE)


def answer(request: Request) -> Response:
    """What the API answers to a signed request."""
    if "x-signature" not in request.headers:
        return Response(b"not signed", status=401)
    items = [{"sku": "A-1", "quantity": 4}, {"sku": "B-2", "quantity": 0}]
    return Response(json.dumps({"status": "ok", "total": 2, "items": items}).encode())


def sync(name: str, connector: Connector, decoder: Decoder | None, shop: MemorySink) -> None:
    """Syncs once and prints what came of it."""
    engine = SyncEngine(MemoryStateStore())
    engine.add_source(
        Source(
            name=name,
            connector=connector,
            decoder=decoder,
            mapper=Columns(),
            feed=Feed.snapshot(),
            guards=(),
            sink=shop,
        )
    )
    run = engine.sync(name)
    print(f"{name}: {run.result.value}, {run.products_updated} products updated, complete by: {run.evidence}")
    engine.close()


def main() -> None:
    """All three, into the same shop."""
    shop = MemorySink({"A-1": 1, "B-2": 1, "C-3": 1})
    with tempfile.TemporaryDirectory() as folder:
        today = MemoryStateStore().now().date()
        Path(folder, f"stock-{today}.csv").write_text("sku,quantity\nA-1,7\nB-2,2\nC-3,1\n", "utf-8")
        sync("daily-file", DailyFile(Path(folder, "stock-{day}.csv")), CsvDecoder(), shop)
    with ScriptedHttpServer(answer) as server:
        api = SignedApi(server.url, key=Secret("k3y"), allow_private=("127.0.0.0/8",), allow_plaintext=True)
        sync("signed-api", api, None, shop)
    sync("shelves", Shelves(), None, shop)


if __name__ == "__main__":
    main()
