"""Files that an API answers with, left to the source's decoder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from inventory_sources.errors import FetchError, Recovery
from inventory_sources.protocols.connector import Head
from inventory_sources.spool import HEAD_BYTES

if TYPE_CHECKING:
    from inventory_sources.payload import Payload

__all__ = ["head_of", "refuse_html"]

_HTML = (b"<!doctype html", b"<html")


def refuse_html(payload: Payload) -> None:
    """Refuses a page of HTML, by its looks or its media type.

    :raises FetchError: that stops the source.
    """
    with payload.open() as file:
        looks = file.read(1024).removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_HTML)
    kind = (payload.media_type or "").partition(";")[0].strip().lower()
    if looks or kind in ("text/html", "application/xhtml+xml"):
        raise FetchError(
            f"{payload.origin} answered with a page of HTML, not with a file",
            recovery=Recovery.STOP,
            guidance="A login or error page looks like this; check the URL and the credentials. "
            "If the file itself is HTML, declare allow_html.",
        )


def head_of(payload: Payload) -> Head:
    """The head of a file, which is then removed."""
    with payload.open() as file:
        data = file.read(HEAD_BYTES)
    if isinstance(payload.body, Path):
        payload.body.unlink()
    return Head(payload.origin, data, len(data) == payload.size, payload.media_type, payload.size)
