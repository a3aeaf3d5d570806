"""What the connectors' tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from inventory_sources.clock import SystemClock
from inventory_sources.protocols.connector import FetchContext

MakeContext = Callable[..., FetchContext]


@pytest.fixture
def make_context(tmp_path: Path) -> MakeContext:
    """Contexts with a spool folder of their own; keyword arguments replace fields."""
    spool = tmp_path / "spool"
    spool.mkdir()

    def make(**fields: object) -> FetchContext:
        clock = SystemClock()
        defaults = {
            "clock": clock,
            "started_at": clock.now(),
            "deadline": clock.monotonic() + 30,
            "spool": spool,
            "logger": structlog.get_logger(),
        }
        return FetchContext(**{**defaults, **fields})

    return make


@pytest.fixture
def context(make_context: MakeContext) -> FetchContext:
    """A context on the machine's clock, with half a minute to go."""
    return make_context()
