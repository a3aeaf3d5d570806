"""No connection is ever made to an address that may not be reached, whatever names it and however it is spelled.

What proves it is a recorder at the lowest level, where a socket is connected; nothing above is taken at its word.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from attrs import define, field, frozen

from inventory_sources._http import Dialling, HttpClient, HttpLimits, HttpRequest, patience
from inventory_sources.connectors import FtpConnector, FtpServer, HttpConnector, SftpConnector, SftpServer
from inventory_sources.errors import AddressDenied, ConfigurationError, ConnectFailed, FetchError, NotifyError
from inventory_sources.netguard import dial
from inventory_sources.notifiers import HttpNotifier
from inventory_sources.protocols.notifier import Notification, NotificationKind
from inventory_sources.rest import ClientCredentials, RestConnector, RestSession
from inventory_sources.secrets import Secret
from inventory_sources.testing import fetch_context
from inventory_sources.testing.servers import Response, ScriptedHttpServer

DENIED = """
0.0.0.0 0.0.0.1 0.255.255.255 10.0.0.0 10.1.2.3 10.255.255.255 100.64.0.0 100.100.100.200 100.127.255.255 127.0.0.0
127.0.0.2 127.1.2.3 127.255.255.255 168.63.129.16 169.254.0.0 169.254.169.254 169.254.170.2 172.16.0.0 172.20.1.1
172.31.255.255 192.0.0.0 192.0.0.170 192.0.0.192 192.0.2.1 192.31.196.1 192.52.193.1 192.88.99.1 192.168.0.0 192.168.1.1
192.168.255.255 192.175.48.1 198.18.0.0 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1
255.255.255.255
:: ::1 ::2 ::7f00:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0.0.0.0 ::ffff:0:127.0.0.1
64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b:1::8.8.8.8 100::1 2001::1 2001:0:7f00:1::
2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1:: 2002:a00:1::1
2002:a9fe:a9fe:: 2620:4f:8000::1 3ffe::1 3fff::1 4000::1 5f00::1 fc00::1 fd00:ec2::254 fd12:3456:789a::1 fe80::1
fec0::1 ff02::1 ff0e::1 2a00:1450:4001:82a:0:5efe:10.0.0.1 2a00:1450:4001:82a:200:5efe:7f00:1
""".split()

#: Servers that are what they seem.
PUBLIC_NAMES = [f"{name}.{zone}" for zone in ("com", "de", "co.uk", "xn--p1ai", "shop") for name in """
erp api1 api-2 stock.feeds 1and1 x a.b.c.d n0 web-01.eu-west-1 xn--mnchen-3ya my_host shop7 10-0-0-1 0x7f-host
127-0-0-1.static localhost-not dead-beef internal-but-public metadata-api 8x8 e
""".split()]  # fmt: skip


@define
class Recorder:
    """Notes each connect, and lets none through but those to one server of the test."""

    let_through: int | None = None
    made: list[tuple[str, int]] = field(factory=list)

    @property
    def reached(self) -> list[str]:
        """The addresses, without the test's own server."""
        return [host for host, port in self.made if port != self.let_through]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    found = Recorder()
    really = socket.socket.connect

    def connect(self: socket.socket, address: tuple[str, int]) -> None:
        found.made.append((address[0], address[1]))
        if address[1] != found.let_through:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "recorded")
        really(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket.socket, "connect_ex", connect)
    return found


def lenient(host: str, port: int) -> list[str]:
    """A resolver that reads every number that a C library does."""
    try:
        return [socket.inet_ntoa(socket.inet_aton(host))]
    except OSError:
        raise socket.gaierror(socket.EAI_NONAME, "no such name") from None


@frozen(kw_only=True)
class Http(HttpConnector):
    resolver: Callable[[str, int], Iterable[str]] = lenient

    def resolve(self, host: str, port: int) -> Iterable[str]:
        return self.resolver(host, port)


@frozen(kw_only=True)
class Rest(RestConnector):
    resolver: Callable[[str, int], Iterable[str]] = lenient

    def resolve(self, host: str, port: int) -> Iterable[str]:
        return self.resolver(host, port)


def fetch(connector: HttpConnector | RestConnector | FtpConnector | SftpConnector, folder: Path) -> None:
    list(connector.fetch(fetch_context(folder)))


