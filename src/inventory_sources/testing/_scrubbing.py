"""Finds secrets in what goes over HTTP, and puts words in their places."""

from __future__ import annotations

import html
import json
import re
import threading
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus, unquote, unquote_plus

__all__ = ["Scrubber"]

_WORDS = frozenset(
    "apikey appkey assertion auth authorization cookie cookies credential credentials jwt passphrase passwd password "
    "pwd secret session sessionid sid sig signature token".split()
)
_ENDINGS = ("token", "secret", "password", "signature", "apikey")
#: Which make a secret of a ``key``: a record's own key is none.
_OWNERS = frozenset("access account api app auth client consumer license private secret shared subscription".split())

_QUERY = re.compile(r"(?P<before>(?:^|[?&;]|\\u0026)(?P<name>[^=&?#\s\"'<>;]{1,100})=)(?P<value>[^&#\s\"'<>;\\]+)")
_NAMED = (
    re.compile(r'(?P<before>"(?P<name>[^"\\]{1,100})"\s*:\s*")(?P<value>(?:[^"\\]|\\.)+)'),
    re.compile(r'(?P<before>\\"(?P<name>[^"\\]{1,100})\\"\s*:\s*\\")(?P<value>[^"\\]+)'),
    re.compile(r"(?P<before><(?:[\w.-]+:)?(?P<name>[\w.-]{1,100})(?:\s[^<>]*)?>)(?P<value>[^<>\s][^<>]*)(?=</)"),
)
_COOKIE = re.compile(r"(?P<before>(?:^|, ?)[^=;,\s]+=)(?P<value>[^;]+)")
_PLACE = re.compile(r"SCRUBBED-[0-9]+")
#: Shorter texts than this are replaced where their name tells, but may stand elsewhere by chance.
_TELLING = 8


def _tells(name: str, *, key: bool) -> bool:
    """Whether what has this name is a secret.

    :param key: whether a ``key`` is one, as it is in a query or a header.
    """
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", unquote(name)).lower()
    words = set(re.split(r"[^a-z0-9]+", snake))
    keyed = "key" in words and (key or bool(words & _OWNERS))
    return keyed or bool(words & _WORDS) or any(word.endswith(_ENDINGS) for word in words)


def _spellings(text: str) -> set[str]:
    """How a text may stand in a URL, a form, a document or a header."""
    quoted = {quote(text, safe=""), quote(text), quote_plus(text)}
    lower = {re.sub(r"%[0-9A-F]{2}", lambda code: code[0].lower(), one) for one in quoted}
    escaped = {_escaped(text), json.dumps(text, ensure_ascii=False)[1:-1], text.replace("/", "\\/")}
    # A document that is quoted in another one.
    escaped |= {_escaped(one) for one in (*escaped, *quoted)}
    coded = {one(text.encode()).decode().rstrip("=") for one in (b64encode, urlsafe_b64encode)}
    return {text, html.escape(text), *quoted, *lower, *escaped, *coded}


def _escaped(text: str) -> str:
    return json.dumps(text)[1:-1]


class Scrubber:
    """Learns secrets by their values and their names, and replaces them by ``SCRUBBED-1``, ``SCRUBBED-2`` and so on.

    The same secret has the same number everywhere. Safe to use from several threads.

    :param names: of further parameters and keys whose values are secrets, or change with each request.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(name.lower() for name in names)
        self._known: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.RLock()

    def learn(self, secret: str) -> None:
        """Has a text replaced wherever it stands."""
        with self._lock:
            if secret and not _PLACE.fullmatch(secret) and secret not in self._known:
                self._known = {**dict.fromkeys(_spellings(secret), secret), **self._known}
                self._pattern = None

    def look(self, text: str) -> None:
        """Learns what stands under a telling name, so that it is found elsewhere, too."""
        self._in_place(text, learning=True)

    def look_at_headers(self, headers: Mapping[str, str]) -> None:
        """Learns the credentials in headers."""
        for name, value in headers.items():
            if self._secret(name, key=True):
                scheme, _, credentials = value.partition(" ")
                for part in (value, credentials, *(found["value"] for found in _COOKIE.finditer(value))):
                    self._learn_telling(part)
                if scheme.lower() == "basic":
                    self._learn_telling(_decoded(credentials).partition(":")[2])

    def scrub(self, text: str) -> str:
        """The text with words in place of secrets."""
        text = self._in_place(text, learning=False)
        with self._lock:
            if self._pattern is None:
                longest = sorted(self._known, key=len, reverse=True)
                self._pattern = re.compile("|".join(map(re.escape, longest)) or r"(?!)")
            return self._pattern.sub(lambda found: self._place(self._known[found[0]]), text)

    def scrub_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers with words in place of secrets."""
        return {name: self.scrub(self._header(name, value)) for name, value in headers.items()}

    def scrub_bytes(self, data: bytes) -> bytes:
        """As :meth:`scrub`, for what is not text."""
        for secret in sorted(set(self._known.values()), key=len, reverse=True):
            for coding in ("utf-8", "utf-16-le", "utf-16-be"):
                if (found := secret.encode(coding)) in data:
                    data = data.replace(found, self._place(secret).encode(coding))
        return data

    def alike(self, text: str) -> str:
        """The scrubbed text without the numbers: what is compared."""
        return _PLACE.sub("SCRUBBED", self.scrub(text))

    def _header(self, name: str, value: str) -> str:
        if name.lower() == "set-cookie":
            return _COOKIE.sub(lambda found: found["before"] + self._place(found["value"]), value)
        return self._place(value) if self._secret(name, key=True) else value

    def _secret(self, name: str, *, key: bool) -> bool:
        return name.lower() in self._names or _tells(name, key=key)

    def _in_place(self, text: str, *, learning: bool) -> str:
        def replaced(found: re.Match[str]) -> str:
            value = found["value"]
            if not self._secret(found["name"], key=found.re is _QUERY):
                return found[0]
            plain = unquote_plus(value) if found.re is _QUERY else _unescaped(value)
            if learning:
                self._learn_telling(plain)
            return found["before"] + self._place(plain)

        for pattern in (_QUERY, *_NAMED):
            text = pattern.sub(replaced, text)
        return text

    def _learn_telling(self, text: str) -> None:
        if len(text) >= _TELLING:
            self.learn(text)

    def _place(self, secret: str) -> str:
        if _PLACE.fullmatch(secret):
            return secret
        return f"SCRUBBED-{self._numbers.setdefault(secret, len(self._numbers) + 1)}"


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return html.unescape(text)


def _decoded(text: str) -> str:
    try:
        return b64decode(text).decode()
    except ValueError:
        return ""
