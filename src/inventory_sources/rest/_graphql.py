"""GraphQL over HTTP: a query in a POST, and errors in an answer whose status says that all is well.

Source: the GraphQL specification (October 2021), section 7.1, and the draft "GraphQL over HTTP".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import Factory, field, frozen

from inventory_sources.errors import (
    AccessRefused,
    FetchError,
    RateLimited,
    Recovery,
    ServerFailed,
    StructureInvalid,
)

__all__ = ["GraphQl", "refuse_errors"]

#: What may be shown of a server's words: a code or the name of a field.
_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,60}")
_LIMITED = frozenset({"THROTTLED", "RATE_LIMITED", "TOO_MANY_REQUESTS"})
_DENIED = frozenset({"UNAUTHENTICATED", "FORBIDDEN", "ACCESS_DENIED", "UNAUTHORIZED"})
_FAILED = frozenset({"INTERNAL_SERVER_ERROR", "INTERNAL", "TIMEOUT", "SERVICE_UNAVAILABLE"})


@frozen
class GraphQl:
    """A query, sent by POST.

    :param variables: of the query; what a pager sends is added to them.
    """

    query: str = field(repr=False)
    variables: Mapping[str, object] = Factory(dict)

    @property
    def body(self) -> dict[str, object]:
        """What is sent."""
        return {"query": self.query, "variables": dict(self.variables)}


def refuse_errors(document: Any, origin: str) -> None:
    """Refuses an answer that reports errors, even beside data: a part of the list may be missing.

    Of the report only codes and names of fields are told; a server's words may repeat what was sent to it.

    :raises FetchError: of the class that fits the first error's code.
    :raises StructureInvalid: when it is no answer of GraphQL.
    """
    if not isinstance(document, dict) or not ({"data", "errors"} & set(document)):
        raise StructureInvalid(f"{origin}: this is no answer of GraphQL: it has neither data nor errors")
    errors = document.get("errors")
    if errors in (None, []):
        return
    first = errors[0] if isinstance(errors, list) else None
    code, path = _code(first), _path(first)
    raise _error(code)(f"{origin} reports the error {code or 'without a code'}{f' at {path}' if path else ''}")


def _error(code: str) -> Any:
    if code in _LIMITED:
        return RateLimited
    if code in _DENIED:
        return AccessRefused
    return ServerFailed if code in _FAILED else _stopped


def _stopped(message: str) -> FetchError:
    guidance = "Run the query by hand against the API; its answer says what is wrong with it."
    return FetchError(message, recovery=Recovery.STOP, guidance=guidance)


def _code(error: object) -> str:
    extensions = error.get("extensions") if isinstance(error, dict) else None
    found = extensions.get("code") if isinstance(extensions, dict) else None
    return found if isinstance(found, str) and _PLAIN.fullmatch(found) else ""


def _path(error: object) -> str:
    found = error.get("path") if isinstance(error, dict) else None
    steps = found if isinstance(found, list) else []
    return ".".join(step if isinstance(step, str) and _PLAIN.fullmatch(step) else "?" for step in steps[:10])