def at(address: str, port: int | None = None, scheme: str = "https") -> str:
    host = f"[{address}]" if ":" in address else address
    return f"{scheme}://{host}{f':{port}' if port else ''}/stock"


@contextmanager
def refused(recorder: Recorder, *also: type[Exception]) -> Iterator[None]:
    with pytest.raises((AddressDenied, *also)) as caught:
        yield
    assert recorder.reached == [], caught.value


# --- each address by each way ---------------------------------------------------------------------------------------


def by_url(address: str, folder: Path) -> None:
    fetch(Http(at(address)), folder)


def by_url_in_the_clear(address: str, folder: Path) -> None:
    fetch(Http(at(address, 6379, "http")), folder)


def by_name(address: str, folder: Path) -> None:
    fetch(Http("https://erp.example.com/", resolver=lambda host, port: [address]), folder)


def by_name_among_public_ones(address: str, folder: Path) -> None:
    fetch(Http("https://erp.example.com/", resolver=lambda host, port: ["8.8.8.8", address, "1.1.1.1"]), folder)


def by_api(address: str, folder: Path) -> None:
    fetch(Rest("https://api.example.com/", records="", resolver=lambda host, port: [address]), folder)


def by_token_url(address: str, folder: Path) -> None:
    auth = ClientCredentials(token_url=at(address), client_id="me", client_secret=Secret("s3cret"))
    fetch(Rest("https://api.example.com/", records="", auth=auth, resolver=lambda host, port: ["8.8.8.8"]), folder)


def by_ftp(address: str, folder: Path) -> None:
    fetch(FtpConnector("stock.csv", server=FtpServer(address, username="u", password=Secret("p"))), folder)


def by_sftp(address: str, folder: Path) -> None:
    key = "SHA256:" + "A" * 43
    server = SftpServer(address, username="u", password=Secret("p"), host_key=key)
    fetch(SftpConnector("stock.csv", server=server), folder)


