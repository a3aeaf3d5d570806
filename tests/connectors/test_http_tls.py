"""TLS is verified for the name in the URL, whatever address it resolves to."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterable

import pytest
import trustme
from attrs import field, frozen

from inventory_sources.connectors import HttpConnector
from inventory_sources.errors import ConnectFailed, FetchTimeout, Recovery
from inventory_sources.payload import Payload
from inventory_sources.protocols.connector import FetchContext
from inventory_sources.secrets import Secret
from inventory_sources.testing.servers import Response, ScriptedHttpServer

STOCK = b"sku,quantity\nA,5\n"


@frozen(kw_only=True)
class PrivateAuthority(HttpConnector):
    """A typed example: trusts a private certificate authority, and asks a resolver of its own."""

    authority: trustme.CA = field(repr=False)

    def tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context

    def resolve(self, host: str, port: int) -> Iterable[str]:
        return ["127.0.0.1"]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def serving(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def trusting(authority: trustme.CA, url: str, **options: object) -> PrivateAuthority:
    return PrivateAuthority(url, authority=authority, token=Secret("t0ken"), allow_private=("127.0.0.0/8",), **options)


def test_the_name_is_verified_although_its_address_is_dialled(authority: trustme.CA, context: FetchContext) -> None:
    with ScriptedHttpServer([Response(STOCK)], tls=serving(authority, "erp.example")) as server:
        (payload,) = trusting(authority, f"https://erp.example:{server.port}/stock").fetch(context)
        assert server.requests[0].headers["authorization"] == "Bearer t0ken"
    assert isinstance(payload, Payload)
    with payload.open() as stream:
        assert stream.read() == STOCK


def test_an_address_in_the_url_is_verified_as_an_address(authority: trustme.CA, context: FetchContext) -> None:
    with ScriptedHttpServer([Response(STOCK)], tls=serving(authority, "127.0.0.1")) as server:
        assert len(list(trusting(authority, server.url).fetch(context))) == 1


@pytest.mark.parametrize("certified", ["other.example", "127.0.0.1"])
def test_a_certificate_for_another_name_is_refused(
    certified: str, authority: trustme.CA, context: FetchContext
) -> None:
    with ScriptedHttpServer([Response(STOCK)], tls=serving(authority, certified)) as server:
        with pytest.raises(ConnectFailed, match="certificate"):
            list(trusting(authority, f"https://erp.example:{server.port}/").fetch(context))
        assert server.requests == ()


def test_an_unknown_authority_is_refused(authority: trustme.CA, context: FetchContext) -> None:
    with ScriptedHttpServer([Response(STOCK)], tls=serving(authority, "127.0.0.1")) as server:
        with pytest.raises(ConnectFailed, match="certificate") as raised:
            list(HttpConnector(server.url, allow_private=("127.0.0.0/8",)).fetch(context))
        assert server.requests == ()
    assert "tls()" in raised.value.guidance
    assert raised.value.recovery is Recovery.STOP


def test_a_server_without_tls_is_a_failed_connection(authority: trustme.CA, context: FetchContext) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def answer() -> None:
            connection, _ = plain.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.recv(65536)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ConnectFailed, match="something else than TLS"):
            list(trusting(authority, f"https://erp.example:{plain.getsockname()[1]}/").fetch(context))
        thread.join()


def test_a_server_that_never_shakes_hands_ends_at_the_timeout(authority: trustme.CA, context: FetchContext) -> None:
    # It listens, so the connection is made, but nobody ever answers.
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(FetchTimeout, match="TLS"):
        url = f"https://erp.example:{silent.getsockname()[1]}/"
        list(trusting(authority, url, timeout=0.2).fetch(context))
