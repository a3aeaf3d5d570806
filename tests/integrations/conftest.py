"""Brokers, one of each kind for all tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from tests.integrations.brokers import broker


@pytest.fixture(scope="session")
def broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Gives the URL of a broker, "redis" or "rabbitmq"; skips the test where there is none."""
    with ExitStack() as started:
        yield cache(lambda kind: started.enter_context(broker(kind, tmp_path_factory.mktemp(kind))))
