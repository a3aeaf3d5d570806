from __future__ import annotations

from datetime import timedelta

import pytest

from inventory_sources.errors import ConfigurationError
from inventory_sources.retry import RetryPolicy

MINUTE = timedelta(minutes=1)


def test_the_ladder_is_5_minutes_15_minutes_and_1_hour() -> None:
    policy = RetryPolicy()
    assert [policy.delay(failures) for failures in range(1, 4)] == [5 * MINUTE, 15 * MINUTE, 60 * MINUTE]
    assert policy.exhausted == 4


@pytest.mark.parametrize("failures", [-1, 0, 4, 5])
def test_there_is_no_delay_before_the_first_failure_nor_after_the_last_retry(failures: int) -> None:
    assert RetryPolicy().delay(failures) is None


def test_no_delays_means_no_retries() -> None:
    policy = RetryPolicy(delays=[])
    assert policy.delay(1) is None
    assert policy.exhausted == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"delays": [MINUTE, timedelta(0)]},
        {"delays": [-MINUTE]},
        {"wait": timedelta(0)},
        {"patience": -MINUTE},
    ],
)
def test_a_ladder_that_would_spin_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        RetryPolicy(**fields)
