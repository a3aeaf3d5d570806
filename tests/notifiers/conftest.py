"""Real receivers: an HTTP server and a mail relay, with certificates of an authority made for the test."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


@dataclass
class Inbox:
    """What a relay was given: for each mail its sender, recipients and text, and the sign-ins."""

    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    sign_ins: list[tuple[bytes, bytes]] = field(default_factory=list)
    protected: list[bool] = field(default_factory=list)
    refuses: frozenset[str] = frozenset()

    async def handle_RCPT(self, server, session, envelope, address, options) -> str:  # noqa: N802 - aiosmtpd's name
        if address in self.refuses:
            return "550 no such box, and by the way the password was hunter2"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope) -> str:  # noqa: N802 - aiosmtpd's name
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.envelopes.append((envelope.mail_from, list(envelope.rcpt_tos)))
        self.protected.append(session.ssl is not None)
        return "250 OK"

    def sign_in(self, server, session, envelope, mechanism, given) -> AuthResult:
        assert isinstance(given, LoginPassword)
        self.sign_ins.append((given.login, given.password))
        return AuthResult(success=given.password == b"right", handled=False)


class Relay(Controller):
    """A mail relay on the loopback; with ``smtps`` its port speaks TLS from the first byte."""

    def __init__(self, inbox: Inbox, *, smtps: ssl.SSLContext | None = None, **options: Any) -> None:
        self._options = options
        super().__init__(inbox, hostname="127.0.0.1", port=0, ssl_context=smtps)
        self.inbox = inbox

    def factory(self) -> SMTP:
        return SMTP(self.handler, hostname="relay.test", **self._options)

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def start_relay() -> Iterator[Callable[..., Relay]]:
    started: list[Relay] = []

    def start(inbox: Inbox | None = None, **options: Any) -> Relay:
        relay = Relay(inbox or Inbox(), **options)
        relay.start()
        started.append(relay)
        return relay

    yield start
    for relay in started:
        relay.stop()
