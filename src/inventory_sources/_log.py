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
            _drop_unheard,
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        context_class=dict,
    )


def _drop_unheard(logger: logging.Logger, method: str, event: Any) -> Any:
    """Where no handler listens, the standard library would print warnings to standard error."""
    if logger.hasHandlers():
        return event
    import structlog

    raise structlog.DropEvent
