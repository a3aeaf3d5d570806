"""The tree: each class has a code of its own, advice, and a way to recover."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from inventory_sources import errors
from inventory_sources.errors import HostKeyChanged, InventorySourcesError, MissingExtra, RateLimited, Recovery
from inventory_sources.run import Failure


def tree(root: type[InventorySourcesError] = InventorySourcesError) -> Iterator[type[InventorySourcesError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child)


CLASSES = list(tree())


def test_every_class_is_exported_and_drawn_in_the_tree() -> None:
    for error in CLASSES:
        assert error.__name__ in errors.__all__
        assert error.__name__ in (errors.__doc__ or "")


def test_codes_are_stable_words_and_no_two_share_one() -> None:
    codes = [error.code for error in CLASSES]
    assert len(set(codes)) == len(codes)
    assert all(code.isidentifier() and code.islower() for code in codes)


@pytest.mark.parametrize("error", CLASSES)
def test_every_class_says_what_to_do(error: type[InventorySourcesError]) -> None:
    assert error.default_guidance.endswith(".")
    assert error.__doc__


@pytest.mark.parametrize("error", [error for error in CLASSES if error is not MissingExtra])
def test_message_and_guidance_are_shown_and_stored(error: type[InventorySourcesError]) -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    raised = error("stock.csv, line 7: what happened", guidance="do that")
    assert str(raised) == "stock.csv, line 7: what happened (do that)"
    alarm = raised.message if error is HostKeyChanged else None
    stored = Failure(error.code, error.phase, "stock.csv, line 7: what happened", "do that", at, alarm)
    assert Failure.of(raised, at) == stored


@pytest.mark.parametrize(
    ("names", "recovery"),
    [
        ("ConnectFailed FetchTimeout ServerFailed SourceMissing Truncated SinkUnavailable StoreUnavailable", "retry"),
        ("RateLimited InputIncomplete SinkRateLimited", "wait"),
        ("AccessRefused AddressDenied HostKeyRefused HostKeyChanged SecretNotFound", "block"),
        ("InputTooLarge EncodingInvalid HeadingInvalid StructureInvalid MappingError SinkSchemaInvalid", "stop"),
    ],
)
def test_the_class_steers_what_comes_next(names: str, recovery: str) -> None:
    for name in names.split():
        raised = getattr(errors, name)("x")
        assert raised.recovery is Recovery(recovery), name
        assert raised.may_pass is (recovery in ("retry", "wait"))


def test_a_raiser_may_know_better() -> None:
    raised = errors.FetchError("x", recovery=Recovery.STOP)
    assert (raised.recovery, raised.may_pass) == (Recovery.STOP, False)


def test_a_missing_extra_names_the_command() -> None:
    assert "pip install 'inventory-sources[excel]'" in str(MissingExtra("reading .xlsx", "excel"))


@pytest.mark.parametrize(
    "raised",
    [
        errors.FetchError("x", guidance="y", recovery=Recovery.STOP),
        RateLimited("x", retry_after=timedelta(minutes=3)),
        MissingExtra("reading .xlsx", "excel"),
    ],
    ids=lambda raised: type(raised).__name__,
)
def test_an_error_survives_the_way_between_processes(raised: InventorySourcesError) -> None:
    arrived = pickle.loads(pickle.dumps(raised))
    assert type(arrived) is type(raised)
    assert (str(arrived), vars(arrived)) == (str(raised), vars(raised))
