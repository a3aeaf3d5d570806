"""Which host keys a server may show: pinned by SHA-256 fingerprint or by lines of a known_hosts file.

Fingerprints are written as ``ssh-keygen -lf`` prints them; the lines are those of sshd(8), "SSH_KNOWN_HOSTS FILE
FORMAT": patterns, hashed names and ``@revoked`` included. ``@cert-authority`` pins nothing, for certificates of hosts
are not read.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from hashlib import sha256

from attrs import frozen

from inventory_sources.errors import ConfigurationError, HostKeyChanged, HostKeyRefused

__all__ = ["Pin", "fingerprint", "key_family", "pinned", "verify"]

_FINGERPRINT = re.compile(r"(SHA256:[A-Za-z0-9+/]{43})=?")
_PRINTED_TYPE = re.compile(r"\((\w+)\)$")
_MARKERS = ("@revoked", "@cert-authority")


@frozen
class Pin:
    """One key that a server may show.

    :param family: ``ED25519``, ``ECDSA`` or ``RSA``; ``None`` where only the fingerprint is known.
    """

    fingerprint: str
    family: str | None = None

    def __str__(self) -> str:
        return f"{self.fingerprint} ({self.family})" if self.family else self.fingerprint


@frozen
class _Line:
    marker: str
    names: str
    pin: Pin


def fingerprint(key: bytes) -> str:
    """The SHA-256 fingerprint of a public key in its wire form, as ``ssh-keygen -lf`` prints it."""
    return "SHA256:" + b64encode(sha256(key).digest()).decode("ascii").rstrip("=")


def key_family(algorithm: str) -> str:
    """``rsa-sha2-512`` and ``ssh-rsa`` are both signed with an ``RSA`` key, and so on."""
    return next((family for family in ("ED25519", "ECDSA", "RSA") if family.lower() in algorithm), algorithm)


def pinned(text: str, host: str, port: int) -> tuple[Pin, ...]:
    """The keys that ``text`` pins for a server.

    :param text: fingerprints between commas or spaces, lines that ``ssh-keygen -lf`` printed, or known_hosts lines, of
        which those for other hosts do not count.
    :raises ConfigurationError: when a line is none of these.
    """
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    printed = [pin for _, line in lines if "SHA256:" in line for pin in _fingerprints(line)]
    known = [_known_host(number, line) for number, line in lines if "SHA256:" not in line]
    here = [line for line in known if _stands_for(line.names, f"[{host}]:{port}")]
    if not here or port == 22:
        here += [line for line in known if _stands_for(line.names, host)]
    revoked = {line.pin.fingerprint for line in here if line.marker == "@revoked"}
    pins = (*printed, *(line.pin for line in here if not line.marker))
    return tuple(pin for pin in dict.fromkeys(pins) if pin.fingerprint not in revoked)


def verify(key: bytes, algorithm: str, pins: Iterable[Pin], host: str) -> None:
    """Passes a host key that is pinned.

    :param key: in its wire form.
    :param algorithm: the name of the key's type, such as ``ssh-ed25519``.
    :raises HostKeyRefused: when none is pinned; as :class:`HostKeyChanged` when others are.
    """
    expected = tuple(pins)
    shown = Pin(fingerprint(key), key_family(algorithm))
    matches = [hmac.compare_digest(shown.fingerprint, pin.fingerprint) for pin in expected]
    if any(matches):
        return
    if not expected:
        raise HostKeyRefused(
            f"no host key is pinned for {host}",
            guidance=f"It showed {shown}. Ask its operator whether that is its key; if it is, set it as host_key.",
        )
    raise HostKeyChanged(
        f"{host} showed another host key than the pinned one",
        guidance=f"It showed {shown}; pinned: {', '.join(map(str, expected))}. Nothing was sent to it. Ask its operator"
        " why the key is another one, and pin the new one only when they confirm it.",
        shown=shown.fingerprint,
    )


def _fingerprints(line: str) -> list[Pin]:
    words = [word for word in re.split(r"[,\s]+", line) if word.startswith("SHA256:")]
    found = [_FINGERPRINT.fullmatch(word) for word in words]
    if not all(found):
        raise ConfigurationError("host_key has a fingerprint that is not SHA256: and 43 characters")
    printed_type = _PRINTED_TYPE.search(line)
    family = printed_type[1] if printed_type and len(words) == 1 else None
    return [Pin(match[1], family) for match in found if match]


def _known_host(number: int, line: str) -> _Line:
    fields = line.split()
    marker = fields.pop(0) if fields[0] in _MARKERS else ""
    try:
        names, algorithm, encoded = fields[:3]
        key = b64decode(encoded, validate=True)
    except ValueError:
        key, names, algorithm = b"", "", ""
    # The key repeats its type, so that a line which was cut or mixed up is noticed here and not as a changed key.
    written = algorithm.encode()
    if not key or not key.startswith(len(written).to_bytes(4, "big") + written):
        raise ConfigurationError(
            f"line {number} of host_key is neither a SHA256: fingerprint nor a line of a known_hosts file",
            guidance="Take what `ssh-keyscan HOST` or `ssh-keygen -lf KEY.pub` prints, once its operator confirmed it.",
        )
    return _Line(marker, names, Pin(fingerprint(key), key_family(algorithm)))


def _stands_for(names: str, name: str) -> bool:
    if names.startswith("|1|"):
        return _is_hash_of(names, name)
    patterns = names.lower().split(",")
    refused = any(_fits(pattern[1:], name) for pattern in patterns if pattern.startswith("!"))
    return not refused and any(_fits(pattern, name) for pattern in patterns)


def _fits(pattern: str, name: str) -> bool:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, name.lower()) is not None


def _is_hash_of(names: str, name: str) -> bool:
    try:
        salt, digest = (b64decode(part) for part in names[3:].split("|"))
    except ValueError:
        return False
    return hmac.compare_digest(hmac.digest(salt, name.lower().encode(), "sha1"), digest)
