"""PickUp: which files of a folder are taken, how each is known to be whole, and what becomes of it."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias, get_args
from zoneinfo import ZoneInfo

from attrs import Attribute, field, frozen

from inventory_sources.errors import ConfigurationError

__all__ = ["PickUp", "safe_name"]

Take: TypeAlias = Literal["one", "newest", "all", "each"]
Afterwards: TypeAlias = Literal["keep", "move", "delete"]

_NAME = "{name}"
_UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f]")
_SOME_DAY = datetime(2024, 2, 29, 13, 14, 15, tzinfo=UTC)  # to try a template with


def safe_name(name: str) -> bool:
    """Whether a name stands for something in its own folder and nowhere else, on any server."""
    return name not in {"", ".", ".."} and not _UNSAFE.search(name)


def _one_of(choices: Any) -> Callable[[object, Attribute[Any], object], None]:
    allowed = get_args(choices)

    def validate(instance: object, attribute: Attribute[Any], value: object) -> None:
        if value not in allowed:
            raise ConfigurationError(f"{attribute.name} must be {', '.join(allowed[:-1])} or {allowed[-1]}")

    return validate


def _folder(instance: object, attribute: Attribute[Any], name: str | None) -> None:
    if name is not None and not safe_name(name):
        raise ConfigurationError(f"{attribute.name} must be the name of one folder beside the files")


def _order(instance: object, attribute: object, order: str) -> None:
    if order in {"modified", "name"}:
        return
    try:
        read = "%" in order and datetime.strptime(_SOME_DAY.strftime(order), order)  # noqa: DTZ007
    except (ValueError, re.error):
        read = False
    if not read:
        raise ConfigurationError(
            "order must be modified, name or a template that a date can be read by",
            guidance="Write the whole name with strptime's codes, such as stock_%Y%m%d_%H%M.csv.",
        )


def _zone(instance: object, attribute: object, name: str) -> None:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        raise ConfigurationError(
            f"the zone {name[:40]!r} is not known", guidance="Give an IANA name, such as Europe/Berlin."
        ) from None


def _sidecar(instance: object, attribute: Attribute[Any], name: str | None) -> None:
    if name is None:
        return
    if not safe_name(name) or name == _NAME or any(brace in name.replace(_NAME, "") for brace in "{}"):
        raise ConfigurationError(f"{attribute.name} must be a file's name, such as {{name}}.done")


def _positive(instance: object, attribute: Attribute[Any], value: Any) -> None:
    if value is not None and value <= type(value)(0):
        raise ConfigurationError(f"{attribute.name} must be more than 0")


@frozen(kw_only=True)
class PickUp:
    """Which files of a folder are taken, how each is known to be whole, and what becomes of it.

    :param take: ``one``: the connector's path names one file, taken as it is. Otherwise its last part is a pattern
        (``*``, ``?``, ``[..]``) that a whole name must match, small and capital letters told apart. ``newest``: the
        newest file that matches. ``all``: all that match are parts of one input, in order. ``each``: one file a run,
        the oldest first; a file that is not ready yet is not overtaken.
    :param order: by which files are older and newer: time of change (``modified``), ``name``, or a ``strptime``
        template that the whole name must match, such as ``stock_%Y%m%d_%H%M.csv``. Ties go by name.
    :param zone: IANA name of the zone that times in names are in, for a template without ``%z``. Of a time that its
        clocks show twice or never, the earlier moment counts: a file is never taken for newer than it is.
    :param renamed: the sender uploads under a name that does not match and renames when it is done.
    :param marker: a file that the sender writes after another one: ``{name}.done``, or a fixed name for all of them.
        It must not be older than the file, nor be the one that released an earlier upload.
    :param checksum: a file that holds the digest of another one, as ``sha256sum`` prints it or alone:
        ``{name}.sha256``. MD5, SHA-1, SHA-256 and SHA-512 are told by their length.
    :param looks_apart: a file must look the same at two fetches that are so far apart. A heuristic: it proves nothing
        about the end.
    :param afterwards: what becomes of a file once its levels are applied: ``keep``, ``move`` or ``delete``.
    :param done_folder: where ``move`` puts it; a folder beside the files, which must be there.
    :param failed_folder: where ``move`` and ``delete`` put a file that cannot be used; ``None`` leaves it. With ``all``
        every file stays, since the rest alone would be an incomplete input.
    :param max_age: it is an error when the newest file, or the one applied last, is older.
    :param max_files: it is an error when more files match.
    :raises ConfigurationError: when one of these cannot be used, or more than one way is declared by which a file is
        known to be whole.
    """

    take: Take = field(default="one", validator=_one_of(Take))
    order: str = field(default="modified", validator=_order)
    zone: str = field(default="UTC", validator=_zone)
    renamed: bool = False
    marker: str | None = field(default=None, validator=_sidecar)
    checksum: str | None = field(default=None, validator=_sidecar)
    looks_apart: timedelta | None = field(default=None, validator=_positive)
    afterwards: Afterwards = field(default="keep", validator=_one_of(Afterwards))
    done_folder: str = field(default="done", validator=_folder)
    failed_folder: str | None = field(default="error", validator=_folder)
    max_age: timedelta | None = field(default=None, validator=_positive)
    max_files: int = field(default=1000, validator=_positive)

    def __attrs_post_init__(self) -> None:
        ways = (self.renamed or None, self.marker, self.checksum, self.looks_apart)
        if sum(way is not None for way in ways) > 1:
            raise ConfigurationError("declare one of renamed, marker, checksum and looks_apart")
        if self.zone != "UTC" and not self.has_template:
            raise ConfigurationError("zone is that of the times in names: declare order, a template of them")
        if self.checksum is not None and _NAME not in self.checksum:
            raise ConfigurationError("checksum must hold {name}: each file has a digest of its own")
        if self.take == "each" and self.marker is not None and _NAME not in self.marker:
            raise ConfigurationError(
                "one marker for all files cannot release them one by one",
                guidance="Use a marker for each file, such as {name}.done, or take all files at once.",
            )

    @property
    def has_template(self) -> bool:
        """Whether ``order`` is a template of the names."""
        return self.order not in {"modified", "name"}

    @property
    def names_tell_day(self) -> bool:
        """Whether the time in a name is a moment: year, month and day, at least."""
        named = self.named_time(_SOME_DAY.strftime(self.order)) if self.has_template else None
        return named is not None and abs(named - _SOME_DAY) < timedelta(days=2)

    def named_time(self, name: str) -> datetime | None:
        """The time in a file's name (UTC), by the template; ``None`` where it does not match."""
        with suppress(ValueError):
            moment = datetime.strptime(name, self.order)  # noqa: DTZ007 - the zone is given to it below
            if moment.tzinfo is not None:
                return moment.astimezone(UTC)
            zone = ZoneInfo(self.zone)
            return min(moment.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        return None

    @property
    def puts_away(self) -> bool:
        """Whether files are moved or deleted once they were used."""
        return self.afterwards != "keep"

    @property
    def used_to(self) -> str | None:
        """The folder for files that were used, where they are moved."""
        return self.done_folder if self.afterwards == "move" else None

    @property
    def refused_to(self) -> str | None:
        """The folder for files that cannot be used, where they are moved."""
        # What is left of all files is not all of them, and to lose them all for one would be worse.
        return self.failed_folder if self.puts_away and self.take != "all" else None

    @property
    def needs_times(self) -> bool:
        """Whether a listing must tell when each file was changed."""
        return self.order == "modified" or self.take == "each" or bool(self.max_age or self.looks_apart)

    def matcher(self, pattern: str) -> Callable[[str], bool]:
        """Whether a whole name matches the pattern."""
        compiled = re.compile(fnmatch.translate(pattern))
        return lambda name: compiled.match(name) is not None

    def sidecar(self, name: str) -> str | None:
        """The name of the marker or of the digest's file that belongs to a file."""
        written = self.marker or self.checksum
        return written and written.replace(_NAME, name)
