"""What each HTTP status means for a sync."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from inventory_sources._url import WebAddress
from inventory_sources.errors import (
    AccessRefused,
    ConfigurationError,
    FetchError,
    FetchTimeout,
    RateLimited,
    Recovery,
    ServerFailed,
    SourceMissing,
)

__all__ = ["read_date", "redirected", "refusal", "retry_after"]

_WHOLE_ANSWERS = frozenset({200, 203, 204})
_LONGEST_WAIT = timedelta(days=1)


def refusal(status: int, headers: Mapping[str, str], origin: str, now: datetime) -> FetchError | None:
    """The error for a status (RFC 9110, section 15; RFC 6585), or ``None`` when the body is the answer."""
    if status in _WHOLE_ANSWERS:
        return None
    refused = _refused(status, headers, origin, now)
    refused.status = status
    return refused


def _refused(status: int, headers: Mapping[str, str], origin: str, now: datetime) -> FetchError:
    text = f"{origin} answered with status {status}"
    if status in (401, 403, 407):
        return AccessRefused(text)
    if status in (404, 410):
        return SourceMissing(text)
    if status == 408:
        return FetchTimeout(text)
    wait = retry_after(headers.get("retry-after", ""), now)
    if status == 429 or (status == 503 and wait is not None):
        return RateLimited(text, retry_after=wait)
    if status >= 500:
        return ServerFailed(text)
    return _unusable(status, headers, origin)


def redirected(status: int, headers: Mapping[str, str], origin: str) -> FetchError:
    """The error for a redirect that is not followed."""
    target = _redirect_target(headers.get("location", ""))
    return FetchError(
        f"{origin} answered with status {status}: it redirects to {target}",
        recovery=Recovery.STOP,
        guidance="This redirect is not followed; configure the final URL.",
    )


def _unusable(status: int, headers: Mapping[str, str], origin: str) -> FetchError:
    text = f"{origin} answered with status {status}"
    if status == 202:
        return FetchError(f"{text}: its answer is not ready yet")
    if status == 206:
        return FetchError(f"{text}: a part that was not asked for", recovery=Recovery.STOP)
    if status == 304:
        return FetchError(f"{text}: not changed, which nobody asked", recovery=Recovery.STOP)
    if 300 <= status < 400:
        return redirected(status, headers, origin)
    return FetchError(text, recovery=Recovery.STOP, guidance="Check the URL and what the endpoint expects.")


def _redirect_target(location: str) -> str:
    if location.startswith("/") and not location.startswith("//"):
        return "another path on the same host"
    try:
        found = WebAddress.parse(location.partition("#")[0])
    except ConfigurationError:
        return "an address that cannot be shown"
    return f"{found.scheme}://{found.authority}"


def retry_after(text: str, now: datetime) -> timedelta | None:
    """How long ``Retry-After`` (seconds or an HTTP date; RFC 9110, section 10.2.3) says to wait, from 0 to 1 day.

    ``None`` when it says nothing that can be read.
    """
    text = text.strip()
    if re.fullmatch(r"-?[0-9]+", text):
        # Longer numbers are past the longest wait anyway.
        wait = timedelta(seconds=int(text[:7]))
    else:
        moment = read_date(text)
        if moment is None:
            return None
        wait = moment - now
    return min(max(wait, timedelta(0)), _LONGEST_WAIT)


def read_date(text: str) -> datetime | None:
    """An HTTP date (RFC 9110, section 5.6.7) in UTC, or ``None`` when it is none."""
    try:
        moment = parsedate_to_datetime(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
