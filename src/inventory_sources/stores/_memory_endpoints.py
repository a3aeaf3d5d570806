"""Endpoints in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from attrs import evolve

from inventory_sources.errors import Recovery, StoreError
from inventory_sources.protocols.endpoints import Endpoint
from inventory_sources.protocols.store import AuditEntry
from inventory_sources.stores._kept import KeptSources
from inventory_sources.stores._transaction import check_name, earliest

__all__ = ["MemoryEndpoints"]


class MemoryEndpoints(KeptSources):
    """:class:`~inventory_sources.protocols.endpoints.Endpoints` in memory."""

    def add_endpoint(self, source: str, token_hash: str, audit: AuditEntry, retire_others_in: timedelta) -> None:
        """Adds an address; the source's others expire in ``retire_others_in``, or when they would have before."""
        check_name(token_hash, "the digest of a token")
        with self._lock:
            endpoints, now = self._kept(source).endpoints, self.now()
            if any(token_hash in kept.endpoints for kept in self._sources.values()):
                raise StoreError("another endpoint has this token", recovery=Recovery.STOP)
            for other, endpoint in endpoints.items():
                endpoints[other] = evolve(endpoint, expires_at=earliest(endpoint.expires_at, now + retire_others_in))
            endpoints[token_hash] = Endpoint(now)
            self._audit.append(audit)

    def endpoint(self, token_hash: str) -> str | None:
        """Name of the source that a token leads to; ``None`` for one that is not known, or has expired."""
        with self._lock:
            for name, kept in self._sources.items():
                if token_hash in kept.endpoints and self._is_open(kept.endpoints[token_hash]):
                    return name
            return None

    def endpoints(self, source: str) -> Sequence[Endpoint]:
        """Addresses of a source that have not expired, oldest first."""
        with self._lock:
            endpoints = self._sources[source].endpoints.values() if source in self._sources else ()
            return [endpoint for endpoint in endpoints if self._is_open(endpoint)]

    def _is_open(self, endpoint: Endpoint) -> bool:
        return endpoint.expires_at is None or endpoint.expires_at > self.now()
