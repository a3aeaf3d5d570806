"""Addresses that may not be reached are refused, and the address that was judged is the one that is dialled."""

from __future__ import annotations

import socket
import threading
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory_sources.errors import AddressDenied, ConfigurationError, ConnectFailed, FetchTimeout
from inventory_sources.netguard import dial, judge, judge_port, networks

DENIED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",
    "::127.0.0.1",
    "::8.8.8.8",
    "64:ff9b::127.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::8.8.8.8",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "3fff::1",
    "3ffe::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "2606:4700::1111%eth0",
    "fec0::1",
    "feff::1",
    "ff02::1",
    "2a00:1450::5efe:10.0.0.1",
    "2a00:1450::200:5efe:127.0.0.1",
    "fe80::5efe:8.8.8.8",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "11.0.0.1",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450::1",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2a00:1450::5efe:8.8.8.8",
    "2a00:1450::5eff:10.0.0.1",
]


def wait() -> float:
    return 5.0


@pytest.mark.parametrize("address", DENIED)
def test_an_address_that_is_not_public_is_denied(address: str) -> None:
    with pytest.raises(AddressDenied):
        judge(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_passes_as_it_is(address: str) -> None:
    assert judge(address) == ip_address(address)


@given(st.ip_addresses(v=4))
def test_what_python_calls_not_global_is_denied_too(address: object) -> None:
    found = ip_address(str(address))
    if not found.is_global:
        with pytest.raises(AddressDenied):
            judge(found)


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:", "64:ff9b::"]))
def test_an_embedded_address_is_judged_as_itself(address: object, prefix: str) -> None:
    def passes(text: str) -> bool:
        try:
            judge(text)
        except AddressDenied:
            return False
        return True

    assert passes(f"{prefix}{address}") == passes(str(address))


def test_an_operator_opens_exactly_the_ranges_given() -> None:
    allowed = networks(["10.1.0.0/16", "fd00:1::/32"])
    assert str(judge("10.1.2.3", allowed)) == "10.1.2.3"
    assert str(judge("fd00:1::5", allowed)) == "fd00:1::5"
    for outside in ("10.2.0.1", "127.0.0.1", "fd00:2::5"):
        with pytest.raises(AddressDenied):
            judge(outside, allowed)


@pytest.mark.parametrize("text", ["10.1.2.3/8", "ten", "10.0.0.0/33", ""])
def test_a_range_that_is_not_one_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        networks([text])


def test_an_error_does_not_show_what_an_internal_name_resolves_to() -> None:
    with pytest.raises(AddressDenied) as caught:
        dial("db.internal.example", 80, wait, resolver=lambda host, port: ["10.9.8.7"])
    assert "10.9.8.7" not in str(caught.value)
    assert "db.internal.example" in str(caught.value)


def test_one_denied_address_among_public_ones_refuses_the_name() -> None:
    with pytest.raises(AddressDenied):
        dial("mixed.example", 80, wait, resolver=lambda host, port: ["8.8.8.8", "127.0.0.1"])


def test_the_name_is_resolved_once_and_the_judged_address_is_dialled() -> None:
    answers = [["127.0.0.1"], ["127.0.0.2"]]
    asked = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers[len(asked) - 1]

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        allowed = (ip_network("127.0.0.1/32"),)
        with dial("erp.example", port, wait, allowed=allowed, resolver=rebinding) as connection:
            assert connection.getpeername()[:2] == ("127.0.0.1", port)
    assert asked == ["erp.example"]


def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        allowed = networks(["127.0.0.0/8"])
        with dial("erp.example", port, wait, allowed=allowed, resolver=lambda h, p: ["127.0.0.9", "127.0.0.1"]) as made:
            assert made.getpeername()[0] == "127.0.0.1"


def test_a_port_where_nobody_listens_is_a_failed_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConnectFailed, match=str(port)):
        dial("127.0.0.1", port, wait, allowed=networks(["127.0.0.0/8"]))


def test_a_name_that_is_not_found_or_has_no_address_is_a_failed_connection() -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    for resolver in (unknown, lambda host, port: []):
        with pytest.raises(ConnectFailed, match=r"erp\.example"):
            dial("erp.example", 80, wait, resolver=resolver)


def test_a_resolver_that_hangs_is_given_up() -> None:
    released = threading.Event()

    def hanging(host: str, port: int) -> list[str]:
        released.wait(60)
        return []

    with pytest.raises(FetchTimeout):
        dial("erp.example", 80, lambda: 0.05, resolver=hanging)
    released.set()


@pytest.mark.parametrize("port", [22, 25, 53, 110, 143, 445, 587, 2375, 3306, 5432, 6379, 6667, 11211, 27017])
def test_http_is_not_spoken_where_another_protocol_is_at_home(port: int) -> None:
    with pytest.raises(AddressDenied, match=f"erp.example, port {port},"):
        judge_port("erp.example", port)


@pytest.mark.parametrize("port", [80, 443, 3000, 5000, 8000, 8069, 8080, 8443, 9000, 44300, 50000])
def test_http_is_spoken_at_the_ports_of_usual_servers(port: int) -> None:
    judge_port("erp.example", port)


def test_neither_a_url_nor_a_redirect_leads_to_such_a_port(tmp_path) -> None:
    from inventory_sources.rest import HttpLimits, RestConnector
    from inventory_sources.testing import fetch_context
    from inventory_sources.testing.servers import Response, ScriptedHttpServer

    def fetched(url: str) -> None:
        limits = HttpLimits(max_redirects=2)
        connector = RestConnector(url, records="", limits=limits, allow_private=("127.0.0.0/8",))
        list(connector.fetch(fetch_context(tmp_path)))

    with pytest.raises(AddressDenied, match="port 25,"):
        fetched("http://127.0.0.1:25/")
    with ScriptedHttpServer([Response(b"", 302, {"Location": "http://127.0.0.1:6379/"})]) as server:
        with pytest.raises(AddressDenied, match="port 6379,"):
            fetched(server.url)
