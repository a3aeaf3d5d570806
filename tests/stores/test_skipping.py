"""What another transaction holds is passed over: a worker looks for what is due and waits for nobody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from inventory_sources.protocols.store import AuditEntry, StoredSource
from inventory_sources.status import SourceState, SyncStatus
from inventory_sources.testing import ManualClock
from tests.servers import engine_of

AT = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture(params=["postgresql", "mysql"])
def server(request, tmp_path):
    with engine_of(request.param, tmp_path) as engine:
        yield engine


def expired(number: int) -> SourceState:
    """A source whose lease is over."""
    return SourceState(
        status=SyncStatus.SYNCING,
        epoch=1,
        run_id=f"run {number}",
        lease_until=AT - timedelta(seconds=10 - number),
    )


def test_an_expired_source_that_still_applies_in_the_stores_transaction_is_not_offered(server, make_store):
    """Its row is held until it commits or rolls back: whoever claimed it would wait for as long."""
    store = make_store(server, clock=ManualClock(AT))
    for number, name in enumerate(["applying", "dead", "waiting"]):
        state = expired(number) if name != "waiting" else SourceState(next_run_at=AT)
        store.add(StoredSource(name, {}, state), AuditEntry(name, "add_source", "test", AT))
    assert store.due(10) == ["applying", "dead", "waiting"]
    with server.begin() as connection:
        sources = store._database.tables.sources
        held = sa.select(sources.c.name).where(sources.c.name == "applying")
        assert connection.execute(held.with_for_update(key_share=True)).scalar_one() == "applying"
        assert store.due(10) == ["dead", "waiting"]
        assert store.due(1) == ["dead"]
    assert store.due(10) == ["applying", "dead", "waiting"]


def test_looking_for_what_is_due_holds_nothing(server, make_store):
    store = make_store(server, clock=ManualClock(AT))
    store.add(StoredSource("dead", {}, expired(0)), AuditEntry("dead", "add_source", "test", AT))
    assert store.due(10) == ["dead"]
    with server.begin() as connection:
        sources = store._database.tables.sources
        free = sa.select(sources.c.name).with_for_update(nowait=True)
        assert connection.execute(free).scalars().all() == ["dead"]
