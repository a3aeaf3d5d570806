"""What proves a sender without a signature: a token, an address, a certificate, and several of these together."""

from __future__ import annotations

import re
from datetime import datetime
from ipaddress import IPv6Address, ip_address

from attrs import evolve, field, frozen

from inventory_sources.errors import ConfigurationError, SignatureInvalid
from inventory_sources.netguard import networks
from inventory_sources.protocols.webhook import Answer, Delivery, SignatureScheme, Verified
from inventory_sources.webhooks._reading import told, with_headers, without_early_exit
from inventory_sources.webhooks._secrets import WebhookSecret, active, judge, secrets_of, text_key

__all__ = ["AllOf", "AllowList", "BearerToken", "ClientCertificate", "UnsignedTrustingUrlAlone"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def _is_header(instance: object, attribute: object, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigurationError("a header's name is letters, digits and hyphens")


def _not_empty(instance: object, attribute: object, values: tuple[object, ...]) -> None:
    if not values:
        raise ConfigurationError("an empty list would let nothing or everything pass")


def _token(secret: WebhookSecret) -> str:
    text = text_key(secret).decode()
    if not text.isascii() or not text.isprintable() or text.strip() != text:
        raise ConfigurationError("a token in a header is printable ASCII without spaces around it")
    return text


@frozen(kw_only=True)
class BearerToken:
    """A token that the sender repeats in a header. It does not cover the body, so the endpoint must be ``https``.

    :param header: ``Authorization``, or the one that the sender was told to send.
    :param scheme: the word before the token; ``Bearer`` in ``Authorization`` (RFC 6750) and none elsewhere, unless
        given.
    """

    secrets: tuple[WebhookSecret, ...] = field(converter=secrets_of)
    header: str = field(default="Authorization", validator=_is_header)
    scheme: str | None = None

    def __attrs_post_init__(self) -> None:
        judge(self.secrets, _token)

    def verify(self, delivery: Delivery, now: datetime) -> Verified:
        """That the sender knows the token.

        :raises SignatureInvalid: when it does not.
        """
        word, given = self._word, told(delivery, self.header)
        # Its letters may be of either case (RFC 9110, section 11.1); the token's may not.
        if given[: len(word)].lower() != word.lower():
            raise SignatureInvalid(f"the token in {self.header} does not follow {word.strip()!r}")
        if not without_early_exit(active(self.secrets, now, _token), [given[len(word) :]]):
            raise SignatureInvalid(f"the token in {self.header} is none that counts")
        return Verified()

    def handshake(self, delivery: Delivery) -> Answer | None:
        """None: there is no such request."""
        return None

    def signed(self, delivery: Delivery, at: datetime, message_id: str) -> Delivery:
        """The delivery with the first token that counts, for tests."""
        return with_headers(delivery, {self.header: f"{self._word}{active(self.secrets, at, _token)[0]}"})

    @property
    def _word(self) -> str:
        default = "Bearer" if self.header.lower() == "authorization" else ""
        word = default if self.scheme is None else self.scheme
        return f"{word} " if word else ""


@frozen(kw_only=True)
class AllowList:
    """The sender's addresses. The host says who calls (``Delivery.client``): behind a proxy, only what that proves.

    :param networks: ranges such as ``198.51.100.0/24``.
    """

    networks: tuple[str, ...] = field(converter=tuple, validator=_not_empty)

    def __attrs_post_init__(self) -> None:
        networks(self.networks)

    def verify(self, delivery: Delivery, now: datetime) -> Verified:
        """That it comes from there.

        :raises SignatureInvalid: when it does not, or the host does not say.
        """
        try:
            address = ip_address(delivery.client or "")
        except ValueError:
            raise SignatureInvalid("the host did not say which address the delivery comes from") from None
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if not any(address in one for one in networks(self.networks)):
            raise SignatureInvalid("the delivery comes from another address")
        return Verified()

    def handshake(self, delivery: Delivery) -> Answer | None:
        """None: there is no such request."""
        return None

    def signed(self, delivery: Delivery, at: datetime, message_id: str) -> Delivery:
        """The delivery from the first address, for tests."""
        return evolve(delivery, client=str(networks(self.networks)[0].network_address))


@frozen(kw_only=True)
class ClientCertificate:
    """The sender's certificate, which the host's TLS has verified (``Delivery.certificate``).

    :param subjects: those that may send, spelled as the host gives them.
    """

    subjects: tuple[str, ...] = field(converter=tuple, validator=_not_empty)

    def verify(self, delivery: Delivery, now: datetime) -> Verified:
        """That it is one of these.

        :raises SignatureInvalid: when it is not, or the host gives none.
        """
        if not delivery.certificate or delivery.certificate not in self.subjects:
            raise SignatureInvalid("the delivery came without a certificate that may send")
        return Verified()

    def handshake(self, delivery: Delivery) -> Answer | None:
        """None: there is no such request."""
        return None

    def signed(self, delivery: Delivery, at: datetime, message_id: str) -> Delivery:
        """The delivery with the first certificate, for tests."""
        return evolve(delivery, certificate=self.subjects[0])


@frozen(kw_only=True)
class UnsignedTrustingUrlAlone:
    """Nothing proves the sender: whoever learns the URL can write stock levels.

    Only for a sender that offers nothing else, with a long random path and ``https``; an :class:`AllowList` is better.
    """

    def verify(self, delivery: Delivery, now: datetime) -> Verified:
        """Always good, and proves nothing."""
        return Verified()

    def handshake(self, delivery: Delivery) -> Answer | None:
        """None: there is no such request."""
        return None

    def signed(self, delivery: Delivery, at: datetime, message_id: str) -> Delivery:
        """The delivery itself."""
        return delivery


@frozen(kw_only=True)
class AllOf:
    """Several schemes, each of which must hold: a signature and an allow-list.

    The id of a delivery is that of the first scheme that signs one, else the first that has one.
    """

    schemes: tuple[SignatureScheme, ...] = field(converter=tuple, validator=_not_empty)

    def verify(self, delivery: Delivery, now: datetime) -> Verified:
        """What they prove together.

        :raises SignatureInvalid: when one of them does not hold.
        """
        found = [scheme.verify(delivery, now) for scheme in self.schemes]
        ids = sorted((one for one in found if one.id is not None), key=lambda one: not one.id_signed)
        first = ids[0] if ids else Verified()
        return evolve(first, sent_at=next((one.sent_at for one in found if one.sent_at), None))

    def handshake(self, delivery: Delivery) -> Answer | None:
        """The first one's that has one, for callers that the others know by address or certificate."""
        answer = next((made for scheme in self.schemes if (made := scheme.handshake(delivery))), None)
        if answer is None:
            return None
        try:
            for scheme in self.schemes:
                if isinstance(scheme, AllowList | ClientCertificate):
                    scheme.verify(delivery, delivery.received_at)
        except SignatureInvalid:
            return Answer(401)
        return answer
