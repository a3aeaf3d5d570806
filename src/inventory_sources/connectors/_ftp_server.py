"""Where an FTP server is and how to get in."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import TYPE_CHECKING, Any

from attrs import Attribute, Factory, field, frozen

from inventory_sources.errors import ConfigurationError
from inventory_sources.netguard import networks
from inventory_sources.secrets import Secret

if TYPE_CHECKING:
    import ssl

__all__ = ["FtpSecurity", "FtpServer"]


class FtpSecurity(Enum):
    """How a session is protected.

    ``EXPLICIT`` asks for TLS before anything else (``AUTH TLS``), ``IMPLICIT`` begins with it. ``NONE`` sends the
    password and every file in the clear: for an operator to choose, on a network that is trusted.
    """

    EXPLICIT = "explicit"
    IMPLICIT = "implicit"
    NONE = "none"


def _security(value: FtpSecurity | str) -> FtpSecurity:
    try:
        return FtpSecurity(value)
    except ValueError:
        raise ConfigurationError("security must be explicit, implicit or none") from None


def _usual_port(server: FtpServer) -> int:
    return 990 if server.security is FtpSecurity.IMPLICIT else 21


def _ranges(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)


def _valid_networks(instance: FtpServer, attribute: object, ranges: tuple[str, ...]) -> None:
    networks(ranges)


def _positive(instance: FtpServer, attribute: Attribute[Any], value: float) -> None:
    if not value > 0:
        raise ConfigurationError(f"{attribute.name} must be more than 0")


def _plain(instance: FtpServer, attribute: Attribute[Any], text: str) -> None:
    if not text or not text.isprintable():
        raise ConfigurationError(f"{attribute.name} is empty or has control characters")


def _valid_port(instance: FtpServer, attribute: object, port: int) -> None:
    if not 1 <= port <= 65535:
        raise ConfigurationError("port must be from 1 to 65535")


def _valid_encoding(instance: FtpServer, attribute: object, encoding: str) -> None:
    try:
        usable = "USER a\r\n".encode(encoding) == b"USER a\r\n"
    except LookupError:
        usable = False
    if not usable:
        raise ConfigurationError(f"{encoding[:40]!r} is not an encoding that FTP commands can be written in")


def _valid_authority(instance: FtpServer, attribute: object, text: str | None) -> None:
    if text is not None:
        instance.tls()


@frozen
class FtpServer:
    """A file server and how to get in.

    :param host: a name or an address; a certificate must be valid for it.
    :param port: 21 unless given, and 990 where TLS is implicit.
    :param password: none means what anonymous users send.
    :param ca: certificates in PEM that may have signed the server's, in place of the system's.
    :param encoding: of the server's file names; every name must be readable in it.
    :param timeout: seconds for each step: to resolve, to connect, to shake hands, and for each piece to arrive.
    :param allow_private: ranges such as ``10.1.0.0/16`` that may be reached although they are not public. For an
        operator to set, never for whoever names the host.
    :param max_entries: names in one folder.
    :param session_reuse: whether data connections resume the TLS session of the control connection, which many
        servers insist on.
    :raises ConfigurationError: when one of these cannot be used.
    """

    host: str = field(validator=_plain)
    username: str = field(default="anonymous", validator=_plain, kw_only=True)
    password: Secret | None = field(default=None, kw_only=True)
    security: FtpSecurity = field(default=FtpSecurity.EXPLICIT, converter=_security, kw_only=True)
    port: int = field(default=Factory(_usual_port, takes_self=True), validator=_valid_port, kw_only=True)
    ca: str | None = field(default=None, repr=False, validator=_valid_authority, kw_only=True)
    encoding: str = field(default="utf-8", validator=_valid_encoding, kw_only=True)
    timeout: float = field(default=30.0, validator=_positive, kw_only=True)
    allow_private: tuple[str, ...] = field(default=(), converter=_ranges, validator=_valid_networks, kw_only=True)
    max_entries: int = field(default=100_000, validator=_positive, kw_only=True)
    session_reuse: bool = field(default=True, kw_only=True)

    @property
    def shown(self) -> str:
        """What errors call it."""
        return f"FTP server {self.host}, port {self.port}"

    def tls(self) -> ssl.SSLContext:
        """How certificates are verified; TLS 1.2 at least."""
        import ssl

        try:
            # To the library an empty text is none, for which it would trust the system's.
            context = ssl.create_default_context(cadata=None if self.ca is None else self.ca or "none")
        except (ssl.SSLError, TypeError):
            raise ConfigurationError("ca holds no certificate in PEM") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context
