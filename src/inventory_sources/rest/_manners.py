"""Manners: how fast an API may be asked, and what is asked again within a fetch. Declarations, without state."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import Attribute, field, frozen

from inventory_sources import _json
from inventory_sources._http import check_header_names, read_date
from inventory_sources.errors import ConfigurationError, StructureInvalid

__all__ = ["Budget", "CostThrottle", "Manners"]

_SECONDS = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})?")
_COUNT = re.compile(r"[0-9]{1,15}")
#: Numbers from here on are moments, in seconds or milliseconds since 1970: no server has one wait for 31 years.
_EPOCH, _EPOCH_MILLIS = 1e9, 1e12
#: Seconds that a server can have us wait, whatever it says; the same for ``Retry-After``.
_LONGEST_WAIT = 86_400.0


def _positive(instance: object, attribute: Attribute[Any], value: float | None) -> None:
    if value is not None and not value > 0:
        raise ConfigurationError(f"{attribute.name} must be more than 0")


def _header(instance: object, attribute: object, name: Any) -> None:
    check_header_names([] if name is None else [name])


@frozen(kw_only=True)
class Budget:
    """How many requests a server says are left, in the headers of each answer.

    :param remaining: the header that tells: a number such as ``17`` that are left, or ``39/40`` that are used.
    :param reset: the header that tells when there will be more: in seconds, as a moment in seconds or milliseconds
        since 1970, or as a date of HTTP or ISO 8601.
    :param per_second: how many come back each second, where no header tells.
    :param at_least: with fewer left than this, the next request waits.
    """

    remaining: str = field(validator=_header)
    reset: str | None = field(default=None, validator=_header)
    per_second: float | None = field(default=None, validator=_positive)
    at_least: int = field(default=1, validator=_positive)

    def __attrs_post_init__(self) -> None:
        if (self.reset is None) == (self.per_second is None):
            raise ConfigurationError("a budget needs either reset or per_second, to know how long to wait")

    def pause(self, headers: Mapping[str, str], now: datetime) -> float:
        """Seconds to wait before the next request, up to a day; 0 where the headers ask for none, or cannot be read.

        :param headers: of an answer, by name in lower case.
        """
        left = self._left(headers.get(self.remaining.lower(), ""))
        if left is None or left >= self.at_least:
            return 0.0
        if self.per_second is not None:
            return min((self.at_least - left) / self.per_second, _LONGEST_WAIT)
        return min(_until(headers.get(str(self.reset).lower(), ""), now), _LONGEST_WAIT)

    def _left(self, text: str) -> int | None:
        used, slash, limit = (part.strip() for part in text.partition("/"))
        if not slash:
            return int(used) if _COUNT.fullmatch(used) else None
        return int(limit) - int(used) if _COUNT.fullmatch(used) and _COUNT.fullmatch(limit) else None


def _until(text: str, now: datetime) -> float:
    text = text.strip()
    if _SECONDS.fullmatch(text):
        wait = float(text)
        if wait >= _EPOCH:
            wait = (wait / 1000 if wait >= _EPOCH_MILLIS else wait) - now.timestamp()
        return max(wait, 0.0)
    moment = read_date(text) or _iso(text)
    return max((moment - now).total_seconds(), 0.0) if moment else 0.0


def _iso(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@frozen(kw_only=True)
class CostThrottle:
    """A budget in points that each answer tells in its JSON body, as Shopify's GraphQL Admin API does.

    Source: https://shopify.dev/docs/api/usage/limits#graphql-admin-api-rate-limits. An answer with status 200 whose
    ``errors`` hold the ``code`` is none: it is asked again once there are enough points. After any other, the next
    request waits until there are as many points as the last one was to cost.

    :param at: where the costs are in the document.
    :param code: the ``errors[].extensions.code`` of a request that was not carried out.
    """

    at: str = "extensions.cost"
    code: str = "THROTTLED"

    def judge(self, document: object) -> tuple[bool, float]:
        """Whether a document says that its request was not carried out, and the seconds to wait before the next.

        They are a day at most.

        :param document: numbers as their text.
        """
        throttled = any(self.code == _at(error, "extensions.code") for error in _list(_at(document, "errors")))
        cost = _at(document, self.at)
        wanted, left, rate = (
            _number(_at(cost, path))
            for path in ("requestedQueryCost", "throttleStatus.currentlyAvailable", "throttleStatus.restoreRate")
        )
        if wanted is None or left is None or not rate:
            return throttled, 1.0 if throttled else 0.0
        return throttled, min(max(wanted - left, 0.0) / rate, _LONGEST_WAIT)


def _at(document: object, path: str) -> object:
    try:
        return _json.follow(document, path)
    except StructureInvalid:
        return None


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, str) and _SECONDS.fullmatch(value) else None


@frozen(kw_only=True)
class Manners:
    """How an API is asked.

    :param requests_per_second: at most so many, over all threads of a fetch; ``None`` for as many as it answers.
    :param burst: so many may go at once after a while of silence.
    :param tries: of each request in all. A request is sent again only where that changes nothing (GET and the like,
        or ``HttpRequest(repeatable=True)``), and only when the connection failed or the status is 408, 429, 500, 502,
        503 or 504.
    :param backoff: seconds: the longest pause before the second try; it doubles with each further one. The pause is
        drawn at random between 0 and that, so that many clients do not come back all at once.
    :param max_pause: seconds: the longest pause that is made within a fetch. A server that asks for more is
        :class:`~inventory_sources.errors.RateLimited`: the sync ends and comes back then.
    :param retry_after: the header that says when to come back after a refusal, where that is not ``Retry-After``; it
        has the same form.
    :param budget: what the headers say is left.
    :param cost: what the body says is left.
    """

    requests_per_second: float | None = field(default=None, validator=_positive)
    burst: int = field(default=1, validator=_positive)
    tries: int = field(default=3, validator=_positive)
    backoff: float = field(default=1.0, validator=_positive)
    max_pause: float = field(default=30.0, validator=_positive)
    retry_after: str | None = field(default=None, validator=_header)
    budget: Budget | None = None
    cost: CostThrottle | None = None

    def told(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """The headers, with what the server says of when to come back as ``retry-after``.

        :param headers: of an answer, by name in lower case.
        """
        wait = headers.get(self.retry_after.lower()) if self.retry_after else None
        return headers if wait is None else {**headers, "retry-after": wait}
