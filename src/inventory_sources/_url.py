r"""A web address in one spelling, so that what is judged is what is dialled.

Clients disagree on odd spellings (``http://127.1``, ``http://0x7f000001``, ``http://a\\@b``), which is how a filter is
passed. Only the plain form of RFC 3986 is taken, everything else is refused: see :meth:`WebAddress.parse`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import urlencode

from attrs import evolve, field, frozen

from inventory_sources.errors import ConfigurationError

__all__ = ["WebAddress"]

_SHAPE = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?]*)(?P<path>/[^?]*)?(?:\?(?P<query>.*))?")
_AUTHORITY = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*)(?::(?P<port>[0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
_VISIBLE = re.compile(r"[!-~]+")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@frozen
class WebAddress:
    """The parts of an ``http`` or ``https`` address.

    :param host: a name or an IPv4 or IPv6 address, without brackets.
    :param query: without the question mark; it may hold a key, so it is never shown.
    """

    scheme: str
    host: str
    port: int
    path: str
    query: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> WebAddress:
        """Reads an address of the form ``https://host:port/path?query``.

        :raises ConfigurationError: for another scheme, user names, fragments, backslashes, spaces, characters beyond
            ASCII, and hosts that are neither a name nor an address in its usual spelling.
        """
        shape = _SHAPE.fullmatch(text)
        if not shape or not _VISIBLE.fullmatch(text) or set(text) & set('\\#"<>^`{|}'):
            raise ConfigurationError(
                "the URL is not of the form https://host/path?query",
                guidance="Write it in ASCII: percent-encode the path and query, give a foreign name as xn--..., and "
                "leave out the fragment.",
            )
        host, port = _host_and_port(shape["authority"], _DEFAULT_PORTS[shape["scheme"]])
        return cls(shape["scheme"], host, port, shape["path"] or "/", shape["query"] or "")

    def with_query(self, more: Mapping[str, str]) -> WebAddress:
        """The same with more parameters behind its query."""
        return evolve(self, query="&".join(part for part in (self.query, urlencode(more)) if part))

    @property
    def server(self) -> tuple[str, str, int]:
        """What two addresses have in common that are of the same origin (RFC 6454)."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """Host and, where it is not the usual one, port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """What may be shown: everything but the query."""
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def target(self) -> str:
        """What the request line asks for."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def __str__(self) -> str:
        return self.origin


def _host_and_port(authority: str, default: int) -> tuple[str, int]:
    if "@" in authority:
        raise ConfigurationError(
            "the URL has a user name or password in it", guidance="Give the credentials as a Secret of their own."
        )
    match = _AUTHORITY.fullmatch(authority)
    host = _plain_host(match["host"]) if match else None
    port = int(match["port"]) if match and match["port"] else default
    if host is None or not 0 < port < 65536:
        raise ConfigurationError(
            "the URL's host is not a plain name or address, or its port is not a number from 1 to 65535",
            guidance="Use a name such as erp.example.com, an address such as 192.0.2.7 or [2001:db8::7].",
        )
    return host, port


def _plain_host(host: str) -> str | None:
    try:
        if host.startswith("["):
            return str(IPv6Address(host[1:-1])) if "%" not in host else None
        return str(IPv4Address(host))
    except AddressValueError:
        return None if host.startswith("[") else _plain_name(host)


def _plain_name(host: str) -> str | None:
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return None
    # A last label that is a number makes some resolvers read the whole as an IPv4 address (127.1, 0x7f.1).
    ends_in_number = re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1], re.IGNORECASE)
    return None if ends_in_number else host.lower()
