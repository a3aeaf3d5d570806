"""The last line of defence: a source's secrets are taken out of what is said of a failure.

No message of ours quotes a credential, but what a server sends back may: in the keys of a document, for one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from inventory_sources.errors import InventorySourcesError
from inventory_sources.secrets import Secret

__all__ = ["withholding"]

_DEEPEST = 8
#: A shorter one may be a part of any word.
_SHORTEST = 4
_SHOWN = "[withheld]"


@contextmanager
def withholding(part: object) -> Iterator[None]:
    """Errors of ours come out without the text of any secret that ``part`` holds, however deep."""
    try:
        yield
    except InventorySourcesError as error:
        for text in sorted(_texts(part, _DEEPEST), key=len, reverse=True):
            error.message = error.message.replace(text, _SHOWN)
            error.guidance = error.guidance.replace(text, _SHOWN)
        error.args = (error.message,)
        raise


def _texts(part: object, depth: int) -> Iterator[str]:
    if isinstance(part, Secret):
        yield from _text(part)
    elif depth:
        for inner in _inside(part):
            yield from _texts(inner, depth - 1)


def _text(secret: Secret) -> list[str]:
    with suppress(Exception):  # a host's resolver may raise anything, and what cannot be had was not sent
        text = secret.reveal()
        return [text] if len(text) >= _SHORTEST else []
    return []


def _inside(part: object) -> Iterator[object]:
    if isinstance(part, Mapping):
        yield from part.values()
    elif isinstance(part, (tuple, list, set, frozenset)):
        yield from part
    else:
        for attribute in getattr(type(part), "__attrs_attrs__", ()):
            yield getattr(part, attribute.name, None)
