"""Credentials that are declared in the clear, told by the names that they usually have."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from urllib.parse import parse_qsl

from inventory_sources._url import WebAddress
from inventory_sources.errors import ConfigurationError

__all__ = ["named_texts", "query_of", "refuse_plain_secrets", "refuse_plaintext"]

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_ENDINGS = re.compile(
    r"(authorization|cookie|passphrase|passw(or)?d|secret|token|signature|credentials?"
    r"|(api|access|auth|consumer|functions|private|secret|subscription)key)\Z"
)
_LAST_WORDS = frozenset({"jwt", "pass", "pwd", "sig"})
#: Tokens that say where a list goes on.
_PLACES = re.compile(r"(continuation|cursor|delta|next|page|pagination|resume|resumption|skip|start|sync)token\Z")
#: ``key`` says nothing by itself, as in ``?key=sku``.
_LOOKS_LIKE_A_KEY = re.compile(r"(?=.*[0-9])[A-Za-z0-9_.~+/=-]{16,}")


def refuse_plain_secrets(
    texts: Iterable[tuple[str, object]], where: str, instead: str, not_secret: Collection[str] = ()
) -> None:
    """Refuses a credential that is given as plain text: it would be stored and sent like any other value.

    :param texts: names and values; only a text that is not empty is looked at.
    :param where: says in the error what has the name, such as ``header``.
    :param instead: says what to give in its place.
    :param not_secret: names that are none, in any case.
    :raises ConfigurationError: naming it; its value is never shown.
    """
    known = {name.lower() for name in not_secret}
    for name, value in texts:
        if isinstance(value, str) and value and name.lower() not in known and _is_secret(name, value):
            raise ConfigurationError(
                f"the {where} {name[:40]!r} has the name of a secret, but is given as plain text",
                guidance=f"{instead} If it is no secret, name it in not_secret.",
            )


def refuse_plaintext(url: str, *, allowed: bool) -> None:
    """Refuses to send a secret in the clear.

    :raises ConfigurationError: for ``http``, unless that is allowed, and for what is no URL.
    """
    if WebAddress.parse(url).scheme == "http" and not allowed:
        raise ConfigurationError(
            "a secret would be sent in the clear over http://",
            guidance="Use https://, or set allow_plaintext where the network itself is trusted.",
        )


def query_of(url: str) -> list[tuple[str, str]]:
    """The parameters in a URL's query."""
    return parse_qsl(WebAddress.parse(url).query)


def named_texts(body: object) -> Iterator[tuple[str, object]]:
    """All values in a body that have a name, however deep."""
    if isinstance(body, Mapping):
        for name, value in body.items():
            yield str(name), value
            yield from named_texts(value)
    elif isinstance(body, list | tuple):
        for value in body:
            yield from named_texts(value)


def _is_secret(name: str, value: str) -> bool:
    words = [word.lower() for word in _WORD.findall(name)]
    if words == ["key"]:
        return bool(_LOOKS_LIKE_A_KEY.fullmatch(value))
    joined = "".join(words)
    if _PLACES.search(joined):
        return False
    return bool(_ENDINGS.search(joined)) or not _LAST_WORDS.isdisjoint(words[-1:])
