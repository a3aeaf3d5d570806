"""Layout: where a delivery carries its HMAC, and of what it is one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from attrs import field, frozen

from inventory_sources.errors import ConfigurationError, SignatureInvalid
from inventory_sources.protocols.webhook import Delivery, Verified
from inventory_sources.webhooks._reading import FIVE_MINUTES, sent_at, told, told_if_any, without_early_exit

__all__ = ["Layout"]

_PART = re.compile(r"\{(\w+)\}")
_PARTS = ("body", "timestamp", "id", "url", "method")
_METHODS = ("POST", "PUT")
_ALGORITHMS = ("sha1", "sha256", "sha512")
_ENCODINGS = ("hex", "base64", "base64url")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_ID = re.compile(r"[!-~]{1,256}")


def _template(text: str) -> tuple[str, ...]:
    """Literal texts at even places, names of parts at odd ones."""
    return tuple(_PART.split(text))


@frozen(kw_only=True)
class Layout:
    """Where the signature, id and timestamp stand, and what is signed."""

    header: str
    algorithm: str = "sha256"
    encoding: str = "base64"
    prefix: str = ""
    pieces: tuple[str, ...] = field(default="{body}", converter=_template)
    timestamp_header: str | None = None
    milliseconds: bool = False
    id_header: str | None = None
    url: str = ""
    tolerance: timedelta = FIVE_MINUTES

    def check(self) -> None:
        """Refuses what would prove nothing, or could be read in two ways.

        :raises ConfigurationError: naming it.
        """
        names = self.pieces[1::2]
        unknown = set(names) - set(_PARTS)
        headers = [name for name in (self.header, self.timestamp_header, self.id_header) if name is not None]
        for wrong, fault in (
            (not all(map(_NAME.fullmatch, headers)), "a header's name is letters, digits and hyphens"),
            (
                len({name.lower() for name in headers}) < len(headers),
                "signature, time and id need headers of their own",
            ),
            (self.algorithm not in _ALGORITHMS, f"the algorithm is one of {', '.join(_ALGORITHMS)}"),
            (self.encoding not in _ENCODINGS, f"the encoding is one of {', '.join(_ENCODINGS)}"),
            (not self.prefix.isascii(), "the prefix of a signature is ASCII"),
            (bool(unknown), f"what is signed has no part {', '.join(sorted(unknown))}"),
            (names.count("body") != 1 or len(set(names)) != len(names), "what is signed has the body once"),
            (("timestamp" in names) != bool(self.timestamp_header), "a timestamp counts only with its header signed"),
            ("id" in names and not self.id_header, "an id that is signed needs the name of its header"),
            (("url" in names) != bool(self.url), "a URL that is signed is told by the configuration"),
            ("id" in names and self._id_runs_together(), "an id that is signed needs a separator on either side"),
        ):
            if wrong:
                raise ConfigurationError(fault, guidance="Declare what the sender's documentation says.")

    def verify(self, delivery: Delivery, keys: Sequence[bytes], now: datetime) -> Verified:
        """What a good signature proves.

        :raises SignatureInvalid: when it is not.
        """
        given = self._plain(told(delivery, self.header))
        content, verified = self._content(delivery, now)
        expected = [text for key in keys for text in self._spellings(self.signature(content, key))]
        if not without_early_exit(expected, [given]):
            raise SignatureInvalid(f"the signature in {self.header} is of no secret that counts")
        return verified

    def signature(self, content: bytes, key: bytes) -> str:
        """The header's value."""
        digest = hmac.digest(key, content, getattr(hashlib, self.algorithm))
        encoded = digest.hex().encode() if self.encoding == "hex" else base64.b64encode(digest)
        if self.encoding == "base64url":
            encoded = encoded.translate(bytes.maketrans(b"+/", b"-_"))
        return f"{self.prefix}{encoded.decode()}"

    def headers(self, delivery: Delivery, key: bytes, at: datetime, message_id: str) -> dict[str, str]:
        """What the sender adds to a delivery."""
        seconds = int(at.timestamp())
        told = {
            self.timestamp_header: f"{seconds * 1000 if self.milliseconds else seconds}",
            self.id_header: message_id,
        }
        headers = {name: value for name, value in told.items() if name is not None}
        values = {"timestamp": told.get(self.timestamp_header) or "", "id": message_id}
        return {**headers, self.header: self.signature(self._joined(delivery, values), key)}

    def _content(self, delivery: Delivery, now: datetime) -> tuple[bytes, Verified]:
        names, values = self.pieces[1::2], dict[str, str]()
        message_id = told_if_any(delivery, self.id_header) if self.id_header else None
        sent = None
        if self.timestamp_header:
            values["timestamp"] = told(delivery, self.timestamp_header)
            sent = sent_at(values["timestamp"], now, self.tolerance, milliseconds=self.milliseconds)
        if message_id is not None and not _ID.fullmatch(message_id):
            raise SignatureInvalid(f"the id in {self.id_header} is too long or holds a space")
        if "id" in names:
            values["id"] = self._unmistakable(message_id)
        if "method" in names and delivery.method not in _METHODS:
            raise SignatureInvalid("deliveries are sent by POST or PUT")
        return self._joined(delivery, values), Verified(message_id, id_signed="id" in names, sent_at=sent)

    def _joined(self, delivery: Delivery, values: dict[str, str]) -> bytes:
        known = {"url": self.url, "method": delivery.method, **values}
        parts = [piece.encode() for piece in self.pieces]
        for place, name in enumerate(self.pieces[1::2]):
            parts[2 * place + 1] = delivery.body if name == "body" else known[name].encode()
        return b"".join(parts)

    def _unmistakable(self, message_id: str | None) -> str:
        """The id, free of what separates it: or another split of the same text would be signed as well."""
        if message_id is None or any(mark in message_id for mark in self._separators()):
            raise SignatureInvalid(f"the id in {self.id_header} is missing or holds what separates it")
        return message_id

    def _separators(self) -> list[str]:
        before, after = self._beside_id()
        return [*before[-1:], *after[:1]]

    def _beside_id(self) -> tuple[str, str]:
        place = 2 * self.pieces[1::2].index("id") + 1
        return self.pieces[place - 1], self.pieces[place + 1]

    def _id_runs_together(self) -> bool:
        names, (before, after) = self.pieces[1::2], self._beside_id()
        return (not before and names[0] != "id") or (not after and names[-1] != "id")

    def _spellings(self, signature: str) -> tuple[str, ...]:
        return (signature, signature.rstrip("=")) if self.encoding == "base64url" else (signature,)

    def _plain(self, signature: str) -> str:
        if not signature.startswith(self.prefix):
            raise SignatureInvalid(f"the signature in {self.header} does not begin with {self.prefix!r}")
        text = signature.removeprefix(self.prefix)
        return f"{self.prefix}{text.lower()}" if self.encoding == "hex" else signature
