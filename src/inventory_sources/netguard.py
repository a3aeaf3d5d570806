"""Which addresses may be reached, judged at the dial.

Where a tenant says where to connect to, a name can resolve to a machine inside the operator's network, and to another
address at each look. So every address a name resolves to is judged, and the very address that was judged is dialled.
The ranges come from the IANA special-purpose registries
(https://www.iana.org/assignments/iana-ipv4-special-registry, https://www.iana.org/assignments/iana-ipv6-special-registry);
``ipaddress.is_global`` is not used because it lets NAT64, 6to4 and site-local addresses pass.
"""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from inventory_sources.errors import AddressDenied, ConfigurationError, ConnectFailed, FetchTimeout

__all__ = ["Address", "Network", "Resolver", "dial", "judge", "judge_port", "networks", "system_resolver"]

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

#: Takes a name and a port, gives the addresses as text; raises ``OSError`` when there are none.
Resolver: TypeAlias = Callable[[str, int], Iterable[str]]

_DENIED: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(text), kind)
    for text, kind in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by a carrier's NAT"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud platform's own"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved for protocols"),
        ("192.0.2.0/24", "for documentation"),
        ("192.31.196.0/24", "reserved for AS112"),
        ("192.52.193.0/24", "reserved for AMT"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "reserved for AS112"),
        ("198.18.0.0/15", "for benchmarking"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved or broadcast"),
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::/96", "IPv4-compatible"),
        ("64:ff9b:1::/48", "translated to a local IPv4 address"),
        ("100::/64", "for discarding"),
        ("2001:2::/48", "for benchmarking"),
        ("2001::/32", "a Teredo tunnel"),
        ("2001::/23", "reserved for protocols"),
        ("2001:db8::/32", "for documentation"),
        ("2002::/16", "a 6to4 tunnel"),
        ("2620:4f:8000::/48", "reserved for AS112"),
        ("3ffe::/16", "withdrawn"),
        ("3fff::/20", "for documentation"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
#: Ports of other protocols, at which no HTTP is spoken: the "bad ports" of https://fetch.spec.whatwg.org/#port-blocking,
#: and those of databases, caches, brokers and remote control.
_NOT_HTTP = frozenset(
    map(
        int,
        "0 1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 104 109 110 111 113 115 117 119 "
        "123 135 137 139 143 161 179 389 427 465 512 513 514 515 526 530 531 532 540 548 554 556 563 587 601 636 989 "
        "990 993 995 1719 1720 1723 2049 3659 4045 4190 5060 5061 6000 6566 6665 6666 6667 6668 6669 6679 6697 10080 "
        "445 1433 1521 2375 2376 2379 2380 3306 3389 5432 5672 5900 6379 6380 9042 11211 27017".split(),
    )
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
#: The first half of an interface identifier behind which an IPv4 address stands (RFC 5214, section 6.1).
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Ranges in CIDR notation, such as ``10.1.0.0/16``.

    :raises ConfigurationError: for a text that is not one.
    """
    found = []
    for text in texts:
        try:
            found.append(ip_network(text))
        except ValueError:
            raise ConfigurationError(f"{text!r} is not a range of addresses such as '10.1.0.0/16'") from None
    return tuple(found)


def judge(address: str | Address, allowed: Sequence[Network] = (), *, name: str | None = None) -> Address:
    """The address to dial, when it may be reached.

    An IPv4 address inside a mapped or NAT64 one is judged in its place, one inside an ISATAP one beside it.

    :param allowed: ranges that an operator has opened although they are not public.
    :param name: what to call the address in the error; the address itself unless given, so that the answer of an
        internal name server is not shown to whoever named it.
    :raises AddressDenied: when it may not.
    """
    shown = name or str(address)
    try:
        found = ip_address(address) if isinstance(address, str) else address
    except ValueError:
        raise AddressDenied(f"{shown} has no readable address") from None
    for target in _targets(found):
        kind = None if any(target in network for network in allowed) else _denied_kind(target)
        if kind:
            raise AddressDenied(f"{shown} may not be reached from here: its address is {kind}")
    return found


def judge_port(host: str, port: int) -> None:
    """Refuses to speak HTTP at a port where another protocol is at home, and may be misled by it.

    :raises AddressDenied: when it is one of those.
    """
    if port in _NOT_HTTP:
        raise AddressDenied(
            f"{host}, port {port}, may not be reached by HTTP: another protocol is at home there",
            guidance="Have the API served at another port, such as 443.",
        )


def _targets(address: Address) -> tuple[Address, ...]:
    """Where packets for an address may end up."""
    if isinstance(address, IPv4Address):
        return (address,)
    last = IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _NAT64 or address.ipv4_mapped:
        return (last,)
    return (address, last) if int(address) >> 32 & 0xFFFFFFFF in _ISATAP else (address,)


def _denied_kind(address: Address) -> str | None:
    if isinstance(address, IPv6Address) and address.scope_id:
        return "bound to one interface"
    for network, kind in _DENIED:
        if address in network:
            return kind
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return "outside the assigned global range"
    return None


def system_resolver(host: str, port: int) -> list[str]:
    """The addresses that the machine's own resolver gives for a name."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def dial(
    host: str,
    port: int,
    wait: Callable[[], float],
    *,
    allowed: Sequence[Network] = (),
    resolver: Resolver = system_resolver,
) -> socket.socket:
    """A TCP connection to an address of ``host`` that was judged.

    One address that may not be reached is enough to refuse the name: an honest one has no such mixture.

    :param host: a name, or an address, which is not resolved.
    :param wait: how many seconds may be waited now; raises when there are none left.
    :raises AddressDenied: when one of its addresses may not be reached.
    :raises ConnectFailed: when the name is not found or no address answers.
    :raises FetchTimeout: when the last address did not answer in time.
    """
    candidates = [judge(address, allowed, name=host) for address in _addresses(host, port, wait, resolver)]
    failure: OSError | None = None
    for address in candidates:
        try:
            return socket.create_connection((str(address), port), timeout=wait())
        except OSError as error:
            failure = error
    if isinstance(failure, TimeoutError):
        raise FetchTimeout(f"{host}, port {port}, did not answer in time")
    reason = failure.strerror if failure else "the name has no address"
    raise ConnectFailed(f"no connection to {host}, port {port}: {reason}")


def _addresses(host: str, port: int, wait: Callable[[], float], resolver: Resolver) -> list[str]:
    try:
        return [str(ip_address(host))]
    except ValueError:
        return _resolved(host, port, wait, resolver)


def _resolved(host: str, port: int, wait: Callable[[], float], resolver: Resolver) -> list[str]:
    # getaddrinfo knows no timeout, so a thread waits for it; one that hangs ends when the resolver gives up.
    answers: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(list(resolver(host, port)))
        except Exception as error:  # noqa: BLE001 - raised again by the thread that waits
            answers.put(error)

    threading.Thread(target=ask, name="inventory-sources-resolver", daemon=True).start()
    try:
        answer = answers.get(timeout=wait())
    except queue.Empty:
        raise FetchTimeout(f"the name {host} was not resolved in time") from None
    if isinstance(answer, (OSError, UnicodeError)):
        raise ConnectFailed(f"the name {host} was not found")
    if isinstance(answer, Exception):
        raise answer
    return answer
