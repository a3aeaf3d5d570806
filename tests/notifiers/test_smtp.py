from __future__ import annotations

import re
import socket
import ssl

import pytest
from attrs import evolve

from inventory_sources.errors import ConfigurationError, NotifyError
from inventory_sources.notifiers import SmtpNotifier
from inventory_sources.secrets import Secret
from inventory_sources.testing import NotifierContract, sample_notification

SENDER = "stock@shop.example"
BUYER = "buyer@shop.example"


def mail_through(relay, **fields):
    given = {"host": "127.0.0.1", "port": relay.port, "sender": SENDER, "recipients": [BUYER], "timeout": 10}
    return SmtpNotifier(**{**given, **fields})


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class TestSmtpNotifier(NotifierContract):
    @pytest.fixture(autouse=True)
    def _relay(self, start_relay):
        self.relay = start_relay()

    def make(self):
        return mail_through(self.relay, security="none")

    def make_broken(self):
        return SmtpNotifier("127.0.0.1", SENDER, [BUYER], port=closed_port(), security="none")

    def delivered(self):
        bodies = (mail.get_content() for mail in self.relay.inbox.mails)
        return [re.search(r"^Notification: (.*?)\r?$", body, re.MULTILINE)[1] for body in bodies]


def test_a_mail_says_what_happened_and_what_to_do(start_relay):
    relay = start_relay()
    mail_through(relay, security="none").notify(sample_notification())
    (mail,) = relay.inbox.mails
    assert relay.inbox.envelopes == [(SENDER, [BUYER])]
    assert mail["Subject"] == "[erp] failed: erp failed: HTTP 401"
    assert mail["Date"].datetime == sample_notification().at
    assert mail["Auto-Submitted"] == "auto-generated"
    for told in ("HTTP 401", "Correct the credentials.", "access_refused", "2026-01-02T03:04:05+00:00", "r-1"):
        assert told in mail.get_content()


def test_the_message_id_is_the_same_for_a_repetition_and_another_for_another(start_relay):
    relay = start_relay()
    notifier = mail_through(relay, security="none")
    for id in ("n-1", "n-1", "n-2"):  # noqa: A001
        notifier.notify(evolve(sample_notification(), id=id))
    first, again, other = (mail["Message-ID"] for mail in relay.inbox.mails)
    assert first == again != other
    assert re.fullmatch(r"<[0-9a-f]{32}@shop\.example>", first)


@pytest.mark.parametrize("breaks", ["\r\n", "\n", "\r", "\x0b", "\x85", "\u2028"])
def test_no_text_adds_a_header(start_relay, breaks):
    relay = start_relay()
    text = f"stock.csv{breaks}Bcc: thief@evil.example{breaks}{breaks}<html>"
    mail_through(relay, security="none").notify(evolve(sample_notification(), source=text, summary=text))
    (mail,) = relay.inbox.mails
    assert mail["Bcc"] is None
    assert relay.inbox.envelopes == [(SENDER, [BUYER])]
    assert "thief@evil.example" in mail["Subject"]


@pytest.mark.parametrize(
    "address",
    ["", "nobody", "@shop.example", "a@", "a@b\r\nBcc: c@d", "a@b, c@d", "A <a@b>", "a@b@c", "ä@b", "a b@c", "a@b\n"],
)
def test_an_odd_address_is_refused(address):
    with pytest.raises(ConfigurationError):
        SmtpNotifier("relay", SENDER, [BUYER, address])
    with pytest.raises(ConfigurationError):
        SmtpNotifier("relay", address, [BUYER])


def test_it_signs_in_under_starttls(start_relay, server_tls, client_tls):
    relay = start_relay(tls_context=server_tls, require_starttls=True)
    relay._options["authenticator"] = relay.inbox.sign_in
    mail_through(relay, username="shop", password=Secret("right"), tls=client_tls).notify(sample_notification())
    assert relay.inbox.sign_ins == [(b"shop", b"right")]
    assert relay.inbox.protected == [True]


def test_it_speaks_tls_from_the_first_byte(start_relay, server_tls, client_tls):
    relay = start_relay(smtps=server_tls)
    mail_through(relay, security="tls", tls=client_tls).notify(sample_notification())
    assert len(relay.inbox.mails) == 1


def test_a_wrong_password_is_an_error_that_does_not_show_it(start_relay, server_tls, client_tls):
    relay = start_relay(tls_context=server_tls)
    relay._options["authenticator"] = relay.inbox.sign_in
    notifier = mail_through(relay, username="shop", password=Secret("hunter2"), tls=client_tls)
    with pytest.raises(NotifyError, match="535") as raised:
        notifier.notify(sample_notification())
    assert set(relay.inbox.sign_ins) == {(b"shop", b"hunter2")}
    assert "hunter2" not in f"{raised.value}{raised.value!r}{raised.value.__cause__!r}{notifier!r}"
    assert relay.inbox.mails == []


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_of_an_unknown_authority_is_refused(start_relay, server_tls, security):
    relay = start_relay(smtps=server_tls) if security == "tls" else start_relay(tls_context=server_tls)
    with pytest.raises(NotifyError, match="certificate"):
        mail_through(relay, security=security).notify(sample_notification())
    assert relay.inbox.mails == []


def test_a_certificate_for_another_host_is_refused(start_relay, authority, client_tls):
    other = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("relay.example").configure_cert(other)
    relay = start_relay(tls_context=other)
    with pytest.raises(NotifyError, match="certificate"):
        mail_through(relay, tls=client_tls).notify(sample_notification())
    assert relay.inbox.mails == []


def test_a_relay_without_starttls_gets_nothing(start_relay):
    relay = start_relay()
    with pytest.raises(NotifyError, match="STARTTLS"):
        mail_through(relay).notify(sample_notification())
    assert relay.inbox.mails == []


def test_a_refused_recipient_is_an_error_without_the_relay_s_words(start_relay):
    relay = start_relay()
    relay.inbox.refuses = frozenset({"gone@shop.example"})
    notifier = mail_through(relay, security="none", recipients=[BUYER, "gone@shop.example"])
    with pytest.raises(NotifyError, match="1 of 2") as raised:
        notifier.notify(sample_notification())
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"recipients": []},
        {"username": "shop"},
        {"password": Secret("x")},
        {"security": "none", "username": "shop", "password": Secret("x")},
    ],
)
def test_a_declaration_that_cannot_work_is_refused(fields):
    with pytest.raises(ConfigurationError):
        SmtpNotifier(**{"host": "relay", "sender": SENDER, "recipients": [BUYER], **fields})
