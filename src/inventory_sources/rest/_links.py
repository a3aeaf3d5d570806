"""The ``Link`` header of RFC 8288."""

from __future__ import annotations

import re
from collections.abc import Mapping

from inventory_sources.errors import StructureInvalid

__all__ = ["next_link"]

#: A link of RFC 8288, section 3, with its parameters.
_LINK = re.compile(r'\s*<([^>]*)>((?:\s*;\s*[\w!#$&+.^`|~*-]+\s*(?:=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]+))?)*)\s*(?:,|$)')
_RELATION = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))', re.IGNORECASE)


def next_link(headers: Mapping[str, str]) -> str | None:
    """Where the ``Link`` header (RFC 8288) leads as the next page.

    :raises StructureInvalid: when it cannot be read.
    """
    header, found, position = headers.get("link", "").strip(), None, 0
    while position < len(header):
        link = _LINK.match(header, position)
        if link is None:
            raise StructureInvalid("the Link header is not as RFC 8288 has it")
        relation = _RELATION.search(link[2])
        if relation and "next" in (relation[1] or relation[2] or "").lower().split():
            found = link[1]
        position = link.end()
    return found
