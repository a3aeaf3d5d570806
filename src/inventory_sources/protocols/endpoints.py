"""Endpoints: the addresses that sources are pushed to, each by a token in the URL that nobody can guess.

Of a token only its SHA-256 in hexadecimal digits is kept, so that whoever reads the state cannot push.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from attrs import frozen

from inventory_sources.protocols.audit import AuditEntry

__all__ = ["Endpoint", "Endpoints"]


@frozen
class Endpoint:
    """One address of a source, without its token.

    :param expires_at: when it is taken back; ``None`` while it is in use.
    """

    created_at: datetime
    expires_at: datetime | None = None


class Endpoints(Protocol):
    """Which token leads to which source; removed with the source."""

    def add_endpoint(self, source: str, token_hash: str, audit: AuditEntry, retire_others_in: timedelta) -> None:
        """Adds an address; the source's others expire in ``retire_others_in``, or when they would have before.

        :raises SourceNotFound: when there is no such source.
        :raises StoreError: when the token is in use.
        """

    def endpoint(self, token_hash: str) -> str | None:
        """Name of the source that a token leads to; ``None`` for one that is not known, or has expired."""

    def endpoints(self, source: str) -> Sequence[Endpoint]:
        """Addresses of a source that have not expired, oldest first."""
