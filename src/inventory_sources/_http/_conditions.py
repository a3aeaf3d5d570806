"""Conditional requests: have the server send an answer only if it has changed (RFC 9110, section 13)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from attrs import frozen

from inventory_sources._http._statuses import read_date

if TYPE_CHECKING:
    from inventory_sources._http._messages import HttpRequest

__all__ = ["Validators", "unchanged"]

#: RFC 9110, section 8.8.3, of a length that can be kept and sent back.
_ETAG = re.compile(r'(?:W/)?"[!#-~]{0,1000}"')
_CONDITIONS = frozenset({"if-none-match", "if-modified-since"})


@frozen
class Validators:
    """What a server knows a version of its answer by.

    A weak one is enough for a GET: the comparison of ``If-None-Match`` is the weak one.
    """

    etag: str | None = None
    modified: str | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Self:
        """Those of an answer; what cannot be sent back is left out.

        :param headers: by name in lower case.
        """
        etag, modified = headers.get("etag", ""), headers.get("last-modified", "")
        dated = modified.isascii() and modified.isprintable() and read_date(modified)
        return cls(etag if _ETAG.fullmatch(etag) else None, modified if dated else None)

    @classmethod
    def load(cls, text: str | None) -> Self:
        """What :meth:`dump` gave; none for any other text."""
        with suppress(ValueError, TypeError, KeyError):
            found = json.loads(text or "")
            return cls.of({"etag": found["etag"] or "", "last-modified": found["modified"] or ""})
        return cls()

    def dump(self) -> str:
        """As text, for the next fetch."""
        return json.dumps({"etag": self.etag, "modified": self.modified})

    def headers(self) -> dict[str, str]:
        """What asks for an answer only if it has changed; empty where nothing is known."""
        known = {"If-None-Match": self.etag, "If-Modified-Since": self.modified}
        return {name: value for name, value in known.items() if value is not None}


def unchanged(request: HttpRequest, status: int) -> bool:
    """Whether a status says that nothing has changed, to a request that asked."""
    return status == 304 and not _CONDITIONS.isdisjoint(name.lower() for name in request.headers)
