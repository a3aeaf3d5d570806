"""The secrets of a scheme: several at a time while one replaces another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TypeVar

from attrs import field, frozen

from inventory_sources._standard_webhooks import LEAST_SECRET
from inventory_sources.errors import ConfigurationError, SecretNotFound, SignatureInvalid
from inventory_sources.secrets import Secret

__all__ = ["WebhookSecret", "active", "judge", "secrets_of", "text_key"]

_Key = TypeVar("_Key")


def _aware(instance: object, attribute: object, time: datetime | None) -> None:
    if time is not None and time.utcoffset() is None:
        raise ConfigurationError("a secret's times need a time zone")


@frozen
class WebhookSecret:
    """A secret and when it counts.

    :param not_before: it counts from then on.
    :param not_after: it counts until then, inclusive.
    :param short: takes fewer than 24 bytes, for a sender that fixes a shorter one.
    """

    secret: Secret
    not_before: datetime | None = field(default=None, validator=_aware)
    not_after: datetime | None = field(default=None, validator=_aware)
    short: bool = False

    def __attrs_post_init__(self) -> None:
        if self.not_before and self.not_after and self.not_after < self.not_before:
            raise ConfigurationError("a secret that ends before it begins never counts")

    def counts(self, now: datetime) -> bool:
        """Whether it is one of those to compare with."""
        return not (self.not_before and now < self.not_before) and not (self.not_after and now > self.not_after)


def secrets_of(given: Secret | WebhookSecret | Iterable[Secret | WebhookSecret]) -> tuple[WebhookSecret, ...]:
    """One secret or several, each with its times."""
    found = (given,) if isinstance(given, Secret | WebhookSecret) else tuple(given)
    if not found:
        raise ConfigurationError("a signature needs a secret")
    return tuple(one if isinstance(one, WebhookSecret) else WebhookSecret(one) for one in found)


def text_key(secret: WebhookSecret) -> bytes:
    """The secret's own text as the key.

    :raises ConfigurationError: when it is too short or cannot be written in UTF-8.
    """
    try:
        return long_enough(secret.secret.reveal().encode(), secret)
    except UnicodeEncodeError:
        raise ConfigurationError("a webhook's secret is not text that UTF-8 can write") from None


def long_enough(key: bytes, secret: WebhookSecret) -> bytes:
    """The key.

    :raises ConfigurationError: when it is empty or, without ``short``, so short that it may be guessed.
    """
    if not key or (len(key) < LEAST_SECRET and not secret.short):
        raise ConfigurationError(
            f"a webhook's secret of {len(key)} bytes is too short; {LEAST_SECRET} are needed",
            guidance="Make a longer one, or give WebhookSecret(..., short=True) where the sender fixes it.",
        )
    return key


def judge(secrets: tuple[WebhookSecret, ...], key_of: Callable[[WebhookSecret], object]) -> None:
    """Refuses secrets that cannot be used; those found by reference are judged when they are used.

    :raises ConfigurationError: without a part of the secret.
    """
    for one in secrets:
        if one.secret.stored_as is None:
            key_of(one)


def active(
    secrets: tuple[WebhookSecret, ...], now: datetime, key_of: Callable[[WebhookSecret], _Key]
) -> tuple[_Key, ...]:
    """The keys that count now.

    :raises SignatureInvalid: when there is none at this time.
    :raises SecretNotFound: when none of them can be found and used.
    """
    counting = [one for one in secrets if one.counts(now)]
    if not counting:
        raise SignatureInvalid("none of the secrets counts at this time")
    keys, fault = [], ""
    for one in counting:
        try:
            keys.append(key_of(one))
        except ConfigurationError as error:
            fault = error.message
        except Exception as error:  # noqa: BLE001 - a resolver is the host's code, and its error's text may be secret
            fault = f"a secret could not be looked up ({type(error).__name__})"
    if not keys:
        raise SecretNotFound(f"no secret can be used: {fault}")
    return tuple(keys)
