"""Forks: polars, once used, hangs in a forked child, because its threads stay behind in the parent."""

from __future__ import annotations

import os

from inventory_sources.errors import ConfigurationError

__all__ = ["use_columns"]

# A fact of the process, not of an engine: any engine of a child would hang, whichever engine its parent used.
_users: set[int] = set()


def use_columns() -> None:
    """Notes that this process uses polars from here on.

    :raises ConfigurationError: when its parent did so before the fork.
    """
    _users.add(os.getpid())
    if len(_users) > 1:
        raise ConfigurationError(
            "this process was forked from one that had synced, planned or checked a source already",
            guidance="Fork workers before the first sync, or start them by spawn.",
        )
