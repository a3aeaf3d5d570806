"""Structured events, without configuring the host's logging."""

from __future__ import annotations

import logging
from typing import Any

__all__ = ["event_logger"]


def event_logger() -> Any:
    """The host's structlog where it is configured; else events go to the standard logger ``inventory_sources``.

    Unconfigured structlog prints to standard output, which a library must not do.
    """
    import structlog

    if structlog.is_configured():
        return structlog.get_logger("inventory_sources")
    return structlog.wrap_logger(
        logging.getLogger("inventory_sources"),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        context_class=dict,
    )
