"""Secrets that never show, and references by which they are found.

A :class:`Secret` gives its text to :meth:`Secret.reveal` alone: ``str``, ``repr``, formatting, pickling and JSON give
nothing. What is stored of it is at most its *reference*, such as ``env:ERP_TOKEN``.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, NoReturn, Protocol, runtime_checkable

from inventory_sources.errors import ConfigurationError, SecretNotFound

__all__ = [
    "CallableSecrets",
    "EnvironmentSecrets",
    "FileSecrets",
    "Secret",
    "SecretResolver",
    "SecretResolvers",
    "WritableSecretResolver",
    "default_secrets",
]

_MASK = "**********"
_REFERENCE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.+")


@runtime_checkable
class SecretResolver(Protocol):
    """Finds a secret's text by reference."""

    def resolve(self, reference: str) -> str:
        """The text behind ``reference``, such as ``env:ERP_TOKEN``.

        :raises SecretNotFound: when there is none; never with a part of any secret in the message.
        """


@runtime_checkable
class WritableSecretResolver(SecretResolver, Protocol):
    """A resolver that a screen can hand a new secret to, and a server that replaces one."""

    def store(self, reference: str, text: str) -> None:
        """Keeps ``text`` under ``reference``, replacing what was there."""


class Secret:
    """A text that only :meth:`reveal` gives out.

    ``Secret("text")`` holds it; ``Secret.reference("env:ERP_TOKEN")`` looks it up at each use, so a rotated secret is
    seen by the next sync. Only the second kind can be stored.
    """

    __slots__ = ("_read", "_reference", "_resolver")

    def __init__(self, text: str) -> None:
        if not isinstance(text, str) or not text:
            raise ConfigurationError("a secret must be a text that is not empty")
        self._read: Callable[[], str] = lambda: text
        self._reference: str | None = None
        self._resolver: SecretResolver | None = None

    @classmethod
    def reference(cls, reference: str, resolver: SecretResolver | None = None) -> Secret:
        """A secret that ``resolver`` (the environment and files unless given) finds at each use.

        :raises ConfigurationError: when the reference is not of the form ``SCHEME:NAME``, or of a scheme that the
            resolver does not know: it may be the secret itself, which must not be stored.
        """
        found = resolver or default_secrets()
        if not _REFERENCE.fullmatch(reference):
            raise ConfigurationError(
                "a secret is referred to as SCHEME:NAME", guidance="Keep the secret elsewhere and give env:NAME."
            )
        secret = cls.__new__(cls)
        secret._resolver = found.of(reference) if isinstance(found, SecretResolvers) else found  # noqa: SLF001 - its own class
        secret._read = lambda: found.resolve(reference)  # noqa: SLF001 - as above
        secret._reference = reference  # noqa: SLF001 - as above
        return secret

    @property
    def stored_as(self) -> str | None:
        """The reference this secret is stored by, or ``None`` for a text held in memory."""
        return self._reference

    def reveal(self) -> str:
        """The text itself.

        :raises SecretNotFound: when a reference cannot be resolved.
        """
        return self._read()

    def replace(self, text: str) -> bool:
        """Has another text kept under this secret's reference; whether its resolver is one that can.

        The next :meth:`reveal` gives it.
        """
        if self._reference is None or not isinstance(self._resolver, WritableSecretResolver):
            return False
        self._resolver.store(self._reference, text)
        return True

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        if self._reference is not None or other._reference is not None:
            return self._reference == other._reference
        return hmac.compare_digest(self.reveal().encode(), other.reveal().encode())

    __hash__: ClassVar[None] = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Secret({self._reference or _MASK!r})"

    def __str__(self) -> str:
        return _MASK

    def __format__(self, spec: str) -> str:
        return _MASK

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled; store its reference")


class EnvironmentSecrets:
    """Resolves ``env:NAME`` from environment variables."""

    scheme = "env"

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment

    def resolve(self, reference: str) -> str:
        """The variable's text; an empty one counts as missing."""
        name = reference.removeprefix("env:")
        text = self._environment.get(name, "")
        if not text:
            raise SecretNotFound(f"environment variable {name!r} is not set")
        return text


class FileSecrets:
    """Resolves ``file:PATH`` (as container platforms mount them); one trailing newline is dropped.

    :param root: only files below it are read, when given.
    """

    scheme = "file"

    def __init__(self, root: Path | None = None) -> None:
        self._root = root.resolve() if root else None

    def resolve(self, reference: str) -> str:
        """The file's text in UTF-8."""
        path = Path(self._root or "/", reference.removeprefix("file:")).resolve()
        if self._root and not path.is_relative_to(self._root):
            raise SecretNotFound("the secret's file is outside the allowed folder")
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            text = ""
        text = text.removesuffix("\n").removesuffix("\r")
        if not text:
            raise SecretNotFound(f"secret file {path.name!r} is missing, empty or not UTF-8")
        return text


class CallableSecrets:
    """Resolves ``SCHEME:NAME`` by a host's function that takes NAME and returns the text or ``None``."""

    def __init__(self, scheme: str, lookup: Callable[[str], str | None]) -> None:
        self.scheme = scheme
        self._lookup = lookup

    def resolve(self, reference: str) -> str:
        """What the host's function returns."""
        text = self._lookup(reference.removeprefix(f"{self.scheme}:"))
        if not text:
            raise SecretNotFound(f"no secret under reference {reference!r}")
        return text


class SecretResolvers:
    """Hands each reference to the resolver of its scheme."""

    def __init__(self, *resolvers: EnvironmentSecrets | FileSecrets | CallableSecrets) -> None:
        self._by_scheme: dict[str, SecretResolver] = {resolver.scheme: resolver for resolver in resolvers}

    def resolve(self, reference: str) -> str:
        """The text that the resolver of the reference's scheme finds."""
        return self.of(reference).resolve(reference)

    def of(self, reference: str) -> SecretResolver:
        """The resolver of the reference's scheme.

        :raises SecretNotFound: when there is none.
        """
        scheme, separator, _ = reference.partition(":")
        resolver = self._by_scheme.get(scheme) if separator else None
        if resolver is None:
            known = ", ".join(sorted(self._by_scheme))
            raise SecretNotFound(f"a secret reference must start with one of: {known}")
        return resolver


def default_secrets() -> SecretResolvers:
    """The environment (``env:NAME``) and files (``file:/path``)."""
    return SecretResolvers(EnvironmentSecrets(), FileSecrets())
