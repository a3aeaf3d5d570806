"""What servers say of the names in a folder: the facts of MLSD, and LIST in the dialects of Unix and IIS.

MLSD is a format (RFC 3659, section 7); LIST is whatever a system prints for people. Its times name no zone, so they
are never read. A line that is neither is an error: what was not understood might be the file.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from inventory_sources.protocols.remote_files import RemoteEntry, RemoteKind

__all__ = ["joined", "read_list_line", "read_mlsd_line", "read_moment"]

_MOMENT = re.compile(r"([0-9]{14})(?:\.([0-9]{1,9}))?")
_SIZE = re.compile(r"[0-9]{1,19}")
_MLSD_LINK = re.compile(r"os\.unix=(?:slink|symlink)(?::.*)?", re.IGNORECASE)
_MLSD_KINDS = {"file": RemoteKind.FILE, "dir": RemoteKind.FOLDER}
_MLSD_HERE = {"cdir", "pdir"}

# Every repetition has an end, so that no line of a hostile server takes more than a look at each of its places.
_UNIX_HEAD = re.compile(r"([-dlbcpsD])[-rwxsStTlL]{9}[.+@]?(?= )")
_UNIX_TAIL = re.compile(
    r" ([0-9]{1,19}) {1,20}"
    r"(?:[A-Z][a-z]{2} {1,2}[0-9]{1,2} {1,2}(?:[0-9]{1,2}:[0-9]{2}|[0-9]{4})"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}) (.+)",
    re.DOTALL,
)
_UNIX_KINDS = {"-": RemoteKind.FILE, "d": RemoteKind.FOLDER, "l": RemoteKind.LINK}
_UNIX_TOTAL = re.compile(r"total [0-9]+")
_IIS = re.compile(
    r"(?:[0-9]{2}-[0-9]{2}-(?:[0-9]{4}|[0-9]{2})|[0-9]{4}-[0-9]{2}-[0-9]{2}) {1,4}[0-9]{1,2}:[0-9]{2}(?:[AP]M)? {1,30}"
    r"(?:(<DIR>|<JUNCTION>|<SYMLINKD?>) {1,10}|([0-9]{1,19}) )(.+)",
    re.DOTALL,
)


def joined(folder: str, name: str) -> str:
    """The path of a name in a folder, in the server's own terms; ``""`` is the folder that a session starts in."""
    return f"{folder}{'' if folder in {'', '/'} else '/'}{name}"


def read_moment(text: str) -> datetime | None:
    """A time in UTC as MDTM and MLSD write it: ``YYYYMMDDHHMMSS`` and a fraction (RFC 3659, section 2.3)."""
    found = _MOMENT.fullmatch(text)
    if not found:
        return None
    try:
        moment = datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return moment.replace(microsecond=int((found[2] or "0").ljust(6, "0")[:6]))


def read_mlsd_line(line: str) -> RemoteEntry | None:
    """A name with its facts, and with its name for a path; ``None`` for the folder itself and the one above.

    :raises ValueError: when it is not a line of MLSD, or lacks a type.
    """
    written, separator, name = line.partition(" ")
    facts = dict(_fact(text) for text in written.split(";") if text)
    if not separator or not name or "type" not in facts:
        raise ValueError("no line of MLSD")
    kind = facts["type"].lower()
    if kind in _MLSD_HERE or name in {".", ".."}:
        return None
    found = _mlsd_kind(kind)
    size = _size(facts.get("size")) if found is RemoteKind.FILE else None
    return RemoteEntry(name, name, found, size, _modified(facts.get("modify")))


def read_list_line(line: str) -> RemoteEntry | None:
    """A name as LIST shows it, with its name for a path; ``None`` for a line that is not about one.

    :raises ValueError: when the line is in no dialect known here.
    """
    if not line or _UNIX_TOTAL.fullmatch(line):
        return None
    entry = _unix(line) or _iis(line)
    if entry is None:
        raise ValueError("no known dialect of LIST")
    return None if entry.name in {".", ".."} else entry


def _fact(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise ValueError("no line of MLSD")
    return name.lower(), value


def _mlsd_kind(text: str) -> RemoteKind:
    if _MLSD_LINK.fullmatch(text):
        return RemoteKind.LINK
    return _MLSD_KINDS.get(text, RemoteKind.OTHER)


def _size(text: str | None) -> int | None:
    if text is None:
        return None
    if not _SIZE.fullmatch(text):
        raise ValueError("no line of MLSD")
    return int(text)


def _modified(text: str | None) -> datetime | None:
    moment = None if text is None else read_moment(text)
    if text is not None and moment is None:
        raise ValueError("no line of MLSD")
    return moment


def _unix(line: str) -> RemoteEntry | None:
    head = _UNIX_HEAD.match(line)
    tail = _UNIX_TAIL.search(line, head.end()) if head else None
    if not head or not tail:
        return None
    kind = _UNIX_KINDS.get(head[1], RemoteKind.OTHER)
    # Where a link's own name holds an arrow, nothing tells which one is meant; links are not read anyway.
    name = tail[2].partition(" -> ")[0] if kind is RemoteKind.LINK else tail[2]
    return RemoteEntry(name, name, kind, int(tail[1]) if kind is RemoteKind.FILE else None)


def _iis(line: str) -> RemoteEntry | None:
    found = _IIS.fullmatch(line)
    if not found:
        return None
    marked, size, name = found.groups()
    if size:
        return RemoteEntry(name, name, RemoteKind.FILE, int(size))
    return RemoteEntry(name, name, RemoteKind.FOLDER if marked == "<DIR>" else RemoteKind.LINK)
