"""What a pick-up remembers from run to run, as small texts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import Factory, frozen

if TYPE_CHECKING:
    from inventory_sources.connectors._looks import Look

__all__ = ["AppliedFile", "Key", "PickUpCursor", "PickUpMemo", "version"]

_FORMAT = 1

#: By which files are older and newer: microseconds (0 where names alone tell) and the name.
Key: TypeAlias = tuple[int, str]


def version(look: Look, *context: str) -> str:
    """A short text that another look at a changed file does not give."""
    facts = [look.size, look.modified and look.modified.isoformat(), look.mark, *context]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


@frozen
class AppliedFile:
    """A file whose levels were applied.

    :param version: of the file as it was listed.
    :param marker: version of the marker that released it.
    """

    version: str
    sha256: str
    marker: str | None = None


@frozen
class PickUpCursor:
    """What was applied. Of files that are not listed any more only the last one counts.

    :param order: by which ``last`` was found, with the zone.
    :param last: the newest file applied.
    :param modified: when the one changed last was changed.
    """

    files: Mapping[str, AppliedFile] = Factory(dict)
    order: str = ""
    last: Key | None = None
    modified: datetime | None = None

    @classmethod
    def read(cls, text: str | None) -> PickUpCursor:
        """From a text; one that cannot be read counts as none."""
        try:
            known = _known(text)
            files = {str(name): AppliedFile(*map(_text, facts)) for name, facts in known["files"].items()}
            moment = known["modified"] and datetime.fromisoformat(known["modified"])
            microseconds, name = known["last"]
            return cls(files, str(known["order"]), (int(microseconds), str(name)), moment)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return cls()

    def __str__(self) -> str:
        files = {name: [file.version, file.sha256, file.marker] for name, file in self.files.items()}
        modified = self.modified and self.modified.isoformat()
        return json.dumps(
            {"format": _FORMAT, "order": self.order, "last": self.last, "modified": modified, "files": files}
        )


@frozen
class PickUpMemo:
    """Since when each file looks as it does: its version, and the first time that it was seen so."""

    seen: Mapping[str, tuple[str, datetime]] = Factory(dict)

    @classmethod
    def read(cls, text: str | None) -> PickUpMemo:
        """From a text; one that cannot be read counts as none."""
        try:
            seen = _known(text)["seen"].items()
            return cls({name: (str(look), datetime.fromisoformat(since)) for name, (look, since) in seen})
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return cls()

    def __str__(self) -> str:
        return json.dumps(
            {"format": _FORMAT, "seen": {name: [look, at.isoformat()] for name, (look, at) in self.seen.items()}}
        )


def _known(text: str | None) -> dict[str, Any]:
    found = json.loads(text or "")
    if found["format"] != _FORMAT:
        raise ValueError
    return dict(found)


def _text(value: Any) -> Any:
    if not isinstance(value, str | None):
        raise TypeError
    return value
