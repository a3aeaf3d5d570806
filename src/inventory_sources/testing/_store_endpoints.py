"""The state store's contract: addresses that sources are pushed to."""

from __future__ import annotations

from inventory_sources.errors import ConfigurationError, SourceNotFound, StoreError
from inventory_sources.protocols.endpoints import Endpoint
from inventory_sources.testing._store_suite import SECOND, StoreSuite, audit, raised

__all__ = ["EndpointsSuite"]


class EndpointsSuite(StoreSuite):
    """Tokens lead to sources, until they are replaced."""

    def test_a_token_leads_to_its_source(self) -> None:
        """Exactly this one."""
        store, clock = self.open("erp", "wms")
        now = clock.now()
        store.add_endpoint("erp", "ab" * 32, audit("erp", now, "add_endpoint"), SECOND)
        store.add_endpoint("wms", "cd" * 32, audit("wms", now, "add_endpoint"), SECOND)
        clock.advance(1000 * SECOND)
        asked = ("ab" * 32, "cd" * 32, "AB" * 32, "ab" * 32 + " ", "")
        assert [store.endpoint(token) for token in asked] == ["erp", "wms", None, None, None]
        assert list(store.endpoints("erp")) == [Endpoint(now)]
        assert [entry.action for entry in store.audit("erp")] == ["add_endpoint", "add_source"]

    def test_older_addresses_expire_as_told(self) -> None:
        """Or when they would have before; the other source's stay."""
        store, clock = self.open("erp", "wms")
        start, entry = clock.now(), audit("erp", clock.now(), "add_endpoint")
        store.add_endpoint("wms", "w", audit("wms", start), SECOND)
        store.add_endpoint("erp", "a", entry, 10 * SECOND)
        store.add_endpoint("erp", "b", entry, 10 * SECOND)
        clock.advance(SECOND)
        store.add_endpoint("erp", "c", entry, 20 * SECOND)
        assert list(store.endpoints("erp")) == [
            Endpoint(start, start + 10 * SECOND),
            Endpoint(start, start + 21 * SECOND),
            Endpoint(start + SECOND),
        ]
        clock.advance(8 * SECOND)
        assert [store.endpoint(token) for token in "abcw"] == ["erp", "erp", "erp", "wms"]
        clock.advance(SECOND)
        assert [store.endpoint(token) for token in "abcw"] == [None, "erp", "erp", "wms"]
        assert list(store.endpoints("erp")) == [Endpoint(start, start + 21 * SECOND), Endpoint(start + SECOND)]

    def test_an_address_can_be_taken_back_at_once(self) -> None:
        """With nothing left of its time."""
        store, clock = self.open("erp")
        for token in ("a", "b"):
            store.add_endpoint("erp", token, audit("erp", clock.now()), 0 * SECOND)
        assert [store.endpoint(token) for token in ("a", "b")] == [None, "erp"]

    def test_an_address_that_cannot_be_kept_is_refused(self) -> None:
        """No source, a token in use, no token at all; and nothing else changes."""
        store, clock = self.open("erp", "wms")
        entry = audit("erp", clock.now(), "add_endpoint")
        store.add_endpoint("erp", "a", entry, SECOND)
        raised(SourceNotFound, lambda: store.add_endpoint("gone", "b", entry, SECOND))
        raised(StoreError, lambda: store.add_endpoint("erp", "a", entry, SECOND))
        raised(StoreError, lambda: store.add_endpoint("wms", "a", entry, SECOND))
        raised(ConfigurationError, lambda: store.add_endpoint("erp", "", entry, SECOND))
        assert list(store.endpoints("erp")) == [Endpoint(clock.now())]
        assert [*store.endpoints("wms"), *store.endpoints("gone")] == []
        assert store.endpoint("b") is None
        assert len(store.audit("erp")) == 2