def by_notifier(address: str, folder: Path) -> None:
    told = Notification("1", "erp", NotificationKind.FAILED, "1", "failed", datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(NotifyError, match="may not be reached"):
        HttpNotifier(at(address)).notify(told)
    raise AddressDenied("as the notifier says")


WAYS = [
    by_url,
    by_url_in_the_clear,
    by_name,
    by_name_among_public_ones,
    by_api,
    by_token_url,
    by_ftp,
    by_sftp,
    by_notifier,
]


@pytest.mark.parametrize("address", DENIED)
@pytest.mark.parametrize("way", WAYS)
def test_no_way_leads_there(way: Callable[[str, Path], None], address: str, recorder: Recorder, tmp_path: Path) -> None:
    with refused(recorder):
        way(address, tmp_path)


@pytest.mark.parametrize("address", DENIED)
@pytest.mark.parametrize("by_a_name", [True, False])
def test_no_redirect_leads_there(address: str, by_a_name: bool, recorder: Recorder) -> None:
    location = "https://erp.example.com/" if by_a_name else at(address)
    limits = HttpLimits(max_redirects=3)
    dialling = Dialling(allow_private=("127.0.0.9/32",), resolver=lambda host, port: [address])
    with ScriptedHttpServer([Response(b"", 302, {"Location": location})], host="127.0.0.9") as server:
        recorder.let_through = server.port
        context = fetch_context(Path("/nonexistent"))
        with HttpClient(limits, patience(limits, context.clock, context), dialling) as client, refused(recorder):
            RestSession(client, context).send(HttpRequest(server.url))
        assert len(server.requests) == 1


# --- spellings ------------------------------------------------------------------------------------------------------

NUMBERS = """
2130706433 017700000001 0x7f000001 0X7F000001 0x7f.0.0.1 0x7f.0x0.0x0.0x1 0177.0.0.1 0177.0.0.01 127.1 127.0.1 127.0x1
127.0.0.01 127.0.0.0x1 0 0x0 00 127.0.0.1. 127.1. 2852039166 0xa9fea9fe 0251.0376.0251.0376 0xa9.0xfe.0xa9.0xfe
169.254.43518 169.16689662 10.1 0xa.1 012.0.0.1 0xc0a80101 192.168.257 3232235777 4294967296 256.256.256.256 1.2.3.4.5
127.0.0.1.. .127.0.0.1 127..0.1 00000177.0.0.1 0x7f.1 0x00000000000000007f000001
""".split()
HOSTS = [
    *NUMBERS,
    "0127.0.0.1",
    "[::1%25lo]", "[::1%lo]", "[fe80::1%25eth0]", "[fe80::1%eth0]", "[::ffff:127.0.0.1%25lo]", "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:7f00:0001]", "[0000:0000:0000:0000:0000:0000:0000:0001]", "[0::1]", "[::0:1]", "[::127.0.0.1]",
    "[::1]]", "[[::1]]", "[::1", "::1", "[127.0.0.1]", "[::ffff:127.1]", "[::ffff:0177.0.0.1]", "[v1.fe80::a]", "[]",
    "[::1].example.com", "[::FFFF:127.0.0.1]", "[64:FF9B::7F00:1]", "[2002:7f00:0001::]", "[::ffff:0x7f.0.0.1]",
    "127.0.0.1\u3002", "127\u30020\u30020\u30021", "127\uff0e0\uff0e0\uff0e1", "127\uff610\uff610\uff611",
    "\u2460\u2461\u2466.0.0.1", "\uff11\uff12\uff17.0.0.1", "\u0661\u0662\u0667.0.0.1", "loc\u00adalhost",
    "local\u200bhost", "\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3", "\u2113ocalhost", "localho\u017ft",
    "%6c%6f%63%61%6c%68%6f%73%74", "127%2e0%2e0%2e1", "%31%32%37.0.0.1", "127.0.0.1%00.example.com", "127.0.0.1%2f",
    "example.com@127.0.0.1", "example.com:80@127.0.0.1", "example.com%40127.0.0.1", "@127.0.0.1", ":@127.0.0.1",
    "127.0.0.1\\@example.com", "example.com\\@127.0.0.1", "127.0.0.1\\.example.com", "\\127.0.0.1", "/127.0.0.1",
    "127.0.0.1#@example.com", "example.com#@127.0.0.1", "example.com?@127.0.0.1:1\\", "127.0.0.1 .example.com",
    "127.0.0.1\t.example.com", "127.0.0.1\n", "127.0.0.1\r\nHost: example.com", "\t127.0.0.1", " 127.0.0.1",
    "127.0.0.1\x00.example.com", "127.0.0.1\x0b", "127.0.0.1,example.com", "127.0.0.1;example.com",
    "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:99999", "127.0.0.1:-1", "127.0.0.1:80:80", "127.0.0.1:8 0",
    "127.0.0.1:\u0668\u0660", "127.0.0.1:0x50", "127.0.0.1:+80", "127.0.0.1:80@example.com", "localhost.", "-127.0.0.1",
    "127.0.0.1*", "127.0.0.1|", "127.0.0.1'", '127.0.0.1"', "{127.0.0.1}", "$127.0.0.1", "", ".", "..",
]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("connector", [Http, lambda url: Rest(url, records="")])
def test_no_spelling_leads_there(
    connector: Callable[[str], HttpConnector | RestConnector], host: str, recorder: Recorder, tmp_path: Path
) -> None:
    # A name that is none is not found: that it was asked for did no harm.
    with refused(recorder, ConfigurationError, ConnectFailed):
        fetch(connector(f"http://{host}/stock"), tmp_path)


@pytest.mark.parametrize("host", NUMBERS)
@pytest.mark.parametrize("way", [by_ftp, by_sftp])
def test_no_number_leads_a_file_server_there(
    way: Callable[[str, Path], None], host: str, recorder: Recorder, tmp_path: Path
) -> None:
    # The machine's own resolver reads them as it likes; what it gives is judged.
    with refused(recorder, ConfigurationError, ConnectFailed):
        way(host, tmp_path)


@pytest.mark.parametrize(
    "url",
    """
    ftp://127.0.0.1/ file:///etc/passwd file://127.0.0.1/etc/passwd gopher://127.0.0.1:6379/_x dict://127.0.0.1:11211/
    ldap://127.0.0.1/ tftp://127.0.0.1/ sftp://127.0.0.1/ jar:http://127.0.0.1!/ netdoc:///etc/passwd data:,x
    javascript:x unix:///run/docker.sock http+unix://%2frun%2fdocker.sock/ HTTP://127.0.0.1/ hTTp://127.0.0.1/
    http:127.0.0.1/ http:/127.0.0.1/ http:///127.0.0.1/ http:\\\\127.0.0.1/ //127.0.0.1/ 127.0.0.1/ 127.0.0.1:80
    url:http://127.0.0.1/ http://http://127.0.0.1/ http://127.0.0.1:80\\@example.com/
    """.split(),
)
def test_no_other_scheme_is_taken(url: str, recorder: Recorder) -> None:
    for connector in (HttpConnector, HttpNotifier, lambda url: RestConnector(url, records="")):
        with refused(recorder, ConfigurationError):
            connector(url)
            raise AssertionError(url)


# --- names that resolve to something else ---------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::1", "::ffff:10.0.0.1", "fd00::1"])
def test_a_name_that_turns_private_is_not_followed(address: str, recorder: Recorder) -> None:
    answers = iter([["8.8.8.8"], [address]])
    limits = HttpLimits()
    context = fetch_context(Path("/nonexistent"))
    dialling = Dialling(resolver=lambda host, port: next(answers))
    with HttpClient(limits, patience(limits, context.clock, context), dialling) as client:
        with pytest.raises(ConnectFailed):
            client.send(HttpRequest("https://erp.example.com/"))
        with pytest.raises(AddressDenied):
            client.send(HttpRequest("https://erp.example.com/"))
    assert recorder.reached == ["8.8.8.8"]


@pytest.mark.parametrize("name", ["localhost", "localhost.localdomain", "ip6-localhost", "router.lan", "a.internal"])
def test_names_of_the_machine_are_judged_by_their_addresses(name: str, recorder: Recorder, tmp_path: Path) -> None:
    with refused(recorder):
        fetch(Http(f"http://{name}/", resolver=lambda host, port: ["::1", "127.0.0.1"]), tmp_path)


@pytest.mark.parametrize(
    "answer", ["127.1", "0x7f000001", "localhost", "", "8.8.8.8/32", "8.8.8.8 ", "1.1.1.1\n", "::1%lo"]
)
def test_what_a_resolver_gives_must_be_an_address(answer: str, recorder: Recorder, tmp_path: Path) -> None:
    with refused(recorder):
        fetch(Http("http://erp.example.com/", resolver=lambda host, port: [answer]), tmp_path)


def test_the_address_that_was_judged_is_the_one_that_is_dialled(recorder: Recorder, tmp_path: Path) -> None:
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["8.8.8.8"] if len(asked) == 1 else ["127.0.0.1"]

    with suppress(FetchError):
        fetch(Http("https://erp.example.com/", resolver=rebinding), tmp_path)
    assert (asked, recorder.reached) == (["erp.example.com"], ["8.8.8.8"])


def test_an_operators_range_opens_no_other(recorder: Recorder) -> None:
    from inventory_sources.netguard import networks

    for allowed in ("10.1.0.0/16", "fd00:1::/32", "127.0.0.1/32"):
        for address in ("10.2.0.1", "fd00:2::1", "127.0.0.2", "169.254.169.254", "::1", "::ffff:127.0.0.2"):
            with refused(recorder):
                dial(address, 443, lambda: 5.0, allowed=networks([allowed]))


# --- and nobody else is refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PUBLIC_NAMES)
def test_public_names_are_reached(name: str, recorder: Recorder, tmp_path: Path) -> None:
    number = PUBLIC_NAMES.index(name)
    address = ["8.8.8.8", "93.184.215.14", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::808:808"][number % 5]
    scheme, port = [("https", ""), ("http", ""), ("https", ":8443"), ("http", ":8080")][number % 4]
    with pytest.raises(ConnectFailed):
        fetch(Http(f"{scheme}://{name}{port}/stock.csv?shop=7", resolver=lambda host, port: [address]), tmp_path)
    assert [socket.inet_pton(_family(host), host) for host in recorder.reached] == [
        socket.inet_pton(_family(address), address)
    ]


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def test_there_are_enough_of_them() -> None:
    assert len(set(PUBLIC_NAMES)) >= 100
    assert len(DENIED) * (len(WAYS) + 2) + 2 * len(HOSTS) >= 400
