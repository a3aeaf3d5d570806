"""A source that is pushed to, as the store keeps it: any process can build it and read its inbox."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from inventory_sources import Columns, Feed, JsonDecoder, Registry, Secret, Source, SyncEngine
from inventory_sources.connectors import HttpConnector
from inventory_sources.protocols.webhook import Delivery, ReceiveLimits, SignatureScheme
from inventory_sources.sinks.sql import SqlStockSink
from inventory_sources.stores.sql import SqlStateStore
from inventory_sources.webhooks import AllOf, AllowList, EventFacts, StandardWebhooks, Webhook
from tests.webhooks.shop import KEY, START, signed

REFERENCE = "whsec_" + base64.b64encode(KEY).decode()
FACTS = EventFacts(id="id", time="header:x-at", time_format="unix_ms", sequence="n", sequence_of="item.id")
LIMITS = ReceiveLimits(max_body=5000, rate=2.5, burst=3, group_for=timedelta(seconds=1.5), group_size=7)

WORKER = """
import sys, sqlalchemy as sa
from inventory_sources import Registry, SyncEngine
from inventory_sources.sinks.sql import SqlStockSink
from inventory_sources.stores.sql import SqlStateStore
database = sa.create_engine(sys.argv[1])
registry = Registry()
registry.register("sink", "shop", SqlStockSink(database, "stock", sku="sku", quantity="qty", shared=True))
print([run.result.value for run in SyncEngine(SqlStateStore(database), registry=registry).run_due()])
"""


def scheme(registry: Registry) -> SignatureScheme:
    return StandardWebhooks(secrets=Secret.reference("env:PUSH_KEY", registry.secrets))


@pytest.mark.parametrize("thin", [False, True, "item.id"])
def test_all_of_it_comes_back_from_json(thin: bool | str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSH_KEY", REFERENCE)
    registry = Registry()
    connector = Webhook(
        signature=AllOf(schemes=(AllowList(networks=("198.51.100.0/24",)), scheme(registry))),
        pull=HttpConnector(url="https://wms.example/levels.json"),
        facts=FACTS,
        thin=thin,
        encodings=["gzip"],
        reply='{"ok": true}',
        at_once=True,
        limits=LIMITS,
    )
    registry.register("sink", "shop", sink := object())
    mapper = Columns(sku="sku", quantity="qty")
    source = Source(
        name="wms", connector=connector, decoder=JsonDecoder(), mapper=mapper, feed=Feed.snapshot(), sink=sink
    )
    spec = registry.describe(source)
    document = json.loads(json.dumps(registry.document(spec)))
    assert spec.portable
    assert REFERENCE not in json.dumps(document)
    assert registry.build(registry.spec(document)).connector == connector


def test_another_process_drains_the_inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSH_KEY", REFERENCE)
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    database = sa.create_engine(url)
    with database.begin() as connection:
        connection.execute(sa.text("create table stock (sku text primary key, qty integer not null)"))
        connection.execute(sa.text("insert into stock values ('A1', 9)"))
    registry = Registry()
    sink = SqlStockSink(database, "stock", sku="sku", quantity="qty", shared=True)
    registry.register("sink", "shop", sink)
    engine = SyncEngine(SqlStateStore(database), registry=registry)
    mapper = Columns(sku="sku", quantity="qty")
    decoder = JsonDecoder(records="items")
    connector = Webhook(signature=scheme(registry))
    engine.add_source(
        Source(
            name="wms", connector=connector, decoder=decoder, mapper=mapper, feed=Feed.partial(), sink=sink, guards=()
        )
    )
    body = b'{"items": [{"sku": "A1", "qty": 5}]}'
    assert engine.receive("wms", Delivery(signed(body, START, "one"), body, START)).status == 200
    worker = subprocess.run([sys.executable, "-c", WORKER, url], capture_output=True, text=True, timeout=60, check=True)
    assert worker.stdout.strip() == "['completed']"
    with database.connect() as connection:
        assert connection.execute(sa.text("select qty from stock")).scalar_one() == 5
    assert [entry.status.value for entry in engine.webhooks.deliveries("wms")] == ["applied"]
