"""How Standard Webhooks signs a message, for those who send and those who receive.

Source: https://github.com/standard-webhooks/standard-webhooks, ``spec/standard-webhooks.md``. What is signed is
``id.timestamp.body``: by HMAC-SHA256 with a shared secret (``whsec_``, base64), shown as ``v1,base64``; or by Ed25519
with a private key (``whsk_``) whose public key (``whpk_``) the receiver has, shown as ``v1a,base64``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from datetime import datetime
from typing import TYPE_CHECKING

from attrs import field, frozen

from inventory_sources.errors import ConfigurationError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = ["LEAST_SECRET", "MESSAGE_ID", "SigningKey", "signing_content", "standard_headers"]

#: Bytes of a shared secret, at least (192 bits).
LEAST_SECRET = 24
#: Without a full stop, which would let parts of the signed text be taken for one another.
MESSAGE_ID = re.compile(r"[!-\-/-~]{1,256}")
_SEED = 32


@frozen
class SigningKey:
    """What signs or verifies: a shared secret, a private or a public key."""

    raw: bytes = field(repr=False)
    version: str = "v1"
    private: bytes | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """A key as it is handed out; without a prefix it is a shared secret in base64.

        :raises ConfigurationError: when it cannot be one; without a part of it.
        """
        prefix, found, rest = text.partition("_")
        if not found or prefix not in ("whsec", "whpk", "whsk"):
            return cls(_decoded(text, "secret"))
        raw = _decoded(rest, f"{prefix}_ key")
        if prefix == "whsec":
            return cls(raw)
        return cls(_of_length(raw, _SEED, "public key"), "v1a") if prefix == "whpk" else cls._of_private(raw)

    @classmethod
    def _of_private(cls, raw: bytes) -> SigningKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        # As libsodium writes it, the public key follows the seed.
        seed = raw[:_SEED] if len(raw) == 2 * _SEED else _of_length(raw, _SEED, "private key")
        public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        if raw[_SEED:] not in (b"", public):
            raise ConfigurationError("the private key's second half is not its public key")
        return cls(public, "v1a", seed)

    def sign(self, content: bytes) -> str:
        """The signature with its version.

        :raises ConfigurationError: for a public key.
        """
        if self.version == "v1":
            return f"v1,{base64.b64encode(self.mac(content)).decode()}"
        if self.private is None:
            raise ConfigurationError("a public key cannot sign", guidance="Sign with the whsk_ key it belongs to.")
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        made = Ed25519PrivateKey.from_private_bytes(self.private).sign(content)
        return f"v1a,{base64.b64encode(made).decode()}"

    def mac(self, content: bytes) -> bytes:
        """HMAC-SHA256 with a shared secret."""
        return hmac.digest(self.raw, content, hashlib.sha256)

    def signed(self, content: bytes, signature: bytes) -> bool:
        """Whether an Ed25519 signature is of this key and content."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._public().verify(signature, content)
        except InvalidSignature:
            return False
        return True

    def _public(self) -> Ed25519PublicKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        return Ed25519PublicKey.from_public_bytes(self.raw)


def signing_content(message_id: str, timestamp: str, body: bytes) -> bytes:
    """What is signed."""
    return b".".join((message_id.encode(), timestamp.encode(), body))


def standard_headers(
    keys: tuple[SigningKey, ...], message_id: str, at: datetime, body: bytes, prefix: str = "webhook-"
) -> dict[str, str]:
    """The headers of a message that each of the keys signs.

    :raises ConfigurationError: when the id cannot be sent: it is empty, too long, or holds a full stop or what is no
        printable ASCII; or when a key cannot sign.
    """
    if not MESSAGE_ID.fullmatch(message_id):
        raise ConfigurationError("the id of a message is 1 to 256 printable ASCII characters without a full stop")
    timestamp = str(int(at.timestamp()))
    content = signing_content(message_id, timestamp, body)
    signatures = " ".join(key.sign(content) for key in keys)
    return {f"{prefix}id": message_id, f"{prefix}timestamp": timestamp, f"{prefix}signature": signatures}


def _decoded(text: str, what: str) -> bytes:
    try:
        raw = base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigurationError(f"the {what} of a webhook is not base64") from None
    if not raw:
        raise ConfigurationError(f"the {what} of a webhook is empty")
    return raw


def _of_length(raw: bytes, length: int, what: str) -> bytes:
    if len(raw) != length:
        raise ConfigurationError(f"an Ed25519 {what} has {length} bytes; this one has {len(raw)}")
    return raw
