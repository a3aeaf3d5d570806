"""The mounts over the real engine: what is acknowledged is in its inbox, and applied by a worker."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io

import httpx
import pytest

from inventory_sources import (
    Columns,
    Feed,
    JsonDecoder,
    MemorySink,
    MemoryStateStore,
    Secret,
    Source,
    SyncEngine,
)
from inventory_sources.integrations import asgi, wsgi
from inventory_sources.webhooks import GitHub, Webhook

KEY = b"twenty-four bytes or more"


async def by_asgi(engine, path, body, headers):
    transport = httpx.ASGITransport(app=asgi.WebhookApp(engine))
    async with httpx.AsyncClient(transport=transport, base_url="https://shop.example") as client:
        return (await client.post(path, content=body, headers=headers)).status_code


def by_wsgi(engine, path, body, headers):
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    environ.update({f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()})
    told = []
    wsgi.WebhookApp(engine)(environ, lambda line, headers: told.append(int(line[:3])))
    return told[0]


@pytest.fixture(params=["memory", "sqlite"])
def engine(request, tmp_path):
    made = SyncEngine(MemoryStateStore() if request.param == "memory" else tmp_path / "state.db")
    yield made
    made.close()


@pytest.mark.parametrize("mount", ["asgi", "wsgi"])
def test_a_delivery_comes_through_a_mount_into_the_stock(engine, mount):
    def send(token, body, signed=None):
        signature = hmac.new(KEY, signed or body, hashlib.sha256).hexdigest()
        headers = {"X-Hub-Signature-256": f"sha256={signature}", "X-GitHub-Delivery": "event-1"}
        if mount == "wsgi":
            return by_wsgi(engine, f"/{token}", body, headers)
        return asyncio.run(by_asgi(engine, f"/{token}", body, headers))

    sink = MemorySink({"A-1": 5})
    connector = Webhook(signature=GitHub(secrets=Secret(KEY.decode())))
    engine.add_source(
        Source(
            name="erp",
            connector=connector,
            decoder=JsonDecoder(),
            mapper=Columns(),
            feed=Feed.partial(),
            sink=sink,
        )
    )
    token = engine.webhooks.issue_endpoint("erp")
    body = b'[{"sku": "A-1", "quantity": "7"}]'
    assert send(token, body, b"another") == 401
    assert send(token[:-1], body) == 404
    assert list(engine.webhooks.deliveries("erp")) == []
    assert send(token, body) == 200
    assert send(token, body) == 200
    assert [entry.body for entry in engine.webhooks.deliveries("erp")] == [body]
    assert [run.products_updated for run in engine.run_due()] == [1]
    engine.delete_source("erp")
    assert send(token, body) == 404
